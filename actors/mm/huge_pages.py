"""The huge pages of a machine (``nr_hugepages``): a memory whose frames are given out by the huge page [1.8.4].

A huge page is a run of frames, each of which is mapped, pinned and accessed by itself; it is given out as a whole, and
is free again when nobody has any of its frames. Some may be promised (``resv_huge_pages``): these are free, and nobody
else's.
"""

import errno
from collections.abc import Iterable

from longpin.actors.base import Engine, handles
from longpin.actors.conversation import KernelError
from longpin.actors.mm.free_space import FreeSpace
from longpin.actors.mm.ram import Ram
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.mm.hugetlb import AllocateHugePage, OwnHugePage, ReserveHugePages, UnreserveHugePages
from longpin.messages.mm.memory import Dma, Unpin
from longpin.messages.mm.ram import SharedFrames, ShareFrames, UnpinFrames


class HugePages(Ram):
    """All of one size."""

    def __init__(self, engine: Engine, address: Address, count: int, frames: int) -> None:
        super().__init__(engine, address)
        self.compound = self.frames = frames
        """How many a huge page has."""
        self.free = FreeSpace(count)
        """The huge pages nobody has. Invariant: of all others at least one frame is in ``maps`` or ``pins``."""
        self.reserved = 0
        """How many are promised. Invariant: no more than are free."""

    def owner_of(self, number: int) -> str:
        """Return what a frame is."""
        return "a huge page" if number in self.maps else "free"

    def is_still(self, access: Dma) -> bool:
        """Return whether the huge page has not been free since it was pinned."""
        return self.generation(access.number) == access.generation

    @handles(ReserveHugePages)
    def reserve(self, request: ReserveHugePages, _src: Address) -> Done:
        """Promise some [hugetlb_acct_memory]."""
        if self.free.count - self.reserved < request.count:
            raise KernelError(errno.ENOMEM)
        self.reserved += request.count
        return DONE

    @handles(UnreserveHugePages)
    def unreserve(self, request: UnreserveHugePages, _src: Address) -> Done:
        """Promise fewer."""
        self.reserved -= request.count
        return DONE

    @handles(AllocateHugePage)
    def allocate_huge(self, request: AllocateHugePage, _src: Address) -> Done:
        """Give out the lowest one."""
        if not request.reserved and self.free.count <= self.reserved:
            raise KernelError(errno.ENOMEM)
        found = self.free.take_lowest()
        assert found is not None
        self.reserved -= request.reserved
        first = found[0] * self.frames
        self.maps |= dict.fromkeys(self._frames_of(first), 1)
        for index in range(self.frames if request.copy_of >= 0 else 0):
            if request.copy_of + index in self.contents:
                self.contents[first + index] = self.contents[request.copy_of + index]
        return Done(first)

    def _frames_of(self, number: int) -> range:
        """Return the frames of the huge page that has one."""
        first = number - number % self.frames
        return range(first, first + self.frames)

    def _has_pins(self, number: int) -> bool:
        return any(self._is_pinned(frame) for frame in self._frames_of(number))

    @handles(ShareFrames)
    def share(self, request: ShareFrames, _src: Address) -> SharedFrames:
        """Count one more entry of each frame, unless any of the huge page is pinned [hugetlb_try_dup_anon_rmap]."""
        firsts = dict.fromkeys(number - number % self.frames for number in request.numbers)
        pinned = () if request.even_pinned else tuple(first for first in firsts if self._has_pins(first))
        for number in request.numbers:
            if number - number % self.frames not in pinned:
                self.maps[number] += 1
        return SharedFrames(pinned)

    @handles(OwnHugePage)
    def own(self, request: OwnHugePage, src: Address) -> Done:
        """Let who asks have a huge page alone, or a copy of it."""
        first = request.first
        referenced = not request.despite_pins and any(frame in self.pins for frame in self._frames_of(first))
        if self.maps[first] == 1 and not referenced:
            return Done(first)
        copy = self.allocate_huge(AllocateHugePage(request.reserved, first), src)
        self.drop_all(self._frames_of(first))
        return copy

    def drop_all(self, numbers: Iterable[int]) -> None:
        """Count one entry less of each frame."""
        gone = list(numbers)
        for number in gone:
            self.maps[number] -= 1
        self._free_unused(gone)

    @handles(UnpinFrames)
    def unpin_frames(self, request: UnpinFrames, src: Address) -> Done:
        """Drop a registration's references, and with them huge pages that nobody has any more."""
        pinned = sorted(self.pins)
        done = self.unpin(Unpin(request.owner), src)
        self._free_unused(pinned)
        return done

    def _free_unused(self, numbers: Iterable[int]) -> None:
        """Take back the huge pages of which nobody has a frame."""
        for first in dict.fromkeys(number - number % self.frames for number in numbers):
            frames = self._frames_of(first)
            if any(self.maps[frame] or frame in self.pins for frame in frames):
                continue
            for frame in frames:
                del self.maps[frame]
                self.contents.pop(frame, None)
            self.generations.add(first, first + self.frames - 1)
            self.free.add(first // self.frames)
