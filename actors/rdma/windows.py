"""Memory windows: keys of their own for parts of a region, which the device gives and takes [ibv_alloc_mw(3)].

A window of type 1 belongs to its protection domain and is bound anew at will. One of type 2 belongs to the queue pair
that has bound it, and must be invalidated before it is bound again. The program names a window by its handle, so it
always has the key of the last binding.
"""

import errno

from longpin.actors.base import ActorPart, handles
from longpin.actors.constants import (
    IBV_ACCESS_LOCAL_WRITE,
    IBV_ACCESS_MW_BIND,
    IBV_ACCESS_REMOTE_ATOMIC,
    IBV_ACCESS_REMOTE_READ,
    IBV_ACCESS_REMOTE_WRITE,
    IBV_ACCESS_ZERO_BASED,
    IBV_MW_TYPE_1,
    IBV_MW_TYPE_2,
)
from longpin.actors.conversation import KernelError
from longpin.actors.rdma.objects import MemoryWindow, ObjectTable, Pd, Region
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.rdma.verbs import Handle, MapDma
from longpin.messages.rdma.windows import AllocMw, BindWindow, FindWindow, InvalidateWindow

REMOTE_WRITES = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC
ACCESS_SUPPORTED = REMOTE_WRITES | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_ZERO_BASED
"""What a window can allow [code: RXE_ACCESS_SUPPORTED_MW]."""


class Windows(ActorPart):
    """The memory windows of a context."""

    def __init__(self, context: Address, table: ObjectTable) -> None:
        self.context = context
        self.table = table

    @handles(AllocMw)
    def alloc(self, request: AllocMw, _src: Address) -> Handle:
        """ibv_alloc_mw(3): bound to nothing."""
        self.table.check_device()
        self.table.find(Pd, request.pd)
        if request.type not in (IBV_MW_TYPE_1, IBV_MW_TYPE_2):
            raise KernelError(errno.EINVAL)
        self.table.use(request.pd)
        return Handle(self.table.add(MemoryWindow(request.pd, request.type)))

    @handles(FindWindow)
    def find(self, request: FindWindow, _src: Address) -> Done:
        """Return the type of a window."""
        self.table.check_device()
        return Done(self.table.find(MemoryWindow, request.mw).type)

    def of_key(self, key: str) -> MemoryWindow | None:
        """Return the window that a key names, if it is one of this context."""
        context, _, handle = key.rpartition("/")
        thing = self.table.things.get(int(handle)) if context == self.context and handle.isdecimal() else None
        return thing if isinstance(thing, MemoryWindow) else None

    @handles(BindWindow)
    def bind(self, request: BindWindow, _src: Address) -> Done:
        """Bind a window, or with no region have it bound to nothing."""
        window = self.of_key(request.key)
        region = self.table.things.get(request.mr)
        if window is None or window.pd != request.pd:
            raise KernelError(errno.EINVAL)
        nothing = not request.length
        second = window.type == IBV_MW_TYPE_2
        if second and (window.mr or nothing):  # o10-37.2.30, o10-37.2.40
            raise KernelError(errno.EINVAL)
        if not nothing and (not isinstance(region, Region) or not self._fits(request, region, second=second)):
            raise KernelError(errno.EINVAL)
        self.drop(window)
        if isinstance(region, Region) and not nothing:
            region.windows += 1
            window.mr, window.offset, window.length = request.mr, request.offset, request.length
            window.access, window.qp = request.access, request.qp if second else ""
        return DONE

    def _fits(self, request: BindWindow, region: Region, *, second: bool) -> bool:
        """Return whether a window may be bound to a region [code: rxe_check_bind_mw]."""
        has = region.request.access
        return (
            request.mr not in self.table.dying
            and not region.revoked
            and region.request.pd == request.pd
            and bool(has & IBV_ACCESS_MW_BIND)
            and not has & IBV_ACCESS_ZERO_BASED
            and not request.access & ~ACCESS_SUPPORTED
            and (second or not request.access & IBV_ACCESS_ZERO_BASED)
            and not (request.access & REMOTE_WRITES and not has & IBV_ACCESS_LOCAL_WRITE)
            and request.offset >= 0
            and request.offset + request.length <= region.request.length
        )

    @handles(InvalidateWindow)
    def invalidate(self, request: InvalidateWindow, _src: Address) -> Done:
        """Take a key away; the window can be bound again."""
        window = self.of_key(request.key)
        if window is None or window.type != IBV_MW_TYPE_2 or not window.mr:
            raise KernelError(errno.EINVAL)
        self.drop(window)
        return DONE

    def drop(self, window: MemoryWindow) -> None:
        """Unbind a window from its region."""
        region = self.table.things.get(window.mr)
        if isinstance(region, Region):
            region.windows -= 1
        window.unbind()

    def translate(self, request: MapDma) -> tuple[int, int] | None:
        """Return the region that a window's key leads to, and where in it; None: it does not allow the access."""
        window = self.of_key(request.key)
        if (
            window is None
            or not window.mr
            or window.pd != request.pd
            or (window.qp and window.qp != request.qp)
            or window.access & request.access != request.access
            or request.offset < 0
            or request.offset + request.length > window.length
        ):
            return None
        return window.mr, window.offset + request.offset
