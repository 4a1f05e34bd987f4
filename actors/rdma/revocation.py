"""How a uverbs context loses a region to the kernel: void key, accesses at their end, pages let go of or kept [1.10].

A region that was revoked is still an object of the context: who registered it may deregister it.
"""

from dataclasses import replace
from functools import partial

from longpin.actors.base import Actor, ActorPart, handles
from longpin.actors.constants import IBV_EVENT_DEVICE_FATAL
from longpin.actors.conversation import Call, Conversation, Step, Wait, WaitQueue, WaitsFor
from longpin.actors.kernel.machine import Kernel
from longpin.actors.mm.gup import let_go
from longpin.actors.rdma.async_events import AsyncEvents
from longpin.actors.rdma.holds import holds_to_drop
from longpin.actors.rdma.objects import ObjectTable, QueuePairEntry, Region
from longpin.messages.clock import CLOCK, ArmTimer, TimerExpired
from longpin.messages.envelope import Address, Done
from longpin.messages.rdma.revocation import ReuseAddresses, RevokeRegion
from longpin.messages.rdma.work import FailQp


class Revocation(ActorPart):
    """The regions that were revoked, and the addresses that are free because of it."""

    def __init__(self, actor: Actor, kernel: Kernel, table: ObjectTable, events: AsyncEvents) -> None:
        self.actor = actor
        self.kernel = kernel
        self.table = table
        self.events = events
        self.early: set[Address] = set()
        """Regions that were revoked before they were published."""
        self.freed: list[int] = []
        """Handles of regions whose addresses are free, deregistered ones too."""
        self.waits: dict[str, WaitQueue] = {}
        """Who waits for the device, by the name of the timer."""
        self.count = 0

    @handles(RevokeRegion)
    def revoke(self, request: RevokeRegion, _src: Address) -> Conversation[Done]:
        """Void a key for good and wait for accesses under way; unpin, or let the pages be until deregistration."""
        if request.after:
            yield from self._wait_for_device(request.after)
        found = next(((h, region) for h, region in self._regions() if region.owner == request.region), None)
        if found is None:
            self.early.add(request.region)
            return Done(0)
        taken = self._regions() if request.whole_context else [found]
        for _, region in taken:
            region.revoked = True
        if request.whole_context:
            yield from self._disassociate()
        for handle, region in taken:
            yield from self._end_accesses(handle, region, request)
        return Done(1)

    def _regions(self) -> list[tuple[int, Region]]:
        return self.table.of_kind(Region)

    def _wait_for_device(self, seconds: float) -> Conversation[None]:
        self.count += 1
        name = f"revocation {self.count}"
        queue = self.waits[name] = WaitQueue()
        self.actor.send(CLOCK, ArmTimer(name, seconds))
        while name in self.waits:
            yield queue.sleep(WaitsFor("timer", CLOCK, "the device to take a key back"), Wait.UNINTERRUPTIBLE)

    @handles(TimerExpired)
    def answered(self, timer: TimerExpired, _src: Address) -> None:
        """Go on: the device has had its time."""
        self.waits.pop(timer.name).wake_all(self.actor)

    def _disassociate(self) -> Conversation[None]:
        """Have all queue pairs fail, and say that the device is gone [ib_uverbs_free_hw_resources]."""
        self.table.disassociated = True
        self.events.add(IBV_EVENT_DEVICE_FATAL)
        for _, entry in self.table.of_kind(QueuePairEntry):
            yield Call(entry.address, FailQp())

    def _end_accesses(self, handle: int, region: Region, request: RevokeRegion) -> Conversation[None]:
        """Wait for accesses under way; then do what is wanted with the pages, if nobody deregisters the region."""
        with (yield region.in_use.exclusive()):
            if self.table.things.get(handle) is not region or handle in self.table.dying:
                return
            if request.reuse:
                self.freed.append(handle)
            if request.unpin:
                yield from self._unpin_early(region)

    def _unpin_early(self, region: Region) -> Conversation[None]:
        """Let go of the pages of a region, and of what they held; the region itself stays, with its charge."""
        registration = region.request.registration
        left = registration._replace(attached=())
        region.request = replace(region.request, registration=left)
        yield from let_go(self.kernel, registration, partial(holds_to_drop, self.kernel, self.table.things, region))

    def give_addresses(self, handle: int) -> Conversation[None]:
        """Give a new region addresses that are free: what looks for the old region there finds the new one [MD8]."""
        yield Step(ReuseAddresses())
        while self.freed:
            old = self.table.things.get(self.freed.pop(0))
            if isinstance(old, Region):
                old.successor = handle
                return

    def at_addresses_of(self, region: Region) -> Conversation[tuple[int, Region] | None]:
        """Return which region is where one was whose addresses were free; None: there is none any more."""
        yield Step(ReuseAddresses())
        other = self.table.things.get(region.successor)
        if not isinstance(other, Region) or other.revoked or region.successor in self.table.dying:
            return None
        return region.successor, other
