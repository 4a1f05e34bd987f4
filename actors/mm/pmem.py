"""A pmem block set: persistent memory as a file system and a device see it at once [1.7].

Blocks are allocated lowest first. Freeing adds one to a block's generation, so a device access made with an older one
is an access to memory that was given away (oracle O1). References are counted per block; calls that wait for a block
to become idle sleep here.
"""

import errno

from longpin.actors.base import Engine, handles
from longpin.actors.conversation import KernelError
from longpin.actors.mm.free_space import FreeSpace
from longpin.actors.mm.memory import FrameMemory
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.mm.memory import Dma
from longpin.messages.mm.pmem import Allocate, Allocated, FreeBlocks, Move


class Pmem(FrameMemory):
    """The blocks of one device: who owns them, who references them, and what they hold."""

    def __init__(
        self, engine: Engine, address: Address, blocks: int, page_size: int, owners: dict[int, tuple[Address, int]]
    ) -> None:
        super().__init__(engine, address)
        self.blocks = blocks
        self.page_size = page_size
        self.owners = dict(owners)
        """The inode and its page each allocated block belongs to."""
        self.free = FreeSpace(blocks, owners)
        """Invariant: free and owners together are all blocks, each once."""

    def owner_of(self, number: int) -> str:
        """Return which page of which file a block is."""
        if number not in self.owners:
            return "free"
        inode, page = self.owners[number]
        return f"page {page} of {inode}"

    def is_still(self, access: Dma) -> bool:
        """Return whether a block was not freed since it was pinned, and is still that page of that file."""
        owner = self.owners.get(access.number)
        return self.generation(access.number) == access.generation and owner == (access.inode, access.page)

    @handles(Allocate)
    def allocate(self, request: Allocate, _src: Address) -> Allocated:
        """Give out the lowest free block, zeroed."""
        block = self.free.take_lowest()
        if block is None:
            raise KernelError(errno.ENOSPC)
        self.owners[block] = (request.inode, request.page)
        self.contents.pop(block, None)
        return Allocated(block)

    @handles(FreeBlocks)
    def free_blocks(self, request: FreeBlocks, _src: Address) -> Done:
        """Take blocks back, referenced or not: whether that is safe is for the file system to know."""
        for block in request.blocks:
            del self.owners[block]
            self.generations[block] = self.generation(block) + 1
            self.free.add(block)
        return DONE

    @handles(Move)
    def move(self, request: Move, _src: Address) -> Done:
        """Note that blocks are other pages now; who has them pinned still sees them as what they were."""
        for block in request.blocks:
            inode, page = self.owners[block]
            self.owners[block] = (inode, page + request.distance)
        return DONE
