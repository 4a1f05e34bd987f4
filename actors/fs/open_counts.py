"""Who has a file open, and how it counts: ``i_readcount`` and ``i_writecount`` [2.1 step 6]."""

from enum import StrEnum

from longpin.actors.constants import F_RDLCK, O_ACCMODE, O_PATH, O_RDONLY, O_RDWR, O_WRONLY
from longpin.actors.unordered import Unordered
from longpin.messages.envelope import Address


class Access(StrEnum):
    """How an open file description counts [2.1 step 6]."""

    READ = "read"
    """``i_readcount``: open for reading only."""
    WRITE = "write"
    """``i_writecount``."""
    UNCOUNTED = "uncounted"
    """Neither: O_PATH, and access mode 3."""

    @classmethod
    def of(cls, flags: int) -> "Access":
        """Return how an open with these flags counts."""
        if flags & O_PATH:
            return cls.UNCOUNTED
        return {O_RDONLY: cls.READ, O_WRONLY: cls.WRITE, O_RDWR: cls.WRITE}.get(flags & O_ACCMODE, cls.UNCOUNTED)


class OpenCounts:
    """The open file descriptions of one inode, and the truncations by name under way."""

    __slots__ = ("openers", "truncating")

    def __init__(self) -> None:
        self.openers: Unordered[Address, Access] = Unordered()
        """Open file descriptions of the inode, and how they count."""
        self.truncating = 0
        """truncate(2) and O_TRUNC under way: they have write access without a description [2.1 step 6]."""

    def add(self, ofd: Address, flags: int) -> None:
        """Count an open."""
        self.openers[ofd] = Access.of(flags)

    def remove(self, ofd: Address) -> None:
        """Count the release of a description."""
        del self.openers[ofd]

    @property
    def in_use(self) -> bool:
        """Whether something keeps the inode although it may have no name."""
        return bool(self.openers or self.truncating)

    @property
    def readers(self) -> int:
        """``i_readcount``."""
        return list(self.openers.values()).count(Access.READ)

    @property
    def writers(self) -> int:
        """``i_writecount``."""
        return list(self.openers.values()).count(Access.WRITE) + self.truncating

    def refuses(self, lease_type: int, access: int) -> bool:
        """Return whether somebody has the file open who is in the way of a lease [2.1 step 6].

        Args:
            lease_type: F_RDLCK or F_WRLCK.
            access: the access mode of the caller's description, which may be the one open that a write lease allows.

        """
        if lease_type == F_RDLCK:
            return self.writers > 0
        own = {O_RDONLY: (0, 1), O_WRONLY: (1, 0), O_RDWR: (1, 0)}.get(access, (0, 0))
        return (self.writers, self.readers) != own
