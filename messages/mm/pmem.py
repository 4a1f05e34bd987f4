"""What a pmem block set is asked beside what every memory is: blocks for the pages of files.

A frame of a pmem set is a block; ``free`` is which blocks nobody owns. What is said of many blocks is said of runs: a
message about a large file costs its extents.
"""

from typing import NamedTuple

from longpin.messages.envelope import Address, Footprint, Message, message
from longpin.messages.mm.memory import FrameRun


class BlockRun(NamedTuple):
    """Blocks that follow each other, and are pages of a file that do too."""

    page: int
    """What the first one is."""
    block: int
    length: int

    @property
    def blocks(self) -> range:
        """Their numbers."""
        return range(self.block, self.block + self.length)


@message
class Allocate(Message):
    """Allocate a block for a page of an inode, and for up to ``length`` pages with it; ENOSPC if there is none."""

    inode: Address
    page: int
    length: int = 1
    zeroed: bool = True
    """False: they are only preallocated, so nobody sees what they hold until they are written."""
    reserved: bool = False
    """It was reserved before, and there is one."""

    def footprint(self) -> Footprint:
        """Which block it will be is not known here."""
        return Footprint.of(writes=[("free",), ("owner",), ("content",)])


@message
class Allocated(Message):
    """The blocks."""

    block: int
    """The first."""
    length: int = 1
    """How many follow each other: fewer than asked for, perhaps."""


@message
class Reserve(Message):
    """Promise blocks to pages that are written back later: delayed allocation; ENOSPC if there are not so many."""

    count: int


@message
class Unreserve(Message):
    """Take a promise back: the pages were truncated."""

    count: int


@message
class CopyBlock(Message):
    """Allocate a block for a page of an inode with the data of another one: copy on write; ENOSPC if there is none."""

    inode: Address
    page: int
    block: int

    def footprint(self) -> Footprint:
        """Which block it will be is not known here."""
        return Footprint.of(writes=[("free",), ("owner",), ("content",)])


@message
class ShareBlocks(Message):
    """Blocks of one file become pages of another one too."""

    source: Address
    inode: Address
    """The other one."""
    runs: tuple[BlockRun, ...]

    def footprint(self) -> Footprint:
        """Whose pages they are, and who may read what was written there."""
        blocks = [block for run in self.runs for block in run.blocks]
        return Footprint.of(writes=[(part, block) for block in blocks for part in ("owner", "content")])


@message
class FindShared(Message):
    """Look up in the reference counts which blocks are pages of several files."""

    runs: tuple[FrameRun, ...]

    def footprint(self) -> Footprint:
        """Whose pages they are."""
        return Footprint.of(reads=[("owner", block) for run in self.runs for block in run.numbers])


@message
class SharedBlocks(Message):
    """Those that are."""

    runs: tuple[FrameRun, ...]


@message
class FreeBlocks(Message):
    """An inode gives blocks back; those that no other file shares may be given to anybody at once [1.7]."""

    inode: Address
    runs: tuple[BlockRun, ...]

    def footprint(self) -> Footprint:
        """The blocks; what they hold stays until they are allocated again."""
        parts = [(part, block) for run in self.runs for block in run.blocks for part in ("owner", "generation")]
        return Footprint.of(writes=parts, adds=[("free",)])


@message
class Move(Message):
    """Blocks become other pages of the same file: collapse and insert range."""

    inode: Address
    runs: tuple[BlockRun, ...]
    """What they were."""
    distance: int
    """Pages."""

    def footprint(self) -> Footprint:
        """Whose pages they are."""
        return Footprint.of(writes=[("owner", block) for run in self.runs for block in run.blocks])
