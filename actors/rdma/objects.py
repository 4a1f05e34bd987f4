"""What a uverbs context owns: protection domains, memory regions, completion queues, queue pairs [1.10]."""

from dataclasses import dataclass, field, replace

from longpin.actors.conversation import WaitQueue
from longpin.actors.locks import Hold, Lock
from longpin.messages.envelope import Address
from longpin.messages.mm.memory import PinnedPage
from longpin.messages.process.caller import Caller
from longpin.messages.rdma.verbs import ObjectKind, Register


@dataclass(slots=True)
class Pd:
    """A protection domain."""

    users: int = 0
    """Regions and queue pairs in it."""


@dataclass(slots=True)
class DevicePageTable:
    """What a device knows of the pages of one region that pins none [1.10.3]."""

    name: Address
    """The region's."""
    mm: Address
    """The memory map whose pages they are."""
    address: int
    """Of the first page."""
    caller: Caller
    """The process that registered it."""
    in_use: Lock
    """The region's."""
    checks: bool = True
    """The device looks whether an entry allows it to write [rxe_check_pagefault]."""
    entries: dict[int, tuple[PinnedPage, bool]] = field(default_factory=dict)
    """The pages the device has, by their places in the region, and whether it may write to them."""
    sequence: int = 0
    """How often entries of the process have begun to change."""
    changing: int = 0
    """How many changes have begun and not ended."""
    changed: WaitQueue = field(default_factory=WaitQueue)
    """Who waits for them to end."""

    def missing(self, places: range, *, write: bool) -> int | None:
        """Return the first page that the device cannot access so; None: there is none."""
        looks = write and self.checks
        return next((i for i in places if i not in self.entries or (looks and not self.entries[i][1])), None)


@dataclass(slots=True)
class Region:
    """A memory region: pages that are pinned, or paged on demand, and how the device may access them."""

    request: Register
    in_use: Lock
    """Held shared by the device while it accesses the pages, exclusively while the region is taken down."""
    device: list[Hold] = field(default_factory=list)
    """The device's holds."""
    revoked: bool = False
    """The kernel has taken it from the device; who registered it may still deregister it."""
    successor: int = 0
    """The handle of the region that was given its addresses, which were free again; 0: they are its own [4.4]."""

    table: DevicePageTable | None = None
    """The device's page table, if the region pins no pages."""

    def page(self, index: int) -> PinnedPage:
        """Return a page that the device has."""
        return self.request.registration.page(index) if self.table is None else self.table.entries[index][0]

    @property
    def owner(self) -> Address:
        """The name by which pages know it."""
        return self.request.registration.owner

    def keep(self, holds: tuple[Address, ...]) -> None:
        """Hold nothing else from now on."""
        self.request = replace(self.request, registration=self.request.registration._replace(holds=holds))


@dataclass(slots=True)
class CompletionQueue:
    """Completions nobody has polled, and who waits for one."""

    statuses: list[int] = field(default_factory=list)
    waiters: WaitQueue = field(default_factory=WaitQueue)


@dataclass(slots=True)
class QueuePairEntry:
    """A queue pair of the context."""

    address: Address
    pd: int


Object = Pd | Region | CompletionQueue | QueuePairEntry
KIND_OF: dict[ObjectKind, type[Object]] = {
    ObjectKind.PD: Pd,
    ObjectKind.MR: Region,
    ObjectKind.CQ: CompletionQueue,
    ObjectKind.QP: QueuePairEntry,
}
