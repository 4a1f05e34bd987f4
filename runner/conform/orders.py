"""What an agent is ordered to do for each op: the counterpart of :mod:`longpin.runner.conform.emulated_calls`."""

from collections.abc import Callable
from typing import Any, Protocol

from longpin.actors.syscalls import SYSCALLS
from longpin.runner.conform.names import Names, length_of
from longpin.runner.conform.ops import (
    ACTION_FLAGS,
    ACTIONS,
    F_GETLEASE,
    F_GETOWN,
    F_SETLEASE,
    F_SETOWN,
    F_SETSIG,
    FLOCK_HOW,
    LEASE_TYPES,
    MASK_HOW,
    OPEN_FLAGS,
    PAGE,
    RESOURCES,
    WAIT_OPTIONS,
    Arguments,
    bits,
    number_in,
    signal_number,
    signals_in,
)
from longpin.runner.machine.abilities import FALLOCATE_MODES
from longpin.runner.machine.orders import Order, libc, libc_order

MAP_SHARED = 1
W_OK = 2


class Caller(Protocol):
    """The process that makes the call."""

    names: Names
    next_mapping: int
    """Where its next mapping goes."""

    def number(self, value: str | int) -> int:
        """Return the number that stands for a process or a group of the program."""


def _declared(name: str, **values: Any) -> Order:
    """Return the order to make a call as it is declared."""
    made = SYSCALLS[name].libc
    assert made is not None
    return libc_order(made, values)


def _on_fd(name: str, *more: Callable[[Arguments], int]) -> "Maker":
    return lambda who, a: libc(name, who.names.fd(a), *(argument(a) for argument in more))


def _on_path(name: str, *more: Callable[[Arguments], int]) -> "Maker":
    return lambda who, a: libc(name, who.names.path(a), *(argument(a) for argument in more))


def _on_paths(name: str) -> "Maker":
    return lambda who, a: libc(name, who.names.path(a), who.names.path(a, "to"))


def _own_call(name: str) -> "Maker":
    """Return what orders a call on a path that the agent has under its own name."""
    return lambda who, a: Order(name, {"path": who.names.path(a)})


def _fcntl(command: int, argument: Callable[[Arguments], int] = lambda _: 0) -> "Maker":
    return _on_fd("fcntl", lambda _: command, argument)


def _map(who: Caller, a: Arguments) -> Order:
    length = length_of(a.get("pages", 1))
    prot = 3 if a["prot"] == "w" else 1
    where = {"addr": who.next_mapping, "length": length, "prot": prot}
    return Order("map_file", where | {"flags": MAP_SHARED, "fd": who.names.fd(a), "offset": 0})


def touch(address: int, prot: str) -> Order:
    """Return the order to touch a page: a store if it may be written, else a load."""
    if prot == "w":
        return Order("store", {"addr": address, "data": b"m".hex()})
    return Order("load", {"addr": address, "length": 1})


Maker = Callable[[Caller, Arguments], Order]

ORDERS: dict[str, Maker] = {
    "open": _on_path("open", lambda a: bits(a["flags"], OPEN_FLAGS), lambda a: a.get("mode", 0o666)),
    "reopen": lambda who, a: libc(
        "open", f"/proc/self/fd/{who.names.fd(a) & 0xFFFFFFFF}", bits(a["flags"], OPEN_FLAGS), 0o666
    ),
    "close": _on_fd("close"),
    "dup": _on_fd("dup"),
    "dup2": _on_fd("dup2", lambda a: a["to"]),
    "pipe": lambda _who, _a: Order("pipe", {}),
    "fsync": _on_fd("fsync"),
    "flock": _on_fd("flock", lambda a: number_in(a["how"], FLOCK_HOW, "LOCK_")),
    "lseek": lambda who, a: _declared("lseek", fd=who.names.fd(a), offset=a["offset"]),
    "read": lambda who, a: _declared("read", fd=who.names.fd(a), count=a.get("count", 1)),
    "write": lambda who, a: _declared("write", fd=who.names.fd(a), data=b"w" * a.get("count", 1)),
    "ftruncate": _on_fd("ftruncate", lambda a: a["len"]),
    "fallocate": _on_fd(
        "fallocate",
        lambda a: FALLOCATE_MODES[a["mode"]],
        lambda a: a.get("offset", 0),
        lambda a: a.get("len", PAGE),
    ),
    "mmap": _map,
    "munmap": lambda who, a: libc("munmap", who.names.address(a, "first"), length_of(a["count"])),
    "load": lambda who, a: touch(who.names.address(a), "r"),
    "store": lambda who, a: touch(who.names.address(a), "w"),
    "setlease": _fcntl(F_SETLEASE, lambda a: number_in(a["type"], LEASE_TYPES)),
    "getlease": _fcntl(F_GETLEASE),
    "setsig": _fcntl(F_SETSIG, lambda a: signal_number(a["sig"])),
    "setown": lambda who, a: libc("fcntl", who.names.fd(a), F_SETOWN, who.number(a["pid"])),
    "getown": _fcntl(F_GETOWN),
    "truncate": _on_path("truncate", lambda a: a["len"]),
    "unlink": _on_path("unlink"),
    "rename": _on_paths("rename"),
    "link": _on_paths("link"),
    "chmod": _on_path("chmod", lambda a: a["mode"]),
    "chown": lambda who, a: _declared("chown", path=who.names.path(a), uid=a["uid"]),
    "utimes": lambda who, a: _declared("utimes", path=who.names.path(a)),
    "setxattr": lambda who, a: _declared("setxattr", path=who.names.path(a)),
    "stat": _own_call("stat"),
    "access": _on_path("access", lambda a: a.get("mode", W_OK)),
    "mkdir": _on_path("mkdir", lambda a: a.get("mode", 0o777)),
    "execve": _own_call("execve"),
    "fork": lambda _who, _a: Order("fork", {}),
    "exec": lambda _who, _a: Order("exec", {}),
    "exit": lambda _who, a: Order("exit", {"status": a.get("status", 0)}),
    "waitpid": lambda who, a: Order(
        "waitpid", {"pid": who.number(a["pid"]), "options": number_in(a.get("options", 0), WAIT_OPTIONS)}
    ),
    "setuid": lambda _who, a: libc("setuid", a["uid"]),
    "setfsuid": lambda _who, a: libc("setfsuid", a["uid"]),
    "setrlimit": lambda _who, a: Order("setrlimit", {"resource": RESOURCES[a["resource"]], "limit": a["limit"]}),
    "getpid": lambda _who, _a: libc("getpid"),
    "sendfd": lambda who, a: Order("sendfd", {"fd": who.names.fd(a)}),
    "recvfd": lambda _who, _a: Order("recvfd", {}),
    "kill": lambda who, a: libc("kill", who.number(a["pid"]), signal_number(a["sig"])),
    "sigaction": lambda _who, a: Order(
        "sigaction",
        {
            "sig": signal_number(a["sig"]),
            "action": ACTIONS[a["action"]],
            "flags": bits(a.get("flags", ""), ACTION_FLAGS),
        },
    ),
    "sigprocmask": lambda _who, a: Order(
        "sigprocmask", {"how": number_in(a["how"], MASK_HOW), "sigs": signals_in(a["sigs"])}
    ),
    "sigtimedwait": lambda _who, _a: Order("wait_for_blocked", {"at_once": True}),
    "sigwaitinfo": lambda _who, _a: Order("wait_for_blocked", {"at_once": False}),
    "sigsuspend": lambda _who, a: Order("sigsuspend", {"sigs": signals_in(a["sigs"])}),
    "ppoll": lambda _who, a: Order("ppoll", {"sigs": signals_in(a["sigs"]), "at_once": "ms" in a}),
    "pause": lambda _who, _a: libc("pause"),
    "nanosleep": lambda _who, a: Order("nanosleep", {"seconds": a["seconds"]}),
}
"""The order that each op of a process is."""
