"""Verbs of regions that the kernel can take back: registration with a lease, asynchronous events [1.10, 4.10]."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.constants import IBV_ACCESS_ON_DEMAND, O_NONBLOCK
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.syscalls.declaration import Declarations, Section
from longpin.actors.syscalls.verbs import context_of, register, use
from longpin.messages.fs.file import GetFlags
from longpin.messages.fs.mapping import PinTerms
from longpin.messages.process.labels import VerbsObject
from longpin.messages.rdma.revocation import Acknowledge, AsyncEvent, TakeEvent
from longpin.messages.rdma.verbs import ObjectKind

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.VERBS, on_host=False)
syscall = CALLS.declare

EVENT_VARIABLES: dict[str, str] = {
    ObjectKind.MR: "event_mr",
    ObjectKind.CQ: "event_cq",
    ObjectKind.SRQ: "event_srq",
}
"""The variable that has what an event is about, by its kind."""


@syscall(
    "ibv_reg_mr_lease(pd: handle, addr: size_t, length: size_t, access: uint, [fd: fd])",
    "ibv_reg_mr(3)",
    returns="a memory region as of `ibv_reg_mr`, with a layout lease on each file of which it has FS-DAX pages. The "
    "lease belongs to the region, and holds the description that `fd` names, or that of the mapping. Of P9; others "
    "have no such call (EOPNOTSUPP)",
    errnos={
        "EACCES": "semantics 4.10: the caller may take no lease on the file",
        "EAGAIN": "semantics 4.10: a lease on the file is being broken",
        "EBADF": "semantics 1.10",
        "EFAULT": "semantics 2.6 step 5",
        "EINTR": "semantics 2.6",
        "EINVAL": "semantics 2.6 steps 1 to 3, 4.10: `fd` is of another file",
        "EIO": "semantics 4.10: the device is gone",
        "ENOMEM": "semantics 2.6 step 4",
        "ENXIO": "semantics 4.10: it was revoked before it was finished",
        "EOPNOTSUPP": "semantics 4.10",
        "EPERM": "semantics 2.6 step 3",
    },
)
def ibv_reg_mr_lease(
    process: "Process", pd: VerbsObject, addr: int, length: int, access: int, fd: int | None = None
) -> Conversation[VerbsObject]:
    """Register memory with a lease [S2, G1]."""
    if "ibv_reg_mr_lease" not in process.kernel.policy.calls:
        raise KernelError(errno.EOPNOTSUPP)
    if access & IBV_ACCESS_ON_DEMAND:  # it pins nothing that a lease could be for
        raise KernelError(errno.EINVAL)
    terms = PinTerms(leased=True)
    if fd is not None:
        file = process.file(fd)
        if file.kind != "file":
            raise KernelError(errno.EINVAL)
        terms = PinTerms(leased=True, file=file.backing, ofd=file.ofd, fd=fd)
    return (yield from register(process, pd, addr, length, access, terms))


@syscall(
    "ibv_get_async_event(context: int)",
    "ibv_get_async_event(3)",
    returns="an event, for `ibv_ack_async_event`; waits for one, or with `O_NONBLOCK` set by `fcntl` on the context "
    "fails with EAGAIN. Every process that has the device open gets each event. `ibv_event_type` is its type: "
    "`IBV_EVENT_LEASE_BREAK`, of which the variable `event_mr` is the region, `IBV_EVENT_CQ_ERR` (`event_cq`), "
    "`IBV_EVENT_SRQ_LIMIT_REACHED` (`event_srq`), or `IBV_EVENT_DEVICE_FATAL`",
    errnos={
        "EAGAIN": "ibv_get_async_event(3), EXAMPLE",
        "EBADF": "semantics 1.10",
        "EINTR": "semantics 1.10",
        "EINVAL": "semantics 1.10",
        "EIO": "semantics 4.10: the device is gone, and all has been told",
    },
    partial="these types",
    may_hang=True,
)
def ibv_get_async_event(process: "Process", fd: int) -> Conversation[VerbsObject]:
    """ibv_get_async_event(3): take the oldest event that the process has not had."""
    context = context_of(process, fd)
    flags = (yield Call(process.file(fd).ofd, GetFlags())).value
    event: AsyncEvent = yield Call(context, TakeEvent(process.address, not flags & O_NONBLOCK))
    process.current.event_type = event.type
    if event.kind in EVENT_VARIABLES:
        variable = EVENT_VARIABLES[event.kind]
        process.current.variables[variable] = VerbsObject(event.kind, fd, event.handle, context)
    return VerbsObject(ObjectKind.EVENT, fd, event.number, context)


@syscall(
    "ibv_event_type()",
    "ibv_get_async_event(3)",
    returns="the type of the asynchronous event taken last, such as `IBV_EVENT_LEASE_BREAK`",
)
def ibv_event_type(process: "Process") -> int:
    """Return the type of the event taken last."""
    return process.current.event_type


@syscall(
    "ibv_ack_async_event(event: handle)",
    "ibv_get_async_event(3)",
    returns="0; `ibv_dereg_mr` of a region waits, when the region is gone, until the process has acknowledged the "
    "events that it has had of it",
    errnos={"EBADF": "semantics 1.10", "EINVAL": "semantics 1.10"},
)
def ibv_ack_async_event(process: "Process", event: VerbsObject) -> Conversation[int]:
    """ibv_ack_async_event(3): the process is done with an event."""
    yield Call(use(process, event, ObjectKind.EVENT).context, Acknowledge(process.address, event.handle))
    return 0
