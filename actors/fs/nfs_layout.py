"""The layout that a pNFS client has of a file: knfsd's side, which manages its lease, and the client's [1.4.1].

It stands in the place of :mod:`longpin.actors.fs.lease`: when the lease is broken it is told, recalls the layout from
its client, and fences the client that does not return it. Names are those of ``fs/nfsd/nfs4layouts.c`` and RFC 8881.
"""

import errno
from collections.abc import Iterator
from typing import NamedTuple

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.conversation import Call, Conversation, KernelError, Step, WaitQueue, WaitsFor
from longpin.actors.locks import Lock
from longpin.messages.clock import CLOCK, ArmTimer, CancelTimer, TimerExpired
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.file import Data
from longpin.messages.fs.layout import (
    AwaitRecall,
    CommitLayout,
    CutOff,
    LayoutMapped,
    LayoutPage,
    LayoutRead,
    LayoutReturned,
    LayoutWrite,
    MapLayout,
    PreemptClient,
    Preempted,
    ReturnLayout,
)
from longpin.messages.fs.lease import Break, Drop
from longpin.messages.mm.memory import Dma

LEASE_PERIODS = 2
"""So many times its lease with the server a client has to return what was recalled [code: nfsd4_cb_layout_done]."""
FENCE = "fence"


class LayoutTerms(NamedTuple):
    """What a layout needs to know of client and machine."""

    lease_time: float
    """Seconds of the client's lease with the server."""
    page_size: int


class NfsLayout(Actor):
    """One layout of one client. What it remembers of blocks it uses without asking anybody, until it is fenced."""

    def __init__(
        self, engine: Engine, address: Address, inode: Address, memory: Address, client: Address, terms: LayoutTerms
    ) -> None:
        super().__init__(engine, address)
        self.inode = inode
        self.memory = memory
        self.client = client
        self.lease_time, self.page_size = terms
        self.pages: dict[int, LayoutPage] = {}
        """What the client was told."""
        self.recalled = False
        self.fenced = False
        """Its client cannot reach the device any more, because of this layout or of another one."""
        self.gone = False
        """The lease is off the list."""
        self.recalls = WaitQueue()
        self.in_use = Lock(self, f"device access through {address} to end")
        """Held shared by the client's accesses, exclusively while they are cut off."""

    # knfsd.

    @handles(Break)
    def recall(self, _request: Break, _src: Address) -> Done:
        """nfsd4_layout_lm_break: send CB_LAYOUTRECALL, and set a time of its own, whatever the break time is."""
        self.recalled = True
        self.recalls.wake_all(self)
        self.send(CLOCK, ArmTimer(FENCE, LEASE_PERIODS * self.lease_time))
        return DONE

    @handles(TimerExpired)
    def fence(self, _timer: TimerExpired, _src: Address) -> Conversation[None] | None:
        """Cut the client off from the device, with all its layouts there, and take this one for returned."""
        return None if self.gone else self._fence()

    def _fence(self) -> Conversation[None]:
        yield from self._end_accesses()
        preempted: Preempted = yield Call(self.memory, PreemptClient(self.client))
        for other in preempted.layouts:
            if other != self.address:
                yield Call(other, CutOff())
        yield Call(self.inode, LayoutReturned(self.address))

    def _end_accesses(self) -> Conversation[None]:
        self.fenced = True
        with (yield self.in_use.exclusive()):
            pass

    @handles(CutOff)
    def cut_off(self, _request: CutOff, _src: Address) -> Conversation[Done]:
        """Keep the layout, which is no use to its client any more: it did not return another one."""
        if not self.gone:
            yield from self._end_accesses()
        return DONE

    @handles(Drop)
    def drop(self, _request: Drop, _src: Address) -> Conversation[Done]:
        """Let the client's accesses end: the lease is off the list."""
        self.gone = True
        if self.recalled:
            self.send(CLOCK, CancelTimer(FENCE))
        self.recalls.wake_all(self)
        with (yield self.in_use.exclusive()):
            return DONE

    # The client.

    @handles(AwaitRecall)
    def await_recall(self, _request: AwaitRecall, _src: Address) -> Conversation[Done]:
        """Wait for the recall.

        Raises:
            KernelError: EINTR, or EINVAL if there is no layout any more.

        """
        while not self.recalled:
            self._check_there()
            yield self.recalls.sleep(WaitsFor("recall", self.address, "the recall of a layout"))
        return DONE

    @handles(ReturnLayout)
    def give_back(self, _request: ReturnLayout, _src: Address) -> Conversation[Done]:
        """LAYOUTRETURN: EINVAL if it is gone, fenced or not."""
        self._check_there()
        self.pages.clear()
        yield Call(self.inode, LayoutReturned(self.address))
        return DONE

    def _check_there(self) -> None:
        if self.gone:
            raise KernelError(errno.EINVAL)

    @handles(LayoutWrite)
    def write(self, request: LayoutWrite, _src: Address) -> Conversation[Done]:
        """Write to the blocks that the client knows; ask for those that it does not, and tell of what was written.

        Raises:
            KernelError: EIO, it was fenced; EINVAL, it has no layout; EAGAIN, it needs more of a layout that was
                recalled; ENOSPC.

        """
        end = request.offset + len(request.data)
        yield from self._map(request.offset, end, allocate=True)
        done = 0
        for page, inside, part in self._split(request.offset, end):
            yield from self._access(page, inside, part, request.data[done : done + part])
            done += part
        if not self.gone:
            yield Call(self.inode, CommitLayout(end))
        return Done(done)

    @handles(LayoutRead)
    def read(self, request: LayoutRead, _src: Address) -> Conversation[Data]:
        """Read blocks that the client knows; what has none is zeros.

        Raises:
            KernelError: EIO, EINVAL or EAGAIN, as :meth:`write`.

        """
        end = request.offset + request.count
        size = yield from self._map(request.offset, end, allocate=False)
        data = b""
        for page, inside, part in self._split(request.offset, min(end, size)):
            known = page in self.pages
            data += (yield from self._access(page, inside, part, None)) if known else bytes(part)
        return Data(data)

    def _map(self, start: int, end: int, *, allocate: bool) -> Conversation[int]:
        """Ask for what the client does not know of a byte range; return up to where there is something to read."""
        first, last = start // self.page_size, (end - 1) // self.page_size
        self._check_access()
        if all(page in self.pages for page in range(first, last + 1)):
            return end
        self._check_there()
        if self.recalled:  # NFS4ERR_RECALLCONFLICT
            raise KernelError(errno.EAGAIN)
        mapped: LayoutMapped = yield Call(self.inode, MapLayout(first, last, allocate))
        if not self.gone:
            self.pages |= {page.page: page for page in mapped.pages}
        return mapped.size

    def _access(self, page: int, inside: int, length: int, data: bytes | None) -> Conversation[bytes]:
        """Have the device read or write a block where the client remembers it, unless it was cut off."""
        with (yield self.in_use.shared()):
            self._check_access()
            known = self.pages.get(page)
            if known is None:  # it was given back meanwhile
                raise KernelError(errno.EINVAL)
            yield Step()  # the device has the request
            access = Dma(known.block, known.generation, self.inode, page, inside, length, data, self.address)
            answer: Data = yield Call(self.memory, access)
        return answer.data

    def _check_access(self) -> None:
        if self.fenced:
            raise KernelError(errno.EIO)
        if self.gone:
            raise KernelError(errno.EINVAL)

    def _split(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Yield page, offset in it and length for each page of a byte range."""
        while start < end:
            page, inside = divmod(start, self.page_size)
            part = min(end - start, self.page_size - inside)
            yield page, inside, part
            start += part
