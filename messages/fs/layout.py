"""pNFS: what knfsd and an inode say to each other about the layout that a client has, and what the client asks [1.4.1].

None of these has a footprint: each may take a lock of the inode, or let somebody go on who waits.
"""

from typing import NamedTuple

from longpin.messages.envelope import Address, Message, message
from longpin.messages.process.caller import Caller


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
class MapLayout(Message):
    """Where do pages lie? From a layout to its inode [code: xfs_fs_map_blocks]."""

    first: int
    last: int
    allocate: bool
    """They are to be written: those without a block of their own get one. No lease is broken for it."""


@message
class LayoutMapped(Message):
    """There; not those that have no block, if none was to be allocated."""

    memory: Address
    pages: tuple[LayoutPage, ...]
    size: int
    """Bytes of the file."""


@message
class CommitLayout(Message):
    """LAYOUTCOMMIT: the client has written up to ``end`` [code: xfs_fs_commit_blocks]."""

    end: int


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
