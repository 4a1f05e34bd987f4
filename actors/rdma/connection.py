"""One end of a reliable connection: its state, and what it does about receives [1.10]."""

from collections import deque
from dataclasses import dataclass, field

from longpin.actors.base import Actor
from longpin.actors.constants import (
    IBV_ACCESS_REMOTE_ATOMIC,
    IBV_ACCESS_REMOTE_READ,
    IBV_ACCESS_REMOTE_WRITE,
    IBV_QPS_ERR,
    IBV_QPS_RESET,
    IBV_WC_WR_FLUSH_ERR,
)
from longpin.actors.conversation import WaitQueue
from longpin.actors.rdma.states import DESTROYED
from longpin.messages.envelope import Address
from longpin.messages.rdma.verbs import QueuePairQueues
from longpin.messages.rdma.work import Complete, Completion, ReceiveRequest

ALL_REMOTE = IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC
FOR_EVER = 7
"""The rnr_retry that never gives up."""


@dataclass(slots=True)
class Connection:
    """What the parts of a queue pair share."""

    actor: Actor
    context: Address
    queues: QueuePairQueues
    state: int = IBV_QPS_RESET
    peer: Address = ""
    access: int = ALL_REMOTE
    """What the peer may do, whatever a key allows (IBV_QP_ACCESS_FLAGS)."""
    rnr_retry: int = FOR_EVER
    """How often a peer without a receive is asked again."""
    receives: deque[ReceiveRequest] = field(default_factory=deque)
    """The receive queue, if there is no shared one."""
    waiters: WaitQueue = field(default_factory=WaitQueue)
    """Those of the peer's requests that wait for a receive."""

    @property
    def pd(self) -> int:
        """The protection domain."""
        return self.queues.pd

    def complete(self, cq: int, completion: Completion) -> None:
        """Tell a completion queue how a request ended."""
        if self.state == DESTROYED:  # nobody hears of what was under way
            return
        self.actor.send(self.context, Complete(cq, completion))

    def fail(self) -> None:
        """Go to ERR: receives are flushed [IBA 10.3.1]; a shared queue keeps them."""
        self.state = IBV_QPS_ERR
        while self.receives:
            self.receives.popleft()
            self.complete(self.queues.recv_cq, Completion(IBV_WC_WR_FLUSH_ERR))
        self.waiters.wake_all(self.actor)

    def reset(self) -> None:
        """Go to RESET: what is posted is gone, and nobody hears of it."""
        self.state = IBV_QPS_RESET
        self.receives.clear()
        self.waiters.wake_all(self.actor)
