"""Where a path leads: to a name, or through ``/proc/self/fd`` to what a descriptor of the process refers to."""

import errno
from typing import TYPE_CHECKING, NamedTuple

from longpin.actors.constants import O_PATH
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.fs.backing import kind_of
from longpin.messages.envelope import Address
from longpin.messages.fs.directory import DIRECTORY, Lookup
from longpin.messages.fs.paths import PATH_MAX, in_proc, names
from longpin.messages.process.process import File

if TYPE_CHECKING:
    from longpin.actors.process.process import Process


class Place(NamedTuple):
    """A path for the directory to walk."""

    path: str
    at: Address = ""
    """The folder in which it begins; empty: the root."""


class Magic(NamedTuple):
    """A name in ``/proc/self/fd``, which is a file system of its own."""

    name: str
    file: File | None
    """What the descriptor refers to; None: there is no such descriptor, and no such name."""
    slash: bool
    """There is a slash behind the name: it must be a folder."""

    @property
    def is_folder(self) -> bool:
        """Whether it refers to a folder."""
        return self.file is not None and kind_of(self.file.backing) == "directory"

    def backing(self) -> Address:
        """Follow it.

        Raises:
            KernelError: ENOENT, or ENOTDIR for what is no folder with a slash behind its name.

        """
        if self.file is None:
            raise KernelError(errno.ENOENT)
        if self.slash and not self.is_folder:
            raise KernelError(errno.ENOTDIR)
        return self.file.backing


def check_length(path: str) -> None:
    """Fail as the kernel does before it looks at a path: ENOENT for none, ENAMETOOLONG for one of 4096 bytes."""
    if not path:
        raise KernelError(errno.ENOENT)
    if len(path.encode()) >= PATH_MAX:
        raise KernelError(errno.ENAMETOOLONG)


def place_of(process: "Process", path: str) -> Place | Magic:
    """Return where a path leads, without a look at what is there.

    Raises:
        KernelError: there is no path, it is too long, or it leads through a descriptor that is not there or no folder.

    """
    check_length(path)
    if (found := in_proc(path)) is None:
        return Place(path)
    file = None if found.fd is None else process.fds.get(found.fd)
    magic = Magic(found.name, file, slash=bool(found.rest))
    return Place(found.rest, magic.backing()) if names(found.rest) else magic


def follow(process: "Process", path: str) -> Conversation[Address]:
    """Find the inode, folder, pipe or device that a path leads to, for calls that ask no right to open it."""
    place = place_of(process, path)
    if isinstance(place, Magic):
        return place.backing()
    return (yield from find(process, place))


def find(process: "Process", place: Place) -> Conversation[Address]:
    """Find what a path leads to."""
    found = yield Call(DIRECTORY, Lookup(place.path, O_PATH, 0, process.credentials.fsuid, place.at))
    inode: Address = found.inode
    return inode
