"""State matching shared by processes, layer by layer, with the same counts for any number of them.

One process has the table of steps and the states seen; the others walk (``walks.py``). What takes time is to compute a
step that is new, which the one does, and to walk: some thirty arrivals to each state that is kept. To say whether a
state was seen takes a hundredth of that, so states are not split by their hash: everybody asks the one.

Counts must not depend on who walks, nor on who is quicker. So states are explored in layers: those reached from the
last layer and not seen before are the next one, in whatever order. And all that is decided on the way depends on layers
alone:

* which arrivals are a persistent set, by what was known of steps at one moment between two layers, the same for all;
* whether the other arrivals of a state are explored too: if those of the set led to a state of the same layer or one
  before. In a circle the layer cannot grow at every step, so every circle has a state of which all are explored;
* who is said to have led to a state: the first in the order of the last layer, and there by addresses.

The rest is as in ``states.py``, of which this is another order: the number of states can differ from the number there
by a few, the worlds at rest and the verdict cannot.
"""

from collections.abc import Callable
from functools import partial

from longpin.messages.envelope import Address
from longpin.runner.exploration.budget import Budget, OutOfBudgetError, memory_used
from longpin.runner.exploration.crew import Crew
from longpin.runner.exploration.result import BrokenRule, Exploration, Failure, Reason
from longpin.runner.exploration.seen import Seen, SeenByFingerprint
from longpin.runner.exploration.states import PASS_GROWTH
from longpin.runner.exploration.table import ALARM_ACTOR, Table
from longpin.runner.exploration.walks import ABANDONED, FAILED, NOTHING, Answer, Outcome, Reply, Task, Told, parts_of

HEAD_START = 0.5
"""Seconds in which this process works alone."""

Judge = Callable[[tuple[int, ...], Callable[[], tuple[Address, ...]]], BrokenRule | None]
"""Takes the state of each actor in a world at rest, -1 for one that does not exist, and how it got there."""

Layer = list[tuple[int, Told]]
"""States to explore from, with their numbers."""


class Layers:
    """One search."""

    def __init__(
        self,
        table: Table,
        judge: Judge,
        result: Exploration,
        budget: Budget,
        *,
        workers: int = 1,
        racy: bool = False,
        seen: Callable[[], Seen] = SeenByFingerprint,
    ) -> None:
        self.table = table
        self.judge = judge
        self.result = result
        self.budget = budget
        self.crew = Crew(
            table, workers, racy=racy, due=lambda: budget.seconds() > HEAD_START, tell=lambda reply: self._note(reply)
        )
        self.seen = seen()
        self._new_seen = seen

    def run(self) -> Reason:
        """Explore until nothing is left, something is broken, or the budget is spent.

        Raises:
            InternalError: as ``explore``.
            PoolError: a worker process was lost.

        """
        most = 1
        with self.crew:
            try:
                while True:
                    self.seen = self._new_seen()
                    self.result.executions = 0
                    self.crew.begin()
                    if (reason := self._pass(most)) is not None:
                        return reason
                    most = max(most, PASS_GROWTH * len(self.seen))
            except OutOfBudgetError as spent:
                return spent.reason
            finally:
                self.result.states = len(self.seen)

    def _pass(self, most: int) -> Reason | None:
        """Explore all; None: some persistent set was chosen wrongly, so that it must be done again."""
        (begun,) = self.crew.ask([Task(0, NOTHING, others=False)])
        (start,) = begun.outcomes
        layer: Layer = [(self.seen.add(start.state, 0, start.chain), start.state)]
        wrong = False
        while layer:
            layer, reason = self._explore(layer)
            if reason is not None:
                return reason
            if self.crew.learned or not layer:
                wrong = self.crew.refresh() or wrong
            if wrong and len(self.seen) > most:
                return None
        return None if wrong else Reason.COMPLETE

    def _explore(self, layer: Layer) -> tuple[Layer, Reason | None]:
        """Return the next layer, and why to stop before it."""
        seen, after, again = self.seen, Layer(), Layer()
        known = len(seen)
        for others in (False, True):
            states, again = again if others else layer, Layer()
            answers = self.crew.ask([Task(place, state, others) for place, (_, state) in enumerate(states)])
            for (number, state), answer in zip(states, answers, strict=True):
                if not answer.ready and self._is_wrong_at_rest(number, state):
                    return after, Reason.VIOLATED
                deeper = self._enter(number, state, answer, known, after)
                if self.result.failures:
                    return after, Reason.VIOLATED
                if not (deeper or answer.whole or others):
                    again.append((number, state))
                self.result.states = len(seen)
                if (reason := self.budget.spent(self.result)) is not None:
                    return after, reason
        return after, None

    def _enter(self, number: int, state: Told, answer: Answer, known: int, layer: Layer) -> bool:
        """Take over what walks came to; return whether they are enough, as far as circles are concerned.

        ``known``: how many states there were before this layer was explored.
        """
        deeper, left = True, len(answer.outcomes)
        for outcome in answer.outcomes:
            if outcome.kind == ABANDONED:
                left -= 1
            elif outcome.kind == FAILED:
                self._fail(number, state, outcome)
                return True
            elif (found := self.seen.find(outcome.state)) < 0:
                layer.append((self.seen.add(outcome.state, number, outcome.chain), outcome.state))
            elif found < known:
                deeper = False
        return deeper and left > 0

    def _is_wrong_at_rest(self, number: int, state: Told) -> bool:
        """Judge a world at rest."""
        self.result.executions += 1
        _, parts = parts_of(state)
        rest = [local for local, _ in parts]
        rest.insert(ALARM_ACTOR, -1)
        if (what := self.judge(tuple(rest), partial(self.decisions, number))) is None:
            return False
        self.result.failures.append(Failure(what, self.decisions(number)))
        return True

    def _fail(self, number: int, state: Told, outcome: Outcome) -> None:
        """Take note of what a handler raises after a state."""
        tick, parts = parts_of(state)
        parts.insert(ALARM_ACTOR, (-1, (tick - 1,)))
        message = parts[outcome.process][1][0]
        local, _ = parts[self.table.receiver[message]]
        failure = self.table.step(local, message).failure
        assert failure is not None
        decisions = (*self.decisions(number), self.table.addresses[outcome.process])
        self.result.failures.append(Failure(BrokenRule.by(failure), decisions))

    def _note(self, reply: Reply) -> None:
        """Take over what is to be seen, and look at what is left of the budget.

        Raises:
            OutOfBudgetError: nothing is.

        """
        self.result.events += reply.arrivals
        self.result.marks |= reply.marks
        memory = self.budget.memory
        if memory is not None and memory_used() + self.crew.memory > memory:
            raise OutOfBudgetError(Reason.MEMORY)
        if (reason := self.budget.look(self.result)) is not None:
            raise OutOfBudgetError(reason)

    def decisions(self, number: int) -> tuple[Address, ...]:
        """Return who was let go on the way to a state seen."""
        return tuple(self.table.addresses[process] for process in self.seen.way(number))
