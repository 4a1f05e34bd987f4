"""A file of hugetlb, without a name: memfd_create(2) with MFD_HUGETLB, and what mmap(2) with MAP_HUGETLB maps [1.8.4].

Its pages are huge, as its size is in units of them. It can be read and mapped, not written.
"""

import errno
from typing import ClassVar

from longpin.actors.base import Engine, handles
from longpin.actors.constants import (
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_TYPE,
    O_ACCMODE,
    O_RDONLY,
    O_TRUNC,
    O_WRONLY,
    PROT_WRITE,
)
from longpin.actors.conversation import Call, Conversation, KernelError, Step
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.backing import OneFile
from longpin.actors.fs.extents import END
from longpin.actors.fs.flocks import Flocks
from longpin.actors.fs.mappings import Mappings
from longpin.actors.fs.permissions import check
from longpin.actors.kernel.machine import Kernel
from longpin.actors.locks import Lock
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.file import Data
from longpin.messages.fs.inode import (
    NO_PAGE,
    AddMapping,
    CloseFile,
    Fallocate,
    Fault,
    MappedAs,
    Open,
    ReadAt,
    Truncate,
)
from longpin.messages.fs.mapping import MappingView, Memory
from longpin.messages.mm.hugetlb import (
    HUGE_PAGES,
    AllocateHugePage,
    ReserveHugePages,
    Reserving,
    UnmapForOwner,
    UnreserveHugePages,
)
from longpin.messages.mm.memory import Load, PageFrame, Store
from longpin.messages.mm.mm import InstallPtes, Zap
from longpin.messages.mm.ram import DropFrames


class HugetlbFile(OneFile):
    """One file."""

    parts: ClassVar = {"mappings": Mappings}

    def __init__(self, engine: Engine, address: Address, kernel: Kernel, uid: int, ofd: Address, size: int) -> None:
        super().__init__(engine, address, kernel)
        self.attributes = Attributes(uid, 0o777, size)
        self.flocks = Flocks(address)
        self.mappings = Mappings(address)
        self.descriptions = {ofd: None}
        """Those that are open; a mapping holds one."""
        self.frames = kernel.frames_of_huge_page
        self.pages: dict[int, int] = {}
        """The first frame of each huge page there is, by the page of the file with which it begins."""
        self.reserved: set[int] = set()
        """The pages that are promised to it: none of ``pages``."""
        self.lock = Lock(self, f"the pages of {address}")
        """Held while pages come and go, and until their entries are there [hugetlb_fault_mutex]."""

    def _bytes(self, pages: int) -> int:
        return pages * self.kernel.page_size

    # Descriptions.

    @handles(Open)
    def open(self, request: Open, _src: Address) -> Conversation[Done]:
        """open(2), again through /proc/self/fd."""
        access, truncates = request.flags & O_ACCMODE, bool(request.flags & O_TRUNC)
        check(self.attributes, request.caller.fsuid, 4 * (access != O_WRONLY) | 2 * (access != O_RDONLY or truncates))
        self.descriptions[request.ofd] = None
        if truncates:
            yield from self._resize(0)
        return DONE

    @handles(CloseFile)
    def close(self, request: CloseFile, _src: Address) -> Conversation[Done]:
        """Give everything back with the last description; what is pinned stays the pinner's."""
        self.flocks.drop(self, request.ofd)
        self.descriptions.pop(request.ofd, None)
        if not self.descriptions:
            with (yield self.lock.exclusive()):
                yield from self._drop(0, END)
        return DONE

    # Pages.

    @handles(AddMapping)
    def add_mapping(self, request: AddMapping, _src: Address) -> Conversation[MappedAs]:
        """mmap(2), or fork copying a mapping; what is shared has its pages promised [hugetlbfs_file_mmap].

        Raises:
            KernelError: EINVAL, the offset is in the middle of a huge page; ENOMEM, there are not so many left.

        """
        r = request
        if not r.parent:
            if r.page % self.frames:
                raise KernelError(errno.EINVAL)
            yield Step(Reserving())
            if r.flags & MAP_TYPE != MAP_PRIVATE and not r.flags & MAP_NORESERVE:
                heads = range(r.page, r.page + r.pages, self.frames)
                wanted = [page for page in heads if page not in self.pages and page not in self.reserved]
                if wanted:
                    yield Call(HUGE_PAGES, ReserveHugePages(len(wanted)))
                self.reserved.update(wanted)
            if r.prot & PROT_WRITE:
                self.attributes.size = max(self.attributes.size, self._bytes(r.page + r.pages))
        self.mappings.add(MappingView(r.mm, r.vma, r.prot, r.flags, r.ofd))
        return MappedAs(Memory.HUGETLB)

    @handles(Fault)
    def fault(self, request: Fault, src: Address) -> Conversation[InstallPtes | Done]:
        """Map a huge page, all of it; EFAULT beyond the end, or if none is left [hugetlb_no_page]."""
        inside = request.page % self.frames
        page = request.page - inside
        with (yield self.lock.exclusive()):
            if self._bytes(page) >= self.attributes.size:
                raise KernelError(errno.EFAULT)
            private = self.mappings.find(src, request.vma).flags & MAP_TYPE == MAP_PRIVATE
            if page not in self.pages and private:
                return Done(NO_PAGE)
            try:
                first = yield from self._page(page)
            except KernelError:
                raise KernelError(errno.EFAULT) from None
            frames = tuple(PageFrame(HUGE_PAGES, first + index) for index in range(self.frames))
            return InstallPtes(request.vpn - inside, frames, writable=request.write)

    def _page(self, page: int) -> Conversation[int]:
        """Return the first frame of a page, which is made if there is none."""
        if page not in self.pages:
            reserved = page in self.reserved
            self.reserved.discard(page)
            self.pages[page] = (yield Call(HUGE_PAGES, AllocateHugePage(reserved))).value
        return self.pages[page]

    def _drop(self, first: int, last: int) -> Conversation[None]:
        """Let go of pages, and of what is promised beyond the end of the file."""
        for page in [page for page in sorted(self.pages) if first <= page <= last]:
            frame = self.pages.pop(page)
            yield Call(HUGE_PAGES, DropFrames(tuple(range(frame, frame + self.frames))))
        if last == END:
            gone = {page for page in self.reserved if page >= first}
            self.reserved -= gone
            if gone:
                yield Call(HUGE_PAGES, UnreserveHugePages(len(gone)))

    @handles(UnmapForOwner)
    def unmap_for_owner(self, request: UnmapForOwner, _src: Address) -> Conversation[Done]:
        """Take a private page from the children of the process that it was promised to [unmap_ref_private]."""
        last = request.page + self.frames - 1
        for mm in dict.fromkeys(mm for mm, _ in self.mappings.views):
            if mm != request.mm:
                yield Call(mm, Zap(self.address, request.page, last, even_cows=True))
        return DONE

    # Data.

    @handles(ReadAt)
    def read(self, request: ReadAt, _src: Address) -> Conversation[Data]:
        """read(2): holes are zeros."""
        offset, left, data = request.offset, min(request.count, self.attributes.size - request.offset), b""
        while left > 0:
            page, inside = divmod(offset, self.kernel.page_size)
            part = min(left, self.kernel.page_size - inside)
            first = self.pages.get(page - page % self.frames)
            if first is None:
                data += bytes(part)
            else:
                load = Load(first + page % self.frames, inside, part)
                data += (yield Call(HUGE_PAGES, load)).data
            offset, left = offset + part, left - part
        return Data(data)

    @handles(Truncate)
    def truncate(self, request: Truncate, _src: Address) -> Conversation[Done]:
        """ftruncate(2), in huge pages: EINVAL. Nobody waits for pins; what is pinned is the file's no more."""
        if request.length % self._bytes(self.frames):
            raise KernelError(errno.EINVAL)
        yield from self._resize(request.length)
        return DONE

    def _resize(self, size: int) -> Conversation[None]:
        with (yield self.lock.exclusive()):
            shrinks = size < self.attributes.size
            self.attributes.size = size
            if shrinks:
                first = size // self.kernel.page_size
                yield from self.mappings.zap(first, even_cows=True)
                yield from self._drop(first, END)

    @handles(Fallocate)
    def fallocate(self, request: Fallocate, _src: Address) -> Conversation[Done]:
        """fallocate(2): allocate whole pages, or punch those that lie in the range, and zero what does not [meas 6.18].

        Raises:
            KernelError: EOPNOTSUPP, another mode; ENOSPC, no huge page is left.

        """
        r, huge = request, self._bytes(self.frames)
        if r.mode == FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
            with (yield self.lock.exclusive()):
                yield from self._punch(r.offset, min(r.offset + r.length, self.attributes.size))
            return DONE
        if r.mode & ~FALLOC_FL_KEEP_SIZE:
            raise KernelError(errno.EOPNOTSUPP)
        with (yield self.lock.exclusive()):
            for start in range(r.offset // huge, -(-(r.offset + r.length) // huge)):
                try:
                    yield from self._page(start * self.frames)
                except KernelError:
                    raise KernelError(errno.ENOSPC) from None
            if not r.mode & FALLOC_FL_KEEP_SIZE:
                self.attributes.size = max(self.attributes.size, r.offset + r.length)
        return DONE

    def _punch(self, start: int, end: int) -> Conversation[None]:
        huge = self._bytes(self.frames)
        first, behind = -(-start // huge), end // huge
        if first < behind:
            pages = first * self.frames, behind * self.frames - 1
            yield from self.mappings.zap(*pages)
            yield from self._drop(*pages)
        parts = [(start, end)] if first > behind else [(start, first * huge), (behind * huge, end)]
        for offset, stop in parts:
            while offset < stop:
                page, inside = divmod(offset, self.kernel.page_size)
                part = min(stop - offset, self.kernel.page_size - inside)
                if (frame := self.pages.get(page - page % self.frames)) is not None:
                    yield Call(HUGE_PAGES, Store(frame + page % self.frames, inside, bytes(part)))
                offset += part
