"""Calls on names and attributes of files. None of them breaks a lease [2.3.2]."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.messages.directory import DIRECTORY, Link, Lookup, MakeDirectory, Rename
from longpin.messages.envelope import Message
from longpin.messages.inode import CheckAccess, Execute, SetAttributes, SetBreakTime, Touch

if TYPE_CHECKING:
    from longpin.actors.process import Process


def _on_inode(process: "Process", path: str, request: Message) -> Conversation[int]:
    """Send a request to the inode of a path."""
    found = yield Call(DIRECTORY, Lookup(path, 0, 0, process.credentials.fsuid))
    value: int = (yield Call(found.inode, request)).value
    return value


def link(process: "Process", path: str, to: str) -> Conversation[int]:
    """link(2)."""
    yield Call(DIRECTORY, Link(path, to, process.credentials.fsuid))
    return 0


def rename(process: "Process", path: str, to: str) -> Conversation[int]:
    """rename(2)."""
    yield Call(DIRECTORY, Rename(path, to, process.credentials.fsuid))
    return 0


def mkdir(process: "Process", path: str) -> Conversation[int]:
    """mkdir(2)."""
    yield Call(DIRECTORY, MakeDirectory(path))
    return 0


def chmod(process: "Process", path: str, mode: int) -> Conversation[int]:
    """chmod(2)."""
    yield from _on_inode(process, path, SetAttributes(mode & 0o7777, -1, process.credentials.fsuid))
    return 0


def chown(process: "Process", path: str, uid: int) -> Conversation[int]:
    """chown(2)."""
    yield from _on_inode(process, path, SetAttributes(-1, uid, process.credentials.fsuid))
    return 0


def utimes(process: "Process", path: str) -> Conversation[int]:
    """utimes(2), to the present."""
    yield from _on_inode(process, path, Touch(process.credentials.fsuid))
    return 0


def setxattr(process: "Process", path: str) -> Conversation[int]:
    """setxattr(2) of a user attribute."""
    yield from _on_inode(process, path, Touch(process.credentials.fsuid))
    return 0


def stat(process: "Process", path: str) -> Conversation[int]:
    """stat(2): returns the size in bytes."""
    size: int = yield from _on_inode(process, path, CheckAccess(0, process.credentials.fsuid))
    return size


def access(process: "Process", path: str, mode: int = 0) -> Conversation[int]:
    """access(2), with the real user's rights."""
    yield from _on_inode(process, path, CheckAccess(mode, process.credentials.uid))
    return 0


def execve(process: "Process", path: str) -> Conversation[int]:
    """execve(2) of a file of data: what it opens, breaks and denies on the way to ENOEXEC."""
    found = yield Call(DIRECTORY, Lookup(path, 0, 0, process.credentials.fsuid))
    if found.inode == DIRECTORY:
        raise KernelError(errno.EACCES)
    ofd = f"file:{process.pid}.{process.count('file')}"
    yield Call(found.inode, Execute(ofd, process.credentials.fsuid, process.pid))
    return 0


def set_lease_break_time(process: "Process", seconds: int) -> Conversation[int]:
    """Write /proc/sys/fs/lease-break-time: uid 0 only; an int, of which 0 and less are for ever."""
    if process.credentials.uid:
        raise KernelError(errno.EACCES)
    if not -(1 << 31) <= seconds < 1 << 31:
        raise KernelError(errno.EINVAL)
    yield Call(DIRECTORY, SetBreakTime(float(max(seconds, 0))))
    return 0
