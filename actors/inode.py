"""An inode: a regular file on FS-DAX, whose pages are blocks of a pmem set [1.6].

Locks are taken in the order iolock, mmap lock, ilock, and held exactly where semantics 2.5 and 2.7 say.
"""

import errno

from longpin.actors.base import Engine, handles
from longpin.actors.blocks import BlockHost, FileStart
from longpin.actors.constants import O_ACCMODE, O_DIRECTORY, O_NONBLOCK, O_PATH, O_RDONLY, O_TMPFILE, O_TRUNC, O_WRONLY
from longpin.actors.conversation import Call, Conversation, KernelError, Step, outcome
from longpin.actors.flocks import Flocks
from longpin.actors.kernel.file_system import LayoutOperation
from longpin.actors.kernel.machine import MOST_BYTES, MOST_SIZE, Kernel
from longpin.actors.layouts import LAST_PAGE
from longpin.actors.leases import Access
from longpin.actors.permissions import check
from longpin.actors.policies.base import Fail
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.file import Data
from longpin.messages.inode import (
    AddMapping,
    AskPin,
    CloseFile,
    DropInode,
    Execute,
    Fault,
    Flock,
    Open,
    PinAllowed,
    ReadAt,
    RemoveMapping,
    SplitMapping,
    Truncate,
    WriteAt,
    Written,
)
from longpin.messages.pmem import ZERO_PAGE, AwaitIdle, Load, Store
from longpin.messages.process import InstallPte


class Inode(BlockHost):
    """One file."""

    def __init__(self, engine: Engine, address: Address, kernel: Kernel, pmem: Address, start: FileStart) -> None:
        super().__init__(engine, address, kernel, pmem, start)
        self.flocks = Flocks(address)
        self.evicted = False
        """No name and no user is left; the blocks are going back."""

    # Open and close.

    @handles(Open)
    def open(self, request: Open, _src: Address) -> Conversation[Done]:
        """open(2): the access counts before leases are asked, so a lease request sees it [2.3.2]."""
        access = request.flags & O_ACCMODE
        write = access != O_RDONLY
        if self.evicted:
            raise KernelError(errno.ENOENT)
        if request.flags & O_DIRECTORY and request.flags & O_TMPFILE != O_TMPFILE:
            raise KernelError(errno.ENOTDIR)
        if request.flags & O_PATH:
            self.openers[request.ofd] = Access.of(request.flags)
            return DONE
        writes = write or bool(request.flags & O_TRUNC)
        if not request.created:
            check(self, request.uid, 4 * (access != O_WRONLY) | 2 * writes)
        self.openers[request.ofd] = Access.of(request.flags)
        try:
            nonblock = bool(request.flags & O_NONBLOCK)
            if self.has_plain_lease:
                yield Step()  # a lease request meets the count before the lease is broken
            yield from self.break_lease(write=write, layout=False, nonblock=nonblock)
            if request.flags & O_TRUNC:
                yield from self._with_write_access(self._empty(request.tgid))
        except KernelError:
            del self.openers[request.ofd]
            yield from self._evict_if_unused()
            raise
        return DONE

    @handles(Execute)
    def execute(self, request: Execute, src: Address) -> Conversation[Done]:
        """execve(2) of what is no program: an open for reading, then ETXTBSY if somebody has it open for writing."""
        check(self, request.uid, 1)
        yield from self.open(Open(request.ofd, O_RDONLY, 0, request.tgid), src)
        number = errno.ETXTBSY if Access.WRITE in self.openers.values() or self.truncating else errno.ENOEXEC
        yield from self.close(CloseFile(request.ofd, exiting=False), src)
        raise KernelError(number)

    @handles(CloseFile)
    def close(self, request: CloseFile, _src: Address) -> Conversation[Done]:
        """Release an open file description: leases, then the count, then perhaps the inode itself [1.3].

        The description is gone even if the policy has an error to report, or a fatal signal ended its wait.
        """
        error = yield from outcome(self.consult_last_close(exiting=request.exiting))
        unlocked = self.flocks.drop(self, request.ofd)
        unleased = yield from self.remove_leases_of(request.ofd)
        if unlocked or unleased:
            yield Step()  # who waited for that finds the file still open
        del self.openers[request.ofd]
        yield from self._evict_if_unused()
        if error is not None:
            raise error
        return DONE

    @handles(DropInode)
    def drop_inode(self, _request: DropInode, _src: Address) -> Conversation[Done]:
        """unlink(2) and rename(2) let go of a file whose last name they took [2.5]."""
        self.names_going -= 1
        yield from self._evict_if_unused()
        return DONE

    def _evict_if_unused(self) -> Conversation[None]:
        """Free the blocks of a file without name and users; 5.4 does not look at pins here [2.5, H7]."""
        if self.nlink or self.openers or self.truncating or self.names_going or self.evicted:
            return
        self.evicted = True
        if self.kernel.generation.evict_waits:
            for block in list(self.pages.values()):
                yield Call(self.pmem, AwaitIdle(block, killable=False, interruptible=False))
        yield from self.free(0)

    @handles(Flock)
    def flock(self, request: Flock, _src: Address) -> Conversation[Done]:
        """flock(2)."""
        return (yield from self.flocks.change(self, request))

    # Size.

    @handles(Truncate)
    def truncate(self, request: Truncate, _src: Address) -> Conversation[Done]:
        """truncate(2), ftruncate(2) [2.3.2, 2.5, steps of 2.7]."""
        if request.length < 0:
            raise KernelError(errno.EINVAL)
        if not request.by_path:
            yield from self._set_size(request.length, request.tgid)
            return DONE
        check(self, request.uid, 2)
        yield from self._with_write_access(self._break_and_set_size(request))
        return DONE

    def _empty(self, tgid: int) -> Conversation[None]:
        """Truncate for O_TRUNC, which counts as a writer before it has the lock [handle_truncate]."""
        yield Step()
        yield from self._set_size(0, tgid)

    def _break_and_set_size(self, request: Truncate) -> Conversation[None]:
        if self.has_plain_lease:
            yield Step()
        yield from self.break_lease(write=True, layout=False, nonblock=False)
        yield Step()
        yield from self._set_size(request.length, request.tgid)

    def _with_write_access(self, change: Conversation[None]) -> Conversation[None]:
        """Count as a writer, and keep the inode, while a file is truncated by name [2.1 step 6]."""
        self.truncating += 1
        error = yield from outcome(change)
        self.truncating -= 1
        yield from self._evict_if_unused()
        if error is not None:
            raise error

    def _set_size(self, length: int, tgid: int) -> Conversation[None]:
        with (yield self.iolock.exclusive()) as io:
            yield from self.break_delegations()
            yield Step()
            with (yield self.mmaplock.exclusive()) as mm:
                first = min(length, self.size) // self.kernel.page_size
                change = self.change(LayoutOperation.TRUNCATE, first, LAST_PAGE, tgid)
                yield from self.break_layouts(change, io, mm)
                shrinks, self.size = length < self.size, length
                if shrinks:
                    yield from self.zap(self.kernel.pages(length))
                    yield from self.zero(length, -length % self.kernel.page_size)
                    yield from self.free(self.kernel.pages(length))
                else:
                    yield Step()  # who sees the new size finds a writer still

    # Data.

    @handles(ReadAt)
    def read(self, request: ReadAt, _src: Address) -> Conversation[Data]:
        """read(2): up to the end of the file, and not more than one message holds."""
        with (yield self.iolock.shared()):
            end = min(request.offset + min(request.count, MOST_BYTES), self.size)
            data = b""
            for page, inside, length in self.split(request.offset, end - request.offset):
                block = self.pages.get(page)
                data += bytes(length) if block is None else (yield Call(self.pmem, Load(block, inside, length))).data
        return Data(data)

    @handles(WriteAt)
    def write(self, request: WriteAt, _src: Address) -> Conversation[Written]:
        """write(2): breaks layout leases, even if no block would change [2.5]."""
        with (yield self.iolock.exclusive()) as io:
            offset = self.size if request.offset < 0 else request.offset
            data = request.data[: MOST_SIZE - offset]
            if not data:
                raise KernelError(errno.EFBIG)
            first, last = offset // self.kernel.page_size, self.kernel.pages(offset + len(data)) - 1
            yield from self.break_layouts(self.change(LayoutOperation.WRITE, first, last, request.tgid), io, None)
            done = 0
            for page, inside, length in self.split(offset, len(data)):
                try:
                    block = yield from self.allocated(page)
                except KernelError:
                    if not done:
                        raise
                    break  # a full device: what fits is written, and the count says so
                yield Call(self.pmem, Store(block, inside, data[done : done + length]))
                done += length
            self.size = max(self.size, offset + done)
        return Written(offset + done, done)

    # Mappings and pins.

    @handles(AddMapping)
    def add_mapping(self, request: AddMapping, _src: Address) -> Done:
        """mmap(2), or fork copying a mapping."""
        if number := self.kernel.policy.mmap_gate(request.flags):
            raise KernelError(number)
        self.mappings[request.process, request.vma] = request.flags
        return DONE

    @handles(SplitMapping)
    def split_mapping(self, request: SplitMapping, _src: Address) -> Done:
        """munmap(2) in the middle of a mapping: the policy has allowed it already."""
        self.mappings[request.process, request.new] = self.mappings[request.process, request.vma]
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
                try:
                    if number := self.kernel.policy.fault_gate(allocates=True):
                        raise KernelError(number)
                    block = yield from self.allocated(request.page)
                except KernelError:
                    # A fault has one way to fail, whatever the reason: VM_FAULT_SIGBUS.
                    raise KernelError(errno.EFAULT) from None
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
