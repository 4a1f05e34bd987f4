"""Verbs: the objects of a uverbs context, what processes ask of them, and how a device finds memory by a key [1.10].

In a context, ``object`` is one object by its handle, ``handles`` the numbers given so far, and ``users`` how many
objects use protection domains and queues.
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
    MW = "mw"
    CQ = "cq"
    SRQ = "srq"
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

    cqe: int
    """Completions for which it has room."""

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
    """Destroy an object: ibv_dealloc_pd(3), ibv_dereg_mr(3), ...; EBUSY while others use it."""

    kind: ObjectKind
    handle: int

    def footprint(self) -> Footprint:
        """The object; what has users goes only if it has none, the others are one user less.

        A region that has windows is one of the others: who binds one touches the region itself.
        """
        object_ = ("object", self.handle)
        if self.kind is ObjectKind.PD:
            return Footprint.of(reads=[("users",)], writes=[object_])
        if self.kind in (ObjectKind.CQ, ObjectKind.SRQ):
            return Footprint.of(reads=[("users",)], writes=[object_], adds=[("users",)])
        if self.kind is ObjectKind.MW:  # what it is bound to is not known here
            return Footprint.everything()
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
    address: int = 0
    """Where it begins in the memory of who registers it."""

    def footprint(self) -> Footprint:
        """The protection domain, and a new handle."""
        return Footprint.of(reads=[("object", self.pd)], writes=[("handles",)], adds=[("users",)])


@message
class FindRegion(Message):
    """Find the files whose pages a region has, or that a window is bound to; EINVAL if there is no such region."""

    handle: int
    window: bool = False
    """It is the handle of a window, whose region is not known here."""

    def footprint(self) -> Footprint | None:
        """The object."""
        if self.window:
            return None
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


class QueuePairQueues(NamedTuple):
    """What a queue pair works with: handles in its context, and for how many requests it has room."""

    pd: int
    send_cq: int
    recv_cq: int
    srq: int
    """0: it has a receive queue of its own."""
    max_send_wr: int
    max_recv_wr: int


@message
class CreateQp(Message):
    """ibv_create_qp(3)."""

    queues: QueuePairQueues

    def footprint(self) -> Footprint:
        """Protection domain and queues, and a new handle."""
        used = {self.queues.pd, self.queues.send_cq, self.queues.recv_cq, self.queues.srq} - {0}
        return Footprint.of(reads=[("object", handle) for handle in used], writes=[("handles",)], adds=[("users",)])


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
    qp: Address = ""
    """The queue pair that was asked for it: a window of type 2 belongs to one."""
    window: bool = False
    """The key is one of a memory window, whose region is not known here."""

    def footprint(self) -> Footprint | None:
        """The region, with its lock; the key may be one of another context, and name what is not yet made here."""
        if self.window:
            return None
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
class TearDown(Message):
    """A context to itself: destroy every object, when its release did not wait for that [1.10]."""
