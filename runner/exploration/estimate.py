"""How many executions there are, from random walks down the tree of all schedules.

D. Knuth, "Estimating the efficiency of backtrack programs", Mathematics of Computation 29, 1975: walk from the root to
a leaf, choosing a child at each node by chance, and divide 1 by the chance of each choice. The mean of such weights is
the number of leaves. Here the tree is that of sleep sets (P. Godefroid, "Partial-Order Methods for the Verification of
Concurrent Systems", LNCS 1032, 1996): at each point every ready process that does not sleep may move first, and those
before the one chosen are put to sleep. Every Mazurkiewicz trace is exactly one leaf of it, and the other leaves, at
which everybody who could go on sleeps, count nothing. So the estimate is not biased, in whatever order processes
are listed, but it is uncertain: weights differ widely. The standard error says how much, unless the few large ones
were all missed.

It is enough that some ready processes may move first, if nothing that the others can do before one of them moves is in
conflict with it: a *persistent set*, from the same book. The fewer there are, the fewer leaves count nothing. What
others can do is a guess: what kinds of messages followed each kind, in random schedules and in the walks so far. A
persistent set that is too small loses leaves, so the estimate may be low where that guess is.
"""

import math
import random
from contextlib import suppress
from typing import NamedTuple

from longpin.runner.exploration.activations import ActivationPath
from longpin.runner.exploration.budget import ARRIVALS_AT_MOST, Budget, OutOfBudgetError
from longpin.runner.exploration.explorer import Explorer
from longpin.runner.exploration.keys import Book
from longpin.runner.exploration.path import Path

PROBES = 400

FIRST = 0.5
"""The chance of the first child of several. The others share the rest: below them more processes sleep, and more leaves
count nothing."""

WALKS = 50
"""Random schedules that show what follows what."""


class Estimate(NamedTuple):
    """A guess at the number of executions."""

    executions: float
    error: float
    """The standard error of it."""
    probes: int
    """How many walks it is made from."""


def estimate(explorer: Explorer, probes: int = PROBES, seed: int = 0, budget: Budget | None = None) -> Estimate:
    """Return how many executions there are, about; the same number for the same seed.

    Args:
        explorer: what is explored.
        probes: how many walks to make.
        seed: of the walks.
        budget: when to make no more of them; if there were none, the estimate is 0.

    Raises:
        InternalError, FootprintError: as ``explore``.

    """
    chance, kinds = random.Random(seed), _Kinds()
    found: list[float] = []
    with suppress(OutOfBudgetError):
        for _ in range(WALKS):
            walk = _Walk(explorer.new_path(), kinds, budget)
            while walk.goes_on():
                walk.push(chance.choice(walk.ready))
        for _ in range(probes):
            found.append(_probe(_Walk(explorer.new_path(), kinds, budget), chance))
    made = max(len(found), 1)
    mean = math.fsum(found) / made
    variance = math.fsum((weight - mean) ** 2 for weight in found) / max(made - 1, 1)
    return Estimate(mean, math.sqrt(variance / made), len(found))


class _Kinds:
    """Messages with one sender, one receiver, one class and one footprint are one kind; what follows each.

    What their handlers send is no part of it: of a message that must wait that is not yet known.
    """

    def __init__(self) -> None:
        self.book = Book()
        self.places: list[int] = []
        """By kind: the bit set of the places where it was seen."""
        self.next: list[int] = []
        """By kind: the bit set of the kinds that became ready by its arrival."""
        self.pushed = 0
        """The bit set of the kinds that were seen to arrive."""
        self.racing = 0
        """The bit set of the places that saw a race."""
        self._numbers: dict[tuple[str, type, int], int] = {}
        self._reach: dict[int, int] = {}

    def number(self, sender: str, body: object, place: int) -> int:
        """Return the number of the kind of a message that would arrive at a place now."""
        number = self._numbers.setdefault((sender, type(body), self.book.plain(place)), len(self.places))
        if number == len(self.places):
            self.places.append(0)
            self.next.append(0)
        if not self.places[number] >> place & 1:
            self.places[number] |= 1 << place
            self._reach.clear()
        return number

    def follow(self, kind: int, ready: int) -> None:
        """Take note of the kinds that became ready by the arrival of one."""
        self.pushed |= 1 << kind
        if ready & ~self.next[kind]:
            self.next[kind] |= ready
            self._reach.clear()

    def reach(self, kind: int) -> int:
        """Return the bit set of the racing places where something may arrive once this kind may; -1: anywhere."""
        if (known := self._reach.get(kind)) is None:
            seen, left, known = 1 << kind, [kind], 0
            while left:
                last = left.pop()
                known |= self.places[last] & self.racing if self.pushed >> last & 1 else -1
                fresh = self.next[last] & ~seen
                seen |= fresh
                left += [other for other in range(fresh.bit_length()) if fresh >> other & 1]
            self._reach[kind] = known
        return known

    def race(self, places: list[int]) -> None:
        """Take note of places of which events raced."""
        if (racing := self.racing | sum(1 << place for place in set(places))) != self.racing:
            self.racing = racing
            self._reach.clear()


class _Walk:
    """A schedule, and who is ready with a message of which kind."""

    def __init__(self, path: Path | ActivationPath, kinds: _Kinds, budget: Budget | None) -> None:
        self.path = path
        self.kinds = kinds
        self.budget = budget
        self._places: dict[int, int] = {}
        """The number of each place in the book."""
        self.pending: dict[int, int] = {}
        """The kind of the next event of each process, ready or not."""
        self._at: dict[int, int] = {}
        """The place of that event."""
        self.ready: list[int] = []
        self._look()

    def goes_on(self) -> bool:
        """Return whether anything can happen, and it has not gone on for too long."""
        return bool(self.ready) and self.path.failure is None and len(self.path.clock) < ARRIVALS_AT_MOST

    def push(self, process: int) -> None:
        """Let a process move, and learn from it.

        Raises:
            OutOfBudgetError: time or memory is spent.

        """
        if self.budget is not None:
            self.budget.check()
        path, kinds, before = self.path, self.kinds, self.pending
        path.push(process)
        self._look()
        fresh = [kind for other, kind in self.pending.items() if other == process or before.get(other) != kind]
        kinds.follow(before[process], sum(1 << kind for kind in set(fresh)))
        if path.races[-1] or path.ghost[-1]:
            kinds.race([self._place(path.place[event]) for event in (-1, *path.races[-1])])

    def persistent(self) -> list[int]:
        """Return some ready processes such that nothing the others can do before is in conflict with their events."""
        kinds, actors = self.kinds, self.path.actor_of
        smallest = self.ready
        reach = {process: kinds.reach(self.pending[process]) for process in smallest}
        for process, kind in self.pending.items():
            if process not in reach:  # it waits for another of the same actor
                for other in smallest:
                    if actors(other) == actors(process):
                        reach[other] |= kinds.reach(kind)
        conflicts = {process: kinds.book.conflicts[self._at[process]] for process in smallest}
        for process in self.ready:
            chosen, left, others = [process], [process], set(self.ready) - {process}
            while left and len(chosen) < len(smallest):
                touched = conflicts[left.pop()]
                joining = [other for other in self.ready if other in others and reach[other] & touched]
                others.difference_update(joining)
                chosen += joining
                left += joining
            if len(chosen) < len(smallest):
                smallest = chosen
        return smallest

    def _look(self) -> None:
        """See who is ready, and what may come next."""
        path = self.path
        self.ready = path.all_ready()
        self.pending = {}
        for process in path.pending():
            envelope = path.table.envelopes[path.next_message(process)]
            place = self._at[process] = self._place(path.next_place(process))
            self.pending[process] = self.kinds.number(envelope.src, envelope.body, place)

    def _place(self, place: int) -> int:
        if (known := self._places.get(place)) is None:
            known = self._places[place] = self.kinds.book.known_place(self.path.place_key(place))
        return known


def _probe(walk: _Walk, chance: random.Random) -> float:
    """Walk down once and return the weight; 0 if the walk ends among sleepers or does not end."""
    path, weight, asleep = walk.path, 1.0, dict[int, int]()
    while walk.goes_on():
        children = [process for process in walk.persistent() if process not in asleep]
        if not children:
            return 0.0
        chosen, others = 0, len(children) - 1
        if others and chance.random() < FIRST:
            weight /= FIRST
        elif others:
            chosen = 1 + chance.randrange(others)
            weight *= others / (1 - FIRST)
        asleep.update((process, path.next_place(process)) for process in children[:chosen])
        awake = path.conflicts[path.next_place(children[chosen])]
        asleep = {process: place for process, place in asleep.items() if not awake >> place & 1}
        walk.push(children[chosen])
    return 0.0 if walk.ready and path.failure is None else weight
