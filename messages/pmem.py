"""What a pmem block set is asked: blocks, references on them, and bytes."""

from typing import NamedTuple

from longpin.messages.envelope import Address, Message, message


@message
class Allocate(Message):
    """Allocate a zeroed block for a page of an inode; ENOSPC if there is none."""

    inode: Address
    page: int


@message
class Allocated(Message):
    """The block."""

    block: int


@message
class FreeBlocks(Message):
    """Free blocks; each may be given to anybody at once [1.7]."""

    blocks: tuple[int, ...]


@message
class Move(Message):
    """Blocks become other pages of the same file: collapse and insert range."""

    blocks: tuple[int, ...]
    distance: int
    """Pages."""


@message
class PinBlock(Message):
    """get_user_pages takes a reference, under the page-table lock [1.9]."""

    block: int
    inode: Address
    page: int
    longterm: bool
    owner: Address
    """The memory region, ``mr:100.1``, also before it is published."""
    context: Address


@message
class Pinned(Message):
    """The reference is taken."""

    generation: int


@message
class Unpin(Message):
    """Drop every reference of a memory region and wake whoever waits for its blocks."""

    owner: Address


@message
class ScanBusy(Message):
    """Find the references on blocks [2.5 step 4]."""

    blocks: tuple[int, ...]


class Pin(NamedTuple):
    """A reference on a block taken by get_user_pages [1.9]."""

    block: int
    page: int
    """The page of the file it was taken through."""
    generation: int
    """The block's generation at that time."""
    longterm: bool
    owner: Address
    """The memory region, also while its registration is still in progress."""
    context: Address
    """The uverbs context that owns it."""


@message
class Busy(Message):
    """The references that were found."""

    pins: tuple[Pin, ...]


@message
class AwaitIdle(Message):
    """Sleep until a block has no reference [2.5 step 4]."""

    block: int
    killable: bool
    """False: not even a fatal signal ends the sleep."""
    interruptible: bool


@message
class Load(Message):
    """Read bytes of a block: the CPU through a mapping, or read(2)."""

    block: int
    offset: int
    length: int


@message
class Store(Message):
    """Write bytes of a block: the CPU through a mapping, or write(2)."""

    block: int
    offset: int
    data: bytes


@message
class Dma(Message):
    """A device reads or writes a block by its physical address, whatever the file map says [1.10]."""

    block: int
    generation: int
    """The block's generation when it was pinned."""
    inode: Address
    page: int
    """The page of the file it was pinned as."""
    offset: int
    length: int
    data: bytes | None
    """What is written; None: a read."""
    region: Address
