"""A pNFS client, as its server sees it: what it asks of knfsd, and its own accesses to the device [1.4.1].

A process that makes these calls stands for a client on another machine, and for the open that knfsd has for it.
"""

import errno
from typing import TYPE_CHECKING, Any

from longpin.actors.conversation import Call, Conversation, KernelError, Uninterruptible
from longpin.actors.fs.nfs_threads import served
from longpin.actors.kernel.machine import MOST_BYTES, MOST_SIZE
from longpin.actors.syscalls.declaration import Declarations, Section
from longpin.actors.syscalls.files import as_bytes
from longpin.messages.envelope import Address, Message
from longpin.messages.fs.file import Data
from longpin.messages.fs.inode import Truncate
from longpin.messages.fs.layout import AwaitRecall, GrantLayout, LayoutRead, LayoutWrite, ReturnLayout
from longpin.messages.process.labels import VerbsObject

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.PNFS, on_host=False)
syscall = CALLS.declare

LAYOUT = "layout"
_RULE = "semantics 1.4.1"


def _ask(address: Address, request: Message) -> Conversation[Any]:
    """Have the server do something: a signal for the process that stands for its client does not end it."""
    return (yield Uninterruptible(address, request))


def _layout(thing: VerbsObject) -> str:
    """Return the layout that a handle is of."""
    if thing.kind != LAYOUT:
        raise KernelError(errno.EINVAL)
    return thing.address


@syscall(
    "layoutget(fd: fd, [lease_time: int|float])",
    "",
    returns="the layout of a file, LAYOUTGET for reading and writing; `lease_time` is the client's lease with the "
    "server in seconds, 90. ENXIO for a file that shares blocks",
    errnos={
        "EBADF": _RULE,
        "EINVAL": _RULE,
        "EAGAIN": _RULE,
        "ENXIO": _RULE,
        "EOPNOTSUPP": _RULE,
    },
)
def layoutget(process: "Process", fd: int, lease_time: float = 90) -> Conversation[VerbsObject]:
    """LAYOUTGET: knfsd takes a lease on the layout, with the description that it has for the client."""
    file = process.file(fd)
    if file.kind != "file" or lease_time <= 0:
        raise KernelError(errno.EINVAL)
    request = GrantLayout(file.ofd, float(lease_time), process.caller)
    granted = yield from served(process.kernel.nfsd, _ask(file.backing, request))
    return VerbsObject(LAYOUT, fd, 0, file.backing, granted.layout)


@syscall(
    "cb_layoutrecall(layout: handle)",
    "",
    returns="0; waits until the layout is recalled, CB_LAYOUTRECALL",
    errnos={"EINTR": _RULE, "EINVAL": _RULE},
)
def cb_layoutrecall(_process: "Process", layout: VerbsObject) -> Conversation[int]:
    """CB_LAYOUTRECALL."""
    yield Call(_layout(layout), AwaitRecall())
    return 0


@syscall(
    "layoutreturn(layout: handle)",
    "",
    returns="0; LAYOUTRETURN",
    errnos={"EINVAL": _RULE},
)
def layoutreturn(process: "Process", layout: VerbsObject) -> Conversation[int]:
    """LAYOUTRETURN; EINVAL for one that is gone."""
    address = _layout(layout)
    yield from served(process.kernel.nfsd, _ask(address, ReturnLayout()))
    return 0


@syscall(
    "nfs_setattr(fd: fd, size: long)",
    "",
    returns="0; SETATTR of the size: a truncate by a thread of the server, which waits in it for leases and pins",
    errnos=dict.fromkeys(("EBADF", "EINVAL", "ETXTBSY", "EBUSY", "EFBIG", "ENOSPC"), _RULE),
)
def nfs_setattr(process: "Process", fd: int, size: int) -> Conversation[int]:
    """SETATTR [code: nfsd_setattr]."""
    file = process.file(fd)
    if file.kind != "file" or size < 0:
        raise KernelError(errno.EINVAL)
    request = Truncate(size, by_path=True, caller=process.caller)
    yield from served(process.kernel.nfsd, _ask(file.backing, request))
    return 0


@syscall(
    "layout_write(layout: handle, data: bytes|str, offset: long)",
    "",
    returns="how many bytes the client has written to the device itself; blocks it does not know are mapped first, "
    "and allocated, and LAYOUTCOMMIT follows. EIO once it is fenced, EAGAIN if it needs blocks while it is recalled",
    errnos={"EAGAIN": _RULE, "EINVAL": _RULE, "EIO": _RULE, "ENOSPC": _RULE, "ENXIO": _RULE, "EFBIG": _RULE},
)
def layout_write(_process: "Process", layout: VerbsObject, data: bytes | str, offset: int) -> Conversation[int]:
    """Write past the server."""
    written, address = as_bytes(data), _layout(layout)
    if offset < 0 or not written:
        raise KernelError(errno.EINVAL)
    if len(written) > MOST_BYTES or offset + len(written) > MOST_SIZE:
        raise KernelError(errno.EFBIG)
    count: int = (yield Call(address, LayoutWrite(offset, written))).value
    return count


@syscall(
    "layout_read(layout: handle, count: size_t, offset: long)",
    "",
    returns="the bytes that the client has read from the device itself, at most 65536",
    errnos={"EAGAIN": _RULE, "EINVAL": _RULE, "EIO": _RULE, "ENXIO": _RULE},
)
def layout_read(_process: "Process", layout: VerbsObject, count: int, offset: int) -> Conversation[bytes]:
    """Read past the server."""
    address = _layout(layout)
    if offset < 0 or not 0 < count <= MOST_BYTES or offset + count > MOST_SIZE:
        raise KernelError(errno.EINVAL)
    answer: Data = yield Call(address, LayoutRead(offset, count))
    return answer.data
