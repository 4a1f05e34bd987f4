"""The data of a file that is not on DAX: pages in memory, which are written back to its blocks, or have none [1.8].

A page is read in when it is first needed and stays until it is truncated, punched or moved. What is written is dirty
until fsync(2) or something that needs the blocks writes it back: only then does a hole get a block, which was reserved
before (delayed allocation). The kernel may write back at any time; here nobody else does.
"""

from collections.abc import Iterable

from longpin.actors.base import Actor
from longpin.actors.conversation import Call, Conversation
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.extents import END
from longpin.actors.fs.file_data import FileData
from longpin.actors.fs.mappings import Mappings
from longpin.actors.kernel.file_system import NO_CHANGE, ChangeKind, LayoutOperation
from longpin.actors.kernel.machine import Kernel
from longpin.actors.kernel.mount import Mount
from longpin.actors.locks import Lock
from longpin.actors.mm.page_cache import PageCache
from longpin.messages.envelope import Address
from longpin.messages.fs.remap import SharedOut, TakeShared
from longpin.messages.mm.memory import Load, PageFrame, Store
from longpin.messages.mm.pmem import BlockRun, Reserve, Unreserve
from longpin.messages.mm.ram import AllocateFrames, DropFrames


class CachedData(FileData):
    """The data of one inode in the page cache, above its blocks."""

    only_blocks = False

    __slots__ = ("actor", "cache", "dirty", "page_lock", "pages", "reserved")

    def __init__(
        self,
        actor: Actor,
        kernel: Kernel,
        mount: Mount,
        attributes: Attributes,
        mappings: Mappings,
        runs: Iterable[BlockRun],
    ) -> None:
        super().__init__(actor, kernel, mount, attributes, mappings, runs)
        self.actor = actor
        self.cache: Address = ""
        """The memory that has its pages; empty: there was none yet."""
        self.pages: dict[int, int] = {}
        """The frame of each page that is in memory."""
        self.dirty: set[int] = set()
        """The pages that are not written back."""
        self.reserved: set[int] = set()
        """The dirty pages that have no block yet: their allocation is delayed."""
        self.page_lock = Lock(actor, f"the page locks of {self.inode}")
        """Held while a page is read in or written back. Linux has one for each page."""

    @property
    def delayed(self) -> tuple[int, ...]:
        """The pages that get a block when they are written back, in order."""
        return tuple(sorted(self.reserved))

    # Pages.

    def map_pages(self, page: int, last: int, *, write: bool) -> Conversation[list[PageFrame]]:
        """Return the frame of a page, for a page fault; one that may be stored to is dirty from now on [page_mkwrite].

        Raises:
            KernelError: ENOSPC.

        """
        frames = [(yield from self._frame_of(page, write=write))]
        while (page := page + 1) <= last and page in self.pages and not write:
            frames.append(PageFrame(self.cache, self.pages[page]))
        return frames

    def ready(self, page: int, last: int, *, write: bool) -> list[PageFrame] | None:
        """Return the frames of pages that are in memory, for who only reads them."""
        if write or page not in self.pages or self.page_lock.holds:
            return None
        there = range(page, next((n for n in range(page, last + 1) if n not in self.pages), last + 1))
        return [PageFrame(self.cache, self.pages[number]) for number in there]

    def changes(self, page: int) -> ChangeKind:
        """Return what a store to a page would do to the extent map, now: of a hole nothing before it is written back.

        What has a block that is shared or unwritten is changed then too.
        """
        return NO_CHANGE

    def _frame_of(self, page: int, *, write: bool) -> Conversation[PageFrame]:
        with (yield self.page_lock.exclusive()):
            if write:
                yield from self._make_dirty(page)
            if page not in self.pages:
                if not self.cache:
                    self.cache = f"page_cache:{self.inode.partition(':')[2]}"
                    self.actor.spawn(PageCache, self.cache, self.inode)
                data = yield from super()._load(page, 0, self.kernel.page_size)
                [self.pages[page]] = (yield Call(self.cache, AllocateFrames(1, data))).numbers
            return PageFrame(self.cache, self.pages[page])

    def _make_dirty(self, page: int) -> Conversation[None]:
        """Note that a page is to be written back; see to it that there is a block for a hole then.

        Raises:
            KernelError: ENOSPC.

        """
        if page not in self.dirty and self.extents.lookup(page) is None:
            yield Call(self.pmem, Reserve(1))
            self.reserved.add(page)
        self.dirty.add(page)

    def _take_reserved(self, page: int) -> bool:
        """Return whether a block was reserved for a hole, which gets it now."""
        reserved = page in self.reserved
        self.reserved.discard(page)
        return reserved

    def _drop(self, first: int, last: int = END) -> Conversation[None]:
        """Take pages out of memory, dirty or not, once they are written if they are just being written back.

        Who has one pinned goes on seeing it.
        """
        with (yield self.page_lock.exclusive()):
            gone = [page for page in sorted(self.pages) if first <= page <= last]
            if not gone:
                return
            numbers = tuple(self.pages.pop(page) for page in gone)
            delayed = self.reserved.intersection(gone)
            self.dirty.difference_update(gone)
            self.reserved -= delayed
        yield from self.mappings.zap(gone[0], gone[-1])
        yield Call(self.cache, DropFrames(numbers))
        if delayed:
            yield Call(self.pmem, Unreserve(len(delayed)))

    @property
    def has_device(self) -> bool:
        """Whether a device moves the bytes of a direct transfer."""
        return bool(self.pmem)

    def invalidate(self, offset: int, length: int) -> Conversation[None]:
        """Take a byte range out of memory, written back, before a device writes it."""
        yield from self.sync()
        yield from self._drop(offset // self.kernel.page_size, self.kernel.pages(offset + length) - 1)

    def drop_clean(self) -> Conversation[None]:
        """Take pages out of memory that are written back [drop_pagecache_sb]."""
        for page in sorted(set(self.pages) - self.dirty):
            if page not in self.dirty:
                yield from self._drop(page, page)

    def sync(self) -> Conversation[None]:
        """Write dirty pages to their blocks; a hole gets one now, and what other files have too is copied."""
        for page in sorted(self.dirty):
            with (yield self.page_lock.exclusive()):
                if page not in self.dirty:  # it was truncated or written back meanwhile
                    continue
                yield from self.mappings.zap(page, page)  # so that the next store makes it dirty again
                data = (yield Call(self.cache, Load(self.pages[page], 0, self.kernel.page_size))).data
                yield from super()._store(page, 0, data)
                self.dirty.discard(page)

    # Bytes.

    def _load(self, page: int, inside: int, length: int) -> Conversation[bytes]:
        frame = yield from self._frame_of(page, write=False)
        data: bytes = (yield Call(frame.memory, Load(frame.number, inside, length, self.inode))).data
        return data

    def _store(self, page: int, inside: int, data: bytes) -> Conversation[None]:
        frame = yield from self._frame_of(page, write=True)
        yield Call(frame.memory, Store(frame.number, inside, data, self.inode))

    def _has_data(self, page: int) -> bool:
        return page in self.pages or super()._has_data(page)

    # Blocks: what changes them finds the pages written back, and takes those out of memory that are others then.

    def share_out(self, first: int, last: int) -> Conversation[SharedOut]:
        """Note that what pages have written is shared, and say where it lies."""
        yield from self.sync()
        return (yield from super().share_out(first, last))

    def take_shared(self, request: TakeShared) -> Conversation[None]:
        """Let go of pages, and have other files' blocks there instead."""
        yield from self._drop(request.first, request.last)
        yield from super().take_shared(request)

    def free(self, first: int, last: int = END) -> Conversation[None]:
        """Give back the blocks of pages, which go out of memory too."""
        yield from self._drop(first, last)
        yield from super().free(first, last)

    def wait_until_idle(self) -> Conversation[None]:
        """Wait for nobody: the blocks are not what is pinned."""
        yield from ()

    def fallocate(self, operation: LayoutOperation, offset: int, length: int, *, keep_size: bool) -> Conversation[None]:
        """Do one of :data:`~longpin.actors.fs.file_data.OPERATIONS`, on what is written back.

        Raises:
            KernelError: as on DAX.

        """
        if operation is not LayoutOperation.PUNCH_HOLE:
            yield from self.sync()
        if operation in (LayoutOperation.COLLAPSE_RANGE, LayoutOperation.INSERT_RANGE):
            yield from self._drop(offset // self.kernel.page_size)
        elif operation is LayoutOperation.ZERO_RANGE:
            yield from self._drop(self.kernel.pages(offset), (offset + length) // self.kernel.page_size - 1)
        yield from super().fallocate(operation, offset, length, keep_size=keep_size)


class MemoryData(CachedData):
    """The data of one inode on tmpfs, which is nowhere but in memory."""

    __slots__ = ()

    def _make_dirty(self, _page: int) -> Conversation[None]:
        yield from ()

    @property
    def takes_direct(self) -> bool:
        """Whether the file can be opened with O_DIRECT."""
        return self.kernel.generation.tmpfs_direct_io

    def drop_clean(self) -> Conversation[None]:
        """Keep everything: there is nowhere to read it from again."""
        yield from ()

    def fallocate(self, operation: LayoutOperation, offset: int, length: int, *, keep_size: bool) -> Conversation[None]:
        """Make pages, or drop them [shmem_fallocate]."""
        page_size = self.kernel.page_size
        if operation is LayoutOperation.PUNCH_HOLE:
            yield from super().fallocate(operation, offset, length, keep_size=keep_size)
            return
        for page in range(offset // page_size, self.kernel.pages(offset + length)):
            yield from self._frame_of(page, write=True)
        if not keep_size:
            self.attributes.size = max(self.attributes.size, offset + length)
