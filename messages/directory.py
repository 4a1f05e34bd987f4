"""What the directory is asked: names.

A footprint here is the names a request looks at and changes; the inodes behind them are other actors.
"""

from longpin.messages.envelope import Address, Footprint, Message, message

MAKES = 0o100 | 0o20000000
"""O_CREAT, and what O_TMPFILE has beside O_DIRECTORY: flags of a look-up that may make a file."""

DIRECTORY = "directory"
"""The address of the one directory, which knows every path."""


@message
class Lookup(Message):
    """Find a path; with O_CREAT in ``flags`` make the file if it is not there."""

    path: str
    flags: int
    mode: int
    uid: int

    def footprint(self) -> Footprint:
        """Files that are made enter a list in which order counts."""
        if self.flags & MAKES:
            return Footprint.of(writes=[("name", self.path), ("inodes",)])
        return Footprint.of(reads=[("name", self.path)])


@message
class Found(Message):
    """The inode of a path."""

    inode: Address
    created: bool = False
    """It was made just now: its mode does not bind who made it [open(2)]."""


@message
class Unlink(Message):
    """unlink(2)."""

    path: str
    uid: int

    def footprint(self) -> Footprint:
        """The name."""
        return Footprint.of(writes=[("name", self.path)])


@message
class Link(Message):
    """link(2)."""

    path: str
    to: str
    uid: int

    def footprint(self) -> Footprint:
        """Both names."""
        return Footprint.of(reads=[("name", self.path)], writes=[("name", self.to)])


@message
class Rename(Message):
    """rename(2): what had the new name loses it."""

    path: str
    to: str
    uid: int

    def footprint(self) -> Footprint:
        """Both names."""
        return Footprint.of(writes=[("name", self.path), ("name", self.to)])


@message
class MakeDirectory(Message):
    """mkdir(2): a name that is no file; nothing can be put into it."""

    path: str

    def footprint(self) -> Footprint:
        """The name."""
        return Footprint.of(writes=[("name", self.path)])
