"""What is read in /proc of who holds the layout of a file: /proc/locks, and what a policy adds.

An inode is asked for its own part; which files there are the directory knows.
"""

from enum import StrEnum
from typing import NamedTuple

from longpin.messages.envelope import Address, Footprint, Message, message
from longpin.messages.mm.memory import Pin
from longpin.messages.process.caller import Caller


class ListedBy(StrEnum):
    """Where an administrator finds an entry."""

    DESCRIPTION = "description"
    """/proc/locks, or a file of /proc/PID/fdinfo."""
    MEMORY = "memory"
    """A file of /proc/PID that lists the pages pinned through a memory map."""
    DEVICE = "device"
    """What a descriptor of a device owns."""


class Listed(NamedTuple):
    """One entry of what an administrator can see of an inode."""

    by: ListedBy
    address: Address
    """The process or the context it names."""
    text: str
    number: int = 0
    """The number of the process as the entry shows it: that one may be dead, or the number another's; 0: it has none.

    An entry of a context shows none: who looks reads /proc/PID/fd of every process for who has the context open.
    """


@message
class ListFiles(Message):
    """Ask the directory for every inode there ever was."""

    def footprint(self) -> Footprint:
        """The names, and the list of inodes."""
        return Footprint.of(reads=[("name",), ("inodes",)])


class ListedFile(NamedTuple):
    """An inode, and what /proc shows as its path."""

    inode: Address
    path: str


@message
class FilesListed(Message):
    """The inodes, in the order in which they came into being."""

    files: tuple[ListedFile, ...]


@message
class ShowLocks(Message):
    """Ask an inode for its lines of /proc/locks."""


@message
class LocksShown(Message):
    """The lines, without number and path, in the order of the list."""

    lines: tuple[str, ...]


@message
class ListHolders(Message):
    """Ask an inode what is to be seen of who holds its layout [2.9]."""

    caller: Caller


@message
class HoldersListed(Message):
    """What is to be seen; and what is in the way of a change, which only those who judge look at."""

    entries: tuple[Listed, ...]
    leases: tuple[Address, ...]
    """Leases on which a truncate to nothing by the caller would now fail."""
    pins: tuple[Pin, ...]
    """Long-term pins on which it would fail or wait."""
