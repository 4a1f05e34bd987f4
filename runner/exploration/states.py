"""State matching: explore from every state of the world once, however it was reached.

A state of the world is the state of every actor, what lies in every outbox, and the alarm. Here an actor's state and
outbox together have a number (``nodes.py``), so a state of the world is a tuple of numbers, a step replaces two of
them, and both halves of a step (an outbox gives up its oldest message, a receiver takes it) are looked up.

From a state only a persistent set of arrivals is explored (``persistent.py``). Where that is a single one it is taken
at once, and so on: only the end of such a chain is kept, in ``seen.py``.

Persistent sets lead to every world at rest. What must be seen, too, is every step that somebody takes, for a handler
may raise in it. An arrival could be put off for ever if the search went round in a circle without it. So every circle
has a state from which everything is explored: a chain ends before it meets itself, and where a persistent set leads to
a state that was known and took no more arrivals to reach than the one it is chosen in, the others are explored as
well. In a circle the number of arrivals cannot grow at every step.

Steps that are abandoned are left out; whether one is follows from the receiver's state and the message, so what is left
is a system of the same kind, and all of this holds of it. If nothing is left of a persistent set, the others are
explored.

Where some actors are interchangeable, one of the states is kept that differ in nothing but who is who
(``symmetry.py``). The way to it goes through such representatives, too, so on the way back names are exchanged as often
as on the way there. What holds of a representative need not hold of its images, if a rule names somebody: all images of
a world at rest are judged, each by a schedule of its own.

This is not mixed with sleep sets: a state seen before may have been left with other sleepers.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from longpin.messages.envelope import Address
from longpin.runner.engines.engine import InternalError
from longpin.runner.exploration.budget import Budget, OutOfBudgetError
from longpin.runner.exploration.commuting import UNKNOWN, Commuting
from longpin.runner.exploration.nodes import ABSENT, Global, Nodes
from longpin.runner.exploration.persistent import PersistentSets
from longpin.runner.exploration.result import Abandoned, BrokenRule, Exploration, Failure, Reason
from longpin.runner.exploration.seen import Seen, SeenByFingerprint
from longpin.runner.exploration.symmetry import Representatives, Symmetry
from longpin.runner.exploration.table import ALARM_ACTOR, KEEP_ALARM, WORLD_ACTOR, ComputedStep, Table

CHAIN_AT_MOST = 1_000
"""Arrivals in a chain: actors that never rest make an endless one."""

PASS_GROWTH = 4
"""A pass that is known to be wrong ends when it has so many times the states of the one before that ended so."""

Unexplored = tuple[Global, int, list[int]]
"""A state, its number, and a persistent set there."""

Decisions = tuple[Address, ...]
"""Whose oldest message arrives, arrival by arrival."""

Judge = Callable[[tuple[int, ...], Callable[[], Decisions]], BrokenRule | None]
"""Is given the states of all actors of a world at rest, and what returns a schedule that leads there."""


class Matching:
    """One search."""

    def __init__(
        self,
        table: Table,
        judge: Judge,
        result: Exploration,
        budget: Budget,
        *,
        racy: bool = False,
        reduce: bool = True,
        seen: Callable[[], Seen] = SeenByFingerprint,
        interchangeable: Iterable[Sequence[Address]] = (),
        prefix: Sequence[Address] = (),
    ) -> None:
        self.table = table
        self.judge = judge
        self.result = result
        self.budget = budget
        self.racy = racy
        self.reduce = reduce
        self.nodes = Nodes(table)
        self.sets = PersistentSets(table, self.nodes, Commuting(table, self._computed), racy=racy)
        self.seen = seen()
        """The states seen."""
        self._new_seen = seen
        groups = [group for group in interchangeable if len(group) > 1]
        self.images = Representatives(Symmetry(table, groups), self.nodes) if groups else None
        self.prefix = prefix
        """Who is let go first: what is explored begins behind that, and so do the decisions of what is found."""
        assert not (prefix and groups), "whoever was let go is not interchangeable any more"
        self.failed: Exception | None = None
        self.marks: set[str] = set()
        """What is to be seen in a step that was taken: every one leads from a state that can be reached."""

    def run(self) -> Reason:
        """Explore until nothing is left, something is broken, or the budget is spent.

        Raises:
            AsymmetryError: actors that were said to be interchangeable are not.

        """
        most = 1
        while True:
            self.sets.begin()
            self.seen = self._new_seen()
            self.result.executions = 0
            try:
                reason = self._pass(most)
            except OutOfBudgetError as spent:
                reason = spent.reason
            self.result.states = len(self.seen)
            if reason not in (None, Reason.COMPLETE) or (reason is Reason.COMPLETE and self.sets.proved()):
                return reason
            most = max(most, PASS_GROWTH * len(self.seen))

    def _pass(self, most: int) -> Reason | None:
        """Explore all; None: it is given up, for it chose wrongly and has come to more states than ``most``."""
        result, seen = self.result, self.seen
        start, chain, chosen = self._settle(self._start() if self.images is None else self.images.start())
        stack = [(start, seen.add(start, 0, tuple(chain)), chosen)]
        while stack:
            if self.sets.changed and len(seen) > most:
                return None
            state, number, chosen = stack.pop()
            if not chosen:
                result.executions += 1
                for rest, decisions in self._at_rest(state, number):
                    if (what := self.judge(rest, decisions)) is not None:
                        result.failures.append(Failure(what, decisions()))
                        return Reason.VIOLATED
            result.states = len(seen)
            if (reason := self.budget.spent(result)) is not None:
                return reason
            processes = self._processes(state)
            if not self._expand(state, number, processes if len(chosen) == 1 else chosen, stack):
                self._expand(state, number, [process for process in processes if process not in chosen], stack)
            if result.failures:
                return Reason.VIOLATED
        return Reason.COMPLETE

    def _expand(self, state: Global, number: int, processes: list[int], stack: list[Unexplored]) -> bool:
        """Let each of some processes go; return whether that is enough, as far as circles are concerned."""
        seen, deeper, left = self.seen, True, len(processes)
        for process in processes:
            after = self._step(state, process)
            if isinstance(self.failed, Abandoned):
                self.failed = None
                left -= 1
                continue
            if self.failed is not None:
                decisions = self._decisions([*self.seen.way(number), process])
                self.result.failures.append(Failure(BrokenRule.by(self.failed), decisions))
                return True
            after, chain, chosen = self._settle(after)
            if (known := seen.find(after)) < 0:
                stack.append((after, seen.add(after, number, (process, *chain)), chosen))
            elif seen.depth[known] <= seen.depth[number]:
                deeper = False
        return deeper and left > 0

    def _settle(self, state: Global) -> tuple[Global, list[int], list[int]]:
        """Go on from a state as long as one process is enough.

        Return where that ends, who was let go, and a persistent set there. A single one means that the chain was cut,
        and that everything must be explored from there. Where actors are interchangeable it ends in a representative,
        and the last entry is the permutation that leads there, as a negative number.
        """
        chain: list[int] = []
        met = {state}
        while True:
            chosen = processes = self._processes(state)
            if self.reduce:
                chosen = self.sets.choose(state, processes)
            if len(chosen) != 1 or not self.reduce or len(chain) == CHAIN_AT_MOST:
                break
            after = self._step(state, chosen[0])
            if self.failed is not None or after in met:
                self.failed = None
                break
            met.add(after)
            chain.append(chosen[0])
            state = after
        if self.images is not None:
            state, permutation = self.images.find(state)
            if permutation:
                chosen = [self.images.actor(permutation, process) for process in chosen]
                chain.append(-permutation)
        return state, chain, chosen

    def _start(self) -> Global:
        table, number = self.table, self.nodes.number
        state: list[int] = [ABSENT] * len(table.addresses)
        state[WORLD_ACTOR] = number(-1, table.told)
        for created in table.first:
            state[created.actor] = number(created.state, created.sends)
        start = tuple(state)
        for address in self.prefix:
            start = self._step(start, table.number(address))
        return start

    def _processes(self, state: Global) -> list[int]:
        head = self.nodes.head
        found = [actor for actor, node in enumerate(state) if actor != ALARM_ACTOR and head[node] >= 0]
        if state[ALARM_ACTOR] and (self.racy or not found):
            found.append(ALARM_ACTOR)
        return found

    def _step(self, state: Global, process: int) -> Global:
        """Return the state after the next arrival from ``process``."""
        nodes, after = self.nodes, list(state)
        self.budget.check()
        self.result.events += 1
        if process == ALARM_ACTOR:
            message = state[ALARM_ACTOR] - 1
            after[ALARM_ACTOR] = ABSENT
        else:
            message = nodes.head[state[process]]
            after[process] = nodes.rest[state[process]]
        receiver = self.table.receiver[message]
        node = after[receiver] if receiver < len(after) else ABSENT
        after[receiver], step = nodes.taken[node].get(message) or self._take(node, message)
        if step is not None:
            if step.alarm != KEEP_ALARM:
                after[ALARM_ACTOR] = max(step.alarm + 1, ABSENT)
            after += [ABSENT] * (len(self.table.addresses) - len(after))
            for created in step.spawned:
                if after[created.actor] != ABSENT:
                    raise InternalError(f"a second actor would have the address {self.table.addresses[created.actor]}")
                after[created.actor] = nodes.number(created.state, created.sends)
            self.failed = step.failure
        return tuple(after)

    def _take(self, node: int, message: int) -> tuple[int, ComputedStep | None]:
        """Work out what a node does with a message."""
        table, nodes = self.table, self.nodes
        receiver = table.receiver[message]
        if node == ABSENT:
            raise InternalError(f"{table.addresses[receiver]} does not exist: {table.envelopes[message]}")
        step = self._learned(nodes.state[node], message)
        if self.images is None:
            self.marks |= step.marks
        elif self.table.marks is not None:
            self.marks |= self.images.symmetry.marks(nodes.state[node], message)
        special = step.alarm != KEEP_ALARM or step.spawned or step.failure is not None
        taken = nodes.number(step.state, nodes.outbox[node] + step.sends), step if special else None
        nodes.taken[node][message] = taken
        return taken

    def _computed(self, state: int, message: int) -> ComputedStep:
        """Return a step, of which the images are known."""
        if self.images is not None and not self.images.symmetry.knows(state, message):
            return UNKNOWN
        return self._learned(state, message)

    def _learned(self, state: int, message: int) -> ComputedStep:
        """Return a step that is taken, and take note of its images."""
        step = self.table.step(state, message)
        if self.images is not None:
            self.images.symmetry.learn(state, message, step)
        return step

    def _at_rest(self, state: Global, number: int) -> Iterator[tuple[tuple[int, ...], Callable[[], Decisions]]]:
        """Go through a world at rest and its images: the states of the actors, and what tells how to come there."""
        way = self.seen.way(number)
        if self.images is None:
            yield tuple(self.nodes.state[node] for node in state), partial(self._decisions, way)
            return
        for first in range(len(self.images.actors)):
            _, permutation = self.images.undo(way, first)
            world = self.images.image(permutation, state)
            yield tuple(self.nodes.state[node] for node in world), partial(self._decisions, way, first)

    def _decisions(self, way: list[int], first: int = 0) -> Decisions:
        """Return who was let go on a way, in the names that a permutation gives at first."""
        if self.images is not None:
            way = list(self.images.symmetry.decisions(self.images.undo(way, first)[0]))
        return tuple(self.table.addresses[process] for process in way)
