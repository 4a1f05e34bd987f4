"""An exploration whose leaves are explored one by one: by this process, by workers, or by another run.

``frontier.py`` argues why that is the same exploration. Here leaves are handed out and reports
applied, in the order of their numbers, and written to the checkpoint if there is one.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from contextlib import nullcontext
from dataclasses import replace
from importlib.metadata import version
from typing import Any, NamedTuple

from longpin.runner.exploration.budget import Budget
from longpin.runner.exploration.checkpoint import Checkpoint, Head, blamed
from longpin.runner.exploration.explorer import Explorer
from longpin.runner.exploration.frontier import Frontier, Grain, LeafReport
from longpin.runner.exploration.leaf import explore_leaf, lent, work
from longpin.runner.exploration.result import BrokenRule, Exploration, Failure, Method, Reason
from longpin.runner.pool import LOOK_AFTER, broken_pool, give_up, open_executor

GRAIN = Grain()

AHEAD = 16
"""Leaves handed out for each worker: many are small."""

HEAD_START = 0.5
"""Seconds in which this process works alone: what is over by then gains nothing by others."""

GUESS_AFTER = 300_000
"""Arrivals, some 10 s of them, after which it is guessed how many executions there are: to guess takes a second."""


def head_of(explorer: Explorer, identity: str, *, footprints: bool) -> Head:
    """Return the head of the checkpoint of an exploration."""
    return Head(version("longpin"), identity, explorer.racy, footprints, explorer.seed, tuple(GRAIN))


class Team(NamedTuple):
    """Who explores leaves in other processes."""

    setup: bytes
    """What is explored, pickled."""
    workers: int
    executor: Executor | None
    """None: a pool of processes, made when it is needed."""


class Shared:
    """One exploration."""

    def __init__(
        self,
        explorer: Explorer,
        budget: Budget,
        team: Team | None = None,
        checkpoint: Checkpoint | None = None,
        *,
        grain: Grain | None = None,
    ) -> None:
        self.explorer = explorer
        self.result = Exploration(Method.DPOR)
        self.budget = budget
        self.team = team
        self.checkpoint = checkpoint
        self.frontier = Frontier(GRAIN if grain is None else grain)
        self.remembered = False
        """The failure is in the checkpoint: this run has not come to it."""
        self.applied = 0
        """Leaves of which the reports were applied: also the number of the next one."""

    def pilot(self, executions: int) -> Reason | None:
        """Explore so many executions in this process; None: more is left."""
        while self.frontier.leaves and (left := executions - self.result.executions) > 0:
            if (reason := self._explore_next(left)) is not None:
                return reason
        return None if self.frontier.leaves else Reason.COMPLETE

    def rest(self, guess: Callable[[], object]) -> Reason:
        """Explore what is left, from where the checkpoint ends if there is one; ``guess`` is called if it is much.

        Raises:
            PoolError: there are no workers, or one was lost.

        """
        if (reason := self._resume()) is not None:
            return reason
        while self.frontier.leaves:
            if self.team is not None and self.budget.seconds() > HEAD_START:
                return self._elsewhere(self.team, guess)
            if (reason := self._explore_next()) is not None:
                return reason
            if self.result.events >= GUESS_AFTER:
                guess()
        return Reason.COMPLETE

    def _resume(self) -> Reason | None:
        """Take over what the checkpoint holds; return why nothing is to be done after it, if so."""
        if self.checkpoint is None:
            return None
        with blamed(self.checkpoint.name):
            if self.checkpoint.end is not None:
                return self._restore(*self.checkpoint.end)
            for report in self.checkpoint.reports:
                if (reason := self._apply(report, known=True)) is not None:
                    return reason
        return None

    def _elsewhere(self, team: Team, guess: Callable[[], object]) -> Reason:
        """Have others explore what is left; processes that start as copies of this one know what it looked up."""
        own = nullcontext(team.executor) if team.executor else open_executor(team.workers)
        with lent(team.setup, self.explorer), own as executor:
            pending: deque[Future[LeafReport]] = deque()
            try:
                with broken_pool():
                    return self._hand_out(executor, team, pending, guess)
            finally:
                give_up(executor, pending)

    def _hand_out(
        self, executor: Executor, team: Team, pending: deque[Future[LeafReport]], guess: Callable[[], object]
    ) -> Reason:
        """Hand out some leaves for each worker at a time, and apply their reports."""
        ahead, memory = AHEAD * team.workers, self.budget.memory
        share = None if memory is None else memory // team.workers
        while self.frontier.leaves:
            while len(pending) < ahead and (number := self.applied + len(pending)) < self.frontier.count:
                pending.append(executor.submit(work, team.setup, self.frontier.task(number), share))
            if self.result.events >= GUESS_AFTER:
                guess()
            while not pending[0].done():
                if (reason := self.budget.look(self.result)) is not None:
                    return reason
                wait([pending[0]], LOOK_AFTER)
            if (reason := self._apply(pending.popleft().result()) or self.budget.look(self.result)) is not None:
                return reason
        return Reason.COMPLETE

    def finish(self) -> None:
        """Write into the checkpoint that nothing is left to do."""
        if self.checkpoint is None or self.checkpoint.end is not None:
            return
        result = self.result
        if result.reason in (Reason.COMPLETE, Reason.VIOLATED):
            failures = [(*failure.broken, failure.decisions) for failure in result.failures]
            counts = (result.executions, result.blocked, result.events, result.impossible)
            marks, witnesses = tuple(sorted(result.marks)), tuple(sorted(result.witnesses.items()))
            record = (result.reason.name, counts, result.inconclusive, failures, marks, witnesses)
            self._keep(self.checkpoint.finish, record)

    def _keep(self, write: Callable[[Any], object], record: Any) -> None:
        """Write into the checkpoint; after the first time that fails the exploration goes on without it."""
        try:
            write(record)
        except OSError as error:
            self.result.not_kept = f"{error.filename}: cannot be written: {error.strerror}"
            self.checkpoint = None

    def _restore(
        self,
        reason: str,
        counts: tuple[int, ...],
        inconclusive: str,
        failures: Any,
        marks: tuple[str, ...],
        witnesses: tuple[tuple[str, tuple[str, ...]], ...],
    ) -> Reason:
        """Take the result over that another run came to."""
        result = self.result
        result.executions, result.blocked, result.events, result.impossible = counts
        result.inconclusive = inconclusive
        result.marks = set(marks)
        result.witnesses = dict(witnesses)
        result.failures = [Failure(BrokenRule(*broken), decisions) for *broken, decisions in failures]
        self.remembered = True
        return Reason[reason]

    def _explore_next(self, executions: int | None = None) -> Reason | None:
        """Explore the next leaf in this process; what a search found that had to stop half-way counts too."""
        found, task = Exploration(Method.DPOR), self.frontier.task(self.applied)
        left, memory = self.budget.left(), self.budget.memory
        budget = Budget(executions, left, lambda _: self._tell(found), arrivals=task.arrivals, memory=memory)
        try:
            report = explore_leaf(self.explorer, task, budget, found)
        except KeyboardInterrupt:
            self._add(found)
            raise
        if report is None:
            self._add(found)
            return found.reason
        return self._apply(report) or self.budget.look(self.result)

    def _tell(self, found: Exploration) -> None:
        """Tell how far it is while a leaf is explored here."""
        if self.budget.progress is not None:
            executions, events = self.result.executions + found.executions, self.result.events + found.events
            seconds = self.budget.seconds()
            self.budget.progress(replace(self.result, executions=executions, events=events, seconds=seconds))

    def _apply(self, report: LeafReport, *, known: bool = False) -> Reason | None:
        """Take over what came of the next leaf; return why to stop, None to go on."""
        result, most = self.result, self.budget.executions
        if most is not None and result.executions + report.executions > most:
            return self._explore_part(most - result.executions)
        self._add(report)
        result.inconclusive = result.inconclusive or report.inconclusive
        self._see(report)
        if report.failure is not None:
            *broken, decisions = report.failure
            result.failures.append(Failure(BrokenRule(*broken), decisions))
            self.remembered = known
            return Reason.VIOLATED
        if report.endless:
            return Reason.ENDLESS
        if self.checkpoint is not None and not known:
            self._keep(self.checkpoint.append, report)
        if not self.applied:
            result.estimate = report.guess
        self.frontier.apply(self.applied, report)
        self.applied += 1
        spent = most is not None and result.executions == most and self.frontier.leaves
        return Reason.EXECUTIONS if spent else None

    def _see(self, report: LeafReport) -> None:
        """Take over what is to be seen; of two schedules that show the same the one of the earlier leaf counts."""
        self.result.marks |= set(report.marks)
        self.result.witnesses = dict(report.witnesses) | self.result.witnesses

    def _explore_part(self, executions: int) -> Reason:
        """Explore of the next leaf as much as is allowed."""
        found = Exploration(Method.DPOR)
        report = explore_leaf(self.explorer, self.frontier.task(self.applied), Budget(executions), found)
        assert report is not None
        self._add(report)
        self._see(report)
        self.result.failures += found.failures
        self.result.inconclusive = self.result.inconclusive or report.inconclusive
        return Reason.VIOLATED if found.failures else Reason.EXECUTIONS

    def _add(self, found: LeafReport | Exploration) -> None:
        self.result.executions += found.executions
        self.result.blocked += found.blocked
        self.result.events += found.events
        self.result.impossible += found.impossible
        self.result.untold += found.untold
