"""Calls on files and descriptors."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.constants import (
    F_GETLEASE,
    F_GETOWN,
    F_GETSIG,
    F_SETLEASE,
    F_SETOWN,
    F_SETSIG,
    INT_MIN,
    O_ACCMODE,
    O_CLOEXEC,
    O_CREAT,
    O_PATH,
    O_RDONLY,
    O_TRUNC,
    O_WRONLY,
)
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.file import OpenFileDescription
from longpin.actors.pipe import Pipe
from longpin.messages.directory import DIRECTORY, Found, Lookup, Unlink
from longpin.messages.envelope import Address
from longpin.messages.file import (
    FallocateFile,
    FlockFile,
    Ftruncate,
    GetLease,
    GetOwner,
    GetSignal,
    Read,
    Ref,
    Seek,
    SetLease,
    SetOwner,
    SetSignal,
    Sync,
    Write,
)
from longpin.messages.inode import Open, Truncate
from longpin.messages.process import PROCESS_TABLE, File, FindOwner

if TYPE_CHECKING:
    from longpin.actors.process import Process


MOST_FDS = 1024
"""RLIMIT_NOFILE: one more than the largest descriptor."""

KIND_BEHIND = {"inode": "file", "pipe": "pipe"}
"""What an open file description is, by the kind of actor behind it."""

SELF_FD = "/proc/self/fd/"
"""Opening a name there opens the file of a descriptor again, as another open file description."""


def as_bytes(data: bytes | str) -> bytes:
    """Return what a program wrote as bytes."""
    return data.encode() if isinstance(data, str) else data


def open_(process: "Process", path: str, flags: int, mode: int = 0o666) -> Conversation[int]:
    """open(2): the name, then the inode, and then there is a description [2.3.2]."""
    if flags & O_ACCMODE == O_ACCMODE:
        raise KernelError(errno.EINVAL)
    uid = process.credentials.fsuid
    if path.startswith(SELF_FD):
        number = path.removeprefix(SELF_FD)
        if not number.isdecimal() or int(number) not in process.fds:
            raise KernelError(errno.ENOENT)
        found = Found(process.fds[int(number)].backing)
    else:
        found = yield Call(DIRECTORY, Lookup(path, flags, mode, uid))
    inode = found.inode
    ofd = f"file:{process.pid}.{process.count('file')}"
    if inode == DIRECTORY:
        if flags & (O_ACCMODE | O_CREAT | O_TRUNC):
            raise KernelError(errno.EISDIR)
        kind = "directory"
    elif (kind := KIND_BEHIND.get(inode.partition(":")[0], "")) == "":
        raise KernelError(errno.ENXIO)
    else:
        yield Call(inode, Open(ofd, flags, uid, process.pid, found.created))
        kind = "path" if flags & O_PATH else kind
    process.spawn(OpenFileDescription, ofd, inode, kind, flags)
    fd = process.install(File(ofd, inode, kind))
    if flags & O_CLOEXEC:
        process.close_on_exec.add(fd)
    return fd


def close(process: "Process", fd: int) -> Conversation[int]:
    """close(2): the entry goes first; the release, if this was the last reference, before the call returns [1.2]."""
    process.descriptor(fd)
    yield from process.put(process.remove(fd))
    return 0


def dup(process: "Process", fd: int) -> Conversation[int]:
    """dup(2)."""
    file = process.descriptor(fd)
    yield Call(file.ofd, Ref())
    return process.install(file)


def dup2(process: "Process", oldfd: int, newfd: int) -> Conversation[int]:
    """dup2(2): what ``newfd`` referred to is closed."""
    file = process.descriptor(oldfd)
    if not 0 <= newfd < MOST_FDS:
        raise KernelError(errno.EBADF)
    if newfd != oldfd:
        yield Call(file.ofd, Ref())
        replaced = process.fds.get(newfd)
        process.fds[newfd] = file
        process.close_on_exec.discard(newfd)
        if replaced is not None:
            yield from process.put(replaced)
    return newfd


def read(process: "Process", fd: int, count: int) -> Conversation[bytes]:
    """read(2): returns the bytes."""
    file = process.file(fd)
    if count < 0:
        raise KernelError(errno.EINVAL)
    data: bytes = (yield Call(file.ofd, Read(count))).data
    return data


def write(process: "Process", fd: int, data: bytes | str) -> Conversation[int]:
    """write(2): returns how many bytes."""
    count: int = (yield Call(process.file(fd).ofd, Write(as_bytes(data), process.pid))).value
    return count


def lseek(process: "Process", fd: int, offset: int) -> Conversation[int]:
    """lseek(2) with SEEK_SET."""
    position: int = (yield Call(process.file(fd).ofd, Seek(offset))).value
    return position


def ftruncate(process: "Process", fd: int, length: int) -> Conversation[int]:
    """ftruncate(2): the length is looked at first."""
    if length < 0:
        raise KernelError(errno.EINVAL)
    yield Call(process.file(fd).ofd, Ftruncate(length, process.pid))
    return 0


def truncate(process: "Process", path: str, length: int) -> Conversation[int]:
    """truncate(2)."""
    uid = process.credentials.fsuid
    if length < 0:
        raise KernelError(errno.EINVAL)
    found = yield Call(DIRECTORY, Lookup(path, 0, 0, uid))
    if found.inode == DIRECTORY:
        raise KernelError(errno.EISDIR)
    yield Call(found.inode, Truncate(length, by_path=True, uid=uid, tgid=process.pid))
    return 0


def unlink(process: "Process", path: str) -> Conversation[int]:
    """unlink(2)."""
    yield Call(DIRECTORY, Unlink(path, process.credentials.fsuid))
    return 0


def fallocate(process: "Process", fd: int, mode: int, offset: int, length: int) -> Conversation[int]:
    """fallocate(2)."""
    yield Call(process.file(fd).ofd, FallocateFile(mode, offset, length, process.pid))
    return 0


def fsync(process: "Process", fd: int) -> Conversation[int]:
    """fsync(2): blocks are persistent already."""
    yield Call(process.file(fd).ofd, Sync())
    return 0


def flock(process: "Process", fd: int, how: int) -> Conversation[int]:
    """flock(2): a lock of the open file description."""
    yield Call(process.file(fd).ofd, FlockFile(how))
    return 0


def pipe(process: "Process") -> int:
    """pipe(2): returns the read end; the variable ``pipe_w`` is the write end."""
    ends = [f"file:{process.pid}.{process.count('file')}" for _ in range(2)]
    address = f"pipe:{process.pid}.{process.count('pipe')}"
    process.spawn(Pipe, address, process.kernel, process.credentials.fsuid, *ends)
    fds = []
    for ofd, flags in zip(ends, (O_RDONLY, O_WRONLY), strict=True):
        process.spawn(OpenFileDescription, ofd, address, "pipe", flags)
        fds.append(process.install(File(ofd, address, "pipe")))
    process.variables["pipe_w"] = fds[1]
    return fds[0]


def fcntl(process: "Process", fd: int, cmd: int, arg: int = 0) -> Conversation[int]:
    """fcntl(2): leases, and the signal that tells of a break [2.1, 2.3.5]."""
    ofd = process.file(fd).ofd
    cred = process.credentials
    queries = {F_GETLEASE: GetLease, F_GETSIG: GetSignal, F_GETOWN: GetOwner}
    if cmd in queries:
        value: int = (yield Call(ofd, queries[cmd]())).value
        return value
    if cmd == F_SETLEASE:
        capable = "CAP_LEASE" in cred.capabilities
        yield Call(ofd, SetLease(arg, fd, process.pid, cred.fsuid, cred.uid, capable, process.address))
    elif cmd == F_SETSIG:
        yield Call(ofd, SetSignal(arg))
    elif cmd == F_SETOWN:
        if arg == INT_MIN:  # there is no such positive number [f_setown]
            raise KernelError(errno.EINVAL)
        members: tuple[Address, ...] = (yield Call(PROCESS_TABLE, FindOwner(arg))).members if arg else ()
        owner = members[0] if arg > 0 and members else ""
        yield Call(ofd, SetOwner(arg, owner, cred.uid))
    else:
        raise KernelError(errno.EINVAL)
    return 0
