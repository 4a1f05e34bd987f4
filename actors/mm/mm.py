"""A memory map (``mm_struct``): mappings, page table, and the pages charged to RLIMIT_MEMLOCK [1.1, 1.8, 1.9].

A process has one, its threads share it; fork makes a copy, exec leaves it for a new one. What was pinned through it is
charged to it for as long as it is pinned, so it may outlive its process.

The process asks, and is answered when the last page is there: a fault inside a load is a conversation of this actor
with the inode. What others do to it from outside is installing entries, zapping them, and giving pinned pages back.
Nothing here ends with a signal but MADV_REMOVE, so of other calls none is passed on
(:class:`~longpin.actors.conversation.Uninterruptible`).

It is composed: it has the state that its parts share, and each part, a module, answers the calls of one kind.
"""

from collections.abc import Mapping as Table
from typing import ClassVar

from longpin.actors.base import Actor, ActorPart, Engine
from longpin.actors.kernel.machine import Kernel
from longpin.actors.locks import Lock
from longpin.actors.mm.address_space import AddressSpace, Mapping
from longpin.actors.mm.anonymous import AnonymousMemory
from longpin.actors.mm.areas import Areas
from longpin.actors.mm.faults import Faults
from longpin.actors.mm.fork import Fork
from longpin.actors.mm.huge_mappings import HugeMappings
from longpin.actors.mm.new_mappings import NewMappings
from longpin.actors.mm.notifiers import Notifiers
from longpin.actors.mm.page_tables import PageTables
from longpin.actors.mm.pins import Pins
from longpin.actors.mm.ranges import Ranges
from longpin.actors.mm.remap import Remap
from longpin.actors.mm.remote_faults import RemoteFaults
from longpin.actors.mm.shown import ShownMemory
from longpin.messages.envelope import Address


class Mm(Actor):
    """The memory of one process.

    Locks are taken in the order mmap lock, the inode's mmap lock (in a fault), page table lock.
    """

    parts: ClassVar[Table[str, type[ActorPart]]] = {
        "page_tables": PageTables,
        "faults": Faults,
        "pins": Pins,
        "areas": Areas,
        "ranges": Ranges,
        "remap": Remap,
        "new_mappings": NewMappings,
        "fork": Fork,
        "notifiers": Notifiers,
        "remote_faults": RemoteFaults,
        "shown_memory": ShownMemory,
    }

    def __init__(
        self,
        engine: Engine,
        address: Address,
        kernel: Kernel,
        mappings: tuple[Mapping, ...] = (),
        inherits: bool = False,
    ) -> None:
        super().__init__(engine, address)
        self.space = space = AddressSpace(kernel.page_size, mappings)
        self.mmap_lock = mmap_lock = Lock(self, f"the mmap lock of {address}")
        """Exclusive while mappings change, shared while something relies on them."""
        self.page_table_lock = page_table_lock = Lock(self, f"the page table lock of {address}")
        self.anonymous = anonymous = AnonymousMemory(self, kernel.page_size)
        self.huge = huge = HugeMappings(address, kernel, space)
        self.notifiers = notifiers = Notifiers(self, space)
        self.page_tables = page_tables = PageTables(space, page_table_lock, anonymous, notifiers, inherits=inherits)
        self.faults = faults = Faults(
            kernel, space, mmap_lock, page_table_lock, anonymous, huge, notifiers, page_tables
        )
        self.areas = areas = Areas(address, space, mmap_lock, anonymous, huge, notifiers)
        self.pins = pins = Pins(address, kernel, space, mmap_lock, faults, areas)
        self.remote_faults = RemoteFaults(kernel, space, mmap_lock, faults, pins, notifiers)
        self.shown_memory = ShownMemory(space, pins, areas)
        self.ranges = Ranges(space, mmap_lock, page_table_lock, anonymous, huge, faults, areas, notifiers)
        self.remap = Remap(kernel, space, mmap_lock, huge, faults, areas, notifiers)
        self.new_mappings = NewMappings(self, kernel, space, mmap_lock, huge, faults, areas)
        self.fork = Fork(self, kernel, space, mmap_lock, page_table_lock, huge, notifiers)

    # For those who watch.

    @property
    def pinned_vm(self) -> int:
        """How many pages are pinned and charged here."""
        return self.pins.pinned_vm

    @property
    def locked_vm(self) -> int:
        """How many pages are locked, by mlock(2) and for devices."""
        return self.areas.locked_vm

    def maps(self, ofd: Address) -> bool:
        """Return whether a mapping holds an open file description."""
        return any(mapping.file.ofd == ofd for mapping in self.space.mappings)
