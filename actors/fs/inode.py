"""An inode: a regular file on FS-DAX, whose pages are blocks of a pmem set [1.6].

What a file is made of are parts, each with a module of its own: attributes, open counts, leases, flock(2) locks,
mappings, data, and the guard that is asked before the layout changes. The parts do not know the inode; what concerns
more than one of them is put together here, under the inode's locks. These are taken in the order iolock, mmap lock,
ilock, and held exactly where semantics 2.5 and 2.7 say.
"""

import errno
from functools import partial

from longpin.actors.base import handles
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
from longpin.actors.fs.file_data import OPERATIONS
from longpin.actors.fs.inode_parts import FileStart
from longpin.actors.fs.inode_remap import RemappedInode
from longpin.actors.fs.layout_change import Wanted
from longpin.actors.fs.lease_list import read_delegation
from longpin.actors.fs.permissions import check, check_touch, may, set_attributes
from longpin.actors.kernel.file_system import LayoutOperation
from longpin.actors.kernel.machine import MOST_SIZE
from longpin.actors.policies.views import (
    CloseRequest,
    LeaseCall,
    LeaseKind,
)
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.file import Data
from longpin.messages.fs.inode import (
    AddLink,
    BreakDelegations,
    ChangeLease,
    CloseFile,
    Delegated,
    DropInode,
    DropLink,
    Execute,
    Fallocate,
    FlushFile,
    LeaseOverdue,
    NoName,
    OnlyPinned,
    Open,
    QueryLease,
    ReadAt,
    Renamed,
    SetAttributes,
    SetBreakTime,
    SyncFile,
    Touch,
    Truncate,
    WriteAt,
    Written,
)
from longpin.messages.fs.transfer import TransferAt
from longpin.messages.process.caller import Caller

__all__ = ["FileStart", "Inode"]


class Inode(RemappedInode):
    """One file: what it is asked by its descriptions, its leases and its names."""

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
                yield from self._look_up_shared(min(length, self.attributes.size), self.attributes.size)
                wanted = Wanted(LayoutOperation.TRUNCATE, length, MOST_SIZE, caller)
                yield from self.guard.break_layouts(wanted, io, mm)
                yield from self.data.resize(length)

    @handles(Fallocate)
    def fallocate(self, request: Fallocate, _src: Address) -> Conversation[Done]:
        """fallocate(2): what is asked first depends on mode and file system [2.5]."""
        offset, length, keep_size = request.offset, request.length, bool(request.mode & FALLOC_FL_KEEP_SIZE)
        operation = OPERATIONS[request.mode & ~FALLOC_FL_KEEP_SIZE]
        if operation not in self.guard.file_system.fallocate:
            raise KernelError(errno.EOPNOTSUPP)
        with (yield self.iolock.exclusive()) as io, (yield self.mmaplock.exclusive()) as mm:
            yield from self._look_up_shared(offset, offset + length)
            wanted = Wanted(operation, offset, offset + length, request.caller, keep_size)
            yield from self.guard.break_layouts(wanted, io, mm)
            yield from self.data.fallocate(operation, offset, length, keep_size=keep_size)
        return DONE

    def _look_up_shared(self, start: int, end: int) -> Conversation[None]:
        """Know which of these bytes other files have too, before the policy is told what a change of them would do."""
        yield from self.data.look_up_shared(start // self.kernel.page_size, self.kernel.pages(end) - 1)

    # Data.

    @handles(SyncFile)
    def sync(self, _request: SyncFile, _src: Address) -> Conversation[Done]:
        """fsync(2): of a file on DAX there is nothing to be written."""
        yield from self.data.sync()
        return DONE

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
            yield from self._look_up_shared(offset, offset + len(data))
            wanted = Wanted(LayoutOperation.WRITE, offset, offset + len(data), request.caller)
            yield from self.guard.break_layouts(wanted, io, None)
            done = yield from self.data.write(offset, data)
        return Written(offset + done, done)

    @handles(TransferAt)
    def transfer(self, request: TransferAt, _src: Address) -> Conversation[Done]:
        """preadv(2), pwritev(2)."""
        if not request.write:
            with (yield self.iolock.shared()):
                return Done((yield from self.transfers.read(request)))
        with (yield self.iolock.exclusive()) as io:
            offset = self.attributes.size if request.offset < 0 else request.offset
            length = min(request.length, MOST_SIZE - offset)
            if not length:
                raise KernelError(errno.EFBIG)
            yield from self._look_up_shared(offset, offset + length)
            wanted = Wanted(LayoutOperation.WRITE, offset, offset + length, request.caller)
            yield from self.guard.break_layouts(wanted, io, None)
            return Done((yield from self.transfers.write(request, offset, length)))

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
