"""Verbs: queue pairs, what is posted to them, and how it ended [1.10]."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.constants import (
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
    PROGRAM_CONSTANTS,
)
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.kernel.machine import MOST_BYTES
from longpin.actors.policies.base import Policy
from longpin.actors.rdma.requester import length_of
from longpin.actors.syscalls.declaration import ArgumentRefusal, Declarations, Given, OneOf, Section, Unknown
from longpin.actors.syscalls.files import as_bytes
from longpin.actors.syscalls.verbs import use
from longpin.actors.syscalls.work_queues import ERRNOS, destroy
from longpin.messages.envelope import Address
from longpin.messages.fs.inode import AskUse
from longpin.messages.process.labels import VerbsObject
from longpin.messages.rdma.verbs import (
    CreateQp,
    FindObject,
    FindRegion,
    ObjectKind,
    QueuePairQueues,
    RegionFiles,
)
from longpin.messages.rdma.work import (
    ModifyQp,
    PostReceive,
    PostSend,
    PostSrqReceive,
    QueryQp,
    ReceiveRequest,
)

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.VERBS, on_host=False)
syscall = CALLS.declare

QP_STATES = (
    "IBV_QPS_RESET",
    "IBV_QPS_INIT",
    "IBV_QPS_RTR",
    "IBV_QPS_RTS",
    "IBV_QPS_SQD",
    "IBV_QPS_SQE",
    "IBV_QPS_ERR",
)
MOST_WORK = 16384
"""Requests a queue pair may have room for [code: RXE_MAX_WQE]."""

SENDS = (IBV_WR_SEND, IBV_WR_SEND_WITH_IMM, IBV_WR_SEND_WITH_INV)
ATOMICS = (IBV_WR_ATOMIC_CMP_AND_SWP, IBV_WR_ATOMIC_FETCH_AND_ADD)
FETCHES = (IBV_WR_RDMA_READ, *ATOMICS)
KEYED = (IBV_WR_SEND_WITH_INV, IBV_WR_LOCAL_INV, IBV_WR_BIND_MW)
"""Requests about a window, whose key they name."""
EMPTY = (*SENDS, IBV_WR_RDMA_WRITE_WITH_IMM, IBV_WR_LOCAL_INV, IBV_WR_BIND_MW)
"""Requests that need not move anything."""
OPCODES = tuple(name for name in PROGRAM_CONSTANTS if name.startswith("IBV_WR_"))


# Queue pairs.


@syscall(
    "ibv_create_qp(pd: handle, send_cq: handle, [recv_cq: handle|none], [srq: handle|none], [max_send_wr: uint], "
    "[max_recv_wr: uint])",
    "ibv_create_qp(3)",
    returns=f"a queue pair. Receives complete to `send_cq` too if there is no `recv_cq`; with `srq` they come from "
    f"there. It has room for {MOST_WORK} requests each if nothing is said",
    errnos=ERRNOS,
    partial="reliable connections",
)
def ibv_create_qp(
    process: "Process",
    pd: VerbsObject,
    send_cq: VerbsObject,
    recv_cq: VerbsObject | None = None,
    srq: VerbsObject | None = None,
    max_send_wr: int = MOST_WORK,
    max_recv_wr: int = MOST_WORK,
) -> Conversation[VerbsObject]:
    """ibv_create_qp(3)."""
    context = use(process, pd, ObjectKind.PD).context
    recv_cq = recv_cq or send_cq
    used = [use(process, send_cq, ObjectKind.CQ), use(process, recv_cq, ObjectKind.CQ)]
    used += [use(process, srq, ObjectKind.SRQ)] if srq else []
    if any(thing.context != context for thing in used) or max(max_send_wr, max_recv_wr) > MOST_WORK:
        raise KernelError(errno.EINVAL)
    shared = srq.handle if srq else 0
    queues = QueuePairQueues(pd.handle, send_cq.handle, recv_cq.handle, shared, max_send_wr, max_recv_wr)
    made = yield Call(context, CreateQp(queues))
    return VerbsObject(ObjectKind.QP, pd.fd, made.handle, context, made.address)


@syscall("ibv_destroy_qp(qp: handle)", "ibv_create_qp(3)", returns="0; nothing completes any more", errnos=ERRNOS)
def ibv_destroy_qp(process: "Process", qp: VerbsObject) -> Conversation[int]:
    """ibv_destroy_qp(3)."""
    return (yield from destroy(process, qp, ObjectKind.QP))


def _find_qp(process: "Process", qp: VerbsObject) -> Conversation[Address]:
    """Return the queue pair's address, if it is alive."""
    yield Call(use(process, qp, ObjectKind.QP).context, FindObject(ObjectKind.QP, qp.handle))
    return qp.address


@syscall(
    "ibv_modify_qp(qp: handle, state: int, [peer: handle|none], [access: uint|none], [rnr_retry: uint|none])",
    "ibv_modify_qp(3)",
    returns="0; `IBV_QPS_INIT`, `IBV_QPS_RTR` with the peer's queue pair, `IBV_QPS_RTS`, ... `access`: what of "
    "`IBV_ACCESS_REMOTE_WRITE`, `_READ` and `_ATOMIC` the peer may do, all if nothing is said; `rnr_retry`: how often "
    "a peer that has no receive is asked again, 7: for ever, which it is if nothing is said",
    errnos=ERRNOS,
    partial="these attributes",
    allowed={"state": OneOf(QP_STATES)},
)
def ibv_modify_qp(
    process: "Process",
    qp: VerbsObject,
    state: int,
    peer: VerbsObject | None = None,
    access: int | None = None,
    rnr_retry: int | None = None,
) -> Conversation[int]:
    """ibv_modify_qp(3); the step to RTR names the peer."""
    address = yield from _find_qp(process, qp)
    if peer is not None and peer.kind != ObjectKind.QP:
        raise KernelError(errno.EINVAL)
    yield Call(address, ModifyQp(state, peer.address if peer else "", access, rnr_retry))
    return 0


@syscall(
    "ibv_query_qp(qp: handle)",
    "ibv_query_qp(3)",
    returns="the state, such as `IBV_QPS_RTS`",
    errnos=ERRNOS,
    partial="the state",
)
def ibv_query_qp(process: "Process", qp: VerbsObject) -> Conversation[int]:
    """ibv_query_qp(3)."""
    address = yield from _find_qp(process, qp)
    state: int = (yield Call(address, QueryQp())).value
    return state


# Work.


def _needs_a_region(given: Given) -> ArgumentRefusal | None:
    """Refuse what brings bytes and is given data instead of a region to write to."""
    if given["opcode"] in FETCHES and given["local"] is not Unknown.VALUE:
        return ArgumentRefusal(
            "local", "a variable with a memory region, which a read needs to write to", "inline data"
        )
    return None


@syscall(
    "ibv_post_send(qp: handle, opcode: int, local: bytes|str|handle|none, [remote: handle|none], [offset: long], "
    "[length: long], [operand: size_t], [swap: size_t])",
    "ibv_post_send(3)",
    returns="0; at most 65536 bytes between `local`, a region or, where it is not written to, bytes, and `offset` in "
    "the region or window `remote`; bytes are sent inline, a region from its beginning. `operand` is the immediate "
    "data of `IBV_WR_RDMA_WRITE_WITH_IMM` and `IBV_WR_SEND_WITH_IMM`, and of the atomics, which work on 8 bytes, the "
    "number to add or compare with. `IBV_WR_SEND_WITH_INV` and `IBV_WR_LOCAL_INV` invalidate the window `remote`; "
    "`IBV_WR_BIND_MW` binds it to `length` bytes at `offset` of the region `local`, with the access flags `operand`",
    errnos=ERRNOS | {"ENOMEM": "ibv_post_send(3): the queue is full"},
    partial="one element",
    allowed={"opcode": OneOf(OPCODES)},
    refuses=_needs_a_region,
)
def ibv_post_send(
    process: "Process",
    qp: VerbsObject,
    opcode: int,
    local: bytes | str | VerbsObject | None,
    remote: VerbsObject | None = None,
    offset: int = 0,
    length: int = 0,
    operand: int = 0,
    swap: int = 0,
) -> Conversation[int]:
    """ibv_post_send(3): one-sided, two-sided, atomic, or about a window; done later."""
    address = yield from _find_qp(process, qp)
    window = remote is not None and remote.kind == ObjectKind.MW
    if not _goes_together(opcode, local, remote):
        raise KernelError(errno.EINVAL)
    key = "" if remote is None else f"{remote.context}/{remote.handle}"
    if remote is not None:
        yield from _check_use(process, remote)
    data, region = None, 0
    if isinstance(local, VerbsObject):
        use(process, local, ObjectKind.MR)
        yield from _check_use(process, local)
        region, length = local.handle, length_of(opcode, length)
    elif local is None:
        length = 0
    else:
        data = as_bytes(local)
        length = len(data)
    if not (0 if opcode in EMPTY else 1) <= length <= (1 << 63 if opcode == IBV_WR_BIND_MW else MOST_BYTES):
        raise KernelError(errno.EINVAL)
    yield Call(address, PostSend(opcode, data, region, key, offset, length, operand, swap, window))
    return 0


def _goes_together(opcode: int, local: bytes | str | VerbsObject | None, remote: VerbsObject | None) -> bool:
    """Return whether an opcode is given what it needs: a region to bring bytes to, a key if it names one."""
    kind = "" if remote is None else remote.kind
    if opcode in KEYED:
        return kind == ObjectKind.MW and (opcode != IBV_WR_BIND_MW or not isinstance(local, bytes | str))
    if opcode in SENDS:
        return remote is None
    return (
        opcode in (IBV_WR_RDMA_WRITE, IBV_WR_RDMA_WRITE_WITH_IMM, *FETCHES)
        and kind in (ObjectKind.MR, ObjectKind.MW)
        and (isinstance(local, VerbsObject) or opcode not in FETCHES)
    )


def _check_use(process: "Process", mr: VerbsObject) -> Conversation[None]:
    """Ask the files of a region or window whether the process may use it, where a policy has something to say [1.10].

    Of one that is gone only the device will tell.
    """
    if not process.kernel.policy.overrides(Policy.use_gate):
        return
    try:
        found: RegionFiles = yield Call(mr.context, FindRegion(mr.handle, mr.kind == ObjectKind.MW))
    except KernelError:
        return
    for inode in found.inodes:
        yield Call(inode, AskUse(process.caller, found.region, mr.context))


def _receive(process: "Process", local: VerbsObject | None, offset: int, length: int) -> Conversation[ReceiveRequest]:
    """Check a buffer that is given to the device, and that the process may use it."""
    if local is None:
        return ReceiveRequest(0, 0, 0)
    if offset < 0 or not 0 <= length <= MOST_BYTES:
        raise KernelError(errno.EINVAL)
    handle = use(process, local, ObjectKind.MR).handle
    yield from _check_use(process, local)
    return ReceiveRequest(handle, offset, length)


@syscall(
    "ibv_post_recv(qp: handle, [local: handle|none], [offset: long], [length: long])",
    "ibv_post_recv(3)",
    returns="0; what is sent goes to `length` bytes at `offset` of the region `local`; without a region there is room "
    "for nothing, which `IBV_WR_RDMA_WRITE_WITH_IMM` does not need",
    errnos=ERRNOS | {"ENOMEM": "ibv_post_recv(3): the queue is full"},
    partial="one element",
)
def ibv_post_recv(
    process: "Process", qp: VerbsObject, local: VerbsObject | None = None, offset: int = 0, length: int = 0
) -> Conversation[int]:
    """ibv_post_recv(3)."""
    address = yield from _find_qp(process, qp)
    request = yield from _receive(process, local, offset, length)
    yield Call(address, PostReceive(request))
    return 0


@syscall(
    "ibv_post_srq_recv(srq: handle, [local: handle|none], [offset: long], [length: long])",
    "ibv_post_srq_recv(3)",
    returns="0; as `ibv_post_recv`, for whichever queue pair of the shared queue needs it first",
    errnos=ERRNOS | {"ENOMEM": "ibv_post_srq_recv(3): the queue is full"},
    partial="one element",
)
def ibv_post_srq_recv(
    process: "Process", srq: VerbsObject, local: VerbsObject | None = None, offset: int = 0, length: int = 0
) -> Conversation[int]:
    """ibv_post_srq_recv(3)."""
    context = use(process, srq, ObjectKind.SRQ).context
    request = yield from _receive(process, local, offset, length)
    yield Call(context, PostSrqReceive(srq.handle, request))
    return 0
