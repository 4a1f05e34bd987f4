"""A random walk: every sender is as likely as every other.

The yardstick of other strategies, hard to beat on many programs: Thomson, Donaldson, Betts, "Concurrency testing using
controlled schedulers: an empirical study", ACM TOPC 2(4), 2016. No order is impossible, but one in which a sender waits
through n choices among two has probability 2^-n.
"""

import random
from collections.abc import Sequence
from typing import ClassVar

from longpin.actors.base import Actor
from longpin.runner.oracles.base import NO_PROFILE, Profile, Strategy


class RandomWalk(Strategy):
    """Choose uniformly; each execution of one object is another walk, the first the same for the same seed."""

    name: ClassVar[str] = "random"
    profiled: ClassVar[bool] = False

    def __init__(self, seed: int = 0, profile: Profile = NO_PROFILE) -> None:
        super().__init__(seed, profile)
        # Seeded by the number alone: recorded results were made so.
        self._random = random.Random(seed)

    def new_execution(self) -> None:
        """Go on with the generator where the last execution left it."""

    def next_arrival(self, ready: Sequence[Actor]) -> int:
        """Choose any."""
        return int(self._random.random() * len(ready))
