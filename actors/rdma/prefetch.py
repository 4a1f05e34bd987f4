"""Advice about regions that are paged on demand: pages are faulted in before they are needed [ibv_advise_mr(3)]."""

import errno

from longpin.actors.base import Actor, ActorPart, handles
from longpin.actors.constants import (
    IBV_ADVISE_MR_ADVICE_PREFETCH,
    IBV_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT,
    IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE,
)
from longpin.actors.conversation import Conversation, KernelError, outcome
from longpin.actors.kernel.machine import Kernel
from longpin.actors.rdma.objects import DevicePageTable, ObjectTable, Region
from longpin.actors.rdma.on_demand import OnDemand
from longpin.actors.rdma.translation import pages_of
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.rdma.windows import AdviseMr, Prefetch

ADVICE = (
    IBV_ADVISE_MR_ADVICE_PREFETCH,
    IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE,
    IBV_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT,
)


class Prefetches(ActorPart):
    """The advice that a context is given."""

    def __init__(self, actor: Actor, kernel: Kernel, table: ObjectTable, on_demand: OnDemand) -> None:
        self.actor = actor
        self.kernel = kernel
        self.table = table
        self.on_demand = on_demand

    @handles(AdviseMr)
    def advise(self, request: AdviseMr, _src: Address) -> Conversation[Done]:
        """Do it and say how it went, or only begin it [code: rxe_ib_advise_mr]."""
        self._find(request)
        if request.flush:
            yield from self._fetch(request)
        else:
            self.actor.send(self.actor.address, Prefetch(request))
        return DONE

    @handles(Prefetch)
    def prefetch(self, told: Prefetch, _src: Address) -> Conversation[None]:
        """Fetch what can be had: nobody is told of the rest."""
        yield from outcome(self._fetch(told.request))

    def _find(self, request: AdviseMr) -> DevicePageTable:
        self.table.check_device()
        if request.advice not in ADVICE:
            raise KernelError(errno.EOPNOTSUPP)
        region = self.table.find(Region, request.mr)
        if region.table is None or region.revoked or region.request.pd != request.pd:
            raise KernelError(errno.EINVAL)
        if request.advice == IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE and not region.writable:
            raise KernelError(errno.EPERM)
        if request.offset + request.length > region.request.length or not request.length:
            raise KernelError(errno.EFAULT)
        return region.table

    def _fetch(self, request: AdviseMr) -> Conversation[None]:
        table = self._find(request)
        region = self.table.find(Region, request.mr)
        places = pages_of(region.request, request.offset, request.length, self.kernel.page_size)
        snapshot = request.advice == IBV_ADVISE_MR_ADVICE_PREFETCH_NO_FAULT
        write = request.advice == IBV_ADVISE_MR_ADVICE_PREFETCH_WRITE
        yield from self.on_demand.prefetch(table, places, write=write, snapshot=snapshot)
