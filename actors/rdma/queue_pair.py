"""A queue pair of the NIC: it executes work requests later, against physical pages [1.10]."""

import errno
from collections.abc import Mapping
from typing import ClassVar

from longpin.actors.base import Actor, ActorPart, Engine, handles
from longpin.actors.constants import IBV_QPS_ERR, IBV_QPS_RESET, IBV_QPS_RTR, IBV_QPS_RTS
from longpin.actors.conversation import KernelError
from longpin.actors.kernel.machine import Kernel
from longpin.actors.rdma.connection import Connection
from longpin.actors.rdma.dma import DmaEngine
from longpin.actors.rdma.requester import Requester
from longpin.actors.rdma.responder import Responder
from longpin.actors.rdma.states import DESTROYED, RECEIVES, SENDS, is_ok
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.rdma.verbs import QueuePairQueues
from longpin.messages.rdma.work import Destroy, FailQp, ModifyQp, PostReceive, PostSend, QueryQp


class QueuePair(Actor):
    """One reliable connection."""

    parts: ClassVar[Mapping[str, type[ActorPart]]] = {"requester": Requester, "responder": Responder}

    def __init__(
        self, engine: Engine, address: Address, kernel: Kernel, context: Address, queues: QueuePairQueues
    ) -> None:
        super().__init__(engine, address)
        self.connection = Connection(self, context, queues)
        dma = DmaEngine(kernel, self.connection)
        self.requester = Requester(self.connection, dma)
        self.responder = Responder(self.connection, dma)

    @handles(ModifyQp)
    def modify(self, request: ModifyQp, _src: Address) -> Done:
        """ibv_modify_qp(3): to RTR it needs a peer; EINVAL where one state does not lead to the other."""
        connection = self.connection
        if not is_ok(connection.state, request.state) or (request.state == IBV_QPS_RTR) != bool(request.peer):
            raise KernelError(errno.EINVAL)
        connection.peer = request.peer or connection.peer
        if request.access is not None:
            connection.access = request.access
        if request.rnr_retry is not None:
            connection.rnr_retry = request.rnr_retry
        if request.state == IBV_QPS_RESET:
            self._reset()
        elif request.state == IBV_QPS_ERR:
            connection.fail()
        connection.state = request.state
        if request.state in (IBV_QPS_RTS, IBV_QPS_ERR):
            self.requester.resume()
        return DONE

    @handles(QueryQp)
    def query(self, _request: QueryQp, _src: Address) -> Done:
        """ibv_query_qp(3): the state."""
        return Done(self.connection.state)

    def _reset(self) -> None:
        self.connection.reset()
        self.requester.clear()

    @handles(PostSend)
    def post_send(self, request: PostSend, _src: Address) -> Done:
        """ibv_post_send(3): queue the request; the call does not wait for it."""
        if self.connection.state not in SENDS:
            raise KernelError(errno.EINVAL)
        if len(self.requester.queue) >= self.connection.queues.max_send_wr:
            raise KernelError(errno.ENOMEM)
        self.requester.post(request)
        return DONE

    @handles(PostReceive)
    def post_receive(self, request: PostReceive, _src: Address) -> Done:
        """ibv_post_recv(3): queue a buffer; in ERR it is flushed."""
        connection = self.connection
        if connection.state not in RECEIVES or connection.queues.srq:
            raise KernelError(errno.EINVAL)
        if len(connection.receives) >= connection.queues.max_recv_wr:
            raise KernelError(errno.ENOMEM)
        connection.receives.append(request.request)
        if connection.state == IBV_QPS_ERR:
            connection.fail()
        connection.waiters.wake_all(self)
        return DONE

    @handles(FailQp)
    def fail(self, _request: FailQp, _src: Address) -> Done:
        """The device is gone: what is posted is flushed, and what will be."""
        self.connection.fail()
        self.requester.resume()
        return DONE

    @handles(Destroy)
    def destroy(self, request: Destroy, _src: Address) -> Done:
        """Take the queue pair down: what is queued is never done."""
        self._reset()
        if not request.completes:
            self.connection.state = DESTROYED
        return DONE
