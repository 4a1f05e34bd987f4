"""The tree of folders, and the walk of a path through it [path_resolution(7)]. There are no symbolic links."""

import errno
from typing import NamedTuple

from longpin.actors.base import Actor
from longpin.actors.conversation import KernelError
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.flocks import Flocks
from longpin.actors.fs.permissions import check
from longpin.actors.kernel.machine import Kernel
from longpin.actors.kernel.mount import Mount
from longpin.actors.locks import Lock
from longpin.messages.envelope import Address
from longpin.messages.fs.directory import ROOT
from longpin.messages.fs.paths import NAME_MAX, names

SEARCH, CHANGE = 1, 3
"""What one must be allowed in a folder to go through it, and to change the names in it."""
DIRECTORY_SIZE = 4096
"""What stat(2) says of a folder, in bytes."""
FREE = 0o777
"""The mode of folders that are there from the start."""


class Folder:
    """A folder: names, an owner, and the lock under which names change."""

    def __init__(self, actor: Actor, address: Address, parent: Address, mount: Mount, uid: int, mode: int) -> None:
        self.address = address
        self.parent = parent
        """Where ``..`` leads; the root is its own. By its address: a state with long chains of objects has no form."""
        self.mount = mount
        """The file system it belongs to."""
        self.attributes = Attributes(uid, mode, DIRECTORY_SIZE, is_folder=True)
        self.lock = Lock(actor, f"the lock of the folder {address.partition(':')[2]}", by_message=True)
        """Its inode's lock: held while a name in it or an attribute of it changes, before those of the files [2.5]."""
        self.flocks = Flocks(address)
        self.entries: dict[str, Address] = {}
        """Inodes and folders by name."""
        self.gone = False
        """rename(2) put another folder in its place: nothing can be made in it any more."""


class Last(NamedTuple):
    """Where the walk of a path ends: at a name in a folder, whether or not there is such a name."""

    folder: Folder
    name: str
    """The last name of the path; ``.``, ``..`` or empty where the path ends with no name of its own."""
    slash: bool
    """There is a slash behind it: it must be a folder."""

    @property
    def is_name(self) -> bool:
        """Whether a name can be made or removed here."""
        return self.name not in ("", ".", "..")


class Tree:
    """Every folder there ever was, and what is found where."""

    def __init__(self, actor: Actor, kernel: Kernel) -> None:
        self.actor = actor
        self.mount_points = {f"folder:{mount.point}": mount for mount in kernel.mounts}
        """Where other file systems than that of the folder above begin, by the address of the folder."""
        self.folders = {ROOT: Folder(actor, ROOT, ROOT, kernel.mount_of("/"), 0, FREE)}

    def walk(self, path: str, at: Address, uid: int) -> Last:
        """Go through a path to the folder of its last name.

        Raises:
            KernelError: ENOENT, ENOTDIR, EACCES or ENAMETOOLONG on the way.

        """
        *through, last = names(path) or [""]
        folder = self.folders[at or ROOT]
        for name in through:
            check(folder.attributes, uid, SEARCH)
            address = self.entry(folder, name)
            if address is None:
                raise KernelError(errno.ENOENT)
            if address not in self.folders:
                raise KernelError(errno.ENOTDIR)
            folder = self.folders[address]
        check(folder.attributes, uid, SEARCH)
        return Last(folder, last, path.endswith("/"))

    def entry(self, folder: Folder, name: str) -> Address | None:
        """Return what a name in a folder stands for; None if there is no such name."""
        if name in ("", "."):
            return folder.address
        if name == "..":
            return folder.parent
        if len(name.encode()) > NAME_MAX:
            raise KernelError(errno.ENAMETOOLONG)
        return folder.entries.get(name)

    def find(self, last: Last) -> Address:
        """Return what the walk of a path led to.

        Raises:
            KernelError: ENOENT, ENAMETOOLONG, or ENOTDIR for a file with a slash behind its name.

        """
        address = self.entry(last.folder, last.name)
        if address is None:
            raise KernelError(errno.ENOENT)
        if last.slash and address not in self.folders:
            raise KernelError(errno.ENOTDIR)
        return address

    def add_folder(self, address: Address, last: Last, uid: int, mode: int) -> None:
        """Make a folder where a path ends."""
        mount = self.mount_points.get(address, last.folder.mount)
        self.folders[address] = Folder(self.actor, address, last.folder.address, mount, uid, mode)
        last.folder.entries[last.name] = address

    def is_mount_point(self, address: Address | None) -> bool:
        """Return whether a file system is mounted on a folder: it can be neither renamed nor replaced."""
        return address in self.mount_points

    def make_folders(self, path: str) -> None:
        """Make a folder and those above it that are not there yet."""
        folder, at = self.folders[ROOT], ""
        for name in names(path):
            at += f"/{name}"
            if name not in folder.entries:
                self.add_folder(f"folder:{at}", Last(folder, name, slash=False), 0, FREE)
            folder = self.folders[folder.entries[name]]

    def move(self, source: Last, target: Last) -> None:
        """Give what has one name another, which takes it from who had it."""
        address = source.folder.entries.pop(source.name)
        replaced = self.folders.get(target.folder.entries.get(target.name, ""))
        if replaced is not None:
            replaced.gone = True
        target.folder.entries[target.name] = address
        if (folder := self.folders.get(address)) is not None:
            folder.parent = target.folder.address

    def above(self, folder: Folder) -> list[Address]:
        """Return the addresses of a folder and of those it is in, up to the root."""
        found = [folder.address]
        while (parent := self.folders[found[-1]].parent) != found[-1]:
            found.append(parent)
        return found

    def below(self, address: Address) -> list[Folder]:
        """Return a folder and all that are in it, each after the one that it is in; nothing for a file."""
        found = [self.folders[address]] if address in self.folders else []
        for folder in found:  # it grows meanwhile
            found += [self.folders[inner] for inner in folder.entries.values() if inner in self.folders]
        return found

    def named(self) -> dict[str, Address]:
        """Return every name in the tree, as a path, with what it stands for."""
        paths = {ROOT: ""}
        for folder in self.below(ROOT):
            above = paths[folder.address]
            paths |= {inner: f"{above}/{name}" for name, inner in folder.entries.items() if inner in self.folders}
        found = {"/": ROOT}
        for folder in self.below(ROOT):
            found |= {f"{paths[folder.address]}/{name}": inner for name, inner in folder.entries.items()}
        return found
