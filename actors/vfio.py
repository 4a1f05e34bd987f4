"""VFIO: a device that a process drives itself, and the container that says which memory it can reach [1.10.5].

Memory is pinned page by page when it is mapped for the device, at an address that the process chooses (an IOVA), and
unpinned when it is unmapped or the container goes. A container belongs to its open file description; whoever has a
descriptor maps memory of its own there. It is counted as locked memory of who mapped it (VmLck).

This is the type 1 IOMMU driver, version 2, with a group and a device in each container.
"""

import errno
from dataclasses import dataclass
from typing import NamedTuple

from longpin.actors.base import Engine, handles
from longpin.actors.constants import VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.backing import OneFile
from longpin.actors.fs.device import DeviceNode
from longpin.actors.fs.flocks import Flocks
from longpin.actors.kernel.machine import Kernel
from longpin.actors.locks import Lock
from longpin.actors.mm.gup import Buffer, dma, let_go, pin_user_pages, unpin_user_pages
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.file import Data
from longpin.messages.fs.inode import CloseFile, Open, Opened
from longpin.messages.mm.memory import PinnedPage
from longpin.messages.mm.mm import PinLookup, Registration
from longpin.messages.rdma.revocation import RevokeRegion
from longpin.messages.vfio import VFIO, AccessIova, MapIova, UnmapIova

END = 1 << 64
"""Where addresses of 64 bits end."""
MSI_WINDOW = range(0xFEE0_0000, 0xFEF0_0000)
"""Addresses at which a device on x86 reaches its interrupts, so that no memory can be there [iova_list]."""
MOST_MAPPINGS = 65535
"""Mappings of one container [vfio_iommu_type1: dma_entry_limit]."""


class VfioDriver(DeviceNode):
    """The file ``/dev/vfio/vfio``."""

    @handles(Open)
    def open(self, request: Open, _src: Address) -> Opened:
        """open(2): each open is a container, with a device and without any memory."""
        self.check_open(request)
        opened = f"vfio:{request.ofd.partition(':')[2]}"
        self.spawn(VfioContainer, opened, self.kernel)
        return Opened(opened)


@dataclass(slots=True)
class IovaRange:
    """Memory that a device finds at an address of its own (``vfio_dma``)."""

    iova: int
    size: int
    """Bytes."""
    flags: int
    registration: Registration
    mapper: Address
    """The process that mapped it."""
    revoked: bool = False
    """The kernel has taken the pages from the device, which finds nothing there."""

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.iova + self.size

    def allows(self, *, write: bool) -> bool:
        """Return whether the device may access it."""
        return not self.revoked and bool(self.flags & (VFIO_DMA_MAP_FLAG_WRITE if write else VFIO_DMA_MAP_FLAG_READ))


class Reached(NamedTuple):
    """Where an address of the device leads."""

    page: PinnedPage
    region: Address


class VfioContainer(OneFile):
    """The memory that a device can reach, by its own addresses."""

    def __init__(self, engine: Engine, address: Address, kernel: Kernel) -> None:
        super().__init__(engine, address, kernel)
        self.ranges: dict[int, IovaRange] = {}
        """By the address of each. Invariant: they do not overlap."""
        self.mapped = 0
        """How many ranges it ever mapped, for their names."""
        self.early: set[Address] = set()
        """Ranges that were revoked while they were mapped."""
        self.lock = Lock(self, f"the mappings of {address}")
        """Held while a range is mapped or unmapped [struct vfio_iommu: lock]."""
        self.attributes = Attributes(0, 0o666)
        """Of the device's file as this open sees it."""
        self.flocks = Flocks(address)

    @handles(Open)
    def open_again(self, request: Open, _src: Address) -> Conversation[Opened]:
        """Open the device again, through /proc/self/fd: another container."""
        opened: Opened = yield Call(VFIO, request)
        return opened

    # Mapping.

    @handles(MapIova)
    def map(self, request: MapIova, _src: Address) -> Conversation[Done]:
        """VFIO_IOMMU_MAP_DMA: all of it or nothing [vfio_dma_do_map, vfio_pin_map_dma].

        A page is pinned before it is counted, so a page that cannot be pinned fails before the limit is reached. No
        page is taken without a look at its mapping: pin_user_pages_remote has no fast walk.

        Raises:
            KernelError: EINVAL; EEXIST, something is mapped in the range; ENOSPC, too much is; ENOMEM, it would be
                more than RLIMIT_MEMLOCK; or why it cannot be pinned: EFAULT, or the policy's errno.

        """
        r = request
        readable, writable = r.flags & VFIO_DMA_MAP_FLAG_READ, r.flags & VFIO_DMA_MAP_FLAG_WRITE
        if r.flags & ~(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE) or not (readable or writable):
            raise KernelError(errno.EINVAL)
        with (yield self.lock.exclusive()):
            self._check(r)
            self.mapped += 1
            owner = f"dma:{self.address.partition(':')[2]}.{self.mapped}"
            buffer = Buffer(r.mm, r.vaddr, r.size // self.kernel.page_size, r.caller, r.memlock)
            made = yield from pin_user_pages(
                self.kernel, buffer, owner, self.address, write=bool(writable), lookup=PinLookup.SLOW, locked=True
            )
            if owner in self.early:
                yield from unpin_user_pages(self.kernel, made)
                raise KernelError(errno.ENXIO)
            self.ranges[r.iova] = IovaRange(r.iova, r.size, r.flags, made, r.caller.process)
        return DONE

    def _check(self, r: MapIova) -> None:
        """Check a range that is to be mapped, in the kernel's order."""
        page_size = self.kernel.page_size
        aligned = not (r.size | r.iova | r.vaddr) % page_size
        if not r.size or not aligned or r.iova + r.size > END or r.vaddr + r.size > END:
            raise KernelError(errno.EINVAL)
        if self._in(r.iova, r.iova + r.size):
            raise KernelError(errno.EEXIST)
        if len(self.ranges) >= MOST_MAPPINGS:
            raise KernelError(errno.ENOSPC)
        if r.iova < MSI_WINDOW.stop and MSI_WINDOW.start < r.iova + r.size:
            raise KernelError(errno.EINVAL)

    def _in(self, start: int, end: int) -> list[IovaRange]:
        """Return what is mapped from one address to another, in their order."""
        return [self.ranges[iova] for iova in sorted(self.ranges) if iova < end and start < self.ranges[iova].end]

    @handles(UnmapIova)
    def unmap(self, request: UnmapIova, _src: Address) -> Conversation[Done]:
        """VFIO_IOMMU_UNMAP_DMA: whole mappings only [vfio_dma_do_unmap].

        Raises:
            KernelError: EINVAL, a mapping lies in the range only in part, or there is no such range.

        """
        r, page_size = request, self.kernel.page_size
        end = r.iova + r.size
        if not r.size or (r.iova | r.size) % page_size or end > END:
            raise KernelError(errno.EINVAL)
        unmapped = 0
        with (yield self.lock.exclusive()):
            found = self._in(r.iova, end)
            if any(its.iova < r.iova or its.end > end for its in found):
                raise KernelError(errno.EINVAL)
            for its in found:
                if its.mapper != r.caller.process and not self.kernel.generation.vfio_any_holder_unmaps:
                    break
                yield from self._remove(its)
                unmapped += its.size
        return Done(unmapped)

    def _remove(self, its: IovaRange) -> Conversation[None]:
        """Have the device find nothing there any more, and then let go of the pages [vfio_remove_dma].

        An access under way is at the memory before what is sent from now on, as after a flush of the IOTLB.
        """
        del self.ranges[its.iova]
        yield from unpin_user_pages(self.kernel, its.registration)

    # The device.

    @handles(AccessIova)
    def access_iova(self, request: AccessIova, _src: Address) -> Conversation[Data]:
        """Access pages by their physical addresses, one after the other, until the IOMMU says no.

        Raises:
            KernelError: EFAULT, a fault of the IOMMU: what is before it has been accessed.

        """
        write, result, done = request.data is not None, b"", 0
        while done < request.length:
            inside = (request.iova + done) % self.kernel.page_size
            part = min(request.length - done, self.kernel.page_size - inside)
            piece = None if request.data is None else request.data[done : done + part]
            found = self._translate(request.iova + done, write=write)
            if found is None:
                raise KernelError(errno.EFAULT)
            result += yield from dma(self.kernel, found.page, inside, part, piece, found.region)
            done += part
        return Data(result)

    def _translate(self, iova: int, *, write: bool) -> Reached | None:
        """Return where an address leads; None: nowhere, or it may not be accessed so."""
        its = next((its for its in self.ranges.values() if its.iova <= iova < its.end), None)
        if its is None or not its.allows(write=write):
            return None
        page = its.registration.page((iova - its.iova) // self.kernel.page_size)
        return Reached(page, its.registration.owner)

    # The end.

    @handles(RevokeRegion)
    def revoke(self, request: RevokeRegion, _src: Address) -> Conversation[Done]:
        """Take a range from the device, or all: its addresses lead nowhere; unpin the pages, or let them.

        It needs no time for it, as the IOMMU does it, and who mapped it still has to unmap it.
        """
        found = [its for its in self.ranges.values() if its.registration.owner == request.region]
        if not found:
            self.early.add(request.region)
            return Done(0)
        taken = list(self.ranges.values()) if request.whole_context else found
        for its in taken:
            its.revoked = True
        for its in taken:
            if request.unpin and self.ranges.get(its.iova) is its:
                made = its.registration
                its.registration = made._replace(holds=(), attached=())
                yield from let_go(self.kernel, made)
        return Done(1)

    @handles(CloseFile)
    def close(self, request: CloseFile, _src: Address) -> Conversation[Done]:
        """Unmap everything: the last reference to the open file description is gone [vfio_iommu_type1_release]."""
        self.flocks.drop(self, request.ofd)
        with (yield self.lock.exclusive()):
            for iova in sorted(self.ranges):
                yield from self._remove(self.ranges[iova])
        return DONE
