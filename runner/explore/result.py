"""What an exploration found, in values whose text is what gets printed."""

from dataclasses import dataclass, field
from enum import StrEnum

from longpin.messages.envelope import Address
from longpin.runner.result import Verdict


class PropertyViolation(Exception):
    """What must hold does not: raised by a handler, or by the check of a world that has come to rest."""


def told(error: BaseException) -> str:
    """Return what an exception says, with its kind unless it is a violation."""
    return str(error) if isinstance(error, PropertyViolation) else f"{type(error).__name__}: {error}"


class Reason(StrEnum):
    """Why an exploration ended."""

    COMPLETE = "every schedule was explored"
    VIOLATED = "a schedule that breaks it was found"
    EXECUTIONS = "the number of executions allowed is spent"
    STATES = "the number of states allowed is spent"
    SECONDS = "the time allowed is spent"
    ENDLESS = "a schedule goes on and on: only matching states can come to an end"
    INTERRUPTED = "it was interrupted"


class Method(StrEnum):
    """How schedules are told apart."""

    DPOR = "dpor"
    STATES = "states"
    NAIVE = "naive"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Failure:
    """A schedule that breaks what must hold."""

    what: str
    decisions: tuple[Address, ...]
    """Whose oldest message arrives, arrival by arrival: :func:`longpin.runner.explore.replay` follows it."""


@dataclass(slots=True)
class Exploration:
    """The result of an exploration."""

    method: Method
    """The method that was used; never AUTO."""
    executions: int = 0
    """Schedules run to their end, those in ``blocked`` not counted. Matching counts the ends it came to."""
    blocked: int = 0
    """Executions given up half-way because they could only repeat another one."""
    states: int = 0
    """Different states of the whole world, if states were matched."""
    events: int = 0
    """Arrivals executed or looked up."""
    impossible: int = 0
    """With footprints: schedules that break it but that no real order of arrivals shows; they are no failures."""
    reason: Reason = Reason.COMPLETE
    failures: list[Failure] = field(default_factory=list)
    """The first one found; empty if there is none."""
    seconds: float = 0.0
    estimate: float = 0.0
    """A guess at how many executions there are, from the branches not yet taken; 0: none could be made."""
    why: str = ""
    """Why this method, if it was chosen by a pilot run."""

    @property
    def complete(self) -> bool:
        """Return whether nothing is left to explore."""
        return self.reason is Reason.COMPLETE

    @property
    def verdict(self) -> Verdict:
        """Return what the exploration was worth: incomplete is never a pass."""
        if self.failures:
            return Verdict.VIOLATED
        return Verdict.HOLDS if self.complete else Verdict.UNDETERMINED
