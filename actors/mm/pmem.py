"""A pmem block set: persistent memory as a file system and a device see it at once [1.7].

Blocks are allocated lowest first. Freeing adds one to a block's generation, so a device access made with an older one
is an access to memory that was given away (oracle O1). References are counted per block; calls that wait for a block
to become idle sleep here.
"""

import errno
from collections.abc import Iterable, Mapping
from typing import ClassVar

from longpin.actors.base import ActorPart, Engine, handles
from longpin.actors.conversation import KernelError
from longpin.actors.mm.client_reservations import ClientReservations
from longpin.actors.mm.free_space import FreeSpace
from longpin.actors.mm.memory import FrameMemory
from longpin.actors.mm.ownership import Owner, Ownership
from longpin.actors.mm.stamps import Stamp, Stamps
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.file import Data
from longpin.messages.mm.memory import Dma, FrameRun, MapFrames, Store, UnmapFrames
from longpin.messages.mm.pmem import (
    Allocate,
    Allocated,
    BlockRun,
    CopyBlock,
    FindShared,
    FreeBlocks,
    Move,
    Reserve,
    ShareBlocks,
    SharedBlocks,
    Unreserve,
)


class Pmem(FrameMemory):
    """The blocks of one device: who owns them, who references them, and what they hold."""

    parts: ClassVar[Mapping[str, type[ActorPart]]] = {"reservations": ClientReservations}

    def __init__(
        self,
        engine: Engine,
        address: Address,
        blocks: int,
        page_size: int,
        owned: Iterable[tuple[Address, BlockRun]] = (),
    ) -> None:
        super().__init__(engine, address)
        self.blocks = blocks
        self.page_size = page_size
        self.reservations = ClientReservations()
        self.owners = Ownership()
        """The inodes and their pages each allocated block belongs to."""
        for inode, run in owned:
            self.owners.add(run.block, run.length, Owner(inode, run.page))
        self.stamps = Stamps()
        self.free = FreeSpace(blocks, ((run.first, run.length) for run in self.owners.runs))
        """Invariant: free and owners together are all blocks, each once."""
        self.reserved = 0
        """How many of the free blocks are promised to pages that are not written back yet."""
        self.maps: dict[int, int] = {}
        """How many page table entries have a reference on each block, on kernels where they have; else none [H27]."""

    def owner_of(self, number: int) -> str:
        """Return which pages of which files a block is."""
        return " and ".join(map(str, self.owners.of(number))) or "free"

    def is_still(self, access: Dma) -> bool:
        """Return whether a block was not freed since it was pinned, and is still that page of that file."""
        pinned_as = Owner(access.inode, access.page)
        return self.generation(access.number) == access.generation and pinned_as in self.owners.of(access.number)

    # References of page tables.

    @handles(MapFrames)
    def map_frames(self, request: MapFrames, _src: Address) -> Done:
        """Count an entry more of each block."""
        for number in request.numbers:
            self.maps[number] = self.maps.get(number, 0) + 1
        return DONE

    @handles(UnmapFrames)
    def unmap_frames(self, request: UnmapFrames, _src: Address) -> Done:
        """Count an entry less of each, and wake who sleeps for it if that was the last reference."""
        for number in request.numbers:
            self.maps[number] -= 1
            if not self.maps[number]:
                del self.maps[number]
                self._wake_if_idle(number)
        return DONE

    def _referenced(self, run: FrameRun) -> list[int]:
        """Return the blocks of a run that are pinned, or mapped with a reference: the scan counts pins alone."""
        return sorted({*self._busy(run), *(number for number in self.maps if number in run.numbers)})

    def why_busy(self, number: int) -> str:
        """Return which page a block is, and what references it: a pin, or only page table entries."""
        if number in self.pins:
            return super().why_busy(number)
        count = self.maps.get(number, 0)
        entries = "1 page table entry has" if count == 1 else f"{count} page table entries have"
        return f"{self.owner_of(number)} (block {number}), which nobody pins any more, but {entries} a reference on it"

    # Blocks.

    @handles(Allocate)
    def allocate(self, request: Allocate, _src: Address) -> Allocated:
        """Give out the lowest free block, with those that follow it; zeroed, unless it is only preallocated."""
        most = request.length
        if request.reserved:
            self.reserved -= 1
        elif self.reserved:
            most = min(most, self.free.count - self.reserved)
        found = self.free.take_lowest(most) if most > 0 else None
        if found is None:
            raise KernelError(errno.ENOSPC)
        block, length = found
        self.owners.add(block, length, Owner(request.inode, request.page))
        for number in self._written(block, length):
            self.stamps.forget(number)
            if request.zeroed:
                self.contents.pop(number, None)
        return Allocated(block, length)

    @handles(Reserve)
    def reserve(self, request: Reserve, _src: Address) -> Done:
        """Promise free blocks."""
        if self.free.count - self.reserved < request.count:
            raise KernelError(errno.ENOSPC)
        self.reserved += request.count
        return DONE

    @handles(Unreserve)
    def unreserve(self, request: Unreserve, _src: Address) -> Done:
        """Promise fewer."""
        self.reserved -= request.count
        return DONE

    @handles(CopyBlock)
    def copy(self, request: CopyBlock, src: Address) -> Allocated:
        """Allocate a block with the bytes of another one."""
        copy = self.allocate(Allocate(request.inode, request.page), src)
        if request.block in self.contents:
            self.contents[copy.block] = self.contents[request.block]
            self.stamps.copy(request.block, copy.block, Owner(request.inode, request.page))
        return copy

    @handles(ShareBlocks)
    def share(self, request: ShareBlocks, _src: Address) -> Done:
        """Count one more file that has the blocks."""
        for page, block, length in request.runs:
            for number in self._written(block, length):
                sources = tuple(owner for owner in self.owners.of(number) if owner.inode == request.source)
                self.stamps.share(number, sources, Owner(request.inode, page + number - block))
            self.owners.add(block, length, Owner(request.inode, page))
        return DONE

    def _written(self, block: int, length: int) -> list[int]:
        """Return the blocks of a run that something was written to."""
        if length < len(self.contents):
            return [number for number in range(block, block + length) if number in self.contents]
        return sorted(number for number in self.contents if block <= number < block + length)

    @handles(FindShared)
    def find_shared(self, request: FindShared, _src: Address) -> SharedBlocks:
        """Look blocks up in the reference counts."""
        found = (pair for run in request.runs for pair in self.owners.shared(run.first, run.length))
        return SharedBlocks(tuple(FrameRun(*pair) for pair in found))

    @handles(FreeBlocks)
    def free_blocks(self, request: FreeBlocks, _src: Address) -> Done:
        """Take blocks back, referenced or not: whether that is safe is for the file system to know."""
        for page, block, length in request.runs:
            for first, freed in self.owners.drop(block, length, Owner(request.inode, page)):
                self.generations.add(first, first + freed - 1)
                self.free.add(first, freed)
        return DONE

    @handles(Move)
    def move(self, request: Move, _src: Address) -> Done:
        """Note that blocks are other pages now; who has them pinned still sees them as what they were."""
        for page, block, length in request.runs:
            self.owners.drop(block, length, Owner(request.inode, page))
            for number in self._written(block, length):
                old = Owner(request.inode, page + number - block)
                self.stamps.move(number, old, old._replace(page=old.page + request.distance))
        for page, block, length in request.runs:
            self.owners.add(block, length, Owner(request.inode, page + request.distance))
        return DONE

    # Who wrote what.

    @handles(Store)
    def store(self, request: Store, src: Address) -> Done:
        """Write bytes of a block, for a page of a file."""
        inode = request.inode or src
        pages = tuple(owner for owner in self.owners.of(request.number) if owner.inode == inode)
        stamp = Stamp(src, pages[0] if pages else Owner(inode, -1), pages[:1])
        self.stamps.write(request.number, request.offset, len(request.data), stamp)
        return super().store(request, src)

    @handles(Dma)
    def dma(self, request: Dma, src: Address) -> Data:
        """Read or write a block for a device; what it writes is right only for the page that it has pinned."""
        if request.data is not None:
            page = Owner(request.inode, request.page)
            pinned = self.generation(request.number) == request.generation and page in self.owners.of(request.number)
            stamp = Stamp(request.region, page, (page,) if pinned else ())
            self.stamps.write(request.number, request.offset, len(request.data), stamp)
        return super().dma(request, src)
