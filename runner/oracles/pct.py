"""Probabilistic concurrency testing: the sender of highest priority goes on, and few priorities change.

Burckhardt, Kothari, Musuvathi, Nagarakatte, "A randomized scheduler with probabilistic guarantees of finding bugs",
ASPLOS 2010. Threads are the senders here, the world and the alarm included. A step is an arrival at which more than one
sender is ready.

1. Every sender gets a random priority, higher than all in 3.
2. The ready sender of highest priority goes on.
3. At d - 1 steps, drawn independently, the sender that would go on gets priority i instead, where i is the number of
   the draw, not its place in time.

A run with n senders and at most k steps shows a bug of depth d (one that some order of d arrivals makes certain) with
probability 1 / (n * k^(d-1)) or more.

Deviations: the d of an execution is drawn from 1 to 5 unless it is given; k is that of a pilot run, doubled now and
then (:class:`longpin.runner.oracles.base.BoundedStrategy`); a sender is given its priority when it is first ready,
which has the same distribution as doing so before.
"""

from collections.abc import Sequence
from typing import ClassVar

from longpin.actors.base import Actor
from longpin.messages.envelope import Address
from longpin.runner.oracles.base import BoundedStrategy


class Pct(BoundedStrategy):
    """Priorities of senders, lowered at d - 1 choices."""

    name: ClassVar[str] = "pct"

    def new_execution(self) -> None:
        """Draw the choices at which a priority is lowered."""
        self._choices = 0
        self._priorities: dict[Address, float] = {}
        """From 0 up to 1 when a sender is first seen; below 0 once lowered."""
        self._lowered = self._draw_lowered(self._draw_depth())

    def next_arrival(self, ready: Sequence[Actor]) -> int:
        """Choose the highest priority."""
        if len(ready) == 1:
            return 0
        self._choices += 1
        best = self._highest(ready)
        for priority in self._lowered.get(self._choices, ()):
            self._priorities[ready[best].address] = priority
            best = self._highest(ready)
        return best

    def _highest(self, ready: Sequence[Actor]) -> int:
        priorities = self._priorities
        best, highest = 0, float("-inf")
        for index, actor in enumerate(ready):
            priority = priorities.get(actor.address)
            if priority is None:
                priority = priorities[actor.address] = self._random.random()
            if priority > highest:
                best, highest = index, priority
        return best
