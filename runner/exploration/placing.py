"""Where a message arrives: the place of each, from what it declares and what its handler sends."""

from longpin.messages.envelope import Address, Footprint
from longpin.runner.exploration.footprints import body_footprint, reply_footprint
from longpin.runner.exploration.places import Block, Places, block_of
from longpin.runner.exploration.table import Table


class Placing(Places):
    """Places of messages in one schedule under way."""

    def __init__(self, table: Table, local: list[int]) -> None:
        super().__init__()
        self.table = table
        self.local = local
        """The state of each actor."""
        self._of_message: dict[int, int] = {}
        """The plain place of each message that is no reply."""
        self._asked: dict[tuple[int, Address, int], Footprint | None] = {}
        """The footprint of each request, by receiver, sender and number."""
        self._answers: dict[tuple[int, int], int] = {}
        """The plain place of the answer to a request, by who asks and its number."""

    def plain_of(self, message: int) -> int:
        """Return the plain place of a message that arrives now."""
        if (place := self._of_message.get(message)) is not None:
            return place
        table, envelope = self.table, self.table.envelopes[message]
        receiver, declared = table.receiver[message], body_footprint(table, message)
        if envelope.call >= 0 or declared is not None:
            place = self._of_message[message] = self.number(receiver, declared)
            return place
        return self._answer(receiver, self.local[receiver], -envelope.call)

    def place_of(self, message: int, plain: int, sends: tuple[int, ...], state: int) -> int:
        """Return the place of a message that arrives now at a plain place, with what its handler leads to and sends."""
        envelope = self.table.envelopes[message]
        if envelope.call > 0:
            asked = self.table.receiver[message], envelope.src, envelope.call
            self._asked[asked] = body_footprint(self.table, message)
        if not sends:
            return plain
        return self.with_block(plain, self._block(sends, self.parts[plain][0], state))

    def sent(self, sender: int, sends: tuple[int, ...], state: int) -> None:
        """Take note of the requests that an arrival which led to ``state`` has sent."""
        for message in sends:
            if (call := self.table.envelopes[message].call) > 0:
                self._answers[sender, call] = self._answer(sender, state, call)

    def _answer(self, receiver: int, state: int, call: int) -> int:
        """Return the plain place of an answer to a call that a conversation waits for in this state."""
        table = self.table
        if call in table.covers[state]:
            return self.number(receiver, table.covers[state][call])
        request = table.calls[state].get(call)
        footprint = None if request is None else reply_footprint(self._asked.get((receiver, *request)))
        return self.number(receiver, footprint)

    def _block(self, sends: tuple[int, ...], sender: int, state: int) -> Block:
        """Return where messages arrive; an answer where it is waited for, whatever comes before it."""
        table, places = self.table, list[int]()
        for message in sends:
            receiver, call = table.receiver[message], -table.envelopes[message].call
            if call <= 0 or body_footprint(table, message) is not None:
                places.append(self.plain_of(message))
            elif receiver == sender:
                places.append(self._answer(receiver, state, call))
            else:
                answer = self._answers.get((receiver, call))
                places.append(self.plain_of(message) if answer is None else answer)
        return block_of(places)
