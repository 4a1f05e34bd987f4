"""What both engines share: the actors of one world, its first messages, its alarm, and its failures."""

from longpin.actors.base import Actor
from longpin.messages.clock import Tick
from longpin.messages.envelope import WORLD, Address, Envelope, Message
from longpin.runner.oracles.base import derived_random

ALARM: Address = "alarm"
"""The sender of ticks."""


class InternalError(Exception):
    """An actor raised what no handler expected: a bug in longpin, never an outcome of a scenario."""


class EngineBase:
    """One world: nothing in it is shared with another one."""

    def __init__(self, seed: int = 0, *, alarms: bool = True) -> None:
        self.seed = seed
        self.alarms = alarms
        """False: time moves only when the world's owner sends a tick."""
        self.failure: InternalError | None = None
        self.randoms: dict[Address, int] = {}
        """How many random numbers each actor has had."""

    def random(self, actor: Actor, bound: int) -> int:
        """Return the actor's next random number."""
        count = self.randoms[actor.address] = self.randoms.get(actor.address, 0) + 1
        return self.choose_random(actor.address, count, bound)

    def choose_random(self, actor: Address, count: int, bound: int) -> int:
        """Return a random number; engines that have an oracle ask it."""
        return derived_random(self.seed, actor, count, bound)

    def failed(self, actor: Actor, error: Exception) -> None:
        """Keep the first failure; the run ends with it."""
        if self.failure is None:
            failure = InternalError(f"{actor.address}: {type(error).__name__}: {error}")
            failure.__cause__ = error
            self.failure = failure

    @staticmethod
    def tick(actor: Actor, deadline: float) -> Envelope:
        """Return the message of an alarm that ``actor`` set."""
        return Envelope(ALARM, actor.address, Tick(deadline))

    @staticmethod
    def first(dst: Address, body: Message) -> Envelope:
        """Return a message that starts a world."""
        return Envelope(WORLD, dst, body)
