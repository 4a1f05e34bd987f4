"""Calls of the agent on io_uring, by their numbers: the C library has no functions for them.

Part of the program of :mod:`longpin.runner.machine.agent`, so it imports only the standard library and its other parts.
A fixed read or write is submitted and waited for; where a signal ends the wait, the request is cancelled.
"""

import contextlib
import ctypes
import errno
import mmap
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from longpin.runner.machine.agent_libc import LIBC, PAGE, Order, Reply, answer, error_answer

SETUP, ENTER, REGISTER = 425, 426, 427
"""The same on every machine that has io_uring but Alpha."""
REGISTER_BUFFERS, UNREGISTER_BUFFERS, REGISTER_BUFFERS2, REGISTER_BUFFERS_UPDATE = 0, 1, 15, 16
RSRC_REGISTER_SPARSE = 1
OP_READ_FIXED, OP_WRITE_FIXED, OP_ASYNC_CANCEL = 4, 5, 14
OFF_SQ_RING, OFF_SQES = 0, 0x10000000
ENTER_GETEVENTS = 1
SQE, CQE = 64, 16
"""Bytes of an entry of each queue."""
REQUEST, CANCELLATION = 1, 2
"""What their completions are told by."""


def _call(number: int, *args: Any) -> int:
    """Make a system call."""
    function = LIBC["syscall"]
    function.restype = ctypes.c_long
    return int(function(ctypes.c_long(number), *args))


def _long(value: int) -> ctypes.c_long:
    return ctypes.c_long(value)


LAYOUTS: dict[int, tuple[int, ...]] = {}
"""Where things lie in a ring of so many entries, as its maker was told; a forked child knows it too."""


def _setup(entries: int) -> int:
    parameters = ctypes.create_string_buffer(120)
    fd = _call(SETUP, _long(entries), parameters)
    if fd >= 0:
        words = struct.unpack("30I", parameters.raw)
        LAYOUTS[words[0]] = words
    return fd


def setup(order: Order) -> Reply:
    """Call io_uring_setup(2) without flags."""
    return answer(_setup(order["entries"]))


def why_not() -> str:
    """Return why there is no io_uring for everybody, empty if there is."""
    parameters = ctypes.create_string_buffer(120)
    fd = _call(SETUP, _long(1), parameters)
    code = ctypes.get_errno()
    if fd >= 0:
        _close(fd)
    disabled = "0"
    with contextlib.suppress(OSError):
        disabled = Path("/proc/sys/kernel/io_uring_disabled").read_text().strip()
    if disabled != "0":
        whom = "everybody" if disabled == "2" else "all but the privileged"
        return f"io_uring is disabled for {whom}: kernel.io_uring_disabled is {disabled}"
    return "" if fd >= 0 else f"no io_uring here: io_uring_setup fails with {errno.errorcode.get(code, str(code))}"


def register_buffers(order: Order) -> Reply:
    """Register one buffer, as a table."""
    vector = struct.pack("QQ", order["addr"], order["length"])
    return answer(_call(REGISTER, _long(order["ring"]), _long(REGISTER_BUFFERS), vector, _long(1)))


def register_sparse(order: Order) -> Reply:
    """Make a table of empty places."""
    wanted = struct.pack("IIQQQ", order["nr"], RSRC_REGISTER_SPARSE, 0, 0, 0)
    return answer(_call(REGISTER, _long(order["ring"]), _long(REGISTER_BUFFERS2), wanted, _long(len(wanted))))


def register_update(order: Order) -> Reply:
    """Register one buffer for a place."""
    vector = ctypes.create_string_buffer(struct.pack("QQ", order["addr"], order["length"]), 16)
    wanted = struct.pack("IIQQII", order["index"], 0, ctypes.addressof(vector), 0, 1, 0)
    return answer(_call(REGISTER, _long(order["ring"]), _long(REGISTER_BUFFERS_UPDATE), wanted, _long(len(wanted))))


def unregister_buffers(order: Order) -> Reply:
    """Let go of the table."""
    return answer(_call(REGISTER, _long(order["ring"]), _long(UNREGISTER_BUFFERS), None, _long(0)))


def _map(fd: int, size: int, offset: int) -> tuple[int, Any]:
    """Map a part of a ring; return where, and its bytes."""
    at = LIBC.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, offset)
    if at == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "mmap of a ring")
    return at, memoryview((ctypes.c_char * size).from_address(at)).cast("B")


def _unmap(at: int, size: int) -> None:
    LIBC.munmap(ctypes.c_void_p(at), ctypes.c_size_t(size))


class _Ring:
    """The queues of a ring, mapped for one request."""

    def __init__(self, fd: int) -> None:
        entries = self._entries(fd)
        if entries not in LAYOUTS:
            _close(_setup(entries))
        words = LAYOUTS[entries]
        self.fd = fd
        _, self.sq_tail, self.sq_mask, _, _, _, self.array = words[10:17]
        self.cq_head, self.cq_tail, self.cq_mask, _, _, self.cqes = words[20:26]
        self.sizes = max(self.array + 4 * words[0], self.cqes + CQE * words[1]), SQE * words[0]
        at_rings, self.rings = _map(fd, self.sizes[0], OFF_SQ_RING)
        at_sqes, self.sqes = _map(fd, self.sizes[1], OFF_SQES)
        self.places = at_rings, at_sqes

    @staticmethod
    def _entries(fd: int) -> int:
        """Read how many entries a ring has that another process has made."""
        if not LAYOUTS:
            _close(_setup(1))
        where = next(iter(LAYOUTS.values()))[13]
        at, ring = _map(fd, PAGE, OFF_SQ_RING)
        entries = int.from_bytes(ring[where : where + 4], "little")
        _unmap(at, PAGE)
        return entries

    def _word(self, offset: int) -> int:
        return int.from_bytes(self.rings[offset : offset + 4], "little")

    def _set_word(self, offset: int, value: int) -> None:
        self.rings[offset : offset + 4] = (value & 0xFFFF_FFFF).to_bytes(4, "little")

    def submit(self, entry: bytes, *, wait: bool = True) -> int:
        """Submit an entry, and perhaps wait for a completion; return what io_uring_enter(2) does."""
        tail = self._word(self.sq_tail)
        index = tail & self._word(self.sq_mask)
        self.sqes[index * SQE : (index + 1) * SQE] = entry.ljust(SQE, b"\0")
        self._set_word(self.array + 4 * index, index)
        self._set_word(self.sq_tail, tail + 1)
        return _enter(self.fd, 1, wait=wait)

    def completions(self) -> dict[int, int]:
        """Take what is complete: results by what they are told by."""
        found = {}
        head, tail = self._word(self.cq_head), self._word(self.cq_tail)
        while head != tail:
            at = self.cqes + (head & self._word(self.cq_mask)) * CQE
            told, result = struct.unpack_from("<Qi", self.rings, at)
            found[told] = result
            head = (head + 1) & 0xFFFF_FFFF
        self._set_word(self.cq_head, head)
        return found

    def close(self) -> None:
        """Unmap them."""
        for at, size in zip(self.places, self.sizes, strict=True):
            _unmap(at, size)


def _close(fd: int) -> None:
    LIBC.close(ctypes.c_int(fd))


def _enter(fd: int, submitted: int, *, wait: bool = True) -> int:
    """Submit so many entries, and wait for a completion, or look for one."""
    return _call(ENTER, _long(fd), _long(submitted), _long(int(wait)), _long(ENTER_GETEVENTS), None, _long(0))


def _may_wait(fd: int) -> bool:
    """Whether a request may wait for others to do something: it is polled, where a regular file has a worker."""
    try:
        return not stat.S_ISREG(os.fstat(fd & 0xFFFF_FFFF).st_mode)
    except OSError:
        return False


def _is_ring(fd: int) -> bool:
    try:
        return str(Path(f"/proc/self/fd/{fd & 0xFFFF_FFFF}").readlink()) == "anon_inode:[io_uring]"
    except OSError:
        return False


def _moved(opcode: int) -> Callable[[Order], Reply]:
    def call(order: Order) -> Reply:
        if not _is_ring(order["ring"]):  # the kernel says what is wrong with it
            return answer(_enter(order["ring"], 1))
        ring = _Ring(order["ring"])
        try:
            return _move(ring, opcode, order)
        finally:
            ring.close()

    return call


def _move(ring: _Ring, opcode: int, order: Order) -> Reply:
    """Submit a request and wait for it; one that a signal has ended the wait for is cancelled [io_cqring_wait].

    Who watches must not take it for asleep while a worker of the kernel writes a file.
    """
    offset = order["offset"] & 0xFFFF_FFFF_FFFF_FFFF
    where = offset, order["addr"], order["length"]
    entry = struct.pack("<BBHiQQIIQH", opcode, 0, 0, order["fd"], *where, 0, REQUEST, order["index"] & 0xFFFF)
    waits = _may_wait(order["fd"])
    if ring.submit(entry, wait=waits) < 0:
        return answer(-1)
    found = ring.completions()
    while not waits and REQUEST not in found:
        os.sched_yield()
        _enter(ring.fd, 0, wait=False)
        found = ring.completions()
    if REQUEST in found:
        result = found[REQUEST]
        return error_answer(OSError(-result, "")) if result < 0 else {"ret": result, "errno": None}
    ring.submit(struct.pack("<BBHiQQIIQ", OP_ASYNC_CANCEL, 0, 0, -1, 0, REQUEST, 0, 0, CANCELLATION))
    while not {REQUEST, CANCELLATION} <= found.keys():
        found |= ring.completions()
        if not {REQUEST, CANCELLATION} <= found.keys():
            _enter(ring.fd, 0)
    return error_answer(InterruptedError(errno.EINTR, ""))


CALLS: dict[str, Callable[[Order], Reply]] = {
    "io_uring_setup": setup,
    "io_uring_register_buffers": register_buffers,
    "io_uring_register_buffers_sparse": register_sparse,
    "io_uring_register_buffers_update": register_update,
    "io_uring_unregister_buffers": unregister_buffers,
    "io_uring_read_fixed": _moved(OP_READ_FIXED),
    "io_uring_write_fixed": _moved(OP_WRITE_FIXED),
}
"""What can be ordered beside what ``libc`` does."""
