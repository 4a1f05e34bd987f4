"""What an open file description is asked: by processes that hold a reference, by its inode, and by its lease."""

from longpin.messages.envelope import Address, Message, message


@message
class Ref(Message):
    """Take one more reference: dup, fork, mmap, SCM_RIGHTS, or a pin that holds the file [1.3]."""


@message
class Put(Message):
    """Drop one reference; the reply says whether it was the last."""


@message
class PutDone(Message):
    """A reference is dropped."""

    last: bool
    """Nobody holds the description any more: whoever dropped it must now send ``Release``."""


@message
class Release(Message):
    """Run the deferred final put [1.3]: from whoever dropped the last reference."""

    exiting: bool
    """The task that does it is exiting."""


@message
class SetLease(Message):
    """fcntl(F_SETLEASE) [2.1]."""

    arg: int
    fd: int
    """The number used in the call, recorded for si_fd."""
    tgid: int
    fsuid: int
    """What the permission is checked with."""
    uid: int
    """What the permission to signal the owner is checked with."""
    capable: bool
    """The caller has CAP_LEASE."""
    process: Address


@message
class GetLease(Message):
    """fcntl(F_GETLEASE) [2.3.6]."""


@message
class SetSignal(Message):
    """fcntl(F_SETSIG); 0 is the default SIGIO without si_fd."""

    signo: int


@message
class GetSignal(Message):
    """fcntl(F_GETSIG)."""


@message
class SetOwner(Message):
    """fcntl(F_SETOWN), with the process already found; an empty address clears it."""

    pid: int
    process: Address
    uid: int


@message
class GetOwner(Message):
    """fcntl(F_GETOWN)."""


@message
class LeaseSetup(Message):
    """The inode has granted a lease: set the owner if there is none [2.1 step 10]."""

    tgid: int
    process: Address
    uid: int


@message
class LeaseGone(Message):
    """The inode has removed the lease: owner and signal number are cleared [2.2]."""


@message
class NotifyOwner(Message):
    """The lease is being broken: send its signal to the owner [2.3.5]."""

    fd: int
    """The number recorded in the last F_SETLEASE."""


@message
class Read(Message):
    """read(2) at the file position."""

    count: int


@message
class Write(Message):
    """write(2) at the file position."""

    data: bytes
    tgid: int


@message
class Seek(Message):
    """lseek(2), SEEK_SET."""

    offset: int


@message
class Ftruncate(Message):
    """ftruncate(2)."""

    length: int
    tgid: int


@message
class MapFile(Message):
    """mmap(2): check the access mode, take a reference and enter the mapping at the inode [1.8]."""

    vma: int
    prot: int
    flags: int
    process: Address


@message
class Data(Message):
    """Bytes that were read."""

    data: bytes


@message
class FallocateFile(Message):
    """fallocate(2)."""

    mode: int
    offset: int
    length: int
    tgid: int


@message
class Sync(Message):
    """fsync(2)."""


@message
class FlockFile(Message):
    """flock(2)."""

    how: int
