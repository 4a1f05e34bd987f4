"""An inode: a regular file on FS-DAX, whose pages are blocks of a pmem set [1.6].

What a file is made of are parts, each with a module of its own: attributes, open counts, leases, flock(2) locks,
mappings, data, and the guard that is asked before the layout changes. The parts do not know the inode; what concerns
more than one of them is put together here, under the inode's locks. These are taken in the order iolock, mmap lock,
ilock, and held exactly where semantics 2.5 and 2.7 say.
"""

import errno
from typing import NamedTuple, Self

from longpin.actors.base import Engine, handles
from longpin.actors.constants import (
    F_UNLCK,
    FALLOC_FL_KEEP_SIZE,
    O_ACCMODE,
    O_DIRECTORY,
    O_NONBLOCK,
    O_PATH,
    O_RDONLY,
    O_TMPFILE,
    O_TRUNC,
    O_WRONLY,
)
from longpin.actors.conversation import Call, Conversation, KernelError, Step, outcome
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.backing import Backing, Common
from longpin.actors.fs.extents import ChangeKind
from longpin.actors.fs.file_data import OPERATIONS, FileData
from longpin.actors.fs.flocks import Flocks
from longpin.actors.fs.inode_view import InodeView
from longpin.actors.fs.layout_guard import LayoutGuard
from longpin.actors.fs.lease_list import LeaseList
from longpin.actors.fs.mappings import LAST_PAGE, Mappings
from longpin.actors.fs.open_counts import OpenCounts
from longpin.actors.fs.permissions import check, check_touch, may, set_attributes
from longpin.actors.kernel.file_system import LayoutOperation
from longpin.actors.kernel.machine import MOST_SIZE, Kernel
from longpin.actors.locks import Lock
from longpin.actors.policies.base import Fail
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.file import Data
from longpin.messages.fs.inode import (
    AddLink,
    AddMapping,
    AskPin,
    ChangeLease,
    CloseFile,
    DropInode,
    DropLink,
    Execute,
    Fallocate,
    Fault,
    LeaseOverdue,
    NoName,
    Open,
    PinAllowed,
    QueryLease,
    ReadAt,
    RemoveMapping,
    Renamed,
    SetAttributes,
    SetBreakTime,
    SplitMapping,
    Touch,
    Truncate,
    WriteAt,
    Written,
)
from longpin.messages.mm.mm import InstallPtes
from longpin.messages.mm.pmem import ZERO_PAGE, PageFrame


class FileStart(NamedTuple):
    """What a file is when its inode is made."""

    uid: int
    mode: int
    size: int
    """Bytes."""
    pages: dict[int, int]
    """The block of each page that has one."""


class Inode(Backing):
    """One file."""

    def __init__(self, engine: Engine, address: Address, kernel: Kernel, pmem: Address, start: FileStart) -> None:
        super().__init__(engine, address, kernel)
        self.pmem = pmem
        self.iolock = Lock(self, f"the iolock of {address}")
        self.mmaplock = Lock(self, f"the mmap lock of {address}")
        self.attributes = Attributes(start.uid, start.mode, start.size)
        self.opens = OpenCounts()
        self.leases = LeaseList(self, kernel, self.opens)
        self.flocks = Flocks(address)
        self.mappings = Mappings(address)
        self.data = FileData(self, kernel, pmem, self.attributes, self.mappings, start.pages)
        self.guard = LayoutGuard(kernel, pmem, self.leases, self.data.extents, self.mappings)
        self.evicted = False
        """No name and no user is left; the blocks are going back."""

    def node(self, _request: Common) -> Self:
        """Return what has the attributes."""
        return self

    def view(self) -> InodeView:
        """Return the inode as it is now, for those who watch."""
        return InodeView(
            self.attributes.size,
            self.attributes.nlink,
            dict(self.data.extents.pages),
            dict(self.mappings.flags),
            dict(self.opens.openers),
            self.opens.truncating,
            self.leases.views(),
        )

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
            self.opens.add(request.ofd, request.flags)
            return DONE
        writes = write or bool(request.flags & O_TRUNC)
        if not request.created:
            check(self.attributes, request.uid, 4 * (access != O_WRONLY) | 2 * writes)
        self.opens.add(request.ofd, request.flags)
        try:
            nonblock = bool(request.flags & O_NONBLOCK)
            if self.leases.has_plain:
                yield Step()  # a lease request meets the count before the lease is broken
            yield from self.leases.break_conflicting(write=write, layout=False, nonblock=nonblock)
            if request.flags & O_TRUNC:
                yield from self._with_write_access(self._empty(request.tgid))
        except KernelError:
            self.opens.remove(request.ofd)
            yield from self._evict_if_unused()
            raise
        return DONE

    @handles(Execute)
    def execute(self, request: Execute, src: Address) -> Conversation[Done]:
        """execve(2) of what is no program: an open for reading, then ETXTBSY if somebody has it open for writing."""
        check(self.attributes, request.uid, 1)
        yield from self.open(Open(request.ofd, O_RDONLY, 0, request.tgid), src)
        number = errno.ETXTBSY if self.opens.writers else errno.ENOEXEC
        yield from self.close(CloseFile(request.ofd, exiting=False), src)
        raise KernelError(number)

    @handles(CloseFile)
    def close(self, request: CloseFile, _src: Address) -> Conversation[Done]:
        """Release an open file description: leases, then the count, then perhaps the inode itself [1.3].

        The description is gone even if the policy has an error to report, or a fatal signal ended its wait.
        """
        error = yield from outcome(self.guard.ask_last_close(exiting=request.exiting))
        unlocked = self.flocks.drop(self, request.ofd)
        unleased = yield from self.leases.release(request.ofd)
        if unlocked or unleased:
            yield Step()  # who waited for that finds the file still open
        self.opens.remove(request.ofd)
        yield from self._evict_if_unused()
        if error is not None:
            raise error
        return DONE

    @handles(DropInode)
    def drop_inode(self, _request: DropInode, _src: Address) -> Conversation[Done]:
        """unlink(2) and rename(2) let go of a file whose last name they took [2.5]."""
        self.attributes.names_going -= 1
        yield from self._evict_if_unused()
        return DONE

    def _evict_if_unused(self) -> Conversation[None]:
        """Free the blocks of a file without name and users; 5.4 does not look at pins here [2.5, H7]."""
        if self.attributes.has_name or self.opens.in_use or self.evicted:
            return
        self.evicted = True
        if self.kernel.generation.evict_waits:
            yield from self.data.wait_until_idle()
        yield from self.data.free(0)

    # Leases.

    @handles(ChangeLease)
    def change_lease(self, request: ChangeLease, _src: Address) -> Conversation[Done]:
        """fcntl(F_SETLEASE), checks in the order of semantics 2.1; F_UNLCK asks the policy first [2.2]."""
        wanted = self.kernel.policy.lease_gate(request.arg)
        if wanted is None:
            raise KernelError(errno.EINVAL)
        if request.fsuid != self.attributes.uid and not request.capable:
            raise KernelError(errno.EACCES)
        if wanted.type != F_UNLCK:
            yield from self.leases.take(request, wanted)
            return DONE
        if own := self.leases.of(request.ofd):
            yield from self.guard.ask_unlock(own.view())
        yield from self.leases.give_up(request.ofd)
        return DONE

    @handles(QueryLease)
    def query_lease(self, request: QueryLease, _src: Address) -> Conversation[Done]:
        """fcntl(F_GETLEASE) [2.3.6]."""
        own = yield from self.leases.look_up(request.ofd)
        return Done(F_UNLCK if own is None else self.kernel.policy.lease_type(own.view(), own.target))

    @handles(LeaseOverdue)
    def overdue(self, notice: LeaseOverdue, _src: Address) -> None:
        """Note that the break time of a lease has passed."""
        self.leases.note_overdue(notice.lease, notice.level)

    @handles(SetBreakTime)
    def set_break_time(self, request: SetBreakTime, _src: Address) -> Done:
        """Use another break time from the next break on."""
        self.leases.break_time = request.seconds
        return DONE

    # Size and layout.

    @handles(Truncate)
    def truncate(self, request: Truncate, _src: Address) -> Conversation[Done]:
        """truncate(2), ftruncate(2) [2.3.2, 2.5, steps of 2.7]."""
        if request.length < 0:
            raise KernelError(errno.EINVAL)
        if not request.by_path:
            yield from self._set_size(request.length, request.tgid)
            return DONE
        check(self.attributes, request.uid, 2)
        yield from self._with_write_access(self._break_and_set_size(request))
        return DONE

    def _empty(self, tgid: int) -> Conversation[None]:
        """Truncate for O_TRUNC, which counts as a writer before it has the lock [handle_truncate]."""
        yield Step()
        yield from self._set_size(0, tgid)

    def _break_and_set_size(self, request: Truncate) -> Conversation[None]:
        if self.leases.has_plain:
            yield Step()
        yield from self.leases.break_conflicting(write=True, layout=False, nonblock=False)
        yield Step()
        yield from self._set_size(request.length, request.tgid)

    def _with_write_access(self, change: Conversation[None]) -> Conversation[None]:
        """Count as a writer, and keep the inode, while a file is truncated by name [2.1 step 6]."""
        self.opens.truncating += 1
        error = yield from outcome(change)
        self.opens.truncating -= 1
        yield from self._evict_if_unused()
        if error is not None:
            raise error

    def _set_size(self, length: int, tgid: int) -> Conversation[None]:
        with (yield self.iolock.exclusive()) as io:
            yield from self.leases.break_delegations()
            yield Step()
            with (yield self.mmaplock.exclusive()) as mm:
                first = min(length, self.attributes.size) // self.kernel.page_size
                change = self.guard.change(LayoutOperation.TRUNCATE, first, LAST_PAGE, tgid)
                yield from self.guard.break_layouts(change, io, mm)
                yield from self.data.resize(length)

    @handles(Fallocate)
    def fallocate(self, request: Fallocate, _src: Address) -> Conversation[Done]:
        """fallocate(2): what is asked first depends on mode and file system [2.5]."""
        offset, length, keep_size = request.offset, request.length, bool(request.mode & FALLOC_FL_KEEP_SIZE)
        with (yield self.iolock.exclusive()) as io, (yield self.mmaplock.exclusive()) as mm:
            operation = OPERATIONS[request.mode & ~FALLOC_FL_KEEP_SIZE]
            change = self.guard.change(operation, offset // self.kernel.page_size, LAST_PAGE, request.tgid)
            yield from self.guard.break_layouts(change, io, mm)
            yield from self.data.fallocate(operation, offset, length, keep_size=keep_size)
        return DONE

    # Data.

    @handles(ReadAt)
    def read(self, request: ReadAt, _src: Address) -> Conversation[Data]:
        """read(2)."""
        with (yield self.iolock.shared()):
            data = yield from self.data.read(request.offset, request.count)
        return Data(data)

    @handles(WriteAt)
    def write(self, request: WriteAt, _src: Address) -> Conversation[Written]:
        """write(2): breaks layout leases, even if no block would change [2.5]."""
        with (yield self.iolock.exclusive()) as io:
            offset = self.attributes.size if request.offset < 0 else request.offset
            data = request.data[: MOST_SIZE - offset]
            if not data:
                raise KernelError(errno.EFBIG)
            first, last = offset // self.kernel.page_size, self.kernel.pages(offset + len(data)) - 1
            change = self.guard.change(LayoutOperation.WRITE, first, last, request.tgid)
            yield from self.guard.break_layouts(change, io, None)
            done = yield from self.data.write(offset, data)
        return Written(offset + done, done)

    # Mappings and pins.

    @handles(AddMapping)
    def add_mapping(self, request: AddMapping, _src: Address) -> Done:
        """mmap(2), or fork copying a mapping."""
        if number := self.kernel.policy.mmap_gate(request.flags):
            raise KernelError(number)
        self.mappings.add(request.mm, request.vma, request.flags)
        return DONE

    @handles(SplitMapping)
    def split_mapping(self, request: SplitMapping, _src: Address) -> Done:
        """munmap(2) in the middle of a mapping: the policy has allowed it already."""
        self.mappings.split(request.mm, request.vma, request.new)
        return DONE

    @handles(RemoveMapping)
    def remove_mapping(self, request: RemoveMapping, _src: Address) -> Done:
        """munmap(2), exit."""
        self.mappings.remove(request.mm, request.vma)
        return DONE

    @handles(Fault)
    def fault(self, request: Fault, src: Address) -> Conversation[Done]:
        """A page fault: entries are installed with the mmap lock held, so a truncate sees and zaps them [1.8].

        Pages behind the one that faulted are mapped with it, as far as that changes nothing (``do_fault_around``).
        """
        page, last = request.page, request.page + request.pages - 1
        with (yield self.mmaplock.shared()):
            last = min(last, self.kernel.pages(self.attributes.size) - 1)
            if page > last:
                raise KernelError(errno.EFAULT)
            if request.write and self._fills_hole(page):
                yield from self._fill_for_fault(page)
            frames = [self._frame(page)]
            while (page := page + 1) <= last and not (request.write and self._fills_hole(page)):
                frames.append(self._frame(page))
            yield Call(src, InstallPtes(request.vpn, tuple(frames), writable=request.write))
        return DONE

    def _fills_hole(self, page: int) -> bool:
        return ChangeKind.ADDITIVE in self.data.extents.classify(LayoutOperation.WRITE, page, page)

    def _frame(self, page: int) -> PageFrame:
        """Return the memory that a page is: a hole is a page of zeros."""
        block = self.data.extents.lookup(page)
        return ZERO_PAGE if block is None else PageFrame(self.pmem, block)

    def _fill_for_fault(self, page: int) -> Conversation[None]:
        """Give a hole a block; a fault has one way to fail, whatever the reason: VM_FAULT_SIGBUS."""
        try:
            if number := self.kernel.policy.fault_gate(allocates=True):
                raise KernelError(number)
            yield from self.data.allocated(page)
        except KernelError:
            raise KernelError(errno.EFAULT) from None

    @handles(AskPin)
    def ask_pin(self, request: AskPin, _src: Address) -> Conversation[PinAllowed]:
        """Look for a lease that allows a pin: under flc_lock, but the reference is taken after that [2.7]."""
        with (yield self.leases.flc_lock.exclusive()):
            decision = self.kernel.policy.pin_gate(self.leases.views(), request.tgid, longterm=request.longterm)
        if isinstance(decision, Fail):
            raise KernelError(decision.errno)
        return PinAllowed(decision.hold)

    # Names. Whatever changes them or an attribute holds the iolock, so it waits for a truncate that waits [2.5]; none
    # of these calls asks leases [2.3.2].

    @handles(AddLink)
    def add_link(self, request: AddLink, _src: Address) -> Conversation[Done]:
        """link(2) adds a name, if protected_hardlinks, which is on by default, lets the caller."""
        if request.uid != self.attributes.uid and not may(self.attributes, request.uid, 6):
            raise KernelError(errno.EPERM)
        with (yield self.iolock.exclusive()):
            if not self.attributes.nlink:  # unlinked since the look-up
                raise KernelError(errno.ENOENT)
            yield from self.leases.break_delegations()
            self.attributes.nlink += 1
        return DONE

    @handles(DropLink)
    def drop_link(self, _request: DropLink, _src: Address) -> Conversation[Done]:
        """unlink(2) removes a name, which alone asks neither leases nor pages [2.5]; the reply is how many are left."""
        with (yield self.iolock.exclusive()):
            yield from self.leases.break_delegations()
            self.attributes.lose_name()
        return Done(self.attributes.nlink)

    @handles(Renamed)
    def renamed(self, request: Renamed, _src: Address) -> Conversation[Done]:
        """rename(2) gives it another name, or its name to another file; the reply is how many that one has left."""
        left = -1
        with (yield self.iolock.exclusive()):
            yield from self.leases.break_delegations()
            if request.other:
                left = (yield Call(request.other, Renamed(request.other_loses_name))).value
            if request.loses_name:
                self.attributes.lose_name()
                left = self.attributes.nlink
        return Done(left)

    @handles(NoName)
    def no_name(self, _request: NoName, _src: Address) -> None:
        """O_TMPFILE: the open that follows keeps it."""
        self.attributes.nlink = 0

    # Attributes.

    @handles(SetAttributes)
    def set_attributes(self, request: SetAttributes, _src: Address) -> Conversation[Done]:
        """chmod(2), chown(2). Leases stay with who took them."""
        with (yield self.iolock.exclusive()):
            yield from self.leases.break_delegations()
            set_attributes(self.attributes, request)
        return DONE

    @handles(Touch)
    def touch(self, request: Touch, _src: Address) -> Conversation[Done]:
        """utimes(2), setxattr(2)."""
        with (yield self.iolock.exclusive()):
            check_touch(self.attributes, request)
            yield from self.leases.break_delegations()
        return DONE
