"""What a memory map holds: mappings and a page table [1.8, 1.9]."""

from bisect import bisect
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from longpin.actors.constants import (
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_LOCKED,
    MAP_NONBLOCK,
    MAP_POPULATE,
    MAP_PRIVATE,
    MAP_STACK,
    MAP_TYPE,
)
from longpin.messages.envelope import Address
from longpin.messages.fs.mapping import Memory
from longpin.messages.mm.memory import PageFrame
from longpin.messages.process.process import File

MMAP_BASE = 0x7F00_0000_0000
"""Where the first mapping of a process lies."""

LONGEST_RANGE = (1 << 63) - 1
"""Bytes: the length of a buffer is a signed number to the kernel [code: import_iovec]."""
TASK_SIZE = 0x7FFF_FFFF_F000
"""Where the addresses a process can have end, on x86-64."""

NO_FILE = File("", "", "anonymous")
"""What anonymous memory is a mapping of."""

VM_MAYWRITE, VM_LOCKED, VM_DONTCOPY, VM_WIPEONFORK = 0x20, 0x2000, 0x2_0000, 0x200_0000
_OF_PLACE = MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_POPULATE | MAP_NONBLOCK | MAP_LOCKED | MAP_STACK
"""Flags of mmap(2) that say nothing of the mapping once it is there."""
VM_SEQ_READ, VM_RAND_READ, VM_DONTDUMP = 0x8000, 0x1_0000, 0x400_0000


class Mapping(NamedTuple):
    """A VMA: a range of addresses that is a range of a file, or anonymous memory."""

    number: int
    """The memory map's own number for it."""
    start: int
    length: int
    """Bytes, a multiple of the page size."""
    prot: int
    flags: int
    """As mmap(2) was given them."""
    file: File
    first_page: int
    """The page of the file at ``start``; of anonymous memory, the page of the address at which it was made."""
    vm_flags: int = VM_MAYWRITE
    """What else is known of it, in the kernel's bits: VM_MAYWRITE, VM_LOCKED, VM_DONTCOPY, ..."""
    memory: Memory = Memory.FS_DAX
    """What the pages are that it maps; of a private mapping, those nobody has written to."""

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.start + self.length

    @property
    def inode(self) -> Address:
        """The file's inode."""
        return self.file.backing

    @property
    def private(self) -> bool:
        """Whether a store changes a copy of the page (``is_cow_mapping``)."""
        return self.flags & MAP_TYPE == MAP_PRIVATE

    @property
    def huge(self) -> bool:
        """Whether its pages are huge."""
        return self.memory is Memory.HUGETLB

    @property
    def anonymous(self) -> bool:
        """Whether it has no file: its pages are the process's own."""
        return not self.file.ofd

    def has(self, vm_flag: int) -> bool:
        """Return whether one of its VM flags is set."""
        return bool(self.vm_flags & vm_flag)

    def follows(self, other: "Mapping", page_size: int) -> bool:
        """Return whether it goes on where another ends, in every respect: the two can be one [vma_merge]."""
        if self.huge:  # VM_DONTEXPAND
            return False
        page = other.first_page + other.length // page_size
        wanted = other._replace(number=self.number, start=other.end, length=self.length, first_page=page)
        return self._replace(flags=self.flags & ~_OF_PLACE) == wanted._replace(flags=wanted.flags & ~_OF_PLACE)


class PageAccess(Enum):
    """How a page is to be accessed, which decides whether its entry will do."""

    READ = "read"
    WRITE = "write"
    PIN = "pinned for reading through a private mapping"
    LONGTERM = "pinned for reading through a private mapping, for long"


class Pte(NamedTuple):
    """A page table entry."""

    frame: PageFrame
    writable: bool
    anonymous: bool = False
    """The page is a copy or was never a file's: nobody's but those who map it."""
    exclusive: bool = False
    """An anonymous page that nobody else maps, so that a store or a pin needs no copy [PageAnonExclusive]."""
    referenced: bool = False
    """It has a reference on a page of a file, as entries of DAX pages do from Linux 6.15 on [2.5, H27]."""

    @property
    def counted(self) -> bool:
        """Whether the memory that has the page counts the entry, and is told when it is gone."""
        return self.anonymous or self.referenced

    def allows(self, access: PageAccess) -> bool:
        """Return whether it can be accessed without a fault [can_follow_write_pte, gup_must_unshare]."""
        match access:
            case PageAccess.READ:
                return True
            case PageAccess.WRITE:
                return self.writable
            case PageAccess.PIN:
                return self.exclusive or not self.anonymous
            case PageAccess.LONGTERM:
                return self.exclusive


class AddressSpace:
    """Mappings by address, and page table entries by virtual page number: the address divided by the page size."""

    def __init__(self, page_size: int, mappings: Iterable[Mapping] = ()) -> None:
        self.page_size = page_size
        self.mappings: list[Mapping] = list(mappings)
        """In the order of their addresses; they do not overlap."""
        self.page_table: dict[int, Pte] = {}
        """Invariant: every entry lies in a mapping."""
        self.numbers = max((mapping.number for mapping in self.mappings), default=0)
        self.top = MMAP_BASE
        for mapping in self.mappings:
            self._note_top(mapping)

    # Mappings.

    def add(self, length: int, prot: int, flags: int, file: File, first_page: int, number: int) -> Mapping:
        """Enter a mapping above all others, with an unmapped page in between."""
        mapping = Mapping(number, self.top, length, prot, flags, file, first_page)
        self.insert(mapping)
        return mapping

    def insert(self, mapping: Mapping) -> None:
        """Enter a mapping where nothing is mapped."""
        self.mappings.insert(bisect(self.mappings, mapping.start, key=lambda m: m.start), mapping)
        self._note_top(mapping)

    def _note_top(self, mapping: Mapping) -> None:
        """Have the next mapping lie above one, unless that was put where no other goes."""
        end = mapping.end + self.page_size
        if mapping.start >= MMAP_BASE and end < TASK_SIZE:
            self.top = max(self.top, end)

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

    def pieces(self, start: int, end: int) -> Iterator[tuple[Mapping | None, int, int]]:
        """Yield the mappings of a range with what of it they are, and None for what is not mapped, in order."""
        address = start
        for mapping in self.overlapping(start, end):
            if address < mapping.start:
                yield None, address, mapping.start
            address = min(end, mapping.end)
            yield mapping, max(start, mapping.start), address
        if address < end:
            yield None, address, end

    def replace(self, old: Mapping, *new: Mapping) -> None:
        """Put others into the place of a mapping; entries stay."""
        index = self.mappings.index(old)
        self.mappings[index : index + 1] = new

    def split(self, mapping: Mapping, address: int, number: int) -> tuple[Mapping, Mapping]:
        """Make two of a mapping; the one from ``address`` on gets ``number``."""
        before = mapping._replace(length=address - mapping.start)
        behind = mapping._replace(
            number=number, start=address, length=mapping.end - address, first_page=self.page_of(mapping, address)
        )
        self.replace(mapping, before, behind)
        return before, behind

    def cut(self, mapping: Mapping, start: int, end: int, number: int) -> list[Pte]:
        """Take a part out of a mapping that leaves something of it: its entries go, pins stay [1.9].

        What is left before the part keeps the number; what is left behind it, too, unless there is both: then that gets
        ``number``.

        Returns:
            The entries that were there, of those that are counted.

        """
        before = mapping._replace(length=start - mapping.start)
        behind = mapping._replace(start=end, length=mapping.end - end, first_page=self.page_of(mapping, end))
        if before.length > 0 and behind.length > 0:
            behind = behind._replace(number=number)
        self.replace(mapping, *(piece for piece in (before, behind) if piece.length > 0))
        return self.clear(start, end)

    def remove(self, mapping: Mapping) -> list[Pte]:
        """Drop a mapping and its entries; pins stay [1.9]. Return the entries of those that are counted."""
        self.mappings.remove(mapping)
        return self.clear(mapping.start, mapping.end)

    def page_of(self, mapping: Mapping, address: int) -> int:
        """Return the page of the file at ``address``."""
        return mapping.first_page + (address - mapping.start) // self.page_size

    # The page table.

    def present(self, vpn: int, pages: int, access: PageAccess) -> list[Pte]:
        """Return the entries of the first pages from ``vpn`` on that may be accessed without a fault."""
        found = []
        for number in range(vpn, vpn + pages):
            pte = self.page_table.get(number)
            if pte is None or not pte.allows(access):
                break
            found.append(pte)
        return found

    def absent(self, vpn: int, pages: int, access: PageAccess) -> int:
        """Return how many pages from ``vpn`` on fault before one does not."""
        for number in range(vpn, vpn + pages):
            pte = self.page_table.get(number)
            if pte is not None and pte.allows(access):
                return number - vpn
        return pages

    def entries(self, start: int, end: int) -> list[tuple[int, Pte]]:
        """Return the entries of a range of addresses with their virtual page numbers, in order."""
        first, last = start // self.page_size, end // self.page_size
        if last - first <= len(self.page_table):
            return [(number, self.page_table[number]) for number in range(first, last) if number in self.page_table]
        return sorted((number, pte) for number, pte in self.page_table.items() if first <= number < last)

    def zap(self, inode: Address, first: int, last: int, *, even_cows: bool = False) -> list[Pte]:
        """Remove the entries of a file's pages ``first`` to ``last``; those of copies only with ``even_cows``.

        Returns:
            The entries that were there, of those that are counted.

        """
        dropped: list[Pte] = []
        for begin, end in self.ranges_of(inode, first, last):
            dropped += self.clear(begin, end, copies=even_cows)
        return dropped

    def ranges_of(self, inode: Address, first: int, last: int) -> list[tuple[int, int]]:
        """Return the addresses at which a file's pages ``first`` to ``last`` are mapped."""
        ranges = []
        for mapping in self.mappings:
            if mapping.inode == inode:
                begin = mapping.start + max(first - mapping.first_page, 0) * self.page_size
                end = min(mapping.start + (last + 1 - mapping.first_page) * self.page_size, mapping.end)
                if begin < end:
                    ranges.append((begin, end))
        return ranges

    def protect(self, start: int, end: int) -> None:
        """Have the next store to each page of a range fault."""
        for number, pte in self.entries(start, end):
            self.page_table[number] = pte._replace(writable=False)

    def move(self, start: int, end: int, to: int) -> None:
        """Move the entries of a range of addresses to another."""
        moved = self.entries(start, end)
        for number, _ in moved:
            del self.page_table[number]
        distance = (to - start) // self.page_size
        self.page_table |= {number + distance: pte for number, pte in moved}

    def clear(self, start: int, end: int, *, copies: bool = True) -> list[Pte]:
        """Remove the entries of a range of addresses; return those that are counted."""
        gone = [(number, pte) for number, pte in self.entries(start, end) if copies or not pte.anonymous]
        for number, _ in gone:
            del self.page_table[number]
        return [pte for _, pte in gone if pte.counted]
