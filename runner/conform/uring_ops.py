"""Ops on rings of io_uring: what each takes, which call it is, and what a real process is ordered to do for it.

Buffers lie in the arena (:mod:`longpin.runner.conform.memory_ops`). An op is the call of its name; ``fd`` is the ring.
"""

from collections.abc import Callable, Mapping
from typing import Any

from longpin.runner.conform.memory_ops import ARENA, PAGE, Kind
from longpin.runner.machine.orders import Order

PREFIX = "io_uring_"
_LONGEST = 1 << 40


def _number(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


KINDS: dict[str, Kind] = {
    "entries": Kind("a number of entries from 0 to 4096, or more than a ring can have", _number(0, 1 << 17)),
    "buffer length": Kind("a number of bytes from 0 to 2^40", _number(0, _LONGEST)),
    "place": Kind("a number from 0 to 2^17", _number(0, 1 << 17)),
}
"""The kinds of arguments that no other ops take."""

_BUFFER = {"page": "arena page", "inside": "inside", "len": "buffer length"}
_MOVED = {"fd": "fd", "file": "fd", "page": "arena page", "len": "written", "at": "range", "index": "place"}
RULES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "io_uring_setup": ({"entries": "entries", "as": "new descriptor"}, {}),
    "io_uring_register_buffers": ({"fd": "fd"}, _BUFFER),
    "io_uring_register_buffers_sparse": ({"fd": "fd", "nr": "place"}, {}),
    "io_uring_register_buffers_update": ({"fd": "fd", "index": "place"}, _BUFFER),
    "io_uring_unregister_buffers": ({"fd": "fd"}, {}),
    "io_uring_read_fixed": (_MOVED, {"inside": "inside"}),
    "io_uring_write_fixed": (_MOVED, {"inside": "inside"}),
}
"""What each op takes: arguments that it needs, and others. Without a page a buffer is at no address."""

Arguments = Mapping[str, Any]
Written = tuple[Any, ...]
Fd = Callable[[str], int]
"""Says which number the descriptor has that an argument names."""


def _buffer(a: Arguments) -> tuple[int, int]:
    address = ARENA + a["page"] * PAGE + a.get("inside", 0) if "page" in a else 0
    return address, a.get("len", 0)


def read(op: str, fd: Fd, a: Arguments) -> Written | None:
    """Return the call that an op is, with its arguments written out; None: it is none of these."""
    if not op.startswith(PREFIX):
        return None
    match op.removeprefix(PREFIX):
        case "setup":
            return (op, a["entries"])
        case "register_buffers":
            return (op, fd("fd"), *_buffer(a))
        case "register_buffers_sparse":
            return (op, fd("fd"), a["nr"])
        case "register_buffers_update":
            return (op, fd("fd"), a["index"], *_buffer(a))
        case "unregister_buffers":
            return (op, fd("fd"))
        case "read_fixed" | "write_fixed":
            return (op, fd("fd"), fd("file"), *_buffer(a), a["at"], a["index"])
    return None


_PARAMETERS = {
    "io_uring_setup": ("entries",),
    "io_uring_register_buffers": ("ring", "addr", "length"),
    "io_uring_register_buffers_sparse": ("ring", "nr"),
    "io_uring_register_buffers_update": ("ring", "index", "addr", "length"),
    "io_uring_unregister_buffers": ("ring",),
    "io_uring_read_fixed": ("ring", "fd", "addr", "length", "offset", "index"),
    "io_uring_write_fixed": ("ring", "fd", "addr", "length", "offset", "index"),
}


def order(call: str, *args: Any) -> Order | None:
    """Return what the agent is ordered to do for a call; None: it is none of these."""
    if (parameters := _PARAMETERS.get(call)) is None:
        return None
    return Order(call, dict(zip(parameters, args, strict=True)))
