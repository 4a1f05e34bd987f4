"""An inode: a regular file on FS-DAX, whose pages are blocks of a pmem set [1.6].

Locks are taken in the order iolock, mmap lock, ilock, and held exactly where semantics 2.5 and 2.7 say.
"""

import errno

from longpin.actors.base import Engine, handles
from longpin.actors.constants import O_ACCMODE, O_NONBLOCK, O_RDONLY, O_TRUNC, O_WRONLY
from longpin.actors.conversation import Call, Conversation, KernelError, Step
from longpin.actors.kernel import Kernel
from longpin.actors.layouts import LayoutHost
from longpin.actors.locks import Lock
from longpin.actors.policies.base import Change, Fail, Reason
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.file import Data
from longpin.messages.inode import (
    AddMapping,
    AskPin,
    CloseFile,
    DropLink,
    Fault,
    Open,
    PinAllowed,
    ReadAt,
    RemoveMapping,
    Truncate,
    WriteAt,
)
from longpin.messages.pmem import Allocate, AwaitIdle, FreeBlocks, Load, Store
from longpin.messages.process import InstallPte

ZERO_PAGE = -1
"""The block of a page table entry that reads a hole."""


class Inode(LayoutHost):
    """One file."""

    def __init__(
        self,
        engine: Engine,
        address: Address,
        kernel: Kernel,
        pmem: Address,
        uid: int,
        mode: int,
        size: int,
        pages: dict[int, int],
    ) -> None:
        super().__init__(engine, address, kernel, uid, pmem)
        self.mode = mode
        self.size = size
        """Bytes."""
        self.pages = dict(pages)
        self.nlink = 1
        self.evicted = False
        """No name and no user is left; the blocks are going back."""
        self.ilock = Lock(self, f"the ilock of {address}")

    def _check_access(self, uid: int, *, read: bool, write: bool) -> None:
        """Compare the file's mode with what a process with ``uid`` asks for; uid 0 may do anything."""
        bits = self.mode >> (6 if uid == self.uid else 0)
        if uid and ((read and not bits & 4) or (write and not bits & 2)):
            raise KernelError(errno.EACCES)

    # Open and close.

    @handles(Open)
    def open(self, request: Open, _src: Address) -> Conversation[Done]:
        """open(2): the access counts before leases are asked, so a lease request sees it [2.3.2]."""
        access = request.flags & O_ACCMODE
        write = access != O_RDONLY
        if self.evicted:
            raise KernelError(errno.ENOENT)
        self._check_access(request.uid, read=access != O_WRONLY, write=write or bool(request.flags & O_TRUNC))
        self.openers[request.ofd] = write
        try:
            nonblock = bool(request.flags & O_NONBLOCK)
            yield from self.break_lease(write=write, layout=False, nonblock=nonblock)
            if request.flags & O_TRUNC:
                yield from self._set_size(0, request.tgid)
        except KernelError:
            del self.openers[request.ofd]
            yield from self._evict_if_unused()
            raise
        return DONE

    @handles(CloseFile)
    def close(self, request: CloseFile, _src: Address) -> Conversation[Done]:
        """Release an open file description: leases, then the count, then perhaps the inode itself [1.3]."""
        yield from self.consult_last_close(exiting=request.exiting)
        yield from self.remove_leases_of(request.ofd)
        del self.openers[request.ofd]
        yield from self._evict_if_unused()
        return DONE

    @handles(DropLink)
    def drop_link(self, _request: DropLink, _src: Address) -> Conversation[Done]:
        """unlink(2) removed a name; that alone asks neither leases nor pages [2.5]."""
        self.nlink -= 1
        yield from self._evict_if_unused()
        return DONE

    def _evict_if_unused(self) -> Conversation[None]:
        """Free the blocks of a file without name and users; 5.4 does not look at pins here [2.5, H7]."""
        if self.nlink or self.openers or self.evicted:
            return
        self.evicted = True
        if self.kernel.policy.evict_waits:
            for block in self.pages.values():
                yield Call(self.pmem, AwaitIdle(block, killable=False, interruptible=False))
        yield from self._free_from(0)

    # Size.

    @handles(Truncate)
    def truncate(self, request: Truncate, _src: Address) -> Conversation[Done]:
        """truncate(2), ftruncate(2) [2.3.2, 2.5, steps of 2.7]."""
        if request.length < 0:
            raise KernelError(errno.EINVAL)
        if not request.by_path:
            yield from self._set_size(request.length, request.tgid)
            return DONE
        self._check_access(request.uid, read=False, write=True)
        self.truncating += 1
        try:
            yield from self.break_lease(write=True, layout=False, nonblock=False)
            yield Step()
            yield from self._set_size(request.length, request.tgid)
        finally:
            self.truncating -= 1
        return DONE

    def _set_size(self, length: int, tgid: int) -> Conversation[None]:
        with (yield self.iolock.exclusive()) as io:
            yield Step()
            with (yield self.mmaplock.exclusive()) as mm:
                first = min(length, self.size) // self.kernel.page_size
                change = Change(Reason.UNMAP, first, max(self.pages, default=-1), tgid)
                yield from self.break_layouts(change, io, mm)
                shrinks, self.size = length < self.size, length
                if shrinks:
                    yield from self.zap(self.kernel.pages(length))
                    yield from self._zero_tail(length)
                    yield from self._free_from(self.kernel.pages(length))

    def _zero_tail(self, length: int) -> Conversation[None]:
        page, inside = divmod(length, self.kernel.page_size)
        if inside and page in self.pages:
            yield Call(self.pmem, Store(self.pages[page], inside, bytes(self.kernel.page_size - inside)))

    def _free_from(self, first: int) -> Conversation[None]:
        freed = tuple(self.pages.pop(page) for page in sorted(self.pages) if page >= first)
        if freed:
            yield Call(self.pmem, FreeBlocks(freed))

    # Data.

    @handles(ReadAt)
    def read(self, request: ReadAt, _src: Address) -> Conversation[Data]:
        """read(2): up to the end of the file."""
        with (yield self.iolock.shared()):
            end = min(request.offset + request.count, self.size)
            data = b""
            for page, inside, length in self._split(request.offset, end - request.offset):
                block = self.pages.get(page)
                data += bytes(length) if block is None else (yield Call(self.pmem, Load(block, inside, length))).data
        return Data(data)

    @handles(WriteAt)
    def write(self, request: WriteAt, _src: Address) -> Conversation[Done]:
        """write(2): breaks layout leases, even if no block would change [2.5]; the reply is the offset after it."""
        with (yield self.iolock.exclusive()) as io:
            offset = self.size if request.offset < 0 else request.offset
            end = offset + len(request.data)
            first, last = offset // self.kernel.page_size, self.kernel.pages(end) - 1
            yield from self.break_layouts(Change(Reason.WRITE, first, last, request.tgid), io, None)
            done = 0
            for page, inside, length in self._split(offset, len(request.data)):
                block = yield from self._allocated(page)
                yield Call(self.pmem, Store(block, inside, request.data[done : done + length]))
                done += length
            self.size = max(self.size, end)
        return Done(end)

    def _split(self, offset: int, length: int) -> list[tuple[int, int, int]]:
        """Return (page, offset in it, length) for each page of a byte range; none where ``length`` is not positive."""
        parts = []
        while length > 0:
            page, inside = divmod(offset, self.kernel.page_size)
            part = min(length, self.kernel.page_size - inside)
            parts.append((page, inside, part))
            offset, length = offset + part, length - part
        return parts

    def _allocated(self, page: int) -> Conversation[int]:
        """Return the block of a page, allocated if it is a hole; two who fill one hole meet at the ilock."""
        with (yield self.ilock.exclusive()):
            if page not in self.pages:
                self.pages[page] = (yield Call(self.pmem, Allocate(self.address, page))).block
                # Whoever mapped the zero page there must fault again.
                yield from self.zap(page, page)
        return self.pages[page]

    # Mappings and pins.

    @handles(AddMapping)
    def add_mapping(self, request: AddMapping, _src: Address) -> Done:
        """mmap(2), or fork copying a mapping."""
        if number := self.kernel.policy.mmap_gate(request.flags):
            raise KernelError(number)
        self.mappings[request.process, request.vma] = request.flags
        return DONE

    @handles(RemoveMapping)
    def remove_mapping(self, request: RemoveMapping, _src: Address) -> Done:
        """munmap(2), exit."""
        del self.mappings[request.process, request.vma]
        return DONE

    @handles(Fault)
    def fault(self, request: Fault, src: Address) -> Conversation[Done]:
        """A page fault: the entry is installed with the mmap lock held, so a truncate sees and zaps it [1.8]."""
        with (yield self.mmaplock.shared()):
            if request.page >= self.kernel.pages(self.size):
                raise KernelError(errno.EFAULT)
            block = self.pages.get(request.page)
            if block is None and request.write:
                if number := self.kernel.policy.fault_gate(allocates=True):
                    raise KernelError(number)
                block = yield from self._allocated(request.page)
            block = ZERO_PAGE if block is None else block
            yield Call(src, InstallPte(request.vma, request.page, self.pmem, block, writable=request.write))
        return DONE

    @handles(AskPin)
    def ask_pin(self, request: AskPin, _src: Address) -> Conversation[PinAllowed]:
        """Look for a lease that allows a pin: under flc_lock, but the reference is taken after that [2.7]."""
        with (yield self.flc_lock.exclusive()):
            decision = self.kernel.policy.pin_gate(self.lease_views(), request.tgid, longterm=request.longterm)
        if isinstance(decision, Fail):
            raise KernelError(decision.errno)
        return PinAllowed(decision.hold)
