"""A uverbs context: protection domains, memory regions, completion queues and queue pairs [1.10].

It belongs to the open file description of ``/dev/infiniband/uverbs0``, not to a process: all who hold a descriptor
can use it, and the objects die with the last reference to that description.
"""

import errno
from collections.abc import Mapping
from functools import partial
from typing import ClassVar, Self, TypeVar

from longpin.actors.base import ActorPart, Engine, handles
from longpin.actors.conversation import Call, Conversation, KernelError, WaitsFor
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.backing import Backing, Common
from longpin.actors.fs.flocks import Flocks
from longpin.actors.kernel.machine import Kernel
from longpin.actors.locks import Hold, Lock
from longpin.actors.mm.gup import unpin_user_pages
from longpin.actors.rdma.async_events import AsyncEvents
from longpin.actors.rdma.holds import holds_to_drop
from longpin.actors.rdma.objects import KIND_OF, CompletionQueue, Object, Pd, QueuePairEntry, Region
from longpin.actors.rdma.on_demand import OnDemand
from longpin.actors.rdma.queue_pair import QueuePair
from longpin.actors.rdma.revocation import Revocation
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.inode import CloseFile
from longpin.messages.mm.memory import PinnedPage
from longpin.messages.rdma.device import ANY_DEVICE, RdmaDevice
from longpin.messages.rdma.verbs import (
    AllocPd,
    AskDevice,
    Complete,
    CreateCq,
    CreateQp,
    Destroy,
    DestroyObject,
    FindObject,
    FindRegion,
    Handle,
    MapDma,
    OfDevice,
    Poll,
    Polled,
    RegionFiles,
    Register,
    Segments,
    TearDown,
    UnmapDma,
)

T = TypeVar("T", bound=Object)


class UverbsContext(Backing):
    """The objects one open of an RDMA device owns, and the owner, mode and flock(2) locks of the device's file."""

    parts: ClassVar[Mapping[str, type[ActorPart]]] = {
        "events": AsyncEvents,
        "revocation": Revocation,
        "on_demand": OnDemand,
    }

    def __init__(self, engine: Engine, address: Address, kernel: Kernel, device: RdmaDevice = ANY_DEVICE) -> None:
        super().__init__(engine, address, kernel)
        self.device = device
        self.objects: dict[int, Object] = {}
        self.handles_given = 0
        self.dying: set[int] = set()
        """Regions being taken down: their keys are void. Invariant: a subset of ``objects``."""
        self.events = AsyncEvents(self, self.objects)
        self.revocation = Revocation(self, kernel, self.objects, self.dying, self.events)
        self.on_demand = OnDemand(self, kernel)
        self.closed = False
        self.attributes = Attributes(0, 0o666)
        """Of the device's file as this open sees it: others do not see a chmod through /proc/self/fd."""
        self.flocks = Flocks(address)

    def _new(self, thing: Object) -> int:
        self._check_device()
        self.handles_given += 1
        self.objects[self.handles_given] = thing
        return self.handles_given

    def _check_device(self) -> None:
        """Fail with EIO if the device is gone [ib_uverbs: srcu_dereference of ib_dev]."""
        if self.revocation.disassociated:
            raise KernelError(errno.EIO)

    def _find(self, kind: type[T], handle: int) -> T:
        """Return the object, or fail with EINVAL."""
        thing = self.objects.get(handle)
        if not isinstance(thing, kind) or handle in self.dying:
            raise KernelError(errno.EINVAL)
        return thing

    # Objects.

    @handles(AllocPd)
    def alloc_pd(self, _request: AllocPd, _src: Address) -> Handle:
        """ibv_alloc_pd(3)."""
        return Handle(self._new(Pd()))

    @handles(CreateCq)
    def create_cq(self, _request: CreateCq, _src: Address) -> Handle:
        """ibv_create_cq(3)."""
        return Handle(self._new(CompletionQueue()))

    @handles(CreateQp)
    def create_qp(self, request: CreateQp, _src: Address) -> Handle:
        """ibv_create_qp(3)."""
        self._check_device()
        pd = self._find(Pd, request.pd)
        self._find(CompletionQueue, request.cq)
        address = f"qp:{self.address.partition(':')[2]}.{self.handles_given + 1}"
        self.spawn(QueuePair, address, self.kernel, self.address, request.pd, request.cq)
        pd.users += 1
        return Handle(self._new(QueuePairEntry(address, request.pd)), address)

    @handles(FindObject)
    def find_object(self, request: FindObject, _src: Address) -> OfDevice:
        """Check a handle, and that the device is still there."""
        self._check_device()
        self._find(KIND_OF[request.kind], request.handle)
        return OfDevice(self.device)

    @handles(AskDevice)
    def ask_device(self, _request: AskDevice, _src: Address) -> OfDevice:
        """Say which device it belongs to."""
        return OfDevice(self.device)

    @handles(DestroyObject)
    def destroy(self, request: DestroyObject, src: Address) -> Conversation[Done]:
        """ibv_dereg_mr(3), ibv_dealloc_pd(3)."""
        thing = self._find(KIND_OF[request.kind], request.handle)
        if isinstance(thing, Pd) and thing.users:
            raise KernelError(errno.EBUSY)
        yield from self._destroy(request.handle)
        yield from self.events.settled(request.handle, src)
        return DONE

    def _destroy(self, handle: int) -> Conversation[None]:
        thing = self.objects[handle]
        if isinstance(thing, Region):
            yield from self._deregister(handle, thing)
            self.events.forget(thing.owner)
        elif isinstance(thing, QueuePairEntry):
            yield Call(thing.address, Destroy())
            self._leave_pd(thing.pd)
        del self.objects[handle]
        self.dying.discard(handle)

    def _leave_pd(self, handle: int) -> None:
        if isinstance(pd := self.objects.get(handle), Pd):
            pd.users -= 1

    # Memory regions.

    @handles(Register)
    def register(self, request: Register, _src: Address) -> Handle | Conversation[Handle]:
        """Publish a region [2.6 step 7]; ENXIO for one that was revoked while it was made."""
        name = request.registration.owner
        if name in self.revocation.early:
            raise KernelError(errno.ENXIO)
        self._check_device()
        self._find(Pd, request.pd).users += 1
        lock = Lock(self, f"device access through {name} to end")
        if request.on_demand is not None:
            return self._register_on_demand(request, lock)
        made = Handle(self._new(Region(request, lock)), name)
        self.events.published(name)
        return self._with_addresses(made) if self.revocation.freed else made

    def _register_on_demand(self, request: Register, lock: Lock) -> Conversation[Handle]:
        """Publish a region that has no pages yet, when the memory map tells of changes."""
        table = yield from self.on_demand.add(request, lock, self.device)
        made = Handle(self._new(Region(request, lock, table=table)), table.name)
        self.events.published(table.name)
        return made

    def _with_addresses(self, made: Handle) -> Conversation[Handle]:
        yield from self.revocation.give_addresses(made.handle)
        return made

    def _deregister(self, handle: int, region: Region) -> Conversation[None]:
        """Take the keys away, wait for accesses under way, then unpin and uncharge [2.6]."""
        self.dying.add(handle)
        with (yield region.in_use.exclusive()):
            gone = partial(holds_to_drop, self.kernel, self.objects, region)
            yield from unpin_user_pages(self.kernel, region.request.registration, gone)
            yield from self.on_demand.remove(region)
        self._leave_pd(region.request.pd)

    @handles(FindRegion)
    def find_region(self, request: FindRegion, _src: Address) -> RegionFiles:
        """Tell of which files a region has pages."""
        registration = self._find(Region, request.handle).request.registration
        return RegionFiles(
            registration.owner, tuple(dict.fromkeys(first.inode for first, _ in registration.runs if first.inode))
        )

    @handles(MapDma)
    def map_dma(self, request: MapDma, _src: Address) -> Conversation[Segments]:
        """Translate a key for the device, and keep the region until the device has finished."""
        handle = self._handle_of(request.key)
        region = self.objects.get(handle)
        if not isinstance(region, Region) or handle in self.dying or not self._allows(region, request):
            return Segments((), "", 0)
        if region.revoked:
            found = yield from self.revocation.at_addresses_of(region)
            if found is None or request.offset + request.length > found[1].request.length:
                return Segments((), "", 0)
            handle, region = found
        hold = yield from self._hold(handle, region, request)
        if hold is None:
            return Segments((), "", 0)
        region.device.append(hold)
        return Segments(self._segments(region, request), region.owner, handle)

    def _hold(self, handle: int, region: Region, request: MapDma) -> Conversation[Hold | None]:
        """Keep a region with the pages of an access, faulting them in if it pins none; None: they cannot be had."""
        while True:
            hold: Hold = yield region.in_use.shared()
            table = region.table
            if table is None:
                return hold
            if handle in self.dying or region.revoked:
                hold.drop()
                return None
            pages, write = _pages(region.request, request, self.kernel.page_size), request.writes
            if table.missing(pages, write=write) is None:
                return hold
            hold.drop()
            if not (yield from self.on_demand.fault_in(table, pages, write=write)):
                return None

    def _handle_of(self, key: str) -> int:
        context, _, handle = key.rpartition("/")
        return int(handle) if context == self.address and handle.isdecimal() else 0

    @staticmethod
    def _allows(region: Region, request: MapDma) -> bool:
        registered = region.request
        return (
            (not region.revoked or bool(region.successor))
            and registered.pd == request.pd
            and registered.access & request.access == request.access
            and request.offset >= 0
            and request.length > 0
            and request.offset + request.length <= registered.length
        )

    def _segments(self, region: Region, request: MapDma) -> tuple[tuple[PinnedPage, int, int], ...]:
        segments = []
        offset, length = region.request.offset + request.offset, request.length
        while length:
            index, inside = divmod(offset, self.kernel.page_size)
            part = min(length, self.kernel.page_size - inside)
            segments.append((region.page(index), inside, part))
            offset, length = offset + part, length - part
        return tuple(segments)

    @handles(UnmapDma)
    def unmap_dma(self, request: UnmapDma, _src: Address) -> None:
        """Let the region go."""
        region = self.objects[request.handle]
        assert isinstance(region, Region)
        region.device.pop().drop()

    # Completions.

    @handles(Complete)
    def complete(self, request: Complete, _src: Address) -> None:
        """Queue a completion; one for a queue that is gone is lost."""
        if isinstance(cq := self.objects.get(request.cq), CompletionQueue):
            cq.statuses.append(request.status)
            cq.waiters.wake_all(self)

    @handles(Poll)
    def poll(self, request: Poll, _src: Address) -> Conversation[Polled]:
        """ibv_poll_cq(3) takes one; ibv_get_cq_event(3) waits until there is one and leaves it."""
        cq = self._find(CompletionQueue, request.cq)
        while request.wait and not cq.statuses:
            yield cq.waiters.sleep(WaitsFor("completion", self.address, "a work completion"))
        if request.wait or not cq.statuses:
            return Polled(0, 0)
        return Polled(1, cq.statuses.pop(0))

    def node(self, _request: Common) -> Self:
        """Return what has the attributes."""
        return self

    # The end.

    @handles(CloseFile)
    def close(self, request: CloseFile, _src: Address) -> Conversation[Done]:
        """Destroy everything: the last reference to the open file description is gone [1.10]."""
        self.flocks.drop(self, request.ofd)
        self.closed = True
        if self.kernel.uverbs_async_delay:
            self.send(self.address, TearDown())
        else:
            yield from self._tear_down()
        return DONE

    @handles(TearDown)
    def tear_down(self, _request: TearDown, _src: Address) -> Conversation[None]:
        """Destroy everything after the release has returned."""
        yield from self._tear_down()

    def _tear_down(self) -> Conversation[None]:
        """Destroy queue pairs, then regions, then the rest: no object goes before its users."""
        for kind in (QueuePairEntry, Region, CompletionQueue, Pd):
            for handle in [handle for handle, thing in self.objects.items() if isinstance(thing, kind)]:
                yield from self._destroy(handle)


def _pages(region: Register, request: MapDma, page_size: int) -> range:
    """Return the pages of a region that an access touches, by their places in it."""
    begin = region.offset + request.offset
    return range(begin // page_size, (begin + request.length - 1) // page_size + 1)
