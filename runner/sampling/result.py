"""What a campaign of sampled schedules found, in values whose text is what gets printed."""

from dataclasses import dataclass, field
from enum import StrEnum

from longpin.runner.exploration.result import Failure, Key
from longpin.runner.result import Verdict


class CampaignReason(StrEnum):
    """Why a campaign ended."""

    RUNS = "the number of runs asked for is done"
    VIOLATED = "a run that breaks it was found"
    SECONDS = "the time allowed is spent"
    INTERRUPTED = "it was interrupted"


@dataclass(frozen=True, slots=True)
class FailingRun(Failure):
    """The first run of a campaign that showed a failure."""

    strategy: str
    """The oracle that chose; with ``seed`` it repeats the run. ``threads``: the operating system, which does not."""
    seed: int
    """The seed of the run, for the oracle and for the actors' random numbers."""
    run: int
    """Which run of the campaign it was, counting from 1."""
    own_run: int
    """Which run of its strategy it was, counting from 1."""
    trace: bytes = b""
    """The trace file of a run on threads; empty for others, which their decisions or their seed repeat."""


@dataclass(slots=True)
class StrategyRow:
    """What one strategy did in a campaign."""

    name: str
    runs: int = 0
    distinct: int = 0
    """Different Mazurkiewicz traces among its runs that came to rest."""
    found: dict[Key, int] = field(default_factory=dict)
    """The failures its runs showed, and which of its runs, counting from 1, was the first to show each."""
    broken: int = 0
    """How many of its runs broke something."""

    @property
    def failing(self) -> int | None:
        """Return which of its runs, counting from 1, was the first to break anything; None if none did."""
        return min(self.found.values(), default=None)


@dataclass(slots=True)
class Campaign:
    """The result of sampling schedules."""

    seed: int
    """Run i, counting from 0, has the seed ``seed + i``."""
    runs: int = 0
    distinct: int = 0
    """Different Mazurkiewicz traces among the runs that came to rest; a lower bound if :attr:`capped`."""
    once: int = 0
    """Those that exactly one run had."""
    counted: int = 0
    """Runs whose traces were counted: those that came to rest, until the table was full."""
    capped: bool = False
    """The table of traces became full, so there were more than :attr:`distinct`."""
    by_strategy: list[StrategyRow] = field(default_factory=list)
    failures: list[FailingRun] = field(default_factory=list)
    """The first run for each failure, in the order of the runs; the same failure is the same rule at the same site."""
    endless: int = 0
    """Runs given up after the arrivals allowed for one."""
    unjudged: int = 0
    """Runs that came to rest before what is to be judged could happen."""
    inconclusive: str = ""
    """What the first of those waits for."""
    marks: set[str] = field(default_factory=set)
    """What ``marks`` and ``check`` said is to be seen in some run."""
    missing: list[str] = field(default_factory=list)
    """The marks that were wanted and that no run showed."""
    events: int = 0
    """Arrivals in all runs together."""
    reason: CampaignReason = CampaignReason.RUNS
    seconds: float = 0.0

    @property
    def unseen(self) -> float:
        """Return an estimate of the probability that one more run has a trace not seen so far; 1 if none was counted.

        The Good-Turing estimator: the share of the runs whose trace no other run had. It is about these strategies in
        this mixture, not about the share of all traces: those that a strategy hardly ever takes hardly count. I. J.
        Good, "The population frequencies of species and the estimation of population parameters", Biometrika 40, 1953;
        for testing: M. Böhme, "STADS: software testing as species discovery", ACM TOSEM 27(2), 2018.
        """
        return self.once / self.counted if self.counted else 1.0

    @property
    def verdict(self) -> Verdict:
        """Return the verdict: samples prove nothing."""
        return Verdict.VIOLATED if self.failures else Verdict.UNDETERMINED
