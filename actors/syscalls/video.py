"""Video capture into buffers of user memory: the ioctls of V4L2, each a call of its own [1.10.1]."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.constants import O_NONBLOCK
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.policies.base import Policy
from longpin.actors.syscalls.declaration import Declarations, OneOf, Section
from longpin.messages.fs.file import AskOpen
from longpin.messages.fs.inode import AskUse
from longpin.messages.media.video import (
    BufferFiles,
    DequeueBuffer,
    FindBuffers,
    QueueBuffer,
    RequestBuffers,
    StreamOff,
    StreamOn,
)
from longpin.messages.process.process import File

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.VIDEO, on_host=False)
syscall = CALLS.declare

_V4L2 = "semantics 1.10.1"


def _video(process: "Process", fd: int) -> File:
    """Return what a descriptor refers to; ENOTTY if that is no video device."""
    file = process.file(fd)
    if file.kind != "video":
        raise KernelError(errno.ENOTTY)
    return file


def _check_use(process: "Process", file: File, wanted: FindBuffers) -> Conversation[None]:
    """Ask the files of buffers whether the process may use them, where a policy has something to say [1.10]."""
    if not process.kernel.policy.overrides(Policy.use_gate):
        return
    found: BufferFiles = yield Call(file.backing, wanted)
    for inode, registration in found.files:
        yield Call(inode, AskUse(process.caller, registration, file.backing))


@syscall(
    "vidioc_reqbufs(fd: fd, count: uint, memory: uint)",
    "ioctl(2)",
    returns="how many buffers there are, at most 32: ioctl(2) VIDIOC_REQBUFS with `V4L2_MEMORY_USERPTR`; 0: none, and "
    "those there were are unpinned",
    errnos={"EBUSY": _V4L2},
    partial="`V4L2_MEMORY_USERPTR`; capture",
    allowed={"memory": OneOf(("V4L2_MEMORY_USERPTR",))},
)
def vidioc_reqbufs(process: "Process", fd: int, count: int, memory: int) -> Conversation[int]:
    """VIDIOC_REQBUFS: one open of a camera at a time has buffers."""
    backing = _video(process, fd).backing
    made: int = (yield Call(backing, RequestBuffers(count))).value
    return made


@syscall(
    "vidioc_qbuf(fd: fd, index: uint, userptr: size_t, length: uint)",
    "ioctl(2)",
    returns="0: ioctl(2) VIDIOC_QBUF; the buffer is pinned, unless it was queued with the same address and length "
    "before, and given to the camera",
    errnos={
        "EACCES": "semantics 1.10",
        "EBUSY": _V4L2,
        "ENXIO": _V4L2,
        "EOPNOTSUPP": "semantics 4.0",
        "EPERM": "semantics 4.5",
    },
)
def vidioc_qbuf(process: "Process", fd: int, index: int, userptr: int, length: int) -> Conversation[int]:
    """VIDIOC_QBUF: pins for as long as user space says, as a registration does; nothing is charged."""
    file = _video(process, fd)
    yield from _check_use(process, file, FindBuffers(index, userptr, length))
    yield Call(file.backing, QueueBuffer(index, process.memory(), userptr, length, process.caller))
    return 0


@syscall(
    "vidioc_dqbuf(fd: fd)",
    "ioctl(2)",
    returns="the index of a buffer that the camera has filled: ioctl(2) VIDIOC_DQBUF; waits for one, but for a "
    "descriptor opened with `O_NONBLOCK`. Each page of a frame begins with `frame N`, counted from 1",
    errnos={"EAGAIN": _V4L2, "EBUSY": _V4L2, "EINTR": _V4L2, "EIO": _V4L2},
)
def vidioc_dqbuf(process: "Process", fd: int) -> Conversation[int]:
    """VIDIOC_DQBUF: the buffer stays pinned."""
    file = _video(process, fd)
    flags: int = (yield Call(file.ofd, AskOpen())).value
    index: int = (yield Call(file.backing, DequeueBuffer(nonblock=bool(flags & O_NONBLOCK)))).value
    return index


@syscall(
    "vidioc_streamon(fd: fd)",
    "ioctl(2)",
    returns="0: ioctl(2) VIDIOC_STREAMON; the camera fills the buffers that are queued, whenever a frame comes",
    errnos={"EACCES": "semantics 1.10", "EBUSY": _V4L2},
)
def vidioc_streamon(process: "Process", fd: int) -> Conversation[int]:
    """VIDIOC_STREAMON."""
    file = _video(process, fd)
    yield from _check_use(process, file, FindBuffers(-1))
    yield Call(file.backing, StreamOn())
    return 0


@syscall(
    "vidioc_streamoff(fd: fd)",
    "ioctl(2)",
    returns="0: ioctl(2) VIDIOC_STREAMOFF; the camera stops, no buffer is queued any more, and with `videobuf` none is "
    "pinned",
    errnos={"EBUSY": _V4L2},
)
def vidioc_streamoff(process: "Process", fd: int) -> Conversation[int]:
    """VIDIOC_STREAMOFF."""
    yield Call(_video(process, fd).backing, StreamOff())
    return 0
