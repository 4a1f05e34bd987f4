"""What every actor of one emulated kernel knows: its generation, its file systems, sizes, times, and the policy."""

from dataclasses import dataclass, field

from longpin.actors.conversation import KernelError
from longpin.actors.kernel.generation import GENERATIONS, Generation, Version
from longpin.actors.kernel.mount import Mount
from longpin.actors.kernel.nfs_server import NfsServer, OnTimeout
from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import Answer, Fail
from longpin.messages.rdma.device import RdmaDevice

MOST_SIZE = (1 << 63) - 1
"""Bytes of the largest file."""
MOST_BYTES = 65536
"""Bytes one read, load or RDMA transfer moves at the most: a message holds them, and messages are bounded."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """The settings of one machine; immutable, shared by its actors."""

    policy: Policy
    generation: Generation = GENERATIONS[Version.LINUX_6_18]
    """What this version of Linux does where others do otherwise."""
    mounts: tuple[Mount, ...] = (Mount("pmem:pmem0"),)
    """The file systems, each with its place; one is mounted at the root."""
    page_size: int = 4096
    """Bytes of a page, which is a block too."""
    lease_break_time: float = 45.0
    """Seconds a holder has to answer a break; 0: for ever [2.3.3]."""
    devices: tuple[RdmaDevice, ...] = (RdmaDevice("rxe0"),)
    """The RDMA devices."""
    uverbs_async_delay: bool = False
    """The release of a uverbs file returns before its pins are gone [1.10]."""
    hypervisor: bool = False
    """A hypervisor runs below, which the kernel knows nothing of [1.10.2]."""
    vfio: bool = False
    """There is a device for VFIO, behind an IOMMU [1.10.5]."""
    nfsd: NfsServer = field(default_factory=NfsServer)
    """Its NFS server [1.4.1]."""

    huge_page_size: int = 1 << 21
    """Bytes of a huge page."""
    huge_pages: int = 0
    """How many there are [vm.nr_hugepages]."""

    @property
    def on_layout_timeout(self) -> OnTimeout:
        """What becomes of a recalled layout at the end of its break time."""
        return self.generation.nfsd_on_timeout if self.nfsd.on_timeout is None else self.nfsd.on_timeout

    @property
    def frames_of_huge_page(self) -> int:
        """How many pages a huge page is."""
        return self.huge_page_size // self.page_size

    def pages_on_demand(self, device: RdmaDevice) -> bool:
        """Return whether a device does on-demand paging; of one that says nothing, whether rxe does."""
        return self.generation.rxe_on_demand if device.on_demand is None else device.on_demand

    def checks_entries(self, device: RdmaDevice) -> bool:
        """Return whether a device looks whether an entry of its page table allows it to write."""
        return device.on_demand is not None or self.generation.rxe_checks_entries

    @property
    def zero_page_is_written(self) -> bool:
        """Whether a device may write to the page of zeros: only then somebody has it who can be asked."""
        return any(self.pages_on_demand(device) and not self.checks_entries(device) for device in self.devices)

    def pages(self, length: int) -> int:
        """Return how many pages ``length`` bytes take."""
        return -(-length // self.page_size)

    def mount_of(self, path: str) -> Mount:
        """Return the mount on which a path of the tree lies that begins."""
        return max((mount for mount in self.mounts if mount.has(path)), key=lambda mount: len(mount.point))


def require(answer: Answer) -> None:
    """Go on if the policy lets it be done.

    Raises:
        KernelError: it does not; with the errno that it says.

    """
    if isinstance(answer, Fail):
        raise KernelError(answer.errno)
