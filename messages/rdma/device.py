"""RDMA devices: what of a device its kernel can rely on when memory is registered with it."""

from typing import NamedTuple


class RdmaDevice(NamedTuple):
    """A device, as ``ibv_open_device`` names it."""

    name: str = ""
    iommu: bool = True
    """It reaches memory through an IOMMU, which can be told to let it reach some no more [4.4]."""
    revocable: bool = True
    """Its driver can take a key back while it is in use [4.10]."""
    on_demand: bool | None = None
    """It does on-demand paging [1.10.3]; None: as rxe does on the kernel."""
    names_owner: bool = True
    """Its driver tells the kernel which open file owns the pins (``struct vaddr_pin``) [4.7]."""
    removable: bool = False
    """It can be taken out of the machine, which therefore keeps account of who has it open [1.10]."""
    disassociates: bool = True
    """Its driver can take what contexts own from them (disassociate_ucontext); else removal waits for the last close.
    """


ANY_DEVICE = RdmaDevice()
"""A device that can do what there is to do."""
