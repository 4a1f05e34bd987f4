"""What a run found, in a form every report is made from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, NamedTuple

from longpin.actors.constants import ERRNO_NAMES
from longpin.config.schema import ALL_RULES, RULES, Scenario
from longpin.runner.events import ProcessName, RunEvent


class Verdict(StrEnum):
    """How a run ended."""

    HOLDS = "holds"
    VIOLATED = "violated"
    UNDETERMINED = "undetermined"
    DIVERGED = "diverged"

    @property
    def exit_code(self) -> int:
        """The exit status of the command: 0 holds, 1 violated, 2 tool failure, 3 undetermined."""
        return {Verdict.HOLDS: 0, Verdict.VIOLATED: 1, Verdict.DIVERGED: 2, Verdict.UNDETERMINED: 3}[self]


@dataclass(frozen=True, slots=True)
class Judged:
    """By which rules something was judged, and by which it was not."""

    rules: tuple[str, ...]
    not_asked: tuple[str, ...] = ()
    """Rules that must hold unless a scenario says otherwise, and that this one does not ask for."""
    not_observed: tuple[str, ...] = ()
    """Rules that it asks for and that cannot be seen to hold where it ran."""

    @classmethod
    def of(cls, scenario: Scenario, observable: tuple[str, ...] = ALL_RULES) -> "Judged":
        """Return by what a scenario is judged where only some rules can be observed."""
        holds = scenario.holds
        return cls(
            tuple(rule for rule in holds if rule in observable),
            tuple(rule for rule in RULES if rule not in holds),
            tuple(rule for rule in holds if rule not in observable),
        )

    def hold(self, where: str = "", *, past: bool = False) -> str:
        """Return ``O1, O3 hold``, then ``where``, and which rules nothing is said of."""
        one = len(self.rules) == 1
        verb = "held" if past else "holds" if one else "hold"
        return f"{', '.join(self.rules) or 'no rule'} {verb}{where}{self._rest()}"

    def __str__(self) -> str:
        return (", ".join(self.rules) or "no rule") + self._rest()

    def _rest(self) -> str:
        parts = []
        if self.not_asked:
            parts.append(f"{', '.join(self.not_asked)} {'was' if len(self.not_asked) == 1 else 'were'} not asked")
        if self.not_observed:
            parts.append(f"{', '.join(self.not_observed)} cannot be observed on a real kernel")
        return f" ({'; '.join(parts)})" if parts else ""


class ExpectedLine(NamedTuple):
    """A line of a scenario file that says what its call must do."""

    line: int
    """From 1."""
    process: str
    """The process whose program, or signal handler, it is in; others may run it after fork or exec."""
    text: str
    """The call."""

    def __str__(self) -> str:
        return f"line {self.line}, {self.process}: {self.text}"


SEEN = "warning: "
"""What a warning begins with of something that was seen in a run; the others are of a line of a file."""


class UseState(StrEnum):
    """What is known of a use."""

    SHOWN = "shown"
    """Some schedule shows it."""
    NOWHERE = "shown by no schedule"
    """All schedules were explored: it is violated."""
    UNKNOWN = "undetermined"
    """Those that were looked at do not show it."""


class ShownUse(NamedTuple):
    """A use, and what is known of it."""

    use: str
    """A key of :data:`longpin.config.schema.USES`."""
    sentence: str
    state: UseState
    trace: str = ""
    """A file with a schedule that shows it; empty: there is none."""

    def __str__(self) -> str:
        return f"{self.use}, {self.sentence}: {self.state.value}"


def unshown_reason(uses: Sequence[ShownUse], where: str) -> str:
    """Return which uses are not shown, in a sentence that ends with ``where``; empty if all are."""
    missing = [use.use for use in uses if use.state is not UseState.SHOWN]
    return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not shown {where}" if missing else ""


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that does not hold."""

    rule: str
    arrival: int
    """The number of the first arrival after which it held no more."""
    detail: str
    site: str = ""
    """What it is about, in words that are the same for every schedule that shows it."""


@dataclass(frozen=True, slots=True)
class CallResult:
    """One call of a run."""

    process: str
    line: int
    call: str
    ret: int | str | None
    """None: it never returned."""
    errno: str | None
    blocked: bool
    """It slept before it returned, or never returned."""


@dataclass(slots=True)
class Result:
    """A whole run."""

    verb: ClassVar[str] = "run"

    verdict: Verdict
    reason: str
    """One sentence on why the verdict is what it is."""
    scenario: str
    policy: str
    """What :attr:`longpin.actors.policies.proposal.Proposal.name` says, such as ``P5:intended``."""
    engine: str
    oracle: str
    timers: str
    seed: int
    arrivals: int = 0
    hash: str = ""
    """sha256 over the recorded arrivals."""
    violations: list[Violation] = field(default_factory=list)
    calls: list[CallResult] = field(default_factory=list)
    events: Sequence[RunEvent] = field(default_factory=list)
    """Everything that happened, in the order of arrivals."""
    processes: list[ProcessName] = field(default_factory=list)
    """In the order in which they came into being."""
    waiting: list[str] = field(default_factory=list)
    """Every process that waits at the end, whether that is a violation or not, and what for."""
    summary: str = ""
    """The scenario in one sentence."""
    source: str = ""
    """Where the scenario's story comes from."""
    policy_sha256: str = ""
    """Of the policy's file, 64 hexadecimal digits; empty if the policy is one of longpin's."""
    judged: Judged = Judged(RULES)
    unreached: list[ExpectedLine] = field(default_factory=list)
    """Lines whose expectation counts and that were not reached; with one the verdict is no better than undetermined."""
    uses: list[ShownUse] = field(default_factory=list)
    """What this run shows of what some schedule is to show; with one that is not the verdict is undetermined."""
    trace: str = field(default="", compare=False)
    """The file that holds every arrival, as it was given; empty if none was asked for."""
    not_kept: str = field(default="", compare=False)
    """What was asked to be kept and could not be, one line; empty if nothing is lost."""
    warnings: list[str] = field(default_factory=list)
    """What is to be said of the scenario, or of how it was run, each a line."""


def returned(ret: int | str | None, errno: int) -> str:
    """Return what a call returned, for people: the name of its errno, or its value."""
    return ERRNO_NAMES.get(errno, str(errno)) if errno else str(ret)
