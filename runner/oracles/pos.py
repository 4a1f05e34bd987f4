"""Partial order sampling: every message on its way has a random priority, drawn anew when one it races with arrives.

Yuan, Yang, Gu, "Partial order aware concurrency sampling", CAV 2018. An event is the arrival of a sender's oldest
message, and two events race when both go to the same receiver.

1. A sender's oldest message gets a random priority when it becomes the oldest.
2. The message of highest priority arrives.
3. The oldest messages of others that go to the same receiver get new priorities.

So the order of messages that do not race costs no luck, and a sender may be overtaken for long at the price of one low
priority. The paper proves a lower bound on the probability of every partial order.

Deviations: messages to one receiver always count as racing, footprints or not, since looking at footprints takes longer
than the arrival itself; an alarm that is set again while it is armed keeps the priority of its tick.
"""

from collections.abc import Sequence
from typing import ClassVar

from longpin.actors.base import Actor
from longpin.messages.envelope import Address
from longpin.runner.oracles.base import Strategy


class Pos(Strategy):
    """Priorities of messages, drawn anew after a race."""

    name: ClassVar[str] = "pos"
    profiled: ClassVar[bool] = False

    def new_execution(self) -> None:
        """Forget all priorities."""
        self._priorities: dict[Address, float] = {}
        """Of the oldest message of each sender; none until it is asked for."""

    def next_arrival(self, ready: Sequence[Actor]) -> int:
        """Choose the highest priority."""
        if len(ready) == 1:
            self._priorities.pop(ready[0].address, None)
            return 0
        priorities, draw = self._priorities, self._random.random
        best, highest = 0, -1.0
        for index, actor in enumerate(ready):
            priority = priorities.get(actor.address)
            if priority is None:
                priority = priorities[actor.address] = draw()
            if priority > highest:
                best, highest = index, priority
        receiver = ready[best].outbox[0].dst
        for actor in ready:
            if actor.outbox[0].dst == receiver:
                del priorities[actor.address]
        return best
