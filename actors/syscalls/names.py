"""Calls on names and attributes of files. None of them breaks a lease [2.3.2]."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.constants import R_OK, W_OK, X_OK
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.fs.backing import Common, ask, kind_of
from longpin.actors.syscalls.declaration import Declarations, Section, libc
from longpin.actors.syscalls.paths import Magic, Place, find, follow, place_of
from longpin.messages.fs.directory import DIRECTORY, CheckName, Link, MakeDirectory, Rename, Unlink
from longpin.messages.fs.inode import CheckAccess, Execute, SetAttributes, SetBreakTime, Touch

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.FILES)
syscall = CALLS.declare

MODE_BITS = 0o7777
"""What of a mode is kept."""
FOLDER_BITS = 0o1777
"""What of the mode of a new folder is kept."""
UNCHANGED = (1 << 32) - 1
"""The user id that chown(2) takes for no change: -1."""


def _on_path(process: "Process", path: str, request: Common) -> Conversation[int]:
    """Send a request to what a path leads to."""
    inode = yield from follow(process, path)
    value: int = (yield ask(inode, request)).value
    return value


DELEGATED = {"EINTR": "semantics 2.8: it waits for delegations"}
"""What a change of a name or an attribute may end with beside what its manual page says."""

# Names. What stands in /proc/self/fd is on another file system: it can be followed, but neither made nor moved.


@syscall("unlink(path: path)", "unlink(2)", returns="0", errnos=DELEGATED, libc=libc("int unlink(path)", "unistd.h"))
def unlink(process: "Process", path: str) -> Conversation[int]:
    """unlink(2)."""
    place = place_of(process, path)
    if isinstance(place, Magic):
        if place.file is not None and place.slash:
            raise KernelError(errno.ENOTDIR)
        raise KernelError(errno.ENOENT if place.file is None else errno.EPERM)
    yield Call(DIRECTORY, Unlink(place.path, process.credentials.fsuid, place.at))
    return 0


@syscall(
    "link(path: path, to: new path)",
    "link(2)",
    returns="0; a second name",
    errnos=DELEGATED,
    libc=libc("int link(path, to)", "unistd.h"),
)
def link(process: "Process", path: str, to: str) -> Conversation[int]:
    """link(2): the old name is looked up before anything is made of the new one."""
    uid = process.credentials.fsuid
    old = place_of(process, path)
    if isinstance(old, Magic):
        old.backing()
    try:
        new = place_of(process, to)
    except KernelError:
        if isinstance(old, Place):
            yield from find(process, old)
        raise
    if isinstance(new, Magic):
        if isinstance(old, Place):
            yield from find(process, old)
        raise KernelError(errno.ENOENT if new.file is None else errno.EEXIST)
    if isinstance(old, Magic):
        yield Call(DIRECTORY, CheckName(new.path, uid, free=True, at=new.at))
        # With a slash the link is followed, and that is no file.
        raise KernelError(errno.EPERM if old.slash else errno.EXDEV)
    yield Call(DIRECTORY, Link(old.path, new.path, uid, old.at, new.at))
    return 0


@syscall(
    "rename(path: path, to: new path)",
    "rename(2)",
    returns="0",
    errnos=DELEGATED,
    libc=libc("int rename(path, to)", "stdio.h"),
)
def rename(process: "Process", path: str, to: str) -> Conversation[int]:
    """rename(2): the folders of both names are found first."""
    uid = process.credentials.fsuid
    old = place_of(process, path)
    try:
        new = place_of(process, to)
    except KernelError:
        yield from _check_folder(process, old)
        raise
    if isinstance(old, Place) and isinstance(new, Place):
        yield Call(DIRECTORY, Rename(old.path, new.path, uid, old.at, new.at))
        return 0
    if isinstance(old, Magic) and isinstance(new, Magic):
        return _rename_descriptor(old, new)
    yield from _check_folder(process, old)
    yield from _check_folder(process, new)
    raise KernelError(errno.EXDEV)


def _check_folder(process: "Process", place: Place | Magic) -> Conversation[None]:
    """Fail if the folder of a name is not there."""
    if isinstance(place, Place):
        yield Call(DIRECTORY, CheckName(place.path, process.credentials.fsuid, free=False, at=place.at))


def _rename_descriptor(old: Magic, new: Magic) -> int:
    """Rename a name in /proc/self/fd, which can only stay as it is."""
    if old.file is None or new.file is None:
        raise KernelError(errno.ENOENT)
    if old.slash or new.slash:
        raise KernelError(errno.ENOTDIR)
    if old.name != new.name:
        raise KernelError(errno.EPERM)
    return 0


@syscall(
    "mkdir(path: new path, [mode: umode_t])",
    "mkdir(2)",
    returns="0",
    errnos=DELEGATED,
    libc=libc("int mkdir(path, mode)", "sys/stat.h"),
)
def mkdir(process: "Process", path: str, mode: int = 0o777) -> Conversation[int]:
    """mkdir(2)."""
    place = place_of(process, path)
    if isinstance(place, Magic):
        raise KernelError(errno.ENOENT if place.file is None else errno.EEXIST)
    yield Call(DIRECTORY, MakeDirectory(place.path, process.credentials.fsuid, mode & FOLDER_BITS, place.at))
    return 0


# Attributes.


@syscall(
    "chmod(path: path, mode: umode_t)",
    "chmod(2)",
    returns="0",
    errnos=DELEGATED,
    libc=libc("int chmod(path, mode)", "sys/stat.h"),
)
def chmod(process: "Process", path: str, mode: int) -> Conversation[int]:
    """chmod(2)."""
    yield from _on_path(process, path, SetAttributes(mode & MODE_BITS, -1, process.credentials.fsuid))
    return 0


@syscall(
    "chown(path: path, uid: uid_t)",
    "chown(2)",
    returns="0",
    errnos=DELEGATED,
    partial="the user, no group",
    libc=libc("int chown(path, uid, -1)", "unistd.h"),
)
def chown(process: "Process", path: str, uid: int) -> Conversation[int]:
    """chown(2)."""
    owner = -1 if uid == UNCHANGED else uid
    yield from _on_path(process, path, SetAttributes(-1, owner, process.credentials.fsuid))
    return 0


@syscall(
    "utimes(path: path)",
    "utimensat(2)",
    returns="0; the times become the present",
    errnos=DELEGATED,
    partial="no other times",
    libc=libc("int utimes(path, NULL)", "sys/time.h"),
)
def utimes(process: "Process", path: str) -> Conversation[int]:
    """utimes(2), to the present."""
    yield from _on_path(process, path, Touch(process.credentials.fsuid, xattr=False))
    return 0


@syscall(
    "setxattr(path: path)",
    "setxattr(2), stat(2)",
    returns="0; some user attribute",
    errnos=DELEGATED | {"EROFS": "xattr(7), semantics 2.10: the file system can only be read"},
    partial="one attribute, which is not kept",
    libc=libc('int setxattr(path, "user.longpin", "x", 1, 0)', "sys/xattr.h"),
)
def setxattr(process: "Process", path: str) -> Conversation[int]:
    """setxattr(2) of a user attribute."""
    yield from _on_path(process, path, Touch(process.credentials.fsuid, xattr=True))
    return 0


@syscall("stat(path: path)", "stat(2)", returns="the size in bytes", partial="the size")
def stat(process: "Process", path: str) -> Conversation[int]:
    """stat(2): returns the size in bytes."""
    size: int = yield from _on_path(process, path, CheckAccess(0, process.credentials.fsuid))
    return size


@syscall(
    "access(path: path, [mode: int])",
    "access(2)",
    returns="0; `F_OK`, `R_OK`, `W_OK`, `X_OK`, asked with the real uid",
    libc=libc("int access(path, mode)", "unistd.h"),
)
def access(process: "Process", path: str, mode: int = 0) -> Conversation[int]:
    """access(2), with the real user's rights; the mode is looked at before the path."""
    if mode & ~(R_OK | W_OK | X_OK):
        raise KernelError(errno.EINVAL)
    yield from _on_path(process, path, CheckAccess(mode, process.credentials.uid))
    return 0


@syscall(
    "execve(path: path)",
    "execve(2)",
    returns="never 0: the file holds data, so it ends with ENOEXEC, or earlier with another errno; it breaks leases as "
    "an open for reading",
    errnos={"EINTR": "semantics 2.3.2: it waits for leases as an open does"},
    partial="of a file of data; `exec` is of a program",
)
def execve(process: "Process", path: str) -> Conversation[int]:
    """execve(2) of a file of data: what it opens, breaks and denies on the way to ENOEXEC."""
    inode = yield from follow(process, path)
    if kind_of(inode) != "file":
        raise KernelError(errno.EACCES)
    ofd = f"file:{process.identity}.{process.count('file')}"
    yield Call(inode, Execute(ofd, process.caller))
    return 0


@syscall(
    "set_lease_break_time(seconds: long)",
    "open(2), write(2), proc_sys_fs(5)",
    returns="0; writes `/proc/sys/fs/lease-break-time`, which only uid 0 may; for breaks that begin after it, "
    "0 is for ever",
)
def set_lease_break_time(process: "Process", seconds: int) -> Conversation[int]:
    """Write /proc/sys/fs/lease-break-time, which takes a descriptor: uid 0 only; an int, 0 and less are for ever."""
    process.reserve(1)
    if process.credentials.uid:
        raise KernelError(errno.EACCES)
    if not -(1 << 31) <= seconds < 1 << 31:
        raise KernelError(errno.EINVAL)
    yield Call(DIRECTORY, SetBreakTime(float(max(seconds, 0))))
    return 0
