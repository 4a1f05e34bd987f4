"""The end of a connection that asks: requests of the send queue, one by one, some time after they came [1.10]."""

from collections import deque

from longpin.actors.base import ActorPart, handles
from longpin.actors.constants import (
    IBV_ACCESS_LOCAL_WRITE,
    IBV_QPS_ERR,
    IBV_QPS_RTS,
    IBV_QPS_SQD,
    IBV_WC_BIND_MW,
    IBV_WC_COMP_SWAP,
    IBV_WC_FETCH_ADD,
    IBV_WC_LOC_PROT_ERR,
    IBV_WC_LOC_QP_OP_ERR,
    IBV_WC_LOCAL_INV,
    IBV_WC_MW_BIND_ERR,
    IBV_WC_RDMA_READ,
    IBV_WC_RDMA_WRITE,
    IBV_WC_RNR_RETRY_EXC_ERR,
    IBV_WC_SEND,
    IBV_WC_SUCCESS,
    IBV_WC_WR_FLUSH_ERR,
    IBV_WR_ATOMIC_CMP_AND_SWP,
    IBV_WR_ATOMIC_FETCH_AND_ADD,
    IBV_WR_BIND_MW,
    IBV_WR_LOCAL_INV,
    IBV_WR_RDMA_READ,
    IBV_WR_RDMA_WRITE,
    IBV_WR_RDMA_WRITE_WITH_IMM,
    IBV_WR_SEND,
    IBV_WR_SEND_WITH_IMM,
    IBV_WR_SEND_WITH_INV,
)
from longpin.actors.conversation import Call, Conversation, KernelError, Wait, WaitQueue, WaitsFor
from longpin.actors.locks import Lock
from longpin.actors.rdma.connection import FOR_EVER, Connection
from longpin.actors.rdma.dma import ATOMIC_BYTES, DmaEngine, ProtectionError
from longpin.messages.clock import CLOCK, ArmTimer, TimerExpired
from longpin.messages.envelope import Address
from longpin.messages.rdma.windows import BindWindow, InvalidateWindow
from longpin.messages.rdma.work import Completion, DoWork, PostSend, RemoteAccess, RemoteDone

COMPLETES_AS = {
    IBV_WR_RDMA_WRITE: IBV_WC_RDMA_WRITE,
    IBV_WR_RDMA_WRITE_WITH_IMM: IBV_WC_RDMA_WRITE,
    IBV_WR_RDMA_READ: IBV_WC_RDMA_READ,
    IBV_WR_ATOMIC_CMP_AND_SWP: IBV_WC_COMP_SWAP,
    IBV_WR_ATOMIC_FETCH_AND_ADD: IBV_WC_FETCH_ADD,
    IBV_WR_LOCAL_INV: IBV_WC_LOCAL_INV,
    IBV_WR_BIND_MW: IBV_WC_BIND_MW,
    **dict.fromkeys((IBV_WR_SEND, IBV_WR_SEND_WITH_IMM, IBV_WR_SEND_WITH_INV), IBV_WC_SEND),
}
"""The opcode of the completion of each request, which is every request there is."""
FETCHES = (IBV_WR_RDMA_READ, IBV_WR_ATOMIC_CMP_AND_SWP, IBV_WR_ATOMIC_FETCH_AND_ADD)
"""What brings bytes back."""
RNR_TIMER = 0.01
"""Seconds before a peer without a receive is asked again."""


class Requester(ActorPart):
    """The send queue of a queue pair."""

    def __init__(self, connection: Connection, dma: DmaEngine) -> None:
        self.connection = connection
        self.dma = dma
        self.queue: deque[PostSend] = deque()
        self.drained = 0
        """How many requests were due while the queue was drained (SQD)."""
        self.pipeline = Lock(connection.actor, f"the send queue of {connection.actor.address}")
        """Requests of one queue pair are executed in order."""
        self.timers: dict[str, WaitQueue] = {}
        """Who waits before it asks again, by the name of the timer."""
        self.timers_armed = 0

    def post(self, request: PostSend) -> None:
        """Queue a request, and see to it some time."""
        self.queue.append(request)
        self.connection.actor.send(self.connection.actor.address, DoWork())

    def resume(self) -> None:
        """Go on after the queue was drained."""
        while self.drained:
            self.drained -= 1
            self.connection.actor.send(self.connection.actor.address, DoWork())

    def clear(self) -> None:
        """Forget what is queued."""
        self.queue.clear()
        self.drained = 0

    @handles(DoWork)
    def work(self, _request: DoWork, _src: Address) -> Conversation[None]:
        """Execute the oldest request; in ERR it is flushed."""
        connection = self.connection
        with (yield self.pipeline.exclusive()):
            if not self.queue:
                return
            if connection.state == IBV_QPS_SQD:
                self.drained += 1
                return
            request = self.queue.popleft()
            if connection.state == IBV_QPS_ERR:
                status = IBV_WC_WR_FLUSH_ERR
            else:
                status = yield from self._execute(request)
            if status != IBV_WC_SUCCESS and connection.state in (IBV_QPS_RTS, IBV_QPS_SQD):
                connection.fail()
                self.resume()
        length = request.length if request.opcode in FETCHES and status == IBV_WC_SUCCESS else 0
        opcode = COMPLETES_AS[request.opcode] if status == IBV_WC_SUCCESS else 0
        connection.complete(connection.queues.send_cq, Completion(status, opcode, length))

    def _execute(self, request: PostSend) -> Conversation[int]:
        if request.opcode == IBV_WR_BIND_MW:
            return (yield from self._bind(request))
        if request.opcode == IBV_WR_LOCAL_INV:
            return (yield from self._invalidate(request))
        local, fetches = self.dma.local(request.local), request.opcode in FETCHES
        try:
            data = request.inline
            if data is None and request.local and not fetches:
                data = yield from self.dma.move(local, 0, 0, request.length, None)
            answer = yield from self._ask(request, data)
            if fetches and answer.status == IBV_WC_SUCCESS:
                yield from self.dma.move(local, IBV_ACCESS_LOCAL_WRITE, 0, request.length, answer.data)
        except ProtectionError:
            return IBV_WC_LOC_PROT_ERR
        return answer.status

    def _ask(self, request: PostSend, data: bytes | None) -> Conversation[RemoteDone]:
        """Ask the peer, and one that has no receive ready again, as often as was said."""
        connection = self.connection
        tries = connection.rnr_retry
        r = request
        wire = r.remote, r.offset, r.length, data, r.opcode, r.operand, r.swap, r.window
        access = RemoteAccess(*wire, wait=tries == FOR_EVER)
        while True:
            answer: RemoteDone = yield Call(connection.peer, access)
            if answer.status != IBV_WC_RNR_RETRY_EXC_ERR or not tries or connection.state != IBV_QPS_RTS:
                return answer
            tries -= 1
            yield from self._wait()

    def _wait(self) -> Conversation[None]:
        actor = self.connection.actor
        self.timers_armed += 1
        name = f"rnr {self.timers_armed}"
        queue = self.timers[name] = WaitQueue()
        actor.send(CLOCK, ArmTimer(name, RNR_TIMER))
        while name in self.timers:
            yield queue.sleep(WaitsFor("timer", CLOCK, "the peer to be ready"), Wait.UNINTERRUPTIBLE)

    @handles(TimerExpired)
    def ask_again(self, timer: TimerExpired, _src: Address) -> None:
        """Ask again: the peer has had its time."""
        self.timers.pop(timer.name).wake_all(self.connection.actor)

    # Keys.

    def _bind(self, request: PostSend) -> Conversation[int]:
        r, connection = request, self.connection
        what = r.remote, r.local, r.offset, r.length, r.operand
        try:
            yield Call(connection.context, BindWindow(*what, connection.pd, connection.actor.address))
        except KernelError:
            return IBV_WC_MW_BIND_ERR
        return IBV_WC_SUCCESS

    def _invalidate(self, request: PostSend) -> Conversation[int]:
        try:
            yield Call(self.connection.context, InvalidateWindow(request.remote))
        except KernelError:
            return IBV_WC_LOC_QP_OP_ERR
        return IBV_WC_SUCCESS


def length_of(opcode: int, length: int) -> int:
    """Return how many bytes a request moves: an atomic moves one number."""
    return ATOMIC_BYTES if opcode in (IBV_WR_ATOMIC_CMP_AND_SWP, IBV_WR_ATOMIC_FETCH_AND_ADD) else length
