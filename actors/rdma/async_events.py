"""Asynchronous events of a uverbs context: what the kernel tells all who have it open [ibv_get_async_event(3)].

Every process that has the context open gets every event [4.10], once: a queue with a place for each reader.
"""

import errno
from dataclasses import dataclass, field
from typing import NamedTuple

from longpin.actors.base import Actor, ActorPart, handles
from longpin.actors.constants import IBV_EVENT_DEVICE_FATAL
from longpin.actors.conversation import Conversation, KernelError, Wait, WaitQueue, WaitsFor
from longpin.actors.rdma.objects import KIND_OF, ObjectTable, Region
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.rdma.revocation import Acknowledge, AsyncEvent, QueueEvent, TakeEvent


@dataclass(slots=True)
class _Queued:
    """An event, and who has had it."""

    number: int
    type: int
    registration: Address
    handle: int
    """Of what it is about, if that is no region."""
    taken: list[Address] = field(default_factory=list)


class _Taken(NamedTuple):
    """An event that a process has had and not acknowledged."""

    number: int
    process: Address
    handle: int


class AsyncEvents(ActorPart):
    """The events, and those who wait for one."""

    def __init__(self, actor: Actor, table: ObjectTable) -> None:
        self.actor = actor
        self.table = table
        self.queue: list[_Queued] = []
        """In the order in which they came; those of a region go with it."""
        self.count = 0
        """How many there ever were."""
        self.readers = WaitQueue()
        self.unacknowledged: list[_Taken] = []
        self.acknowledged = WaitQueue()

    @handles(QueueEvent)
    def queue_event(self, request: QueueEvent, _src: Address) -> Done:
        """Queue an event, and wake who waits for one."""
        self.add(request.type, request.registration, request.handle)
        return DONE

    def add(self, kind: int, registration: Address = "", handle: int = 0) -> None:
        """Queue an event about a registration, another object, or the device."""
        self.count += 1
        self.queue.append(_Queued(self.count, kind, registration, handle))
        self.readers.wake_all(self.actor)

    def published(self, registration: Address) -> None:
        """Wake who waits for an event, if there is one about a registration that has a handle from now on."""
        if any(event.registration == registration for event in self.queue):
            self.readers.wake_all(self.actor)

    @handles(TakeEvent)
    def take(self, request: TakeEvent, _src: Address) -> Conversation[AsyncEvent]:
        """Return the oldest event that a process has not had, and wait for one if it is to."""
        while (event := self._next(request.process)) is None:
            if any(event.type == IBV_EVENT_DEVICE_FATAL for event in self.queue):
                raise KernelError(errno.EIO)
            if not request.wait:
                raise KernelError(errno.EAGAIN)
            yield self.readers.sleep(WaitsFor("event", self.actor.address, "an asynchronous event"))
        event.taken.append(request.process)
        handle = event.handle or self._handle_of(event.registration)
        self.unacknowledged.append(_Taken(event.number, request.process, handle))
        return AsyncEvent(event.number, event.type, handle, self._kind_of(handle))

    def _next(self, process: Address) -> _Queued | None:
        """Return the next event of a process; one about a region that has no handle yet is told when it has."""
        return next(
            (
                event
                for event in self.queue
                if process not in event.taken and (not event.registration or self._handle_of(event.registration))
            ),
            None,
        )

    def _handle_of(self, registration: Address) -> int:
        return next(
            (
                handle
                for handle, thing in self.table.things.items()
                if isinstance(thing, Region) and thing.owner == registration
            ),
            0,
        )

    def _kind_of(self, handle: int) -> str:
        thing = self.table.things.get(handle)
        return next((kind for kind, its in KIND_OF.items() if isinstance(thing, its)), "")

    @handles(Acknowledge)
    def acknowledge(self, request: Acknowledge, _src: Address) -> Done:
        """Note that a process is done with an event."""
        for taken in self.unacknowledged:
            if (taken.number, taken.process) == (request.number, request.process):
                self.unacknowledged.remove(taken)
                self.acknowledged.wake_all(self.actor)
                return DONE
        raise KernelError(errno.EINVAL)

    def forget(self, registration: Address) -> None:
        """Drop the events of a region that is destroyed: nobody hears of what is gone [ib_uverbs_release_uevent]."""
        self.queue[:] = [event for event in self.queue if event.registration != registration]

    def forget_object(self, handle: int) -> None:
        """Drop the events of a queue that is destroyed."""
        self.queue[:] = [event for event in self.queue if event.handle != handle]

    def settled(self, handle: int, process: Address) -> Conversation[None]:
        """Wait until a process has acknowledged all it has had of an object, which is gone [ibv_get_async_event(3)].

        Nothing in the kernel is held up by that.
        """
        while any((taken.handle, taken.process) == (handle, process) for taken in self.unacknowledged):
            detail = f"an acknowledgement of the events of object {handle}"
            yield self.acknowledged.sleep(WaitsFor("event", self.actor.address, detail), Wait.KILLABLE)
