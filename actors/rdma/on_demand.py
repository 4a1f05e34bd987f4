"""On-demand paging: regions without pins, of which the device has a page table of its own [1.10.3].

A region remembers whose memory it is and where. An access that finds no entry faults in that process; an entry is made
only if the process's page table has not changed meanwhile, of which the driver is told [longpin.messages.mm.notifier].
"""

from collections.abc import Iterator

from longpin.actors.base import Actor, ActorPart, handles
from longpin.actors.conversation import Call, Conversation, KernelError, Wait, WaitsFor
from longpin.actors.kernel.machine import Kernel
from longpin.actors.locks import Lock
from longpin.actors.mm.gup import unpin_user_pages
from longpin.actors.rdma.objects import DevicePageTable, Region
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.mm.memory import PinnedPage
from longpin.messages.mm.mm import Registration, UserPages
from longpin.messages.mm.notifier import AddNotifier, FaultRemote, InvalidateEnd, InvalidateStart, RemoveNotifier
from longpin.messages.rdma.device import RdmaDevice
from longpin.messages.rdma.verbs import Register


class OnDemand(ActorPart):
    """The device's page tables of a context, and the faults of its devices."""

    def __init__(self, actor: Actor, kernel: Kernel) -> None:
        self.actor = actor
        self.kernel = kernel
        self.tables: dict[Address, DevicePageTable] = {}
        """By region, from before it is published until it is gone."""
        self.faults = 0

    def add(self, request: Register, in_use: Lock, device: RdmaDevice) -> Conversation[DevicePageTable]:
        """Follow the page table of the process that registers memory."""
        umem, registration = request.on_demand, request.registration
        assert umem is not None
        name = registration.owner
        checks = self.kernel.checks_entries(device)
        table = DevicePageTable(name, registration.mm, umem.address, umem.caller, in_use, checks)
        self.tables[name] = table
        first = umem.address // self.kernel.page_size
        yield Call(registration.mm, AddNotifier(name, first, first + umem.pages - 1))
        if not checks:  # others do so too, and nobody can tell: they look again before they write
            yield from self.prefetch(table, range(umem.pages), write=False, snapshot=True)
        return table

    def remove(self, region: Region) -> Conversation[None]:
        """Follow it no more for a region that no device accesses any more."""
        if region.table is not None:
            yield Call(region.table.mm, RemoveNotifier(region.owner))
            del self.tables[region.owner]

    # What the memory map says.

    @handles(InvalidateStart)
    def invalidate(self, request: InvalidateStart, _src: Address) -> Conversation[Done]:
        """Take entries from the device, which has finished with the pages when this is answered."""
        table = self.tables.get(request.name)
        if table is None:
            return DONE
        table.changing += 1
        table.sequence += 1
        begin = table.address // self.kernel.page_size
        with (yield table.in_use.exclusive()):
            for index in range(request.first - begin, request.last - begin + 1):
                table.entries.pop(index, None)
        return DONE

    @handles(InvalidateEnd)
    def invalidated(self, request: InvalidateEnd, _src: Address) -> Done:
        """Let faults go on."""
        table = self.tables.get(request.name)
        if table is not None and table.changing:
            table.changing -= 1
            if not table.changing:
                table.changed.wake_all(self.actor)
        return DONE

    # Faults.

    def _fault(
        self, table: DevicePageTable, index: int, pages: int, *, write: bool, snapshot: bool = False
    ) -> Conversation[None]:
        """Have the owner's memory map make pages present, and enter them if nothing has changed meanwhile.

        A ``snapshot`` enters what is present already, and there may be nothing.

        Raises:
            KernelError: EINVAL, the owner has gone; EFAULT, nothing can be accessed there.

        """
        while table.changing:  # mmu_interval_read_begin
            reason = WaitsFor("lock", self.actor.address, f"changes of the pages of {table.name} to end")
            yield table.changed.sleep(reason, Wait.UNINTERRUPTIBLE)
        sequence = table.sequence
        self.faults += 1
        owner = f"{table.name}.fault{self.faults}"
        address = table.address + index * self.kernel.page_size
        got: UserPages = yield Call(
            table.mm, FaultRemote(address, pages, write, owner, self.actor.address, table.caller, snapshot)
        )
        if table.sequence == sequence:  # else EAGAIN: the access faults again
            for place, page in enumerate(_pages_of(got), index):
                table.entries[place] = page, write
        if self.kernel.generation.on_demand_references:
            held = Registration(owner, self.actor.address, table.mm, 0, got.runs, got.holds, got.attached)
            yield from unpin_user_pages(self.kernel, held)

    def fault_in(self, table: DevicePageTable, places: range, *, write: bool) -> Conversation[bool]:
        """Have pages of a region made accessible to the device; return whether that was possible.

        Nothing keeps them: the caller looks again with the region's lock.
        """
        place = table.missing(places, write=write)
        if place is not None:
            try:
                yield from self._fault(table, place, places.stop - place, write=write)
            except KernelError:
                return False
        return True

    def prefetch(self, table: DevicePageTable, places: range, *, write: bool, snapshot: bool) -> Conversation[None]:
        """Fault in pages that no access waits for; of a snapshot, enter those that are present.

        Raises:
            KernelError: EFAULT, nothing can be accessed there; EINVAL, the owner has gone.

        """
        for place in places if snapshot else ():
            if place not in table.entries:
                yield from self._fault(table, place, 1, write=False, snapshot=True)
        while not snapshot and (missing := table.missing(places, write=write)) is not None:
            yield from self._fault(table, missing, places.stop - missing, write=write)


def _pages_of(got: UserPages) -> Iterator[PinnedPage]:
    for first, length in got.runs:
        yield from (first.after(distance) for distance in range(length))
