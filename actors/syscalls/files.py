"""Calls on files and descriptors."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.constants import (
    LOCK_EX,
    LOCK_MAND,
    LOCK_NB,
    LOCK_SH,
    LOCK_UN,
    O_ACCMODE,
    O_CLOEXEC,
    O_CREAT,
    O_DIRECT,
    O_DIRECTORY,
    O_EXCL,
    O_LARGEFILE,
    O_NOFOLLOW,
    O_PATH,
    O_RDONLY,
    O_TMPFILE,
    O_TRUNC,
    O_WRONLY,
    RLIMIT_NOFILE,
)
from longpin.actors.conversation import Call, Conversation, KernelError, outcome
from longpin.actors.fs.backing import FILE_OPERATIONS, kind_of
from longpin.actors.fs.file import OpenFileDescription
from longpin.actors.fs.pipe import Pipe
from longpin.actors.rdma.uverbs import UverbsContext
from longpin.actors.syscalls.declaration import Declarations, Flags, Section, libc
from longpin.actors.syscalls.names import MODE_BITS
from longpin.actors.syscalls.paths import Place, check_length, follow, place_of
from longpin.messages.envelope import Address
from longpin.messages.fs.directory import DIRECTORY, Found, Lookup
from longpin.messages.fs.file import (
    FallocateFile,
    FlockFile,
    Ftruncate,
    Pread,
    Pwrite,
    Read,
    Ref,
    Seek,
    Sync,
    Write,
)
from longpin.messages.fs.inode import Open, Truncate
from longpin.messages.process.process import File
from longpin.messages.rdma.device import RdmaDevice
from longpin.messages.rdma.removal import OpenContext, node_of
from longpin.messages.rdma.verbs import AskDevice

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.FILES)
syscall = CALLS.declare

OPEN_FLAGS = (
    "O_WRONLY",
    "O_RDWR",
    "O_CREAT",
    "O_EXCL",
    "O_TRUNC",
    "O_APPEND",
    "O_NONBLOCK",
    "O_CLOEXEC",
    "O_DIRECTORY",
    "O_PATH",
    "O_TMPFILE",
    "O_DIRECT",
)


_ZEROED = {"ENOSPC": "semantics 2.5: the last block is shared, and a copy of it is zeroed"}
_UNBOUND = {"ENXIO": "semantics 1.10.6: a socket of AF_XDP"}

O_PATH_FLAGS = O_PATH | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW
"""What counts beside O_PATH; it overrides all else [open(2)]."""


def as_bytes(data: bytes | str) -> bytes:
    """Return what a program wrote as bytes."""
    return data.encode() if isinstance(data, str) else data


@syscall(
    "open(path: path, flags: int, [mode: umode_t])",
    "open(2)",
    returns="a descriptor; `O_RDONLY`, `O_WRONLY`, `O_RDWR`, `O_CREAT`, `O_EXCL`, `O_TRUNC`, `O_APPEND`, `O_NONBLOCK`, "
    "`O_CLOEXEC`, `O_DIRECTORY`, `O_PATH`, `O_TMPFILE`, `O_DIRECT`; the access mode `O_ACCMODE` opens for neither",
    partial="the flags of the table; no `O_SYNC`, `O_NOFOLLOW`, `O_NOATIME`",
    allowed={"flags": Flags(OPEN_FLAGS)},
    libc=libc("int open(path, flags, mode)", "fcntl.h"),
)
def open_(process: "Process", path: str, flags: int, mode: int = 0o666) -> Conversation[int]:
    """open(2): the name, then the inode, and then there is a description [2.3.2]."""
    if flags & O_PATH:
        flags &= O_PATH_FLAGS
    _check_flags(flags)
    check_length(path)
    fd = process.get_unused_fd()
    try:
        file = yield from _open_file(process, path, flags, mode)
    except KernelError:
        process.put_unused_fd(fd)
        raise
    return process.install_at(fd, file, close_on_exec=bool(flags & O_CLOEXEC))


def _open_file(process: "Process", path: str, flags: int, mode: int) -> Conversation[File]:
    """Make an open file description of what a path leads to."""
    place = _to_open(process, path, flags)
    uid = process.credentials.fsuid
    if isinstance(place, Place):
        found = yield Call(DIRECTORY, Lookup(place.path, flags, mode & MODE_BITS, uid, place.at))
    else:
        found = Found(place)
    inode, kind = found.inode, kind_of(found.inode)
    ofd = f"file:{process.identity}.{process.count('file')}"
    if kind == "xdp" and not flags & O_PATH:
        raise KernelError(errno.ENXIO)  # a socket cannot be opened again [code: sock_no_open]
    if kind == "uverbs" and not flags & O_PATH:
        inode = yield from open_device(process, (yield Call(inode, AskDevice())).device)
    elif kind in ("video", "vfio") and not flags & O_PATH:
        inode = (yield Call(inode, Open(ofd, flags, process.caller))).backing
    elif kind == "file" or (kind in ("pipe", "dax", "hugetlb", "io_uring") and not flags & O_PATH):
        yield Call(inode, Open(ofd, flags, process.caller, found.created, regular=kind == "file"))
    if flags & O_DIRECT and not FILE_OPERATIONS[kind].direct:  # no method for it [code: do_dentry_open]
        raise KernelError(errno.EINVAL)
    kind = "path" if flags & O_PATH else kind
    process.spawn(OpenFileDescription, ofd, inode, kind, _status_flags(flags))
    return File(ofd, inode, kind)


def _status_flags(flags: int) -> int:
    """Return what F_GETFL shows of the flags of an open [code: do_dentry_open; meas 6.18]."""
    if flags & O_PATH:
        return flags & ~O_CLOEXEC
    return flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC) | O_LARGEFILE


def _check_flags(flags: int) -> None:
    """Fail with EINVAL for flags that contradict each other, before anything is looked at [code: build_open_flags]."""
    without_name = flags & O_TMPFILE & ~O_DIRECTORY
    if flags & O_DIRECTORY and flags & O_CREAT:
        raise KernelError(errno.EINVAL)
    if without_name and (not flags & O_DIRECTORY or flags & O_ACCMODE == O_RDONLY):
        raise KernelError(errno.EINVAL)


def _to_open(process: "Process", path: str, flags: int) -> Place | Address:
    """Return where to look, or what a name in /proc/self/fd opens again: another open file description of it."""
    place = place_of(process, path)
    if isinstance(place, Place):
        return place
    if flags & O_CREAT and place.slash:
        raise KernelError(errno.EISDIR)
    backing = place.backing()
    followed = place.slash or not flags & O_NOFOLLOW
    if place.is_folder and followed:
        return Place("", backing)
    if flags & O_CREAT and flags & O_EXCL:
        raise KernelError(errno.EEXIST)
    if flags & O_DIRECTORY:
        raise KernelError(errno.ENOTDIR)
    if not followed:  # with O_PATH it would be the link itself that is opened: no program may do that
        raise KernelError(errno.ELOOP)
    return backing


def open_device(process: "Process", device: RdmaDevice) -> Conversation[Address]:
    """Open an RDMA device; return its uverbs context, which is new with each open."""
    context = f"uverbs:{process.identity}.{process.count('uverbs')}"
    if device.removable:
        yield Call(node_of(device), OpenContext(context))
    process.spawn(UverbsContext, context, process.kernel, device)
    return context


@syscall("close(fd: fd)", "close(2)", returns="0", libc=libc("int close(fd)", "unistd.h"))
def close(process: "Process", fd: int) -> Conversation[int]:
    """close(2): the entry goes first; the release, if this was the last reference, before the call returns [1.2]."""
    process.descriptor(fd)
    file = process.remove(fd)
    error = yield from outcome(process.flush(file))
    yield from process.put(file)
    if error is not None:
        raise error
    return 0


@syscall("dup(fd: fd)", "dup(2)", returns="a descriptor", libc=libc("int dup(fd)", "unistd.h"))
def dup(process: "Process", fd: int) -> Conversation[int]:
    """dup(2)."""
    file = process.descriptor(fd)
    number = process.get_unused_fd()
    yield Call(file.ofd, Ref())
    return process.install_at(number, file)


@syscall("dup2(oldfd: fd, newfd: fd)", "dup(2)", returns="`newfd`", libc=libc("int dup2(oldfd, newfd)", "unistd.h"))
def dup2(process: "Process", oldfd: int, newfd: int) -> Conversation[int]:
    """dup2(2): what ``newfd`` referred to is closed."""
    file = process.descriptor(oldfd)
    if newfd != oldfd:
        if newfd >= process.limits[RLIMIT_NOFILE]:
            raise KernelError(errno.EBADF)
        if newfd in process.unused:  # another thread is about to open it [do_dup2]
            raise KernelError(errno.EBUSY)
        yield Call(file.ofd, Ref())
        replaced = process.fds.get(newfd)
        process.fds[newfd] = file
        process.close_on_exec.discard(newfd)
        if replaced is not None:
            yield from outcome(process.flush(replaced))
            yield from process.put(replaced)
    return newfd


@syscall(
    "read(fd: fd, count: size_t)",
    "read(2)",
    errnos=_UNBOUND,
    may_hang=True,
    returns="the bytes read, at most 65536",
    libc=libc("ssize_t read(fd, buffer[count], count)", "unistd.h"),
)
def read(process: "Process", fd: int, count: int) -> Conversation[bytes]:
    """read(2): returns the bytes."""
    data: bytes = (yield Call(process.file(fd).ofd, Read(count))).data
    return data


@syscall(
    "write(fd: fd, data: bytes|str)",
    "write(2)",
    errnos=_UNBOUND,
    may_hang=True,
    returns="the number of bytes written: fewer than asked for when the device fills up",
    libc=libc("ssize_t write(fd, data, length(data))", "unistd.h"),
)
def write(process: "Process", fd: int, data: bytes | str) -> Conversation[int]:
    """write(2): returns how many bytes."""
    count: int = (yield Call(process.file(fd).ofd, Write(as_bytes(data), process.caller))).value
    return count


@syscall(
    "pread(fd: fd, count: size_t, offset: long)",
    "read(2), lseek(2)",
    returns="as `read`, at an offset; the position stays",
    libc=libc("ssize_t pread(fd, buffer[count], count, offset)", "unistd.h"),
)
def pread(process: "Process", fd: int, count: int, offset: int) -> Conversation[bytes]:
    """pread(2): the offset is looked at first."""
    if offset < 0:
        raise KernelError(errno.EINVAL)
    data: bytes = (yield Call(process.file(fd).ofd, Pread(count, offset))).data
    return data


@syscall(
    "pwrite(fd: fd, data: bytes|str, offset: long)",
    "write(2), lseek(2)",
    returns="as `write`, at an offset, or at the end with `O_APPEND`; the position stays",
    libc=libc("ssize_t pwrite(fd, data, length(data), offset)", "unistd.h"),
)
def pwrite(process: "Process", fd: int, data: bytes | str, offset: int) -> Conversation[int]:
    """pwrite(2): the offset is looked at first."""
    if offset < 0:
        raise KernelError(errno.EINVAL)
    count: int = (yield Call(process.file(fd).ofd, Pwrite(as_bytes(data), offset, process.caller))).value
    return count


@syscall(
    "lseek(fd: fd, offset: long)",
    "lseek(2)",
    returns="the offset, always from the start of the file",
    partial="`SEEK_SET`",
    libc=libc("off_t lseek(fd, offset, SEEK_SET)", "unistd.h"),
)
def lseek(process: "Process", fd: int, offset: int) -> Conversation[int]:
    """lseek(2) with SEEK_SET."""
    position: int = (yield Call(process.file(fd).ofd, Seek(offset))).value
    return position


@syscall(
    "ftruncate(fd: fd, length: long)",
    "truncate(2)",
    returns="0",
    errnos={"EAGAIN": "semantics 2.8: it does not wait for a delegation"},
    libc=libc("int ftruncate(fd, length)", "unistd.h"),
)
def ftruncate(process: "Process", fd: int, length: int) -> Conversation[int]:
    """ftruncate(2): the length is looked at first."""
    if length < 0:
        raise KernelError(errno.EINVAL)
    yield Call(process.file(fd).ofd, Ftruncate(length, process.caller))
    return 0


@syscall(
    "truncate(path: path, length: long)",
    "truncate(2)",
    errnos=_ZEROED,
    returns="0",
    libc=libc("int truncate(path, length)", "unistd.h"),
)
def truncate(process: "Process", path: str, length: int) -> Conversation[int]:
    """truncate(2): the length is looked at first."""
    if length < 0:
        raise KernelError(errno.EINVAL)
    inode = yield from follow(process, path)
    if (kind := kind_of(inode)) != "file":
        raise KernelError(errno.EISDIR if kind == "directory" else errno.EINVAL)
    yield Call(inode, Truncate(length, by_path=True, caller=process.caller))
    return 0


@syscall(
    "fallocate(fd: fd, mode: int, offset: long, length: long)",
    "fallocate(2)",
    returns="0; mode 0 or `FALLOC_FL_KEEP_SIZE`, `FALLOC_FL_PUNCH_HOLE`, `FALLOC_FL_COLLAPSE_RANGE`, "
    "`FALLOC_FL_ZERO_RANGE`, `FALLOC_FL_INSERT_RANGE`, `FALLOC_FL_UNSHARE_RANGE`",
    libc=libc("int fallocate(fd, mode, offset, length)", "fcntl.h"),
)
def fallocate(process: "Process", fd: int, mode: int, offset: int, length: int) -> Conversation[int]:
    """fallocate(2)."""
    yield Call(process.file(fd).ofd, FallocateFile(mode, offset, length, process.caller))
    return 0


@syscall("fsync(fd: fd)", "fsync(2)", returns="0", libc=libc("int fsync(fd)", "unistd.h"))
def fsync(process: "Process", fd: int) -> Conversation[int]:
    """fsync(2): blocks are persistent already."""
    yield Call(process.file(fd).ofd, Sync())
    return 0


@syscall(
    "flock(fd: fd, how: uint)",
    "flock(2)",
    returns="0, of any kind of file; `LOCK_SH`, `LOCK_EX` or `LOCK_UN`, with `LOCK_NB` without waiting; "
    "with `LOCK_MAND` it does nothing",
    libc=libc("int flock(fd, how)", "sys/file.h"),
)
def flock(process: "Process", fd: int, how: int) -> Conversation[int]:
    """flock(2): a lock of the open file description; what is asked for is looked at before the descriptor."""
    if how & LOCK_MAND:  # the kernel says in its log that it does nothing
        return 0
    if how & ~LOCK_NB not in (LOCK_SH, LOCK_EX, LOCK_UN):
        raise KernelError(errno.EINVAL)
    yield Call(process.file(fd).ofd, FlockFile(how))
    return 0


@syscall("pipe()", "pipe(2)", returns="the read end; the variable `pipe_w` is the write end")
def pipe(process: "Process") -> int:
    """pipe(2): returns the read end; the variable ``pipe_w`` is the write end."""
    process.reserve(2)
    ends = [f"file:{process.identity}.{process.count('file')}" for _ in range(2)]
    address = f"pipe:{process.identity}.{process.count('pipe')}"
    process.spawn(Pipe, address, process.kernel, process.credentials.fsuid, *ends)
    fds = []
    for ofd, flags in zip(ends, (O_RDONLY, O_WRONLY), strict=True):
        process.spawn(OpenFileDescription, ofd, address, "pipe", flags)
        fds.append(process.install(File(ofd, address, "pipe")))
    process.current.variables["pipe_w"] = fds[1]
    return fds[0]
