"""A memory map as /proc shows it: how much of it is pinned and locked, and in which frames its pages lie [2.9]."""

from longpin.actors.base import ActorPart, handles
from longpin.actors.mm.address_space import AddressSpace
from longpin.actors.mm.areas import Areas
from longpin.actors.mm.pins import Pins
from longpin.messages.envelope import Address
from longpin.messages.mm.proc import MemoryStatus, Pagemap, ReadPagemap, ReadStatus


class ShownMemory(ActorPart):
    """What is read of a memory map: nothing is locked or faulted in for it."""

    def __init__(self, space: AddressSpace, pins: Pins, areas: Areas) -> None:
        self.space = space
        self.pins = pins
        self.areas = areas

    @handles(ReadStatus)
    def status(self, _request: ReadStatus, _src: Address) -> MemoryStatus:
        """Show both counts [code: task_mem]."""
        return MemoryStatus(self.pins.pinned_vm, self.areas.locked_vm)

    @handles(ReadPagemap)
    def pagemap(self, request: ReadPagemap, _src: Address) -> Pagemap:
        """Show one entry of the page table [code: pagemap_pmd_range]."""
        pte = self.space.page_table.get(request.address // self.space.page_size)
        return Pagemap(None if pte is None else pte.frame)
