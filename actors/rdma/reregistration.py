"""Regions that change in place: another domain, other rights, other memory [ibv_rereg_mr(3)]."""

import errno
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from longpin.actors.base import ActorPart, handles
from longpin.actors.conversation import Conversation, KernelError
from longpin.actors.kernel.machine import Kernel
from longpin.actors.mm.gup import unpin_user_pages
from longpin.actors.rdma.access import writes_memory
from longpin.actors.rdma.holds import holds_to_drop
from longpin.actors.rdma.objects import Object, ObjectTable, Pd, Region
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.rdma.windows import FindMemory, MemoryFound, Reregister


class Reregistration(ActorPart):
    """What changes in the regions of a context without a new handle."""

    def __init__(self, kernel: Kernel, table: ObjectTable) -> None:
        self.kernel = kernel
        self.table = table

    @handles(FindMemory)
    def find(self, request: FindMemory, _src: Address) -> MemoryFound:
        """Tell where a region lies and what its pages are good for."""
        self.table.check_device()
        region = self.table.find(Region, request.handle)
        registered = region.request
        on_demand = region.table is not None
        return MemoryFound(registered.address, registered.length, registered.access, region.writable, on_demand)

    @handles(Reregister)
    def reregister(self, request: Reregister, _src: Address) -> Conversation[Done]:
        """Wait for accesses under way, and change the region; pages that are replaced are let go of."""
        region = self._find(request)
        with (yield region.in_use.exclusive()):
            if self._find(request) is not region:
                raise KernelError(errno.EINVAL)
            before = region.request
            if request.pd:
                self.table.use(before.pd, -1)
                self.table.use(request.pd)
                region.request = replace(region.request, pd=request.pd)
            if request.access >= 0:
                region.request = replace(region.request, access=request.access)
            if request.registration is not None:
                region.request = replace(
                    region.request,
                    registration=request.registration,
                    offset=request.offset,
                    length=request.length,
                    address=request.address,
                )
                region.writable = writes_memory(region.request.access)
                yield from self._unpin(replace(region, request=before))
        return DONE

    def _find(self, request: Reregister) -> Region:
        self.table.check_device()
        region = self.table.find(Region, request.handle)
        if region.windows:
            raise KernelError(errno.EBUSY)
        if request.pd:
            self.table.find(Pd, request.pd)
        return region

    def _unpin(self, former: Region) -> Conversation[None]:
        others: Mapping[int, Object] = self.table.things
        gone = partial(holds_to_drop, self.kernel, others, former)
        yield from unpin_user_pages(self.kernel, former.request.registration, gone)
