"""Verbs: memory windows, keys of their own for parts of a region [1.10]."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.constants import IBV_MW_TYPE_1, IBV_WR_BIND_MW
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.syscalls.declaration import Declarations, Section
from longpin.actors.syscalls.queue_pairs import ibv_post_send
from longpin.actors.syscalls.verbs import use
from longpin.actors.syscalls.work_queues import ERRNOS, destroy
from longpin.messages.process.labels import VerbsObject
from longpin.messages.rdma.verbs import ObjectKind
from longpin.messages.rdma.windows import AllocMw, FindWindow

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.VERBS, on_host=False)
syscall = CALLS.declare


@syscall(
    "ibv_alloc_mw(pd: handle, type: int)",
    "ibv_alloc_mw(3)",
    returns="a memory window, bound to nothing: `IBV_MW_TYPE_1` or `IBV_MW_TYPE_2`",
    errnos=ERRNOS,
)
def ibv_alloc_mw(process: "Process", pd: VerbsObject, kind: int) -> Conversation[VerbsObject]:
    """ibv_alloc_mw(3)."""
    context = use(process, pd, ObjectKind.PD).context
    handle = (yield Call(context, AllocMw(pd.handle, kind))).handle
    return VerbsObject(ObjectKind.MW, pd.fd, handle, context)


@syscall(
    "ibv_dealloc_mw(mw: handle)",
    "ibv_alloc_mw(3)",
    returns="0; if it was bound, its region has one window less",
    errnos=ERRNOS,
)
def ibv_dealloc_mw(process: "Process", mw: VerbsObject) -> Conversation[int]:
    """ibv_dealloc_mw(3)."""
    return (yield from destroy(process, mw, ObjectKind.MW))


@syscall(
    "ibv_bind_mw(qp: handle, mw: handle, mr: handle|none, [offset: long], [length: long], [access: uint])",
    "ibv_bind_mw(3)",
    returns="0; a window of type 1 is bound, when the device comes to it, to `length` bytes at `offset` of the region; "
    "without one, to nothing. Windows of type 2 are bound with `ibv_post_send`",
    errnos=ERRNOS | {"ENOMEM": "ibv_bind_mw(3): the queue is full"},
)
def ibv_bind_mw(
    process: "Process",
    qp: VerbsObject,
    mw: VerbsObject,
    mr: VerbsObject | None,
    offset: int = 0,
    length: int = 0,
    access: int = 0,
) -> Conversation[int]:
    """ibv_bind_mw(3): a request like others, of windows of type 1."""
    kind = (yield Call(use(process, mw, ObjectKind.MW).context, FindWindow(mw.handle))).value
    if kind != IBV_MW_TYPE_1 or (mr is None and length):
        raise KernelError(errno.EINVAL)
    return (yield from ibv_post_send(process, qp, IBV_WR_BIND_MW, mr, mw, offset, length, access))
