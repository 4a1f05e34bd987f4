"""A random walk: every sender is as likely as every other."""

import random
from collections.abc import Sequence
from typing import ClassVar

from longpin.actors.base import Actor
from longpin.messages.envelope import Address
from longpin.runner.oracles.base import derived_random


class RandomWalk:
    """Choose uniformly; each execution of one object is another walk, the first the same for the same seed."""

    name: ClassVar[str] = "random"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._random = random.Random(seed)

    def new_execution(self) -> None:
        """Go on with the generator where the last execution left it."""

    def next_arrival(self, ready: Sequence[Actor]) -> int:
        """Choose any."""
        return int(self._random.random() * len(ready))

    def next_random(self, actor: Address, count: int, bound: int) -> int:
        """Return a number derived from the seed."""
        return derived_random(self.seed, actor, count, bound)
