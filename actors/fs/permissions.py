"""Who may do what with what has an owner and a mode: files, folders, pipes, devices [1.6]."""

import errno
from typing import Protocol

from longpin.actors.conversation import KernelError
from longpin.messages.fs.inode import SetAttributes, Touch


class Owned(Protocol):
    """What has an owner and a mode."""

    uid: int
    mode: int
    is_folder: bool
    read_only: bool


def may(thing: Owned, uid: int, wanted: int) -> bool:
    """Return whether the mode allows ``wanted`` (4 read, 2 write, 1 execute or search) to ``uid``.

    uid 0 may do anything, but execute only a file that somebody may execute.
    """
    bits = thing.mode >> (6 if uid == thing.uid else 0)
    if uid == 0:
        bits = 6 | (thing.is_folder or bool(thing.mode & 0o111))
    return not wanted & ~bits


def check(thing: Owned, uid: int, wanted: int) -> None:
    """Fail with EROFS if nobody may write, with EACCES if the mode does not allow ``wanted`` [code: sb_permission]."""
    if wanted & 2:
        require_writable(thing)
    if not may(thing, uid, wanted):
        raise KernelError(errno.EACCES)


def require_writable(thing: Owned) -> None:
    """Fail with EROFS if the file system can only be read [code: mnt_want_write]."""
    if thing.read_only:
        raise KernelError(errno.EROFS)


def set_attributes(thing: Owned, request: SetAttributes) -> None:
    """chmod(2) by the owner and uid 0; chown(2) by uid 0, or by the owner to himself. Changing nothing is allowed."""
    require_writable(thing)
    owns = request.uid in (0, thing.uid)
    if request.mode >= 0 and not owns:
        raise KernelError(errno.EPERM)
    if request.owner >= 0 and request.uid and not (owns and request.owner == thing.uid):
        raise KernelError(errno.EPERM)
    if request.mode >= 0:
        thing.mode = request.mode
    if request.owner >= 0:
        thing.uid = request.owner


def check_touch(thing: Owned, request: Touch) -> None:
    """utimes(2) is for the owner and for who may write, setxattr(2) only for the latter [meas 6.18]."""
    require_writable(thing)
    if request.xattr or request.uid != thing.uid:
        check(thing, request.uid, 2)
