"""Uniform random walk: a sender is as likely as it has messages left to send.

Zhao, Wolff, Mathur, Roychoudhury, "Selectively uniform concurrency testing", ASPLOS 2025, algorithm 1 (URW). The number
of ways in which a run can go on after a sender's next message is proportional to the number of messages that sender has
left, so choosing with these weights makes every order of arrivals equally likely, where a random walk favours orders in
which the short programs come first.

Uniform where the number of messages of each sender does not depend on the schedule and nobody waits for an answer; the
nearer to it, the fewer wait.

As in the paper, a thread counts with its parent until it has begun: those whom the world starts count with the world.

Deviations: the numbers come from one pilot run, and a sender that has used its own up goes on with weight 1; an actor
that is created or called into life by another one than the world has no weight before it is ready.
"""

from collections.abc import Sequence
from typing import ClassVar

from longpin.actors.base import Actor
from longpin.messages.envelope import WORLD
from longpin.runner.oracles.base import NO_PROFILE, Profile, Strategy


class UniformRandomWalk(Strategy):
    """Choose with the number of messages left as weight."""

    name: ClassVar[str] = "urw"

    def __init__(self, seed: int = 0, profile: Profile = NO_PROFILE) -> None:
        super().__init__(seed, profile)
        self._started = {dst: profile.sent.get(dst, 0) for dst, by in profile.received.items() if WORLD in by}
        """What those send whom the world starts."""

    def new_execution(self) -> None:
        """Nothing has been sent."""
        self._left = dict(self.profile.sent)
        """By sender; with the world's, all of those it starts that have not begun."""
        self._waiting = dict(self._started)
        """Those that have not begun."""
        self._left[WORLD] = self._left.get(WORLD, 0) + sum(self._waiting.values())

    def next_arrival(self, ready: Sequence[Actor]) -> int:
        """Choose with weights."""
        left, waiting = self._left, self._waiting
        if waiting:
            for actor in ready:
                if actor.address in waiting:
                    left[WORLD] -= waiting.pop(actor.address)
        index = 0
        if len(ready) > 1:
            weights = [max(left.get(actor.address, 1), 1) for actor in ready]
            point = self._random.random() * sum(weights)
            for index, weight in enumerate(weights):  # noqa: B007 - the last one takes what rounding leaves
                point -= weight
                if point < 0:
                    break
        address = ready[index].address
        left[address] = left.get(address, 1) - 1
        return index
