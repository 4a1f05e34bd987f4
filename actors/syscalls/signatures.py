"""The calls a program may make: their parameters, and every errno they may return.

One table serves the loader (arity and literal types), the process actor (dispatch, and the width of each argument) and
oracle O7 (allowed errnos). The errnos are those of the manual pages that the source names, and what
:mod:`longpin.actors.syscalls.errnos` adds; a policy adds its own (:attr:`longpin.actors.policies.base.Policy.errnos`).
"""

import re
from dataclasses import dataclass
from enum import Enum
from types import NoneType
from typing import NamedTuple

from longpin.actors.constants import ERRNO_ALIASES
from longpin.actors.syscalls.errnos import ADDED, PAGES
from longpin.messages.process.labels import VerbsObject


class Width(NamedTuple):
    """How many bits of an integer a call takes."""

    bits: int
    signed: bool

    def cut(self, value: int) -> int:
        """Return what the kernel sees of an argument, as C converts it."""
        value &= (1 << self.bits) - 1
        return value - (1 << self.bits) if self.signed and value >> (self.bits - 1) else value


C_TYPES: dict[str, Width] = {
    "int": Width(32, signed=True),
    "uint": Width(32, signed=False),
    "long": Width(64, signed=True),
    "size_t": Width(64, signed=False),
    "umode_t": Width(16, signed=False),
    "uid_t": Width(32, signed=False),
    "status": Width(8, signed=False),
}
"""The types of integers in the kernel's prototypes, on x86-64; ``status`` is what is kept of an exit status."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a call."""

    name: str
    types: tuple[type, ...]
    """What an argument in this place may be. There are no literals of VerbsObject: it must come from a variable."""
    optional: bool = False
    repeated: bool = False
    """Any number of arguments, none too; only the last parameter."""
    width: Width = C_TYPES["long"]
    """What the call takes of an integer."""
    is_path: bool = False

    def cut(self, value: "Argument") -> "Argument":
        """Return an argument as the call takes it."""
        return self.width.cut(value) if isinstance(value, int) else value

    def __str__(self) -> str:
        return f"{self.name}..." if self.repeated else self.name


Argument = int | float | str | bytes | VerbsObject | None
"""What a program can give to a call."""


class Restart(Enum):
    """What becomes of a call whose sleep a signal ended, by the kernel's name for its error [1.12]."""

    ERESTARTSYS = "made again if no handler runs, or if the one taken first has SA_RESTART"
    ERESTARTNOHAND = "made again if no handler runs"
    EINTR = "never made again"


@dataclass(frozen=True, slots=True)
class Signature:
    """How a call is written and what it may return."""

    name: str
    parameters: tuple[Parameter, ...]
    errnos: frozenset[str]
    source: str
    """The manual pages, or the section of ``docs/semantics.md``."""
    restart: Restart = Restart.ERESTARTSYS

    @property
    def least(self) -> int:
        """The number of arguments that must be given."""
        return sum(not parameter.optional for parameter in self.parameters)

    @property
    def most(self) -> float:
        """The number of arguments that may be given."""
        return float("inf") if self.parameters and self.parameters[-1].repeated else len(self.parameters)

    def parameter(self, position: int) -> Parameter:
        """Return the parameter an argument is for, by the argument's place from 0."""
        return self.parameters[min(position, len(self.parameters) - 1)]

    def __str__(self) -> str:
        shown = ", ".join(p.name for p in self.parameters if not p.optional)
        for p in self.parameters:
            if p.optional:
                shown += f"[, {p}]" if shown else f"[{p}]"
        return f"{self.name}({shown})"


_PAGE = re.compile(r"\w+\([27]\)")


def _signature(text: str, source: str, restart: Restart = Restart.ERESTARTSYS) -> Signature:
    """Read ``name(parameter: type|type, [parameter: type], [parameter...: type])``.

    A handle is what a verb returned.
    """
    types: dict[str, type] = {
        "float": float,
        "none": NoneType,
        "str": str,
        "path": str,
        "bytes": bytes,
        "handle": VerbsObject,
    }
    name, _, inside = text.removesuffix(")").partition("(")
    parameters = []
    for part in filter(None, (piece.strip() for piece in inside.split(","))):
        word, _, given = part.strip("[]").partition(": ")
        kinds = given.split("|")
        widths = [C_TYPES[kind] for kind in kinds if kind in C_TYPES]
        parameters.append(
            Parameter(
                word.removesuffix("..."),
                tuple(types.get(kind, int) for kind in kinds),
                part.startswith("["),
                word.endswith("..."),
                widths[0] if widths else C_TYPES["long"],
                "path" in kinds,
            )
        )
    return Signature(name, tuple(parameters), _errnos(name, source, parameters), source, restart)


def _errnos(call: str, source: str, parameters: list[Parameter]) -> frozenset[str]:
    """Return what a call may fail with: what its pages say, what is added, and EINVAL for what no C program can pass.

    A variable can hold what the parameter cannot be, such as the result of a failed call.
    """
    named = {errno for page in _PAGE.findall(source) for errno in PAGES[page].split()}
    named |= {*ADDED.get(call, ()), *(["EINVAL"] if parameters else [])}
    return frozenset(ERRNO_ALIASES.get(errno, errno) for errno in named)


SIGNATURES: dict[str, Signature] = {
    signature.name: signature
    for signature in (
        # Files and descriptors.
        _signature("open(path: path, flags: int, [mode: umode_t])", "open(2)"),
        _signature("close(fd: uint)", "close(2)"),
        _signature("dup(fd: uint)", "dup(2)"),
        _signature("dup2(oldfd: uint, newfd: uint)", "dup(2)"),
        _signature("read(fd: uint, count: size_t)", "read(2)"),
        _signature("write(fd: uint, data: bytes|str)", "write(2)"),
        _signature("lseek(fd: uint, offset: long)", "lseek(2), from the start of the file"),
        _signature("ftruncate(fd: uint, length: long)", "truncate(2)"),
        _signature("truncate(path: path, length: long)", "truncate(2)"),
        _signature("unlink(path: path)", "unlink(2)"),
        _signature("link(path: path, to: path)", "link(2)"),
        _signature("rename(path: path, to: path)", "rename(2)"),
        _signature("mkdir(path: path, [mode: umode_t])", "mkdir(2)"),
        _signature("chmod(path: path, mode: umode_t)", "chmod(2)"),
        _signature("chown(path: path, uid: uid_t)", "chown(2)"),
        _signature("utimes(path: path)", "utimensat(2), to the present"),
        _signature("setxattr(path: path)", "setxattr(2) of a user attribute, stat(2)"),
        _signature("stat(path: path)", "stat(2): returns the size in bytes"),
        _signature("access(path: path, [mode: int])", "access(2)"),
        _signature("execve(path: path)", "execve(2) of a file of data"),
        _signature("fallocate(fd: int, mode: int, offset: long, length: long)", "fallocate(2)"),
        _signature("fsync(fd: uint)", "fsync(2)"),
        _signature("flock(fd: uint, how: uint)", "flock(2)"),
        _signature("pipe()", "pipe(2): returns the read end, the variable pipe_w is the write end"),
        _signature("set_lease_break_time(seconds: long)", "open(2), write(2), proc_sys_fs(5); 0 is for ever"),
        # The kernel casts what each of the commands takes to int.
        _signature("fcntl(fd: uint, cmd: uint, [arg: int])", "fcntl(2), semantics 2.1-2.3"),
        _signature("send_fd(process: str|int, fd: int)", "send(2), unix(7) SCM_RIGHTS, semantics 2.4"),
        _signature("recv_fd([flags: int])", "recv(2), unix(7) SCM_RIGHTS, semantics 2.4"),
        # Processes, signals, time.
        _signature("fork(program: str)", "fork(2); the child runs the named process"),
        _signature("exec(program: str)", "execve(2); the process goes on as the named one"),
        _signature("exit([status: status])", "_exit(2), semantics 1.1"),
        _signature("waitpid(pid: int, [options: int])", "wait(2); sets wait_status"),
        _signature("kill(process: str|int, signal: int)", "kill(2)"),
        _signature("sigaction(signal: int, disposition: long, [flags: int])", "sigaction(2)"),
        _signature("sigprocmask(how: int, [signal...: int])", "sigprocmask(2) of these signals; 0 is none"),
        _signature("sigsuspend([signal...: int])", "sigsuspend(2) with these blocked", Restart.ERESTARTNOHAND),
        _signature(
            "sigtimedwait([seconds: long|float])",
            "sigwaitinfo(2): sigtimedwait of any signal blocked then; sets si_signo and si_fd",
            Restart.EINTR,
        ),
        _signature("sigwaitinfo()", "sigwaitinfo(2) of any signal blocked then", Restart.EINTR),
        _signature(
            "ppoll(seconds: long|float|none, [signal...: int])",
            "poll(2) of no descriptors with these signals blocked",
            Restart.ERESTARTNOHAND,
        ),
        _signature("setuid(uid: uid_t)", "setuid(2)"),
        _signature("setfsuid(uid: uid_t)", "setfsuid(2)"),
        _signature("setrlimit(resource: uint, limit: long)", "getrlimit(2): setrlimit, soft and hard limit at once"),
        _signature("pause()", "pause(2)", Restart.ERESTARTNOHAND),
        _signature("sleep(seconds: long|float)", "nanosleep(2)", Restart.ERESTARTNOHAND),
        _signature("getpid()", "getpid(2)"),
        # Memory.
        _signature("mmap(length: size_t, prot: int, flags: int, fd: int, offset: size_t)", "mmap(2), semantics 1.8"),
        _signature("munmap(addr: size_t, length: size_t)", "mmap(2)"),
        _signature("load(addr: long, length: long)", "a CPU load, semantics 1.8; SIGSEGV or SIGBUS if it faults"),
        _signature("store(addr: long, data: bytes|str)", "a CPU store, semantics 1.8; SIGSEGV or SIGBUS if it faults"),
        # Verbs.
        _signature("ibv_open_device(name: str)", "ibv_open_device(3), semantics 1.10"),
        _signature("ibv_alloc_pd(context: int)", "ibv_alloc_pd(3)"),
        _signature("ibv_dealloc_pd(pd: handle)", "ibv_alloc_pd(3)"),
        _signature(
            "ibv_reg_mr(pd: handle, addr: size_t, length: size_t, access: uint)", "ibv_reg_mr(3), semantics 2.6"
        ),
        _signature("ibv_dereg_mr(mr: handle)", "ibv_reg_mr(3), semantics 2.6"),
        _signature("ibv_create_cq(context: int)", "ibv_create_cq(3)"),
        _signature("ibv_create_qp(pd: handle, cq: handle)", "ibv_create_qp(3)"),
        _signature("ibv_modify_qp(qp: handle, state: int, [peer: handle])", "ibv_modify_qp(3), semantics 1.10"),
        _signature(
            "ibv_post_send(qp: handle, opcode: int, local: bytes|str|handle, remote: handle, offset: long, "
            "[length: long])",
            "ibv_post_send(3): bytes are sent inline, a region from its beginning",
        ),
        _signature("ibv_poll_cq(cq: handle)", "ibv_poll_cq(3): takes one completion, returns how many"),
        _signature("ibv_wc_status()", "ibv_poll_cq(3): the status field of the completion polled last"),
        _signature("ibv_get_cq_event(cq: handle)", "ibv_get_cq_event(3): waits for a completion"),
        # Order between processes; not system calls.
        _signature("label(name: str, [value: long|str|bytes|handle])", "docs/scenario.md"),
        _signature("wait_for(name: str)", "docs/scenario.md"),
    )
}
"""Every call by its name."""
