"""Calls of the agent on where the data of files lie.

Part of the program of :mod:`longpin.runner.machine.agent`, so it imports only the standard library and its other parts.
"""

import ctypes
import errno
import struct
from collections.abc import Callable

from longpin.runner.machine.agent_libc import LIBC, Order, Reply, answer

FICLONERANGE, FIDEDUPERANGE, FS_IOC_FIEMAP = 0x4020940D, 0xC0189436, 0xC020660B
"""Of <linux/fs.h>, on x86-64."""
FIEMAP_FLAG_SYNC, MOST_EXTENTS = 1, 4096

_CLONE = struct.Struct("<qQQQ")
"""``struct file_clone_range``."""
_DEDUPE = struct.Struct("<QQHHIqQQiI")
"""``struct file_dedupe_range`` with one destination."""
_FIEMAP, _EXTENT = struct.Struct("<QQIIII"), struct.Struct("<QQQQQIIII")
"""``struct fiemap`` and ``struct fiemap_extent``."""
_ALL_BITS = (1 << 64) - 1


def _ioctl(fd: int, request: int, argument: object) -> Reply:
    return answer(LIBC.ioctl(ctypes.c_int(fd), ctypes.c_ulong(request), argument))


def clone_range(order: Order) -> Reply:
    """Call ioctl(2) with FICLONERANGE."""
    offsets = (order[name] & _ALL_BITS for name in ("src_offset", "src_length", "dest_offset"))
    return _ioctl(order["fd"], FICLONERANGE, _CLONE.pack(ctypes.c_int(order["src_fd"]).value, *offsets))


def dedupe_range(order: Order) -> Reply:
    """Call ioctl(2) with FIDEDUPERANGE; an error in the status of the destination is one of the call."""
    start, length, target = (order[name] & _ALL_BITS for name in ("src_offset", "src_length", "dest_offset"))
    fd = ctypes.c_int(order["dest_fd"]).value
    room = ctypes.create_string_buffer(_DEDUPE.pack(start, length, 1, 0, 0, fd, target, 0, 0, 0), _DEDUPE.size)
    reply = _ioctl(order["fd"], FIDEDUPERANGE, room)
    if reply["errno"] is not None:
        return reply
    *_, deduped, status, _ = _DEDUPE.unpack(room.raw)
    if status < 0:
        return {"ret": -1, "errno": errno.errorcode.get(-status, str(-status))}
    return {"ret": 0 if status else deduped, "errno": None}


def copy_range(order: Order) -> Reply:
    """Call copy_file_range(2); None for an offset is NULL."""
    offsets = [None if order[name] is None else ctypes.c_int64(order[name]) for name in ("off_in", "off_out")]
    start, target = (None if offset is None else ctypes.byref(offset) for offset in offsets)
    function = LIBC["copy_file_range"]
    function.restype = ctypes.c_ssize_t
    length, flags = ctypes.c_size_t(order["len"]), ctypes.c_uint(order["flags"])
    return answer(function(ctypes.c_int(order["fd_in"]), start, ctypes.c_int(order["fd_out"]), target, length, flags))


def map_extents(order: Order) -> Reply:
    """Call ioctl(2) with FS_IOC_FIEMAP for the whole file; ``extents`` has logical, physical, length and flags each."""
    head = _FIEMAP.pack(0, _ALL_BITS, FIEMAP_FLAG_SYNC, 0, MOST_EXTENTS, 0)
    room = ctypes.create_string_buffer(head, _FIEMAP.size + MOST_EXTENTS * _EXTENT.size)
    reply = _ioctl(order["fd"], FS_IOC_FIEMAP, room)
    if reply["errno"] is None:
        count = _FIEMAP.unpack_from(room)[3]
        fields = [_EXTENT.unpack_from(room, _FIEMAP.size + index * _EXTENT.size) for index in range(count)]
        reply["extents"] = [[field[0], field[1], field[2], field[5]] for field in fields]
    return reply


CALLS: dict[str, Callable[[Order], Reply]] = {
    "ficlonerange": clone_range,
    "fideduperange": dedupe_range,
    "copy_file_range": copy_range,
    "fiemap": map_extents,
}
"""What can be ordered beside what ``libc`` does."""
