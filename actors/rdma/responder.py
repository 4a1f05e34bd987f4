"""The end of a connection that is written to and read from: it serves the peer without anybody's help [1.10]."""

from typing import NamedTuple

from longpin.actors.base import ActorPart, handles
from longpin.actors.constants import (
    IBV_ACCESS_LOCAL_WRITE,
    IBV_ACCESS_REMOTE_ATOMIC,
    IBV_ACCESS_REMOTE_READ,
    IBV_ACCESS_REMOTE_WRITE,
    IBV_WC_LOC_LEN_ERR,
    IBV_WC_LOC_PROT_ERR,
    IBV_WC_RECV,
    IBV_WC_RECV_RDMA_WITH_IMM,
    IBV_WC_REM_ACCESS_ERR,
    IBV_WC_REM_INV_REQ_ERR,
    IBV_WC_REM_OP_ERR,
    IBV_WC_RETRY_EXC_ERR,
    IBV_WC_RNR_RETRY_EXC_ERR,
    IBV_WC_SUCCESS,
    IBV_WR_ATOMIC_CMP_AND_SWP,
    IBV_WR_ATOMIC_FETCH_AND_ADD,
    IBV_WR_RDMA_READ,
    IBV_WR_RDMA_WRITE,
    IBV_WR_RDMA_WRITE_WITH_IMM,
    IBV_WR_SEND,
    IBV_WR_SEND_WITH_IMM,
    IBV_WR_SEND_WITH_INV,
)
from longpin.actors.conversation import Call, Conversation, KernelError, Wait, WaitsFor
from longpin.actors.rdma.connection import Connection
from longpin.actors.rdma.dma import DmaEngine, MisalignedError, ProtectionError
from longpin.actors.rdma.states import ANSWERS
from longpin.messages.envelope import Address
from longpin.messages.rdma.windows import InvalidateWindow
from longpin.messages.rdma.work import Completion, ReceiveRequest, RemoteAccess, RemoteDone, TakenReceive, TakeReceive

SEND_OPCODES = (IBV_WR_SEND, IBV_WR_SEND_WITH_IMM, IBV_WR_SEND_WITH_INV)
ATOMICS = (IBV_WR_ATOMIC_CMP_AND_SWP, IBV_WR_ATOMIC_FETCH_AND_ADD)
NEEDS = {
    IBV_WR_RDMA_WRITE: IBV_ACCESS_REMOTE_WRITE,
    IBV_WR_RDMA_WRITE_WITH_IMM: IBV_ACCESS_REMOTE_WRITE,
    IBV_WR_RDMA_READ: IBV_ACCESS_REMOTE_READ,
} | dict.fromkeys(ATOMICS, IBV_ACCESS_REMOTE_ATOMIC)
"""The right that the connection and the key must give to a request."""


class _Refused(Exception):
    """A request ends the connection."""

    def __init__(self, status: int) -> None:
        self.status = status
        """What the peer is told."""


class _Received(NamedTuple):
    """A receive that a request has taken."""

    request: ReceiveRequest
    pd: int
    """In which its key is looked up."""


class Responder(ActorPart):
    """What a queue pair does for its peer."""

    def __init__(self, connection: Connection, dma: DmaEngine) -> None:
        self.connection = connection
        self.dma = dma

    @handles(RemoteAccess)
    def remote_access(self, request: RemoteAccess, _src: Address) -> Conversation[RemoteDone]:
        """Serve the peer; one that is not ready is silent, an access the key does not allow ends the connection."""
        connection = self.connection
        if connection.state not in ANSWERS:
            return RemoteDone(IBV_WC_RETRY_EXC_ERR, b"")
        try:
            if request.opcode in SEND_OPCODES:
                yield from self._receive(request)
                return RemoteDone(IBV_WC_SUCCESS, b"")
            return RemoteDone(IBV_WC_SUCCESS, (yield from self._access(request)))
        except _Refused as refused:
            if refused.status != IBV_WC_RNR_RETRY_EXC_ERR and connection.state in ANSWERS:
                connection.fail()
            return RemoteDone(refused.status, b"")

    def _access(self, request: RemoteAccess) -> Conversation[bytes]:
        """Do what is one-sided."""
        needs = NEEDS[request.opcode]
        if not self.connection.access & needs:
            raise _Refused(IBV_WC_REM_INV_REQ_ERR)
        told = request.opcode == IBV_WR_RDMA_WRITE_WITH_IMM
        received = (yield from self._take(request)) if told else None
        try:
            if request.opcode in ATOMICS:
                return (yield from self.dma.atomic(request))
            data = yield from self.dma.move(
                request.key, needs, request.offset, request.length, request.data, window=request.window
            )
        except ProtectionError:
            raise _Refused(IBV_WC_REM_ACCESS_ERR) from None
        except MisalignedError:
            raise _Refused(IBV_WC_REM_INV_REQ_ERR) from None
        if received is not None:
            self._received(Completion(0, IBV_WC_RECV_RDMA_WITH_IMM, request.length, request.operand))
        return data

    # Two-sided.

    def _receive(self, request: RemoteAccess) -> Conversation[None]:
        """Put what is sent where the oldest receive says; an error of this end is told to both."""
        receive, pd = yield from self._take(request)
        data = request.data or b""
        if len(data) > receive.length:
            self._received(Completion(IBV_WC_LOC_LEN_ERR))
            raise _Refused(IBV_WC_REM_INV_REQ_ERR)
        if data:
            key = self.dma.local(receive.local)
            try:
                yield from self.dma.move(key, IBV_ACCESS_LOCAL_WRITE, receive.offset, len(data), data, pd=pd)
            except ProtectionError:
                self._received(Completion(IBV_WC_LOC_PROT_ERR))
                raise _Refused(IBV_WC_REM_OP_ERR) from None
        if request.opcode == IBV_WR_SEND_WITH_INV:
            try:
                yield Call(self.connection.context, InvalidateWindow(request.key))
            except KernelError:  # class J: nothing is sent back [code: RESPST_ERR_INVALIDATE_RKEY]
                self._received(Completion(IBV_WC_REM_INV_REQ_ERR))
                raise _Refused(IBV_WC_RETRY_EXC_ERR) from None
        told = request.operand if request.opcode == IBV_WR_SEND_WITH_IMM else 0
        self._received(Completion(0, IBV_WC_RECV, len(data), told))

    def _take(self, request: RemoteAccess) -> Conversation[_Received]:
        """Take the oldest receive; who finds none is not ready, and says so or waits for one."""
        connection = self.connection
        if connection.queues.srq:
            taken: TakenReceive = yield Call(connection.context, TakeReceive(connection.queues.srq, request.wait))
            if taken.request is None:
                raise _Refused(IBV_WC_RNR_RETRY_EXC_ERR)
            return _Received(taken.request, taken.pd)
        while not connection.receives and connection.state in ANSWERS and request.wait:
            reason = WaitsFor("completion", connection.actor.address, "a receive to be posted")
            yield connection.waiters.sleep(reason, Wait.UNINTERRUPTIBLE)
        if connection.state not in ANSWERS:
            raise _Refused(IBV_WC_RETRY_EXC_ERR)
        if not connection.receives:
            raise _Refused(IBV_WC_RNR_RETRY_EXC_ERR)
        return _Received(connection.receives.popleft(), connection.pd)

    def _received(self, completion: Completion) -> None:
        self.connection.complete(self.connection.queues.recv_cq, completion)
