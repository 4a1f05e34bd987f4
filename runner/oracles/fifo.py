"""The deterministic default: senders take turns."""

from collections.abc import Sequence
from typing import ClassVar

from longpin.actors.base import Actor
from longpin.messages.envelope import Address
from longpin.runner.oracles.base import derived_random


class Fifo:
    """Let the actor go first that has waited longest."""

    name: ClassVar[str] = "fifo"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def new_execution(self) -> None:
        """Nothing to do."""

    def next_arrival(self, ready: Sequence[Actor]) -> int:
        """Choose the first."""
        return 0

    def next_random(self, actor: Address, count: int, bound: int) -> int:
        """Return a number derived from the seed."""
        return derived_random(self.seed, actor, count, bound)
