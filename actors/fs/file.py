"""An open file description (``struct file``): a reference count, a position, and whom to signal [1.3].

Descriptors, mappings, messages in flight and pins hold references. Nothing here knows which of them it is: that a lease
is shared over dup, fork and SCM_RIGHTS, and ends with the last reference, follows from the count.
"""

import errno
from collections.abc import Mapping
from typing import ClassVar

from longpin.actors.base import Actor, ActorPart, Engine, handles
from longpin.actors.constants import (
    F_UNLCK,
    FALLOC_FL_COLLAPSE_RANGE,
    FALLOC_FL_INSERT_RANGE,
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
    FALLOC_FL_UNSHARE_RANGE,
    FALLOC_FL_ZERO_RANGE,
    LOCK_NB,
    LOCK_UN,
    MAP_SHARED,
    O_ACCMODE,
    O_APPEND,
    O_ASYNC,
    O_DIRECT,
    O_NOATIME,
    O_NONBLOCK,
    O_RDONLY,
    O_RDWR,
    O_WRONLY,
    PROT_WRITE,
)
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.fs.backing import FILE_OPERATIONS, FileOperations, ask, kind_of
from longpin.actors.fs.owner import FileOwner
from longpin.actors.fs.transfers import check_buffer
from longpin.actors.kernel.machine import MOST_SIZE
from longpin.actors.locks import Lock
from longpin.actors.mm.address_space import TASK_SIZE
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.file import (
    AskOpen,
    AskPosition,
    Data,
    FallocateFile,
    FlockFile,
    Ftruncate,
    GetFlags,
    GetLease,
    MapFile,
    MappedFile,
    Pread,
    Put,
    PutDone,
    Pwrite,
    Read,
    Ref,
    Release,
    Seek,
    SetFlags,
    SetLease,
    Sync,
    Vmsplice,
    Write,
)
from longpin.messages.fs.inode import (
    AddMapping,
    ChangeLease,
    CloseFile,
    Fallocate,
    Flock,
    OnlyPinned,
    QueryLease,
    ReadAt,
    SyncFile,
    Truncate,
    WriteAt,
    Written,
)
from longpin.messages.fs.mapping import Memory
from longpin.messages.fs.pipe import PipeRead, PipeSplice, PipeWrite
from longpin.messages.fs.transfer import Transfer, TransferAt
from longpin.messages.process.caller import Caller

FALLOCATE_MODES = {
    0,
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_COLLAPSE_RANGE,
    FALLOC_FL_INSERT_RANGE,
    FALLOC_FL_ZERO_RANGE,
    FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_UNSHARE_RANGE,
    FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE,
}
"""Modes of fallocate(2) that a file on XFS takes."""
OTHER_MODES = {0x80}
"""Modes that the kernel leaves to the file system to refuse: FALLOC_FL_WRITE_ZEROES [meas 6.18]."""

SETFL_MASK = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME
"""The status flags that F_SETFL can change [fs/fcntl.c]."""


class OpenFileDescription(Actor):
    """One open of an inode or of an RDMA device."""

    parts: ClassVar[Mapping[str, type[ActorPart]]] = {"owner": FileOwner}

    def __init__(self, engine: Engine, address: Address, backing: Address, kind: str, flags: int) -> None:
        super().__init__(engine, address)
        self.backing = backing
        """The inode, the uverbs context, the pipe, or the folder."""
        self.kind = kind
        """``file``, ``uverbs``, ``pipe``, ``directory``, or ``path`` after an open with O_PATH."""
        self.flags = flags
        self.references = 1
        self.pin_references = 0
        """Those of registrations. Invariant: no more than ``references``."""
        self.released = False
        # Invariant: released implies references == 0.
        self.position = 0
        self.owner = FileOwner()
        self.position_lock = Lock(self, f"the position lock of {address}")

    @property
    def operations(self) -> FileOperations:
        """Which calls what stands behind has."""
        return FILE_OPERATIONS[self.kind]

    @property
    def writable(self) -> bool:
        """Whether it was opened for writing."""
        return self.flags & O_ACCMODE in (O_WRONLY, O_RDWR)

    @property
    def readable(self) -> bool:
        """Whether it was opened for reading. Access mode 3, for ioctl(2) alone, is neither [meas 6.18]."""
        return self.flags & O_ACCMODE in (O_RDONLY, O_RDWR)

    @property
    def nonblock(self) -> bool:
        """Whether calls on it fail with EAGAIN instead of waiting for data or room."""
        return bool(self.flags & O_NONBLOCK)

    # References.

    @handles(Ref)
    def ref(self, request: Ref, _src: Address) -> Done:
        """Count one more holder; EBADF once the last has gone, for those who have only heard of the description."""
        if not self.references:
            raise KernelError(errno.EBADF)
        self.references += 1
        self.pin_references += request.pin
        return DONE

    @handles(Put)
    def put(self, request: Put, _src: Address) -> PutDone | Conversation[PutDone]:
        """Count one holder less."""
        self.references -= 1
        self.pin_references -= request.pin
        if not request.pin and 0 < self.references == self.pin_references:
            return self._tell_of_pins()
        return PutDone(self.references == 0)

    def _tell_of_pins(self) -> Conversation[PutDone]:
        """Tell the inode that nobody can use the description any more, and that pins keep it [1.5]."""
        yield Call(self.backing, OnlyPinned(self.address))
        return PutDone(last=False)

    @handles(Release)
    def release(self, request: Release, _src: Address) -> Conversation[Done]:
        """``__fput``: let go of what stands behind."""
        self.released = True
        if self.kind != "path" or kind_of(self.backing) == "file":  # O_PATH opened nothing, but a file it keeps
            counted_only = kind_of(self.backing) == "file" and not self.owner.leased
            yield ask(self.backing, CloseFile(self.address, request.exiting, counted_only=counted_only))
        return DONE

    @handles(AskOpen)
    def ask_open(self, _request: AskOpen, _src: Address) -> Done:
        """Say how it was opened."""
        return Done(self.flags)

    @handles(AskPosition)
    def ask_position(self, _request: AskPosition, _src: Address) -> Done:
        """Say where it is."""
        return Done(self.position)

    # fcntl.

    @handles(SetLease)
    def set_lease(self, request: SetLease, _src: Address) -> Conversation[Done]:
        """F_SETLEASE: what stands behind decides."""
        r, mode = request, self.flags & O_ACCMODE
        layout = (r.start, r.length, self.owner.signo)
        change = ChangeLease(self.address, mode, r.arg, r.command, r.fd, r.caller, "", *layout)
        reply: Done = yield ask(self.backing, change)
        return reply

    @handles(GetLease)
    def get_lease(self, request: GetLease, _src: Address) -> Conversation[Done]:
        """F_GETLEASE and its like: what is neither a regular file nor a folder has none."""
        if self.kind not in ("file", "directory"):
            return Done(F_UNLCK)
        reply: Done = yield ask(self.backing, QueryLease(self.address, request.command, request.caller))
        return reply

    @handles(GetFlags)
    def get_flags(self, _request: GetFlags, _src: Address) -> Done:
        """F_GETFL."""
        return Done(self.flags | (O_ASYNC if self.owner.leased else 0))

    @handles(SetFlags)
    def set_flags(self, request: SetFlags, _src: Address) -> Done:
        """F_SETFL: what cannot be changed is left alone."""
        if request.flags & O_DIRECT and not self.operations.direct:
            raise KernelError(errno.EINVAL)
        self.flags = (request.flags & SETFL_MASK) | (self.flags & ~SETFL_MASK)
        return DONE

    # Data.

    @handles(Read)
    def read(self, request: Read, _src: Address) -> Conversation[Data]:
        """read(2) at the position, which moves."""
        self._check_read(request.count)
        if self.operations.stream:
            piped: Data = yield Call(self.backing, PipeRead(request.count, self.nonblock))
            return piped
        with (yield self.position_lock.exclusive()):
            data = yield from self._read_at(self.position, request.count)
            self.position += len(data.data)
        return data

    @handles(Pread)
    def pread(self, request: Pread, _src: Address) -> Conversation[Data]:
        """pread(2): what has no positions is told so before anything else [code: ksys_pread64]."""
        self._require(self.operations.seek)
        self._check_read(request.count)
        return (yield from self._read_at(request.offset, request.count))

    def _check_read(self, count: int) -> None:
        """Fail as vfs_read does before it looks at the range."""
        if not self.readable:
            raise KernelError(errno.EBADF)
        if self.operations.read == errno.EINVAL:  # no method to read, which is told first [code: FMODE_CAN_READ]
            raise KernelError(errno.EINVAL)
        if count > TASK_SIZE:  # no buffer is so large [code: access_ok]
            raise KernelError(errno.EFAULT)

    def _read_at(self, offset: int, count: int) -> Conversation[Data]:
        self._check_range(offset, count)
        self._require(self.operations.read)  # EISDIR is the answer of a folder's own method [meas 6.18]
        if not count:  # the inode's lock is not taken for it [code: ext4_file_read_iter, xfs_file_dax_read]
            return Data(b"")
        data: Data = yield Call(self.backing, ReadAt(offset, count))
        return data

    @handles(Write)
    def write(self, request: Write, _src: Address) -> Conversation[Done]:
        """write(2) at the position, or at the end with O_APPEND; the position moves. Nothing to write asks nobody."""
        if not self.writable:
            raise KernelError(errno.EBADF)
        if self.operations.stream:
            piped: Done = yield Call(self.backing, PipeWrite(request.data, self.nonblock))
            return piped
        self._require(self.operations.write)
        with (yield self.position_lock.exclusive()):
            written = yield from self._write_at(self.position, request.data, request.caller)
            self.position = written.position
        return Done(written.count)

    @handles(Transfer)
    def transfer(self, request: Transfer, _src: Address) -> Conversation[Done]:
        """preadv(2), pwritev(2): of files that have positions."""
        r = request
        self._require(self.operations.seek)
        method = self.operations.write if r.write else self.operations.read
        if not (self.writable if r.write else self.readable):
            raise KernelError(errno.EBADF)
        if method == errno.EINVAL:
            raise KernelError(errno.EINVAL)
        check_buffer(r.address, r.length)
        if not r.length:
            return DONE
        self._check_range(r.offset, r.length)
        self._require(method)
        direct = bool(self.flags & O_DIRECT)
        offset = -1 if r.write and self.flags & O_APPEND else r.offset
        done: Done = yield Call(self.backing, TransferAt(r.mm, r.address, r.length, offset, r.write, direct, r.caller))
        return done

    @handles(Vmsplice)
    def vmsplice(self, request: Vmsplice, _src: Address) -> Conversation[Done]:
        """vmsplice(2): of pipes only, and here to their write end only; O_NONBLOCK has no say [meas 6.18]."""
        r = request
        if not (self.writable or self.readable):
            raise KernelError(errno.EBADF)
        check_buffer(r.address, r.length)
        if not r.length:  # before it is looked at what the file is
            return DONE
        if not self.operations.stream or not self.writable:
            raise KernelError(errno.EBADF)
        done: Done = yield Call(self.backing, PipeSplice(r.mm, r.address, r.length, r.caller, r.nonblock))
        return done

    @handles(Pwrite)
    def pwrite(self, request: Pwrite, _src: Address) -> Conversation[Done]:
        """pwrite(2): what has no positions is told so before anything else [code: ksys_pwrite64]."""
        self._require(self.operations.seek)
        if not self.writable:
            raise KernelError(errno.EBADF)
        self._require(self.operations.write)
        return Done((yield from self._write_at(request.offset, request.data, request.caller)).count)

    def _write_at(self, offset: int, data: bytes, caller: Caller) -> Conversation[Written]:
        self._check_range(offset, len(data))
        if not data:
            return Written(offset, 0)
        written: Written = yield Call(self.backing, WriteAt(-1 if self.flags & O_APPEND else offset, data, caller))
        return written

    @staticmethod
    def _check_range(offset: int, count: int) -> None:
        """Fail with EINVAL where no offset is left for the last byte, O_APPEND or not [code: rw_verify_area]."""
        if offset + count > MOST_SIZE:
            raise KernelError(errno.EINVAL)

    @handles(Seek)
    def seek(self, request: Seek, _src: Address) -> Conversation[Done]:
        """lseek(2) from the start."""
        self._require(self.operations.seek)
        if request.offset < 0:
            raise KernelError(errno.EINVAL)
        with (yield self.position_lock.exclusive()):
            if not self.operations.fixed_position:
                self.position = request.offset
            return Done(self.position)

    @handles(Ftruncate)
    def ftruncate(self, request: Ftruncate, _src: Address) -> Conversation[Done]:
        """ftruncate(2): needs a writable description, breaks no ordinary lease [2.3.2]."""
        self._require(self.operations.truncate)
        if not self.writable:
            raise KernelError(errno.EINVAL)
        reply: Done = yield Call(self.backing, Truncate(request.length, by_path=False, caller=request.caller))
        return reply

    @handles(FallocateFile)
    def fallocate(self, request: FallocateFile, _src: Address) -> Conversation[Done]:
        """fallocate(2): mode and signs are looked at before the description, the size after it [vfs_fallocate]."""
        if request.offset < 0 or request.length <= 0:
            raise KernelError(errno.EINVAL)
        if request.mode not in FALLOCATE_MODES | OTHER_MODES:
            raise KernelError(errno.EOPNOTSUPP)
        if not self.writable:
            raise KernelError(errno.EBADF)
        self._require(self.operations.fallocate)
        if request.offset + request.length > MOST_SIZE:
            raise KernelError(errno.EFBIG)
        if request.mode in OTHER_MODES:
            raise KernelError(errno.EOPNOTSUPP)
        r = request
        reply: Done = yield Call(self.backing, Fallocate(r.mode, r.offset, r.length, r.caller))
        return reply

    @handles(Sync)
    def sync(self, _request: Sync, _src: Address) -> Done | Conversation[Done]:
        """fsync(2): names are persistent already, and so are blocks."""
        self._require(self.operations.sync)
        return self._sync() if self.kind == "file" else DONE

    def _sync(self) -> Conversation[Done]:
        reply: Done = yield Call(self.backing, SyncFile())
        return reply

    @handles(FlockFile)
    def flock(self, request: FlockFile, _src: Address) -> Conversation[Done]:
        """flock(2), of whatever kind of file; access mode 3 may only unlock [meas 6.18]."""
        if not (self.readable or self.writable) and request.how & ~LOCK_NB != LOCK_UN:
            raise KernelError(errno.EBADF)
        reply: Done = yield ask(self.backing, Flock(self.address, request.how))
        return reply

    @handles(MapFile)
    def map_file(self, request: MapFile, _src: Address) -> Conversation[MappedFile]:
        """mmap(2): the mapping holds a reference, so it keeps leases alive after the last close [1.3]."""
        shared_write = request.prot & PROT_WRITE and request.flags & MAP_SHARED
        if not self.readable or (shared_write and not self.writable):
            raise KernelError(errno.EACCES)
        self._require(self.operations.map)
        r = request
        made = AddMapping(r.mm, r.vma, r.prot, r.flags, self.address, r.caller, r.fd, "", r.page, r.pages)
        memory: Memory = (yield Call(self.backing, made)).memory
        self.references += 1
        return MappedFile(self.writable, memory)

    @staticmethod
    def _require(number: int) -> None:
        """Fail with the errno of a call that what stands behind has not got."""
        if number:
            raise KernelError(number)
