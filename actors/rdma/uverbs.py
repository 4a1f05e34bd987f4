"""A uverbs context: protection domains, memory regions and windows, queues and queue pairs [1.10].

It belongs to the open file description of ``/dev/infiniband/uverbs0``, not to a process: all who hold a descriptor
can use it, and the objects die with the last reference to that description.
"""

import errno
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from longpin.actors.base import ActorPart, Engine, handles
from longpin.actors.constants import IBV_EVENT_DEVICE_FATAL
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.backing import OneFile
from longpin.actors.fs.flocks import Flocks
from longpin.actors.kernel.machine import Kernel
from longpin.actors.locks import Lock
from longpin.actors.mm.gup import unpin_user_pages
from longpin.actors.rdma.access import writes_memory
from longpin.actors.rdma.async_events import AsyncEvents
from longpin.actors.rdma.completions import Completions
from longpin.actors.rdma.holds import holds_to_drop
from longpin.actors.rdma.objects import (
    KIND_OF,
    CompletionQueue,
    MemoryWindow,
    Object,
    ObjectTable,
    Pd,
    QueuePairEntry,
    Region,
    SharedReceiveQueue,
)
from longpin.actors.rdma.on_demand import OnDemand
from longpin.actors.rdma.prefetch import Prefetches
from longpin.actors.rdma.queue_pair import QueuePair
from longpin.actors.rdma.reregistration import Reregistration
from longpin.actors.rdma.revocation import Revocation
from longpin.actors.rdma.shared_receives import SharedReceives
from longpin.actors.rdma.translation import Translation
from longpin.actors.rdma.windows import Windows
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.inode import CloseFile
from longpin.messages.rdma.device import ANY_DEVICE, RdmaDevice
from longpin.messages.rdma.removal import ContextClosed, Disassociate, node_of
from longpin.messages.rdma.verbs import (
    AllocPd,
    AskDevice,
    CreateQp,
    DestroyObject,
    FindObject,
    FindRegion,
    Handle,
    OfDevice,
    QueuePairQueues,
    RegionFiles,
    Register,
    TearDown,
)
from longpin.messages.rdma.work import Destroy

TEARDOWN = (QueuePairEntry, MemoryWindow, Region, SharedReceiveQueue, CompletionQueue, Pd)
"""In this order objects go: none before its users [code: uverbs_destroy_ufile_hw, which tries until all have gone]."""


class UverbsContext(OneFile):
    """The objects one open of an RDMA device owns, and the owner, mode and flock(2) locks of the device's file."""

    parts: ClassVar[Mapping[str, type[ActorPart]]] = {
        "events": AsyncEvents,
        "revocation": Revocation,
        "on_demand": OnDemand,
        "windows": Windows,
        "translation": Translation,
        "reregistration": Reregistration,
        "prefetches": Prefetches,
        "completions": Completions,
        "shared_receives": SharedReceives,
    }

    def __init__(self, engine: Engine, address: Address, kernel: Kernel, device: RdmaDevice = ANY_DEVICE) -> None:
        super().__init__(engine, address, kernel)
        self.device = device
        self.table = table = ObjectTable()
        self.events = events = AsyncEvents(self, table)
        self.revocation = revocation = Revocation(self, kernel, table, events)
        self.on_demand = on_demand = OnDemand(self, kernel)
        self.windows = windows = Windows(address, table)
        self.translation = Translation(address, kernel, table, windows, revocation, on_demand)
        self.reregistration = Reregistration(kernel, table)
        self.prefetches = Prefetches(self, kernel, table, on_demand)
        self.completions = Completions(self, table)
        self.shared_receives = SharedReceives(self, table)
        self.closed = False
        self.attributes = Attributes(0, 0o666)
        """Of the device's file as this open sees it: others do not see a chmod through /proc/self/fd."""
        self.flocks = Flocks(address)

    @property
    def objects(self) -> Mapping[int, Object]:
        """What it owns, by handle."""
        return self.table.things

    # Objects.

    @handles(AllocPd)
    def alloc_pd(self, _request: AllocPd, _src: Address) -> Handle:
        """ibv_alloc_pd(3)."""
        return Handle(self.table.add(Pd()))

    @handles(CreateQp)
    def create_qp(self, request: CreateQp, _src: Address) -> Handle:
        """ibv_create_qp(3)."""
        table, queues = self.table, request.queues
        table.check_device()
        table.find(Pd, queues.pd)
        for cq in (queues.send_cq, queues.recv_cq):
            table.find(CompletionQueue, cq)
        if queues.srq:
            table.find(SharedReceiveQueue, queues.srq)
        address = f"qp:{self.address.partition(':')[2]}.{table.given + 1}"
        self.spawn(QueuePair, address, self.kernel, self.address, queues)
        self._use(queues, 1)
        return Handle(table.add(QueuePairEntry(address, queues)), address)

    def _use(self, queues: QueuePairQueues, count: int) -> None:
        """Count a queue pair with what it uses, or no more."""
        for used in (queues.pd, queues.send_cq, queues.recv_cq, queues.srq):
            self.table.use(used, count)

    @handles(FindObject)
    def find_object(self, request: FindObject, _src: Address) -> OfDevice:
        """Check a handle, and that the device is still there."""
        self.table.check_device()
        self.table.find(KIND_OF[request.kind], request.handle)
        return OfDevice(self.device)

    @handles(AskDevice)
    def ask_device(self, _request: AskDevice, _src: Address) -> OfDevice:
        """Say which device it belongs to."""
        return OfDevice(self.device)

    @handles(DestroyObject)
    def destroy(self, request: DestroyObject, src: Address) -> Conversation[Done]:
        """ibv_dereg_mr(3), ibv_dealloc_pd(3), ...: EBUSY for what is used; EIO for what went with the device."""
        if request.handle not in self.objects:
            self.table.check_device()
        self.table.find(KIND_OF[request.kind], request.handle)
        if self.table.is_used(request.handle):
            raise KernelError(errno.EBUSY)
        yield from self._destroy(request.handle, completes=False)
        yield from self.events.settled(request.handle, src)
        return DONE

    def _destroy(self, handle: int, *, completes: bool = True) -> Conversation[None]:
        thing = self.objects[handle]
        if isinstance(thing, Region):
            yield from self._deregister(handle, thing)
            self.events.forget(thing.owner)
            self.table.dying.discard(handle)
        del self.table.things[handle]  # before anything can get in: nobody destroys it twice
        match thing:
            case QueuePairEntry():
                yield Call(thing.address, Destroy(completes))
                self._use(thing.queues, -1)
            case MemoryWindow():
                self.windows.drop(thing)
                self.table.use(thing.pd, -1)
            case CompletionQueue():
                self.events.forget_object(handle)
                self.completions.destroyed(thing)
            case SharedReceiveQueue():
                self.events.forget_object(handle)
                self.shared_receives.destroyed(thing)
                self.table.use(thing.pd, -1)

    # Memory regions.

    @handles(Register)
    def register(self, request: Register, _src: Address) -> Handle | Conversation[Handle]:
        """Publish a region [2.6 step 7]; ENXIO for one that was revoked while it was made."""
        name = request.registration.owner
        if name in self.revocation.early:
            raise KernelError(errno.ENXIO)
        self.table.check_device()
        self.table.find(Pd, request.pd).users += 1
        lock = Lock(self, f"device access through {name} to end")
        if request.on_demand is not None:
            return self._register_on_demand(request, lock)
        made = Handle(self.table.add(self._region(request, lock)), name)
        self.events.published(name)
        return self._with_addresses(made) if self.revocation.freed else made

    @staticmethod
    def _region(request: Register, lock: Lock) -> Region:
        return Region(request, lock, writable=writes_memory(request.access))

    def _register_on_demand(self, request: Register, lock: Lock) -> Conversation[Handle]:
        """Publish a region that has no pages yet, when the memory map tells of changes."""
        table = yield from self.on_demand.add(request, lock, self.device)
        region = self._region(request, lock)
        region.table = table
        made = Handle(self.table.add(region), table.name)
        self.events.published(table.name)
        return made

    def _with_addresses(self, made: Handle) -> Conversation[Handle]:
        yield from self.revocation.give_addresses(made.handle)
        return made

    def _deregister(self, handle: int, region: Region) -> Conversation[None]:
        """Take the keys away, wait for accesses under way, then unpin and uncharge [2.6]."""
        self.table.dying.add(handle)
        with (yield region.in_use.exclusive()):
            gone = partial(holds_to_drop, self.kernel, self.objects, region)
            yield from unpin_user_pages(self.kernel, region.request.registration, gone)
            yield from self.on_demand.remove(region)
        self.table.use(region.request.pd, -1)

    @handles(FindRegion)
    def find_region(self, request: FindRegion, _src: Address) -> RegionFiles:
        """Tell of which files a region has pages."""
        handle = self.table.find(MemoryWindow, request.handle).mr if request.window else request.handle
        registration = self.table.find(Region, handle).request.registration
        return RegionFiles(
            registration.owner, tuple(dict.fromkeys(first.inode for first, _ in registration.runs if first.inode))
        )

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
        yield from self._destroy_all()
        if self.device.removable:
            yield Call(node_of(self.device), ContextClosed(self.address))

    def _destroy_all(self) -> Conversation[None]:
        """Destroy every object; of what another call is destroying, wait for that."""
        for kind in TEARDOWN:
            for handle, thing in self.table.of_kind(kind):
                if handle in self.table.dying and isinstance(thing, Region):
                    with (yield thing.in_use.exclusive()):
                        pass
                elif handle in self.objects:
                    yield from self._destroy(handle)

    @handles(Disassociate)
    def disassociate(self, _request: Disassociate, _src: Address) -> Conversation[Done]:
        """Have nothing any more: whoever asks for something gets EIO, and events but the last go with their objects."""
        self.table.disassociated = True
        self.events.add(IBV_EVENT_DEVICE_FATAL)
        yield from self._destroy_all()
        return DONE
