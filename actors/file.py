"""An open file description (``struct file``): a reference count, a position, and whom to signal [1.3].

Descriptors, mappings, messages in flight and pins hold references. Nothing here knows which of them it is: that a lease
is shared over dup, fork and SCM_RIGHTS, and ends with the last reference, follows from the count.
"""

import errno

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.constants import (
    MAP_SHARED,
    O_ACCMODE,
    O_APPEND,
    O_RDONLY,
    O_WRONLY,
    PROT_WRITE,
    SIGIO,
)
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.file import (
    Data,
    Ftruncate,
    GetLease,
    GetOwner,
    GetSignal,
    LeaseGone,
    LeaseSetup,
    MapFile,
    NotifyOwner,
    Put,
    PutDone,
    Read,
    Ref,
    Release,
    Seek,
    SetLease,
    SetOwner,
    SetSignal,
    Write,
)
from longpin.messages.inode import AddMapping, ChangeLease, CloseFile, QueryLease, ReadAt, Truncate, WriteAt
from longpin.messages.process import Signal


class OpenFileDescription(Actor):
    """One open of an inode or of an RDMA device."""

    def __init__(self, engine: Engine, address: Address, backing: Address, kind: str, flags: int) -> None:
        super().__init__(engine, address)
        self.backing = backing
        """The inode, or the uverbs context."""
        self.kind = kind
        """``file`` or ``uverbs``."""
        self.flags = flags
        self.references = 1
        self.released = False
        # Invariant: released implies references == 0.
        self.position = 0
        self.owner: Address = ""
        """The process that SIGIO goes to: the identity, not the number, and never updated by dup or fork [2.3.5]."""
        self.owner_pid = 0
        self.owner_uid = 0
        self.signo = 0

    @property
    def writable(self) -> bool:
        """Whether it was opened for writing."""
        return self.flags & O_ACCMODE != O_RDONLY

    # References.

    @handles(Ref)
    def ref(self, _request: Ref, _src: Address) -> Done:
        """Count one more holder."""
        self.references += 1
        return DONE

    @handles(Put)
    def put(self, _request: Put, _src: Address) -> PutDone:
        """Count one holder less."""
        self.references -= 1
        return PutDone(self.references == 0)

    @handles(Release)
    def release(self, request: Release, _src: Address) -> Conversation[Done]:
        """``__fput``: let go of what stands behind."""
        self.released = True
        yield Call(self.backing, CloseFile(self.address, request.exiting))
        return DONE

    # fcntl.

    @handles(SetLease)
    def set_lease(self, request: SetLease, _src: Address) -> Conversation[Done]:
        """F_SETLEASE: the inode decides."""
        self._regular_file(errno.EINVAL)
        r = request
        change = ChangeLease(self.address, self.writable, r.arg, r.fd, r.tgid, r.uid, r.capable, r.process)
        reply: Done = yield Call(self.backing, change)
        return reply

    @handles(GetLease)
    def get_lease(self, _request: GetLease, _src: Address) -> Conversation[Done]:
        """F_GETLEASE."""
        self._regular_file(errno.EINVAL)
        reply: Done = yield Call(self.backing, QueryLease(self.address))
        return reply

    @handles(SetSignal)
    def set_signal(self, request: SetSignal, _src: Address) -> Done:
        """F_SETSIG."""
        if not 0 <= request.signo <= 64:
            raise KernelError(errno.EINVAL)
        self.signo = request.signo
        return DONE

    @handles(GetSignal)
    def get_signal(self, _request: GetSignal, _src: Address) -> Done:
        """F_GETSIG."""
        return Done(self.signo)

    @handles(SetOwner)
    def set_owner(self, request: SetOwner, _src: Address) -> Done:
        """F_SETOWN."""
        self.owner, self.owner_pid, self.owner_uid = request.process, request.pid, request.uid
        return DONE

    @handles(GetOwner)
    def get_owner(self, _request: GetOwner, _src: Address) -> Done:
        """F_GETOWN."""
        return Done(self.owner_pid)

    @handles(LeaseSetup)
    def lease_setup(self, request: LeaseSetup, _src: Address) -> Done:
        """The taker of the lease becomes the owner, unless there is one [2.1 step 10]."""
        if not self.owner:
            self.owner, self.owner_pid, self.owner_uid = request.process, request.tgid, request.uid
        return DONE

    @handles(LeaseGone)
    def lease_gone(self, _request: LeaseGone, _src: Address) -> Done:
        """Owner and F_SETSIG are lost with the lease [2.2]."""
        self.owner, self.owner_pid, self.owner_uid, self.signo = "", 0, 0, 0
        return DONE

    @handles(NotifyOwner)
    def notify_owner(self, request: NotifyOwner, _src: Address) -> Conversation[Done]:
        """send_sigio: plain SIGIO without si_fd by default, a queued signal with si_fd after F_SETSIG [2.3.5]."""
        if self.owner:
            si_fd = request.fd if self.signo else -1
            yield Call(self.owner, Signal(self.signo or SIGIO, si_fd, self.owner_uid, quiet=True))
        return DONE

    # Data.

    @handles(Read)
    def read(self, request: Read, _src: Address) -> Conversation[Data]:
        """read(2) at the position, which moves."""
        self._regular_file(errno.EINVAL)
        if self.flags & O_ACCMODE == O_WRONLY:
            raise KernelError(errno.EBADF)
        data: Data = yield Call(self.backing, ReadAt(self.position, request.count))
        self.position += len(data.data)
        return data

    @handles(Write)
    def write(self, request: Write, _src: Address) -> Conversation[Done]:
        """write(2) at the position, or at the end with O_APPEND; the position moves."""
        self._regular_file(errno.EINVAL)
        if not self.writable:
            raise KernelError(errno.EBADF)
        offset = -1 if self.flags & O_APPEND else self.position
        self.position = (yield Call(self.backing, WriteAt(offset, request.data, request.tgid))).value
        return Done(len(request.data))

    @handles(Seek)
    def seek(self, request: Seek, _src: Address) -> Done:
        """lseek(2) from the start."""
        self._regular_file(errno.ESPIPE)
        if request.offset < 0:
            raise KernelError(errno.EINVAL)
        self.position = request.offset
        return Done(request.offset)

    @handles(Ftruncate)
    def ftruncate(self, request: Ftruncate, _src: Address) -> Conversation[Done]:
        """ftruncate(2): needs a writable description, breaks no ordinary lease [2.3.2]."""
        self._regular_file(errno.EINVAL)
        if not self.writable:
            raise KernelError(errno.EINVAL)
        reply: Done = yield Call(self.backing, Truncate(request.length, by_path=False, uid=0, tgid=request.tgid))
        return reply

    @handles(MapFile)
    def map_file(self, request: MapFile, _src: Address) -> Conversation[Done]:
        """mmap(2): the mapping holds a reference, so it keeps leases alive after the last close [1.3]."""
        self._regular_file(errno.ENODEV)
        shared_write = request.prot & PROT_WRITE and request.flags & MAP_SHARED
        if self.flags & O_ACCMODE == O_WRONLY or (shared_write and not self.writable):
            raise KernelError(errno.EACCES)
        yield Call(self.backing, AddMapping(request.process, request.vma, request.flags))
        self.references += 1
        return DONE

    def _regular_file(self, number: int) -> None:
        """Fail with ``number`` on a device."""
        if self.kind != "file":
            raise KernelError(number)
