"""Calls of the agent that move bytes between its own memory, files, pipes and other processes.

Part of the program of :mod:`longpin.runner.machine.agent`, so it imports only the standard library and its other parts.
"""

import ctypes
from collections.abc import Callable
from typing import Any

from longpin.runner.machine.agent_libc import LIBC, Order, Reply, answer


class IoVec(ctypes.Structure):
    """``struct iovec``."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def _range(order: Order) -> IoVec:
    """Return the range of memory of an order; more than 64 bits are cut off."""
    return IoVec(order["addr"], order["length"])


def _function(name: str) -> Any:
    function = LIBC[name]
    function.restype = ctypes.c_ssize_t
    return function


def vmsplice(order: Order) -> Reply:
    """Call vmsplice(2) with one range."""
    fd, flags = ctypes.c_int(order["fd"]), ctypes.c_uint(order["flags"])
    return answer(_function("vmsplice")(fd, ctypes.byref(_range(order)), ctypes.c_ulong(1), flags))


def _at_offset(name: str) -> Callable[[Order], Reply]:
    def call(order: Order) -> Reply:
        fd, offset = ctypes.c_int(order["fd"]), ctypes.c_int64(order["offset"])
        return answer(_function(name)(fd, ctypes.byref(_range(order)), 1, offset))

    return call


def process_vm_readv(order: Order) -> Reply:
    """Call process_vm_readv(2) with one range each; the reply has what was read."""
    room = ctypes.create_string_buffer(max(order["length"], 1))
    reply = _process_vm("process_vm_readv", order, IoVec(ctypes.addressof(room), order["length"]))
    return reply | {"data": room.raw[: max(reply["ret"], 0)].hex()}


def process_vm_writev(order: Order) -> Reply:
    """Call process_vm_writev(2) with one range each."""
    data = bytes.fromhex(order["data"])
    room = ctypes.create_string_buffer(data, len(data) + 1)
    return _process_vm("process_vm_writev", order | {"length": len(data)}, IoVec(ctypes.addressof(room), len(data)))


def _process_vm(name: str, order: Order, own: IoVec) -> Reply:
    one, other = ctypes.c_ulong(1), ctypes.byref(_range(order))
    pid = ctypes.c_int(order["pid"])
    return answer(_function(name)(pid, ctypes.byref(own), one, other, one, ctypes.c_ulong(0)))


CALLS: dict[str, Callable[[Order], Reply]] = {
    "vmsplice": vmsplice,
    "preadv": _at_offset("preadv"),
    "pwritev": _at_offset("pwritev"),
    "process_vm_readv": process_vm_readv,
    "process_vm_writev": process_vm_writev,
}
"""What can be ordered beside what ``libc`` does."""
