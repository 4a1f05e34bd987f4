"""What a VFIO container is asked: to map memory for a device, to unmap it, and what the device does [1.10.5].

None of them has a footprint: each looks at the table of addresses.
"""

from longpin.messages.envelope import Address, Message, message
from longpin.messages.process.caller import Caller

VFIO: Address = "vfio_driver:vfio"
"""The driver behind ``/dev/vfio/vfio``, of a machine that has one."""


@message
class MapIova(Message):
    """VFIO_IOMMU_MAP_DMA: pin memory of a process, and have a device find it at an address of its own."""

    iova: int
    vaddr: int
    size: int
    """Bytes."""
    flags: int
    mm: Address
    caller: Caller
    memlock: int
    """RLIMIT_MEMLOCK in bytes; -1: the caller has CAP_IPC_LOCK, so there is none."""


@message
class UnmapIova(Message):
    """VFIO_IOMMU_UNMAP_DMA: unmap what lies in a range; the reply is how many bytes that was."""

    iova: int
    size: int
    caller: Caller


@message
class AccessIova(Message):
    """The device reads or writes; EFAULT where the IOMMU lets it not. The reply is what was read."""

    iova: int
    length: int
    data: bytes | None
    """What is written; None: a read."""
