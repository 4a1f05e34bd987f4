"""pNFS: what knfsd and an inode say to each other about the layout that a client has, and what the client asks [1.4.1].

Most of these have no footprint: they may take a lock of the inode, or let somebody go on who waits.
"""

from enum import StrEnum
from typing import NamedTuple

from longpin.messages.envelope import Address, Footprint, Message, message
from longpin.messages.process.caller import Caller

NFSD: Address = "nfsd"
"""The threads of knfsd, if there are so many and no more."""


class Disposal(StrEnum):
    """What becomes of a lease whose break time is over, as knfsd says [code: lm_breaker_timedout]."""

    KEEP = "keep"
    """It stays on the list: the client is being fenced."""
    DROP = "drop"
    DROP_THEN_FENCE = "drop_then_fence"
    """It goes, and who has looked fences the client after that."""


class LayoutPage(NamedTuple):
    """Where a page of a file lies, as a client remembers it."""

    page: int
    block: int
    generation: int
    """Of the block, when the client was told."""


@message
class GrantLayout(Message):
    """LAYOUTGET: knfsd wants a lease on the layout of a file, for the client that opened it."""

    ofd: Address
    lease_time: float
    """Seconds of the client's lease with the server."""
    caller: Caller


@message
class LayoutGranted(Message):
    """The client has it."""

    layout: Address


@message
class RegisterClient(Message):
    """To a block device: a client has a layout of a file on it, and registers its key [code: bl_register_scsi]."""

    client: Address
    """The process that stands for it."""
    layout: Address

    def footprint(self) -> Footprint:
        """The client's registration."""
        return Footprint.of(writes=[("registration", self.client)])


@message
class PreemptClient(Message):
    """To a block device, from a layout: take a client's registration away [code: nfsd4_scsi_fence_client]."""

    client: Address

    def footprint(self) -> Footprint:
        """The client's registration."""
        return Footprint.of(writes=[("registration", self.client)])


@message
class Preempted(Message):
    """Done; these layouts were used under that registration."""

    layouts: tuple[Address, ...]


@message
class CutOff(Message):
    """To a layout: its client cannot reach the device any more."""


@message
class MapLayout(Message):
    """Where do pages lie? From a layout to its inode [code: xfs_fs_map_blocks]."""

    first: int
    last: int
    allocate: bool
    """They are to be written: those without a block of their own get one. No lease is broken for it."""


@message
class LayoutMapped(Message):
    """There; not those that have no block, if none was to be allocated."""

    pages: tuple[LayoutPage, ...]
    size: int
    """Bytes of the file."""


@message
class CommitLayout(Message):
    """LAYOUTCOMMIT: the client has written up to ``end`` [code: xfs_fs_commit_blocks]."""

    end: int


@message
class BreakerTimedOut(Message):
    """To a layout, from its inode, flc_lock held: the break time is over."""


@message
class DisposeLayout(Message):
    """What becomes of its lease."""

    disposal: Disposal


@message
class FenceClient(Message):
    """To a layout whose lease has gone: fence its client now, and answer when that is done or has failed."""


@message
class FenceWork(Message):
    """From a layout to itself: the fence worker begins."""


@message
class TakeThread(Message):
    """To the threads of knfsd: one is to serve a request; the answer comes when one is free."""


@message
class FreeThread(Message):
    """The request was served."""


@message
class LayoutReturned(Message):
    """From a layout: its client has given it back, or was fenced; the lease ends."""

    layout: Address


@message
class LayoutWrite(Message):
    """The client writes to the device, at an offset in the file."""

    offset: int
    data: bytes


@message
class LayoutRead(Message):
    """The client reads from the device."""

    offset: int
    count: int


@message
class AwaitRecall(Message):
    """Wait for CB_LAYOUTRECALL."""


@message
class ReturnLayout(Message):
    """LAYOUTRETURN."""
