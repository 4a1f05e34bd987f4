"""A pilot run: how long a run is, and who sends how much to whom."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from longpin.actors.base import Actor
from longpin.messages.envelope import Address, Envelope
from longpin.runner.engines.engine import InternalError
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.oracles.base import Profile
from longpin.runner.oracles.fifo import Fifo

MOST_PILOT_ARRIVALS = 10_000
"""Arrivals after which a pilot run is long enough: a world need not come to rest."""


class Pilot(Fifo):
    """Counts the choices."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.choices = 0

    def next_arrival(self, ready: Sequence[Actor]) -> int:
        """Choose the first."""
        self.choices += len(ready) > 1
        return super().next_arrival(ready)


def profile_of(
    build: Callable[[Any], object], racy: bool = False, seed: int = 0, most: int = MOST_PILOT_ARRIVALS
) -> Profile:
    """Run a world once, first in, first out, and return what the run was like.

    A run that a raising handler ends is a pilot run up to that handler.

    Args:
        build: creates the actors and sends the first messages.
        racy: timers may fire at any time.
        seed: what the actors' random numbers are derived from.
        most: the most arrivals the run may have.

    """
    received: dict[Address, dict[Address, int]] = {}
    sent: dict[Address, int] = {}

    def record(_number: int, envelope: Envelope) -> None:
        senders = received.setdefault(envelope.dst, {})
        senders[envelope.src] = senders.get(envelope.src, 0) + 1
        sent[envelope.src] = sent.get(envelope.src, 0) + 1

    oracle = Pilot(seed)
    engine = SteppedEngine(oracle, racy=racy, seed=seed)
    engine.record = record
    build(engine)
    with suppress(InternalError):
        engine.run(most)
    return Profile(engine.arrivals, oracle.choices, sent, received)
