"""Who maps a file: ``i_mmap``, by which page table entries are found and removed [1.8]."""

from longpin.actors.conversation import Call, Conversation
from longpin.messages.envelope import Address
from longpin.messages.mm.mm import Zap

LAST_PAGE = (1 << 51) - 1
"""The last page a file can have: holes are mapped too, with the zero page."""


class Mappings:
    """The mappings of one inode, in the order in which they were made, which is the order in which they are zapped."""

    __slots__ = ("flags", "inode")

    def __init__(self, inode: Address) -> None:
        self.inode = inode
        self.flags: dict[tuple[Address, int], int] = {}
        """Flags of each mapping, by memory map and its number for the mapping."""

    def __bool__(self) -> bool:
        return bool(self.flags)

    def add(self, mm: Address, vma: int, flags: int) -> None:
        """Add the mapping that a memory map calls ``vma``."""
        self.flags[mm, vma] = flags

    def split(self, mm: Address, vma: int, new: int) -> None:
        """Add what is left behind the middle that was taken out of a mapping."""
        self.flags[mm, new] = self.flags[mm, vma]

    def remove(self, mm: Address, vma: int) -> None:
        """Remove a mapping."""
        del self.flags[mm, vma]

    def zap(self, first: int, last: int = LAST_PAGE) -> Conversation[None]:
        """Remove page table entries wherever the file is mapped: of pages ``first`` to ``last`` or to the end."""
        for mm in dict.fromkeys(mm for mm, _ in self.flags):
            yield Call(mm, Zap(self.inode, first, last))
