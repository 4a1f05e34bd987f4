"""Mounts: which file system lies where in the tree of names, and on what [mount(2)]."""

from dataclasses import dataclass

from longpin.actors.kernel.file_system import FILE_SYSTEMS, FileSystem
from longpin.messages.envelope import Address


@dataclass(frozen=True, slots=True)
class Mount:
    """A file system that is mounted."""

    device: Address
    """The pmem block set it lies on."""
    point: str = "/"
    """The folder where it begins."""
    file_system: FileSystem = FILE_SYSTEMS["xfs"]

    def has(self, path: str) -> bool:
        """Return whether a path is its mount point or leads below it."""
        return self.point in ("/", path) or path.startswith(f"{self.point}/")
