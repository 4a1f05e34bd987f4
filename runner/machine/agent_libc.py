"""What the agent's calls share: the C library, how its answers are written, and the kernel's numbers.

Part of the program of :mod:`longpin.runner.machine.agent`, so it imports only the standard library.
"""

import ctypes
import errno
import os
from typing import Any

CONTROL, INBOX, WAKEUP = 500, 501, 502
"""An agent's own descriptors: its orders, where SCM_RIGHTS messages for it arrive, and where it tells of handlers."""
LONGEST_MESSAGE = 1 << 18
PAGE = 4096
AT_FDCWD = -100

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
for _wide in (LIBC.lseek, LIBC.read, LIBC.write):
    _wide.restype = ctypes.c_long

Reply = dict[str, Any]
Order = dict[str, Any]


class Broken(Exception):
    """The agent cannot do what it was told; no answer of the kernel's."""


def answer(returned: int) -> Reply:
    """Return what a C function returned as a reply."""
    code = ctypes.get_errno()
    return {"ret": returned, "errno": errno.errorcode.get(code, str(code)) if returned == -1 else None}


def error_answer(error: OSError) -> Reply:
    """Return an error that Python raised for a system call as a reply."""
    return {"ret": -1, "errno": errno.errorcode.get(error.errno or 0, str(error.errno))}


def libc(order: Order) -> Reply:
    """Call a function of the C library by its name; strings are paths, numbers have all 64 bits."""
    args = [os.fsencode(arg) if isinstance(arg, str) else ctypes.c_long(arg) for arg in order["args"]]
    return answer(getattr(LIBC, order["name"])(*args))


def path_of(order: Order) -> bytes:
    """Return the path of an order as the C library takes it."""
    return os.fsencode(order["path"])
