"""Ops on memory by its pages: what each takes, which call it is, and how both kernels are asked for bytes.

A process has an *arena*, a range of addresses in which nothing lies but what the program puts there; ops say which of
its pages they mean. So a program can map over what is mapped, unmap and move parts, and look at any page afterwards: an
access that a mapping does not allow, or for which the file has no page, is EFAULT, not a signal.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from longpin.actors.constants import MAP_ANONYMOUS, MREMAP_FIXED, PROGRAM_CONSTANTS
from longpin.runner.machine.orders import Order

ARENA = 0x2000_0000_0000
"""Where the arena begins."""
PAGES = 256
"""How many pages it has."""
PAGE = 4096

PROTECTIONS: dict[str, int] = {"none": 0, "r": 1, "w": 2, "rw": 3}
MAP_FLAGS: dict[str, int] = {
    f"MAP_{name}": PROGRAM_CONSTANTS[f"MAP_{name}"]
    for name in (
        "SHARED", "PRIVATE", "SHARED_VALIDATE", "ANONYMOUS", "FIXED", "FIXED_NOREPLACE", "LOCKED", "POPULATE",
        "NORESERVE", "STACK",
    )
} | {"MAP_UNKNOWN": 0x200000}  # fmt: skip
ADVICE: dict[str, int] = {
    f"MADV_{name}": PROGRAM_CONSTANTS[f"MADV_{name}"]
    for name in (
        "NORMAL", "RANDOM", "SEQUENTIAL", "DONTNEED", "FREE", "REMOVE", "DONTFORK", "DOFORK", "DONTDUMP", "DODUMP",
        "WIPEONFORK", "KEEPONFORK", "COLD", "POPULATE_READ", "POPULATE_WRITE", "DONTNEED_LOCKED",
    )
}  # fmt: skip
REMAP_FLAGS: dict[str, int] = {"MREMAP_MAYMOVE": 1, "MREMAP_FIXED": 2, "MREMAP_DONTUNMAP": 4, "MREMAP_UNKNOWN": 8}
SYNC_FLAGS: dict[str, int] = {"MS_ASYNC": 1, "MS_INVALIDATE": 2, "MS_SYNC": 4, "MS_UNKNOWN": 8}


class Kind(NamedTuple):
    """What an argument may be."""

    text: str
    accepts: Callable[[Any], bool]


def _number(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _names(table: Mapping[str, int], *, none: bool = False) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, str)
        and len(value) < 200
        and ((none and not value) or all(part in table for part in value.split("|")))
    )


KINDS: dict[str, Kind] = {
    "arena page": Kind(f"a page of the arena from 0 to {PAGES - 1}", _number(0, PAGES - 1)),
    "arena pages": Kind(f"a number of pages from 0 to {PAGES}", _number(0, PAGES)),
    "protection": Kind(f"one of {', '.join(PROTECTIONS)}", lambda value: value in PROTECTIONS),
    "map flags": Kind(f"some of {'|'.join(MAP_FLAGS)}", _names(MAP_FLAGS)),
    "advice": Kind(f"one of {', '.join(ADVICE)}", lambda value: value in ADVICE),
    "remap flags": Kind(f"some of {'|'.join(REMAP_FLAGS)}, or nothing", _names(REMAP_FLAGS, none=True)),
    "sync flags": Kind(f"some of {'|'.join(SYNC_FLAGS)}, or nothing", _names(SYNC_FLAGS, none=True)),
    "byte": Kind("a byte from 0 to 255", _number(0, 255)),
}
"""The kinds of arguments that no other ops take."""

_RANGE = {"page": "arena page", "pages": "arena pages"}
RULES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "map": (_RANGE | {"prot": "protection", "flags": "map flags"}, {"fd": "fd", "offset": "arena pages"}),
    "unmap": (_RANGE, {}),
    "protect": (_RANGE | {"prot": "protection"}, {}),
    "advise": (_RANGE | {"advice": "advice"}, {}),
    "lock": (_RANGE, {}),
    "unlock": (_RANGE, {}),
    "sync": (_RANGE | {"flags": "sync flags"}, {}),
    "remap": (_RANGE | {"new_pages": "arena pages", "flags": "remap flags"}, {"to": "arena page"}),
    "peek": ({"page": "arena page"}, {}),
    "poke": ({"page": "arena page", "value": "byte"}, {}),
}
"""What each op takes: arguments that it needs, and others."""

Arguments = Mapping[str, Any]
Written = tuple[Any, ...]


def _bits(text: str, table: Mapping[str, int]) -> int:
    return sum(table[part] for part in set(filter(None, text.split("|"))))


def _address(args: Arguments, name: str = "page") -> int:
    return int(ARENA + args.get(name, 0) * PAGE)


def _range(args: Arguments) -> tuple[int, int]:
    return _address(args), args["pages"] * PAGE


def _map(fd: int, args: Arguments) -> Written:
    address, length = _range(args)
    flags = _bits(args["flags"], MAP_FLAGS)
    return (
        "mmap", length, PROTECTIONS[args["prot"]], flags, -1 if flags & MAP_ANONYMOUS else fd,
        args.get("offset", 0) * PAGE, address,
    )  # fmt: skip


def _remap(_fd: int, args: Arguments) -> Written:
    flags = _bits(args["flags"], REMAP_FLAGS)
    to = (_address(args, "to"),) if flags & MREMAP_FIXED else ()
    return ("mremap", *_range(args), args["new_pages"] * PAGE, flags, *to)


BY_KERNEL = ("peek", "poke")
"""Accesses that the kernel makes for a process: where there is nothing they are EFAULT, and no signal comes."""
READERS: dict[str, Callable[[int, Arguments], Written]] = {
    "map": _map,
    "unmap": lambda _, a: ("munmap", *_range(a)),
    "protect": lambda _, a: ("mprotect", *_range(a), PROTECTIONS[a["prot"]]),
    "advise": lambda _, a: ("madvise", *_range(a), ADVICE[a["advice"]]),
    "lock": lambda _, a: ("mlock", *_range(a)),
    "unlock": lambda _, a: ("munlock", *_range(a)),
    "sync": lambda _, a: ("msync", *_range(a), _bits(a["flags"], SYNC_FLAGS)),
    "remap": _remap,
    "peek": lambda _, a: ("load", _address(a), 1),
    "poke": lambda _, a: ("store", _address(a), bytes([a["value"]])),
}
"""The call that an op is; the first argument is its descriptor, -1 where it has none."""


def order(op: str, *args: Any) -> Order | None:
    """Return the order for a call that an op is, where it is not what the call itself would be ordered as."""
    match op:
        case "peek":
            return Order("peek", {"addr": args[0]})
        case "poke":
            return Order("poke", {"addr": args[0], "value": args[1][0]})
    return None


def result(op: str, args: Arguments, ret: int) -> int | str | None:
    """Return what an op that succeeded returned, where it is an address; None: it is none."""
    match op:
        case "map":
            return 0 if ret == _address(args) else "elsewhere"
        case "remap":
            to = "to" if "MREMAP_FIXED" in args["flags"] else "page"
            return 0 if ret == _address(args, to) else "elsewhere"
    return None
