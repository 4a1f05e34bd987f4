"""State matching: explore from every state of the world once, however it was reached.

A state of the world is the state of every actor, what lies in every outbox, and the alarm. Here an actor's state and
outbox together have a number, so a state of the world is a tuple of numbers, a step replaces two of them, and both
halves of a step (an outbox gives up its oldest message, a receiver takes it) are looked up.

Most states differ only in how many answers are on their way to whom. They are skipped with an *ample set* (D. Peled,
"All from one, one for all", CAV 1993; E. Clarke, O. Grumberg, D. Peled, "Model Checking", 1999, chapter 10): if a
message is under way from p to r, and nobody but p ever sends to r, then its arrival is independent of all that can
happen before it, and it may as well happen now. C1 holds by that. C2 holds because what is checked is what handlers
raise and worlds at rest, which no such choice hides. C3, no cycle without a full expansion, holds because ample steps
are taken in chains, and a chain ends before it meets itself; only the ends of chains are kept, and those are expanded
in full.

*Nobody but p ever sends to r* is a guess that proves itself. A pass assumes that only those pairs (p, r) exist that
were seen so far, and looks at every message that any step sends. If a pass sees no new pair, it was right: suppose
some schedule had one, and take the first arrival at which one is sent; up to there the assumption holds, so the
reduced search would have come across that very step. If it sees one, the pass is repeated with it. What fails in any
pass is a real schedule. Steps that are abandoned are left out; whether one is follows from the receiver's state and
the message, so what is left is a system of the same kind, and all of this holds of it.

This is not mixed with sleep sets: a state seen before may have been left with other sleepers.
"""

from collections.abc import Callable, Iterator

from longpin.messages.envelope import Address
from longpin.runner.engines.engine import InternalError
from longpin.runner.exploration.budget import Budget, OutOfBudgetError
from longpin.runner.exploration.result import Abandoned, BrokenRule, Exploration, Failure, Reason
from longpin.runner.exploration.table import ALARM_ACTOR, KEEP_ALARM, WORLD_ACTOR, ComputedStep, Table

Global = tuple[int, ...]
"""The node of each actor, by number; at the alarm's place its tick."""

ABSENT = 0
"""The node of an actor that does not exist, and of an alarm that is not set."""


class Nodes:
    """An actor's state and the messages in its outbox, under one number."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.state = [-1]
        self.outbox: list[tuple[int, ...]] = [()]
        self.head = [-1]
        """The oldest message in the outbox, -1 for none."""
        self.rest = [ABSENT]
        """The node without it."""
        self.taken: list[dict[int, tuple[int, ComputedStep | None]]] = [{}]
        """By node, then by message: the node after it, and what else came of it if anything did."""
        self._numbers: dict[tuple[int, tuple[int, ...]], int] = {}

    def number(self, state: int, outbox: tuple[int, ...]) -> int:
        """Return the number of a node."""
        if (known := self._numbers.get((state, outbox))) is not None:
            return known
        rest = self.number(state, outbox[1:]) if outbox else ABSENT
        number = self._numbers[state, outbox] = len(self.state)
        self.state.append(state)
        self.outbox.append(outbox)
        self.head.append(outbox[0] if outbox else -1)
        self.rest.append(rest)
        self.taken.append({})
        return number


class Matching:
    """One search."""

    def __init__(
        self,
        table: Table,
        judge: Callable[[Global, Nodes], BrokenRule | None],
        result: Exploration,
        budget: Budget,
        *,
        racy: bool = False,
        reduce: bool = True,
    ) -> None:
        self.table = table
        self.judge = judge
        self.result = result
        self.budget = budget
        self.racy = racy
        self.reduce = reduce
        self.nodes = Nodes(table)
        self.senders: list[int] = []
        """By receiver: the bit set of those who were seen to send to it."""
        self.news = False
        """A pair of sender and receiver was seen in this pass for the first time."""
        self.came: dict[Global, tuple[Global, tuple[int, ...]] | None] = {}
        """The states seen, with a state before and who was let go from there."""
        self.prefix: list[int] = []
        """Who was let go before the first of them."""
        self.failed: Exception | None = None
        self.marks: set[str] = set()
        """What is to be seen in a step that was taken: every one leads from a state that can be reached."""

    def run(self) -> Reason:
        """Explore until nothing is left, something is broken, or the budget is spent."""
        while True:
            self.news = False
            self.came.clear()
            self.result.executions = 0
            try:
                reason = self._pass()
            except OutOfBudgetError as spent:
                reason = spent.reason
            self.result.states = len(self.came)
            if reason is not Reason.COMPLETE or not self.news:
                return reason

    def _pass(self) -> Reason:
        result, came = self.result, self.came
        start, chain = self._settle(self._start())
        came[start] = None
        self.prefix = chain
        stack = [start]
        while stack:
            state = stack.pop()
            processes = self._processes(state)
            if not processes:
                result.executions += 1
                if (what := self.judge(state, self.nodes)) is not None:
                    result.failures.append(Failure(what, self.decisions(state)))
                    return Reason.VIOLATED
            result.states = len(came)
            if (reason := self.budget.spent(result)) is not None:
                return reason
            for process in processes:
                after = self._step(state, process)
                if isinstance(self.failed, Abandoned):
                    self.failed = None
                    continue
                if self.failed is not None:
                    decisions = (*self.decisions(state), self.table.addresses[process])
                    result.failures.append(Failure(BrokenRule.by(self.failed), decisions))
                    return Reason.VIOLATED
                if self.reduce:
                    after, chain = self._settle(after)
                if after not in came:
                    came[after] = (state, (process, *chain))
                    stack.append(after)
        return Reason.COMPLETE

    def _settle(self, state: Global) -> tuple[Global, list[int]]:
        """Go on from a state as long as there is an ample step; return where that ends, and who was let go."""
        chain: list[int] = []
        seen = {state}
        while (process := self._ample(state)) is not None:
            after = self._step(state, process)
            if self.failed is not None or after in seen:
                self.failed = None
                break
            seen.add(after)
            chain.append(process)
            state = after
        return state, chain

    def _start(self) -> Global:
        table, number = self.table, self.nodes.number
        state: list[int] = [ABSENT] * len(table.addresses)
        state[WORLD_ACTOR] = number(-1, table.told)
        self._seen(WORLD_ACTOR, table.told)
        for created in table.first:
            state[created.actor] = number(created.state, created.sends)
            self._seen(created.actor, created.sends)
        return tuple(state)

    def _processes(self, state: Global) -> list[int]:
        head = self.nodes.head
        found = [actor for actor, node in enumerate(state) if actor != ALARM_ACTOR and head[node] >= 0]
        if state[ALARM_ACTOR] and (self.racy or not found):
            found.append(ALARM_ACTOR)
        return found

    def _ample(self, state: Global) -> int | None:
        """Return a process whose next arrival nothing that may happen before it is in conflict with."""
        if not self.reduce:
            return None
        head, receiver, senders = self.nodes.head, self.table.receiver, self.senders
        for process, node in enumerate(state):
            if process == ALARM_ACTOR or (message := head[node]) < 0:
                continue
            target = receiver[message]
            others = senders[target] & ~(1 << process)
            if others == 1 << WORLD_ACTOR:  # the world has sent all that it ever will
                waiting = self.nodes.outbox[state[WORLD_ACTOR]]
                if all(receiver[other] != target for other in waiting):
                    return process
            elif not others:
                return process
        return None

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
        step = table.step(nodes.state[node], message)
        self._seen(receiver, step.sends)
        if step.alarm >= 0:
            self._seen(ALARM_ACTOR, (step.alarm,))
        for created in step.spawned:
            self._seen(created.actor, created.sends)
        self.marks |= step.marks
        special = step.alarm != KEEP_ALARM or step.spawned or step.failure is not None
        taken = nodes.number(step.state, nodes.outbox[node] + step.sends), step if special else None
        nodes.taken[node][message] = taken
        return taken

    def _seen(self, sender: int, sends: tuple[int, ...]) -> None:
        self.senders += [0] * (len(self.table.addresses) - len(self.senders))
        for message in sends:
            receiver = self.table.receiver[message]
            if not self.senders[receiver] >> sender & 1:
                self.senders[receiver] |= 1 << sender
                self.news = True

    def decisions(self, state: Global) -> tuple[Address, ...]:
        """Return who was let go on the way to a state seen."""
        return tuple(reversed([self.table.addresses[process] for process in self._back(state)]))

    def _back(self, state: Global) -> Iterator[int]:
        while (step := self.came[state]) is not None:
            state, processes = step
            yield from reversed(processes)
        yield from reversed(self.prefix)
