"""AF_XDP: sockets, and what a network device does with them [1.10.6]."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.constants import O_RDWR
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.fs.file import OpenFileDescription
from longpin.actors.kernel.machine import MOST_BYTES
from longpin.actors.syscalls.declaration import Declarations, OneOf, Section
from longpin.actors.syscalls.files import as_bytes
from longpin.actors.xdp import XdpSocket
from longpin.messages.envelope import Address
from longpin.messages.process.process import File
from longpin.messages.xdp import ReceivePacket, RegisterUmem

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.AF_XDP, on_host=False)
syscall = CALLS.declare

_XDP = "semantics 1.10.6"


def _socket(process: "Process", fd: int) -> Address:
    """Return the socket behind a descriptor; ENOTSOCK if it is something else."""
    file = process.file(fd)
    if file.kind != "xdp":
        raise KernelError(errno.ENOTSOCK)
    return file.backing


@syscall(
    "socket(domain: int, type: int)",
    "socket(2)",
    returns="a descriptor; `AF_XDP`, `SOCK_RAW`. EPERM without `CAP_NET_RAW`",
    errnos={"EPERM": _XDP},
    partial="of one family",
    allowed={"domain": OneOf(("AF_XDP",)), "type": OneOf(("SOCK_RAW",))},
)
def socket(process: "Process", _domain: int, _type: int) -> int:
    """socket(2): the capability first [xsk_create]."""
    if "CAP_NET_RAW" not in process.credentials.capabilities:
        raise KernelError(errno.EPERM)
    process.reserve(1)
    backing = f"xdp:{process.identity}.{process.count('xdp')}"
    ofd = f"file:{process.identity}.{process.count('file')}"
    process.spawn(XdpSocket, backing, process.kernel)
    process.spawn(OpenFileDescription, ofd, backing, "xdp", O_RDWR)
    return process.install(File(ofd, backing, "xdp"))


@syscall(
    "xdp_umem_reg(socket: fd, addr: size_t, length: size_t, chunk_size: uint)",
    "setsockopt(2)",
    returns="0: setsockopt(2) XDP_UMEM_REG; the memory is pinned, and packets go to its chunks: whole chunks from a "
    "page on, each a power of two from 2048 bytes to a page",
    errnos={
        "EACCES": "semantics 1.10",
        "EBUSY": _XDP,
        "ENOBUFS": _XDP,
        "ENOMEM": _XDP,
        "ENXIO": _XDP,
        "EOPNOTSUPP": "semantics 4.0",
        "EPERM": "semantics 4.5",
    },
    partial="aligned chunks, no headroom",
)
def xdp_umem_reg(process: "Process", socket: int, addr: int, length: int, chunk_size: int) -> Conversation[int]:
    """XDP_UMEM_REG: memory of whoever calls, counted for its user."""
    backing = _socket(process, socket)
    yield Call(backing, RegisterUmem(process.memory(), addr, length, chunk_size, process.caller, process.memlock))
    return 0


@syscall(
    "xdp_receive(socket: fd, offset: size_t, data: bytes|str)",
    "",
    returns="how many bytes of a packet the device has written at an offset in the memory of the socket; 0 for one "
    "that was dropped, because it does not fit the chunk or there is no memory",
    errnos={"EBADF": _XDP, "EINVAL": _XDP, "ENOTSOCK": _XDP},
)
def xdp_receive(process: "Process", socket: int, offset: int, data: bytes | str) -> Conversation[int]:
    """Have a packet come in."""
    backing, packet = _socket(process, socket), as_bytes(data)
    if len(packet) > MOST_BYTES:
        raise KernelError(errno.EINVAL)
    written: int = (yield Call(backing, ReceivePacket(offset, packet))).value
    return written
