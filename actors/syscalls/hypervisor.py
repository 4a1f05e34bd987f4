"""What the tools of a hypervisor do: they learn blocks from FIEMAP, and a guest accesses them [1.10.2]."""

import errno
from collections.abc import Iterator
from typing import TYPE_CHECKING

from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.kernel.machine import MOST_BYTES
from longpin.actors.syscalls.declaration import Declarations, Section
from longpin.actors.syscalls.files import as_bytes
from longpin.messages.envelope import Address
from longpin.messages.fs.mapping import Memory
from longpin.messages.fs.remap import AskStorage, ExtentList, MapExtents
from longpin.messages.hypervisor import HYPERVISOR, AccessFrames, EnterFrames, ForgetFrames, LearnedFrame
from longpin.messages.mm.memory import PageFrame

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.HYPERVISOR, on_host=False)
syscall = CALLS.declare

_M2P = "semantics 1.10.2"
_NONE = {"ENODEV": f"{_M2P}: the machine has no hypervisor"}


def _hypervisor(process: "Process") -> Address:
    """Return the machine's hypervisor, or fail with ENODEV."""
    if not process.kernel.hypervisor:
        raise KernelError(errno.ENODEV)
    return HYPERVISOR


@syscall(
    "m2p_map(fd: fd, offset: long, length: size_t)",
    "",
    returns="the number of the first frame: the guest gets the blocks of whole pages, as FIEMAP tells them now. "
    "Nothing is pinned, and nobody will tell when they change",
    errnos={
        **_NONE,
        "EBADF": _M2P,
        "EINVAL": _M2P,
        "ENXIO": f"{_M2P}: a hole, or preallocated",
        "EOPNOTSUPP": f"{_M2P}: a block is no memory there",
    },
)
def m2p_map(process: "Process", fd: int, offset: int, length: int) -> Conversation[int]:
    """Enter blocks of a file in the frame table, as a toolstack that trusts FIEMAP does [S1]."""
    hypervisor = _hypervisor(process)
    file = process.file(fd)
    if file.kind != "file":
        raise KernelError(errno.EOPNOTSUPP)
    page_size = process.kernel.page_size
    if offset < 0 or offset % page_size or length % page_size or not length:
        raise KernelError(errno.EINVAL)
    storage = yield Call(file.backing, AskStorage())
    if not any(mount.device == storage.device and mount.memory is Memory.FS_DAX for mount in process.kernel.mounts):
        raise KernelError(errno.EOPNOTSUPP)
    found: ExtentList = yield Call(file.backing, MapExtents())
    learned = dict(_blocks(found))
    pages = range(offset // page_size, (offset + length) // page_size)
    if len(pages) > len(learned) or any(page not in learned for page in pages):
        raise KernelError(errno.ENXIO)
    frames = (LearnedFrame(PageFrame(storage.device, learned[page]), file.backing, page) for page in pages)
    first: int = (yield Call(hypervisor, EnterFrames(tuple(frames)))).value
    return first


def _blocks(found: ExtentList) -> Iterator[tuple[int, int]]:
    """Yield the pages that are written, each with its block."""
    for page, block, length, unwritten, _shared in found.extents:
        if not unwritten:
            yield from zip(range(page, page + length), range(block, block + length), strict=True)


@syscall(
    "m2p_unmap(frame: int)",
    "",
    returns="0; what was entered from that first frame on is the guest's no more",
    errnos=_NONE | {"EINVAL": _M2P},
)
def m2p_unmap(process: "Process", frame: int) -> Conversation[int]:
    """Take frames out of the table."""
    yield Call(_hypervisor(process), ForgetFrames(frame))
    return 0


@syscall(
    "m2p_write(frame: int, offset: size_t, data: bytes|str)",
    "",
    returns="how many bytes the guest wrote, from so many bytes behind the beginning of a frame on",
    errnos=_NONE | {"EFAULT": f"{_M2P}: the guest has no such frame", "EINVAL": _M2P},
)
def m2p_write(process: "Process", frame: int, offset: int, data: bytes | str) -> Conversation[int]:
    """Have the guest write to physical memory."""
    written = as_bytes(data)
    if len(written) > MOST_BYTES:
        raise KernelError(errno.EINVAL)
    yield Call(_hypervisor(process), AccessFrames(frame, offset, len(written), written))
    return len(written)


@syscall(
    "m2p_read(frame: int, offset: size_t, count: size_t)",
    "",
    returns="the bytes the guest reads there, at most 65536",
    errnos=_NONE | {"EFAULT": f"{_M2P}: the guest has no such frame", "EINVAL": _M2P},
)
def m2p_read(process: "Process", frame: int, offset: int, count: int) -> Conversation[bytes]:
    """Have the guest read physical memory."""
    if count > MOST_BYTES:
        raise KernelError(errno.EINVAL)
    data: bytes = (yield Call(_hypervisor(process), AccessFrames(frame, offset, count, None))).data
    return data
