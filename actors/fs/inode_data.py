"""Reading, writing and changing an inode's data: under its locks, and with leave of the guard [2.5]."""

import errno

from longpin.actors.base import ActorPart, handles
from longpin.actors.constants import FALLOC_FL_KEEP_SIZE
from longpin.actors.conversation import Conversation, KernelError, Step, Widen, outcome
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.file_data import OPERATIONS, FileData
from longpin.actors.fs.layout_change import Wanted
from longpin.actors.fs.layout_guard import LayoutGuard
from longpin.actors.fs.lease_list import LeaseList
from longpin.actors.fs.transfers import Transfers
from longpin.actors.kernel.file_system import LayoutOperation
from longpin.actors.kernel.machine import MOST_SIZE, Kernel
from longpin.actors.locks import Hold, Lock
from longpin.actors.policies.views import LeaseKind
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.file import Data
from longpin.messages.fs.inode import Fallocate, ReadAt, SyncFile, WriteAt, Written
from longpin.messages.fs.inode_pieces import Changing, Resizing
from longpin.messages.fs.transfer import TransferAt
from longpin.messages.process.caller import Caller


class InodeData(ActorPart):
    """The calls on data and size: they take the locks, have the guard break layouts, and then do it."""

    def __init__(
        self,
        kernel: Kernel,
        iolock: Lock,
        mmaplock: Lock,
        attributes: Attributes,
        leases: LeaseList,
        data: FileData,
        transfers: Transfers,
        guard: LayoutGuard,
    ) -> None:
        self.kernel = kernel
        self.iolock = iolock
        self.mmaplock = mmaplock
        self.attributes = attributes
        self.leases = leases
        self.data = data
        self.transfers = transfers
        self.guard = guard

    def set_size(self, length: int, caller: Caller) -> Conversation[None]:
        """Have a file of another size, with leave of the guard [steps of 2.7]."""
        with (yield self.iolock.exclusive(killable=self.kernel.generation.killable_file_locks)) as io:
            if self.leases.concern(LeaseKind.DELEGATION):
                yield Widen(Changing())
                if (yield from self.leases.break_delegations()):  # nobody waits here [code: do_truncate]
                    raise KernelError(errno.EAGAIN)
            yield Step(Resizing() if self.guard.undisturbed else Changing())
            with (yield self.mmaplock.exclusive()) as mm:
                if not self.guard.undisturbed:
                    yield Widen(Changing())
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
        """Know which of these bytes other files have too, before the policy is told what a change of them would do.

        A change behind the end of the file zeroes the rest of its last page.
        """
        first = min(start, self.attributes.size) // self.kernel.page_size
        yield from self.data.look_up_shared(first, self.kernel.pages(end) - 1)

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
        with (yield self.iolock.exclusive()) as io, self.mmaplock.exclusive() as mm:
            offset = self.attributes.size if request.offset < 0 else request.offset
            data = request.data[: MOST_SIZE - offset]
            if not data:
                raise KernelError(errno.EFBIG)
            yield from self._look_up_shared(offset, offset + len(data))
            wanted = Wanted(LayoutOperation.WRITE, offset, offset + len(data), request.caller)
            yield from self.guard.break_layouts(wanted, io, mm)
            room = yield from self._copy_unpinned(offset, len(data), mm)
            done = yield from self.data.write(offset, data[:room])
        return Written(offset + done, done)

    @handles(TransferAt)
    def transfer(self, request: TransferAt, _src: Address) -> Conversation[Done]:
        """preadv(2), pwritev(2)."""
        if not request.write:
            with (yield self.iolock.shared()):
                return Done((yield from self.transfers.read(request)))
        with (yield self.iolock.exclusive()) as io, self.mmaplock.exclusive() as mm:
            offset = self.attributes.size if request.offset < 0 else request.offset
            length = min(request.length, MOST_SIZE - offset)
            if not length:
                raise KernelError(errno.EFBIG)
            yield from self._look_up_shared(offset, offset + length)
            wanted = Wanted(LayoutOperation.WRITE, offset, offset + length, request.caller)
            yield from self.guard.break_layouts(wanted, io, mm)
            room = yield from self._copy_unpinned(offset, length, mm)
            return Done((yield from self.transfers.write(request, offset, room)))

    def _copy_unpinned(self, offset: int, length: int, mm: Hold) -> Conversation[int]:
        """Copy what other files have too while nobody can pin it, if the guard has looked for pins; return the room.

        The mmap lock is dropped then: what is written may come from memory that faults. What has no room on the device
        is not written either, or it would be copied without that lock.

        Raises:
            KernelError: ENOSPC, nothing can be written.

        """
        if not mm.held:
            return length
        start = min(offset, self.attributes.size)  # the last page is zeroed behind the end [H22]
        with mm:
            error = yield from outcome(self.data.unshare(start, offset + length - start))
        if error is None:
            return length
        page_size = self.kernel.page_size
        left = self.data.extents.extents_in(start // page_size, (offset + length - 1) // page_size)
        room = next(extent.page for extent in left if extent.shared) * page_size - offset
        if room <= 0:
            raise error
        return room
