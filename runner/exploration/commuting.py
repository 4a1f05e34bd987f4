"""Arrivals that commute with whatever else can get to their receiver first, as far as anybody can tell.

Two arrivals at one actor are in conflict, mostly: each changes its state and adds to its outbox. But often the state is
the same in both orders, and what each sends is, too; then only the order in the outbox differs, and that is nobody's
business if what the one sends goes to actors that nobody else sends anything before they have it. So the arrival of a
message m at r, for which r's answers S wait to be sent, is persistent by itself if

* m commutes with every message that can get to r before it, in every state that r can come to by these: the state
  after both is one, each sends and creates the same in both orders, neither fails, and the same is to be seen;
* m creates nobody and leaves the alarm alone;
* nothing but S can get to the receivers of S as long as they do not move, and r is not one of them.

For let m arrive somewhere in a schedule. It can arrive first as well: what arrived at r before it then finds r as m has
left it, and does the same. S is sent earlier then, and can arrive earlier: its receivers have got nothing since, and
what they send is added to outboxes from which others have only taken. What arrives nowhere else and earlier blocks
nobody. All else arrives in the order in which it did, and every actor ends as it did.

Which states r can come to is worked out by the steps known, as all is that :mod:`persistent` says, and proves itself in
the same way: whatever is known of a message before m or after it is worked out for the other order, too.
"""

from collections.abc import Callable

from longpin.runner.exploration.table import KEEP_ALARM, ComputedStep, Table

STATES_AT_MOST = 200
"""States of a receiver that are compared; with more a message counts as one that does not commute."""

Step = Callable[[int, int], ComputedStep]

"""Computes a step, or looks it up; UNKNOWN, if it is not to be known."""

UNKNOWN = ComputedStep(-1, (), (), KEEP_ALARM, LookupError("it was not computed"))


class Commuting:
    """What commutes with what, at one actor in one state."""

    def __init__(self, table: Table, step: Step) -> None:
        self.table = table
        self.step = step
        """Computes a step, or looks it up."""
        self._quarrels: dict[tuple[int, int], int] = {}
        """By a state and a message: the bit set of messages that do not commute with it there."""
        self._asked: dict[tuple[int, int, int], bool] = {}
        """By a state, a message, and what may arrive there before it."""
        self._known: dict[tuple[int, int, int], bool] = {}
        """The same, as far as it follows from steps that are known."""

    def begin(self) -> None:
        """Forget all answers that go by what is known."""
        self._asked.clear()
        self._known.clear()

    def proved(self) -> bool:
        """Return whether every answer would be given again."""
        return all(
            self._look(*question, self.step) == answer for question, answer in list(self._asked.items())
        ) and all(
            self._look(*question, self._step_known) == answer for question, answer in self._known.items() if answer
        )

    def quarrels(self, state: int, message: int, others: int) -> bool:
        """Return whether a message is known not to commute with one of others in this state."""
        return bool(self._quarrels.get((state, message), 0) & others)

    def knows(self, state: int, message: int, others: int) -> bool:
        """Return whether that a message commutes with others follows from steps that are known: none is computed."""
        key = (state, message, others)
        if (answer := self._known.get(key)) is None:
            answer = self._known[key] = self._look(state, message, others, self._step_known)
        return answer

    def _step_known(self, state: int, message: int) -> ComputedStep:
        return self.table.steps[state].get(message, UNKNOWN)

    def ask(self, state: int, message: int, others: int) -> bool:
        """Return whether a message commutes with others that may arrive before it, in any order and number."""
        key = (state, message, others)
        if (answer := self._asked.get(key)) is None:
            answer = self._asked[key] = self._look(state, message, others, self.step)
        return answer

    def _look(self, state: int, message: int, others: int, step: Step) -> bool:
        """Go through the states a receiver can come to without a message, and those with it, in parallel."""
        steps = self.table.steps
        first = step(state, message)
        if first.failure is not None or first.spawned or first.alarm != KEEP_ALARM:
            return False
        if self._quarrels.get((state, message), 0) & others:
            return False
        known = {state}
        pairs = [(state, first.state)]
        for before, after in pairs:
            for other in steps[before].keys() | steps[after].keys():
                if other == message or not others >> other & 1:
                    continue
                one, two = step(before, other), step(after, other)
                moved = None if one.failure is not None else step(one.state, message)
                if moved is None or moved != first._replace(state=two.state) or two != one._replace(state=two.state):
                    if before == state and step is self.step:
                        self._quarrels[state, message] = self._quarrels.get((state, message), 0) | 1 << other
                    return False
                if one.state not in known:
                    if len(known) == STATES_AT_MOST:
                        return False
                    known.add(one.state)
                    pairs.append((one.state, two.state))
        return True
