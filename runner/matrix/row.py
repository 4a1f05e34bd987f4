"""A row of the matrix: one hazard under every proposal, with as few explorations as the policies' answers allow.

A policy that answers alike everything that was asked during an exploration is the same transition system, so the
verdict carries over; for a schedule, a counterexample or one that shows a use, the questions of that schedule are
enough. What was found under another policy is followed first, as far as it goes: where it breaks a rule too, nothing is
explored. Then a few schedules are tried, before all are explored.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from longpin.actors.policies.proposal import Proposal
from longpin.actors.process.program import Loop, Statement
from longpin.config.hazard import Expected
from longpin.config.loader import in_dialect, parse_scenario, pinned_by
from longpin.config.pinner import REGION
from longpin.config.schema import Scenario
from longpin.messages.envelope import Address
from longpin.runner.exploration import Failure, Method, Reason, explore
from longpin.runner.exploration.budget import memory_allowed
from longpin.runner.exploration.questions import Answers, Log, first_difference
from longpin.runner.failures.effort import Limits, ShrinkEnd
from longpin.runner.failures.keep import handle
from longpin.runner.failures.other import AsFarAs
from longpin.runner.failures.schedule import Follower, follow, most_arrivals, run_with
from longpin.runner.failures.witness import keep_witness
from longpin.runner.judging.expected import unreached_reason
from longpin.runner.judging.invariants.errnos import applicable
from longpin.runner.judging.uses import use_of
from longpin.runner.matrix.cell import CellVerdict, Column, How, MatrixCell, preset_of
from longpin.runner.oracles import NO_PROFILE, Oracle
from longpin.runner.oracles.random_walk import RandomWalk
from longpin.runner.result import Verdict
from longpin.runner.sampling.sample import Plan, Sampler
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

SAMPLES = 4
"""Schedules that are tried before all are explored: many a violation needs no luck, and a use needs one schedule."""

MOST_ARRIVALS = 20_000
"""After so many a sampled schedule is given up."""

SHRINK = Limits(executions=60, seconds=None)
"""What making a schedule simpler may take: a number of runs, so that it comes out the same every time."""


class RowTask(NamedTuple):
    """What is to be explored; it can be sent elsewhere."""

    text: str
    """Of the scenario."""
    name: str
    """Of its file, for messages."""
    expected: Expected
    timers: Literal["lazy", "racy"]
    columns: tuple[Column, ...]
    seconds: float | None
    """For each exploration."""
    memory: int
    """Bytes that a worker may have resident."""
    sharing: bool = True
    """False: every cell is explored itself."""
    stored: tuple[tuple[str, tuple[Address, ...]], ...] = ()
    """Counterexamples of this hazard that were kept before: the policy, and the decisions."""
    pinner: str = REGION
    """Who has the pages, as ``--pinner`` takes it."""


@dataclass(frozen=True, slots=True)
class RowResult:
    """What came of it."""

    cells: tuple[MatrixCell, ...]
    """One a column, in their order."""
    explorations: int
    questions: int
    """How many questions were asked in the exploration with the most."""


Files = Mapping[str, bytes]
"""Counterexamples and schedules that show a use, by the name of the file."""


@dataclass(slots=True)
class Known:
    """A verdict, and the answers on which it rests."""

    column: str
    program: object
    """What is run and judged; see :func:`_as_judged`."""
    answers: Answers
    cell: MatrixCell
    decisions: tuple[Address, ...] = ()
    """The counterexample."""


@dataclass(slots=True)
class MatrixRow:
    """Explores a row, column by column."""

    task: RowTask
    folder: Path
    """Where counterexamples are written."""
    known: list[Known] = field(default_factory=list)
    explorations: int = 0
    questions: int = 0
    answers: Answers = field(default_factory=dict)
    """Those on which the verdict rests that was returned last."""

    def __post_init__(self) -> None:
        self._scenario = parse_scenario(self.task.text, self.task.name)

    _scenario: Scenario = field(init=False)

    def files(self) -> Files:
        """Return the counterexamples and the schedules that show a use."""
        return {path.name: path.read_bytes() for path in sorted(self.folder.iterdir())}

    def cell(self, column: Column) -> MatrixCell:
        """Return what is known of a column.

        Raises:
            InternalError: a bug in longpin.
            PolicyError: the policy, a class in a file, does what no policy may.

        """
        settings = column.settings(self.task.timers, self.task.expected.kernel)
        proposal = settings.make_proposal()
        scenario = pinned_by(in_dialect(self._scenario, settings.policy, settings.preset), self.task.pinner)
        wanted = ""
        if column.is_documented and self.task.pinner == REGION:
            wanted = self.task.expected.verdict(column.policy, column.preset, settings.timers)
        blank = MatrixCell(
            settings.policy,
            preset_of(proposal),
            scenario.name,
            settings.timers,
            CellVerdict.UNDETERMINED,
            use="".join(scenario.shows[:1]),
            wanted=wanted,
        )
        found = self._inferred(blank, proposal, scenario) if self.task.sharing else None
        if found is None and self.task.sharing:
            found = self._followed(blank, scenario, settings)
        found = found or self._sampled(blank, scenario, settings) or self._explored(blank, scenario, settings)
        explanation = self.task.expected.explanation(settings.policy, settings.preset, settings.timers, found.found)
        return replace(found, explained=explanation if found.expected is False else "")

    def _inferred(self, blank: MatrixCell, proposal: Proposal, scenario: Scenario) -> MatrixCell | None:
        """Return the verdict of a column that is the same transition system, None if there is none."""
        program = _as_judged(scenario, proposal.name)
        for known in self.known:
            if known.program == program and first_difference(known.answers, proposal) is None:
                its, self.answers = known.cell, known.answers
                return replace(
                    blank,
                    verdict=its.verdict,
                    rule=its.rule,
                    why=its.why,
                    how=How.INFERRED,
                    origin=known.column,
                    executions=its.executions,
                    states=its.states,
                    trace=its.trace,
                )
        return None

    def _followed(self, blank: MatrixCell, scenario: Scenario, settings: Settings) -> MatrixCell | None:
        """Return what a counterexample of another column shows, followed as far as it goes; None: it shows nothing."""
        counterexamples = {decisions: policy for policy, decisions in reversed(self.task.stored)}
        counterexamples |= {known.decisions: known.column for known in reversed(self.known) if known.decisions}
        for decisions, origin in counterexamples.items():
            log = Log()
            oracle = AsFarAs(decisions, settings.seed, skipping=False)
            subject, most = Subject(scenario, settings, log), most_arrivals(decisions)
            outcome = run_with(subject, oracle, most, racy=settings.timers == "racy")
            if outcome.broken is not None and outcome.broken.rule:
                failure = Failure(outcome.broken, outcome.schedule.decisions)
                tried = replace(blank, executions=1)
                return self._violated(tried, scenario, settings, failure, log.answers, How.FOLLOWED, origin)
        return None

    def _sampled(self, blank: MatrixCell, scenario: Scenario, settings: Settings) -> MatrixCell | None:
        """Return what one of a few schedules shows: a rule that is broken, or the use; None: they show nothing."""
        for number in range(SAMPLES):
            log = Log()
            subject = Subject(scenario, settings, log)
            racy, seed = settings.timers == "racy", settings.seed
            plan = Plan(subject.build, (), NO_PROFILE, subject.check, subject.always, racy, MOST_ARRIVALS, False)
            oracle: Oracle = RandomWalk(number, NO_PROFILE) if number else Follower((), seed)
            sampled = Sampler(plan).on_the_engine(oracle, seed)
            its, tried = sampled.judgement, replace(blank, executions=number + 1)
            if its.broken is not None:
                failure = Failure(its.broken, sampled.decisions)
                return self._violated(tried, scenario, settings, failure, log.answers, How.EXPLORED, "")
            for mark in sorted(its.marks & set(subject.to_show)):
                return self._shown(tried, scenario, settings, mark, sampled.decisions)
        return None

    def _explored(self, blank: MatrixCell, scenario: Scenario, settings: Settings) -> MatrixCell:
        log = Log()
        subject = Subject(scenario, settings, log)
        found = explore(
            subject.build,
            method=Method.STATES,
            check=subject.check,
            always=subject.always,
            marks=subject.marks,
            wanted=subject.wanted,
            shows=subject.to_show,
            seconds=self.task.seconds,
            max_memory=min(self.task.memory, memory_allowed()),
            interchangeable=subject.interchangeable,
            racy=settings.timers == "racy",
            seed=settings.seed,
        )
        if found.reason is Reason.INTERRUPTED:
            raise KeyboardInterrupt  # a cell of which that is all that is known is no part of a row that is done
        self.explorations += 1
        self.questions = max(self.questions, len(log.answers))
        blank = replace(blank, executions=found.executions, states=found.states)
        if found.failures:
            failure = found.failures[0]
            schedule = Log()
            follow(Subject(scenario, settings, schedule), failure.decisions)
            return self._violated(blank, scenario, settings, failure, schedule.answers, How.EXPLORED, "")
        for mark, decisions in found.witnesses.items():
            return self._shown(blank, scenario, settings, mark, decisions)
        if found.verdict is Verdict.UNDETERMINED:
            why = (
                found.reason.value
                if not found.complete
                else found.inconclusive or unreached_reason(subject.unreached(found.marks))
            )
            cell = replace(blank, why=why)
            self._know(cell, scenario, settings, log.answers)
            return cell
        if found.verdict is Verdict.VIOLATED:
            cell = replace(blank, verdict=CellVerdict.VIOLATED, rule=scenario.shows[0], why="no schedule shows it")
        else:
            cell = replace(blank, verdict=CellVerdict.PROVED)
        self._know(cell, scenario, settings, log.answers)
        return cell

    def _violated(
        self,
        blank: MatrixCell,
        scenario: Scenario,
        settings: Settings,
        failure: Failure,
        answers: Answers,
        how: "How",
        origin: str,
    ) -> MatrixCell:
        by = {How.EXPLORED: "matrix", How.FOLLOWED: f"matrix, as under {origin}"}[how]
        kept = handle(Subject(scenario, settings), failure, by, settings.seed, self.folder, SHRINK, whole=True)
        if kept.not_kept:
            raise OSError(kept.not_kept)
        if kept.record.end == ShrinkEnd.INTERRUPTED:
            raise KeyboardInterrupt
        cell = replace(
            blank,
            verdict=CellVerdict.VIOLATED,
            rule=failure.broken.rule,
            why=failure.broken.what,
            how=how,
            origin=origin,
            trace=kept.trace.name,
        )
        self._know(cell, scenario, settings, answers, failure.decisions)
        return cell

    def _shown(
        self, blank: MatrixCell, scenario: Scenario, settings: Settings, mark: str, decisions: tuple[Address, ...]
    ) -> MatrixCell:
        """Return the cell of a use that a schedule shows."""
        schedule = Log()
        follow(Subject(scenario, settings, schedule), decisions)
        trace = keep_witness(Subject(scenario, settings), use_of(mark), decisions, self.folder)
        cell = replace(blank, verdict=CellVerdict.PROVED, why="a schedule shows it", trace=Path(trace).name)
        self._know(cell, scenario, settings, schedule.answers)
        return cell

    def _know(
        self,
        cell: MatrixCell,
        scenario: Scenario,
        settings: Settings,
        answers: Answers,
        decisions: tuple[Address, ...] = (),
    ) -> None:
        name, self.answers = settings.policy_name, answers
        self.known.append(Known(name, _as_judged(scenario, name), answers, cell, decisions))


def explore_row(task: RowTask) -> tuple[RowResult, Files]:
    """Explore a row; return what came of it, and the files that belong to it.

    Raises:
        InternalError: a bug in longpin.
        PolicyError: a policy, a class in a file, does what no policy may.

    """
    with tempfile.TemporaryDirectory(prefix="longpin-") as folder:
        row = MatrixRow(task, Path(folder))
        cells = tuple(row.cell(column) for column in task.columns)
        return RowResult(cells, row.explorations, row.questions), row.files()


def _as_judged(scenario: Scenario, policy_name: str) -> tuple[Any, ...]:
    """Return what is run, with what is expected of each call under a policy: all else of a scenario is the same."""

    def inside(statements: Sequence[Statement]) -> tuple[Statement, ...]:
        return tuple(
            replace(one, body=inside(one.body))
            if isinstance(one, Loop)
            else replace(one, expectations=tuple(filter(None, [applicable(one.expectations, policy_name)])))
            for one in statements
        )

    return tuple(
        (spec.name, inside(spec.program.statements), [(signo, inside(its.statements)) for signo, its in spec.on_signal])
        for spec in scenario.processes
    )
