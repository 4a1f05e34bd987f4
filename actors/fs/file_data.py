"""The data of a file: bytes in the blocks of a pmem set, and how they change [1.6, 2.5].

Callers hold the inode's locks and have the layout guard's leave: here the change itself is made. The block map is
:mod:`longpin.actors.fs.extents`; what is here tells the pmem set and the page tables of it.
"""

import errno
from collections.abc import Iterator, Mapping

from longpin.actors.base import Actor
from longpin.actors.constants import (
    FALLOC_FL_COLLAPSE_RANGE,
    FALLOC_FL_INSERT_RANGE,
    FALLOC_FL_PUNCH_HOLE,
    FALLOC_FL_ZERO_RANGE,
)
from longpin.actors.conversation import Call, Conversation, KernelError, Step
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.extents import END, ExtentMap
from longpin.actors.fs.mappings import Mappings
from longpin.actors.kernel.file_system import LayoutOperation
from longpin.actors.kernel.machine import MOST_BYTES, MOST_SIZE, Kernel
from longpin.actors.locks import Lock
from longpin.messages.envelope import Address
from longpin.messages.mm.memory import AwaitIdle, Load, Store
from longpin.messages.mm.pmem import Allocate, FreeBlocks, Move

OPERATIONS = {
    0: LayoutOperation.ALLOCATE,
    FALLOC_FL_ZERO_RANGE: LayoutOperation.ZERO_RANGE,
    FALLOC_FL_PUNCH_HOLE: LayoutOperation.PUNCH_HOLE,
    FALLOC_FL_COLLAPSE_RANGE: LayoutOperation.COLLAPSE_RANGE,
    FALLOC_FL_INSERT_RANGE: LayoutOperation.INSERT_RANGE,
}
"""What fallocate(2) does by its mode, with FALLOC_FL_KEEP_SIZE or without."""


class FileData:
    """The data of one inode."""

    __slots__ = ("attributes", "extents", "ilock", "inode", "kernel", "mappings", "pmem")

    def __init__(
        self,
        actor: Actor,
        kernel: Kernel,
        pmem: Address,
        attributes: Attributes,
        mappings: Mappings,
        blocks: Mapping[int, int],
    ) -> None:
        self.inode = actor.address
        self.kernel = kernel
        self.pmem = pmem
        self.attributes = attributes
        self.mappings = mappings
        self.extents = ExtentMap(blocks)
        self.ilock = Lock(actor, f"the ilock of {actor.address}")

    # Reading and writing.

    def read(self, offset: int, count: int) -> Conversation[bytes]:
        """Return bytes up to the end of the file, and not more than one message holds."""
        end = min(offset + min(count, MOST_BYTES), self.attributes.size)
        data = b""
        for page, inside, length in self._split(offset, end - offset):
            block = self.extents.lookup(page)
            data += bytes(length) if block is None else (yield Call(self.pmem, Load(block, inside, length))).data
        return data

    def write(self, offset: int, data: bytes) -> Conversation[int]:
        """Store bytes, and return how many: what fits on a device that is full.

        Raises:
            KernelError: ENOSPC, nothing fits.

        """
        done = 0
        for page, inside, length in self._split(offset, len(data)):
            try:
                block = yield from self.allocated(page)
            except KernelError:
                if not done:
                    raise
                break  # a full device: what fits is written, and the count says so
            yield Call(self.pmem, Store(block, inside, data[done : done + length]))
            done += length
        self.attributes.size = max(self.attributes.size, offset + done)
        return done

    def _split(self, offset: int, length: int) -> Iterator[tuple[int, int, int]]:
        """Yield (page, offset in it, length) for each page of a byte range; none where ``length`` is not positive."""
        while length > 0:
            page, inside = divmod(offset, self.kernel.page_size)
            part = min(length, self.kernel.page_size - inside)
            yield page, inside, part
            offset, length = offset + part, length - part

    # Blocks.

    def allocated(self, page: int) -> Conversation[int]:
        """Return the block of a page, allocated if it is a hole; two who fill one hole meet at the ilock."""
        with (yield self.ilock.exclusive()):
            if (block := self.extents.lookup(page)) is None:
                block = (yield Call(self.pmem, Allocate(self.inode, page))).block
                self.extents.allocate(page, block)
                # Mappings of the zero page there must fault again.
                yield from self.mappings.zap(page, page)
        return block

    def free(self, first: int, last: int = END) -> Conversation[None]:
        """Give back the blocks of pages ``first`` to ``last``, or to the end."""
        if freed := self.extents.punch(first, last):
            yield Call(self.pmem, FreeBlocks(freed))

    def wait_until_idle(self) -> Conversation[None]:
        """Wait until nothing holds a reference on a page, whatever signals come."""
        for block in list(self.extents.pages.values()):
            yield Call(self.pmem, AwaitIdle(block, killable=False, interruptible=False))

    # Size.

    def resize(self, length: int) -> Conversation[None]:
        """Set the size, and free what is behind it."""
        attributes, page_size = self.attributes, self.kernel.page_size
        shrinks, attributes.size = length < attributes.size, length
        if shrinks:
            yield from self.mappings.zap(self.kernel.pages(length), even_cows=True)
            yield from self._zero(length, -length % page_size)
            yield from self.free(self.kernel.pages(length))
        else:
            yield Step()  # who sees the new size finds a writer still

    # What fallocate(2) does to a byte range.

    def fallocate(self, operation: LayoutOperation, offset: int, length: int, *, keep_size: bool) -> Conversation[None]:
        """Do one of :data:`OPERATIONS`.

        Raises:
            KernelError: ENOSPC, or what :meth:`_collapse` and :meth:`_insert` say.

        """
        match operation:
            case LayoutOperation.ALLOCATE:
                yield from self._preallocate(offset, length, keep_size=keep_size)
            case LayoutOperation.ZERO_RANGE:
                yield from self._preallocate(offset, length, keep_size=keep_size)
                yield from self._zero(offset, length)
            case LayoutOperation.PUNCH_HOLE:
                yield from self._punch(offset, length)
            case LayoutOperation.COLLAPSE_RANGE:
                yield from self._collapse(offset, length)
            case LayoutOperation.INSERT_RANGE:
                yield from self._insert(offset, length)

    def _preallocate(self, offset: int, length: int, *, keep_size: bool) -> Conversation[None]:
        """Give every page of the range a block."""
        for page, _, _ in self._split(offset, length):
            yield from self.allocated(page)
        if not keep_size:
            self.attributes.size = max(self.attributes.size, offset + length)

    def _zero(self, offset: int, length: int) -> Conversation[None]:
        """Zero a byte range where it has blocks."""
        page_size, end = self.kernel.page_size, offset + length
        for page, block in sorted(self.extents.pages.items()):
            start, stop = max(offset, page * page_size), min(end, (page + 1) * page_size)
            if start < stop:
                yield Call(self.pmem, Store(block, start - page * page_size, bytes(stop - start)))

    def _punch(self, offset: int, length: int) -> Conversation[None]:
        """Make holes of the pages that are wholly in the range, and zero the rest of it."""
        first, last = self.kernel.pages(offset), (offset + length) // self.kernel.page_size - 1
        yield from self.mappings.zap(first, last)
        yield from self._zero(offset, length)
        yield from self.free(first, last)

    def _collapse(self, offset: int, length: int) -> Conversation[None]:
        """Take a range out of the file: the blocks behind it belong to other pages then.

        Raises:
            KernelError: EINVAL, it is not whole pages or reaches the end of the file.

        """
        first, count = self._whole_pages(offset, length)
        if offset + length >= self.attributes.size:
            raise KernelError(errno.EINVAL)
        yield from self.mappings.zap(first)
        yield from self.free(first, first + count - 1)
        yield from self._shift(first + count, -count)

    def _insert(self, offset: int, length: int) -> Conversation[None]:
        """Put a hole into the file: the blocks behind it belong to other pages then.

        Raises:
            KernelError: EINVAL, it is not whole pages or begins at the end of the file or behind it; EFBIG, the file
                would become too large.

        """
        first, count = self._whole_pages(offset, length)
        if self.attributes.size + length > MOST_SIZE:
            raise KernelError(errno.EFBIG)
        if offset >= self.attributes.size:
            raise KernelError(errno.EINVAL)
        yield from self.mappings.zap(first)
        yield from self._shift(first, count)

    def _whole_pages(self, offset: int, length: int) -> tuple[int, int]:
        """Return the first page of a range and how many it has, or fail with EINVAL."""
        page_size = self.kernel.page_size
        if offset % page_size or length % page_size:
            raise KernelError(errno.EINVAL)
        return offset // page_size, length // page_size

    def _shift(self, first: int, distance: int) -> Conversation[None]:
        moved = self.extents.shift(first, distance)
        self.attributes.size += distance * self.kernel.page_size
        if moved:
            yield Call(self.pmem, Move(moved, distance))
