"""What a pmem block set is asked beside what every memory is: blocks for the pages of files.

A frame of a pmem set is a block; ``free`` is which blocks nobody owns.
"""

from longpin.messages.envelope import Address, Footprint, Message, message


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
