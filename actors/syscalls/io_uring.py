"""io_uring: rings, registered buffers, and reads and writes through these that are waited for [1.10.4].

Names and arguments are liburing's, where it has a function for what is done; a table of buffers is filled one by one.
"""

import errno
from typing import TYPE_CHECKING

from longpin.actors.constants import O_ACCMODE, O_RDONLY, O_RDWR, O_WRONLY, RLIMIT_MEMLOCK
from longpin.actors.conversation import Call, Conversation, KernelError, WaitsFor
from longpin.actors.fs.backing import FILE_OPERATIONS
from longpin.actors.fs.file import OpenFileDescription
from longpin.actors.io_uring.accounting import MOST_ENTRIES, Account, ring_pages
from longpin.actors.io_uring.ring import Ring
from longpin.actors.kernel.machine import MOST_SIZE
from longpin.actors.policies.base import Policy
from longpin.actors.process.users import charge_user, uncharge_user
from longpin.actors.syscalls.declaration import Declarations, Restart, Section
from longpin.messages.envelope import Address
from longpin.messages.fs.file import AskOpen, Pread, Pwrite, Read, Write
from longpin.messages.fs.inode import AskUse
from longpin.messages.fs.pipe import PipeRead, PipeWrite
from longpin.messages.io_uring import (
    BeginFixed,
    EndFixed,
    FixedBuffer,
    MakeSparseTable,
    RegisterBuffer,
    UnregisterBuffers,
    UpdateBuffer,
)
from longpin.messages.mm.memory import Dma, PinnedPage
from longpin.messages.process.process import File

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.IO_URING, on_host=False)
syscall = CALLS.declare

MOST = 65536
"""Bytes one request moves at the most: a message holds them."""
_RULE = "semantics 1.10.4"
_NO_RING = {"EBADF": _RULE, "EOPNOTSUPP": _RULE}
_NOT_PINNED = _NO_RING | {
    "EFAULT": _RULE,
    "EINVAL": _RULE,
    "ENOMEM": "semantics 2.6",
    "ENXIO": _RULE,
    "EOVERFLOW": _RULE,
    "EPERM": "semantics 4.5",
}
_NOT_MOVED = _NO_RING | dict.fromkeys(
    ("EACCES", "EAGAIN", "EFAULT", "EFBIG", "EINTR", "EINVAL", "EISDIR", "ENOSPC", "EPIPE"), _RULE
)


def _ring(process: "Process", fd: int) -> Address:
    """Return the ring behind a descriptor; EOPNOTSUPP for one of another file."""
    file = process.file(fd)
    if file.kind != "io_uring":
        raise KernelError(errno.EOPNOTSUPP)
    return file.backing


def _limit(process: "Process") -> int:
    """Return RLIMIT_MEMLOCK in pages, whatever rights the process has: the ring knows whether it is for it."""
    return process.limits[RLIMIT_MEMLOCK] // process.kernel.page_size


@syscall(
    "io_uring_setup(entries: uint)",
    "io_uring_queue_init(3)",
    returns="a descriptor of a ring, `O_CLOEXEC`, to which what follows is done",
    errnos={"EINVAL": _RULE, "EMFILE": "open(2)", "ENOMEM": "semantics 2.6"},
    partial="without flags",
)
def io_uring_setup(process: "Process", entries: int) -> Conversation[int]:
    """io_uring_setup(2): whose pages it counts is settled here, for good."""
    if not 0 < entries <= MOST_ENTRIES:
        raise KernelError(errno.EINVAL)
    uid = -1 if process.memlock == -1 else process.credentials.uid
    pages = ring_pages(entries, process.kernel.page_size) if uid >= 0 else 0
    if not process.kernel.generation.io_uring_charges_rings:
        pages = 0
    yield from charge_user(uid, pages, _limit(process))
    try:
        fd = process.get_unused_fd()
    except KernelError:
        yield from uncharge_user(uid, pages)
        raise
    ring = f"io_uring:{process.identity}.{process.count('io_uring')}"
    account = Account(uid, process.memory())
    process.spawn(Ring, ring, process.kernel, account, pages, process.credentials.fsuid)
    ofd = f"file:{process.identity}.{process.count('file')}"
    process.spawn(OpenFileDescription, ofd, ring, "io_uring", O_RDWR)
    return process.install_at(fd, File(ofd, ring, "io_uring"), close_on_exec=True)


@syscall(
    "io_uring_register_buffers(ring: fd, addr: size_t, length: size_t)",
    "io_uring_register_buffers(3)",
    returns="0; the ring has a table of one buffer, index 0, whose pages are pinned. EBUSY if it has a table",
    errnos=_NOT_PINNED | {"EBUSY": _RULE},
    partial="one buffer",
)
def io_uring_register_buffers(process: "Process", ring: int, addr: int, length: int) -> Conversation[int]:
    """IORING_REGISTER_BUFFERS: the pages are those of the process that asks."""
    wanted = RegisterBuffer(process.memory(), addr, length, _limit(process), process.caller)
    yield Call(_ring(process, ring), wanted)
    return 0


@syscall(
    "io_uring_register_buffers_sparse(ring: fd, nr: uint)",
    "io_uring_register_buffers(3)",
    returns="0; the ring has a table of so many places, all empty. EBUSY if it has a table",
    errnos=_NO_RING | {"EBUSY": _RULE, "EINVAL": _RULE},
)
def io_uring_register_buffers_sparse(process: "Process", ring: int, nr: int) -> Conversation[int]:
    """IORING_REGISTER_BUFFERS2 with IORING_RSRC_REGISTER_SPARSE."""
    yield Call(_ring(process, ring), MakeSparseTable(nr))
    return 0


@syscall(
    "io_uring_register_buffers_update(ring: fd, index: uint, addr: size_t, length: size_t)",
    "io_uring_register_buffers_update_tag(3)",
    returns="1; the place of the table has this buffer, and what it had is unregistered. ENXIO without a table. With "
    "address and length 0 it is empty afterwards",
    errnos=_NOT_PINNED,
    partial="one buffer, without a tag",
)
def io_uring_register_buffers_update(
    process: "Process", ring: int, index: int, addr: int, length: int
) -> Conversation[int]:
    """IORING_REGISTER_BUFFERS_UPDATE."""
    wanted = UpdateBuffer(index, process.memory(), addr, length, _limit(process), process.caller)
    done: int = (yield Call(_ring(process, ring), wanted)).value
    return done


@syscall(
    "io_uring_unregister_buffers(ring: fd)",
    "io_uring_unregister_buffers(3)",
    returns="0; the table is gone, and no page of it is pinned. ENXIO if there is none",
    errnos=_NO_RING | {"EINTR": _RULE, "ENXIO": _RULE},
    restart=Restart.EINTR,
)
def io_uring_unregister_buffers(process: "Process", ring: int) -> Conversation[int]:
    """IORING_UNREGISTER_BUFFERS."""
    yield Call(_ring(process, ring), UnregisterBuffers())
    return 0


@syscall(
    "io_uring_read_fixed(ring: fd, fd: fd, addr: size_t, length: size_t, offset: long, index: uint)",
    "io_uring_prep_read_fixed(3)",
    returns="the bytes of the file that are in the buffer now, at most 65536: `IORING_OP_READ_FIXED` is submitted and "
    "waited for. `addr` is in the buffer, by the addresses it was registered with; `offset` -1 is the position",
    errnos=_NOT_MOVED,
    restart=Restart.EINTR,
    may_hang=True,
    partial="one request, which a signal that ends the wait cancels",
)
def io_uring_read_fixed(
    process: "Process", ring: int, fd: int, addr: int, length: int, offset: int, index: int
) -> Conversation[int]:
    """IORING_OP_READ_FIXED: into the pages that were pinned, whatever is mapped at their addresses by now."""
    file, begun = yield from _begin(process, ring, fd, _request(addr, length, index))
    return (yield from _end(process, ring, begun, _read(process, file, begun, offset)))


@syscall(
    "io_uring_write_fixed(ring: fd, fd: fd, addr: size_t, length: size_t, offset: long, index: uint)",
    "io_uring_prep_write_fixed(3)",
    returns="the bytes of the buffer that are in the file now, at most 65536: `IORING_OP_WRITE_FIXED`, as above",
    errnos=_NOT_MOVED,
    restart=Restart.EINTR,
    may_hang=True,
    partial="one request, which a signal that ends the wait cancels",
)
def io_uring_write_fixed(
    process: "Process", ring: int, fd: int, addr: int, length: int, offset: int, index: int
) -> Conversation[int]:
    """IORING_OP_WRITE_FIXED: from the pages that were pinned."""
    file, begun = yield from _begin(process, ring, fd, _request(addr, length, index))
    return (yield from _end(process, ring, begun, _write(process, file, begun, offset)))


def _request(addr: int, length: int, index: int) -> BeginFixed:
    """Return a request; it has 16 bits for the index."""
    return BeginFixed(index & 0xFFFF, addr, min(length, MOST))


def _begin(process: "Process", ring: int, fd: int, wanted: BeginFixed) -> Conversation[tuple[File, FixedBuffer]]:
    """Begin a request: the ring, then the file, then the buffer [io_submit_sqes, io_init_rw_fixed].

    Where a policy has something to say of the use of a registration, the files are asked whose pages these are.
    """
    address = _ring(process, ring)
    file = process.file(fd)
    begun: FixedBuffer = yield Call(address, wanted)
    try:
        if process.kernel.policy.overrides(Policy.use_gate):
            for inode in begun.files:
                yield Call(inode, AskUse(process.caller, begun.registration, address))
    except KernelError:
        yield Call(address, EndFixed(begun.number))
        raise
    return file, begun


def _end(process: "Process", ring: int, begun: FixedBuffer, moved: Conversation[int]) -> Conversation[int]:
    """Have the bytes moved, and then complete the request, whatever came of it."""
    address = _ring(process, ring)
    try:
        done = yield from moved
    except KernelError:
        yield Call(address, EndFixed(begun.number))
        raise
    yield Call(address, EndFixed(begun.number))
    return done


def _at_position(file: File, offset: int) -> bool:
    """Return whether a file is read and written where it is: it has no positions, or that is asked for."""
    return bool(FILE_OPERATIONS[file.kind].seek) or offset == -1


def _check(file: File, begun: FixedBuffer, offset: int, *, write: bool) -> Conversation[None]:
    """Fail for what is left to nobody else: the end of a pipe, and a range that no file has, not even a pipe.

    Raises:
        KernelError: EBADF, it is not open for that; EINVAL [rw_verify_area].

    """
    outside = offset < -1 or offset + _length(begun) > MOST_SIZE
    if not outside and file.kind != "pipe":
        return
    access: int = (yield Call(file.ofd, AskOpen())).value & O_ACCMODE
    if access not in (O_RDWR, O_WRONLY if write else O_RDONLY):
        raise KernelError(errno.EBADF)
    if outside:
        raise KernelError(errno.EINVAL)


def _length(begun: FixedBuffer) -> int:
    return sum(length for _, _, length in begun.segments)


def _read(process: "Process", file: File, begun: FixedBuffer, offset: int) -> Conversation[int]:
    """Read a file, and store what came; a pipe is waited for, O_NONBLOCK or not [io_rw_init_file]."""
    while file.kind == "io_uring":  # it is polled first, and has nothing to read before a completion is left in it
        yield process.sleepers.sleep(WaitsFor("completion", file.backing, "a completion that nobody has taken"))
    yield from _check(file, begun, offset, write=False)
    count = _length(begun)
    if file.kind == "pipe":
        read = Call(file.backing, PipeRead(count, nonblock=False))
    else:
        read = Call(file.ofd, Read(count) if _at_position(file, offset) else Pread(count, offset))
    data: bytes = (yield read).data
    left = data
    for page, inside, length in begun.segments:
        if left:
            yield Call(page.frame.memory, _access(begun, page, inside, len(left[:length]), left[:length]))
        left = left[length:]
    return len(data)


def _write(process: "Process", file: File, begun: FixedBuffer, offset: int) -> Conversation[int]:
    """Load what is in the buffer, and write it."""
    yield from _check(file, begun, offset, write=True)
    data = b""
    for page, inside, length in begun.segments:
        data += (yield Call(page.frame.memory, _access(begun, page, inside, length, None))).data
    if file.kind == "pipe":
        write = Call(file.backing, PipeWrite(data, nonblock=False))
    elif _at_position(file, offset):
        write = Call(file.ofd, Write(data, process.caller))
    else:
        write = Call(file.ofd, Pwrite(data, offset, process.caller))
    done: int = (yield write).value
    return done


def _access(begun: FixedBuffer, page: PinnedPage, inside: int, length: int, data: bytes | None) -> Dma:
    """Return the access to a page that is pinned: by its physical address, as a device has it."""
    frame = page.frame.number
    return Dma(frame, page.generation, page.inode, page.page, inside, length, data, begun.registration)
