"""What the agent's calls share: the C library, how its answers are written, and the kernel's numbers.

Part of the program of :mod:`longpin.runner.machine.agent`, so it imports only the standard library.
"""

import ctypes
import errno
import functools
import mmap
import os
from typing import Any

CONTROL, INBOX, WAKEUP = 500, 501, 502
"""An agent's own descriptors: its orders, where SCM_RIGHTS messages for it arrive, and where it tells of handlers."""
LONGEST_MESSAGE = 1 << 18
PAGE = 4096
MNT_DETACH = 2
ROOM = 64 << 20
"""Bytes for a read of more than any file has: not every kernel looks whether a buffer can be so large."""

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
LIBC.mremap.restype = ctypes.c_void_p
LIBC.mremap.argtypes = [ctypes.c_void_p, *[ctypes.c_size_t] * 2, ctypes.c_int, ctypes.c_void_p]

Reply = dict[str, Any]
Order = dict[str, Any]


class Broken(Exception):
    """The agent cannot do what it was told; no answer of the kernel's."""


def answer(returned: int) -> Reply:
    """Return what a C function returned as a reply."""
    code = ctypes.get_errno()
    return {"ret": returned, "errno": _name(code) if returned == -1 else None}


def error_answer(error: OSError) -> Reply:
    """Return an error that Python raised for a system call as a reply."""
    return {"ret": -1, "errno": _name(error.errno or 0)}


def _name(code: int) -> str:
    """Return the name of an error; of two for one number, the one that Linux uses."""
    return "EOPNOTSUPP" if code == errno.EOPNOTSUPP else errno.errorcode.get(code, str(code))


def libc(order: Order) -> Reply:
    """Call a function of the C library by its name; ``wide`` is whether it returns 64 bits.

    Strings are paths, numbers have all 64 bits, None is NULL, ``{"data": HEX}`` is data. ``{"room": COUNT}`` is a
    buffer of so many bytes; the reply has what the function put there.
    """
    function = LIBC[order["name"]]  # each time another object, so that the type of what it returns is its own
    function.restype = ctypes.c_long if order["wide"] else ctypes.c_int
    args = [_argument(arg) for arg in order["args"]]
    reply = answer(function(*args))
    for given, arg in zip(order["args"], args, strict=True):
        if isinstance(given, dict) and "room" in given:
            reply["data"] = ctypes.string_at(arg, max(reply["ret"], 0)).hex()
    return reply


def _argument(arg: Any) -> Any:
    """Return an argument of an order as ctypes takes it."""
    if isinstance(arg, dict):
        return bytes.fromhex(arg["data"]) if "data" in arg else _room(arg["room"])
    return os.fsencode(arg) if isinstance(arg, str) else arg if arg is None else ctypes.c_long(arg)


def _room(count: int) -> Any:
    """Return a buffer of so many bytes, or the beginning of one that no process can have in full."""
    return ctypes.create_string_buffer(max(count, 1)) if 0 <= count <= LONGEST_MESSAGE else _largest_room()


@functools.cache
def _largest_room() -> "ctypes.Array[ctypes.c_char]":
    return (ctypes.c_char * ROOM).from_buffer(mmap.mmap(-1, ROOM))


def path_of(order: Order) -> bytes:
    """Return the path of an order as the C library takes it."""
    return os.fsencode(order["path"])
