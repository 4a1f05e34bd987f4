"""What a pmem block set is asked: blocks, references on them, and bytes.

The parts of a block are its ``owner`` (which page of which inode it is), its ``generation``, its ``pins`` with who
waits for them to go, and its ``content``; ``free`` is which blocks nobody owns.
"""

from typing import NamedTuple

from longpin.messages.envelope import Address, Footprint, Message, message

ZERO_PAGE = -1
"""In place of a block where a hole is read: the kernel's page of zeros, which belongs to no set."""


@message
class Allocate(Message):
    """Allocate a zeroed block for a page of an inode; ENOSPC if there is none."""

    inode: Address
    page: int

    def footprint(self) -> Footprint:
        """Which block it will be is not known here."""
        return Footprint.of(writes=[("free",), ("owner",), ("content",)])


@message
class Allocated(Message):
    """The block."""

    block: int


@message
class FreeBlocks(Message):
    """Free blocks; each may be given to anybody at once [1.7]."""

    blocks: tuple[int, ...]

    def footprint(self) -> Footprint:
        """The blocks; what they hold stays until they are allocated again."""
        parts = [(part, block) for block in self.blocks for part in ("owner", "generation")]
        return Footprint.of(writes=parts, adds=[("free",)])


@message
class Move(Message):
    """Blocks become other pages of the same file: collapse and insert range."""

    blocks: tuple[int, ...]
    distance: int
    """Pages."""

    def footprint(self) -> Footprint:
        """Whose pages they are."""
        return Footprint.of(writes=[("owner", block) for block in self.blocks])


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
    process: Address = ""
    """Who registers it."""
    hold: Address = ""
    """The open file description the registration holds for it; empty: none."""

    def footprint(self) -> Footprint:
        """The block's references."""
        return Footprint.of(reads=[("generation", self.block)], writes=[("pins", self.block)])


@message
class Pinned(Message):
    """The reference is taken."""

    generation: int


@message
class Unpin(Message):
    """Drop every reference of a memory region and wake whoever waits for its blocks."""

    owner: Address

    def footprint(self) -> Footprint:
        """All references: which blocks the region has is not known here."""
        return Footprint.of(writes=[("pins",)])


@message
class ScanBusy(Message):
    """Find the references on blocks [2.5 step 4]."""

    blocks: tuple[int, ...]

    def footprint(self) -> Footprint:
        """The references."""
        return Footprint.of(reads=[("pins", block) for block in self.blocks])


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
    process: Address = ""
    """The process that registered it."""
    hold: Address = ""
    """An open file description that the registration holds because of it; empty: none."""


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

    def footprint(self) -> Footprint:
        """The block's references and who waits for them to go; its owner is named to who asks why it waits."""
        return Footprint.of(reads=[("owner", self.block)], writes=[("pins", self.block)])


@message
class Load(Message):
    """Read bytes of a block: the CPU through a mapping, or read(2)."""

    block: int
    offset: int
    length: int

    def footprint(self) -> Footprint:
        """The bytes."""
        return Footprint.of(reads=[("content", self.block)])


@message
class Store(Message):
    """Write bytes of a block: the CPU through a mapping, or write(2)."""

    block: int
    offset: int
    data: bytes

    def footprint(self) -> Footprint:
        """The bytes."""
        return Footprint.of(writes=[("content", self.block)])


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

    def footprint(self) -> Footprint:
        """The bytes; owner and generation are what rule O1 looks at when the access arrives."""
        block = self.block
        reads = [("owner", block), ("generation", block)]
        if self.data is None:
            return Footprint.of(reads=[*reads, ("content", block)])
        return Footprint.of(reads=reads, writes=[("content", block)])
