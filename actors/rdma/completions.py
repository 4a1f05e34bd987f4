"""Completion queues: how work requests ended, until somebody polls that [ibv_create_cq(3), ibv_poll_cq(3)]."""

import errno

from longpin.actors.base import Actor, ActorPart, handles
from longpin.actors.constants import IBV_EVENT_CQ_ERR
from longpin.actors.conversation import Conversation, KernelError, WaitsFor
from longpin.actors.rdma.objects import CompletionQueue, ObjectTable
from longpin.messages.envelope import Address
from longpin.messages.rdma.revocation import QueueEvent
from longpin.messages.rdma.verbs import CreateCq, Handle
from longpin.messages.rdma.work import Complete, Completion, Poll, Polled

MOST_COMPLETIONS = 32767
"""What a queue may have room for [code: RXE_MAX_CQE]."""


class Completions(ActorPart):
    """The completion queues of a context."""

    def __init__(self, actor: Actor, table: ObjectTable) -> None:
        self.actor = actor
        self.table = table

    @handles(CreateCq)
    def create(self, request: CreateCq, _src: Address) -> Handle:
        """ibv_create_cq(3)."""
        self.table.check_device()
        if not 0 < request.cqe <= MOST_COMPLETIONS:
            raise KernelError(errno.EINVAL)
        return Handle(self.table.add(CompletionQueue(request.cqe)))

    @handles(Complete)
    def complete(self, request: Complete, _src: Address) -> None:
        """Queue a completion; one for a queue that is full or gone is lost [code: rxe_cq_post]."""
        cq = self.table.things.get(request.cq)
        if not isinstance(cq, CompletionQueue):
            return
        if len(cq.completions) == cq.cqe:
            self.actor.send(self.actor.address, QueueEvent(IBV_EVENT_CQ_ERR, handle=request.cq))
            return
        cq.completions.append(request.completion)
        cq.waiters.wake_all(self.actor)

    @handles(Poll)
    def poll(self, request: Poll, _src: Address) -> Conversation[Polled]:
        """ibv_poll_cq(3) takes one; ibv_get_cq_event(3) waits until there is one and leaves it."""
        cq = self._find(request.cq)
        while request.wait and not cq.completions:
            yield cq.waiters.sleep(WaitsFor("completion", self.actor.address, "a work completion"))
            cq = self._find(request.cq)
        if request.wait or not cq.completions:
            return Polled(0, Completion())
        return Polled(1, cq.completions.pop(0))

    def _find(self, handle: int) -> CompletionQueue:
        """Return a queue; EIO where it went with the device [code: ib_uverbs_event_read]."""
        if handle not in self.table.things:
            self.table.check_device()
        return self.table.find(CompletionQueue, handle)

    def destroyed(self, cq: CompletionQueue) -> None:
        """Wake who waits for what will not come."""
        cq.waiters.wake_all(self.actor)
