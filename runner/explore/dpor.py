"""Optimal dynamic partial-order reduction: each Mazurkiewicz trace once, and no execution begun in vain.

P. Abdulla, S. Aronis, B. Jonsson, K. Sagonas, "Optimal Dynamic Partial Order Reduction", POPL 2014, algorithm 2; the
same authors, "Source Sets", J. ACM 64(4), 2017. In the words of :mod:`longpin.runner.explore.path`:

1. Run any schedule to its end. Two arrivals *race* if they are in conflict, and one happened before the other for no
   other reason.
2. For each race (e, f): the schedule in which f comes first differs, so it must be explored too. It is the schedule
   up to e, then everything after e that did not need e, then f: a *wakeup sequence*. It is put into the *wakeup tree*
   of the point before e, unless that point's sleep set says that an equivalent schedule was explored, or the tree has
   a branch that leads to one.
3. Go back to the last point whose wakeup tree has a branch left, follow the branch to its end, go on freely, repeat.
   A process whose branch is done goes to *sleep* there: below later branches it need not move first, until an arrival
   in conflict with its own wakes it.

Because a branch is a whole sequence, following it never ends among sleepers; with a backtrack *set* instead,
source-DPOR, it would, and the run would have been in vain (``blocked`` counts such runs; a test holds it at 0).

Deviations. Schedules are shortened and extended in place instead of being run again. Races whose later arrival lies
in a prefix shared with the schedule before were considered then and are not considered again, as in Concuerror. A
tick that was withdrawn races with the arrival that withdrew it, though it never became an event (``Path.ghost``).
"""

from collections.abc import Callable
from typing import Protocol

from longpin.messages.envelope import Address
from longpin.runner.explore.budget import ARRIVALS_AT_MOST, Budget, EndlessError
from longpin.runner.explore.result import Broken, Exploration, Failure, Reason
from longpin.runner.explore.table import ALARM_ACTOR
from longpin.runner.explore.wakeup import Branch, Sequence


class Track(Protocol):
    """A schedule that can be extended and shortened, as the search needs it."""

    process: list[int]
    place: list[int]
    clock: list[int]
    races: list[list[int]]
    ghost: list[bool]
    conflicts: list[int]
    failure: Exception | None
    local: list[int]

    def ready(self, besides: dict[int, int]) -> int:
        """Return a process that has a next event and is not among ``besides``; negative: there is none."""

    def next_place(self, process: int) -> int:
        """Return the place of its next event."""

    def push(self, process: int) -> None:
        """Let it happen."""

    def pop(self) -> None:
        """Take the last event back."""

    def decisions(self) -> tuple[Address, ...] | None:
        """Return who was let go; None if no real order of arrivals shows this."""


class Point:
    """A point of the current schedule: before the event with the same index."""

    __slots__ = ("branches", "done", "sleep")

    def __init__(self, sleep: dict[int, int], branches: list[Branch]) -> None:
        self.sleep = sleep
        """Processes that need not move first, with the places of their next events."""
        self.branches = branches
        """The wakeup tree; the first branch is the one being explored."""
        self.done = 0
        """Branches explored and removed."""


class Dpor:
    """One search."""

    def __init__(self, path: Track, judge: Callable[[], Broken | None], result: Exploration, budget: Budget) -> None:
        self.path = path
        self.judge = judge
        """Says what is wrong at the end of a schedule."""
        self.result = result
        self.budget = budget
        self.points = [Point({}, [])]

    def run(self) -> Reason:
        """Explore until nothing is left, something is broken, or the budget is spent."""
        result, fresh = self.result, 0
        while True:
            if self._extend():
                result.executions += 1
                if (what := self.judge()) is not None:
                    if (decisions := self.path.decisions()) is not None:
                        result.failures.append(Failure(what, decisions))
                        return Reason.VIOLATED
                    result.impossible += 1
            else:
                result.blocked += 1
            self._plan(fresh)
            if (reason := self.budget.spent(result)) is not None:
                result.estimate = self._estimate()
                return reason
            if not self._back():
                return Reason.COMPLETE
            fresh = len(self.path.clock)

    def _extend(self) -> bool:
        """Run to the end, along the wakeup tree while there is one; False if only sleepers could go on."""
        path, points, conflicts = self.path, self.points, self.path.conflicts
        while True:
            point = points[-1]
            if not point.branches:
                process = path.ready(point.sleep)
                if process < 0:
                    return path.ready({}) < 0
                point.branches.append(Branch(process, path.next_place(process), []))
            branch = point.branches[0]
            path.push(branch.process)
            if len(path.clock) > ARRIVALS_AT_MOST:
                raise EndlessError
            self.result.events += 1
            awake = conflicts[branch.place]
            sleep = {q: place for q, place in point.sleep.items() if not awake >> place & 1} if point.sleep else {}
            points.append(Point(sleep, branch.branches))
            if path.failure is not None:
                return True

    def _plan(self, fresh: int) -> None:
        """Put the reversals of races into wakeup trees, for races whose later event is ``fresh`` or after it."""
        path = self.path
        for event in range(fresh, len(path.clock)):
            for earlier in path.races[event]:
                self._reverse(earlier, event)
            if path.ghost[event]:
                self._reverse(event, None)

    def _reverse(self, earlier: int, later: int | None) -> None:
        """Plan a schedule in which ``later``, None for the tick that ``earlier`` withdrew, comes first."""
        path, point = self.path, self.points[earlier]
        clock, bit = path.clock, 1 << earlier
        events = [event for event in range(earlier + 1, len(clock)) if not clock[event] & bit]
        sequence = Sequence(path, events)
        if later is not None:
            sequence.append(path.process[later], path.place[later], clock[later], later)
        else:
            sequence.append(ALARM_ACTOR, path.place[earlier], 1 << len(clock), len(clock))
        if not any(sequence.may_begin_with(process, place) for process, place in point.sleep.items()):
            sequence.insert(point.branches)

    def _back(self) -> bool:
        """Go back to the last point with a branch left; False if there is none."""
        path, points = self.path, self.points
        while len(points) > 1:
            points.pop()
            path.pop()
            point = points[-1]
            done = point.branches.pop(0)
            if point.branches:
                point.sleep[done.process] = done.place
                point.done += 1
                return True
        return False

    def _estimate(self) -> float:
        """Return a guess at the number of executions: those done, over the part of the tree that is done.

        As in D. Knuth, "Estimating the efficiency of backtrack programs", 1975: a branch weighs as much as its sisters.
        """
        weight, finished = 1.0, 0.0
        for point in self.points[:-1]:
            known = point.done + len(point.branches)
            finished += weight * point.done / known
            weight /= known
        return self.result.executions / (finished + weight)
