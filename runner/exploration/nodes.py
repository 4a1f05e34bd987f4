"""An actor's state and the messages in its outbox, under one number; and states of the world made of these."""

from longpin.runner.exploration.table import ComputedStep, Table

Global = tuple[int, ...]
"""A state of the world: the node of each actor, by the actor's number; at the alarm's place its tick and 1."""

ABSENT = 0
"""The node of an actor that does not exist, and of an alarm that is not set."""


class Nodes:
    """The nodes seen so far."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.state = [-1]
        self.outbox: list[tuple[int, ...]] = [()]
        self.head = [-1]
        """The oldest message in the outbox, -1 for none."""
        self.rest = [ABSENT]
        """The node without it."""
        self.messages = [0]
        """The bit set of the messages in the outbox."""
        self.receivers: list[tuple[int, ...]] = [()]
        """Who they are for."""
        self.busy = [0]
        """The same as a bit set."""
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
        self.messages.append(sum(1 << message for message in set(outbox)))
        self.receivers.append(tuple(dict.fromkeys(self.table.receiver[message] for message in outbox)))
        self.busy.append(sum(1 << receiver for receiver in self.receivers[-1]))
        self.taken.append({})
        return number
