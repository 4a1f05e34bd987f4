"""The layout that a pNFS client has of a file: knfsd's side, which manages its lease, and the client's [1.4.1].

It stands in the place of :mod:`longpin.actors.fs.lease`: when the lease is broken it is told, recalls the layout from
its client, and fences the client that does not return it. Names are those of ``fs/nfsd/nfs4layouts.c`` and RFC 8881.
"""

import errno
from collections.abc import Iterator
from typing import Any, NamedTuple

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.conversation import Call, Conversation, KernelError, Step, WaitQueue, WaitsFor
from longpin.actors.fs.nfs_threads import served
from longpin.actors.kernel.nfs_server import LayoutType, NfsServer, OnTimeout
from longpin.actors.locks import Lock
from longpin.messages.clock import CLOCK, ArmTimer, CancelTimer, TimerExpired
from longpin.messages.envelope import DONE, Address, Done, Message
from longpin.messages.fs.file import Data
from longpin.messages.fs.inode import LeaseOverdue
from longpin.messages.fs.layout import (
    AwaitRecall,
    BreakerTimedOut,
    CommitLayout,
    CutOff,
    Disposal,
    DisposeLayout,
    FenceClient,
    FenceWork,
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
from longpin.messages.fs.lease import Break, Drop, Level
from longpin.messages.mm.memory import Dma

LEASE_PERIODS = 2
"""So many times its lease with the server a client has to return what was recalled [code: nfsd4_cb_layout_done]."""
POLL_SECONDS = 0.01
"""So often knfsd asks whether a recalled layout was returned [code: nfsd4_cb_layout_done]."""
FIRST_RETRY = 1.0
MOST_RETRY = 180.0
"""Seconds from one failed fence to the next, twice as many each time [code: nfsd4_layout_fence_worker]."""
RECALL, POLL, RETRY = "fence", "poll", "retry"
"""Timers: the client's time is over; it is asked again; the fence is tried again."""


class LayoutTerms(NamedTuple):
    """What a layout needs to know of client and machine."""

    lease_time: float
    """Seconds of the client's lease with the server."""
    page_size: int
    server: NfsServer
    on_timeout: OnTimeout


class NfsLayout(Actor):
    """One layout of one client. What it remembers of blocks it uses without asking anybody, until it is fenced."""

    def __init__(
        self, engine: Engine, address: Address, inode: Address, memory: Address, client: Address, terms: LayoutTerms
    ) -> None:
        super().__init__(engine, address)
        self.inode = inode
        self.memory = memory
        self.client = client
        self.lease_time, self.page_size, self.server, self.on_timeout = terms
        self.pages: dict[int, LayoutPage] = {}
        """What the client was told."""
        self.recalled = False
        self.fenced = False
        """Its client cannot reach the device any more, because of this layout or of another one."""
        self.gone = False
        """The server has nothing of it any more."""
        self.given_up = False
        """Its client knows that, because it gave the layout up."""
        self.disposed = False
        """The lease went because its break time was over, and the layout did not: nobody keeps the client away."""
        self.working = False
        """The fence worker has begun and not ended; the lease ends with it."""
        self.failures = 0
        """How many fences have failed."""
        self.delay = 0.0
        """Seconds to the next one."""
        self.recalls = WaitQueue()
        self.in_use = Lock(self, f"device access through {address} to end")
        """Held shared by the client's accesses, exclusively while they are cut off."""

    # knfsd: the recall.

    @handles(Break)
    def recall(self, request: Break, _src: Address) -> Done:
        """nfsd4_layout_lm_break: send CB_LAYOUTRECALL, which has a time of its own, beside the break time if any."""
        self.recalled = True
        self.recalls.wake_all(self)
        self.send(CLOCK, ArmTimer(RECALL, LEASE_PERIODS * self.lease_time))
        if request.seconds:
            self.send(CLOCK, ArmTimer(Level.UNLOCK, request.seconds))
        return DONE

    @handles(TimerExpired)
    def expired(self, timer: TimerExpired, _src: Address) -> Conversation[None] | None:
        """Do what a time was waited for."""
        match timer.name:
            case Level.UNLOCK:
                self.send(self.inode, LeaseOverdue(self.address, Level.UNLOCK))
            case _ if timer.name == RECALL and not self.gone:
                return self._recall_failed()
            case _ if timer.name == POLL:
                return self._end_lease()
            case _ if timer.name == RETRY:
                return self._fence_or_retry()
        return None

    def _recall_failed(self) -> Conversation[None]:
        """nfsd4_cb_layout_done, _release: fence the client, and take its layout for returned even if that failed."""
        yield from self._fence()
        self.gone = True
        if not self.working:
            yield from self._end_lease()

    def _end_lease(self) -> Conversation[None]:
        yield Call(self.inode, LayoutReturned(self.address))

    # knfsd: the break time is over, where that counts.

    @handles(BreakerTimedOut)
    def breaker_timed_out(self, _request: BreakerTimedOut, _src: Address) -> DisposeLayout:
        """nfsd4_layout_lm_breaker_timedout: say what becomes of the lease, and see to it that the client is fenced."""
        if self.server.layout_type is LayoutType.BLOCK or self.fenced or self.gone:
            self.disposed = not self.gone
            return DisposeLayout(Disposal.DROP)
        if self.on_timeout is OnTimeout.FENCE_SYNC:
            self.disposed = True
            return DisposeLayout(Disposal.DROP_THEN_FENCE)
        self.working = True
        self.send(self.address, FenceWork())
        return DisposeLayout(Disposal.KEEP)

    @handles(FenceClient)
    def fence_now(self, _request: FenceClient, _src: Address) -> Conversation[Done]:
        """Fence the client for who waits for that; nobody looks whether it worked [Ngo v1: lease_dispose_list]."""
        yield from self._fence()
        return DONE

    @handles(FenceWork)
    def fence_work(self, _request: FenceWork, _src: Address) -> Conversation[None]:
        """nfsd4_layout_fence_worker: fence the client, then end the lease."""
        return self._fence_or_retry()

    def _fence_or_retry(self) -> Conversation[None]:
        if not self.gone and not (yield from self._fence()):
            if not self.server.fence_retries or self.failures < self.server.fence_retries:
                self.delay = min(2 * self.delay, MOST_RETRY) or FIRST_RETRY
                self.send(CLOCK, ArmTimer(RETRY, self.delay))
                return
            self.disposed = True  # it gives up
        self.working = False
        self.gone = not self.disposed
        yield from self._end_lease()

    # knfsd: the fence.

    def _fence(self) -> Conversation[bool]:
        """Cut the client off from the device, with all its layouts there; return whether that was possible."""
        if self.failures < self.server.fence_failures:
            self.failures += 1
            return False
        yield from self._end_accesses()
        preempted: Preempted = yield Call(self.memory, PreemptClient(self.client))
        for other in preempted.layouts:
            if other != self.address:
                yield Call(other, CutOff())
        return True

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
        """Let the client's accesses end: the lease is off the list. If its break time was over they go on."""
        if self.disposed:
            return DONE
        if not self.gone:  # its description was closed
            self.gone = self.given_up = True
        if self.recalled:
            for timer in (RECALL, POLL, RETRY, Level.UNLOCK):
                self.send(CLOCK, CancelTimer(timer))
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
        """LAYOUTRETURN: EINVAL if it is gone, fenced or not. A lease that is being broken ends when knfsd asks next."""
        self._check_there()
        self.gone = self.given_up = True
        self.pages.clear()
        if not self.recalled:
            yield from self._end_lease()
        elif not self.working:
            self.send(CLOCK, ArmTimer(POLL, POLL_SECONDS))
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
            yield from served(self.server, self._ask(CommitLayout(end)))
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
        mapped: LayoutMapped = yield from served(self.server, self._ask(MapLayout(first, last, allocate)))
        if not self.gone:
            self.pages |= {page.page: page for page in mapped.pages}
        return mapped.size

    def _ask(self, request: Message) -> Conversation[Any]:
        return (yield Call(self.inode, request))

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
        if self.given_up:
            raise KernelError(errno.EINVAL)

    def _split(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Yield page, offset in it and length for each page of a byte range."""
        while start < end:
            page, inside = divmod(start, self.page_size)
            part = min(end - start, self.page_size - inside)
            yield page, inside, part
            start += part
