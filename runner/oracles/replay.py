"""Replay: the recorded arrivals, each compared with the message that arrives now."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from longpin.actors.base import Actor
from longpin.messages.codec import CodecError, Encoder, decode
from longpin.messages.envelope import Address, Envelope
from longpin.runner.oracles.base import derived_random


class Divergence(Exception):
    """The run does something else than the trace says."""

    def __init__(self, number: int, recorded: str, now: str) -> None:
        super().__init__(f"arrival {number}: the trace has {recorded}; this run has {now}")
        self.number = number


def shown(envelope: Envelope) -> str:
    """Return an envelope for people: who, to whom, what."""
    arrow = "=>" if envelope.call < 0 else "->"
    return f"{envelope.src} {arrow} {envelope.dst}: {envelope.body}"


class Replay:
    """Follow a recorded sequence of arrivals, payload by payload, and stop at its end or after ``until`` of them."""

    name: ClassVar[str] = "replay"

    def __init__(self, payloads: Iterator[bytes], seed: int, until: int | None = None) -> None:
        self.seed = seed
        self.until = until
        self.count = 0
        """Arrivals followed so far."""
        self._payloads = payloads
        self._encoder = Encoder()

    def new_execution(self) -> None:
        """A trace is one execution."""

    def next_arrival(self, ready: Sequence[Actor]) -> int | None:
        """Find the sender of the next recorded arrival and compare what it has to say.

        Raises:
            Divergence: nobody, or nobody with that message, is there.

        """
        if self.count == self.until or (payload := next(self._payloads, None)) is None:
            return None
        self.count += 1
        for index, actor in enumerate(ready):
            if self._encoder.encode(self.count, actor.outbox[0]) == payload:
                return index
        raise self._explain(payload, ready)

    def expect_end(self) -> None:
        """Read the trace to its end.

        Raises:
            Divergence: it has more to say than the run.

        """
        if (payload := next(self._payloads, None)) is not None:
            self.count += 1
            raise self._explain(payload, ())

    def _explain(self, payload: bytes, ready: Sequence[Actor]) -> Divergence:
        try:
            number, recorded = decode(payload)
        except CodecError as error:
            return Divergence(self.count, f"something unreadable ({error})", "another message")
        if number != self.count:
            return Divergence(self.count, f"number {number}", "the one after its predecessor")
        for actor in ready:
            if actor.address == recorded.src:
                return Divergence(self.count, shown(recorded), shown(actor.outbox[0]))
        return Divergence(self.count, shown(recorded), f"nothing sent by {recorded.src}")

    def next_random(self, actor: Address, count: int, bound: int) -> int:
        """Return the number the recorded run had."""
        return derived_random(self.seed, actor, count, bound)
