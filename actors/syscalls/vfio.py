"""VFIO: the ioctls of a container, and what the device does that is assigned to the process [1.10.5]."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.kernel.machine import MOST_BYTES
from longpin.actors.syscalls.declaration import Declarations, Section
from longpin.actors.syscalls.files import as_bytes
from longpin.messages.envelope import Address
from longpin.messages.vfio import AccessIova, MapIova, UnmapIova

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.VFIO, on_host=False)
syscall = CALLS.declare

_VFIO = "semantics 1.10.5"
_FAULT = {"EFAULT": f"{_VFIO}: a fault of the IOMMU"}


def _container(process: "Process", fd: int) -> Address:
    """Return the container behind a descriptor; ENOTTY if it is something else."""
    file = process.file(fd)
    if file.kind != "vfio":
        raise KernelError(errno.ENOTTY)
    return file.backing


@syscall(
    "vfio_iommu_map_dma(container: fd, iova: size_t, vaddr: size_t, size: size_t, flags: uint)",
    "ioctl(2)",
    returns="0: ioctl(2) VFIO_IOMMU_MAP_DMA; the memory is pinned, and the device finds it at `iova`, to read with "
    "`VFIO_DMA_MAP_FLAG_READ`, to write with `VFIO_DMA_MAP_FLAG_WRITE`",
    errnos={
        "EACCES": "semantics 1.10",
        "EEXIST": _VFIO,
        "ENOMEM": _VFIO,
        "ENOSPC": _VFIO,
        "ENXIO": _VFIO,
        "EOPNOTSUPP": "semantics 4.0",
        "EPERM": "semantics 4.5",
    },
)
def vfio_iommu_map_dma(
    process: "Process", container: int, iova: int, vaddr: int, size: int, flags: int
) -> Conversation[int]:
    """VFIO_IOMMU_MAP_DMA: memory of whoever calls, counted as locked by its right to lock memory."""
    backing = _container(process, container)
    yield Call(backing, MapIova(iova, vaddr, size, flags, process.memory(), process.caller, process.memlock))
    return 0


@syscall(
    "vfio_iommu_unmap_dma(container: fd, iova: size_t, size: size_t)",
    "ioctl(2)",
    returns="how many bytes it has unmapped, perhaps 0: what ioctl(2) VFIO_IOMMU_UNMAP_DMA, which returns 0, leaves in "
    "`size`. Whole mappings only; none of them has an access under way, and all are unpinned",
)
def vfio_iommu_unmap_dma(process: "Process", container: int, iova: int, size: int) -> Conversation[int]:
    """VFIO_IOMMU_UNMAP_DMA."""
    unmapped: int = (yield Call(_container(process, container), UnmapIova(iova, size, process.caller))).value
    return unmapped


@syscall(
    "vfio_dma_write(container: fd, iova: size_t, data: bytes|str)",
    "",
    returns="how many bytes the device has written to memory, at most 65536",
    errnos=_FAULT | {"EBADF": _VFIO, "EINVAL": _VFIO, "ENOTTY": _VFIO},
)
def vfio_dma_write(process: "Process", container: int, iova: int, data: bytes | str) -> Conversation[int]:
    """Have the device write."""
    backing, written = _container(process, container), as_bytes(data)
    if len(written) > MOST_BYTES:
        raise KernelError(errno.EINVAL)
    yield Call(backing, AccessIova(iova, len(written), written))
    return len(written)


@syscall(
    "vfio_dma_read(container: fd, iova: size_t, count: size_t)",
    "",
    returns="the bytes that the device has read from memory, at most 65536",
    errnos=_FAULT | {"EBADF": _VFIO, "EINVAL": _VFIO, "ENOTTY": _VFIO},
)
def vfio_dma_read(process: "Process", container: int, iova: int, count: int) -> Conversation[bytes]:
    """Have the device read."""
    backing = _container(process, container)
    if count > MOST_BYTES:
        raise KernelError(errno.EINVAL)
    data: bytes = (yield Call(backing, AccessIova(iova, count, None))).data
    return data
