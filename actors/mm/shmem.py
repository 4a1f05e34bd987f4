"""Anonymous memory that is shared: what mmap(2) with MAP_SHARED and MAP_ANONYMOUS makes [1.8, shmem_zero_setup].

It is a file without a name or a file system, which lives as long as something maps it. Its frames are its own: it has
one entry for each, in the place of a page table, so a page stays when nobody's page table has it.
"""

import errno
from typing import ClassVar

from longpin.actors.base import Engine, handles
from longpin.actors.constants import FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE
from longpin.actors.conversation import Conversation, KernelError
from longpin.actors.fs.mappings import Mappings
from longpin.actors.mm.ram import Ram
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.inode import (
    AddMapping,
    CloseFile,
    Fallocate,
    Fault,
    MappedAs,
)
from longpin.messages.fs.mapping import MappingView, Memory
from longpin.messages.mm.memory import PageFrame
from longpin.messages.mm.mm import InstallPtes


class SharedMemory(Ram):
    """One piece of shared anonymous memory."""

    parts: ClassVar = {"mappings": Mappings}

    def __init__(self, engine: Engine, address: Address, pages: int, page_size: int) -> None:
        super().__init__(engine, address)
        self.size = pages
        """Pages; a mapping that grows beyond has none there."""
        self.page_size = page_size
        self.mappings = Mappings(address)
        self.pages: dict[int, int] = {}
        """The frame of each page that was touched."""

    @handles(AddMapping)
    def add_mapping(self, request: AddMapping, _src: Address) -> MappedAs:
        """mmap(2) has made it, or fork(2) copies a mapping."""
        r = request
        self.mappings.add(MappingView(r.mm, r.vma, r.prot, r.flags, r.ofd))
        return MappedAs(Memory.SHMEM)

    @handles(Fault)
    def fault(self, request: Fault, _src: Address) -> InstallPtes:
        """Give a page its frame; EFAULT beyond the end [shmem_fault]."""
        if request.page >= self.size:
            raise KernelError(errno.EFAULT)
        if request.page not in self.pages:
            [self.pages[request.page]] = self.take(1)
        frame = PageFrame(self.address, self.pages[request.page])
        return InstallPtes(request.vpn, (frame,), writable=request.write)

    @handles(Fallocate)
    def fallocate(self, request: Fallocate, _src: Address) -> Conversation[Done]:
        """madvise(2) with MADV_REMOVE makes a hole of whole pages; pinned ones go out of it, and stay the pinner's."""
        assert request.mode == FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
        first, last = request.offset // self.page_size, (request.offset + request.length) // self.page_size - 1
        numbers = [self.pages.pop(page) for page in sorted(self.pages) if first <= page <= last]
        yield from self.mappings.zap(first, last)
        self.drop_all(numbers)
        return DONE

    @handles(CloseFile)
    def close(self, _request: CloseFile, _src: Address) -> Done:
        """Nothing maps it any more: its frames are free, but for those that are pinned."""
        numbers = list(self.pages.values())
        self.pages.clear()
        self.drop_all(numbers)
        return DONE
