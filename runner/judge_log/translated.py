"""A log in calls of the model."""

from collections import Counter
from dataclasses import dataclass, field

from longpin.runner.judge_log.script import HandlerFlags, Step
from longpin.runner.judge_log.strace_lines import StraceLog
from longpin.runner.judge_log.surroundings import LogFiles
from longpin.runner.judge_log.threads import LoggedWorld


@dataclass(slots=True)
class LoggedImage:
    """What a thread runs from its beginning, or from an execve on."""

    name: str
    tid: int
    steps: list[Step] = field(default_factory=list)
    handlers: dict[int, HandlerFlags] = field(default_factory=dict)
    """Those in force when it begins, with what sigaction(2) said of them."""
    begun_with: frozenset[int] = frozenset()
    """The signals that have handlers from the start, though nobody saw them installed."""


@dataclass(slots=True)
class Translated:
    """A log in calls of the model."""

    log: StraceLog
    world: LoggedWorld
    surroundings: LogFiles
    images: dict[str, LoggedImage]
    """By name; those of one thread in their order."""
    roots: list[str]
    """The images of processes that are there from the start."""
    modelled: int = 0
    """How many calls of the log are calls of the model."""
    left_out: Counter[str] = field(default_factory=Counter)
    """How many are not, by name."""
    ended: tuple[int, str] | None = None
    """The line from which on nothing is judged, and why; None: all of it is."""
