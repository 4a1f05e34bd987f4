"""Where a message arrives: the place of each, from what it declares and what its handler sends."""

from typing import NamedTuple

from longpin.messages.envelope import Address, Footprint
from longpin.runner.exploration.footprints import body_footprint, reply_footprint
from longpin.runner.exploration.places import Places, block_of
from longpin.runner.exploration.table import Table

Request = tuple[int, Address, int]
"""Its receiver, its sender, and the sender's number."""


class MessageFacts(NamedTuple):
    """What of a message does not depend on the schedule."""

    plain: int
    """Its plain place, NO_PLACE for an answer: whoever waits for that says what it touches."""
    request: Request | None
    """As which it is known if it is to be answered."""
    footprint: Footprint | None
    call: int
    """The number of a request; of an answer that of its request, as whoever waits for it has it."""
    waiting: tuple[int, int]
    """Who waits for an answer, and the number."""


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
        self._asked: dict[Request, Footprint | None] = {}
        """The footprint of each request."""
        self._answers: dict[tuple[int, int], int] = {}
        """The plain place of the answer to a request, by who asks and its number."""
        self._answered: dict[tuple[int, int, int], tuple[Footprint | None, int]] = {}
        """What was found out last for a receiver, a state and a call: the footprint of the request, and the place."""

    def plain_of(self, message: int) -> int:
        """Return the plain place of a message that arrives now."""
        facts = self._facts.get(message) or self._look(message)
        if facts.plain != NO_PLACE:
            return facts.plain
        receiver = facts.waiting[0]
        return self._answer(receiver, self.local[receiver], facts.waiting[1])

    def place_of(self, message: int, plain: int, sends: tuple[int, ...], state: int) -> int:
        """Return the place of a message that arrives now at a plain place, with what its handler leads to and sends."""
        known = self._facts
        facts = known.get(message) or self._look(message)
        if facts.request is not None:
            self._asked[facts.request] = facts.footprint
        if not sends:
            return plain
        places = []
        for sent in sends:
            facts = known.get(sent) or self._look(sent)
            if (place := facts.plain) == NO_PLACE:
                # An answer arrives where it is waited for, whatever comes before it.
                if facts.waiting[0] == self.table.receiver[message]:
                    place = self._answer(facts.waiting[0], state, facts.waiting[1])
                elif (answer := self._answers.get(facts.waiting)) is None:
                    place = self.plain_of(sent)
                else:
                    place = answer
            places.append(place)
        block = (places[0],) if len(places) == 1 else block_of(places)
        return self._numbers.get((plain, block)) or self.with_block(plain, block)

    def sent(self, sender: int, sends: tuple[int, ...], state: int) -> None:
        """Take note of the requests that an arrival which led to ``state`` has sent."""
        for message in sends:
            facts = self._facts[message]
            if facts.request is not None:
                self._answers[sender, facts.call] = self._answer(sender, state, facts.call)

    def _answer(self, receiver: int, state: int, call: int) -> int:
        """Return the plain place of an answer to a call that a conversation waits for in this state."""
        table = self.table
        if call in table.covers[state]:
            return self.number(receiver, table.covers[state][call])
        request = table.calls[state].get(call)
        asked = None if request is None else self._asked.get((receiver, *request))
        if (known := self._answered.get((receiver, state, call))) is not None and known[0] is asked:
            return known[1]
        place = self.number(receiver, None if request is None else reply_footprint(asked))
        self._answered[receiver, state, call] = asked, place
        return place

    def _look(self, message: int) -> MessageFacts:
        envelope, receiver = self.table.envelopes[message], self.table.receiver[message]
        declared, call = body_footprint(self.table, message), envelope.call
        plain = self.number(receiver, declared) if call >= 0 or declared is not None else NO_PLACE
        request = (receiver, envelope.src, call) if call > 0 else None
        facts = self._facts[message] = MessageFacts(plain, request, declared, abs(call), (receiver, -call))
        return facts
