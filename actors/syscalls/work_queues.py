"""Verbs: queues of completions and of receives that several queue pairs share, and how requests ended [1.10]."""

from typing import TYPE_CHECKING

from longpin.actors.conversation import Call, Conversation
from longpin.actors.rdma.completions import MOST_COMPLETIONS
from longpin.actors.rdma.shared_receives import MOST_RECEIVES
from longpin.actors.syscalls.declaration import Declarations, Section
from longpin.actors.syscalls.verbs import context_of, use
from longpin.messages.process.labels import VerbsObject
from longpin.messages.rdma.verbs import CreateCq, DestroyObject, ObjectKind
from longpin.messages.rdma.work import CreateSrq, ModifySrq, Poll

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.VERBS, on_host=False)
syscall = CALLS.declare

ERRNOS = {"EBADF": "semantics 1.10", "EINVAL": "semantics 1.10", "EIO": "semantics 1.10"}
"""What every verb may fail with: no descriptor of the context, a dead or wrong handle, a device that is gone."""


@syscall(
    "ibv_create_cq(context: int, [cqe: int])",
    "ibv_create_cq(3)",
    returns=f"a completion queue with room for `cqe`, at most {MOST_COMPLETIONS}, which it is if nothing is said. A "
    "completion that finds it full is lost, and `IBV_EVENT_CQ_ERR` is queued",
    errnos=ERRNOS,
)
def ibv_create_cq(process: "Process", fd: int, cqe: int = MOST_COMPLETIONS) -> Conversation[VerbsObject]:
    """ibv_create_cq(3)."""
    context = context_of(process, fd)
    handle = (yield Call(context, CreateCq(cqe))).handle
    return VerbsObject(ObjectKind.CQ, fd, handle, context)


def destroy(process: "Process", thing: VerbsObject, kind: ObjectKind) -> Conversation[int]:
    """Destroy an object of a kind."""
    yield Call(use(process, thing, kind).context, DestroyObject(kind, thing.handle))
    return 0


@syscall(
    "ibv_destroy_cq(cq: handle)",
    "ibv_create_cq(3)",
    returns="0; waits until the process has acknowledged the events that it has had of it",
    errnos=ERRNOS | {"EBUSY": "ibv_create_cq(3): a queue pair uses it"},
)
def ibv_destroy_cq(process: "Process", cq: VerbsObject) -> Conversation[int]:
    """ibv_destroy_cq(3)."""
    return (yield from destroy(process, cq, ObjectKind.CQ))


@syscall(
    "ibv_create_srq(pd: handle, max_wr: uint, [srq_limit: uint])",
    "ibv_create_srq(3)",
    returns=f"a shared receive queue with room for `max_wr`, at most {MOST_RECEIVES}. `IBV_EVENT_SRQ_LIMIT_REACHED` is "
    "queued once, when fewer than `srq_limit` are left",
    errnos=ERRNOS,
)
def ibv_create_srq(process: "Process", pd: VerbsObject, max_wr: int, srq_limit: int = 0) -> Conversation[VerbsObject]:
    """ibv_create_srq(3)."""
    context = use(process, pd, ObjectKind.PD).context
    handle = (yield Call(context, CreateSrq(pd.handle, max_wr, srq_limit))).handle
    return VerbsObject(ObjectKind.SRQ, pd.fd, handle, context)


@syscall(
    "ibv_modify_srq(srq: handle, srq_limit: uint)",
    "ibv_modify_srq(3)",
    returns="0; the limit is armed again",
    errnos=ERRNOS,
    partial="the limit",
)
def ibv_modify_srq(process: "Process", srq: VerbsObject, srq_limit: int) -> Conversation[int]:
    """ibv_modify_srq(3)."""
    yield Call(use(process, srq, ObjectKind.SRQ).context, ModifySrq(srq.handle, srq_limit))
    return 0


@syscall(
    "ibv_destroy_srq(srq: handle)",
    "ibv_create_srq(3)",
    returns="0",
    errnos=ERRNOS | {"EBUSY": "ibv_create_srq(3): a queue pair uses it"},
)
def ibv_destroy_srq(process: "Process", srq: VerbsObject) -> Conversation[int]:
    """ibv_destroy_srq(3)."""
    return (yield from destroy(process, srq, ObjectKind.SRQ))


# Completions.


@syscall(
    "ibv_poll_cq(cq: handle)",
    "ibv_poll_cq(3)",
    returns="how many completions it took, at most one",
    errnos=ERRNOS,
)
def ibv_poll_cq(process: "Process", cq: VerbsObject) -> Conversation[int]:
    """ibv_poll_cq(3) of one entry: returns how many there were; ibv_wc_status tells its status."""
    polled = yield Call(use(process, cq, ObjectKind.CQ).context, Poll(cq.handle, wait=False))
    if polled.count:
        process.current.completion = polled.completion
    count: int = polled.count
    return count


@syscall(
    "ibv_wc_status()",
    "ibv_poll_cq(3)",
    returns="the status of the completion polled last, such as `IBV_WC_SUCCESS`",
)
def ibv_wc_status(process: "Process") -> int:
    """Return the status of the completion polled last."""
    return process.current.completion.status


@syscall(
    "ibv_wc_opcode()",
    "ibv_poll_cq(3)",
    returns="what the completion polled last is of, if it succeeded: `IBV_WC_SEND`, `IBV_WC_RECV`, ...",
)
def ibv_wc_opcode(process: "Process") -> int:
    """Return the opcode of the completion polled last."""
    return process.current.completion.opcode


@syscall(
    "ibv_wc_byte_len()",
    "ibv_poll_cq(3)",
    returns="how many bytes the completion polled last says were received or read",
)
def ibv_wc_byte_len(process: "Process") -> int:
    """Return the length that the completion polled last tells."""
    return process.current.completion.byte_len


@syscall(
    "ibv_wc_imm_data()",
    "ibv_poll_cq(3)",
    returns="the immediate data that came with the completion polled last, as the peer gave it",
)
def ibv_wc_imm_data(process: "Process") -> int:
    """Return the immediate data of the completion polled last."""
    return process.current.completion.imm_data


@syscall(
    "ibv_get_cq_event(cq: handle)",
    "ibv_get_cq_event(3)",
    returns="0; waits for a completion",
    errnos=ERRNOS | {"EINTR": "semantics 1.10"},
)
def ibv_get_cq_event(process: "Process", cq: VerbsObject) -> Conversation[int]:
    """ibv_get_cq_event(3): wait until there is something to poll."""
    yield Call(use(process, cq, ObjectKind.CQ).context, Poll(cq.handle, wait=True))
    return 0
