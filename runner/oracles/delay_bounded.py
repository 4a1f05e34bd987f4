"""Delay bounding: a deterministic order of senders, left at a few random choices.

Emmi, Qadeer, Rakamaric, "Delay-bounded scheduling", POPL 2011. The deterministic scheduler is the paper's round robin
without preemption: a sender goes on until it has nothing left to send, then the next one that is ready, in the order in
which they were first ready. A *delay* passes over the sender that would go on; it waits for its next turn.

With d delays at points drawn independently from k, each schedule of d delays comes with probability 1 / k^d or more. A
schedule that needs more delays than there are never comes: this strategy finds what few delays cause, at once and
whatever the number of senders, and nothing else.

Deviations: the paper enumerates all places of d delays, here they are drawn; d is drawn from 1 to 5 unless it is given;
k is that of a pilot run, doubled now and then (:class:`longpin.runner.oracles.base.BoundedStrategy`).
"""

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from longpin.actors.base import Actor
from longpin.messages.envelope import Address
from longpin.runner.oracles.base import BoundedStrategy


class DelayBounded(BoundedStrategy):
    """Round robin without preemption, and d delays."""

    name: ClassVar[str] = "delay"

    def new_execution(self) -> None:
        """Draw the choices at which somebody is delayed."""
        self._choices = 0
        self._delays = Counter(self._draw_points(self._draw_depth()))
        self._places: dict[Address, int] = {}
        """The place of each sender in the round."""
        self._current = 0
        """The place of the one whose turn it is."""

    def next_arrival(self, ready: Sequence[Actor]) -> int:
        """Choose the one whose turn it is, or the next, and pass over so many as there are delays."""
        best = self._from(ready, self._current)
        if len(ready) > 1:
            self._choices += 1
            for _ in range(self._delays[self._choices]):
                best = self._from(ready, self._places[ready[best].address] + 1)
        self._current = self._places[ready[best].address]
        return best

    def _from(self, ready: Sequence[Actor], place: int) -> int:
        """Return the index of the first who is ready at ``place`` of the round or after it, all around."""
        places = self._places
        for actor in ready:
            if actor.address not in places:
                places[actor.address] = len(places)
        best, nearest, size = 0, len(places), len(places)
        for index, actor in enumerate(ready):
            distance = (places[actor.address] - place) % size
            if distance < nearest:
                best, nearest = index, distance
        return best
