"""Work requests: what queue pairs are told, say to each other, and tell queues of completions and receives [1.10].

What a queue pair is told has no footprint: nearly all looks at its state.
"""

from typing import NamedTuple

from longpin.messages.envelope import Address, Footprint, Message, message


@message
class ModifyQp(Message):
    """ibv_modify_qp(3): to a queue pair."""

    state: int
    peer: Address
    """The queue pair to connect to, on the way to RTR; else empty."""
    access: int | None = None
    """What the peer may do (IBV_QP_ACCESS_FLAGS), where that is changed."""
    rnr_retry: int | None = None
    """How often it asks a peer again that has no receive ready, where that is changed; 7: for ever."""


@message
class QueryQp(Message):
    """ibv_query_qp(3): to a queue pair; the reply is its state."""


@message
class FailQp(Message):
    """A context to a queue pair: the device is gone, all work ends in errors."""


@message
class PostSend(Message):
    """ibv_post_send(3): to a queue pair; the work is done later."""

    opcode: int
    inline: bytes | None
    """The bytes to send; None: they are in the local region, or there are none."""
    local: int
    """Handle of the local region; 0 with inline data."""
    remote: str
    """The remote key; of the window to bind or invalidate; empty for a send."""
    offset: int
    length: int
    operand: int = 0
    """Immediate data, the number to compare with or to add, or the access flags of a window to bind."""
    swap: int = 0
    """What an atomic compare-and-swap writes."""
    window: bool = False
    """The remote key is one of a memory window."""


class ReceiveRequest(NamedTuple):
    """ibv_recv_wr: where what comes is to be put."""

    local: int
    """Handle of the region; 0: there is room for nothing."""
    offset: int
    length: int


@message
class PostReceive(Message):
    """ibv_post_recv(3): to a queue pair."""

    request: ReceiveRequest


@message
class DoWork(Message):
    """A queue pair to itself: execute the oldest request of the send queue."""


@message
class RemoteAccess(Message):
    """A request on the wire, from one queue pair to its peer."""

    key: str
    """Empty: a send, which goes where the peer says; with a key in it, that window is invalidated."""
    offset: int
    length: int
    data: bytes | None
    """What is written; None: a read."""
    opcode: int = 0
    operand: int = 0
    """Immediate data, or the number to compare with or to add."""
    swap: int = 0
    window: bool = False
    """The key is one of a memory window."""
    wait: bool = True
    """A peer that has no receive ready answers when it has one; else at once."""


@message
class RemoteDone(Message):
    """The answer on the wire."""

    status: int
    """An ``IBV_WC_`` status."""
    data: bytes


@message
class Destroy(Message):
    """The context takes a queue pair down."""

    completes: bool
    """What is under way may complete yet: all goes, and there is nobody who could poll that."""


# Completions.


class Completion(NamedTuple):
    """ibv_wc: how a request ended."""

    status: int = 0
    opcode: int = 0
    """Says something only of success, as the next ones do."""
    byte_len: int = 0
    imm_data: int = 0


@message
class Complete(Message):
    """A work completion for a completion queue."""

    cq: int
    completion: Completion

    def footprint(self) -> Footprint:
        """The queue and who waits for it; where it is full, all who wait for an event."""
        return Footprint.of(writes=[("object", self.cq)])


@message
class Poll(Message):
    """ibv_poll_cq(3) of one entry, or ibv_get_cq_event(3), which waits for one."""

    cq: int
    wait: bool

    def footprint(self) -> Footprint:
        """The queue and who waits for it."""
        return Footprint.of(writes=[("object", self.cq)])


@message
class Polled(Message):
    """What was in the queue."""

    count: int
    completion: Completion


# Shared receive queues.


@message
class CreateSrq(Message):
    """ibv_create_srq(3)."""

    pd: int
    max_wr: int
    limit: int

    def footprint(self) -> Footprint:
        """The protection domain, and a new handle."""
        return Footprint.of(reads=[("object", self.pd)], writes=[("handles",)], adds=[("users",)])


@message
class ModifySrq(Message):
    """ibv_modify_srq(3): be told when fewer requests than this are left; 0: not."""

    srq: int
    limit: int


@message
class PostSrqReceive(Message):
    """ibv_post_srq_recv(3); ENOMEM if the queue is full."""

    srq: int
    request: ReceiveRequest


@message
class TakeReceive(Message):
    """A queue pair takes the oldest request of its shared receive queue."""

    srq: int
    wait: bool
    """Until there is one."""


@message
class TakenReceive(Message):
    """This one; its keys are looked up in the protection domain of the queue."""

    request: ReceiveRequest | None
    """None: there is none."""
    pd: int
