"""The threads engine: pykka's ThreadingActor, one thread an actor; races are the operating system's.

An arrival gets its number, and is logged, inside the mutex of the inbox it reaches. Numbers rise along every inbox,
along what every sender sends, and from a message to what its handler sends, so the order of the numbers is one the
stepped engine can follow. Logging outside that mutex would not give this; one mutex for all inboxes would convoy.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from queue import SimpleQueue
from typing import Any

from pykka import ActorRef, ActorRegistry
from pykka._envelope import Envelope as PykkaEnvelope

from longpin.actors.base import Actor
from longpin.messages.envelope import WORLD, Address, Envelope, Message
from longpin.runner.engines.engine import ALARM, EngineBase, InternalError

POLL = 0.0005
"""Seconds between looks at the log and at whether the world is quiet."""

JOIN_TIMEOUT = 10.0
"""Seconds a thread may take to end after its actor has stopped."""


class TooManyThreadsError(Exception):
    """The system allows no more threads; the text is one line."""


class ArrivalInbox:
    """An inbox that numbers and logs what reaches it, and counts what was handled."""

    __slots__ = ("arrived", "handled", "log", "mutex", "numbers", "queue", "taken")

    def __init__(self, numbers: "count[int]", log: deque[tuple[int, Envelope]]) -> None:
        self.mutex = threading.Lock()
        self.queue: SimpleQueue[PykkaEnvelope[Any]] = SimpleQueue()
        self.numbers = numbers
        self.log = log
        self.arrived = 0
        self.taken = 0
        self.handled = 0
        # Invariant: handled <= taken <= arrived, and handled < taken exactly while a handler runs.

    def put(self, envelope: PykkaEnvelope[Any], /) -> None:
        """Let a message arrive; pykka's own, such as the one to stop, are not arrivals."""
        message = envelope.message
        if type(message) is not Envelope:
            self.queue.put(envelope)
            return
        with self.mutex:
            self.arrive(envelope)

    def arrive(self, envelope: PykkaEnvelope[Any]) -> None:
        """Number, log and queue an arrival; the mutex is held."""
        self.arrived += 1
        self.log.append((next(self.numbers), envelope.message))
        self.queue.put(envelope)

    def get(self) -> PykkaEnvelope[Any]:
        """Return the next message; the one returned before has been handled."""
        self.handled = self.taken
        envelope = self.queue.get()
        if type(envelope.message) is Envelope:
            self.taken += 1
        return envelope

    def empty(self) -> bool:
        """Return whether nothing waits."""
        return self.queue.empty()


class ThreadsEngine(EngineBase):
    """A world that runs by itself; :meth:`run` watches it until it is quiet."""

    def __init__(
        self,
        record: Callable[[int, Envelope], None],
        flush: Callable[[], None],
        *,
        time_scale: float = 0.001,
        alarms: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(seed, alarms=alarms)
        self.record = record
        """Called in the order of the numbers, from the thread that calls :meth:`run`."""
        self.flush = flush
        """Called after each batch of arrivals was recorded."""
        self.time_scale = time_scale
        """Real seconds a virtual second takes."""
        self.numbers = count(1)
        self.log: deque[tuple[int, Envelope]] = deque()
        self.inboxes: dict[Address, ArrivalInbox] = {}
        self.actors: dict[Address, Actor] = {}
        """Every actor; to look at only when the world is quiet."""
        self.closing = False
        self.exhausted: TooManyThreadsError | None = None
        self.unstarted = 0
        """Actors whose thread could not be started."""
        self.refs: list[ActorRef[Any]] = []
        self.threads: list[threading.Thread] = []
        self.alarm_set: tuple[Actor, float, float] | None = None
        """Who set the alarm, for when in virtual seconds, and when that is on the monotonic clock."""
        self.now = 0.0
        """Virtual time of the last tick."""
        self.arrivals = 0
        """Arrivals recorded so far, in the order of their numbers, none missing."""
        self._early: dict[int, Envelope] = {}
        """Logged, but an arrival with a smaller number is not logged yet."""
        self.world = Actor(self, WORLD)
        self.alarm = Actor(self, ALARM)

    # What actors ask for.

    def create_inbox(self, actor: Actor) -> ArrivalInbox:
        """Return a logging inbox."""
        return ArrivalInbox(self.numbers, self.log)

    def start_loop(self, actor: Actor, loop: Callable[[], None]) -> None:
        """Start pykka's thread."""
        self.inboxes[actor.address] = actor.actor_inbox  # type: ignore[assignment]
        self.actors[actor.address] = actor
        loop()

    def started(self, actor: Actor) -> None:
        """Note the thread, which is the current one."""
        self.threads.append(threading.current_thread())

    def spawn(self, kind: type[Actor], address: Address, *args: Any) -> None:
        """Create and start an actor the way pykka does.

        Raises:
            TooManyThreadsError: the system allows no more threads.

        """
        if address in self.inboxes:
            raise InternalError(f"a second actor would have the address {address}")
        try:
            self.refs.append(kind.start(self, address, *args))
        except RuntimeError as error:
            if (actor := self.actors.get(address)) is not None:
                ActorRegistry.unregister(actor.actor_ref)
            self.unstarted += 1
            could = len(self.inboxes) - self.unstarted
            raise TooManyThreadsError(
                f"the system does not allow as many threads as there are actors: {could} could be started"
            ) from error

    def failed(self, actor: Actor, error: Exception) -> None:
        """Keep the first failure; that there are no more threads is none of the actor's."""
        if isinstance(error, TooManyThreadsError):
            self.exhausted = self.exhausted or error
        else:
            super().failed(actor, error)

    def post(self, actor: Actor, envelope: Envelope) -> None:
        """Put it into the receiver's inbox; a world that is being closed is still."""
        if self.closing:
            return
        self.inboxes[envelope.dst].put(PykkaEnvelope(envelope))

    def set_alarm(self, actor: Actor, deadline: float | None) -> None:
        """Replace the one alarm; set again for the same time, it goes on running."""
        if deadline is None or not self.alarms:
            self.alarm_set = None
        elif self.alarm_set is None or self.alarm_set[1] != deadline:
            due = time.monotonic() + (deadline - self.now) * self.time_scale
            self.alarm_set = (actor, deadline, due)

    # What the world's owner asks for.

    def tell(self, dst: Address, body: Message) -> None:
        """Send a message from outside."""
        self.post(self.world, self.first(dst, body))

    def run(self, deadline: float | None = None, most: int | None = None) -> bool:
        """Record arrivals and let alarms go off until nothing can happen any more; return whether that is so.

        Args:
            deadline: on the monotonic clock; the run is given up then.
            most: give it up after about this many arrivals.

        Raises:
            InternalError: an actor failed.
            TooManyThreadsError: the system allows no more threads.

        """
        while self.failure is None and self.exhausted is None:
            self._record_log()
            alarm = self.alarm_set
            if alarm is not None:
                self._fire_if_due(*alarm)
            elif self._quiet() and self.alarm_set is None:
                break
            late = deadline is not None and time.monotonic() > deadline
            if late or (most is not None and self.arrivals > most):
                return False
            time.sleep(POLL)
        self._record_log()
        if self.exhausted is not None:
            raise self.exhausted
        if self.failure is not None:
            raise self.failure
        return True

    def _quiet(self) -> bool:
        """Return whether every message has been handled.

        What was handled is summed up before what arrived, and both only grow: if the sums are equal, they were equal
        at every moment in between, so no handler was running that could have sent more.
        """
        handled = sum(inbox.handled for inbox in list(self.inboxes.values()))
        return handled == sum(inbox.arrived for inbox in list(self.inboxes.values()))

    def _fire_if_due(self, actor: Actor, deadline: float, due: float) -> None:
        """Let the tick arrive, if it is time, and nothing is on its way to the clock that could change the alarm."""
        inbox = self.inboxes[actor.address]
        if time.monotonic() < due:
            return
        with inbox.mutex:
            if inbox.handled != inbox.arrived or self.alarm_set != (actor, deadline, due):
                return
            self.alarm_set = None
            self.now = deadline
            inbox.arrive(PykkaEnvelope(self.tick(actor, deadline)))

    def _record_log(self) -> None:
        """Hand on what was logged, in the order of the numbers; an arrival whose turn has not come waits."""
        log, early = self.log, self._early
        if not log:
            return
        while log:
            number, envelope = log.popleft()
            if number > self.arrivals + 1:
                early[number] = envelope
                continue
            self.arrivals = number
            self.record(number, envelope)
            while early and (waiting := early.pop(self.arrivals + 1, None)) is not None:
                self.arrivals += 1
                self.record(self.arrivals, waiting)
        self.flush()

    def close(self) -> None:
        """Stop every actor and wait for its thread. What a world that is not quiet sends from now on is lost.

        Raises:
            InternalError: a thread does not end.

        """
        self.closing = True
        for ref in self.refs:  # and those that a handler under way still adds
            if ref.is_alive():
                ref.stop(block=False)
            ref.actor_stopped.wait(JOIN_TIMEOUT)
        for thread in self.threads:
            thread.join(JOIN_TIMEOUT)
            if thread.is_alive():
                raise InternalError(f"the thread of an actor does not end: {thread.name}")
        self.refs.clear()
        self.threads.clear()
        self.inboxes.clear()
        self.actors.clear()
