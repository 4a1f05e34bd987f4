"""What umount(2), a remount, sync(2) and their like ask the directory and each inode of a file system."""

from longpin.messages.envelope import Address, Message, message


@message
class FindMount(Message):
    """Look for the file system that is mounted where a path leads; EINVAL if none is."""

    path: str
    uid: int
    at: Address = ""
    """The folder in which the path begins; empty: the root."""


@message
class FoundMount(Message):
    """A mounted file system."""

    point: Address
    """The folder on which it is mounted."""
    kept: bool
    """It is the root, or another is mounted below: it cannot be unmounted."""
    inodes: tuple[Address, ...]
    """Its files, with a name or without, in the order in which they were made."""


@message
class Detach(Message):
    """Take a file system out of the tree of names: the folder below it is empty."""

    point: Address


@message
class MakeReadOnly(Message):
    """To the directory: nothing can be changed any more in the folders of a file system; to an inode: nor in it."""

    point: Address = ""


@message
class AskBusy(Message):
    """Ask an inode who uses it."""


@message
class BusyFile(Message):
    """Who uses an inode."""

    openers: int
    """Open file descriptions, those that mappings keep included."""
    writers: int
    """Those open for writing, and truncates under way."""
    nameless: bool
    """It has no name, and will be deleted when nobody uses it any more."""


@message
class ForgetInode(Message):
    """The file system is unmounted: write back what is in memory, and let go of it, when no page is pinned."""


@message
class DropCaches(Message):
    """Let go of pages in memory that are written back and that nobody maps or has pinned."""


@message
class QuiesceFile(Message):
    """Wait for a change of the file that is under way, and write back what is in memory."""
