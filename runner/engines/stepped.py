"""The stepped engine: one arrival at a time, chosen by an oracle.

In pykka a handler puts messages into other actors' inboxes one after the other, while other handlers do the same, so
all nondeterminism is the order in which puts reach inboxes. Here every actor has an *outbox*, a queue of what it has
sent. One step lets the oldest message of one outbox arrive and runs the receiver's handler at once; what the handler
sends goes to the end of the receiver's outbox. Every order that threads can produce is a sequence of such steps, and
the reverse: causal order and the order between two actors hold by construction.

No thread is started and nothing is entered in pykka's registry, which is global to the process.
"""

from collections.abc import Callable
from typing import Any, Protocol

from longpin.actors.base import Actor
from longpin.messages.envelope import WORLD, Address, Envelope, Message
from longpin.runner.engines.engine import ALARM, EngineBase, InternalError
from longpin.runner.oracles.base import Oracle


class ArrivalObserver(Protocol):
    """Who looks at each arrival of a world."""

    def arrived(self, number: int, envelope: Envelope) -> None:
        """Look at arrival ``number`` after it was handled."""


class Outlet:
    """The inbox pykka knows of: what ``ActorRef.tell`` puts here is sent by the world."""

    __slots__ = ("actor",)

    def __init__(self, actor: Actor) -> None:
        self.actor = actor

    def put(self, envelope: Any, /) -> None:
        """Send a message from outside."""
        engine: SteppedEngine = self.actor.engine  # type: ignore[assignment]
        engine.tell(self.actor.address, envelope.message)


class SteppedEngine(EngineBase):
    """A world that advances when :meth:`run` is called."""

    def __init__(self, oracle: Oracle, *, racy: bool = False, alarms: bool = True, seed: int = 0) -> None:
        super().__init__(seed, alarms=alarms)
        self.oracle = oracle
        self.actors: dict[Address, Actor] = {}
        """Every actor ever made, in that order; they stay, so that a late message is answered."""
        self.racy = racy
        """Timers may fire at any time after they were armed, not only when nothing else can happen."""
        self.ready: list[Actor] = []
        """Actors whose outbox is not empty, the one that waits longest first; the alarm too, if timers are racy."""
        self.arrivals = 0
        self.record: Callable[[int, Envelope], None] | None = None
        """Called with each arrival before it is handled."""
        self.observers: list[ArrivalObserver] = []
        self.world = Actor(self, WORLD)
        self.alarm = Actor(self, ALARM)
        # Invariant: the alarm's outbox holds one tick while an alarm is set, and none otherwise.
        oracle.new_execution()

    # What actors ask for.

    def create_inbox(self, actor: Actor) -> Outlet:
        """Return the way in from outside."""
        return Outlet(actor)

    def start_loop(self, actor: Actor, loop: Callable[[], None]) -> None:
        """No loop is needed: the engine calls the actor."""

    def started(self, actor: Actor) -> None:
        """No thread is started."""

    def spawn(self, kind: type[Actor], address: Address, *args: Any) -> None:
        """Create an actor, without pykka's registry."""
        if address in self.actors:
            raise InternalError(f"a second actor would have the address {address}")
        self.actors[address] = kind(self, address, *args)

    def post(self, actor: Actor, envelope: Envelope) -> None:
        """Append to the sender's outbox."""
        outbox = actor.outbox
        if not outbox:
            self.ready.append(actor)
        outbox.append(envelope)

    def set_alarm(self, actor: Actor, deadline: float | None) -> None:
        """Replace the one alarm."""
        if not self.alarms:
            return
        outbox = self.alarm.outbox
        if outbox and self.racy:
            self.ready.remove(self.alarm)
        outbox.clear()
        if deadline is not None:
            outbox.append(self.tick(actor, deadline))
            if self.racy:
                self.ready.append(self.alarm)

    def choose_random(self, actor: Address, count: int, bound: int) -> int:
        """Ask the oracle."""
        return self.oracle.next_random(actor, count, bound)

    # What the world's owner asks for.

    def tell(self, dst: Address, body: Message) -> None:
        """Send a message from outside."""
        self.post(self.world, self.first(dst, body))

    def run(self, most: int | None = None) -> bool:
        """Deliver until nothing can happen any more, or the oracle stops; return whether the world is quiet.

        Args:
            most: stop after this many arrivals; another call goes on.

        Raises:
            InternalError: an actor failed.

        """
        ready, actors, record, choose = self.ready, self.actors, self.record, self.oracle.next_arrival
        observe = [observer.arrived for observer in self.observers]
        while ready or self.alarm.outbox:
            if not ready:
                ready.append(self.alarm)
            if self.arrivals == most or (index := choose(ready)) is None:
                return False
            sender = ready.pop(index)
            outbox = sender.outbox
            envelope = outbox.popleft()
            if outbox:
                ready.append(sender)
            self.arrivals += 1
            if record is not None:
                record(self.arrivals, envelope)
            if (receiver := actors.get(envelope.dst)) is None:
                raise InternalError(f"{envelope.dst} does not exist: {envelope}")
            receiver.on_receive(envelope)
            for arrived in observe:
                arrived(self.arrivals, envelope)
            if self.failure is not None:
                raise self.failure
        return True
