"""Calls on whole file systems: what unmounts, remounts and freezes one, and what writes back all of them [2.10]."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.conversation import Call, Conversation, KernelError, Uninterruptible
from longpin.actors.syscalls.declaration import Declarations, Section
from longpin.actors.syscalls.paths import Magic, place_of
from longpin.messages.envelope import Message
from longpin.messages.fs.directory import DIRECTORY
from longpin.messages.fs.inode import SyncFile
from longpin.messages.fs.listing import ListFiles
from longpin.messages.fs.mounts import (
    AskBusy,
    BusyFile,
    Detach,
    DropCaches,
    FindMount,
    ForgetInode,
    FoundMount,
    MakeReadOnly,
    QuiesceFile,
)

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.FILES, on_host=False)
syscall = CALLS.declare


def _find(process: "Process", path: str) -> Conversation[FoundMount]:
    """Find a mounted file system; only uid 0 may do something to one.

    Raises:
        KernelError: EPERM, or EINVAL, nothing is mounted there.

    """
    place = place_of(process, path)
    if process.credentials.uid:
        raise KernelError(errno.EPERM)
    if isinstance(place, Magic):
        raise KernelError(errno.EINVAL)
    found: FoundMount = yield Call(DIRECTORY, FindMount(place.path, process.credentials.fsuid, place.at))
    return found


@syscall(
    "umount(path: path)",
    "umount(2)",
    returns="0; EBUSY while a file of it is open or mapped. A page that is pinned otherwise does not keep it, but may "
    "be waited for ([semantics 2.10](semantics.md))",
    errnos={"ENOTDIR": "path_resolution(7)", "EACCES": "path_resolution(7)"},
    partial="without flags; open folders do not keep it",
)
def umount(process: "Process", path: str) -> Conversation[int]:
    """umount(2): the names go at once, then each file is let go of."""
    found = yield from _find(process, path)
    if found.kept:
        raise KernelError(errno.EBUSY)
    for inode in found.inodes:
        used: BusyFile = yield Call(inode, AskBusy())
        if used.openers or used.writers:
            raise KernelError(errno.EBUSY)
    yield Call(DIRECTORY, Detach(found.point))
    for inode in found.inodes:
        yield Uninterruptible(inode, ForgetInode())
    return 0


@syscall(
    "remount_read_only(path: path)",
    "mount(2)",
    returns="0: mount(2) with `MS_REMOUNT | MS_RDONLY`; EBUSY while a file of it is open for writing, or has no name "
    "and is open. What would change it is EROFS then",
    partial="`MS_REMOUNT | MS_RDONLY`",
)
def remount_read_only(process: "Process", path: str) -> Conversation[int]:
    """mount(2) with MS_REMOUNT and MS_RDONLY [code: sb_prepare_remount_readonly]."""
    found = yield from _find(process, path)
    for inode in found.inodes:
        used: BusyFile = yield Call(inode, AskBusy())
        if used.writers or used.nameless:
            raise KernelError(errno.EBUSY)
    for inode in found.inodes:
        yield Call(inode, MakeReadOnly())
    yield Call(DIRECTORY, MakeReadOnly(found.point))
    return 0


@syscall(
    "fsfreeze(path: path)",
    "ioctl(2)",
    returns="0: ioctl(2) FIFREEZE; what changes its files now is waited for, and all is written back",
    errnos={
        "EPERM": "ioctl(2) FIFREEZE",
        "ENOENT": "path_resolution(7)",
        "ENOTDIR": "path_resolution(7)",
        "EACCES": "path_resolution(7)",
        "ENAMETOOLONG": "path_resolution(7)",
        "ENOSPC": "semantics 1.8.3: a hole gets a block when it is written back",
    },
    partial="what begins later is not held up",
)
def fsfreeze(process: "Process", path: str) -> Conversation[int]:
    """ioctl(2) FIFREEZE: file after file."""
    found = yield from _find(process, path)
    return (yield from _each(found.inodes, QuiesceFile()))


@syscall("sync()", "sync(2)", returns="0; what is only in memory is in its blocks")
def sync(_process: "Process") -> Conversation[int]:
    """sync(2): as fsync(2) of every file; no error is told."""
    files = (yield Call(DIRECTORY, ListFiles())).files
    return (yield from _each([file.inode for file in files], SyncFile()))


@syscall(
    "drop_caches()",
    "proc_sys_vm(5)",
    returns="0; writes 1 to `/proc/sys/vm/drop_caches`: pages in memory that are written back, and that nobody maps or "
    "has pinned, go",
    errnos={"EACCES": "proc_sys_vm(5): only uid 0 may write it"},
    partial="no folders and inodes, which are always there",
)
def drop_caches(process: "Process") -> Conversation[int]:
    """Write to /proc/sys/vm/drop_caches."""
    if process.credentials.uid:
        raise KernelError(errno.EACCES)
    files = (yield Call(DIRECTORY, ListFiles())).files
    return (yield from _each([file.inode for file in files], DropCaches()))


def _each(inodes: "list[str] | tuple[str, ...]", request: Message) -> Conversation[int]:
    for inode in inodes:
        yield Uninterruptible(inode, request)
    return 0
