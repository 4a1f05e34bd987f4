"""An inode: a regular file on FS-DAX, whose pages are blocks of a pmem set [1.6].

What a file is made of are parts, each with a module of its own: attributes, open counts, leases, flock(2) locks,
mappings, data, and the guard that is asked before the layout changes. The parts do not know the inode; what concerns
more than one of them is put together here, under the inode's locks. These are taken in the order iolock, mmap lock,
ilock, and held exactly where semantics 2.5 and 2.7 say.
"""

import errno
from functools import partial
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
from longpin.actors.fs.file_data import OPERATIONS, FileData
from longpin.actors.fs.flocks import Flocks
from longpin.actors.fs.inode_view import InodeView
from longpin.actors.fs.layout_change import Wanted
from longpin.actors.fs.layout_guard import LayoutGuard
from longpin.actors.fs.lease_list import LeaseList, read_delegation
from longpin.actors.fs.mappings import Mappings
from longpin.actors.fs.open_counts import OpenCounts
from longpin.actors.fs.permissions import check, check_touch, may, set_attributes
from longpin.actors.kernel.file_system import ChangeKind, LayoutOperation
from longpin.actors.kernel.machine import MOST_SIZE, Kernel, require
from longpin.actors.locks import Lock
from longpin.actors.policies.decisions import Decision
from longpin.actors.policies.views import (
    CloseRequest,
    FaultRequest,
    LayoutView,
    LeaseCall,
    LeaseKind,
    MapRequest,
    RegistrationView,
)
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.file import Data
from longpin.messages.fs.inode import (
    AddLink,
    AddMapping,
    AskPin,
    AskUse,
    BreakDelegations,
    ChangeLease,
    CloseFile,
    Delegated,
    Deregistered,
    DropInode,
    DropLink,
    Execute,
    Fallocate,
    Fault,
    FlushFile,
    LeaseOverdue,
    NoName,
    OnlyPinned,
    Open,
    PinAllowed,
    ProtectMapping,
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
from longpin.messages.fs.mapping import MappingView
from longpin.messages.mm.memory import ZERO_PAGE, PageFrame, Pin
from longpin.messages.mm.mm import InstallPtes
from longpin.messages.mm.pmem import BlockRun
from longpin.messages.process.caller import Caller


class FileStart(NamedTuple):
    """What a file is when its inode is made."""

    uid: int
    mode: int
    size: int
    """Bytes."""
    runs: tuple[BlockRun, ...] = ()
    """Its blocks, which are all written."""


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
        self.data = FileData(self, kernel, pmem, self.attributes, self.mappings, start.runs)
        self.guard = LayoutGuard(kernel, pmem, self.attributes, self.leases, self.data.extents, self.mappings)
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
            self.data.extents.extents,
            tuple(self.mappings.views.values()),
            dict(self.opens.openers),
            self.opens.truncating,
            self.leases.views(),
            self.guard.state,
        )

    def layout_view(self, pins: tuple[Pin, ...]) -> LayoutView:
        """Return what a policy is shown, with pins that were found, for those who ask what an administrator sees."""
        return self.guard.view(pins)

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
            check(self.attributes, request.caller.fsuid, 4 * (access != O_WRONLY) | 2 * writes)
        self.opens.add(request.ofd, request.flags)
        try:
            nonblock = bool(request.flags & O_NONBLOCK)
            if self.leases.has_plain:
                yield Step()  # a lease request meets the count before the lease is broken
            yield from self.leases.break_conflicting(LeaseKind.LEASE, write=write, nonblock=nonblock)
            if request.flags & O_TRUNC:
                yield from self._with_write_access(self._empty(request.caller))
        except KernelError:
            self.opens.remove(request.ofd)
            yield from self._evict_if_unused()
            raise
        return DONE

    @handles(Execute)
    def execute(self, request: Execute, src: Address) -> Conversation[Done]:
        """execve(2) of what is no program: an open for reading, then ETXTBSY if somebody has it open for writing."""
        check(self.attributes, request.caller.fsuid, 1)
        yield from self.open(Open(request.ofd, O_RDONLY, request.caller._replace(fsuid=0)), src)
        number = errno.ETXTBSY if self.opens.writers else errno.ENOEXEC
        yield from self.close(CloseFile(request.ofd, exiting=False), src)
        raise KernelError(number)

    @handles(CloseFile)
    def close(self, request: CloseFile, _src: Address) -> Conversation[Done]:
        """Release an open file description: leases, then the count, then perhaps the inode itself [1.3].

        The description is gone even if the policy has an error to report, or a fatal signal ended its wait.
        """
        error = yield from outcome(self.guard.ask_last_close(request.ofd, exiting=request.exiting))
        unlocked = self.flocks.drop(self, request.ofd)
        unleased = yield from self.leases.release(request.ofd)
        if unlocked or unleased:
            yield Step()  # who waited for that finds the file still open
        self.opens.remove(request.ofd)
        yield from self._evict_if_unused()
        if error is not None:
            raise error
        return DONE

    @handles(FlushFile)
    def flush(self, request: FlushFile, _src: Address) -> Conversation[Done]:
        """Ask the policy about the close of a descriptor, whose description may live on [1.2]."""
        yield from self.guard.ask_flush(CloseRequest(request.caller, request.ofd, request.last, request.exiting))
        return DONE

    @handles(OnlyPinned)
    def only_pinned(self, notice: OnlyPinned, _src: Address) -> Done:
        """Note that nobody can use the description of a lease any more [1.5]."""
        for record in self.leases.records:
            record.zombie = record.zombie or record.ofd == notice.ofd
        return DONE

    @handles(DropInode)
    def drop_inode(self, _request: DropInode, _src: Address) -> Conversation[Done]:
        """Evict a file whose last name unlink(2) or rename(2) took, if nobody uses it [2.5]."""
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
        policy = self.kernel.policy
        wanted = read_delegation(request.arg) if request.delegation else policy.read_lease(request.arg)
        if wanted is None:
            raise KernelError(errno.EINVAL)
        call = LeaseCall(request.caller, request.ofd, request.access, wanted)
        yield from self.guard.consult(partial(policy.lease_gate, call))
        if wanted.type != F_UNLCK:
            yield from self.leases.take_undisturbed(self.iolock, request, wanted)
            return DONE
        key = policy.lease_key(request.caller, request.ofd)
        if own := self.leases.of(key, wanted.slot):
            yield from self.guard.consult(partial(policy.unlck_gate, own.view(), request.caller))
        yield from self.leases.give_up(key, wanted.slot)
        return DONE

    @handles(QueryLease)
    def query_lease(self, request: QueryLease, _src: Address) -> Conversation[Done]:
        """fcntl(F_GETLEASE) [2.3.6], F_GETDELEG: each reports its own kind only."""
        return Done((yield from self.leases.report(request)))

    @handles(BreakDelegations)
    def break_delegations(self, _request: BreakDelegations, _src: Address) -> Conversation[Done]:
        """Wait until nobody has a delegation, so that a name may change."""
        yield from self.leases.wait_for_delegations()
        return DONE

    @handles(LeaseOverdue)
    def overdue(self, notice: LeaseOverdue, _src: Address) -> Conversation[None] | None:
        """Note that the break time of a lease has passed; who looks next acts on it, or the inode does at once."""
        self.leases.note_overdue(notice.lease, notice.level)
        record = self.leases.at(notice.lease)
        return self._act_on_overdue(notice.lease) if record is not None and record.works else None

    def _act_on_overdue(self, lease: Address) -> Conversation[None]:
        with (yield self.mmaplock.exclusive()):
            if record := self.leases.at(lease):  # else it was given up while the lock was waited for
                yield from self.guard.act_on_overdue(record)

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
            yield from self._set_size(request.length, request.caller)
            return DONE
        check(self.attributes, request.caller.fsuid, 2)
        yield from self._with_write_access(self._break_and_set_size(request))
        return DONE

    def _empty(self, caller: Caller) -> Conversation[None]:
        """Truncate for O_TRUNC, which counts as a writer before it has the lock [handle_truncate]."""
        yield Step()
        yield from self._set_size(0, caller)

    def _break_and_set_size(self, request: Truncate) -> Conversation[None]:
        if self.leases.has_plain:
            yield Step()
        yield from self.leases.break_conflicting(LeaseKind.LEASE, write=True, nonblock=False)
        yield Step()
        yield from self._set_size(request.length, request.caller)

    def _with_write_access(self, change: Conversation[None]) -> Conversation[None]:
        """Count as a writer, and keep the inode, while a file is truncated by name [2.1 step 6]."""
        self.opens.truncating += 1
        error = yield from outcome(change)
        self.opens.truncating -= 1
        yield from self._evict_if_unused()
        if error is not None:
            raise error

    def _set_size(self, length: int, caller: Caller) -> Conversation[None]:
        with (yield self.iolock.exclusive()) as io:
            if (yield from self.leases.break_delegations()):  # nobody waits here [code: do_truncate]
                raise KernelError(errno.EAGAIN)
            yield Step()
            with (yield self.mmaplock.exclusive()) as mm:
                wanted = Wanted(LayoutOperation.TRUNCATE, length, MOST_SIZE, caller)
                yield from self.guard.break_layouts(wanted, io, mm)
                yield from self.data.resize(length)

    @handles(Fallocate)
    def fallocate(self, request: Fallocate, _src: Address) -> Conversation[Done]:
        """fallocate(2): what is asked first depends on mode and file system [2.5]."""
        offset, length, keep_size = request.offset, request.length, bool(request.mode & FALLOC_FL_KEEP_SIZE)
        with (yield self.iolock.exclusive()) as io, (yield self.mmaplock.exclusive()) as mm:
            operation = OPERATIONS[request.mode & ~FALLOC_FL_KEEP_SIZE]
            wanted = Wanted(operation, offset, offset + length, request.caller, keep_size)
            yield from self.guard.break_layouts(wanted, io, mm)
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
            wanted = Wanted(LayoutOperation.WRITE, offset, offset + len(data), request.caller)
            yield from self.guard.break_layouts(wanted, io, None)
            done = yield from self.data.write(offset, data)
        return Written(offset + done, done)

    # Mappings and pins.

    @handles(AddMapping)
    def add_mapping(self, request: AddMapping, _src: Address) -> Conversation[Done]:
        """mmap(2), or fork copying a mapping."""
        policy = self.kernel.policy
        mapping = MappingView(request.mm, request.vma, request.prot, request.flags, request.ofd)
        if request.parent:
            original = self.mappings.find(request.parent, request.vma)
            self.mappings.add(mapping)
            yield from self.guard.follow(partial(policy.on_vma_open, original, mapping))
        else:
            wanted = MapRequest(request.caller, mapping)
            gate = partial(policy.mmap_gate, wanted)
            yield from self.guard.permit(gate, request.caller, fd=request.fd, locked=False)
            self.mappings.add(mapping)
        return DONE

    @handles(SplitMapping)
    def split_mapping(self, request: SplitMapping, _src: Address) -> Conversation[Done]:
        """munmap(2) in the middle of a mapping: the policy has allowed it already."""
        rest = self.mappings.split(request.mm, request.vma, request.new)
        original = self.mappings.find(request.mm, request.vma)
        yield from self.guard.follow(partial(self.kernel.policy.on_vma_open, original, rest))
        return DONE

    @handles(ProtectMapping)
    def protect_mapping(self, request: ProtectMapping, _src: Address) -> Done:
        """mprotect(2)."""
        self.mappings.protect(request.mm, request.vma, request.prot)
        return DONE

    @handles(RemoveMapping)
    def remove_mapping(self, request: RemoveMapping, _src: Address) -> Conversation[Done]:
        """munmap(2), exit."""
        mapping = self.mappings.remove(request.mm, request.vma)
        yield from self.guard.follow(partial(self.kernel.policy.on_vma_close, mapping))
        return DONE

    @handles(Fault)
    def fault(self, request: Fault, src: Address) -> Conversation[Done]:
        """A page fault: entries are installed with the mmap lock held, so a truncate sees and zaps them [1.8].

        Pages behind the one that faulted are mapped with it, up to the first that would need a block
        (``do_fault_around``). All failures are one: VM_FAULT_SIGBUS.
        """
        page = request.page
        with (yield self.mmaplock.shared()) as mm:
            self._last_of(request)
            try:
                yield from self.guard.consult(partial(self._ask_fault, request, src), None, None, mm)
                last = self._last_of(request)
                if self._kinds_of(request, page):
                    yield from self.data.writable_block(page)
            except KernelError:
                raise KernelError(errno.EFAULT) from None
            frames = [self._frame(page)]
            while (page := page + 1) <= last and not self._kinds_of(request, page):
                frames.append(self._frame(page))
            yield Call(src, InstallPtes(request.vpn, tuple(frames), writable=request.write))
        return DONE

    def _last_of(self, fault: Fault) -> int:
        """Return the last page that a fault maps, or fail with EFAULT beyond the end of the file."""
        last = min(fault.page + fault.pages, self.kernel.pages(self.attributes.size)) - 1
        if fault.page > last:
            raise KernelError(errno.EFAULT)
        return last

    def _kinds_of(self, fault: Fault, page: int) -> ChangeKind:
        """Return what it would do to the extent map to map a page."""
        return self.data.extents.classify(LayoutOperation.WRITE, page, page) if fault.write else ChangeKind(0)

    def _frame(self, page: int) -> PageFrame:
        """Return the memory that a page is: what is not written is a page of zeros."""
        block = self.data.extents.data(page)
        return ZERO_PAGE if block is None else PageFrame(self.pmem, block)

    def _ask_fault(self, request: Fault, src: Address, view: LayoutView) -> Decision:
        mapping = self.mappings.find(src, request.vma)
        fault = FaultRequest(mapping, request.page, request.write, self._kinds_of(request, request.page))
        return self.kernel.policy.fault_gate(fault, view)

    @handles(AskPin)
    def ask_pin(self, request: AskPin, _src: Address) -> Conversation[PinAllowed]:
        """Look for a lease that allows a pin: under flc_lock, but the reference is taken after that [2.7]."""
        pin = request.request
        with (yield self.leases.flc_lock.exclusive()):
            allowed = yield from self.guard.permit(partial(self.kernel.policy.pin_gate, pin), pin.caller, locked=True)
        return PinAllowed(allowed.hold, allowed.grant is not None or allowed.state is not None)

    @handles(Deregistered)
    def deregistered(self, notice: Deregistered, _src: Address) -> Conversation[Done]:
        """Do what the policy wants when a registration that was given a lease here has let go of its pages."""
        registration = RegistrationView(notice.registration, notice.context)
        yield from self.guard.follow(partial(self.kernel.policy.on_deregister, registration))
        return DONE

    @handles(AskUse)
    def ask_use(self, request: AskUse, _src: Address) -> Done:
        """Ask the policy whether a process may use a registration of the file's pages; its errno if not."""
        registration = RegistrationView(request.registration, request.context)
        require(self.kernel.policy.use_gate(request.caller, registration, self.guard.view()))
        return DONE

    # Names. A change of a name or an attribute holds the iolock, so it waits for a truncate that waits [2.5]; none of
    # these calls asks leases [2.3.2].

    @handles(AddLink)
    def add_link(self, request: AddLink, _src: Address) -> Conversation[Done | Delegated]:
        """link(2) adds a name, if protected_hardlinks, which is on by default, lets the caller."""
        if request.uid != self.attributes.uid and not may(self.attributes, request.uid, 6):
            raise KernelError(errno.EPERM)
        with (yield self.iolock.exclusive()):
            if not self.attributes.nlink:  # unlinked since the look-up
                raise KernelError(errno.ENOENT)
            if (yield from self.leases.break_delegations()):
                return Delegated(self.address)
            self.attributes.nlink += 1
        return DONE

    @handles(DropLink)
    def drop_link(self, _request: DropLink, _src: Address) -> Conversation[Done | Delegated]:
        """unlink(2) removes a name, which alone asks neither leases nor pages [2.5]; the reply is how many are left."""
        with (yield self.iolock.exclusive()):
            if (yield from self.leases.break_delegations()):
                return Delegated(self.address)
            self.attributes.lose_name()
        return Done(self.attributes.nlink)

    @handles(Renamed)
    def renamed(self, request: Renamed, _src: Address) -> Conversation[Done | Delegated]:
        """rename(2) gives it another name, or its name to another file; the reply is how many that one has left."""
        left = -1
        with (yield self.iolock.exclusive()):
            if (yield from self.leases.break_delegations()):
                return Delegated(self.address)
            if request.other:
                replaced: Done | Delegated = yield Call(request.other, Renamed(request.other_loses_name))
                if isinstance(replaced, Delegated):
                    return replaced
                left = replaced.value
            if request.loses_name:
                self.attributes.lose_name()
                left = self.attributes.nlink
        return Done(left)

    @handles(NoName)
    def no_name(self, _request: NoName, _src: Address) -> None:
        """Take away the name of a file made with O_TMPFILE: the open that follows keeps it."""
        self.attributes.nlink = 0

    # Attributes.

    @handles(SetAttributes)
    def set_attributes(self, request: SetAttributes, _src: Address) -> Conversation[Done]:
        """chmod(2), chown(2). Leases stay with who took them."""
        with (yield from self.leases.lock_undelegated(self.iolock)):
            set_attributes(self.attributes, request)  # who may not has broken them too [code: notify_change]
        return DONE

    @handles(Touch)
    def touch(self, request: Touch, _src: Address) -> Conversation[Done]:
        """utimes(2), setxattr(2)."""
        with (yield from self.leases.lock_undelegated(self.iolock, partial(check_touch, self.attributes, request))):
            pass
        return DONE
