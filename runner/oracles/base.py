"""What the stepped engine asks: three methods. Running, replaying and searching differ by the object passed in."""

import random
from collections.abc import Sequence
from typing import ClassVar, Protocol

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
        longest first. An armed alarm is among them if timers are racy, or if nothing else is.
        """

    def next_random(self, actor: Address, count: int, bound: int) -> int:
        """Return the ``count``-th random number of ``actor``, in ``range(bound)``."""


def derived_random(seed: int, actor: Address, count: int, bound: int) -> int:
    """Return a number that depends on nothing but the arguments, so that no trace has to record it."""
    return random.Random(f"{seed} {actor} {count}").randrange(bound)
