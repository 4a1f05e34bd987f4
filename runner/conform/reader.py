"""Reads ops: which call of a program, with which arguments, an op of a process is.

Both kernels make the same call: the emulated one as any process does, the one of this machine by an order
(:mod:`longpin.runner.conform.orders`). Names of descriptors and mappings have become numbers: an op whose name stands
for nothing is not made, where a scenario would use -1. An op that is as its call declares needs no line here. What a
call returned is written for both kernels here, too.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from longpin.actors.constants import (
    F_DUPFD,
    F_DUPFD_CLOEXEC,
    F_GETFD,
    F_GETFL,
    F_GETLEASE,
    F_GETOWN,
    F_GETOWN_EX,
    F_SETFD,
    F_SETFL,
    F_SETLEASE,
    F_SETOWN,
    F_SETOWN_EX,
    F_SETSIG,
    FICLONE,
    MAP_SHARED,
    MSG_DONTWAIT,
    PROT_READ,
    PROT_WRITE,
    W_OK,
)
from longpin.actors.process.program import Const, Op
from longpin.actors.syscalls import SYSCALLS
from longpin.runner.conform import memory_ops, uring_ops
from longpin.runner.conform.driven import FORKED, IMAGE
from longpin.runner.conform.names import ProgramNames, length_of
from longpin.runner.conform.ops import (
    ACTION_FLAGS,
    ACTIONS,
    FLOCK_HOW,
    LEASE_TYPES,
    MASK_HOW,
    MEMFD_FLAGS,
    OPEN_FLAGS,
    OWNER_TYPES,
    PAGE,
    RESOURCES,
    SPLICE_FLAGS,
    STATUS_FLAGS,
    WAIT_OPTIONS,
    Arguments,
    bits,
    number_in,
    signal_name,
    signal_number,
    signals_in,
    signed,
)
from longpin.runner.conform.outcome import child_status
from longpin.runner.conform.program import ConformOp
from longpin.runner.machine.abilities import FALLOCATE_MODES


class ProgramProcess(Protocol):
    """The process that makes the call."""

    names: ProgramNames

    def number(self, value: str | int) -> int:
        """Return the number that stands for a process or a group of the program."""


Written = tuple[Any, ...]
"""The name of a call and its arguments."""
Reader = Callable[[ProgramProcess, Arguments], Written]


def _on_fd(name: str, *more: Callable[[Arguments], Any]) -> Reader:
    return lambda who, a: (name, who.names.fd(a), *(argument(a) for argument in more))


def _on_path(name: str, *more: Callable[[Arguments], Any]) -> Reader:
    return lambda who, a: (name, who.names.path(a), *(argument(a) for argument in more))


def _fcntl(command: int, argument: Callable[[Arguments], int] = lambda _: 0) -> Reader:
    return _on_fd("fcntl", lambda _: command, argument)


def _other_fd(who: ProgramProcess, a: Arguments, key: str) -> int:
    return who.names.fd({"fd": a[key]})


def _map(who: ProgramProcess, a: Arguments) -> Written:
    prot = PROT_READ | (PROT_WRITE if a["prot"] == "w" else 0)
    return ("mmap", length_of(a.get("pages", 1)), prot, MAP_SHARED, who.names.fd(a), 0)


def _buffer(a: Arguments) -> int:
    """Return the address at which a buffer begins."""
    return memory_ops.ARENA + int(a["page"]) * PAGE + int(a.get("inside", 0))


def touch(address: int, prot: str) -> Op:
    """Return the call that touches a page: a store if it may be written, else a load."""
    return call(*_touch(address, prot))


def _touch(address: int, prot: str) -> Written:
    return ("store", address, b"m") if prot == "w" else ("load", address, 1)


_READERS: dict[str, Reader] = {
    "open": _on_path("open", lambda a: bits(a["flags"], OPEN_FLAGS), lambda a: a.get("mode", 0o666)),
    "reopen": lambda who, a: (
        "open",
        f"/proc/self/fd/{who.names.fd(a) & 0xFFFFFFFF}",
        bits(a["flags"], OPEN_FLAGS),
    ),
    "dup": _on_fd("dup"),
    "dup2": _on_fd("dup2", lambda a: a["to"]),
    "pipe": lambda _who, _a: ("pipe",),
    "dupfd": _on_fd("fcntl", lambda a: F_DUPFD_CLOEXEC if a.get("cloexec") else F_DUPFD, lambda a: a["least"]),
    "getfd": _fcntl(F_GETFD),
    "setfd": _fcntl(F_SETFD, lambda a: a["value"]),
    "getfl": _fcntl(F_GETFL),
    "setfl": _fcntl(F_SETFL, lambda a: bits(a["flags"], STATUS_FLAGS)),
    "flock": _on_fd("flock", lambda a: number_in(a["how"], FLOCK_HOW, "LOCK_")),
    "read": _on_fd("read", lambda a: signed(a.get("count", 1))),
    "write": _on_fd("write", lambda a: b"w" * a.get("count", 1)),
    "ftruncate": _on_fd("ftruncate", lambda a: a["len"]),
    "fallocate": _on_fd(
        "fallocate",
        lambda a: FALLOCATE_MODES[a["mode"]],
        lambda a: a.get("offset", 0),
        lambda a: a.get("len", PAGE),
    ),
    "write_at": lambda who, a: ("pwrite", who.names.fd(a), a["letter"].encode() * a["count"], a["at"]),
    "read_at": _on_fd("pread", lambda a: a["count"], lambda a: a["at"]),
    "memfd": lambda _who, a: ("memfd_create", a["name"], bits(a.get("flags", ""), MEMFD_FLAGS)),
    "vmsplice": _on_fd("vmsplice", _buffer, lambda a: a["len"], lambda a: bits(a.get("flags", ""), SPLICE_FLAGS)),
    "preadv": _on_fd("preadv", _buffer, lambda a: a["len"], lambda a: a["at"]),
    "pwritev": _on_fd("pwritev", _buffer, lambda a: a["len"], lambda a: a["at"]),
    "read_data": _on_fd("read", lambda a: a["count"]),
    "ficlone": lambda who, a: ("ioctl", who.names.fd(a), FICLONE, _other_fd(who, a, "src")),
    "ficlonerange": lambda who, a: (
        "ficlonerange",
        who.names.fd(a),
        _other_fd(who, a, "src"),
        a["from"],
        a["len"],
        a["to"],
    ),
    "fideduperange": lambda who, a: (
        "fideduperange",
        who.names.fd(a),
        a["from"],
        a["len"],
        _other_fd(who, a, "dest"),
        a["to"],
    ),
    "copy_file_range": lambda who, a: (
        "copy_file_range",
        who.names.fd(a),
        a.get("from"),
        _other_fd(who, a, "dest"),
        a.get("to"),
        signed(a["len"]),
    ),
    "fiemap": _on_fd("fiemap"),
    "mmap": _map,
    "munmap": lambda who, a: ("munmap", who.names.address(a, "first"), length_of(a["count"])),
    "load": lambda who, a: _touch(who.names.address(a), "r"),
    "store": lambda who, a: _touch(who.names.address(a), "w"),
    "setlease": _fcntl(F_SETLEASE, lambda a: number_in(a["type"], LEASE_TYPES)),
    "getlease": _fcntl(F_GETLEASE),
    "setsig": _fcntl(F_SETSIG, lambda a: signal_number(a["sig"])),
    "setown": lambda who, a: ("fcntl", who.names.fd(a), F_SETOWN, who.number(a["pid"])),
    "getown": _fcntl(F_GETOWN),
    "setownex": lambda who, a: (
        *("fcntl", who.names.fd(a), F_SETOWN_EX),
        *(number_in(a["type"], OWNER_TYPES), who.number(a["pid"])),
    ),
    "getownex": _fcntl(F_GETOWN_EX),
    "truncate": _on_path("truncate", lambda a: a["len"]),
    "access": _on_path("access", lambda a: a.get("mode", W_OK)),
    "fork": lambda _who, _a: ("fork", FORKED.name),
    "thread": lambda _who, _a: ("clone", FORKED.name),
    "threadexit": lambda _who, _a: ("pthread_exit",),
    "gettid": lambda _who, _a: ("gettid",),
    "exec": lambda _who, _a: ("exec", IMAGE.name),
    "exit": lambda _who, a: ("exit", a.get("status", 0)),
    "waitpid": lambda who, a: ("waitpid", who.number(a["pid"]), number_in(a.get("options", 0), WAIT_OPTIONS)),
    "setrlimit": lambda _who, a: ("setrlimit", RESOURCES[a["resource"]], a["limit"]),
    "sendfd": lambda who, a: ("send_fd", who.number(a["to"]), who.names.fd(a)),
    "recvfd": lambda _who, _a: ("recv_fd", MSG_DONTWAIT),
    "kill": lambda who, a: ("kill", who.number(a["pid"]), signal_number(a["sig"])),
    "tgkill": lambda who, a: ("tgkill", who.number(a["pid"]), who.number(a["tid"]), signal_number(a["sig"])),
    "sigaction": lambda _who, a: (
        "sigaction",
        signal_number(a["sig"]),
        ACTIONS[a["action"]],
        bits(a.get("flags", ""), ACTION_FLAGS),
    ),
    "sigprocmask": lambda _who, a: ("sigprocmask", number_in(a["how"], MASK_HOW), *signals_in(a["sigs"])),
    "sigtimedwait": lambda _who, a: ("sigtimedwait", a.get("seconds", 0)),
    "sigwaitinfo": lambda _who, _a: ("sigwaitinfo",),
    "sigsuspend": lambda _who, a: ("sigsuspend", *signals_in(a["sigs"])),
    "ppoll": lambda _who, a: ("ppoll", 0 if "ms" in a else a.get("seconds"), *signals_in(a["sigs"])),
    "nanosleep": lambda _who, a: ("sleep", a["seconds"]),
}
"""The call that an op is whose arguments are not those of the call of its name."""


def read_call(who: ProgramProcess, op: ConformOp) -> Op:
    """Return the call that an op of a process is, with its arguments written out."""
    if (on_memory := memory_ops.READERS.get(op.op)) is not None:
        made = call(*on_memory(who.names.fd(op.args) if "fd" in op.args else -1, op.args))
        return replace(made, text=op.op)
    if (on_ring := uring_ops.read(op.op, lambda name: _other_fd(who, op.args, name), op.args)) is not None:
        return call(*on_ring)
    if (reader := _READERS.get(op.op)) is not None:
        return call(*reader(who, op.args))
    given: list[int | str | bytes] = []
    for parameter in SYSCALLS[op.op].parameters:
        if parameter.name not in op.args:
            break
        if "fd" in parameter.kinds:
            given.append(who.names.fd(op.args))
        elif parameter.is_path:
            given.append(who.names.path(op.args, parameter.name))
        elif parameter.is_data:
            given.append(b"w" * op.args[parameter.name])
        else:
            given.append(signed(op.args[parameter.name]))
    return call(op.op, *given)


def call(name: str, *args: float | str | bytes | None) -> Op:
    """Return a call of a program, with its arguments written out."""
    return Op(0, name, name, tuple(Const(arg) for arg in args), None)


def write_result(op: ConformOp, ret: int, name_of: Callable[[int], str], status: int = 0) -> int | str:
    """Return what a call that succeeded returned, as an outcome has it: names where numbers differ from run to run.

    Args:
        op: the op that the call was.
        ret: what it returned.
        name_of: returns the name of a process by its number.
        status: what it told beside: the status of the child that waitpid(2) tells of, the type of an owner.

    """
    if (placed := memory_ops.result(op.op, op.args, ret)) is not None:
        return placed
    match op.op:
        case "getlease":
            return {number: name for name, number in LEASE_TYPES.items()}.get(ret, ret)
        case "getown" if ret:
            return ("-" if ret < 0 else "") + name_of(abs(ret))
        case "getownex":
            kind = next((name for name, its in OWNER_TYPES.items() if its == status), str(status))
            return f"{kind} {name_of(ret) if ret else 0}"
        case "getpid":
            name = name_of(ret)
            return "pid" if name == op.proc else name
        case "gettid":
            return "tid" if name_of(ret) == op.proc else ret
        case "waitpid" if ret:
            return child_status(name_of(ret), status)
        case "sigtimedwait" | "sigwaitinfo":
            return signal_name(ret)
        case "mmap" | "pipe":
            return 0
        case "sendfd":
            return 1
    return ret
