"""A queue pair of the NIC: it executes work requests later, against physical pages [1.10]."""

import errno
from collections import deque

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.constants import (
    IBV_ACCESS_LOCAL_WRITE,
    IBV_ACCESS_REMOTE_READ,
    IBV_ACCESS_REMOTE_WRITE,
    IBV_QPS_ERR,
    IBV_QPS_INIT,
    IBV_QPS_RESET,
    IBV_QPS_RTR,
    IBV_QPS_RTS,
    IBV_WC_LOC_PROT_ERR,
    IBV_WC_REM_ACCESS_ERR,
    IBV_WC_RETRY_EXC_ERR,
    IBV_WC_SUCCESS,
    IBV_WC_WR_FLUSH_ERR,
    IBV_WR_RDMA_READ,
)
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.kernel.machine import Kernel
from longpin.actors.locks import Lock
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.mm.memory import ZERO_PAGE, Dma
from longpin.messages.rdma.verbs import (
    Complete,
    Destroy,
    DoWork,
    MapDma,
    ModifyQp,
    PostSend,
    RemoteAccess,
    RemoteDone,
    Segments,
    UnmapDma,
)

TRANSITIONS = {
    IBV_QPS_INIT: (IBV_QPS_RESET, IBV_QPS_INIT),
    IBV_QPS_RTR: (IBV_QPS_INIT,),
    IBV_QPS_RTS: (IBV_QPS_RTR, IBV_QPS_RTS),
}
"""States from which a state can be reached; RESET and ERR can be reached from everywhere."""


class ProtectionError(Exception):
    """A key does not allow the access."""


class QueuePair(Actor):
    """One reliable connection."""

    def __init__(self, engine: Engine, address: Address, kernel: Kernel, context: Address, pd: int, cq: int) -> None:
        super().__init__(engine, address)
        self.kernel = kernel
        self.context = context
        self.pd = pd
        self.cq = cq
        self.state = IBV_QPS_RESET
        self.peer: Address = ""
        self.send_queue: deque[PostSend] = deque()
        self.pipeline = Lock(self, f"the send queue of {address}")
        """Requests of one queue pair are executed in order."""

    # Verbs.

    @handles(ModifyQp)
    def modify(self, request: ModifyQp, _src: Address) -> Done:
        """ibv_modify_qp(3): RESET, INIT, RTR with a peer, RTS."""
        allowed = TRANSITIONS.get(request.state)
        if allowed is None and request.state not in (IBV_QPS_RESET, IBV_QPS_ERR):
            raise KernelError(errno.EINVAL)
        if (allowed is not None and self.state not in allowed) or (request.state == IBV_QPS_RTR) != bool(request.peer):
            raise KernelError(errno.EINVAL)
        self.peer = request.peer or self.peer
        if request.state == IBV_QPS_RESET:
            self.send_queue.clear()
        self.state = request.state
        return DONE

    @handles(PostSend)
    def post_send(self, request: PostSend, _src: Address) -> Done:
        """ibv_post_send(3): queue the request; the call does not wait for it."""
        if self.state not in (IBV_QPS_RTS, IBV_QPS_ERR):
            raise KernelError(errno.EINVAL)
        self.send_queue.append(request)
        self.send(self.address, DoWork())
        return DONE

    @handles(Destroy)
    def destroy(self, _request: Destroy, _src: Address) -> Done:
        """Take the queue pair down: what is queued is never done."""
        self.state = IBV_QPS_RESET
        self.send_queue.clear()
        return DONE

    # The device.

    @handles(DoWork)
    def work(self, _request: DoWork, _src: Address) -> Conversation[None]:
        """Execute the oldest request; in ERR it is flushed."""
        with (yield self.pipeline.exclusive()):
            if not self.send_queue:
                return
            request = self.send_queue.popleft()
            if self.state == IBV_QPS_ERR:
                status = IBV_WC_WR_FLUSH_ERR
            else:
                status = yield from self._execute(request)
            if status != IBV_WC_SUCCESS and self.state == IBV_QPS_RTS:
                self.state = IBV_QPS_ERR
        self.send(self.context, Complete(self.cq, status))

    def _execute(self, request: PostSend) -> Conversation[int]:
        local = f"{self.context}/{request.local}"
        reads = request.opcode == IBV_WR_RDMA_READ
        try:
            data = request.inline
            if data is None and not reads:
                data = yield from self._dma(local, 0, 0, request.length, None)
            answer = yield Call(self.peer, RemoteAccess(request.remote, request.offset, request.length, data))
            if reads and answer.status == IBV_WC_SUCCESS:
                yield from self._dma(local, IBV_ACCESS_LOCAL_WRITE, 0, request.length, answer.data)
        except ProtectionError:
            return IBV_WC_LOC_PROT_ERR
        status: int = answer.status
        return status

    @handles(RemoteAccess)
    def remote_access(self, request: RemoteAccess, _src: Address) -> Conversation[RemoteDone]:
        """Serve the peer; one that is not ready is silent, an access the key does not allow ends the connection."""
        if self.state not in (IBV_QPS_RTR, IBV_QPS_RTS):
            return RemoteDone(IBV_WC_RETRY_EXC_ERR, b"")
        access = IBV_ACCESS_REMOTE_READ if request.data is None else IBV_ACCESS_REMOTE_WRITE
        try:
            data = yield from self._dma(request.key, access, request.offset, request.length, request.data)
        except ProtectionError:
            self.state = IBV_QPS_ERR
            return RemoteDone(IBV_WC_REM_ACCESS_ERR, b"")
        return RemoteDone(IBV_WC_SUCCESS, data)

    def _dma(self, key: str, access: int, offset: int, length: int, data: bytes | None) -> Conversation[bytes]:
        """Access physical pages, one at a time; the region cannot go away meanwhile, but the file's map can change."""
        mapped: Segments = yield Call(self.context, MapDma(key, self.pd, access, offset, length, data is not None))
        if not mapped.segments:
            raise ProtectionError
        result, done = b"", 0
        for page, inside, part in mapped.segments:
            piece = None if data is None else data[done : done + part]
            done += part
            if page.frame == ZERO_PAGE and not self.kernel.zero_page_is_written:
                result += bytes(part)
                continue
            number = page.frame.number
            access_page = Dma(number, page.generation, page.inode, page.page, inside, part, piece, mapped.region)
            result += (yield Call(page.frame.memory, access_page)).data
        self.send(self.context, UnmapDma(mapped.handle))
        return result
