"""A pmem block set: persistent memory as a file system and a device see it at once [1.7].

Blocks are allocated lowest first. Freeing adds one to a block's generation, so a device access made with an older one
is an access to memory that was given away (oracle O1). References are counted per block; calls that wait for a block
to become idle sleep here.
"""

import errno
from collections.abc import Iterable

from longpin.actors.base import Engine, handles
from longpin.actors.conversation import KernelError
from longpin.actors.mm.free_space import FreeSpace
from longpin.actors.mm.memory import FrameMemory
from longpin.actors.mm.ownership import Owner, Ownership
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.mm.memory import Dma, FrameRun
from longpin.messages.mm.pmem import (
    Allocate,
    Allocated,
    BlockRun,
    CopyBlock,
    FindShared,
    FreeBlocks,
    Move,
    ShareBlocks,
    SharedBlocks,
)


class Pmem(FrameMemory):
    """The blocks of one device: who owns them, who references them, and what they hold."""

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
        self.owners = Ownership()
        """The inodes and their pages each allocated block belongs to."""
        for inode, run in owned:
            self.owners.add(run.block, run.length, Owner(inode, run.page))
        self.free = FreeSpace(blocks, ((run.first, run.length) for run in self.owners.runs))
        """Invariant: free and owners together are all blocks, each once."""

    def owner_of(self, number: int) -> str:
        """Return which pages of which files a block is."""
        return " and ".join(map(str, self.owners.of(number))) or "free"

    def is_still(self, access: Dma) -> bool:
        """Return whether a block was not freed since it was pinned, and is still that page of that file."""
        owners = self.owners.of(access.number)
        return self.generation(access.number) == access.generation and Owner(access.inode, access.page) in owners

    @handles(Allocate)
    def allocate(self, request: Allocate, _src: Address) -> Allocated:
        """Give out the lowest free block, with those that follow it; zeroed, unless it is only preallocated."""
        found = self.free.take_lowest(request.length)
        if found is None:
            raise KernelError(errno.ENOSPC)
        block, length = found
        self.owners.add(block, length, Owner(request.inode, request.page))
        if request.zeroed:
            for number in range(block, block + length):
                self.contents.pop(number, None)
        return Allocated(block, length)

    @handles(CopyBlock)
    def copy(self, request: CopyBlock, src: Address) -> Allocated:
        """Allocate a block with the bytes of another one."""
        copy = self.allocate(Allocate(request.inode, request.page), src)
        if request.block in self.contents:
            self.contents[copy.block] = self.contents[request.block]
        return copy

    @handles(ShareBlocks)
    def share(self, request: ShareBlocks, _src: Address) -> Done:
        """Count one more file that has the blocks."""
        for page, block, length in request.runs:
            self.owners.add(block, length, Owner(request.inode, page))
        return DONE

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
        for page, block, length in request.runs:
            self.owners.add(block, length, Owner(request.inode, page + request.distance))
        return DONE
