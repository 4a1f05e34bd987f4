"""Verbs: what a uverbs context is asked by processes, and what it and queue pairs say to each other [1.10].

In a context, ``object`` is one object by its handle, ``handles`` the numbers given so far, and ``users`` how many
objects protection domains have in them. What a queue pair is told has no footprint: nearly all looks at its state.
"""

from enum import StrEnum
from typing import NamedTuple

from longpin.messages.envelope import Address, Footprint, Message, Part, message
from longpin.messages.mm.memory import PinnedPage
from longpin.messages.mm.mm import Registration
from longpin.messages.process.caller import Caller
from longpin.messages.rdma.device import RdmaDevice


class ObjectKind(StrEnum):
    """The kinds of object in a context."""

    PD = "pd"
    MR = "mr"
    CQ = "cq"
    QP = "qp"
    EVENT = "event"
    """An asynchronous event, which is no object: what a process has had and will acknowledge."""


@message
class AllocPd(Message):
    """ibv_alloc_pd(3)."""

    def footprint(self) -> Footprint:
        """A new handle."""
        return Footprint.of(writes=[("handles",)])


@message
class CreateCq(Message):
    """ibv_create_cq(3)."""

    def footprint(self) -> Footprint:
        """A new handle."""
        return Footprint.of(writes=[("handles",)])


@message
class FindObject(Message):
    """Check that a handle is alive; EINVAL if not. The reply says of which device it is."""

    kind: ObjectKind
    handle: int

    def footprint(self) -> Footprint:
        """The object."""
        return Footprint.of(reads=[("object", self.handle)])


@message
class AskDevice(Message):
    """Ask which device a context belongs to."""

    def footprint(self) -> Footprint:
        """Nothing that changes."""
        return Footprint()


@message
class OfDevice(Message):
    """This one."""

    device: RdmaDevice


@message
class DestroyObject(Message):
    """Destroy an object: ibv_dealloc_pd(3), ibv_dereg_mr(3); EBUSY while others use it."""

    kind: ObjectKind
    handle: int

    def footprint(self) -> Footprint:
        """The object; a protection domain goes only if it has no users, others are one user less."""
        object_ = ("object", self.handle)
        if self.kind is ObjectKind.PD:
            return Footprint.of(reads=[("users",)], writes=[object_])
        return Footprint.of(writes=[object_], adds=[("users",)])


class OnDemandBuffer(NamedTuple):
    """Memory that is registered without pins: whose faults the device's are [1.10.3]."""

    address: int
    """Of the first page."""
    pages: int
    caller: Caller
    """The process that registers it."""


@message
class Register(Message):
    """Publish a memory region whose pages are pinned and charged [2.6 step 7]."""

    pd: int
    registration: Registration
    offset: int
    """Where the region begins in its first page, in bytes."""
    length: int
    access: int
    on_demand: OnDemandBuffer | None = None
    """IBV_ACCESS_ON_DEMAND; None: its pages are pinned."""

    def footprint(self) -> Footprint:
        """The protection domain, and a new handle."""
        return Footprint.of(reads=[("object", self.pd)], writes=[("handles",)], adds=[("users",)])


@message
class FindRegion(Message):
    """Find the files whose pages a region has; EINVAL if there is no such region."""

    handle: int

    def footprint(self) -> Footprint:
        """The object."""
        return Footprint.of(reads=[("object", self.handle)])


@message
class RegionFiles(Message):
    """They are these."""

    region: Address
    inodes: tuple[Address, ...]


@message
class Handle(Message):
    """The handle of a new object."""

    handle: int
    address: Address = ""


@message
class CreateQp(Message):
    """ibv_create_qp(3)."""

    pd: int
    cq: int

    def footprint(self) -> Footprint:
        """Protection domain and completion queue, and a new handle."""
        return Footprint.of(reads=[("object", self.pd), ("object", self.cq)], writes=[("handles",)], adds=[("users",)])


@message
class ModifyQp(Message):
    """ibv_modify_qp(3): to a queue pair."""

    state: int
    peer: Address
    """The queue pair to connect to, on the way to RTR; else empty."""


@message
class PostSend(Message):
    """ibv_post_send(3): to a queue pair; the work is done later."""

    opcode: int
    inline: bytes | None
    """The bytes to send; None: they are in the local region."""
    local: int
    """Handle of the local region; 0 with inline data."""
    remote: str
    """The remote key."""
    offset: int
    length: int


@message
class DoWork(Message):
    """A queue pair to itself: execute the oldest request of the send queue."""


@message
class RemoteAccess(Message):
    """A request on the wire, from one queue pair to its peer."""

    key: str
    offset: int
    length: int
    data: bytes | None
    """What is written; None: a read."""


@message
class RemoteDone(Message):
    """The answer on the wire."""

    status: int
    """An ``IBV_WC_`` status."""
    data: bytes


@message
class MapDma(Message):
    """The device looks a key up in its translation table; the region stays until ``UnmapDma`` [1.10]."""

    key: str
    pd: int
    access: int
    """Access flags the region must have."""
    offset: int
    length: int
    writes: bool = False
    """The device is going to write."""

    def footprint(self) -> Footprint:
        """The region, with its lock; the key may be one of another context, and name what is not yet made here."""
        handle = self.key.rpartition("/")[2]
        named: Part = ("object", int(handle)) if handle.isdecimal() else ("object",)
        return Footprint.of(reads=[("handles",)], writes=[named])


@message
class Segments(Message):
    """Where the bytes are, as (page, offset in it, length); empty if the key does not allow the access."""

    segments: tuple[tuple[PinnedPage, int, int], ...]
    region: Address
    handle: int


@message
class UnmapDma(Message):
    """The device has finished with the region."""

    handle: int

    def footprint(self) -> Footprint:
        """The region, with its lock: who waits for it takes the region down."""
        return Footprint.of(writes=[("object", self.handle)])


@message
class Complete(Message):
    """A work completion for a completion queue."""

    cq: int
    status: int

    def footprint(self) -> Footprint:
        """The queue and who waits for it."""
        return Footprint.of(writes=[("object", self.cq)])


@message
class Poll(Message):
    """ibv_poll_cq(3) of one entry, or ibv_get_cq_event(3), which waits for one."""

    cq: int
    wait: bool

    def footprint(self) -> Footprint:
        """The queue and who waits for it."""
        return Footprint.of(writes=[("object", self.cq)])


@message
class Polled(Message):
    """What was in the queue."""

    count: int
    status: int


@message
class Destroy(Message):
    """The context takes a queue pair down."""


@message
class TearDown(Message):
    """A context to itself: destroy every object, when its release did not wait for that [1.10]."""
