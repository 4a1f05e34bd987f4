"""Selectively uniform random walk: uniform over the orders in which the messages of one receiver arrive.

Zhao, Wolff, Mathur, Roychoudhury, "Selectively uniform concurrency testing", ASPLOS 2025, algorithm 2 (SURW). Of all
events only some are *interesting*; here those are the arrivals at one receiver, another one in each execution.

1. Among the senders with interesting messages left, one is *intended*, with the number of those left as weight.
2. A sender whose oldest message is not interesting may go at any time, all of them equally likely.
3. Only the intended sender's interesting message may arrive; then another sender is intended.

Where the numbers are those of the pilot run and nobody waits for an answer from another receiver, all orders at the
receiver are equally likely; and no order of anything is impossible.

Deviations: senders have names that do not depend on the schedule, so one can be intended before it exists, and counting
children with their parents is not needed. If the intended sender cannot go on because it waits for one that is held
back, another one is intended. A receiver is eligible if at least two senders send to it, apart from the world, whose
messages only start others; without one this is a random walk.
"""

from collections.abc import Sequence
from typing import ClassVar

from longpin.actors.base import Actor
from longpin.messages.envelope import WORLD, Address
from longpin.runner.oracles.base import NO_PROFILE, Profile, Strategy


class SelectivelyUniform(Strategy):
    """Choose who is next at one receiver by the number of messages left for it."""

    name: ClassVar[str] = "surw"

    def __init__(self, seed: int = 0, profile: Profile = NO_PROFILE) -> None:
        super().__init__(seed, profile)
        self._eligible = [dst for dst, senders in profile.received.items() if len(senders.keys() - {WORLD}) > 1]

    def new_execution(self) -> None:
        """Choose a receiver."""
        self._receiver = self._random.choice(self._eligible) if self._eligible else ""
        self._left = dict(self.profile.received.get(self._receiver, {}))
        """Interesting messages of each sender that have not arrived."""
        self._intend()

    def next_arrival(self, ready: Sequence[Actor]) -> int:
        """Choose any that is not held back."""
        receiver, intended = self._receiver, self._intended
        free = [
            index for index, actor in enumerate(ready) if actor.outbox[0].dst != receiver or actor.address == intended
        ]
        if free:
            index = free[int(self._random.random() * len(free))]
        else:
            index = self._weighted([max(self._left.get(actor.address, 0), 1) for actor in ready])
        actor = ready[index]
        if actor.outbox[0].dst == receiver:
            self._left[actor.address] = max(self._left.get(actor.address, 0) - 1, 0)
            self._intend()
        return index

    def _intend(self) -> None:
        """Choose who is next at the receiver, ready or not."""
        weights = list(self._left.values())
        self._intended: Address = list(self._left)[self._weighted(weights)] if any(weights) else ""

    def _weighted(self, weights: list[int]) -> int:
        point = self._random.random() * sum(weights)
        for index, weight in enumerate(weights):
            point -= weight
            if point < 0:
                return index
        return len(weights) - 1
