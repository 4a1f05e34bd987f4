"""The page cache: the pages of one file that are in memory [1.8].

A frame belongs to the file until its page is truncated or moved, and then to whom it is pinned for, who goes on seeing
it: nobody waits for pins of the page cache.
"""

from longpin.actors.base import Engine
from longpin.actors.mm.ram import Ram
from longpin.messages.envelope import Address


class PageCache(Ram):
    """The pages of one file. Each has one entry, in the place of those of a page table: that of the file."""

    def __init__(self, engine: Engine, address: Address, inode: Address) -> None:
        super().__init__(engine, address)
        self.inode = inode

    def owner_of(self, number: int) -> str:
        """Return what a frame is."""
        if not self.maps.get(number):
            return "a page that was truncated" if number in self.maps else "free"
        return f"a page of {self.inode}"
