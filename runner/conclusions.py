"""Conclusions: what a verb has come to, as every form of report takes it.

``run`` comes to a :class:`~longpin.runner.result.Result`; the others are here. Only types are imported,
so that a report that is not made costs nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from longpin.config.schema import ALL_RULES
from longpin.runner.result import Result, ShownUse, UseState, Verdict

if TYPE_CHECKING:
    from longpin.runner.conform.check import ProgramVerdict, Tally
    from longpin.runner.conform.facts.check import FactTally
    from longpin.runner.conform.program import ConformProgram
    from longpin.runner.exploration.result import Exploration
    from longpin.runner.failures.keep import Kept
    from longpin.runner.failures.parting import Beside
    from longpin.runner.judge_log.search import Judgement
    from longpin.runner.matrix.matrix import Matrix
    from longpin.runner.matrix.survey import Surveyed
    from longpin.runner.races.series import Series
    from longpin.runner.sampling.result import Campaign
    from longpin.runner.subject import Subject


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the replay of a trace has come to."""

    verb: ClassVar[str] = "replay"

    result: Result
    """What happened: as recorded, or under another policy."""
    beside: "Beside | None" = None
    """What the trace shows beside it; None: the result is that of the trace."""

    @property
    def verdict(self) -> Verdict:
        """Return the verdict."""
        return self.result.verdict

    @property
    def not_kept(self) -> str:
        """Return what was asked to be kept and could not be: a replay keeps nothing."""
        return self.result.not_kept


@dataclass(frozen=True, slots=True)
class Explored:
    """What an exploration of a scenario has come to."""

    verb: ClassVar[str] = "explore"

    subject: "Subject"
    exploration: "Exploration | None"
    """None: nothing was explored, as a failure that was kept before still fails."""
    kept: "Kept | None" = None
    """The failure, made small; None: nothing failed."""
    lost: str = ""
    """What a report could not write, one line."""
    traces: Mapping[str, str] = field(default_factory=dict)
    """The file with a schedule that shows a use, by the use."""

    @property
    def uses(self) -> list[ShownUse]:
        """Return what is known of the uses that some schedule must show."""
        found = self.exploration
        marks, complete = (set[str](), False) if found is None else (found.marks, found.complete)
        uses = self.subject.rules.uses.states(marks, UseState.NOWHERE if complete else UseState.UNKNOWN)
        return [use._replace(trace=self.traces.get(use.use, "")) for use in uses]

    @property
    def verdict(self) -> Verdict:
        """Return the verdict."""
        return Verdict.VIOLATED if self.exploration is None else self.exploration.verdict

    @property
    def not_kept(self) -> str:
        """Return what was asked to be kept and could not be, one line; empty if nothing is lost."""
        return joined(*(one.not_kept for one in (self.exploration, self.kept) if one is not None), self.lost)

    @property
    def warnings(self) -> list[str]:
        """Return what is to be said of the scenario and of what was seen, each a line."""
        return self.subject.warnings(() if self.exploration is None else self.exploration.marks)

    @property
    def seconds(self) -> float:
        """Return how long the search took."""
        return 0.0 if self.exploration is None else self.exploration.seconds


@dataclass(frozen=True, slots=True)
class Stressed:
    """What a campaign of sampled schedules has come to."""

    verb: ClassVar[str] = "stress"

    subject: "Subject"
    engine: str
    campaign: "Campaign | None"
    """None: nothing was run, as a failure that was kept before still fails."""
    kept: "Kept | None" = None
    """The first failure, made small; None: nothing failed."""
    every: bool = False
    """All runs were made, whatever failed."""
    lost: str = ""
    """What a report could not write, one line."""

    @property
    def uses(self) -> list[ShownUse]:
        """Return what is known of the uses that some schedule must show: samples show them, or not yet."""
        marks = set[str]() if self.campaign is None else self.campaign.marks
        return self.subject.rules.uses.states(marks, UseState.UNKNOWN)

    @property
    def verdict(self) -> Verdict:
        """Return the verdict."""
        return Verdict.VIOLATED if self.campaign is None else self.campaign.verdict

    @property
    def not_kept(self) -> str:
        """Return what was asked to be kept and could not be, one line; empty if nothing is lost."""
        return joined("" if self.kept is None else self.kept.not_kept, self.lost)

    @property
    def warnings(self) -> list[str]:
        """Return what is to be said of the scenario and of what was seen, each a line."""
        return self.subject.warnings(() if self.campaign is None else self.campaign.marks)

    @property
    def seconds(self) -> float:
        """Return how long the campaign took."""
        return 0.0 if self.campaign is None else self.campaign.seconds


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is compared."""

    mode: Literal["recorded", "live"]
    """Whether the real kernel's answers were recorded, or are this machine's."""
    engine: str
    """Of the emulated kernel."""
    policy: str
    """The one that it follows."""
    policy_sha256: str | None
    """Of its file; None: it is one of longpin's."""
    seed: int | None
    """Of random programs; None: they come from a file."""
    kernel: str | None
    """The release of the real one; None: its answers were recorded."""
    fs: str | None
    """The file system its programs run on; None as before."""
    programs_wanted: int


@dataclass(frozen=True, slots=True)
class ShrunkProgram:
    """How the first program about which two kernels differ was made smaller."""

    from_ops: int
    to_ops: int
    tries: int
    """Smaller programs that were run."""
    program: "ConformProgram"
    """What is left of it."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The comparison of programs that two kernels ran."""

    verb: ClassVar[str] = "conform"

    verdict: Verdict
    reason: str
    tally: "Tally"
    about: Comparison
    shrunk: ShrunkProgram | None
    """None: the kernels agree, or the real one cannot be asked again."""
    shown: "ProgramVerdict | None"
    """The first program about which they differ, made smaller if the real kernel can be asked."""
    again: str | None
    """The command that shows it again."""
    file: str | None
    """The file that holds it."""
    seconds: float
    not_kept: str
    warnings: Sequence[str] = ()
    """What is to be said of the comparison, each a line."""


@dataclass(frozen=True, slots=True)
class Raced:
    """The comparison of scenarios that ran free on a real kernel with what the emulator allows."""

    verb: ClassVar[str] = "conform"

    series: "Series"
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """Return the verdict."""
        return self.series.verdict

    @property
    def not_kept(self) -> str:
        """Return what was asked to be kept and could not be, one line."""
        return self.series.not_kept


@dataclass(frozen=True, slots=True)
class Predicted:
    """What came of questions about kernels, each of which was played on the emulated one."""

    verb: ClassVar[str] = "conform"

    tally: "FactTally"
    wanted: int
    """How many questions there were."""
    seconds: float
    interrupted: bool = False
    not_kept: str = ""
    """What was asked to be kept and could not be, one line."""

    @property
    def verdict(self) -> Verdict:
        """Return the verdict: what was not compared is no pass."""
        if self.tally.differences:
            return Verdict.VIOLATED
        return Verdict.HOLDS if self.reason == _AGREE else Verdict.UNDETERMINED

    @property
    def reason(self) -> str:
        """Return what it all comes to, in words."""
        tally = self.tally
        if tally.differences:
            return "the kernels differ"
        if self.interrupted:
            return "interrupted: no difference so far"
        if not tally.compared:
            return "nothing could be compared"
        return _AGREE if tally.compared == tally.programs else "not every question could be compared, and none differs"


_AGREE = "the kernels agree"

Searched = Explored | Stressed


@dataclass(frozen=True, slots=True)
class Tabulated:
    """What is known of every hazard under every proposal that was asked for."""

    verb: ClassVar[str] = "matrix"

    matrix: "Matrix"

    @property
    def verdict(self) -> Verdict:
        """Return the verdict."""
        return self.matrix.verdict

    @property
    def not_kept(self) -> str:
        """Return what was asked to be kept and could not be, one line."""
        return self.matrix.not_kept


@dataclass(frozen=True, slots=True)
class Vectors:
    """What is known of every parameter vector of a policy."""

    verb: ClassVar[str] = "matrix"

    found: "Surveyed"

    @property
    def verdict(self) -> Verdict:
        """Return the verdict."""
        return self.found.verdict

    @property
    def not_kept(self) -> str:
        """Return what was asked to be kept and could not be, one line."""
        return self.found.not_kept


@dataclass(frozen=True, slots=True)
class ShippedRun:
    """The run of one shipped scenario under its own policy."""

    name: str
    result: Result
    expected: tuple[str, ...]
    """The rules that its file expects to be broken on this kernel."""
    unreached: bool
    """It expects, too, that lines are not reached."""
    again: str
    """The command that shows it."""

    @property
    def violated(self) -> tuple[str, ...]:
        """The rules that it breaks, in the order of the specification."""
        found = {violation.rule for violation in self.result.violations}
        return tuple(rule for rule in ALL_RULES if rule in found)

    @property
    def as_expected(self) -> bool | None:
        """Whether it breaks these and no others, and reaches what it should; None: that is not determined."""
        if self.result.verdict is Verdict.UNDETERMINED and not self.result.unreached:
            return None
        return self.violated == self.expected and bool(self.result.unreached) == self.unreached


@dataclass(frozen=True, slots=True)
class RanAll:
    """What the runs of all shipped scenarios have come to."""

    verb: ClassVar[str] = "run-all"
    not_kept: ClassVar[str] = ""

    runs: Sequence[ShippedRun]
    wanted: int
    """How many there are; more than were run if it was interrupted."""
    kernel: str | None
    """What they ran on; None: each on its own."""
    seconds: float

    @property
    def unexpected(self) -> list[ShippedRun]:
        """Return those that did not end as their files say."""
        return [one for one in self.runs if one.as_expected is False]

    @property
    def undetermined(self) -> int:
        """Return of how many nothing is known."""
        return self.wanted - sum(one.as_expected is not None for one in self.runs)

    @property
    def verdict(self) -> Verdict:
        """Return ``holds`` if every scenario ended as its file says."""
        if self.unexpected:
            return Verdict.VIOLATED
        return Verdict.UNDETERMINED if self.undetermined else Verdict.HOLDS


@dataclass(frozen=True, slots=True)
class LogJudged:
    """What has come of a log of a real program: whether what it did is allowed."""

    verb: ClassVar[str] = "judge"

    name: str
    """Of the file."""
    lines: Sequence[str]
    """The log."""
    policy: str
    policy_sha256: str | None
    """Of its file; None: it is one of longpin's."""
    judgement: "Judgement"
    processes: int
    modelled: int
    """How many calls of the log are calls of the model."""
    left_out: Mapping[str, int]
    """How many are not, by name."""
    ended: tuple[int, str] | None
    """The line from which on nothing is judged, and why; None: all of it is."""
    warnings: Sequence[str] = ()
    not_kept: str = ""
    """What was asked to be kept and could not be, one line."""

    @property
    def verdict(self) -> Verdict:
        """Return the verdict: what is explained only in part is no pass."""
        match self.judgement.found:
            case "no order of arrivals explains it":
                return Verdict.VIOLATED
            case "an order of arrivals explains it" if self.ended is None:
                return Verdict.HOLDS
            case _:
                return Verdict.UNDETERMINED

    @property
    def reason(self) -> str:
        """Return why the verdict is what it is."""
        if self.verdict is Verdict.UNDETERMINED and self.ended is not None:
            return f"the log is judged up to line {self.ended[0]} only: {self.ended[1]}"
        return str(self.judgement.found)


Conclusion = Result | Replayed | Searched | Compared | Raced | Predicted | Tabulated | Vectors | RanAll | LogJudged
"""What a report shows."""


def joined(*not_kept: str) -> str:
    """Return as one line everything that could not be kept."""
    return "; ".join(filter(None, not_kept))
