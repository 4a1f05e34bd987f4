"""Mounts: which file system lies where in the tree of names, and on what [mount(2)]."""

from dataclasses import dataclass

from longpin.actors.kernel.file_system import FILE_SYSTEMS, FileSystem
from longpin.messages.envelope import Address
from longpin.messages.fs.mapping import Memory


@dataclass(frozen=True, slots=True)
class Mount:
    """A file system that is mounted."""

    device: Address
    """The pmem block set it lies on; empty: it keeps all in memory."""
    point: str = "/"
    """The folder where it begins."""
    file_system: FileSystem = FILE_SYSTEMS["xfs"]
    dax: bool = True
    """Its files are mapped as they lie, and not as copies in the page cache."""

    @property
    def memory(self) -> Memory:
        """What the pages of its files are."""
        if self.file_system.in_memory:
            return Memory.SHMEM
        return Memory.FS_DAX if self.dax else Memory.PAGE_CACHE

    def has(self, path: str) -> bool:
        """Return whether a path is its mount point or leads below it."""
        return self.point in ("/", path) or path.startswith(f"{self.point}/")


KERNEL_TMPFS = Mount("", "", FILE_SYSTEMS["tmpfs"])
"""What memfd_create(2) makes files on: it is mounted nowhere."""
