"""What a file is beside its data: owner, mode, size, names [1.6]."""

from dataclasses import dataclass


@dataclass(slots=True)
class Attributes:
    """The attributes of one file, of whatever kind. Who changes those of a regular one holds its iolock."""

    uid: int
    """The owner."""
    mode: int
    size: int = 0
    """Bytes."""
    is_folder: bool = False
    read_only: bool = False
    """Its file system was remounted read-only."""
    nlink: int = 1
    names_going: int = 0
    """Calls that took the last name away and have not let go of the inode: until then it is not evicted."""

    @property
    def has_name(self) -> bool:
        """Whether a name keeps the inode."""
        return bool(self.nlink or self.names_going)

    def lose_name(self) -> None:
        """Count a name less, for a call that will let go of the inode later."""
        self.nlink -= 1
        self.names_going += not self.nlink
