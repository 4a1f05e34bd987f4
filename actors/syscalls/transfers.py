"""Calls that have pages of a process referenced while bytes are moved: vmsplice(2), process_vm_readv(2), preadv(2).

They are what a long-term pin is mistaken for where nobody knows which kind a reference is [1.9, H15].
"""

import errno
from typing import TYPE_CHECKING

from longpin.actors.constants import SPLICE_F_NONBLOCK
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.mm.address_space import LONGEST_RANGE
from longpin.actors.mm.gup import Buffer, pin_user_pages, read_pinned, unpin_user_pages, write_pinned
from longpin.actors.syscalls.declaration import Declarations, Flags, Section
from longpin.actors.syscalls.files import as_bytes
from longpin.actors.syscalls.processes import find
from longpin.messages.envelope import Address
from longpin.messages.fs.file import Vmsplice
from longpin.messages.fs.transfer import Transfer
from longpin.messages.mm.mm import Registration
from longpin.messages.process.process import PROCESS_TABLE, AccessMm

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.MEMORY)
syscall = CALLS.declare

MOST = 65536
"""Bytes one call moves at the most: a message holds them."""
MOST_SPLICED = 1 << 20
"""The same of vmsplice(2): more than a pipe has room for."""


@syscall(
    "vmsplice(fd: fd, addr: size_t, length: size_t, [flags: uint])",
    "vmsplice(2)",
    returns="the number of bytes whose pages are in the pipe now: a reader gets what they hold when it reads",
    may_hang=True,
    errnos={"EFAULT": "semantics 1.9: nothing is there", "EPIPE": "semantics 1.11", "EINTR": "semantics 1.11"},
    partial="one range, into the write end of a pipe; `SPLICE_F_NONBLOCK`",
    allowed={"flags": Flags(("SPLICE_F_NONBLOCK",))},
)
def vmsplice(process: "Process", fd: int, addr: int, length: int, flags: int = 0) -> Conversation[int]:
    """vmsplice(2): the pipe takes references on the pages, which last until they are read."""
    nonblock = bool(flags & SPLICE_F_NONBLOCK)
    wanted = Vmsplice(process.memory(), addr, shortened(length, MOST_SPLICED), process.caller, nonblock)
    count: int = (yield Call(process.file(fd).ofd, wanted)).value
    return count


@syscall(
    "preadv(fd: fd, addr: size_t, length: size_t, offset: long)",
    "readv(2), read(2), lseek(2)",
    returns="the bytes of the file that are in memory at `addr` now; with `O_DIRECT` a device puts them there",
    partial="one range",
)
def preadv(process: "Process", fd: int, addr: int, length: int, offset: int) -> Conversation[int]:
    """preadv(2) into the memory of the process; the offset is looked at first."""
    return (yield from _transfer(process, fd, addr, length, offset, write=False))


@syscall(
    "pwritev(fd: fd, addr: size_t, length: size_t, offset: long)",
    "readv(2), write(2), lseek(2)",
    returns="the bytes at `addr` that are in the file now; with `O_DIRECT` a device takes them from there",
    partial="one range",
)
def pwritev(process: "Process", fd: int, addr: int, length: int, offset: int) -> Conversation[int]:
    """pwritev(2) from the memory of the process; the offset is looked at first."""
    return (yield from _transfer(process, fd, addr, length, offset, write=True))


def shortened(length: int, most: int) -> int:
    """Return how much of a range is asked for: at most so much, or what no length can be, for the kernel to refuse."""
    return length if length > LONGEST_RANGE else min(length, most)


def _transfer(process: "Process", fd: int, addr: int, length: int, offset: int, *, write: bool) -> Conversation[int]:
    if offset < 0:
        raise KernelError(errno.EINVAL)
    wanted = Transfer(process.memory(), addr, shortened(length, MOST), offset, write, process.caller)
    count: int = (yield Call(process.file(fd).ofd, wanted)).value
    return count


@syscall(
    "process_vm_readv(pid: process, addr: size_t, length: size_t)",
    "process_vm_readv(2)",
    returns="the bytes another process has there, at most 65536: fewer where a page cannot be read",
    partial="one range",
)
def process_vm_readv(process: "Process", pid: str | int, addr: int, length: int) -> Conversation[bytes]:
    """process_vm_readv(2): pin a page, copy it, let go of it, and on to the next."""
    data = b""
    if not length:  # before it is looked whose memory that is
        return data
    mm = yield from _memory_of(process, pid)
    try:
        while len(data) < min(length, MOST):
            inside, part = _next_part(process, addr + len(data), min(length, MOST) - len(data))
            pinned = yield from _pin_page(process, mm, addr + len(data), write=False)
            data += yield from read_pinned(process.kernel, pinned.page(0), inside, part)
            yield from unpin_user_pages(process.kernel, pinned)
    except KernelError:
        if not data:
            raise
    return data


@syscall(
    "process_vm_writev(pid: process, addr: size_t, data: bytes|str)",
    "process_vm_readv(2)",
    returns="the number of bytes another process has now: fewer where a page cannot be written",
    partial="one range",
)
def process_vm_writev(process: "Process", pid: str | int, addr: int, data: bytes | str) -> Conversation[int]:
    """process_vm_writev(2): pin a page for writing, fill it, let go of it, and on to the next."""
    left, done = as_bytes(data), 0
    if not left:
        return done
    mm = yield from _memory_of(process, pid)
    try:
        while left:
            inside, part = _next_part(process, addr + done, len(left))
            pinned = yield from _pin_page(process, mm, addr + done, write=True)
            yield from write_pinned(pinned.page(0), inside, left[:part])
            yield from unpin_user_pages(process.kernel, pinned)
            left, done = left[part:], done + part
    except KernelError:
        if not done:
            raise
    return done


def _memory_of(process: "Process", pid: str | int) -> Conversation[Address]:
    """Return the memory map of a process.

    Raises:
        KernelError: ESRCH, there is none; EPERM, its owner is another.

    """
    found = yield Call(PROCESS_TABLE, find(pid))
    if found.address == process.address:
        return process.memory()
    mm: Address = (yield Call(found.address, AccessMm(process.caller))).mm
    return mm


def _next_part(process: "Process", address: int, length: int) -> tuple[int, int]:
    """Return where in its page an address lies, and how many bytes of the range are in that page."""
    inside = address % process.kernel.page_size
    return inside, min(length, process.kernel.page_size - inside)


def _pin_page(process: "Process", mm: Address, address: int, *, write: bool) -> Conversation[Registration]:
    page_size = process.kernel.page_size
    owner = f"process_vm:{process.identity}.{process.count('process_vm')}"
    buffer = Buffer(mm, address // page_size * page_size, 1, process.caller, -1)
    return (yield from pin_user_pages(process.kernel, buffer, owner, process.address, write=write, longterm=False))
