"""What a uverbs context owns: protection domains, memory regions and windows, queues, queue pairs [1.10]."""

import errno
from dataclasses import dataclass, field, replace
from typing import TypeVar

from longpin.actors.conversation import KernelError, WaitQueue
from longpin.actors.locks import Hold, Lock
from longpin.messages.envelope import Address
from longpin.messages.mm.memory import PinnedPage
from longpin.messages.process.caller import Caller
from longpin.messages.rdma.verbs import ObjectKind, QueuePairQueues, Register
from longpin.messages.rdma.work import Completion, ReceiveRequest


@dataclass(slots=True)
class Pd:
    """A protection domain."""

    users: int = 0
    """What is in it: regions, windows, shared receive queues and queue pairs."""


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
    windows: int = 0
    """How many are bound to it."""
    writable: bool = True
    """Its pages may be written to by the device, whatever it lets others do."""

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

    cqe: int
    """For how many it has room."""
    completions: list[Completion] = field(default_factory=list)
    waiters: WaitQueue = field(default_factory=WaitQueue)
    users: int = 0
    """Queue pairs, each counted for sending and for receiving."""


@dataclass(slots=True)
class MemoryWindow:
    """A memory window: a key of its own for a part of a region [ibv_alloc_mw(3)]."""

    pd: int
    type: int
    mr: int = 0
    """The region that it is bound to; 0: none."""
    offset: int = 0
    length: int = 0
    access: int = 0
    qp: Address = ""
    """The queue pair that has bound it, if it is of type 2: no other can use it."""

    def unbind(self) -> None:
        """Have it give no access to anything."""
        self.mr = self.offset = self.length = self.access = 0
        self.qp = ""


@dataclass(slots=True)
class SharedReceiveQueue:
    """Receives that several queue pairs take from [ibv_create_srq(3)]."""

    pd: int
    max_wr: int
    limit: int
    """An event is queued when fewer are left, once; 0: none is."""
    requests: list[ReceiveRequest] = field(default_factory=list)
    waiters: WaitQueue = field(default_factory=WaitQueue)
    """Queue pairs whose peers have sent something for which there is no request."""
    users: int = 0
    """Queue pairs."""


@dataclass(slots=True)
class QueuePairEntry:
    """A queue pair of the context."""

    address: Address
    queues: QueuePairQueues


Object = Pd | Region | MemoryWindow | CompletionQueue | SharedReceiveQueue | QueuePairEntry
T = TypeVar("T", bound=Object)

KIND_OF: dict[ObjectKind, type[Object]] = {
    ObjectKind.PD: Pd,
    ObjectKind.MR: Region,
    ObjectKind.MW: MemoryWindow,
    ObjectKind.CQ: CompletionQueue,
    ObjectKind.SRQ: SharedReceiveQueue,
    ObjectKind.QP: QueuePairEntry,
}


class ObjectTable:
    """The objects of a context by their handles, and who uses what."""

    def __init__(self) -> None:
        self.things: dict[int, Object] = {}
        self.given = 0
        """The handle given last."""
        self.dying: set[int] = set()
        """Regions being taken down: their keys are void. Invariant: a subset of the handles."""
        self.disassociated = False
        """The device is gone from this context: nothing new can be made."""

    def add(self, thing: Object) -> int:
        """Give an object a handle.

        Raises:
            KernelError: EIO, the device is gone.

        """
        self.check_device()
        self.given += 1
        self.things[self.given] = thing
        return self.given

    def check_device(self) -> None:
        """Fail with EIO if the device is gone [ib_uverbs: srcu_dereference of ib_dev]."""
        if self.disassociated:
            raise KernelError(errno.EIO)

    def find(self, kind: type[T], handle: int) -> T:
        """Return an object.

        Raises:
            KernelError: EINVAL, there is none of the kind.

        """
        thing = self.things.get(handle)
        if not isinstance(thing, kind) or handle in self.dying:
            raise KernelError(errno.EINVAL)
        return thing

    def of_kind(self, kind: type[T]) -> list[tuple[int, T]]:
        """Return the objects of a kind with their handles."""
        return [(handle, thing) for handle, thing in self.things.items() if isinstance(thing, kind)]

    def use(self, handle: int, count: int = 1) -> None:
        """Count a user more of a domain or queue, or one less; one that is gone has none."""
        thing = self.things.get(handle)
        if isinstance(thing, Pd | CompletionQueue | SharedReceiveQueue):
            thing.users += count

    def is_used(self, handle: int) -> bool:
        """Return whether an object cannot go because others need it."""
        thing = self.things[handle]
        if isinstance(thing, Region):
            return thing.windows > 0
        return isinstance(thing, Pd | CompletionQueue | SharedReceiveQueue) and thing.users > 0
