"""Footprints: which messages to one actor commute, as they declare, and whether that is true.

A reply goes on with a conversation, so it has the footprint of the request that the conversation answers. A
conversation that answers nobody's request, a wake-up, and a message that declares nothing conflict with everything
that is not empty.
"""

from collections.abc import Callable

from longpin.messages.envelope import Address, Footprint, Part
from longpin.runner.explore.canonical import OpaqueError, canonical
from longpin.runner.explore.table import KEEP_ALARM, Step, Table


class FootprintError(Exception):
    """Two messages that declare to commute do not."""


def overlap(one: Part, other: Part) -> bool:
    """Return whether one part is in the other."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def conflict(one: Footprint | None, other: Footprint | None) -> bool:
    """Return whether one writes what the other reads or writes."""
    if one is None or other is None:
        rest = one or other
        return rest is None or bool(rest.reads or rest.writes)
    return any(
        overlap(written, touched)
        for a, b in ((one, other), (other, one))
        for written in a.writes
        for touched in (*b.reads, *b.writes)
    )


def body_footprint(table: Table, message: int) -> Footprint | None:
    """Return what a message that is no reply declares."""
    body = table.envelopes[message].body
    declared: Callable[[], Footprint | None] | None = getattr(body, "footprint", None)
    return None if declared is None else declared()


class Comparison:
    """Does in both orders what is declared to commute."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._done: set[tuple[int, int, int]] = set()

    def compare(self, state: int, one: int, other: int) -> None:
        """Compare states and sends after two messages in both orders.

        The order in which keys entered dicts does not count, nor does the order of what two messages send.

        Raises:
            FootprintError: they do not commute.

        """
        key = (state, min(one, other), max(one, other))
        if key in self._done:
            return
        self._done.add(key)
        step = self.table.step
        a_first, b_first = step(state, one), step(state, other)
        if a_first.failure is not None or b_first.failure is not None:
            return
        b_second, a_second = step(a_first.state, other), step(b_first.state, one)
        for first, second, message in ((a_first, a_second, one), (b_first, b_second, other)):
            if self._effects(first) != self._effects(second):
                raise FootprintError(self._told(one, other, f"what {self._name(message)} sends depends on their order"))
        if b_second.state != a_second.state and not self._alike(b_second.state, a_second.state):
            raise FootprintError(self._told(one, other, "the state after both depends on their order"))

    def _effects(self, step: Step) -> tuple[object, ...]:
        """Return what a step did beside changing its actor; the numbers of calls depend on the order: left out."""
        sent = [self.table.envelopes[message] for message in step.sends]
        shown = [(to.dst, canonical(to.body), to.call if to.call < 0 else to.call > 0, to.slept) for to in sent]
        return shown, sorted(step.spawned), step.alarm != KEEP_ALARM, step.failure is None

    def _alike(self, one: int, other: int) -> bool:
        try:
            return self.table.form(one) == self.table.form(other)
        except OpaqueError:
            return False

    def _name(self, message: int) -> str:
        envelope = self.table.envelopes[message]
        return f"{envelope.body} from {envelope.src}"

    def _told(self, one: int, other: int, what: str) -> str:
        receiver: Address = self.table.addresses[self.table.receiver[one]]
        return f"{receiver}: {self._name(one)} and {self._name(other)} declare to commute, but {what}"
