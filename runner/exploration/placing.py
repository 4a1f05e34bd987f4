"""Where a message arrives: the place of each, from what it declares and what its handler sends."""

from typing import NamedTuple

from longpin.runner.exploration.footprints import body_footprint
from longpin.runner.exploration.places import Places, block_of
from longpin.runner.exploration.table import Table


class MessageFacts(NamedTuple):
    """What of a message does not depend on the schedule."""

    plain: int
    """Its plain place, NO_PLACE for an answer: whoever waits for that says what it touches."""
    waiting: tuple[int, int]
    """Who waits for an answer, and the number under which."""


NO_PLACE = -1


class Placing(Places):
    """Places of messages in one schedule under way."""

    def __init__(self, table: Table, local: list[int]) -> None:
        super().__init__()
        self.table = table
        self.local = local
        """The state of each actor."""
        self._facts: dict[int, MessageFacts] = {}
        """By message."""
        self._answers: dict[tuple[int, int], int] = {}
        """The plain place of the answer to a request, by the state of who waits for it and the number."""

    def plain_of(self, message: int) -> int:
        """Return the plain place of a message that arrives now."""
        facts = self._facts.get(message) or self._look(message)
        if facts.plain != NO_PLACE:
            return facts.plain
        receiver, call = facts.waiting
        return self._answer(receiver, self.local[receiver], call)

    def place_of(self, message: int, plain: int, sends: tuple[int, ...], state: int) -> int:
        """Return the place of a message that arrives now at a plain place, with what its handler leads to and sends."""
        if not sends:
            return plain
        known, places = self._facts, []
        for sent in sends:
            facts = known.get(sent) or self._look(sent)
            if (place := facts.plain) == NO_PLACE:
                # An answer arrives where it is waited for, whatever comes before it: what it touches was said then.
                waiting, call = facts.waiting
                there = state if waiting == self.table.receiver[message] else self.local[waiting]
                place = self._answer(waiting, there, call)
            places.append(place)
        block = (places[0],) if len(places) == 1 else block_of(places)
        return self._numbers.get((plain, block)) or self.with_block(plain, block)

    def _answer(self, receiver: int, state: int, call: int) -> int:
        """Return the plain place of an answer to a call that a conversation waits for in this state."""
        if (place := self._answers.get((state, call))) is None:
            place = self._answers[state, call] = self.number(receiver, self.table.touches[state].get(call))
        return place

    def _look(self, message: int) -> MessageFacts:
        envelope, receiver = self.table.envelopes[message], self.table.receiver[message]
        declared, call = body_footprint(self.table, message), envelope.call
        plain = self.number(receiver, declared) if call >= 0 or declared is not None else NO_PLACE
        facts = self._facts[message] = MessageFacts(plain, (receiver, -call))
        return facts
