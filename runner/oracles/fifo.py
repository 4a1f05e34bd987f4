"""The deterministic default: senders take turns."""

from collections.abc import Sequence
from typing import ClassVar

from longpin.actors.base import Actor
from longpin.runner.oracles.base import NO_PROFILE, Profile, Strategy


class Fifo(Strategy):
    """Let the actor go first that has waited longest."""

    name: ClassVar[str] = "fifo"
    profiled: ClassVar[bool] = False

    def __init__(self, seed: int = 0, profile: Profile = NO_PROFILE) -> None:
        # No generator: nothing is drawn.
        self.seed = seed
        self.profile = profile

    def new_execution(self) -> None:
        """Nothing to do: every execution is the same."""

    def next_arrival(self, ready: Sequence[Actor]) -> int:
        """Choose the first."""
        return 0
