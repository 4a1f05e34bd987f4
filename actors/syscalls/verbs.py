"""Verbs: calls on an RDMA device [1.10, 2.6]."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.constants import (
    IBV_ACCESS_FLUSH_PERSISTENT,
    IBV_ACCESS_LOCAL_WRITE,
    IBV_ACCESS_MW_BIND,
    IBV_ACCESS_ON_DEMAND,
    IBV_ACCESS_OPTIONAL_RANGE,
    IBV_ACCESS_REMOTE_ATOMIC,
    IBV_ACCESS_REMOTE_WRITE,
    IBV_WR_RDMA_READ,
    IBV_WR_RDMA_WRITE,
    O_RDWR,
)
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.fs.file import OpenFileDescription
from longpin.actors.kernel.machine import MOST_BYTES
from longpin.actors.mm.gup import pin_user_pages, unpin_user_pages
from longpin.actors.policies.base import Policy
from longpin.actors.syscalls.declaration import ArgumentRefusal, Declarations, Given, OneOf, Section, Unknown
from longpin.actors.syscalls.files import as_bytes, open_device
from longpin.messages.envelope import Address
from longpin.messages.fs.inode import AskUse
from longpin.messages.fs.mapping import NO_TERMS, PinTerms
from longpin.messages.mm.mm import Registration
from longpin.messages.process.labels import VerbsObject
from longpin.messages.process.process import File
from longpin.messages.rdma.verbs import (
    AllocPd,
    CreateCq,
    CreateQp,
    DestroyObject,
    FindObject,
    FindRegion,
    ModifyQp,
    ObjectKind,
    OfDevice,
    OnDemandBuffer,
    Poll,
    PostSend,
    RegionFiles,
    Register,
)

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.VERBS, on_host=False)
syscall = CALLS.declare

QP_STATES = ("IBV_QPS_RESET", "IBV_QPS_INIT", "IBV_QPS_RTR", "IBV_QPS_RTS", "IBV_QPS_ERR")

ACCESS_SUPPORTED = (IBV_ACCESS_FLUSH_PERSISTENT << 1) - 1 | IBV_ACCESS_OPTIONAL_RANGE
"""IB_ACCESS_SUPPORTED: every access bit there is."""
ACCESS_WRITES = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_MW_BIND
"""The access bits with which a device may write [code: ib_access_writable]."""
MOST_PAGES = (1 << 32) - 1
"""Pages of the largest region [code: ib_umem_get]."""


def context_of(process: "Process", fd: int) -> Address:
    """Return the uverbs context behind a descriptor."""
    file = process.file(fd)
    if file.kind != "uverbs":
        raise KernelError(errno.EINVAL)
    return file.backing


def use(process: "Process", thing: VerbsObject, kind: ObjectKind) -> VerbsObject:
    """Check that a handle is of a kind and that the process has its context open, under whatever number [1.10]."""
    if thing.kind != kind:
        raise KernelError(errno.EINVAL)
    if not any(file.backing == thing.context and file.kind == "uverbs" for file in process.fds.values()):
        raise KernelError(errno.EBADF)
    return thing


@syscall(
    "ibv_open_device(name: str)",
    "ibv_open_device(3)",
    returns="a descriptor of the device, the context of what follows",
    errnos={"ENODEV": "semantics 1.10", "EMFILE": "open(2)"},
)
def ibv_open_device(process: "Process", name: str) -> int:
    """Open the device; returns the descriptor of its uverbs file, which owns all that is made through it."""
    device = next((device for device in process.kernel.devices if device.name == name), None)
    if device is None:
        raise KernelError(errno.ENODEV)
    process.reserve(1)
    context = open_device(process, device)
    ofd = f"file:{process.identity}.{process.count('file')}"
    process.spawn(OpenFileDescription, ofd, context, "uverbs", O_RDWR)
    return process.install(File(ofd, context, "uverbs"))


@syscall(
    "ibv_alloc_pd(context: int)",
    "ibv_alloc_pd(3)",
    returns="a protection domain",
    errnos={"EBADF": "semantics 1.10", "EINVAL": "semantics 1.10"},
)
def ibv_alloc_pd(process: "Process", fd: int) -> Conversation[VerbsObject]:
    """ibv_alloc_pd(3)."""
    context = context_of(process, fd)
    handle = (yield Call(context, AllocPd())).handle
    return VerbsObject(ObjectKind.PD, fd, handle, context)


@syscall(
    "ibv_dealloc_pd(pd: handle)",
    "ibv_alloc_pd(3)",
    returns="0",
    errnos={"EBADF": "semantics 1.10", "EBUSY": "semantics 1.10", "EINVAL": "semantics 1.10"},
)
def ibv_dealloc_pd(process: "Process", pd: VerbsObject) -> Conversation[int]:
    """ibv_dealloc_pd(3): EBUSY while something is in it."""
    yield Call(use(process, pd, ObjectKind.PD).context, DestroyObject(ObjectKind.PD, pd.handle))
    return 0


@syscall(
    "ibv_reg_mr(pd: handle, addr: size_t, length: size_t, access: uint)",
    "ibv_reg_mr(3)",
    returns="a memory region, its pages pinned. Access bits: `IBV_ACCESS_LOCAL_WRITE`, `_REMOTE_WRITE`, "
    "`_REMOTE_READ`, `_REMOTE_ATOMIC`, `_MW_BIND`, `_ZERO_BASED`, `_HUGETLB`, `_FLUSH_GLOBAL`, `_FLUSH_PERSISTENT`, "
    "`_RELAXED_ORDERING`; with `_ON_DEMAND` none is pinned, if the device does without pins",
    errnos={
        "EBADF": "semantics 1.10",
        "EFAULT": "semantics 2.6 step 5",
        "EINTR": "semantics 2.6",
        "EINVAL": "semantics 2.6 steps 1 to 3",
        "ENOMEM": "semantics 2.6 step 4",
        "EOPNOTSUPP": "semantics 4.0",
        "EPERM": "semantics 2.6 step 3",
    },
)
def ibv_reg_mr(process: "Process", pd: VerbsObject, addr: int, length: int, access: int) -> Conversation[VerbsObject]:
    """ibv_reg_mr(3)."""
    return (yield from register(process, pd, addr, length, access, NO_TERMS))


def register(
    process: "Process", pd: VerbsObject, addr: int, length: int, access: int, terms: PinTerms
) -> Conversation[VerbsObject]:
    """Charge and pin a buffer, and publish the region [2.6]; all or nothing. ``terms`` need not name the device."""
    context = use(process, pd, ObjectKind.PD).context
    _check_access(access)
    found: OfDevice = yield Call(context, FindObject(ObjectKind.PD, pd.handle))
    terms = terms._replace(device=found.device)
    on_demand = access & IBV_ACCESS_ON_DEMAND
    if on_demand and not process.kernel.pages_on_demand(found.device):
        raise KernelError(process.kernel.generation.on_demand_errno.number)
    page_size = process.kernel.page_size
    first = addr - addr % page_size
    pages = process.kernel.pages(addr + length - first)
    if length == 0 or pages > MOST_PAGES or first + pages * page_size >= 1 << 64:
        raise KernelError(errno.EINVAL)
    writes = bool(access & ACCESS_WRITES)
    forced = not writes and not process.kernel.generation.read_only_pins
    region = f"mr:{process.identity}.{process.count('mr')}"
    buffer = process.buffer(first, pages)
    if on_demand:  # neither charged nor pinned
        nothing = Registration(region, context, buffer.mm, 0, (), (), ())
        umem = OnDemandBuffer(first, pages, buffer.caller)
        handle = (yield Call(context, Register(pd.handle, nothing, addr - first, length, access, umem))).handle
        return VerbsObject(ObjectKind.MR, pd.fd, handle, context)
    registration = yield from pin_user_pages(
        process.kernel, buffer, region, context, write=writes or forced, force=forced, terms=terms
    )
    try:
        handle = (yield Call(context, Register(pd.handle, registration, addr - first, length, access))).handle
    except KernelError:
        yield from unpin_user_pages(process.kernel, registration)
        raise
    return VerbsObject(ObjectKind.MR, pd.fd, handle, context)


def _check_access(access: int) -> None:
    """Fail with EINVAL for access bits that contradict each other or that nobody knows [2.6 step 1]."""
    remote = access & (IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC)
    if (remote and not access & IBV_ACCESS_LOCAL_WRITE) or access & ~ACCESS_SUPPORTED:
        raise KernelError(errno.EINVAL)


@syscall(
    "ibv_dereg_mr(mr: handle)",
    "ibv_reg_mr(3)",
    returns="0",
    errnos={"EBADF": "semantics 1.10", "EBUSY": "ibv_reg_mr(3): a memory window is bound", "EINVAL": "semantics 1.10"},
)
def ibv_dereg_mr(process: "Process", mr: VerbsObject) -> Conversation[int]:
    """ibv_dereg_mr(3), by any process that holds the uverbs file [1.10]."""
    yield Call(use(process, mr, ObjectKind.MR).context, DestroyObject(ObjectKind.MR, mr.handle))
    return 0


@syscall(
    "ibv_create_cq(context: int)",
    "ibv_create_cq(3)",
    returns="a completion queue",
    errnos={"EBADF": "semantics 1.10", "EINVAL": "semantics 1.10"},
)
def ibv_create_cq(process: "Process", fd: int) -> Conversation[VerbsObject]:
    """ibv_create_cq(3)."""
    context = context_of(process, fd)
    handle = (yield Call(context, CreateCq())).handle
    return VerbsObject(ObjectKind.CQ, fd, handle, context)


@syscall(
    "ibv_create_qp(pd: handle, cq: handle)",
    "ibv_create_qp(3)",
    returns="a queue pair",
    errnos={"EBADF": "semantics 1.10", "EINVAL": "semantics 1.10"},
)
def ibv_create_qp(process: "Process", pd: VerbsObject, cq: VerbsObject) -> Conversation[VerbsObject]:
    """ibv_create_qp(3)."""
    context = use(process, pd, ObjectKind.PD).context
    if use(process, cq, ObjectKind.CQ).context != context:
        raise KernelError(errno.EINVAL)
    made = yield Call(context, CreateQp(pd.handle, cq.handle))
    return VerbsObject(ObjectKind.QP, pd.fd, made.handle, context, made.address)


def _find_qp(process: "Process", qp: VerbsObject) -> Conversation[Address]:
    """Return the queue pair's address, if it is alive."""
    yield Call(use(process, qp, ObjectKind.QP).context, FindObject(ObjectKind.QP, qp.handle))
    return qp.address


@syscall(
    "ibv_modify_qp(qp: handle, state: int, [peer: handle])",
    "ibv_modify_qp(3)",
    returns="0; `IBV_QPS_INIT`, `IBV_QPS_RTR` with the peer's queue pair, `IBV_QPS_RTS`, ...",
    errnos={"EBADF": "semantics 1.10", "EINVAL": "semantics 1.10"},
    partial="the states of the table",
    allowed={"state": OneOf(QP_STATES)},
)
def ibv_modify_qp(
    process: "Process", qp: VerbsObject, state: int, peer: VerbsObject | None = None
) -> Conversation[int]:
    """ibv_modify_qp(3); the step to RTR names the peer."""
    address = yield from _find_qp(process, qp)
    if peer is not None and peer.kind != ObjectKind.QP:
        raise KernelError(errno.EINVAL)
    yield Call(address, ModifyQp(state, peer.address if peer else ""))
    return 0


def _reads_into_data(given: Given) -> ArgumentRefusal | None:
    """Refuse a read that is given data instead of a region to write to."""
    if given["opcode"] == IBV_WR_RDMA_READ and given["local"] is not Unknown.VALUE:
        return ArgumentRefusal(
            "local", "a variable with a memory region, which a read needs to write to", "inline data"
        )
    return None


@syscall(
    "ibv_post_send(qp: handle, opcode: int, local: bytes|str|handle, remote: handle, offset: long, [length: long])",
    "ibv_post_send(3)",
    returns="0; `IBV_WR_RDMA_WRITE` or `IBV_WR_RDMA_READ` of at most 65536 bytes between `local`, a region or, to "
    "write, bytes, and `offset` in the region `remote`; bytes are sent inline, a region from its beginning",
    errnos={"EBADF": "semantics 1.10", "EINVAL": "semantics 1.10"},
    partial="one-sided, with one element",
    allowed={"opcode": OneOf(("IBV_WR_RDMA_WRITE", "IBV_WR_RDMA_READ"))},
    refuses=_reads_into_data,
)
def ibv_post_send(
    process: "Process",
    qp: VerbsObject,
    opcode: int,
    local: bytes | str | VerbsObject,
    remote: VerbsObject,
    offset: int,
    length: int = 0,
) -> Conversation[int]:
    """ibv_post_send(3): RDMA write of inline bytes or from a region, RDMA read into a region; done later."""
    address = yield from _find_qp(process, qp)
    if opcode not in (IBV_WR_RDMA_READ, IBV_WR_RDMA_WRITE) or remote.kind != ObjectKind.MR:
        raise KernelError(errno.EINVAL)
    key = f"{remote.context}/{remote.handle}"
    yield from _check_use(process, remote)
    if isinstance(local, VerbsObject):
        use(process, local, ObjectKind.MR)
        yield from _check_use(process, local)
        request = PostSend(opcode, None, local.handle, key, offset, length)
    elif opcode == IBV_WR_RDMA_WRITE:
        data = as_bytes(local)
        request = PostSend(opcode, data, 0, key, offset, len(data))
    else:
        raise KernelError(errno.EINVAL)
    if not 0 < request.length <= MOST_BYTES:
        raise KernelError(errno.EINVAL)
    yield Call(address, request)
    return 0


def _check_use(process: "Process", mr: VerbsObject) -> Conversation[None]:
    """Ask the files of a region whether the process may use it, where a policy has something to say [1.10].

    Of one that is gone only the device will tell.
    """
    if not process.kernel.policy.overrides(Policy.use_gate):
        return
    try:
        found: RegionFiles = yield Call(mr.context, FindRegion(mr.handle))
    except KernelError:
        return
    for inode in found.inodes:
        yield Call(inode, AskUse(process.caller, found.region, mr.context))


@syscall(
    "ibv_poll_cq(cq: handle)",
    "ibv_poll_cq(3)",
    returns="how many completions it took, at most one",
    errnos={"EBADF": "semantics 1.10", "EINVAL": "semantics 1.10"},
)
def ibv_poll_cq(process: "Process", cq: VerbsObject) -> Conversation[int]:
    """ibv_poll_cq(3) of one entry: returns how many there were; ibv_wc_status tells its status."""
    polled = yield Call(use(process, cq, ObjectKind.CQ).context, Poll(cq.handle, wait=False))
    if polled.count:
        process.current.wc_status = polled.status
    count: int = polled.count
    return count


@syscall(
    "ibv_wc_status()",
    "ibv_poll_cq(3)",
    returns="the status of the completion polled last, such as `IBV_WC_SUCCESS`",
)
def ibv_wc_status(process: "Process") -> int:
    """Return the status of the completion polled last."""
    return process.current.wc_status


@syscall(
    "ibv_get_cq_event(cq: handle)",
    "ibv_get_cq_event(3)",
    returns="0; waits for a completion",
    errnos={"EBADF": "semantics 1.10", "EINTR": "semantics 1.10", "EINVAL": "semantics 1.10"},
)
def ibv_get_cq_event(process: "Process", cq: VerbsObject) -> Conversation[int]:
    """ibv_get_cq_event(3): wait until there is something to poll."""
    yield Call(use(process, cq, ObjectKind.CQ).context, Poll(cq.handle, wait=True))
    return 0
