"""Footprints: which messages to one actor commute, as they declare, and whether that is true.

A reply goes on with a conversation, and so does a wake-up: it has the footprint of the request that the conversation
answers, unless the conversation sent itself a message that declares another one, which holds from there on. A
conversation that does neither and a message that declares nothing conflict with everything that is not empty. So does
an interrupt, which is why the footprint of a reply is never empty.
"""

from collections.abc import Callable

from longpin.messages.envelope import Address, Envelope, Footprint, Interrupt, Part
from longpin.runner.exploration.canonical import OpaqueError, canonical
from longpin.runner.exploration.table import KEEP_ALARM, ComputedStep, Table


class FootprintError(Exception):
    """Two messages that declare to commute do not."""


def overlap(some: frozenset[Part], others: frozenset[Part]) -> bool:
    """Return whether a part of the first set is in one of the second, or the other way round.

    In time proportional to the parts: a message about every block of a large file names them all.
    """
    if not some or not others:
        return False
    begins = {part[:length] for part in others for length in range(len(part) + 1)}
    return any(part in begins or any(part[:length] in others for length in range(len(part))) for part in some)


def conflict(one: Footprint | None, other: Footprint | None) -> bool:
    """Return whether one changes what the other reads or changes; adding to a part twice is no conflict."""
    if one is None or other is None:
        rest = one or other
        return rest is None or any(rest)
    return (
        overlap(one.writes, other.reads | other.writes | other.adds)
        or overlap(one.adds, other.reads | other.writes)
        or overlap(one.reads, other.writes | other.adds)
    )


def body_footprint(table: Table, message: int) -> Footprint | None:
    """Return what a message declares itself."""
    body = table.envelopes[message].body
    declared: Callable[[], Footprint | None] | None = getattr(body, "footprint", None)
    return None if declared is None else declared()


class OrderComparison:
    """Does in both orders what is declared to commute."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._done: set[tuple[int, int, int]] = set()

    def compare(self, state: int, one: int, other: int) -> bool:
        """Compare states and sends after two messages in both orders; return False if that was done before.

        The order in which keys entered dicts does not count, nor does the order of what two messages send.

        Raises:
            FootprintError: they do not commute.

        """
        key = (state, min(one, other), max(one, other))
        if key in self._done:
            return False
        self._done.add(key)
        step = self.table.step
        a_first, b_first = step(state, one), step(state, other)
        if a_first.failure is not None or b_first.failure is not None:
            return True
        b_second, a_second = step(a_first.state, other), step(b_first.state, one)
        for first, second, message in ((a_first, a_second, one), (b_first, b_second, other)):
            if self._effects(first) != self._effects(second):
                raise FootprintError(self._told(one, other, f"what {self._name(message)} sends depends on their order"))
        if b_second.state != a_second.state and not self._alike(b_second.state, a_second.state):
            raise FootprintError(self._told(one, other, "the state after both depends on their order"))
        return True

    def _effects(self, step: ComputedStep) -> tuple[object, ...]:
        """Return what a step did beside changing its actor; the numbers of calls depend on the order: left out."""
        shown = [self._sent(step, self.table.envelopes[message]) for message in step.sends]
        return shown, sorted(step.spawned), step.alarm != KEEP_ALARM, step.failure is None

    def _sent(self, step: ComputedStep, envelope: Envelope) -> tuple[object, ...]:
        body, call = envelope.body, envelope.call
        shown = ("interrupt", body.fatal) if isinstance(body, Interrupt) else canonical(body)
        # Of a request the number is the sender's own; so it is of a wake-up, which is told by whom it goes on for.
        told = self.table.calls[step.state].get(-call) if envelope.src == envelope.dst else min(call, 1)
        return envelope.dst, shown, told, envelope.slept

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
