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
    O_ACCMODE,
)
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.file import OpenFileDescription
from longpin.messages.directory import DIRECTORY, Lookup, Unlink
from longpin.messages.file import (
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
    Write,
)
from longpin.messages.inode import Open, Truncate
from longpin.messages.process import PROCESS_TABLE, File, FindProcess

if TYPE_CHECKING:
    from longpin.actors.process import Process


def as_bytes(data: bytes | str) -> bytes:
    """Return what a program wrote as bytes."""
    return data.encode() if isinstance(data, str) else data


def open_(process: "Process", path: str, flags: int, mode: int = 0o666) -> Conversation[int]:
    """open(2): the name, then the inode, and then there is a description [2.3.2]."""
    if flags & O_ACCMODE == O_ACCMODE:
        raise KernelError(errno.EINVAL)
    uid = process.image.uid
    found = yield Call(DIRECTORY, Lookup(path, flags, mode, uid))
    ofd = f"file:{process.pid}.{process.count('file')}"
    yield Call(found.inode, Open(ofd, flags, uid, process.pid))
    process.spawn(OpenFileDescription, ofd, found.inode, "file", flags)
    return process.install(File(ofd, found.inode, "file"))


def close(process: "Process", fd: int) -> Conversation[int]:
    """close(2): the entry goes first; the release, if this was the last reference, before the call returns [1.2]."""
    file = process.file(fd)
    del process.fds[fd]
    yield from process.put(file)
    return 0


def dup(process: "Process", fd: int) -> Conversation[int]:
    """dup(2)."""
    file = process.file(fd)
    yield Call(file.ofd, Ref())
    return process.install(file)


def dup2(process: "Process", oldfd: int, newfd: int) -> Conversation[int]:
    """dup2(2): what ``newfd`` referred to is closed."""
    file = process.file(oldfd)
    if newfd < 0:
        raise KernelError(errno.EBADF)
    if newfd != oldfd:
        yield Call(file.ofd, Ref())
        replaced = process.fds.get(newfd)
        process.fds[newfd] = file
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
    """ftruncate(2)."""
    yield Call(process.file(fd).ofd, Ftruncate(length, process.pid))
    return 0


def truncate(process: "Process", path: str, length: int) -> Conversation[int]:
    """truncate(2)."""
    uid = process.image.uid
    if length < 0:
        raise KernelError(errno.EINVAL)
    found = yield Call(DIRECTORY, Lookup(path, 0, 0, uid))
    yield Call(found.inode, Truncate(length, by_path=True, uid=uid, tgid=process.pid))
    return 0


def unlink(process: "Process", path: str) -> Conversation[int]:
    """unlink(2)."""
    yield Call(DIRECTORY, Unlink(path, process.image.uid))
    return 0


def fcntl(process: "Process", fd: int, cmd: int, arg: int = 0) -> Conversation[int]:
    """fcntl(2): leases, and the signal that tells of a break [2.1, 2.3.5]."""
    ofd = process.file(fd).ofd
    uid = process.image.uid
    queries = {F_GETLEASE: GetLease, F_GETSIG: GetSignal, F_GETOWN: GetOwner}
    if cmd in queries:
        value: int = (yield Call(ofd, queries[cmd]())).value
        return value
    if cmd == F_SETLEASE:
        capable = "CAP_LEASE" in process.image.capabilities
        yield Call(ofd, SetLease(arg, fd, process.pid, uid, capable, process.address))
    elif cmd == F_SETSIG:
        yield Call(ofd, SetSignal(arg))
    elif cmd == F_SETOWN:
        owner = ""
        if arg < 0:
            raise KernelError(errno.EINVAL)
        if arg:
            owner = (yield Call(PROCESS_TABLE, FindProcess(arg, ""))).address
        yield Call(ofd, SetOwner(arg, owner, uid))
    else:
        raise KernelError(errno.EINVAL)
    return 0
