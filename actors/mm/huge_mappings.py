"""Mappings of huge pages in a memory map: what is promised to it, and its own copies, which are huge too [1.8.4].

A page table entry of a huge page is one for each of its frames here, and all of them come and go together.
"""

import errno
from collections.abc import Iterable

from longpin.actors.constants import MAP_NORESERVE, PROT_WRITE
from longpin.actors.conversation import Call, Conversation, KernelError, outcome, single
from longpin.actors.kernel.machine import Kernel
from longpin.actors.mm.address_space import AddressSpace, Mapping, Pte
from longpin.messages.envelope import Address
from longpin.messages.mm.hugetlb import (
    HUGE_PAGES,
    AllocateHugePage,
    OwnHugePage,
    ReserveHugePages,
    UnmapForOwner,
    UnreserveHugePages,
)
from longpin.messages.mm.memory import PageFrame


class HugeMappings:
    """The huge pages of private mappings, and the ends that mappings of huge pages must have."""

    def __init__(self, mm: Address, kernel: Kernel, space: AddressSpace) -> None:
        self.mm = mm
        self.kernel = kernel
        self.space = space
        self.frames = kernel.frames_of_huge_page
        self.size = self.frames * kernel.page_size
        """Bytes of a huge page."""
        self.owned: dict[int, bool] = {}
        """The huge pages, by their first virtual page number, that mmap(2) has promised to this memory map, and
        whether they still are: true, or false once one was given out for it. A child has none [HPAGE_RESV_OWNER]."""

    def round_up(self, length: int) -> int:
        """Return a length in whole huge pages."""
        return -(-length // self.size) * self.size

    def check_ends(self, mappings: Iterable[Mapping], start: int, end: int) -> None:
        """Fail with EINVAL if a mapping of huge pages would have to be split in the middle of one [may_split]."""
        for mapping in mappings:
            inside = [address for address in (start, end) if mapping.start < address < mapping.end]
            if mapping.huge and any(address % self.size for address in inside):
                raise KernelError(errno.EINVAL)

    # What is promised.

    def reserve(self, length: int) -> Conversation[None]:
        """Have huge pages promised to a new private mapping [hugetlb_reserve_pages]; ENOMEM."""
        yield Call(HUGE_PAGES, ReserveHugePages(length // self.size))

    def own(self, mapping: Mapping) -> None:
        """Note that a new mapping has those that were promised, where it has any [set_vma_resv_flags]."""
        if mapping.huge and mapping.private and not mapping.flags & MAP_NORESERVE:
            self.owned |= dict.fromkeys(self._heads(mapping.start, mapping.end), True)

    def _heads(self, start: int, end: int) -> range:
        return range(start // self.kernel.page_size, end // self.kernel.page_size, self.frames)

    def forget(self, start: int, end: int) -> Conversation[None]:
        """Give up what is promised of a range that is mapped no more."""
        gone = [head for head in self._heads(start, end) if head in self.owned]
        unused = sum(self.owned.pop(head) for head in gone)
        if unused:
            yield Call(HUGE_PAGES, UnreserveHugePages(unused))

    def restore(self, start: int, end: int) -> Conversation[None]:
        """Have pages of a range promised again whose entries have gone, if there are so many [meas 6.18]."""
        used = [head for head in self._heads(start, end) if self.owned.get(head) is False]
        if used and (yield from outcome(single(Call(HUGE_PAGES, ReserveHugePages(len(used)))))) is None:
            self.owned |= dict.fromkeys(used, True)

    def move(self, start: int, end: int, to: int) -> None:
        """Note that a range lies elsewhere now."""
        distance = (to - start) // self.kernel.page_size
        moved = {head: self.owned.pop(head) for head in self._heads(start, end) if head in self.owned}
        self.owned |= {head + distance: unused for head, unused in moved.items()}

    # Pages of one's own.

    def replaced(self, vpn: int) -> list[tuple[int, int]]:
        """Return the addresses of the huge page whose entries a copy would replace; none, if there are no entries."""
        head = vpn - vpn % self.frames
        start = head * self.kernel.page_size
        return [(start, start + self.size)] if head in self.space.page_table else []

    def make_own(self, mapping: Mapping, vpn: int) -> Conversation[None]:
        """Put a huge page where one is wanted, or make the one that is there nobody else's [hugetlb_wp].

        The page table lock is held.

        Raises:
            KernelError: EFAULT, none is left.

        """
        head = vpn - vpn % self.frames
        pte, writable = self.space.page_table.get(head), bool(mapping.prot & PROT_WRITE)
        if pte is None:
            self._enter(head, (yield from self._allocate(head)), writable=writable)
            return
        first = pte.frame.number
        if not pte.exclusive:
            first = yield from (self._unshare(mapping, head, first) if pte.anonymous else self._allocate(head, first))
        self._enter(head, first, writable=writable)

    def _unshare(self, mapping: Mapping, head: int, first: int) -> Conversation[int]:
        """Return the first frame of a huge page that nobody else has, where one is that a child or a parent may have.

        If none is left for a copy, who it was promised to takes it from the others.
        """
        try:
            return (yield from self._own(head, first))
        except KernelError:
            if head not in self.owned:
                raise
        page = self.space.page_of(mapping, head * self.kernel.page_size)
        yield Call(mapping.inode, UnmapForOwner(self.mm, page))
        return (yield from self._own(head, first))

    def _own(self, head: int, first: int) -> Conversation[int]:
        reserved, sees_pins = self.owned.get(head, False), self.kernel.generation.copies_see_pins
        try:
            own: int = (yield Call(HUGE_PAGES, OwnHugePage(first, reserved, despite_pins=not sees_pins))).value
        except KernelError:
            raise KernelError(errno.EFAULT) from None
        if reserved and own != first:
            self.owned[head] = False
        return own

    def _enter(self, head: int, first: int, *, writable: bool) -> None:
        for index in range(self.frames):
            frame = PageFrame(HUGE_PAGES, first + index)
            self.space.page_table[head + index] = Pte(frame, writable, anonymous=True, exclusive=True)

    def _allocate(self, head: int, copy_of: int = -1) -> Conversation[int]:
        reserved = self.owned.get(head, False)
        try:
            first: int = (yield Call(HUGE_PAGES, AllocateHugePage(reserved, copy_of))).value
        except KernelError:
            raise KernelError(errno.EFAULT) from None
        if reserved:
            self.owned[head] = False
        return first

    def copy(self, first: int) -> Conversation[int | None]:
        """Return the first frame of a copy for a child; None: no huge page is left."""
        try:
            made: int = (yield Call(HUGE_PAGES, AllocateHugePage(reserved=False, copy_of=first))).value
        except KernelError:
            return None
        return made
