"""Shared receive queues: buffers that several queue pairs take from, in order [ibv_create_srq(3)]."""

import errno

from longpin.actors.base import Actor, ActorPart, handles
from longpin.actors.constants import IBV_EVENT_SRQ_LIMIT_REACHED
from longpin.actors.conversation import Conversation, KernelError, Wait, WaitsFor
from longpin.actors.rdma.objects import ObjectTable, Pd, SharedReceiveQueue
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.rdma.revocation import QueueEvent
from longpin.messages.rdma.verbs import Handle
from longpin.messages.rdma.work import CreateSrq, ModifySrq, PostSrqReceive, TakenReceive, TakeReceive

MOST_RECEIVES = 16384
"""What a receive queue may have room for."""


class SharedReceives(ActorPart):
    """The shared receive queues of a context."""

    def __init__(self, actor: Actor, table: ObjectTable) -> None:
        self.actor = actor
        self.table = table

    @handles(CreateSrq)
    def create(self, request: CreateSrq, _src: Address) -> Handle:
        """ibv_create_srq(3)."""
        self.table.check_device()
        self.table.find(Pd, request.pd)
        if not 0 < request.max_wr <= MOST_RECEIVES or request.limit > request.max_wr:
            raise KernelError(errno.EINVAL)
        self.table.use(request.pd)
        return Handle(self.table.add(SharedReceiveQueue(request.pd, request.max_wr, request.limit)))

    @handles(ModifySrq)
    def modify(self, request: ModifySrq, _src: Address) -> Done:
        """ibv_modify_srq(3): arm the limit."""
        self.table.check_device()
        srq = self.table.find(SharedReceiveQueue, request.srq)
        if request.limit > srq.max_wr:
            raise KernelError(errno.EINVAL)
        srq.limit = request.limit
        return DONE

    @handles(PostSrqReceive)
    def post(self, request: PostSrqReceive, _src: Address) -> Done:
        """ibv_post_srq_recv(3)."""
        self.table.check_device()
        srq = self.table.find(SharedReceiveQueue, request.srq)
        if len(srq.requests) == srq.max_wr:
            raise KernelError(errno.ENOMEM)
        srq.requests.append(request.request)
        srq.waiters.wake_all(self.actor)
        return DONE

    @handles(TakeReceive)
    def take(self, request: TakeReceive, _src: Address) -> Conversation[TakenReceive]:
        """Give a queue pair the oldest request; below the limit, say so once."""
        while True:
            srq = self.table.things.get(request.srq)
            if not isinstance(srq, SharedReceiveQueue):
                return TakenReceive(None, 0)
            if srq.requests or not request.wait:
                break
            reason = WaitsFor("completion", self.actor.address, "a receive to be posted")
            yield srq.waiters.sleep(reason, Wait.UNINTERRUPTIBLE)
        if not srq.requests:
            return TakenReceive(None, srq.pd)
        taken = srq.requests.pop(0)
        if len(srq.requests) < srq.limit:
            srq.limit = 0
            self.actor.send(self.actor.address, QueueEvent(IBV_EVENT_SRQ_LIMIT_REACHED, handle=request.srq))
        return TakenReceive(taken, srq.pd)

    def destroyed(self, srq: SharedReceiveQueue) -> None:
        """Wake who waits for what will not come."""
        srq.waiters.wake_all(self.actor)
