"""How a device finds memory by a key, and keeps it while it accesses it [1.10]."""

from longpin.actors.base import ActorPart, handles
from longpin.actors.conversation import Conversation
from longpin.actors.kernel.machine import Kernel
from longpin.actors.locks import Hold
from longpin.actors.rdma.objects import ObjectTable, Region
from longpin.actors.rdma.on_demand import OnDemand
from longpin.actors.rdma.revocation import Revocation
from longpin.actors.rdma.windows import Windows
from longpin.messages.envelope import Address
from longpin.messages.mm.memory import PinnedPage
from longpin.messages.rdma.verbs import MapDma, Register, Segments, UnmapDma

NOTHING = Segments((), "", 0)


class Translation(ActorPart):
    """The translation table of a context's device."""

    def __init__(
        self,
        context: Address,
        kernel: Kernel,
        table: ObjectTable,
        windows: Windows,
        revocation: Revocation,
        on_demand: OnDemand,
    ) -> None:
        self.context = context
        self.kernel = kernel
        self.table = table
        self.windows = windows
        self.revocation = revocation
        self.on_demand = on_demand

    @handles(MapDma)
    def map_dma(self, request: MapDma, _src: Address) -> Conversation[Segments]:
        """Translate a key for the device, and keep the region until the device has finished."""
        handle, offset = self._handle_of(request.key), request.offset
        if request.window:
            if (found := self.windows.translate(request)) is None:
                return NOTHING
            handle, offset = found
        region = self.table.things.get(handle)
        if not isinstance(region, Region) or handle in self.table.dying:
            return NOTHING
        if not request.window and not self._allows(region, request):
            return NOTHING
        if region.revoked:
            successor = None if request.window else (yield from self.revocation.at_addresses_of(region))
            if successor is None or offset + request.length > successor[1].request.length:
                return NOTHING
            handle, region = successor
        hold = yield from self._hold(handle, region, offset, request)
        if hold is None:
            return NOTHING
        region.device.append(hold)
        return Segments(self._segments(region, offset, request.length), region.owner, handle)

    def _hold(self, handle: int, region: Region, offset: int, request: MapDma) -> Conversation[Hold | None]:
        """Keep a region with the pages of an access, faulting them in if it pins none; None: they cannot be had."""
        while True:
            hold: Hold = yield region.in_use.shared()
            if self.table.things.get(handle) is not region:  # it was destroyed while this waited
                hold.drop()
                return None
            table = region.table
            if table is None:
                return hold
            if handle in self.table.dying or region.revoked:
                hold.drop()
                return None
            pages, write = pages_of(region.request, offset, request.length, self.kernel.page_size), request.writes
            if table.missing(pages, write=write) is None:
                return hold
            hold.drop()
            if not (yield from self.on_demand.fault_in(table, pages, write=write)):
                return None

    def _handle_of(self, key: str) -> int:
        context, _, handle = key.rpartition("/")
        return int(handle) if context == self.context and handle.isdecimal() else 0

    @staticmethod
    def _allows(region: Region, request: MapDma) -> bool:
        registered = region.request
        return (
            (not region.revoked or bool(region.successor))
            and registered.pd == request.pd
            and registered.access & request.access == request.access
            and request.offset >= 0
            and request.length > 0
            and request.offset + request.length <= registered.length
        )

    def _segments(self, region: Region, offset: int, length: int) -> tuple[tuple[PinnedPage, int, int], ...]:
        segments = []
        offset += region.request.offset
        while length:
            index, inside = divmod(offset, self.kernel.page_size)
            part = min(length, self.kernel.page_size - inside)
            segments.append((region.page(index), inside, part))
            offset, length = offset + part, length - part
        return tuple(segments)

    @handles(UnmapDma)
    def unmap_dma(self, request: UnmapDma, _src: Address) -> None:
        """Let the region go."""
        region = self.table.things[request.handle]
        assert isinstance(region, Region)
        region.device.pop().drop()


def pages_of(region: Register, offset: int, length: int, page_size: int) -> range:
    """Return the pages of a region that a range of it touches, by their places in it."""
    begin = region.offset + offset
    return range(begin // page_size, (begin + length - 1) // page_size + 1)
