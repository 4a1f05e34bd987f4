"""The table of ops: what each takes."""

import os
import re
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Arguments = Mapping[str, Any]
"""An op's arguments by name, as in JSON."""

COORDINATOR: Final = "*"
"""Who is no process of the program but makes files, sets the clock going and kills."""

NEW_FD: Final = "name"
"""The kind of an argument that names a new descriptor."""

OPEN_FLAGS: dict[str, int] = {
    name: getattr(os, name)
    for name in [
        "O_RDONLY",
        "O_WRONLY",
        "O_RDWR",
        "O_CREAT",
        "O_EXCL",
        "O_TRUNC",
        "O_APPEND",
        "O_NONBLOCK",
        "O_DIRECTORY",
        "O_NOFOLLOW",
        "O_PATH",
        "O_TMPFILE",
        "O_SYNC",
        "O_DSYNC",
        "O_NOATIME",
        "O_CLOEXEC",
    ]
}
"""Flags of open(2) by name."""

LEASE_TYPES: dict[str, int] = {"RD": 0, "WR": 1, "UN": 2}
"""F_RDLCK, F_WRLCK and F_UNLCK as fcntl(2) leases take them."""

SIGNALS: dict[str, int] = {
    "SIGIO": signal.SIGIO,
    "SIGUSR1": signal.SIGUSR1,
    "SIGRT1": signal.SIGRTMIN + 1,
    "SIGRT2": signal.SIGRTMIN + 2,
}
"""The signals a process blocks and reads, which F_SETSIG may ask for."""

FALLOCATE_MODES: dict[str, int] = {
    "ALLOC": 0,
    "KEEP_SIZE": 1,
    "PUNCH_HOLE": 3,  # FALLOC_FL_PUNCH_HOLE must come with FALLOC_FL_KEEP_SIZE
    "COLLAPSE": 8,
    "ZERO": 16,
    "INSERT": 32,
}
"""Modes of fallocate(2)."""

FLOCK_HOW: dict[str, int] = {"SH": 1, "EX": 2, "NB": 4, "UN": 8}
"""What flock(2) takes, with or without LOCK_ in front."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", re.ASCII)
_PROCESS = re.compile(r"-?[A-Z][A-Za-z0-9]{0,15}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of argument."""

    text: str
    """What it must be, as an error message says it."""
    accepts: Callable[[Any], bool]


def _number(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _names_of(table: Mapping[str, int], prefix: str = "") -> Callable[[Any], bool]:
    """Accept names of a table joined by |, each with or without a prefix."""
    return lambda value: (
        isinstance(value, str)
        and len(value) < 200
        and all(part.strip().removeprefix(prefix) in table for part in value.split("|"))
    )


_is_signal = _names_of(SIGNALS)
_is_int = _number(-(1 << 31), (1 << 31) - 1)

KINDS: dict[str, Kind] = {
    "fd": Kind("the name of a descriptor", _is_name),
    NEW_FD: Kind("a name for the new descriptor", _is_name),
    "path": Kind("a plain file name, or . for the folder", lambda value: value == "." or _is_name(value)),
    "flags": Kind("flags of open(2) such as O_RDWR|O_NONBLOCK", _names_of(OPEN_FLAGS)),
    "lease": Kind(
        "RD, WR, UN or a number", lambda value: value in LEASE_TYPES if isinstance(value, str) else _is_int(value)
    ),
    "signal": Kind(
        "SIGIO, SIGUSR1, SIGRT1, SIGRT2 or 0",
        lambda value: (value in (0, "0") and value is not False) or _is_signal(value),
    ),
    "owner": Kind(
        "a process's name, perhaps with - in front, or 0",
        lambda value: (
            (type(value) is int and value == 0)
            or value == "0"
            or KINDS["process"].accepts(str(value).removeprefix("-"))
        ),
    ),
    "process": Kind(
        "the name of a process such as A",
        lambda value: isinstance(value, str) and not value.startswith("-") and _PROCESS.fullmatch(value) is not None,
    ),
    "prot": Kind("r or w", lambda value: value in ("r", "w")),
    "flag": Kind("0 or 1", lambda value: isinstance(value, int) and value in (0, 1)),
    "fallocate": Kind(
        f"one of {', '.join(FALLOCATE_MODES)}", lambda value: isinstance(value, str) and value in FALLOCATE_MODES
    ),
    "flock": Kind("SH, EX or UN, perhaps with |NB", _names_of(FLOCK_HOW, "LOCK_")),
    "length": Kind("a length of 0 to 16 MiB", _number(0, 1 << 24)),
    "mode": Kind("a mode of 0 to 0777 (511)", _number(0, 0o777)),
    "uid": Kind("a user's number", _number(0, (1 << 31) - 1)),
    "seconds": Kind("seconds from 0 to 3600", _number(0, 3600)),
    "milliseconds": Kind("milliseconds from 0 to 120000", _number(0, 120_000)),
}
"""Every kind of argument."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What an op takes."""

    required: dict[str, str]
    """Kinds by argument name."""
    optional: dict[str, str] = field(default_factory=dict)
    coordinator: bool = False
    """The coordinator makes it, not a process."""

    def of_kind(self, kind: str) -> list[str]:
        """Return the names of the arguments of a kind that must be there."""
        return [name for name, its in self.required.items() if its == kind]


OPS: dict[str, Rule] = {
    # Descriptors.
    "open": Rule({"path": "path", "flags": "flags", "as": NEW_FD}, {"mode": "mode"}),
    "reopen": Rule({"fd": "fd", "flags": "flags", "as": NEW_FD}),
    "close": Rule({"fd": "fd"}),
    "dup": Rule({"fd": "fd", "as": NEW_FD}),
    "pipe": Rule({"r": NEW_FD, "w": NEW_FD}),
    "mmap": Rule({"fd": "fd", "prot": "prot"}, {"touch": "flag"}),
    "fsync": Rule({"fd": "fd"}),
    "flock": Rule({"fd": "fd", "how": "flock"}),
    "read": Rule({"fd": "fd"}),
    "write": Rule({"fd": "fd"}),
    "ftruncate": Rule({"fd": "fd", "len": "length"}),
    "fallocate": Rule({"fd": "fd", "mode": "fallocate"}, {"len": "length"}),
    # Leases and their signals.
    "setlease": Rule({"fd": "fd", "type": "lease"}),
    "getlease": Rule({"fd": "fd"}),
    "setsig": Rule({"fd": "fd", "sig": "signal"}),
    "setown": Rule({"fd": "fd", "pid": "owner"}),
    "getown": Rule({"fd": "fd"}),
    # Paths.
    "truncate": Rule({"path": "path", "len": "length"}),
    "unlink": Rule({"path": "path"}),
    "rename": Rule({"path": "path", "to": "path"}),
    "link": Rule({"path": "path", "to": "path"}),
    "chmod": Rule({"path": "path", "mode": "mode"}),
    "chown": Rule({"path": "path", "uid": "uid"}),
    "utimes": Rule({"path": "path"}),
    "setxattr": Rule({"path": "path"}),
    "stat": Rule({"path": "path"}),
    "access": Rule({"path": "path"}),
    "mkdir": Rule({"path": "path"}, {"mode": "mode"}),
    "execve": Rule({"path": "path"}),
    # Processes.
    "fork": Rule({"as": "process"}),
    "exec": Rule({}),
    "exit": Rule({}),
    "setuid": Rule({"uid": "uid"}),
    "setfsuid": Rule({"uid": "uid"}),
    "getpid": Rule({}),
    "sendfd": Rule({"fd": "fd", "to": "process"}),
    "recvfd": Rule({"as": NEW_FD}),
    # The coordinator.
    "create": Rule({"path": "path"}, {"size": "length", "mode": "mode"}, coordinator=True),
    "sysctl": Rule({"lease_break_time": "seconds"}, coordinator=True),
    "sleep": Rule({"ms": "milliseconds"}, coordinator=True),
    "kill": Rule({"proc": "process"}, coordinator=True),
    "interrupt": Rule({"proc": "process"}, coordinator=True),
}
"""Every op by its name."""


def bits(text: str, table: Mapping[str, int], prefix: str = "") -> int:
    """Return the number that names joined by ``|`` stand for."""
    number = 0
    for part in text.split("|"):
        number |= table[part.strip().removeprefix(prefix)]
    return number
