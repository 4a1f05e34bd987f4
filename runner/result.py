"""What a run found, in a form every report is made from."""

from dataclasses import dataclass, field
from enum import StrEnum

from longpin.actors.facts import CallRecord


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
class Violation:
    """A rule that does not hold."""

    rule: str
    arrival: int
    """The number of the first arrival after which it held no more."""
    detail: str
    site: str = ""
    """What it is about, in words that are the same for every schedule that shows it."""


class Kind(StrEnum):
    """What a moment is about."""

    CALL = "call"
    RETURN = "return"
    SLEEP = "sleep"
    """A call goes to sleep; the text says what it waits for."""
    LOCK = "lock"
    """The same, for a lock inside the kernel, which is mostly there in no time."""
    TOLD = "told"
    """A signal is generated for the process."""
    SIGNAL = "signal"
    """The process acts on a signal."""
    END = "end"
    KERNEL = "kernel"
    DEVICE = "device"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Moment:
    """One row of a time line."""

    arrival: int
    now: float
    """Virtual time in seconds."""
    lane: str
    """The process it happens to, one of :attr:`Result.lanes`; empty: the kernel, the device, or time."""
    kind: Kind
    text: str
    record: CallRecord | None = None
    """The call it is about."""
    blocks: tuple[int, ...] = ()
    """What the text is said of, if it is said of blocks; the rest of the sentence is :attr:`place`."""
    place: str = ""
    """Where the blocks are."""


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

    verdict: Verdict
    reason: str
    """One sentence on why the verdict is what it is."""
    scenario: str
    policy: str
    """What :func:`longpin.actors.policies.policy_name` calls it, such as ``P5:intended``."""
    engine: str
    oracle: str
    timers: str
    seed: int
    arrivals: int = 0
    hash: str = ""
    """sha256 over the recorded arrivals."""
    violations: list[Violation] = field(default_factory=list)
    calls: list[CallResult] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    lanes: list[str] = field(default_factory=list)
    """The processes as ``name (pid)``, in the order in which they came into being."""
    waiting: list[str] = field(default_factory=list)
    """Every process that waits at the end, whether that is a violation or not, and what for."""
    summary: str = ""
    """The scenario in one sentence."""
    source: str = ""
    """Where the scenario's story comes from."""
