"""Device-dax: persistent memory as a character device, without a file system that could move its pages [1.8, 4.0].

It can be mapped, shared only and in units of its alignment, and it can be pinned for as long as anybody likes: there
is nothing to truncate. ``/dev/dax0.0`` is a name of the device; its pages are a memory of its own.
"""

import errno
from typing import ClassVar

from longpin.actors.base import Engine, handles
from longpin.actors.constants import MAP_PRIVATE, MAP_TYPE
from longpin.actors.conversation import KernelError
from longpin.actors.fs.device import DeviceNode
from longpin.actors.fs.mappings import Mappings
from longpin.actors.kernel.machine import Kernel
from longpin.actors.mm.memory import FrameMemory
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.inode import AddMapping, Fault, MappedAs, Open
from longpin.messages.fs.mapping import MappingView, Memory
from longpin.messages.mm.memory import Dma, PageFrame, Unpin
from longpin.messages.mm.mm import InstallPtes
from longpin.messages.mm.ram import UnpinFrames


class DaxMemory(FrameMemory):
    """The pages of a device: they are never anything else."""

    def __init__(self, engine: Engine, address: Address, align: int = 1) -> None:
        super().__init__(engine, address)
        self.compound = align
        """A page of the size that the device is mapped in [code: dev_pagemap, vmemmap_shift]."""

    def owner_of(self, number: int) -> str:
        """Return which page of which device a frame is."""
        return f"page {number} of {self.address.partition(':')[2]}"

    def is_still(self, access: Dma) -> bool:
        """Return True: nobody can free a page."""
        return True

    @handles(UnpinFrames)
    def unpin_frames(self, request: UnpinFrames, src: Address) -> Done:
        """Drop a registration's references."""
        return self.unpin(Unpin(request.owner), src)


class DaxDevice(DeviceNode):
    """One device."""

    parts: ClassVar = {"mappings": Mappings}

    def __init__(
        self, engine: Engine, address: Address, kernel: Kernel, memory: Address, pages: int, align: int
    ) -> None:
        super().__init__(engine, address, kernel)
        self.pages = pages
        self.align = align
        """Pages: what mappings begin at and are multiples of."""
        self.memory = memory
        self.mappings = Mappings(address)

    @handles(Open)
    def open(self, request: Open, _src: Address) -> Done:
        """open(2)."""
        self.check_open(request)
        return DONE

    # Memory.

    @handles(AddMapping)
    def add_mapping(self, request: AddMapping, _src: Address) -> MappedAs:
        """mmap(2), or fork copying a mapping; shared and aligned [code: dax_mmap, check_vma; meas].

        Raises:
            KernelError: EINVAL.

        """
        r = request
        if not r.parent and (r.flags & MAP_TYPE == MAP_PRIVATE or r.page % self.align or r.pages % self.align):
            raise KernelError(errno.EINVAL)
        self.mappings.add(MappingView(r.mm, r.vma, r.prot, r.flags, r.ofd))
        return MappedAs(Memory.DEVICE_DAX)

    @handles(Fault)
    def fault(self, request: Fault, _src: Address) -> InstallPtes:
        """Map pages; EFAULT beyond the end of the device."""
        last = min(request.page + request.pages, self.pages) - 1
        if request.page > last:
            raise KernelError(errno.EFAULT)
        frames = tuple(PageFrame(self.memory, page) for page in range(request.page, last + 1))
        return InstallPtes(request.vpn, frames, writable=request.write)
