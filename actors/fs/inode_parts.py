"""What an inode is made of: its parts, its locks, and what those who watch see of it [1.6]."""

from typing import NamedTuple, Self

from longpin.actors.base import Engine
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.backing import Backing, Common
from longpin.actors.fs.cached_data import CachedData, MemoryData
from longpin.actors.fs.file_data import FileData
from longpin.actors.fs.flocks import Flocks
from longpin.actors.fs.inode_view import InodeView
from longpin.actors.fs.layout_guard import LayoutGuard
from longpin.actors.fs.lease_list import LeaseList
from longpin.actors.fs.mappings import Mappings
from longpin.actors.fs.open_counts import OpenCounts
from longpin.actors.fs.transfers import Transfers
from longpin.actors.kernel.machine import Kernel
from longpin.actors.kernel.mount import Mount
from longpin.actors.locks import Lock
from longpin.actors.policies.views import LayoutView
from longpin.messages.envelope import Address
from longpin.messages.mm.memory import Pin
from longpin.messages.mm.pmem import BlockRun


class FileStart(NamedTuple):
    """What a file is when its inode is made."""

    uid: int
    mode: int
    size: int
    """Bytes."""
    runs: tuple[BlockRun, ...] = ()
    """Its blocks, which are all written."""


def data_of(mount: Mount) -> type[FileData]:
    """Return what the data of files on a file system are."""
    if mount.file_system.in_memory:
        return MemoryData
    return FileData if mount.dax else CachedData


class InodeParts(Backing):
    """A file, and what can be seen of it."""

    def __init__(self, engine: Engine, address: Address, kernel: Kernel, mount: Mount, start: FileStart) -> None:
        super().__init__(engine, address, kernel)
        self.pmem = mount.device
        self.iolock = Lock(self, f"the iolock of {address}")
        self.mmaplock = Lock(self, f"the mmap lock of {address}")
        self.attributes = Attributes(start.uid, start.mode, start.size)
        self.opens = OpenCounts()
        self.leases = LeaseList(self, kernel, self.opens)
        self.flocks = Flocks(address)
        self.mappings = Mappings(address)
        self.data = data_of(mount)(self, kernel, mount, self.attributes, self.mappings, start.runs)
        self.transfers = Transfers(self, kernel, self.attributes, self.data)
        self.guard = LayoutGuard(kernel, mount, self.attributes, self.leases, self.data.extents, self.mappings)
        self.evicted = False
        """No name and no user is left; the blocks are going back."""

    def node(self, _request: Common) -> Self:
        """Return what has the attributes."""
        return self

    def view(self) -> InodeView:
        """Return the inode as it is now, for those who watch."""
        return InodeView(
            self.attributes.size,
            self.attributes.nlink,
            self.data.extents.extents,
            tuple(self.mappings.views.values()),
            dict(self.opens.openers),
            self.opens.truncating,
            self.leases.views(),
            self.guard.state,
        )

    def layout_view(self, pins: tuple[Pin, ...]) -> LayoutView:
        """Return what a policy is shown, with pins that were found, for those who ask what an administrator sees."""
        return self.guard.view(pins)
