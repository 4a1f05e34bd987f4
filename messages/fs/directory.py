"""What the directory is asked: names, and the folders they are in.

A footprint here is the names a request looks at and changes, and the locks of the folders it changes names in; the
inodes behind the names are other actors. A part ``("name", "a", "b")`` is the name ``/a/b`` with all below it; the lock
of the folder ``/a`` is ``("lock", "a", "/")``, and ``("lock", "a")`` is it and those of all folders below. Who releases
a lock wakes the next by a message, so what that one goes on with is its own footprint.
"""

from longpin.messages.envelope import Address, Footprint, Message, Part, message
from longpin.messages.fs.paths import passed

MAKES = 0o100 | 0o20000000
"""O_CREAT, and what O_TMPFILE has beside O_DIRECTORY: flags of a look-up that may make a file."""

DIRECTORY = "directory"
"""The address of the one directory, which knows every path."""

ROOT: Address = "folder:/"
"""The folder where paths begin. Folders are no actors: the directory answers for them."""


def _names(path: str, at: Address) -> list[Part]:
    """Return the name that a path leads to, and those from which ``..`` leads it back; all if it begins in a folder."""
    if at:
        return [("name",)]
    left, end = passed(path)
    return [("name", *place) for place in (*left, end)]


def _lock(path: str, at: Address) -> Part:
    """Return the lock of the folder that a path ends in."""
    return ("lock",) if at else ("lock", *passed(path)[1][:-1], "/")


def _below(path: str, at: Address) -> Part:
    """Return the locks of what a path leads to, should it be a folder."""
    return ("lock",) if at else ("lock", *passed(path)[1])


@message
class Lookup(Message):
    """Find a path; with O_CREAT in ``flags`` make the file if it is not there, with O_PATH ask for no rights on it."""

    path: str
    flags: int
    mode: int
    uid: int
    at: Address = ""
    """The folder in which the path begins, by its address; empty: the root."""

    def footprint(self) -> Footprint:
        """Files that are made enter a list in which order counts."""
        names = _names(self.path, self.at)
        if self.flags & MAKES:
            return Footprint.of(writes=[*names, ("inodes",), _lock(self.path, self.at)])
        return Footprint.of(reads=names)


@message
class MakeMemfd(Message):
    """memfd_create(2): a file without a name, on the tmpfs that the kernel has for itself."""

    name: str
    uid: int


@message
class Found(Message):
    """The inode of a path, or the folder."""

    inode: Address
    created: bool = False
    """It was made just now: its mode does not bind who made it [open(2)]."""


@message
class Unlink(Message):
    """unlink(2)."""

    path: str
    uid: int
    at: Address = ""

    def footprint(self) -> Footprint:
        """The name, and the lock of its folder."""
        return Footprint.of(writes=[*_names(self.path, self.at), _lock(self.path, self.at)])


@message
class Link(Message):
    """link(2)."""

    path: str
    to: str
    uid: int
    at: Address = ""
    to_at: Address = ""

    def footprint(self) -> Footprint:
        """Both names, and the lock of the folder that gets one."""
        new = [*_names(self.to, self.to_at), _lock(self.to, self.to_at)]
        return Footprint.of(reads=_names(self.path, self.at), writes=new)


@message
class Rename(Message):
    """rename(2): what had the new name loses it."""

    path: str
    to: str
    uid: int
    at: Address = ""
    to_at: Address = ""

    def footprint(self) -> Footprint:
        """Both names with what is below them, and the locks of the folders."""
        writes: list[Part] = [("renames",)]
        for path, at in ((self.path, self.at), (self.to, self.to_at)):
            writes += [*_names(path, at), _lock(path, at), _below(path, at)]
        return Footprint.of(writes=writes)


@message
class MakeDirectory(Message):
    """mkdir(2)."""

    path: str
    uid: int
    mode: int
    at: Address = ""

    def footprint(self) -> Footprint:
        """The name, and the lock of its folder."""
        return Footprint.of(writes=[*_names(self.path, self.at), _lock(self.path, self.at)])


@message
class CheckName(Message):
    """Look at a name for a call that will fail with EXDEV: its folder must be there, and perhaps the name must not."""

    path: str
    uid: int
    free: bool
    """EEXIST if there is such a name."""
    at: Address = ""

    def footprint(self) -> Footprint:
        """The name, and the lock of its folder."""
        writes = [_lock(self.path, self.at)] if self.free else []
        return Footprint.of(reads=_names(self.path, self.at), writes=writes)
