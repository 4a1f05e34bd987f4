"""The blocks of an inode: allocating, freeing and moving them, and fallocate(2) [1.6, 2.5]."""

import errno
from collections.abc import Iterator
from typing import NamedTuple

from longpin.actors.attributes import AttributeHost
from longpin.actors.base import Engine, handles
from longpin.actors.constants import (
    FALLOC_FL_COLLAPSE_RANGE,
    FALLOC_FL_INSERT_RANGE,
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
    FALLOC_FL_ZERO_RANGE,
)
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.kernel.file_system import LayoutOperation
from longpin.actors.kernel.machine import MOST_SIZE, Kernel
from longpin.actors.layouts import LAST_PAGE
from longpin.actors.locks import Lock
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.inode import Fallocate
from longpin.messages.pmem import Allocate, FreeBlocks, Move, Store

PUNCH = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE

OPERATIONS = {
    0: LayoutOperation.ALLOCATE,
    FALLOC_FL_ZERO_RANGE: LayoutOperation.ZERO_RANGE,
    FALLOC_FL_PUNCH_HOLE: LayoutOperation.PUNCH_HOLE,
    FALLOC_FL_COLLAPSE_RANGE: LayoutOperation.COLLAPSE_RANGE,
    FALLOC_FL_INSERT_RANGE: LayoutOperation.INSERT_RANGE,
}
"""What fallocate(2) does by its mode, with FALLOC_FL_KEEP_SIZE or without."""


class FileStart(NamedTuple):
    """What a file is when its inode is made."""

    uid: int
    mode: int
    size: int
    """Bytes."""
    pages: dict[int, int]
    """The block of each page that has one."""


class BlockHost(AttributeHost):
    """An inode as far as its blocks go."""

    def __init__(self, engine: Engine, address: Address, kernel: Kernel, pmem: Address, start: FileStart) -> None:
        super().__init__(engine, address, kernel, start.uid, pmem, start.mode, start.size)
        self.pages = dict(start.pages)
        self.ilock = Lock(self, f"the ilock of {address}")

    def split(self, offset: int, length: int) -> Iterator[tuple[int, int, int]]:
        """Yield (page, offset in it, length) for each page of a byte range; none where ``length`` is not positive."""
        while length > 0:
            page, inside = divmod(offset, self.kernel.page_size)
            part = min(length, self.kernel.page_size - inside)
            yield page, inside, part
            offset, length = offset + part, length - part

    def allocated(self, page: int) -> Conversation[int]:
        """Return the block of a page, allocated if it is a hole; two who fill one hole meet at the ilock."""
        with (yield self.ilock.exclusive()):
            if page not in self.pages:
                self.pages[page] = (yield Call(self.pmem, Allocate(self.address, page))).block
                # Whoever mapped the zero page there must fault again.
                yield from self.zap(page, page)
        return self.pages[page]

    def free(self, first: int, last: int | None = None) -> Conversation[None]:
        """Give back the blocks of pages ``first`` to ``last``, or to the end."""
        freed = tuple(
            self.pages.pop(page) for page in sorted(self.pages) if first <= page and (last is None or page <= last)
        )
        if freed:
            yield Call(self.pmem, FreeBlocks(freed))

    def zero(self, offset: int, length: int) -> Conversation[None]:
        """Zero a byte range where it has blocks."""
        page_size, end = self.kernel.page_size, offset + length
        for page, block in sorted(self.pages.items()):
            start, stop = max(offset, page * page_size), min(end, (page + 1) * page_size)
            if start < stop:
                yield Call(self.pmem, Store(block, start - page * page_size, bytes(stop - start)))

    @handles(Fallocate)
    def fallocate(self, request: Fallocate, _src: Address) -> Conversation[Done]:
        """fallocate(2): what is asked first depends on mode and file system [2.5]."""
        offset, length, page_size = request.offset, request.length, self.kernel.page_size
        with (yield self.iolock.exclusive()) as io, (yield self.mmaplock.exclusive()) as mm:
            operation = OPERATIONS[request.mode & ~FALLOC_FL_KEEP_SIZE]
            change = self.change(operation, offset // page_size, LAST_PAGE, request.tgid)
            yield from self.break_layouts(change, io, mm)
            first, end = self.kernel.pages(offset), (offset + length) // page_size
            match request.mode:
                case mode if mode in (0, FALLOC_FL_KEEP_SIZE):
                    yield from self._preallocate(request)
                case mode if mode in (FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE):
                    yield from self._preallocate(request)
                    yield from self.zero(offset, length)
                case mode if mode == PUNCH:
                    yield from self.zap(first, end - 1)
                    yield from self.zero(offset, length)
                    yield from self.free(first, end - 1)
                case _:
                    yield from self._shift(request)
        return DONE

    def _preallocate(self, request: Fallocate) -> Conversation[None]:
        end = request.offset + request.length
        for page, _, _ in self.split(request.offset, request.length):
            yield from self.allocated(page)
        if not request.mode & FALLOC_FL_KEEP_SIZE:
            self.size = max(self.size, end)

    def _shift(self, request: Fallocate) -> Conversation[None]:
        """Take a range out of a file, or put a hole into it: the blocks behind it belong to other pages then."""
        page_size, end = self.kernel.page_size, request.offset + request.length
        collapse = request.mode == FALLOC_FL_COLLAPSE_RANGE
        if request.offset % page_size or request.length % page_size:
            raise KernelError(errno.EINVAL)
        if not collapse and self.size + request.length > MOST_SIZE:
            raise KernelError(errno.EFBIG)
        if (end if collapse else request.offset) >= self.size:
            raise KernelError(errno.EINVAL)
        first, count = request.offset // page_size, request.length // page_size
        yield from self.zap(first)
        if collapse:
            yield from self.free(first, first + count - 1)
        distance = -count if collapse else count
        moved = {page: block for page, block in self.pages.items() if page >= first}
        self.pages = {page: block for page, block in self.pages.items() if page < first}
        self.pages |= {page + distance: block for page, block in moved.items()}
        self.size += distance * page_size
        if moved:
            yield Call(self.pmem, Move(tuple(moved.values()), distance))
