"""How each call of a program is made in C."""

import ast
from collections.abc import Callable
from dataclasses import dataclass, field

from longpin.actors.constants import PROGRAM_CONSTANTS
from longpin.actors.conversation import KernelError
from longpin.actors.process.interpreter import evaluate
from longpin.actors.process.program import Const, Expression, Name, Op, Operation
from longpin.actors.syscalls import SYSCALLS, threads
from longpin.actors.syscalls.declaration import Libc, Section, Syscall
from longpin.actors.syscalls.files import as_bytes
from longpin.config import python_text
from longpin.runner.c_source.text import CNames, c_string
from longpin.runner.races.offers import inside

LARGEST_INT = (1 << 31) - 1
_INT_BITS = 32
LARGEST_READ = 65536

_CREATES = PROGRAM_CONSTANTS["O_CREAT"] | PROGRAM_CONSTANTS["O_TMPFILE"] & ~PROGRAM_CONSTANTS["O_DIRECTORY"]
"""Flags with which open(2) takes a mode."""

_OWN_CONSTANTS = {"PAGE", "F_LAYOUT"}
"""Constants that the file defines itself."""


@dataclass(slots=True)
class CStatement:
    """A call as C: an expression, or why there is none."""

    code: str = ""
    data: str = ""
    """Where a call that brings data puts it."""
    missing: str = ""
    """Why an unmodified kernel, or this file, does not have it."""
    note: str = ""
    """What else to say of it."""


@dataclass(slots=True)
class Writer:
    """Writes the calls of a scenario, and collects what the file must have for them."""

    programs: CNames = field(default_factory=lambda: CNames("P_"))
    labels: CNames = field(default_factory=lambda: CNames("L_"))
    variables: CNames = field(default_factory=lambda: CNames("v_"))
    headers: set[str] = field(default_factory=set)
    helpers: set[str] = field(default_factory=set)
    constants: set[str] = field(default_factory=set)
    """Of those that C does not have, the ones that are used."""
    buffers: dict[str, str] = field(default_factory=dict)
    """The C name of the buffer for what a variable holds, if that may be data."""
    handlers: dict[int, str] = field(default_factory=dict)
    """The handlers that the program under way may install."""

    def call(self, op: Op) -> CStatement:
        """Return a call as C."""
        if op.call in threads.CALLS:
            return CStatement(missing="programs in C have one thread a process here")
        if not SYSCALLS[op.call].on_host:
            if SYSCALLS[op.call].section is Section.VERBS:
                return CStatement(missing="verbs need an RDMA device, and pins are what the proposals are about")
            return CStatement(missing="no program here makes this call")
        try:
            return CALLS[op.call](self, op, self._arguments(op))
        except _MissingError as error:
            return CStatement(missing=str(error))

    def need(self, *helpers: str, headers: tuple[str, ...] = ()) -> None:
        """Note what the file must have."""
        self.helpers.update(helpers)
        self.headers.update(headers)

    def _arguments(self, op: Op) -> list[str]:
        """Return the arguments that are numbers as C, with the constants' names where the text has them."""
        written: list[ast.expr | None] = [None] * len(op.args)
        try:
            match python_text.parse(op.text).body[0]:
                case ast.Expr(value=ast.Call() as node) | ast.Assign(value=ast.Call() as node):
                    written = [*node.args, *[None] * len(op.args)]
        except (SyntaxError, ValueError, IndexError, RecursionError, MemoryError):
            pass
        shown = [self.expression(arg, node) for arg, node in zip(op.args, written, strict=False)]
        return [_cast(op, place, text) for place, text in enumerate(shown)]

    def expression(self, expression: Expression, node: ast.expr | None = None) -> str:
        """Return an expression as C; ``node`` is how it was written, with names for constants."""
        match expression:
            case Const(value=int() as value):
                return self._named(node, value) or _number(value)
            case Const(value=float() as value):
                return repr(value)
            case Name(name=name):
                return self.variables[name]
            case Operation(op=operator, left=left, right=right):
                return f"({self.expression(left)} {operator} {self.expression(right)})"
            case _:
                return ""

    def _named(self, node: ast.expr | None, value: int) -> str:
        """Return a constant as it was written, if that was with names; empty if it was not, or is something else."""
        match node:
            case ast.Name(id=name) if PROGRAM_CONSTANTS.get(name, 4096 if name == "PAGE" else None) == value:
                if name.startswith("IBV_") or (name.startswith("SIG_") and name == "SIG_HANDLER"):
                    return ""
                if name in _OWN_CONSTANTS:
                    self.constants.add(name)
                self.headers.update(header for header, prefixes in _HEADERS.items() if name.startswith(prefixes))
                return name
            case ast.BinOp(op=ast.BitOr(), left=ast.Name(id=left), right=ast.Name(id=right)):
                first, second = PROGRAM_CONSTANTS.get(left), PROGRAM_CONSTANTS.get(right)
                if first is not None and second is not None and first | second == value:
                    return self._joined([self._named(node.left, first), self._named(node.right, second)])
                return ""
            case ast.BinOp(op=ast.BitOr(), left=ast.BinOp() as left_node, right=ast.Name(id=right)):
                last = PROGRAM_CONSTANTS.get(right)
                for first in (value & ~(last or 0), value):
                    if last is not None and first | last == value and (text := self._named(left_node, first)):
                        return self._joined([text, self._named(node.right, last)])
                return ""
            case ast.BinOp(op=ast.Mult(), left=ast.Constant(value=int() as times), right=ast.Name(id="PAGE")):
                self.constants.add("PAGE")
                return f"{times} * PAGE" if times * 4096 == value else ""
            case _:
                return ""

    @staticmethod
    def _joined(parts: list[str]) -> str:
        return " | ".join(parts) if all(parts) else ""

    def path(self, argument: Expression) -> str:
        """Return a path below the folder that the program works in."""
        if not (isinstance(argument, Const) and isinstance(argument.value, str)):
            raise _MissingError("its path is no text that is written out")
        path = inside(argument.value)
        if "\0" in path:
            raise _MissingError("no path has a NUL in it")
        return c_string(path)

    def process(self, argument: Expression, number: str) -> str:
        """Return the kernel's id of a process that is named, or told by its number in the scenario."""
        if isinstance(argument, Const) and isinstance(argument.value, str):
            self.need("pid_of")
            return f"pid_of({self.programs[argument.value]})"
        self.need("numbers")
        return f"real_pid({number})"

    def signals(self, arguments: list[str]) -> str:
        """Return a number and a list of signals."""
        return f"{len(arguments)}, (int[]){{ {', '.join(arguments) or '0'} }}"


_Write = Callable[[Writer, Op, list[str]], CStatement]


class _MissingError(Exception):
    """A call cannot be written."""


_HEADERS: dict[str, tuple[str, ...]] = {
    "fcntl.h": ("O_", "F_", "FALLOC_", "SPLICE_"),
    "linux/falloc.h": ("FALLOC_",),
    "linux/fs.h": ("FICLONE",),
    "linux/memfd.h": ("MFD_HUGE_",),
    "linux/mman.h": ("MAP_HUGE_",),
    "limits.h": ("INT_",),
    "signal.h": ("SIG", "SA_"),
    "sys/file.h": ("LOCK_",),
    "sys/mman.h": ("PROT_", "MAP_", "MFD_"),
    "sys/resource.h": ("RLIMIT_",),
    "sys/socket.h": ("MSG_",),
    "sys/wait.h": ("WNOHANG", "WUNTRACED", "WCONTINUED"),
    "unistd.h": ("R_OK", "W_OK", "X_OK", "F_OK"),
}
"""Where constants come from, by their first letters."""


def _number(value: int) -> str:
    if value == -(1 << 63):
        return "(-9223372036854775807L - 1)"
    text = f"{value}L" if abs(value) > LARGEST_INT else str(value)
    return f"({text})" if value < 0 else text


def _as_declared(made: Libc) -> "_Write":
    """Return what writes a call that a function of the C library makes."""

    def write(writer: Writer, op: Op, arguments: list[str]) -> CStatement:
        writer.need(headers=(made.header,))
        by_name, shown = {}, {}
        for place, parameter in enumerate(SYSCALLS[op.call].parameters):
            argument = by_name[parameter.name] = op.args[place] if place < len(op.args) else Const(parameter.default)
            shown[parameter.name] = arguments[place] if place < len(op.args) else writer.expression(argument)
            if "umode_t" in parameter.kinds and isinstance(argument, Const) and isinstance(argument.value, int):
                shown[parameter.name] = f"0{argument.value:o}" if argument.value > 0 else shown[parameter.name]
        buffer = writer.buffers.get(op.target or "", "buffer")
        for name in made.sizes:
            writer.need("data")
            count = by_name[name]
            if not (isinstance(count, Const) and isinstance(count.value, int) and 0 <= count.value <= LARGEST_READ):
                writer.need("room", headers=("limits.h",))
                shown[name] = f"fitting((unsigned long)({shown[name]}), sizeof({buffer}))"
        parts = []
        for role, name in ((argument.role, argument.text) for argument in made.arguments):
            match role:
                case "literal":
                    parts.append(name)
                case "path":
                    parts.append(writer.path(by_name[name]))
                case "data" | "length":
                    parts.append(_data(writer, by_name[name])[role == "length"])
                case "buffer":
                    parts.append(buffer)
                case _:
                    parts.append(shown[name])
        return CStatement(f"{made.function}({', '.join(parts)})", data=buffer if made.sizes else "")

    return write


def _helped(helper: str, function: str, *, paths: bool = False) -> "_Write":
    """Return what writes a helper with the same arguments."""

    def write(writer: Writer, op: Op, arguments: list[str]) -> CStatement:
        writer.need(helper)
        arguments = [writer.path(op.args[0])] if paths else arguments
        return CStatement(f"{function}({', '.join(arguments)})")

    return write


def _open(writer: Writer, op: Op, arguments: list[str]) -> CStatement:
    writer.need(headers=("fcntl.h",))
    flags = op.args[1].value if isinstance(op.args[1], Const) else None
    needs_mode = not isinstance(flags, int) or flags & _CREATES
    mode = ", 0666" if len(arguments) < 3 and needs_mode else ""
    return CStatement(f"open({writer.path(op.args[0])}, {', '.join(arguments[1:])}{mode})")


def _data(writer: Writer, argument: Expression) -> tuple[str, str]:
    """Return data to write as a pointer and a length."""
    match argument:
        case Const(value=(str() | bytes()) as value):
            return c_string(value), str(len(as_bytes(value)))
        case Name(name=name) if name in writer.buffers:
            return writer.buffers[name], writer.variables[name]
        case _:
            raise _MissingError("it writes what is no data")


def _fcntl(writer: Writer, op: Op, arguments: list[str]) -> CStatement:
    writer.need(headers=("fcntl.h",))
    command = op.args[1].value if isinstance(op.args[1], Const) else None
    if command in (PROGRAM_CONSTANTS["F_SETDELEG"], PROGRAM_CONSTANTS["F_GETDELEG"]):
        raise _MissingError("it takes a struct delegation, which only headers of Linux 6.19 and later have")
    if command == PROGRAM_CONSTANTS["F_SETOWN_EX"]:
        writer.need("set_owner_ex")
        return CStatement(f"set_owner_ex({arguments[0]}, {arguments[2]}, real_pid({arguments[3]}))")
    if command == PROGRAM_CONSTANTS["F_GETOWN_EX"]:
        writer.need("get_owner_ex")
        return CStatement(f"get_owner_ex({arguments[0]})")
    # To nobody, and to INT_MIN, as they are: those are no processes.
    if command == PROGRAM_CONSTANTS["F_SETOWN"] and op.args[2:] not in ((Const(0),), (Const(-(1 << 31)),)):
        writer.need("numbers")
        arguments[2] = f"real_pid({arguments[2]})"
    text = f"fcntl({', '.join(arguments)})"
    if command == PROGRAM_CONSTANTS["F_GETOWN"]:
        writer.need("number_of")
        return CStatement(f"number_of({text})")
    return CStatement(text)


def _send_fd(writer: Writer, op: Op, arguments: list[str]) -> CStatement:
    writer.need("send_fd")
    target = op.args[0]
    if isinstance(target, Const) and isinstance(target.value, str):
        writer.need("pid_of", "number_of")
        return CStatement(f"send_fd(number_of(pid_of({writer.programs[target.value]})), {arguments[1]})")
    return CStatement(f"send_fd({', '.join(arguments)})")


def _recv_fd(writer: Writer, _op: Op, arguments: list[str]) -> CStatement:
    writer.need("recv_fd")
    return CStatement(f"recv_fd({arguments[0] if arguments else '0'})")


def _fork(writer: Writer, op: Op, _arguments: list[str]) -> CStatement:
    assert isinstance(op.args[0], Const)
    writer.need("fork")
    return CStatement(f"fork_as({writer.programs[str(op.args[0].value)]})")


def _exec(writer: Writer, op: Op, _arguments: list[str]) -> CStatement:
    assert isinstance(op.args[0], Const)
    writer.need("exec")
    return CStatement(f"exec_as({writer.programs[str(op.args[0].value)]})")


def _exit(writer: Writer, _op: Op, arguments: list[str]) -> CStatement:
    writer.need("exit")
    return CStatement(f"leave({arguments[0] if arguments else '0'})")


def _kill(writer: Writer, op: Op, arguments: list[str]) -> CStatement:
    writer.need(headers=("signal.h",))
    return CStatement(f"kill({writer.process(op.args[0], arguments[0])}, {arguments[1]})")


def _getpid(writer: Writer, _op: Op, _arguments: list[str]) -> CStatement:
    writer.need("number_of", headers=("unistd.h",))
    return CStatement("number_of(getpid())")


def _waitpid(writer: Writer, _op: Op, arguments: list[str]) -> CStatement:
    writer.need("waitpid")
    return CStatement(f"wait_child({arguments[0]}, {arguments[1] if len(arguments) > 1 else '0'})")


def _sigaction(writer: Writer, op: Op, arguments: list[str]) -> CStatement:
    flags = arguments[2] if len(arguments) > 2 else "0"
    signo = op.args[0].value if isinstance(op.args[0], Const) else None
    if signo in (32, 33):
        raise _MissingError("the C library keeps this signal for itself")
    if op.args[1] == Const(PROGRAM_CONSTANTS["SIG_HANDLER"]):
        if not isinstance(signo, int) or signo not in writer.handlers:
            raise _MissingError("which handler is meant is not known before it runs")
        writer.need("handlers")
        return CStatement(f"set_handler({arguments[0]}, {writer.handlers[signo]}, {flags})")
    if not isinstance(op.args[1], Const) or op.args[1].value not in (0, 1):
        raise _MissingError("which action is meant is not known before it runs")
    writer.need("set_default")
    return CStatement(f"set_default({arguments[0]}, {'SIG_IGN' if op.args[1].value else 'SIG_DFL'}, {flags})")


def _sigprocmask(writer: Writer, _op: Op, arguments: list[str]) -> CStatement:
    writer.need("sigprocmask")
    return CStatement(f"set_mask({arguments[0]}, {writer.signals(arguments[1:])})")


def _sigsuspend(writer: Writer, _op: Op, arguments: list[str]) -> CStatement:
    writer.need("sigsuspend")
    return CStatement(f"suspend_with({writer.signals(arguments)})")


def _sigtimedwait(writer: Writer, _op: Op, arguments: list[str]) -> CStatement:
    writer.need("sigtimedwait")
    return CStatement(f"take_signal({arguments[0] if arguments and arguments[0] else '0'})")


def _sigwaitinfo(writer: Writer, _op: Op, _arguments: list[str]) -> CStatement:
    writer.need("sigtimedwait")
    return CStatement("take_signal(-1)")


def _ppoll(writer: Writer, _op: Op, arguments: list[str]) -> CStatement:
    writer.need("ppoll")
    return CStatement(f"poll_nothing({arguments[0] or '-1'}, {writer.signals(arguments[1:])})")


def _label(writer: Writer, op: Op, arguments: list[str]) -> CStatement:
    writer.need("labels")
    value, note = (arguments[1] if len(arguments) > 1 else "0"), ""
    if not value:
        value, note = "0", "what the label carries is no number, and left out"
    return CStatement(f"set_label({writer.labels[_text(op)]}, {value})", note=note)


def _wait_for(writer: Writer, op: Op, _arguments: list[str]) -> CStatement:
    writer.need("wait_label")
    return CStatement(f"wait_label({writer.labels[_text(op)]})")


def _text(op: Op) -> str:
    assert isinstance(op.args[0], Const)
    return str(op.args[0].value)


def _mmap(writer: Writer, _op: Op, arguments: list[str]) -> CStatement:
    writer.need(headers=("sys/mman.h",))
    address = f"(void *){arguments[5]}" if len(arguments) > 5 else "NULL"
    return CStatement(f"mmap({address}, {', '.join(arguments[:5])})")


def _on_memory(call: str) -> _Write:
    """Return what writes a call whose first argument is an address."""

    def write(writer: Writer, _op: Op, arguments: list[str]) -> CStatement:
        writer.need(headers=("sys/mman.h",))
        return CStatement(f"{call}((void *){arguments[0]}, {', '.join(arguments[1:])})")

    return write


def _mremap(writer: Writer, _op: Op, arguments: list[str]) -> CStatement:
    writer.need(headers=("sys/mman.h",))
    more = [f"(void *){argument}" for argument in arguments[4:]]
    return CStatement(f"mremap((void *){', '.join([*arguments[:4], *more])})")


def _load(writer: Writer, op: Op, arguments: list[str]) -> CStatement:
    writer.need("data", "memory")
    length = op.args[1]
    if not (isinstance(length, Const) and isinstance(length.value, int) and 0 <= length.value <= LARGEST_READ):
        raise _MissingError("how much is loaded is not known before it runs")
    buffer = writer.buffers.get(op.target or "", "buffer")
    return CStatement(f"copy({buffer}, (const volatile char *){arguments[0]}, {arguments[1]})", data=buffer)


def _store(writer: Writer, op: Op, arguments: list[str]) -> CStatement:
    writer.need("memory")
    pointer, length = _data(writer, op.args[1])
    return CStatement(f"copy((volatile char *){arguments[0]}, {pointer}, {length}) < 0 ? -1 : 0")


def _copy_file_range(writer: Writer, op: Op, arguments: list[str]) -> CStatement:
    writer.need("copy_range")
    fd_in, off_in, fd_out, off_out, *rest = arguments
    offsets = [
        f"{int(text == Const(None))}, {'0' if text == Const(None) else argument}"
        for text, argument in ((op.args[1], off_in), (op.args[3], off_out))
    ]
    length, flags = (*rest, "0")[:2]
    return CStatement(f"copy_range({fd_in}, {offsets[0]}, {fd_out}, {offsets[1]}, {length}, {flags})")


def _one_range(address: str, length: str) -> str:
    return f"&(struct iovec){{ (void *){address}, {length} }}, 1"


def _vmsplice(writer: Writer, _op: Op, arguments: list[str]) -> CStatement:
    writer.need(headers=("fcntl.h", "sys/uio.h"))
    fd, address, length, flags = (*arguments, "0")[:4]
    return CStatement(f"vmsplice({fd}, {_one_range(address, length)}, {flags})")


def _at_offset(call: str) -> _Write:
    """Return what writes a call that moves bytes between memory and a place in a file."""

    def write(writer: Writer, _op: Op, arguments: list[str]) -> CStatement:
        writer.need(headers=("sys/uio.h",))
        fd, address, length, offset = arguments
        return CStatement(f"{call}({fd}, {_one_range(address, length)}, {offset})")

    return write


def _process_vm_readv(writer: Writer, op: Op, arguments: list[str]) -> CStatement:
    writer.need("data", "room", "read_memory", headers=("limits.h",))
    buffer = writer.buffers.get(op.target or "", "buffer")
    process = writer.process(op.args[0], arguments[0])
    length = f"fitting({arguments[2]}, sizeof({buffer}))"
    return CStatement(f"read_memory({process}, {arguments[1]}, {buffer}, {length})", data=buffer)


def _process_vm_writev(writer: Writer, op: Op, arguments: list[str]) -> CStatement:
    writer.need("write_memory")
    pointer, length = _data(writer, op.args[2])
    process = writer.process(op.args[0], arguments[0])
    return CStatement(f"write_memory({process}, {arguments[1]}, {pointer}, {length})")


def _memfd_create(writer: Writer, op: Op, arguments: list[str]) -> CStatement:
    writer.need(headers=("sys/mman.h",))
    name = op.args[0]
    if not (isinstance(name, Const) and isinstance(name.value, str)):
        raise _MissingError("its name is no text that is written out")
    return CStatement(f"memfd_create({c_string(name.value)}, {arguments[1] if len(arguments) > 1 else '0'})")


def _fiemap(_writer: Writer, _op: Op, _arguments: list[str]) -> CStatement:
    raise _MissingError("where data lie is different on each machine")


_OWN: dict[str, _Write] = {
    "open": _open,
    "stat": _helped("stat", "size_of", paths=True),
    "execve": _helped("execve", "execute", paths=True),
    "pipe": _helped("pipe", "make_pipe"),
    "set_lease_break_time": _helped("set_lease_break_time", "set_lease_break_time"),
    "fcntl": _fcntl,
    "send_fd": _send_fd,
    "recv_fd": _recv_fd,
    "fork": _fork,
    "exec": _exec,
    "exit": _exit,
    "kill": _kill,
    "waitpid": _waitpid,
    "getpid": _getpid,
    "sigaction": _sigaction,
    "sigprocmask": _sigprocmask,
    "sigsuspend": _sigsuspend,
    "sigtimedwait": _sigtimedwait,
    "sigwaitinfo": _sigwaitinfo,
    "ppoll": _ppoll,
    "sleep": _helped("sleep", "sleep_for"),
    "setrlimit": _helped("setrlimit", "set_limit"),
    "label": _label,
    "wait_for": _wait_for,
    "mmap": _mmap,
    "mremap": _mremap,
    **{call: _on_memory(call) for call in ("munmap", "mprotect", "madvise", "mlock", "munlock", "msync")},
    "ficlonerange": _helped("clone_range", "clone_range"),
    "fideduperange": _helped("dedupe", "dedupe_range"),
    "copy_file_range": _copy_file_range,
    "fiemap": _fiemap,
    "memfd_create": _memfd_create,
    "vmsplice": _vmsplice,
    "preadv": _at_offset("preadv"),
    "pwritev": _at_offset("pwritev"),
    "process_vm_readv": _process_vm_readv,
    "process_vm_writev": _process_vm_writev,
    "load": _load,
    "store": _store,
}
"""What writes the calls that take more than a function of the C library, or are written with less."""


def _writer(call: Syscall) -> _Write:
    if call.name in _OWN:
        return _OWN[call.name]
    assert call.libc is not None, f"{call.name} declares no function of the C library, and has no entry here"
    return _as_declared(call.libc)


CALLS: dict[str, _Write] = {
    call.name: _writer(call) for call in SYSCALLS.values() if call.on_host and call.name not in threads.CALLS
}
"""What writes each call."""


def _cast(op: Op, place: int, text: str) -> str:
    """Return an argument with a cast where C would warn that the call takes less of it."""
    width = SYSCALLS[op.call].parameter(place).width
    try:
        value = evaluate(op.args[place], {})
    except KernelError:
        return text
    if width.bits > _INT_BITS or not isinstance(value, int) or -(1 << _INT_BITS - 1) <= value < 1 << _INT_BITS:
        return text
    return f"({'int' if width.signed else 'unsigned int'})({text})"
