"""Verbs: objects of a context that another process has made, by their numbers [ibv_import_device(3), 1.10]."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.syscalls.declaration import Declarations, Section
from longpin.actors.syscalls.verbs import context_of, use
from longpin.messages.envelope import Address
from longpin.messages.process.labels import VerbsObject
from longpin.messages.rdma.verbs import AskDevice, FindObject, ObjectKind

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.VERBS, on_host=False)
syscall = CALLS.declare

_HANDLE = {"EBADF": "semantics 1.10", "EINVAL": "semantics 1.10", "EIO": "semantics 1.10", "ENOENT": "semantics 1.10"}


@syscall(
    "ibv_handle(object: handle)",
    "ibv_import_pd(3)",
    returns="the number by which the kernel knows an object in its context: what a program passes on for an import",
)
def ibv_handle(_process: "Process", thing: VerbsObject) -> int:
    """Return ``pd->handle`` or ``mr->handle``."""
    return thing.handle


@syscall(
    "ibv_import_device(cmd_fd: int)",
    "ibv_import_device(3)",
    returns="the descriptor, as the context of what follows",
    errnos={"EBADF": "semantics 1.10", "EINVAL": "semantics 1.10"},
)
def ibv_import_device(process: "Process", fd: int) -> Conversation[int]:
    """ibv_import_device(3): nothing is opened, so closing the descriptor closes the context."""
    yield Call(context_of(process, fd), AskDevice())
    return fd


def _import(context: Address, fd: int, kind: ObjectKind, handle: int) -> Conversation[VerbsObject]:
    """Look a number up; ENOENT for one of nothing, or of something else [code: rdma_lookup_get_uobject]."""
    try:
        yield Call(context, FindObject(kind, handle))
    except KernelError as error:
        raise KernelError(errno.ENOENT if error.errno == errno.EINVAL else error.errno) from None
    return VerbsObject(kind, fd, handle, context)


@syscall(
    "ibv_import_pd(context: int, handle: uint)",
    "ibv_import_pd(3)",
    returns="the protection domain of the number",
    errnos=_HANDLE,
)
def ibv_import_pd(process: "Process", fd: int, handle: int) -> Conversation[VerbsObject]:
    """ibv_import_pd(3)."""
    return (yield from _import(context_of(process, fd), fd, ObjectKind.PD, handle))


@syscall(
    "ibv_import_mr(pd: handle, handle: uint)",
    "ibv_import_mr(3)",
    returns="the region of the number, whoever's memory it is",
    errnos=_HANDLE,
)
def ibv_import_mr(process: "Process", pd: VerbsObject, handle: int) -> Conversation[VerbsObject]:
    """ibv_import_mr(3)."""
    return (yield from _import(use(process, pd, ObjectKind.PD).context, pd.fd, ObjectKind.MR, handle))


@syscall(
    "ibv_unimport_pd(pd: handle)",
    "ibv_import_pd(3)",
    returns="0; the domain stays what it is",
)
def ibv_unimport_pd(_process: "Process", pd: VerbsObject) -> int:
    """ibv_unimport_pd(3): the C library forgets it, and the kernel is not asked."""
    if pd.kind != ObjectKind.PD:
        raise KernelError(errno.EINVAL)
    return 0


@syscall(
    "ibv_unimport_mr(mr: handle)",
    "ibv_import_mr(3)",
    returns="0; the region stays what it is",
)
def ibv_unimport_mr(_process: "Process", mr: VerbsObject) -> int:
    """ibv_unimport_mr(3): the C library forgets it, and the kernel is not asked."""
    if mr.kind != ObjectKind.MR:
        raise KernelError(errno.EINVAL)
    return 0
