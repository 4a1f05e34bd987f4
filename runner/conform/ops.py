"""The table of ops: what each takes."""

import os
import re
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from longpin.actors.syscalls import SYSCALLS
from longpin.actors.syscalls.declaration import Syscall
from longpin.actors.syscalls.parameter import Parameter
from longpin.runner.conform import memory_ops, uring_ops
from longpin.runner.conform.paths import NO_FD, is_path
from longpin.runner.machine.abilities import FALLOCATE_MODES

Arguments = Mapping[str, Any]
"""An op's arguments by name, as in JSON."""

COORDINATOR: Final = "*"
"""Who is no process of the program but makes files, sets the clock going and kills."""

NEW_FD: Final = "new descriptor"
"""The kind of an argument that names a new descriptor."""
NEW_MAP: Final = "new mapping"
"""The kind of an argument that names a new mapping."""

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
        "O_DIRECT",
    ]
}
"""Flags of open(2) by name."""

STATUS_FLAGS = {name: flag for name, flag in OPEN_FLAGS.items() if name != "O_NOATIME"}
"""What F_SETFL is given: flags that it changes, and others."""

OWNER_TYPES: dict[str, int] = {"TID": 0, "PID": 1, "PGRP": 2}
"""F_OWNER_TID and so on."""

LEASE_TYPES: dict[str, int] = {"RD": 0, "WR": 1, "UN": 2}
"""F_RDLCK, F_WRLCK and F_UNLCK as fcntl(2) leases take them."""

SIGNALS: dict[str, int] = {
    **{
        name: int(getattr(signal, name))
        for name in [
            "SIGHUP",
            "SIGKILL",
            "SIGUSR1",
            "SIGUSR2",
            "SIGTERM",
            "SIGCHLD",
            "SIGCONT",
            "SIGSTOP",
            "SIGTSTP",
            "SIGTTIN",
            "SIGTTOU",
            "SIGURG",
            "SIGWINCH",
            "SIGIO",
        ]
    },
    "SIG32": 32,  # the kernel's first real-time signals, which the C library keeps to itself
    "SIG33": 33,
    **{f"SIGRT{index}": signal.SIGRTMIN + index for index in range(3)},
}
"""Signals by name. None dumps core, none is Python's own in the processes on the host, and SIGRT0 is SIGRTMIN."""

READ: Final = ("SIGIO", "SIGUSR1", "SIGRT1", "SIGRT2")
"""The signals that a process blocks from its start; they are read after each op unless the program uses them itself."""

ACTIONS: dict[str, int] = {"SIG_DFL": 0, "SIG_IGN": 1, "SIG_HANDLER": 2}
"""What sigaction(2) can set."""
ACTION_FLAGS: dict[str, int] = {"SA_NOCLDSTOP": 1, "SA_NOCLDWAIT": 2, "SA_RESTART": 0x10000000}
MASK_HOW: dict[str, int] = {"SIG_BLOCK": 0, "SIG_UNBLOCK": 1, "SIG_SETMASK": 2}
WAIT_OPTIONS: dict[str, int] = {"WNOHANG": 1, "WUNTRACED": 2, "WCONTINUED": 8}
SPLICE_FLAGS: dict[str, int] = {"SPLICE_F_MOVE": 1, "SPLICE_F_NONBLOCK": 2, "SPLICE_F_MORE": 4, "SPLICE_F_GIFT": 8}
MEMFD_FLAGS: dict[str, int] = {"MFD_CLOEXEC": 1, "MFD_NOEXEC_SEAL": 8, "MFD_EXEC": 16}
RESOURCES: dict[str, int] = {"RLIMIT_NOFILE": 7, "RLIMIT_MEMLOCK": 8, "RLIMIT_SIGPENDING": 11}

FLOCK_HOW: dict[str, int] = {"SH": 1, "EX": 2, "NB": 4, "UN": 8, "MAND": 32, "READ": 64, "WRITE": 128}
"""What flock(2) takes, with or without LOCK_ in front."""

PAGE: Final = 4096
LONGEST_FILE: Final = 1 << 24
"""Bytes that a file of a program may have: what it allocates is really allocated."""
INT_MIN: Final = -(1 << 31)
_INT_BITS = (1 << 32) - 1
_OFF_MAX = (1 << 63) - 1
F_SETOWN, F_GETOWN, F_SETSIG, F_SETLEASE, F_GETLEASE = 8, 9, 10, 1024, 1025
TASK_SIZE: Final = 1 << 47
"""More bytes than any buffer or mapping can have."""

LEAST_SLEEP: Final = 1000
"""Seconds that a process sleeps at least: only a signal ends that, since whole programs take less."""

NOBODY: Final = "nobody"
"""Stands for a number that no process has, instead of a process's name."""
_BEYOND_INT = "+2^32"
"""Behind a name: its number and 2^32, which is cut off again where the kernel takes an int."""

_LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
"""What is written where it shall be told who wrote it."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", re.ASCII)
_PROCESS = re.compile(r"[A-Z][A-Za-z0-9]{0,15}", re.ASCII)
_OWNER = re.compile(rf"-?(?:{_PROCESS.pattern}|{NOBODY})(?:\+2\^32)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ArgumentKind:
    """A kind of argument."""

    text: str
    """What it must be, as an error message says it."""
    accepts: Callable[[Any], bool]


def _number(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _either(*kinds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: any(accepts(value) for accepts in kinds)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _names_of(table: Mapping[str, int], prefix: str = "", *, none: bool = False) -> Callable[[Any], bool]:
    """Accept names of a table joined by |, each with or without a prefix; ``none``: no name at all, too."""
    return lambda value: (
        isinstance(value, str)
        and len(value) < 200
        and ((none and not value) or all(part.strip().removeprefix(prefix) in table for part in value.split("|")))
    )


def _one_of(table: Mapping[str, int]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in table


def _low_bits(*wanted: int) -> Callable[[Any], bool]:
    """Accept numbers of 64 bits of which the kernel, where it takes an int, sees one of these."""
    return lambda value: _is_long(value) and value & _INT_BITS in {number & _INT_BITS for number in wanted}


def _is_signal(value: Any) -> bool:
    """Whether it is a signal of the table, 0, or a number that is none."""
    if isinstance(value, str):
        return value in SIGNALS or value == "0"
    return _is_long(value) and (value & _INT_BITS in (0, *SIGNALS.values()) or value & _INT_BITS > 64)


_is_long = _number(-(1 << 63), _OFF_MAX)

KINDS: dict[str, ArgumentKind] = {
    "fd": ArgumentKind(
        f"the name of a descriptor, perhaps with {_BEYOND_INT} behind it, or {NO_FD}",
        lambda value: isinstance(value, str) and _is_name(value.removesuffix(_BEYOND_INT)),
    ),
    NEW_FD: ArgumentKind("a name for the new descriptor", lambda value: _is_name(value) and value != NO_FD),
    "map": ArgumentKind("the name of a mapping", _is_name),
    NEW_MAP: ArgumentKind("a name for the new mapping", _is_name),
    "file": ArgumentKind("a plain file name", _is_name),
    "path": ArgumentKind("a path that stays in the folder, such as f, ./d/f or @x1", is_path),
    "flags": ArgumentKind("flags of open(2) such as O_RDWR|O_NONBLOCK", _names_of(OPEN_FLAGS)),
    "status flags": ArgumentKind("flags such as O_APPEND|O_NONBLOCK", _names_of(STATUS_FLAGS, none=True)),
    "owner type": ArgumentKind("TID, PID, PGRP or a number", _either(_one_of(OWNER_TYPES), _is_long)),
    "lease": ArgumentKind("RD, WR, UN or a number", _either(_one_of(LEASE_TYPES), _is_long)),
    "signal": ArgumentKind(
        f"a signal such as SIGUSR1 ({', '.join(SIGNALS)}), 0, or a number of 64 bits that is cut to one or is none",
        _is_signal,
    ),
    "signals": ArgumentKind("signals such as SIGUSR1|SIGIO, or nothing for none", _names_of(SIGNALS, none=True)),
    "action": ArgumentKind(f"one of {', '.join(ACTIONS)}", _one_of(ACTIONS)),
    "action flags": ArgumentKind(f"some of {'|'.join(ACTION_FLAGS)}", _names_of(ACTION_FLAGS)),
    "mask": ArgumentKind(f"one of {', '.join(MASK_HOW)}, or 3", _either(_one_of(MASK_HOW), _number(3, 3))),
    "owner": ArgumentKind(
        f"a process's name or {NOBODY}, perhaps with - in front and {_BEYOND_INT} behind, 0, or INT_MIN ({INT_MIN})",
        _either(
            lambda value: isinstance(value, str) and (value == "0" or _OWNER.fullmatch(value) is not None),
            _low_bits(0, INT_MIN),
        ),
    ),
    "child": ArgumentKind(
        f"-1, 0, INT_MIN ({INT_MIN}), a process's name or {NOBODY}, perhaps with - in front and {_BEYOND_INT} behind",
        _either(
            lambda value: isinstance(value, str) and _OWNER.fullmatch(value) is not None, _low_bits(-1, 0, INT_MIN)
        ),
    ),
    "wait": ArgumentKind(
        f"some of {'|'.join(WAIT_OPTIONS)}, or a number from 0 to 255",
        _either(_names_of(WAIT_OPTIONS), _number(0, 255)),
    ),
    "process": ArgumentKind(
        "the name of a process such as A",
        lambda value: isinstance(value, str) and _PROCESS.fullmatch(value) is not None,
    ),
    "status": ArgumentKind("an exit status", _number(INT_MIN, -INT_MIN - 1)),
    "prot": ArgumentKind("r or w", lambda value: value in ("r", "w")),
    "flag": ArgumentKind("0 or 1", lambda value: isinstance(value, int) and value in (0, 1)),
    "fallocate": ArgumentKind(f"one of {', '.join(FALLOCATE_MODES)}", _one_of(FALLOCATE_MODES)),
    "flock": ArgumentKind(
        "SH, EX or UN, perhaps with |NB, other bits (MAND, READ, WRITE), or a number",
        _either(_names_of(FLOCK_HOW, "LOCK_"), _is_long),
    ),
    "size": ArgumentKind("a length of 0 to 16 MiB", _number(0, LONGEST_FILE)),
    "length": ArgumentKind("a length of up to 16 MiB, which may be negative", _number(-_OFF_MAX - 1, LONGEST_FILE)),
    "range": ArgumentKind("a number of 64 bits", _is_long),
    "count": ArgumentKind(
        "a number of bytes from 0 to 65536, or one from 2^47 to 2^64 that the kernel refuses",
        _either(_number(0, 1 << 16), _number(TASK_SIZE, (1 << 64) - 1)),
    ),
    "written": ArgumentKind("a number of bytes from 0 to 65536", _number(0, 1 << 16)),
    "page": ArgumentKind("a page from -64 to 64", _number(-64, 64)),
    "pages": ArgumentKind(
        "a number of pages from 0 to 64, or one from 2^35 to 2^51 that the kernel refuses",
        _either(_number(0, 64), _number(TASK_SIZE // PAGE, 1 << 51)),
    ),
    "descriptor number": ArgumentKind(
        "a number from 3 to 400, or from 1024 to 2000", _either(_number(3, 400), _number(1024, 2000))
    ),
    "least descriptor": ArgumentKind(
        "a number up to 400, from 1024 to 2000, or negative",
        lambda value: _number(0, 400)(value) or _number(1024, 2000)(value) or _number(INT_MIN, -1)(value),
    ),
    "descriptor flags": ArgumentKind("a number from 0 to 3", _number(0, 3)),
    "resource": ArgumentKind(f"one of {', '.join(RESOURCES)}", _one_of(RESOURCES)),
    "limit": ArgumentKind("a limit from 0 to 2^20", _number(0, 1 << 20)),
    "access": ArgumentKind("a mode of access(2) from 0 to 15", _number(0, 15)),
    "mode": ArgumentKind(
        "a mode of 0 to 0777 (511), or a number that is cut to one of 16 bits",
        lambda value: _number(0, _INT_BITS)(value) and value & 0xFFFF <= 0o777,
    ),
    "uid": ArgumentKind(
        "a user's number, or one that is cut to it or to -1",
        lambda value: _is_long(value) and (value & _INT_BITS <= -INT_MIN - 1 or value & _INT_BITS == _INT_BITS),
    ),
    "seconds": ArgumentKind("seconds from 0 to 3600", _number(0, 3600)),
    "sleep": ArgumentKind(
        f"seconds before 0, or from {LEAST_SLEEP} to 3600, which no program outlasts",
        lambda value: type(value) in (int, float) and (-(10**9) <= value < 0 or LEAST_SLEEP <= value <= 3600),
    ),
    "timeout": ArgumentKind(
        f"seconds before 0, 0, or from {LEAST_SLEEP} to 3600, which no program outlasts",
        lambda value: type(value) in (int, float) and (-(10**9) <= value <= 0 or LEAST_SLEEP <= value <= 3600),
    ),
    "milliseconds": ArgumentKind("milliseconds from 0 to 120000", _number(0, 120_000)),
    "at once": ArgumentKind("0", _number(0, 0)),
    "inside": ArgumentKind("a byte of a page, from 0 to 4095", _number(0, PAGE - 1)),
    "splice flags": ArgumentKind(f"some of {'|'.join(SPLICE_FLAGS)}, or nothing", _names_of(SPLICE_FLAGS, none=True)),
    "memfd flags": ArgumentKind(f"some of {'|'.join(MEMFD_FLAGS)}, or nothing", _names_of(MEMFD_FLAGS, none=True)),
    "letter": ArgumentKind("a letter from a to z", lambda value: isinstance(value, str) and value in _LETTERS),
}
KINDS |= {name: ArgumentKind(*kind) for name, kind in (memory_ops.KINDS | uring_ops.KINDS).items()}
"""Every kind of argument."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What an op takes."""

    required: dict[str, str]
    """Kinds by argument name."""
    optional: dict[str, str] = field(default_factory=dict)

    @property
    def kinds(self) -> dict[str, str]:
        """Kinds of all arguments by name."""
        return self.required | self.optional


_BUFFER = {"page": "arena page", "len": "written"}
_OWN_OPS: dict[str, Rule] = {
    # Descriptors.
    "open": Rule({"path": "path", "flags": "flags", "as": NEW_FD}, {"mode": "mode"}),
    "reopen": Rule({"fd": "fd", "flags": "flags", "as": NEW_FD}),
    "dup": Rule({"fd": "fd", "as": NEW_FD}),
    "dup2": Rule({"fd": "fd", "to": "descriptor number", "as": NEW_FD}),
    "dupfd": Rule({"fd": "fd", "least": "least descriptor", "as": NEW_FD}, {"cloexec": "flag"}),
    "getfd": Rule({"fd": "fd"}),
    "setfd": Rule({"fd": "fd", "value": "descriptor flags"}),
    "getfl": Rule({"fd": "fd"}),
    "setfl": Rule({"fd": "fd", "flags": "status flags"}),
    "pipe": Rule({"r": NEW_FD, "w": NEW_FD}),
    "flock": Rule({"fd": "fd", "how": "flock"}),
    "read": Rule({"fd": "fd"}, {"count": "count"}),
    "write": Rule({"fd": "fd"}, {"count": "written"}),
    "ftruncate": Rule({"fd": "fd", "len": "length"}),
    "fallocate": Rule({"fd": "fd", "mode": "fallocate"}, {"offset": "range", "len": "range"}),
    "write_at": Rule({"fd": "fd", "at": "range", "count": "written", "letter": "letter"}),
    "read_at": Rule({"fd": "fd", "at": "range", "count": "written"}),
    # Transfers.
    "memfd": Rule({"name": "file", "as": NEW_FD}, {"flags": "memfd flags"}),
    "vmsplice": Rule({"fd": "fd", **_BUFFER}, {"inside": "inside", "flags": "splice flags"}),
    "preadv": Rule({"fd": "fd", **_BUFFER, "at": "range"}, {"inside": "inside"}),
    "pwritev": Rule({"fd": "fd", **_BUFFER, "at": "range"}, {"inside": "inside"}),
    "read_data": Rule({"fd": "fd", "count": "written"}),
    # Shared blocks.
    "ficlone": Rule({"fd": "fd", "src": "fd"}),
    "ficlonerange": Rule({"fd": "fd", "src": "fd", "from": "range", "len": "range", "to": "range"}),
    "fideduperange": Rule({"fd": "fd", "dest": "fd", "from": "range", "len": "range", "to": "range"}),
    "copy_file_range": Rule({"fd": "fd", "dest": "fd", "len": "count"}, {"from": "range", "to": "range"}),
    "fiemap": Rule({"fd": "fd"}),
    # Memory.
    "mmap": Rule({"fd": "fd", "prot": "prot"}, {"touch": "flag", "pages": "pages", "as": NEW_MAP}),
    "munmap": Rule({"map": "map", "first": "page", "count": "pages"}),
    "load": Rule({"map": "map", "page": "page"}),
    "store": Rule({"map": "map", "page": "page"}),
    # Leases and their signals.
    "setlease": Rule({"fd": "fd", "type": "lease"}),
    "getlease": Rule({"fd": "fd"}),
    "setsig": Rule({"fd": "fd", "sig": "signal"}),
    "setown": Rule({"fd": "fd", "pid": "owner"}),
    "getown": Rule({"fd": "fd"}),
    "setownex": Rule({"fd": "fd", "type": "owner type", "pid": "owner"}),
    "getownex": Rule({"fd": "fd"}),
    # Paths.
    "truncate": Rule({"path": "path", "len": "length"}),
    "access": Rule({"path": "path"}, {"mode": "access"}),
    # Processes.
    "fork": Rule({"as": "process"}),
    "thread": Rule({"as": "process"}),
    "threadexit": Rule({}),
    "gettid": Rule({}),
    "exec": Rule({}),
    "exit": Rule({}, {"status": "status"}),
    "waitpid": Rule({"pid": "child"}, {"options": "wait"}),
    "setrlimit": Rule({"resource": "resource", "limit": "limit"}),
    "sendfd": Rule({"fd": "fd", "to": "process"}),
    "recvfd": Rule({"as": NEW_FD}),
    # Signals.
    "kill": Rule({"pid": "owner", "sig": "signal"}),
    "tgkill": Rule({"pid": "owner", "tid": "owner", "sig": "signal"}),
    "sigaction": Rule({"sig": "signal", "action": "action"}, {"flags": "action flags"}),
    "sigprocmask": Rule({"how": "mask", "sigs": "signals"}),
    "sigtimedwait": Rule({}, {"seconds": "timeout"}),
    "sigwaitinfo": Rule({}),
    "sigsuspend": Rule({"sigs": "signals"}),
    "ppoll": Rule({"sigs": "signals"}, {"ms": "at once", "seconds": "timeout"}),
    "nanosleep": Rule({"seconds": "sleep"}),
}
"""The ops whose arguments are not those of the call of their name."""

_OTHER_CALLS = {
    "set_lease_break_time": "sysctl",
    "pthread_exit": "threadexit",
    "ioctl": "ficlone",
    "memfd_create": "memfd",
}
"""Calls that an op of another name makes, and its name."""

_KINDS_OF_PARAMETERS = {
    "fd": "fd",
    "path": "path",
    "new path": "path",
    "umode_t": "mode",
    "uid_t": "uid",
    "long": "length",
}


def _kind_of(call: Syscall, parameter: Parameter) -> str:
    """Return the kind of argument that a parameter takes; empty if the declaration does not tell."""
    if parameter.is_data:
        return "written"
    if call.libc is not None and parameter.name in call.libc.sizes:
        return "count"
    return _KINDS_OF_PARAMETERS.get("|".join(parameter.kinds), "")


def _declared_ops() -> dict[str, Rule]:
    """Return the ops that are as their calls declare, with the parameters as arguments."""
    found = {}
    for call in SYSCALLS.values():
        kinds = {parameter.name: _kind_of(call, parameter) for parameter in call.parameters}
        if call.man and call.on_host and call.name not in _OWN_OPS | _OTHER_CALLS and all(kinds.values()):
            optional = {parameter.name for parameter in call.parameters if parameter.optional}
            required = {name: kind for name, kind in kinds.items() if name not in optional}
            found[call.name] = Rule(required, {name: kinds[name] for name in kinds if name in optional})
    return found


DECLARED_OPS = _declared_ops()
"""The ops that are as their calls declare."""
OPS = _OWN_OPS | {op: Rule(*kinds) for op, kinds in (memory_ops.RULES | uring_ops.RULES).items()} | DECLARED_OPS
"""Every op of a process by its name."""

COORDINATOR_OPS: dict[str, Rule] = {
    "create": Rule({"path": "file"}, {"size": "size", "mode": "mode"}),
    "sysctl": Rule({"lease_break_time": "seconds"}),
    "sleep": Rule({"ms": "milliseconds"}),
    "kill": Rule({"proc": "process"}),
    "interrupt": Rule({"proc": "process"}),
}
"""Every op of the coordinator by its name."""

SHARING_OPS = {"ficlone", "ficlonerange", "fideduperange", "copy_file_range", "fiemap"}
"""Ops for which files must be able to share blocks."""


def rules_for(proc: str) -> dict[str, Rule]:
    """Return the ops that somebody can make."""
    return COORDINATOR_OPS if proc == COORDINATOR else OPS


def bits(text: str, table: Mapping[str, int], prefix: str = "") -> int:
    """Return the number that names joined by ``|`` stand for."""
    number = 0
    for part in filter(None, text.split("|")):
        number |= table[part.strip().removeprefix(prefix)]
    return number


def number_in(value: str | int, table: Mapping[str, int], prefix: str = "") -> int:
    """Return a number that is given as such, as text, or as names of a table."""
    if isinstance(value, int):
        return value
    return int(value) if value.isdecimal() else bits(value, table, prefix)


def signals_in(text: str) -> list[int]:
    """Return the numbers of signals joined by ``|``."""
    return [SIGNALS[part.strip()] for part in filter(None, text.split("|"))]


def signal_number(value: str | int) -> int:
    """Return the number of a signal; one that is given as a number may be anything."""
    return SIGNALS[value] if value in SIGNALS else int(value)


def signal_name(number: int) -> str:
    """Return the name of a signal; its number as text where it has none here."""
    return next((name for name, its in SIGNALS.items() if its == number), str(number))


def signed(number: int) -> int:
    """Return the number of 64 bits with a sign that has the same bits."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def split_wide(text: str) -> tuple[str, int]:
    """Return a name without what stands for 2^32 behind it, and that number or 0."""
    name = text.removesuffix(_BEYOND_INT)
    return name, 0 if name == text else 1 << 32


def process_in(value: str | int) -> str | None:
    """Return the process that an owner or a child names, if it is a process of the program."""
    if isinstance(value, int):
        return None
    name = split_wide(value)[0].removeprefix("-")
    return name if _PROCESS.fullmatch(name) is not None else None


def process_number(value: str | int, number_of: Callable[[str], int]) -> int:
    """Return the number that an owner or a child is given as; ``number_of`` says that of a process, or of nobody."""
    if isinstance(value, int) or value == "0":
        return int(value)
    name, more = split_wide(value)
    number = number_of(name.removeprefix("-"))
    return (-number if name.startswith("-") else number) + more
