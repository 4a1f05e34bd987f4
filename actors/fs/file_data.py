"""The data of a file: bytes in the blocks of a pmem set, and how they change [1.6, 2.5].

Callers hold the inode's locks and have the layout guard's leave: here the change itself is made. The block map is
:mod:`longpin.actors.fs.extents`; what is here tells the pmem set and the page tables of it.
"""

import errno
from collections.abc import Iterable, Iterator
from typing import ClassVar

from longpin.actors.base import Actor
from longpin.actors.constants import (
    FALLOC_FL_COLLAPSE_RANGE,
    FALLOC_FL_INSERT_RANGE,
    FALLOC_FL_PUNCH_HOLE,
    FALLOC_FL_UNSHARE_RANGE,
    FALLOC_FL_ZERO_RANGE,
)
from longpin.actors.conversation import Call, Conversation, Covers, KernelError, Step
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.extents import END, Extent, ExtentMap, State
from longpin.actors.fs.mappings import Mappings
from longpin.actors.kernel.file_system import ChangeKind, LayoutOperation
from longpin.actors.kernel.machine import MOST_BYTES, MOST_SIZE, Kernel
from longpin.actors.kernel.mount import Mount
from longpin.actors.locks import Lock
from longpin.messages.fs.inode_pieces import Freeing
from longpin.messages.fs.remap import SharedOut, TakeShared
from longpin.messages.mm.memory import ZERO_PAGE, AwaitIdle, FrameRun, Load, PageFrame, Store
from longpin.messages.mm.pmem import Allocate, BlockRun, CopyBlock, FindShared, FreeBlocks, Move, ShareBlocks

OPERATIONS = {
    0: LayoutOperation.ALLOCATE,
    FALLOC_FL_ZERO_RANGE: LayoutOperation.ZERO_RANGE,
    FALLOC_FL_PUNCH_HOLE: LayoutOperation.PUNCH_HOLE,
    FALLOC_FL_COLLAPSE_RANGE: LayoutOperation.COLLAPSE_RANGE,
    FALLOC_FL_INSERT_RANGE: LayoutOperation.INSERT_RANGE,
    FALLOC_FL_UNSHARE_RANGE: LayoutOperation.UNSHARE_RANGE,
}
"""What fallocate(2) does by its mode, with FALLOC_FL_KEEP_SIZE or without."""


class FileData:
    """The data of one inode on DAX: what is read, written and mapped are its blocks."""

    only_blocks: ClassVar[bool] = True
    """What a file loses it loses by one message to its pmem set."""

    __slots__ = ("attributes", "extents", "file_system", "ilock", "inode", "kernel", "mappings", "pmem")

    def __init__(
        self,
        actor: Actor,
        kernel: Kernel,
        mount: Mount,
        attributes: Attributes,
        mappings: Mappings,
        runs: Iterable[BlockRun],
    ) -> None:
        self.inode = actor.address
        self.kernel = kernel
        self.pmem = mount.device
        self.file_system = mount.file_system
        self.attributes = attributes
        self.mappings = mappings
        self.extents = ExtentMap(Extent(*run) for run in runs)
        self.ilock = Lock(actor, f"the ilock of {actor.address}")

    # Reading and writing.

    def read(self, offset: int, count: int) -> Conversation[bytes]:
        """Return bytes up to the end of the file, and not more than one message holds."""
        end = min(offset + min(count, MOST_BYTES), self.attributes.size)
        data = b""
        for page, inside, length in self._split(offset, end - offset):
            data += yield from self._load(page, inside, length)
        return data

    def _load(self, page: int, inside: int, length: int) -> Conversation[bytes]:
        """Read bytes of a page; what is not written is zeros."""
        block = self.extents.data(page)
        if block is None:
            return bytes(length)
        data: bytes = (yield Call(self.pmem, Load(block, inside, length))).data
        return data

    def write(self, offset: int, data: bytes) -> Conversation[int]:
        """Store bytes, and return how many: what fits on a device that is full.

        Raises:
            KernelError: ENOSPC, nothing fits.

        """
        done = 0
        yield from self._zero_tail(offset)
        for page, inside, length in self._split(offset, len(data)):
            try:
                yield from self._store(page, inside, data[done : done + length])
            except KernelError:
                if not done:
                    raise
                break  # a full device: what fits is written, and the count says so
            done += length
        self.attributes.size = max(self.attributes.size, offset + done)
        return done

    def _store(self, page: int, inside: int, data: bytes) -> Conversation[None]:
        """Write bytes of a page.

        Raises:
            KernelError: ENOSPC.

        """
        block = yield from self.writable_block(page)
        yield Call(self.pmem, Store(block, inside, data))

    @property
    def delayed(self) -> tuple[int, ...]:
        """The pages that get a block when they are written back: none on DAX."""
        return ()

    @property
    def has_device(self) -> bool:
        """Whether a device moves the bytes of a direct transfer: on DAX the CPU does."""
        return False

    def invalidate(self, _offset: int, _length: int) -> Conversation[None]:
        """Take a byte range out of memory, written back, before a device writes it."""
        yield from ()

    @property
    def takes_direct(self) -> bool:
        """Whether the file can be opened with O_DIRECT [code: do_dentry_open]."""
        return True

    def drop_clean(self) -> Conversation[None]:
        """Take pages out of memory that are written back."""
        yield from ()

    def read_block(self, page: int, inside: int, length: int) -> Conversation[bytes]:
        """Read bytes of a page as its block has them."""
        return (yield from FileData._load(self, page, inside, length))

    def write_block(self, page: int, inside: int, data: bytes) -> Conversation[None]:
        """Write bytes of a page into its block.

        Raises:
            KernelError: ENOSPC.

        """
        yield from FileData._store(self, page, inside, data)

    def sync(self) -> Conversation[None]:
        """fsync(2): what is written is in its blocks already."""
        yield from ()

    def map_pages(self, page: int, last: int, *, write: bool) -> Conversation[list[PageFrame]]:
        """Return the memory that pages are, for a page fault: of the first, and of those behind it that are ready.

        What is not written is the page of zeros, unless the page is to be stored to.

        Raises:
            KernelError: ENOSPC.

        """
        if write and self.changes(page):
            yield from self.writable_block(page)
        frames = self.ready(page, last, write=write)
        assert frames is not None
        return frames

    def ready(self, page: int, last: int, *, write: bool) -> list[PageFrame] | None:
        """Return what :meth:`map_pages` would; None if it has to make something for that."""
        if write and self.changes(page):
            return None
        frames = [self._frame(page)]
        while (page := page + 1) <= last and not (write and self.changes(page)):
            frames.append(self._frame(page))
        return frames

    def changes(self, page: int) -> ChangeKind:
        """Return what a store to a page would do to the extent map."""
        return self.extents.classify(LayoutOperation.WRITE, page, page)

    def _frame(self, page: int) -> PageFrame:
        block = self.extents.data(page)
        return ZERO_PAGE if block is None else PageFrame(self.pmem, block)

    def _split(self, offset: int, length: int) -> Iterator[tuple[int, int, int]]:
        """Yield (page, offset in it, length) for each page of a byte range; none where ``length`` is not positive."""
        while length > 0:
            page, inside = divmod(offset, self.kernel.page_size)
            part = min(length, self.kernel.page_size - inside)
            yield page, inside, part
            offset, length = offset + part, length - part

    # Blocks.

    def writable_block(self, page: int) -> Conversation[int]:
        """Return the block of a page, as one that nobody else has and whose bytes count.

        A hole gets a block, a preallocated one is zeroed and counts as written from now on, and the data of one that
        another file has too are copied to a new one. Two who want the same page meet at the ilock.

        Raises:
            KernelError: ENOSPC.

        """
        with (yield self.ilock.exclusive()):
            yield from self.look_up_shared(page, page)
            place = self.extents.get(page)
            if place is None:
                wanted = Allocate(self.inode, page, reserved=self._take_reserved(page))
                block: int = (yield Call(self.pmem, wanted)).block
                self.extents.allocate(Extent(page, block, 1))
            elif place.shared:
                block = yield from self._copy(page, place.block)
            elif place.state is State.UNWRITTEN:
                block = place.block
                yield Call(self.pmem, Store(block, 0, bytes(self.kernel.page_size)))
                self.extents.mark(page, page, state=State.WRITTEN)
            else:
                return place.block
            # Mappings of the page of zeros there, or of the block that is shared, must fault again.
            yield from self.mappings.zap(page, page)
            if place is not None and place.shared:
                yield Call(self.pmem, FreeBlocks(self.inode, (BlockRun(page, place.block, 1),)))
        return block

    def _take_reserved(self, _page: int) -> bool:
        """Return whether a block was reserved for a hole, which gets it now."""
        return False

    def _copy(self, page: int, old: int) -> Conversation[int]:
        """Give a page a new block with the same data; its old one is to be given back."""
        block: int = (yield Call(self.pmem, CopyBlock(self.inode, page, old))).block
        self.extents.punch(page, page)
        self.extents.allocate(Extent(page, block, 1))
        return block

    def look_up_shared(self, first: int, last: int = END) -> Conversation[None]:
        """Find out which of the extents that were shared still are: other files let go of blocks without a word."""
        runs = [FrameRun(e.block, e.length) for e in self.extents.extents_in(first, last) if e.shared]
        if not runs:
            return
        shared = (yield Call(self.pmem, FindShared(tuple(runs)))).runs
        for extent in self.extents.extents_in(first, last):
            self.extents.mark(extent.page, extent.last, shared=False)
            to_page = extent.page - extent.block
            for run in shared:
                begin = max(run.first + to_page, extent.page)
                end = min(run.first + run.length - 1 + to_page, extent.last)
                self.extents.mark(begin, end, shared=True)

    def share_out(self, first: int, last: int) -> Conversation[SharedOut]:
        """Note that what pages ``first`` to ``last`` have written is shared, and say where it lies."""
        yield from self.mappings.zap(first, last)  # so that the next store faults, and copies
        there = self.extents.extents_in(first, last)
        written = [extent for extent in there if extent.state is State.WRITTEN]
        for extent in written:
            self.extents.mark(extent.page, extent.last, shared=True)
        return SharedOut(_runs(written), tuple((e.page, e.last) for e in there if e.state is State.UNWRITTEN))

    def zero_tail(self, first: int) -> Conversation[None]:
        """Zero the rest of the last page, if page ``first`` lies behind it and the file is about to grow there."""
        yield from self._zero_tail(first * self.kernel.page_size)

    def take_shared(self, request: TakeShared) -> Conversation[None]:
        """Let go of pages, and have other files' blocks there instead; what neither has written stays as it is."""
        yield from self.mappings.zap(request.first, request.last)
        gone, begin = [], request.first
        for pages in request.unwritten:
            for kept in self.extents.extents_in(*pages):
                if kept.state is State.UNWRITTEN:
                    gone += self.extents.punch(begin, kept.page - 1)
                    begin = kept.last + 1
        gone += self.extents.punch(begin, request.last)
        for page, block, length in request.runs:
            self.extents.allocate(Extent(page, block, length, shared=True))
        if gone:  # before it takes what it had already
            yield Call(self.pmem, FreeBlocks(self.inode, _runs(gone)))
        if request.runs:
            yield Call(self.pmem, ShareBlocks(request.source, self.inode, request.runs))
        self.attributes.size = max(self.attributes.size, request.end)

    def free(self, first: int, last: int = END) -> Conversation[None]:
        """Give back the blocks of pages ``first`` to ``last``, or to the end."""
        if freed := self.extents.punch(first, last):
            yield Call(self.pmem, FreeBlocks(self.inode, _runs(freed)))

    def wait_until_idle(self) -> Conversation[None]:
        """Wait until nothing holds a reference on a page, whatever signals come."""
        for extent in self.extents.extents:
            yield Call(self.pmem, AwaitIdle(extent.block, killable=False, interruptible=False, length=extent.length))

    # Size.

    def resize(self, length: int) -> Conversation[None]:
        """Set the size, and free what is behind it; the caller has nothing left to do then but to drop its locks."""
        attributes, page_size, first = self.attributes, self.kernel.page_size, self.kernel.pages(length)
        yield from self._zero_tail(length)
        shrinks, stays, attributes.size = length < attributes.size, length == attributes.size, length
        if shrinks:
            frees = self.only_blocks and bool(self.extents.extents_in(first, END))
            yield from self.mappings.zap(first, even_cows=True, asks_next=frees)
            yield from self._zero(length, -length % page_size)
        else:
            yield Step()  # who sees the new size finds a writer still
        if shrinks or stays:
            if self.only_blocks:
                yield Covers(Freeing())
            yield from self.free(first)

    def _zero_tail(self, end: int) -> Conversation[None]:
        """Zero what the last page holds behind the end of the file, before this is at or beyond ``end`` [H22].

        A store may have left something there, and a block that is shared is copied for it [code: xfs_zero_range].
        """
        size = self.attributes.size
        yield from self._zero(size, min(-size % self.kernel.page_size, end - size))

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
                yield from self._zero_range(offset, length)
                yield from self._preallocate(offset, length, keep_size=keep_size)
            case LayoutOperation.UNSHARE_RANGE:
                yield from self.unshare(offset, length)
                yield from self._preallocate(offset, length, keep_size=keep_size)
            case LayoutOperation.PUNCH_HOLE:
                yield from self._punch(offset, length)
            case LayoutOperation.COLLAPSE_RANGE:
                yield from self._collapse(offset, length)
            case LayoutOperation.INSERT_RANGE:
                yield from self._insert(offset, length)

    def _preallocate(self, offset: int, length: int, *, keep_size: bool) -> Conversation[None]:
        """Give every page of the range a block, which is not written."""
        with (yield self.ilock.exclusive()):
            last = self.kernel.pages(offset + length) - 1
            for first, end in self.extents.holes_in(offset // self.kernel.page_size, last):
                page = first
                while page <= end:
                    got = yield Call(self.pmem, Allocate(self.inode, page, end - page + 1, zeroed=False))
                    self.extents.allocate(Extent(page, got.block, got.length, State.UNWRITTEN))
                    page += got.length
        if not keep_size:
            yield from self._zero_tail(offset + length)
            self.attributes.size = max(self.attributes.size, offset + length)

    def _zero(self, offset: int, length: int) -> Conversation[None]:
        """Zero a byte range where it has data."""
        for page, inside, part in self._split(offset, length):
            if self._has_data(page):
                yield from self._store(page, inside, bytes(part))

    def _has_data(self, page: int) -> bool:
        """Return whether something else than zeros may be read."""
        return self.extents.data(page) is not None

    def _zero_edges(self, offset: int, length: int) -> Conversation[tuple[int, int]]:
        """Zero what a byte range has of pages that are not wholly in it; return the first and last of the others."""
        page_size, end = self.kernel.page_size, offset + length
        first, last = self.kernel.pages(offset), end // page_size - 1
        if first > last + 1:  # inside of one page
            yield from self._zero(offset, length)
        else:
            yield from self._zero(offset, first * page_size - offset)
            yield from self._zero((last + 1) * page_size, end - (last + 1) * page_size)
        return first, last

    def _zero_range(self, offset: int, length: int) -> Conversation[None]:
        """Make whole pages preallocated ones: their blocks stay, but those of other files."""
        first, last = yield from self._zero_edges(offset, length)
        yield from self.mappings.zap(first, last)
        yield from self.look_up_shared(first, last)
        for extent in self.extents.extents_in(first, last):
            if extent.shared:
                yield from self.free(extent.page, extent.last)
            else:
                self.extents.mark(extent.page, extent.last, state=State.UNWRITTEN)

    def unshare(self, offset: int, length: int) -> Conversation[None]:
        """Copy what other files have too, page by page.

        Raises:
            KernelError: ENOSPC.

        """
        first, last = offset // self.kernel.page_size, self.kernel.pages(offset + length) - 1
        yield from self.look_up_shared(first, last)
        for extent in self.extents.extents_in(first, last):
            for page in range(extent.page, extent.last + 1) if extent.shared else ():
                yield from self.writable_block(page)

    def _punch(self, offset: int, length: int) -> Conversation[None]:
        """Make holes of the pages that are wholly in the range, and zero the rest of it."""
        first, last = self.kernel.pages(offset), (offset + length) // self.kernel.page_size - 1
        yield from self.mappings.zap(first, last)
        yield from self._zero_edges(offset, length)
        yield from self.free(first, last)

    def _collapse(self, offset: int, length: int) -> Conversation[None]:
        """Take a range out of the file: the blocks behind it belong to other pages then.

        Raises:
            KernelError: EINVAL, it is not whole pages or reaches the end of the file.

        """
        first, count = self._whole_pages(offset, length)
        if offset + length >= self.attributes.size:
            raise KernelError(errno.EINVAL)
        yield from self._zap_behind(first)
        yield from self.free(first, first + count - 1)
        yield from self._shift(first + count, -count)
        if self.file_system.collapse_truncates:
            size = self.attributes.size
            yield from self._zero(size, -size % self.kernel.page_size)
            yield from self.free(self.kernel.pages(size))

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
        yield from self._zap_behind(first)
        yield from self._zero_tail(self.attributes.size + length)
        yield from self._shift(first, count)

    def _zap_behind(self, first: int) -> Conversation[None]:
        """Have pages that will be others fault anew."""
        yield from self.mappings.zap(first, even_cows=self.file_system.shifts_zap_copies)

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
            yield Call(self.pmem, Move(self.inode, _runs(moved), distance))


def _runs(extents: Iterable[Extent]) -> tuple[BlockRun, ...]:
    return tuple(BlockRun(extent.page, extent.block, extent.length) for extent in extents)
