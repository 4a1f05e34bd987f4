"""Optimal dynamic partial-order reduction: each Mazurkiewicz trace once, and no execution begun in vain.

P. Abdulla, S. Aronis, B. Jonsson, K. Sagonas, "Optimal Dynamic Partial Order Reduction", POPL 2014, algorithm 2; the
same authors, "Source Sets", J. ACM 64(4), 2017. In the words of :mod:`longpin.runner.exploration.path`:

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

The search may be *rooted* in a prefix, the end of a wakeup sequence. It explores everything from there on, and collects
in ``outside`` the wakeup sequences that belong before its root, for the frontier, which holds the points there
(:mod:`longpin.runner.exploration.frontier`). ``run`` may be called again when a budget was spent and
another is given, and goes on.

Deviations. Schedules are shortened and extended in place instead of being run again. A race whose two arrivals lie in a
prefix shared with the schedule before was considered then. It is considered again unless that settled it: the process
that moves first in its wakeup sequence, in the tree or among the sleepers, does so by an event no later than the race.
In every schedule that shares the race it is a weak initial then, which is all that the proof asks for. A process that
moves later, or does not occur in the sequence, covers only those schedules in which nothing in conflict comes before
it; another schedule may have that. A tick that was withdrawn races with the arrival that withdrew it, though it never
became an event (``Path.ghost``).
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from longpin.messages.envelope import Address
from longpin.runner.exploration.budget import ARRIVALS_AT_MOST, Budget, EndlessError, OutOfBudgetError
from longpin.runner.exploration.realize import UntoldError
from longpin.runner.exploration.result import BrokenRule, Exploration, Failure, Reason
from longpin.runner.exploration.table import ALARM_ACTOR
from longpin.runner.exploration.wakeup import Branch, Sequence


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
        """Return who was let go; None if no real order of arrivals shows this.

        Raises:
            UntoldError: it takes too long to find out.

        """


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


class Outside(NamedTuple):
    """A wakeup sequence that belongs to a point before the root of a search."""

    depth: int
    """The point: how many events come before it."""
    processes: tuple[int, ...]
    places: tuple[int, ...]
    clocks: tuple[int, ...]
    """For each event the bit set of those of the sequence that happened before it, and itself."""


class Race(NamedTuple):
    """A race of the current schedule."""

    earlier: int
    later: int
    """The event that shows it; ``earlier`` itself races with the tick that it withdrew."""


class Dpor:
    """One search."""

    def __init__(
        self,
        path: Track,
        judge: Callable[[], BrokenRule | None],
        result: Exploration,
        budget: Budget,
        points: list[Point] | None = None,
        root: int = 0,
    ) -> None:
        self.path = path
        self.judge = judge
        """Says what is wrong at the end of a schedule; raises UntoldError as :meth:`Track.decisions` does."""
        self.result = result
        self.budget = budget
        self.points = [Point({}, [])] if points is None else points
        """One more than the path has events."""
        self.root = root
        """The depth at which the search begins and to which it returns."""
        self.outside: dict[tuple[object, ...], Outside] = {}
        """By what moves where: the sequences found. Whether one is planned only the frontier can say when it looks."""
        self._races: list[Race] = []
        """Those of the current schedule that are not settled, in the order of their later events."""
        self._seen = 0
        """The first event whose races were not considered yet."""
        self._begun = False

    def run(self) -> Reason:
        """Explore until nothing is left, something is broken, or the budget is spent."""
        result = self.result
        while True:
            if self._begun and not self.back():
                return Reason.COMPLETE
            self._begun = True
            try:
                ended = self._extend()
            except OutOfBudgetError as spent:
                return spent.reason
            if ended:
                result.executions += 1
                if self._judge():
                    return Reason.VIOLATED
            else:
                result.blocked += 1
            self._plan()
            if (reason := self.budget.spent(result)) is not None:
                return reason

    def _judge(self) -> bool:
        """Return whether something is wrong at the end of the schedule, and a real order of arrivals shows it."""
        try:
            if (what := self.judge()) is None:
                return False
            if (decisions := self.path.decisions()) is not None:
                self.result.failures.append(Failure(what, decisions))
                return True
        except UntoldError:
            self.result.untold += 1
            return False
        self.result.impossible += 1
        return False

    def _fails(self) -> bool:
        """Return whether a real order of arrivals shows what a handler has just raised."""
        try:
            if self.path.decisions() is not None:
                return True
            self.result.impossible += 1
        except UntoldError:
            self.result.untold += 1
        return False

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
            self.budget.check()
            self.result.events += 1
            awake = conflicts[branch.place]
            sleep = {q: place for q, place in point.sleep.items() if not awake >> place & 1} if point.sleep else {}
            points.append(Point(sleep, branch.branches))
            if path.failure is not None:
                if self._fails():
                    return True
                # Nothing comes of it, but what else was under way may race with what came before it.
                path.failure = None

    def _plan(self) -> None:
        """Put the reversals of races into wakeup trees, for races that are new or not settled."""
        path, races = self.path, self._races
        for event in range(self._seen, len(path.clock)):
            races += [Race(earlier, event) for earlier in path.races[event]]
            if path.ghost[event]:
                races.append(Race(event, event))
        self._seen = len(path.clock)
        self._races = [race for race in races if not self._reverse(*race)]

    def _reverse(self, earlier: int, later: int) -> bool:
        """Plan a schedule in which ``later`` comes first, or the tick that it withdrew if that is ``earlier`` too.

        Return whether that settles the race, whatever else happens after it.
        """
        path, point = self.path, self.points[earlier]
        clock, bit = path.clock, 1 << earlier
        events = [event for event in range(earlier + 1, len(clock)) if not clock[event] & bit]
        sequence = Sequence(path, events)
        if later == earlier:
            sequence.append(ALARM_ACTOR, path.place[earlier], bit, earlier)
        else:
            sequence.append(path.process[later], path.place[later], clock[later], later)
        asleep = [process for process, place in point.sleep.items() if sequence.may_begin_with(process, place)]
        if asleep:
            return any(sequence.moves(process, later) for process in asleep)
        if earlier >= self.root:
            first = [other.process for other in point.branches if sequence.may_begin_with(other.process, other.place)]
            settled = any(sequence.moves(process, later) for process in first or sequence.processes[:1])
            sequence.insert(point.branches)
            return settled
        # Nothing settles such a race, so each execution finds the same again: what it is told by must cost little.
        processes, places = tuple(sequence.processes), tuple(sequence.places)
        key = earlier, later == earlier, processes, places
        if key not in self.outside:
            self.outside[key] = Outside(earlier, processes, places, tuple(sequence.relative()))
        return False

    def back(self) -> bool:
        """Go back to the last point with a branch left; False if there is none."""
        path, points = self.path, self.points
        while len(points) > self.root + 1:
            points.pop()
            path.pop()
            point = points[-1]
            done = point.branches.pop(0)
            if point.branches:
                point.sleep[done.process] = done.place
                point.done += 1
                self._forget(len(path.clock))
                return True
        return False

    def _forget(self, length: int) -> None:
        """Forget the races of events that were taken back."""
        self._seen = min(self._seen, length)
        while self._races and self._races[-1].later >= length:
            self._races.pop()

    def guess(self) -> float:
        """Return a guess at the number of executions: those done, over the part of the tree that is done.

        As in D. Knuth, "Estimating the efficiency of backtrack programs", 1975: a branch weighs as much as its sisters.
        It is low, for branches are found late.
        """
        weight, finished = 1.0, 0.0
        for point in self.points[self.root : -1]:
            known = point.done + len(point.branches)
            finished += weight * point.done / known
            weight /= known
        return self.result.executions / (finished + weight)
