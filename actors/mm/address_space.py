"""What a memory map holds: mappings and a page table [1.8, 1.9]."""

from collections.abc import Iterable
from typing import NamedTuple

from longpin.messages.envelope import Address
from longpin.messages.mm.memory import PageFrame
from longpin.messages.process.process import File

MMAP_BASE = 0x7F00_0000_0000
"""Where the first mapping of a process lies."""


TASK_SIZE = 0x7FFF_FFFF_F000
"""Where the addresses a process can have end, on x86-64."""


class Mapping(NamedTuple):
    """A VMA: a range of addresses that is a range of a file."""

    number: int
    """The memory map's own number for it."""
    start: int
    length: int
    """Bytes, a multiple of the page size."""
    prot: int
    flags: int
    file: File
    first_page: int
    """The page of the file at ``start``."""

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.start + self.length

    @property
    def inode(self) -> Address:
        """The file's inode."""
        return self.file.backing


class Pte(NamedTuple):
    """A page table entry."""

    frame: PageFrame
    writable: bool


class AddressSpace:
    """Mappings by address, and page table entries by virtual page number: the address divided by the page size."""

    def __init__(self, page_size: int, mappings: Iterable[Mapping] = ()) -> None:
        self.page_size = page_size
        self.mappings: list[Mapping] = list(mappings)
        """In the order of their addresses; they do not overlap."""
        self.page_table: dict[int, Pte] = {}
        """Invariant: every entry lies in a mapping."""
        self.numbers = max((mapping.number for mapping in self.mappings), default=0)
        self.top = max((mapping.end + page_size for mapping in self.mappings), default=MMAP_BASE)

    # Mappings.

    def add(self, length: int, prot: int, flags: int, file: File, first_page: int, number: int) -> Mapping:
        """Enter a mapping above all others, with an unmapped page in between."""
        mapping = Mapping(number, self.top, length, prot, flags, file, first_page)
        self.top += length + self.page_size
        self.mappings.append(mapping)
        return mapping

    def next_number(self) -> int:
        """Return a number for a mapping."""
        self.numbers += 1
        return self.numbers

    def find(self, address: int) -> Mapping | None:
        """Return the mapping ``address`` lies in."""
        return next((m for m in self.mappings if m.start <= address < m.end), None)

    def overlapping(self, start: int, end: int) -> list[Mapping]:
        """Return the mappings that have an address from ``start`` up to ``end``."""
        return [m for m in self.mappings if m.start < end and start < m.end]

    def cut(self, mapping: Mapping, start: int, end: int, number: int) -> None:
        """Take a part out of a mapping that leaves something of it: its entries go, pins stay [1.9].

        What is left before the part keeps the number; what is left behind it, too, unless there is both: then that gets
        ``number``.
        """
        before = mapping._replace(length=start - mapping.start)
        behind = mapping._replace(start=end, length=mapping.end - end, first_page=self.page_of(mapping, end))
        if before.length > 0 and behind.length > 0:
            behind = behind._replace(number=number)
        index = self.mappings.index(mapping)
        self.mappings[index : index + 1] = [piece for piece in (before, behind) if piece.length > 0]
        self._clear(start // self.page_size, end // self.page_size)

    def remove(self, mapping: Mapping) -> None:
        """Drop a mapping and its entries; pins stay [1.9]."""
        self.mappings.remove(mapping)
        self._clear(mapping.start // self.page_size, mapping.end // self.page_size)

    def page_of(self, mapping: Mapping, address: int) -> int:
        """Return the page of the file at ``address``."""
        return mapping.first_page + (address - mapping.start) // self.page_size

    # The page table.

    def present(self, vpn: int, pages: int, *, write: bool) -> list[PageFrame]:
        """Return the frames of the first pages from ``vpn`` on that may be accessed without a fault."""
        frames = []
        for number in range(vpn, vpn + pages):
            pte = self.page_table.get(number)
            if pte is None or (write and not pte.writable):
                break
            frames.append(pte.frame)
        return frames

    def absent(self, vpn: int, pages: int, *, write: bool) -> int:
        """Return how many pages from ``vpn`` on fault before one does not."""
        for number in range(vpn, vpn + pages):
            pte = self.page_table.get(number)
            if pte is not None and (pte.writable or not write):
                return number - vpn
        return pages

    def zap(self, inode: Address, first: int, last: int) -> None:
        """Remove the entries of a file's pages ``first`` to ``last``."""
        for mapping in self.mappings:
            if mapping.inode == inode:
                start = mapping.start // self.page_size
                begin, end = first - mapping.first_page, last + 1 - mapping.first_page
                self._clear(start + max(begin, 0), start + min(end, mapping.length // self.page_size))

    def _clear(self, begin: int, end: int) -> None:
        """Remove the entries from one virtual page number up to another."""
        if end - begin <= len(self.page_table):
            for number in range(begin, end):
                self.page_table.pop(number, None)
        else:
            self.page_table = {number: pte for number, pte in self.page_table.items() if not begin <= number < end}
