"""What the directory is asked: names."""

from longpin.messages.envelope import Address, Message, message

DIRECTORY = "directory"
"""The address of the one directory, which knows every path."""


@message
class Lookup(Message):
    """Find a path; with O_CREAT in ``flags`` make the file if it is not there."""

    path: str
    flags: int
    mode: int
    uid: int


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


@message
class Link(Message):
    """link(2)."""

    path: str
    to: str
    uid: int


@message
class Rename(Message):
    """rename(2): what had the new name loses it."""

    path: str
    to: str
    uid: int


@message
class MakeDirectory(Message):
    """mkdir(2): a name that is no file; nothing can be put into it."""

    path: str
