"""What the stepped engine asks: three methods. Running, replaying and searching differ by the object passed in."""

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple, Protocol

from longpin.actors.base import Actor
from longpin.messages.envelope import Address


class Oracle(Protocol):
    """A way to choose among what could happen next."""

    name: ClassVar[str]

    def new_execution(self) -> None:
        """Begin another execution; called once before its first choice."""

    def next_arrival(self, ready: Sequence[Actor]) -> int | None:
        """Return the index of the actor whose oldest message shall arrive, None to stop here.

        ``ready`` holds every actor that has sent something which has not arrived, never none, the one that has waited
        longest first. An armed alarm is among them if timers are racy, or if nothing else is. Only the address and the
        outbox of an actor are looked at.
        """

    def next_random(self, actor: Address, count: int, bound: int) -> int:
        """Return the ``count``-th random number of ``actor``, in ``range(bound)``."""


def derived_random(seed: int, actor: Address, count: int, bound: int) -> int:
    """Return a number that depends on nothing but the arguments, so that no trace has to record it."""
    return random.Random(f"{seed} {actor} {count}").randrange(bound)


class Profile(NamedTuple):
    """What one run was like, for strategies that want to know how long the next will be: see :mod:`.profile`."""

    arrivals: int
    """How many messages arrived."""
    choices: int
    """At how many arrivals there was a choice, that is, more than one sender was ready."""
    sent: Mapping[Address, int]
    """How many of them each sender sent, the alarm too."""
    received: Mapping[Address, Mapping[Address, int]]
    """How many of them reached each receiver, by sender."""


NO_PROFILE = Profile(100, 50, {}, {})
"""Nothing is known: the length is that of a run of two or three small processes."""


class Strategy(ABC):
    """An oracle made from a seed: one object is one run, and the same one whenever it is made again.

    More executions of one object are other runs: the generator goes on where the last execution left it.
    """

    name: ClassVar[str]
    profiled: ClassVar[bool] = True
    """It looks at the profile; others are made without."""

    def __init__(self, seed: int = 0, profile: Profile = NO_PROFILE) -> None:
        self.seed = seed
        self.profile = profile
        self._random = random.Random(f"{self.name} {seed}")

    @abstractmethod
    def new_execution(self) -> None:
        """Begin another execution."""

    @abstractmethod
    def next_arrival(self, ready: Sequence[Actor]) -> int:
        """Return the index of the actor whose oldest message shall arrive."""

    def next_random(self, actor: Address, count: int, bound: int) -> int:
        """Return a number derived from the seed: every strategy gives actors the same ones."""
        return derived_random(self.seed, actor, count, bound)


MOST_DEPTH = 5
"""The largest depth that is drawn. Of 105 bugs studied, 92 % need an order among at most four accesses: Lu, Park, Seo,
Zhou, "Learning from mistakes", ASPLOS 2008."""


class BoundedStrategy(Strategy):
    """A strategy that departs from a simple order at a bounded number of points, drawn before the execution begins.

    A point is the number of an arrival at which more than one sender is ready: at others nothing could be changed
    (Burckhardt et al., 4.1, "Identifying sequential execution"). Half of the executions draw from as many as the pilot
    run had. Another order may have more, so a quarter draws from twice as many, an eighth from four times, and so on,
    up to the number of arrivals. A bound on a probability is to be halved for that, and again for each doubling.
    """

    def __init__(self, seed: int = 0, profile: Profile = NO_PROFILE, depth: int | None = None) -> None:
        super().__init__(seed, profile)
        self.depth = depth
        """The bound; None: each execution draws one from 1 to :data:`MOST_DEPTH`."""

    def _draw_depth(self) -> int:
        return self._random.randint(1, MOST_DEPTH) if self.depth is None else self.depth

    def _draw_points(self, count: int) -> list[int]:
        """Return ``count`` points, from 1, independent of each other."""
        most = max(self.profile.choices, 1)
        while most < self.profile.arrivals and self._random.random() < 0.5:
            most *= 2
        return [self._random.randint(1, most) for _ in range(count)]

    def _draw_lowered(self, depth: int) -> dict[int, list[int]]:
        """Draw ``depth`` - 1 points; return, by point, the priorities from -1 downwards that are given there."""
        lowered: dict[int, list[int]] = {}
        for number, point in enumerate(self._draw_points(depth - 1)):
            lowered.setdefault(point, []).append(number - depth + 1)
        return lowered
