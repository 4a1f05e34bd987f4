"""The memory of a process: mappings, page table, and what it has pinned [1.8, 1.9]."""

from typing import NamedTuple

from longpin.messages.envelope import Address
from longpin.messages.process.process import File

MMAP_BASE = 0x7F00_0000_0000
"""Where the first mapping of a process lies."""


TASK_SIZE = 0x7FFF_FFFF_F000
"""Where the addresses a process can have end, on x86-64."""


class Mapping(NamedTuple):
    """A VMA: a range of addresses that is a range of a file."""

    number: int
    """The process's own number for it."""
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

    pmem: Address
    block: int
    """-1: the zero page."""
    writable: bool


class AddressSpace:
    """``mm_struct``: mappings by address, entries by mapping and page, and the pages charged to RLIMIT_MEMLOCK."""

    def __init__(self, page_size: int) -> None:
        self.page_size = page_size
        self.mappings: list[Mapping] = []
        """In the order of their addresses; they do not overlap."""
        self.page_table: dict[tuple[int, int], Pte] = {}
        """By mapping number and page of the file."""
        self.pinned_vm = 0
        """Pages of memory regions registered from here; a child begins at 0 [1.1]."""
        self.numbers = 0
        self.top = MMAP_BASE

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
        first_page = self.page_of(mapping, end)
        behind = mapping._replace(start=end, length=mapping.end - end, first_page=first_page)
        if before.length > 0 and behind.length > 0:
            behind = behind._replace(number=number)
        index = self.mappings.index(mapping)
        self.mappings[index : index + 1] = [piece for piece in (before, behind) if piece.length > 0]
        for page in [page for owner, page in self.page_table if owner == mapping.number]:
            address = mapping.start + (page - mapping.first_page) * self.page_size
            if address >= start:
                pte = self.page_table.pop((mapping.number, page))
                if address >= end:
                    self.page_table[behind.number, page] = pte

    def remove(self, mapping: Mapping) -> None:
        """Drop a mapping and its entries; pins stay [1.9]."""
        self.mappings.remove(mapping)
        self.page_table = {key: pte for key, pte in self.page_table.items() if key[0] != mapping.number}

    def page_of(self, mapping: Mapping, address: int) -> int:
        """Return the page of the file at ``address``."""
        return mapping.first_page + (address - mapping.start) // self.page_size

    def zap(self, inode: Address, first: int, last: int) -> None:
        """Remove the entries of a file's pages ``first`` to ``last``."""
        numbers = {mapping.number for mapping in self.mappings if mapping.inode == inode}
        self.page_table = {
            key: pte for key, pte in self.page_table.items() if key[0] not in numbers or not first <= key[1] <= last
        }

    def copy_mapping(self, mapping: Mapping) -> None:
        """Enter a parent's mapping at the same address; its pages fault anew [1.8]."""
        self.mappings.append(mapping)
        self.numbers = max(self.numbers, mapping.number)
        self.top = max(self.top, mapping.start + mapping.length + self.page_size)
