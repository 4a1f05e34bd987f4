"""What a call in a program may look like: its parameters, and what of it the emulator does not support yet.

What is refused here is refused when a scenario is loaded, so that no run gives an answer about a flag nobody emulates.
What the kernel would refuse with an errno is left to the run, with few exceptions, because that errno may be the point.
"""

import ast
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import reduce
from operator import or_

from longpin.actors import constants, policies
from longpin.actors.process.program import Const, Expression, Name
from longpin.actors.syscalls.signatures import SIGNATURES, Parameter, Signature
from longpin.config.expressions import RefusedError, names_in, with_values
from longpin.config.problems import closest, shown

_FCNTL_COMMANDS = ("F_SETLEASE", "F_GETLEASE", "F_SETSIG", "F_GETSIG", "F_SETOWN", "F_GETOWN")
_OPEN_FLAGS = (
    "O_WRONLY",
    "O_RDWR",
    "O_CREAT",
    "O_EXCL",
    "O_TRUNC",
    "O_APPEND",
    "O_NONBLOCK",
    "O_CLOEXEC",
    "O_DIRECTORY",
    "O_PATH",
    "O_TMPFILE",
)
_MMAP_FLAGS = ("MAP_SHARED",)
_PROTECTIONS = ("PROT_NONE", "PROT_READ", "PROT_WRITE")
_DISPOSITIONS = ("SIG_DFL", "SIG_IGN", "SIG_HANDLER")
_SIGACTION_FLAGS = ("SA_RESTART", "SA_NOCLDSTOP", "SA_NOCLDWAIT")
_WAIT_OPTIONS = ("WNOHANG", "WUNTRACED", "WCONTINUED")
_RESOURCES = ("RLIMIT_NOFILE", "RLIMIT_MEMLOCK", "RLIMIT_SIGPENDING")
_STATES = ("IBV_QPS_RESET", "IBV_QPS_INIT", "IBV_QPS_RTR", "IBV_QPS_RTS", "IBV_QPS_ERR")
_OPCODES = ("IBV_WR_RDMA_WRITE", "IBV_WR_RDMA_READ")

_LITERAL_ONLY = {("exec", 0), ("fork", 0), ("label", 0), ("wait_for", 0)}
"""Arguments that must be written out, because the loader checks what they name."""

_KINDS: dict[type, str] = {int: "a number", str: "a string", bytes: "bytes"}


def check_call(
    node: ast.Call, name: str, args: tuple[Expression, ...], turns: Callable[[set[str]], Iterable[Mapping[str, int]]]
) -> tuple[Expression, ...]:
    """Check a call's arguments; return them without a trailing None that stands for a parameter left out.

    Args:
        node: the call as it is written.
        name: the call's name.
        args: its arguments.
        turns: returns the values that variables of loops have turn by turn, of those named; one turn outside of loops.

    Raises:
        RefusedError: an unknown call, a wrong number or type of arguments, or something that is not supported.

    """
    signature = SIGNATURES.get(name)
    if signature is None:
        raise RefusedError(node, "a supported call", shown(name) + closest(name, SIGNATURES))
    if not signature.least <= len(args) <= signature.most:
        raise RefusedError(node, str(signature), _count(len(args)))
    if len(args) > signature.least and args[-1] == Const(None):
        args = args[:-1]
    for position, (arg, written) in enumerate(zip(args, node.args, strict=False)):
        _check_type(signature, position, arg, written)
    if name in _RULES:
        for values in turns({variable for arg in args for variable in names_in(arg)}):
            _RULES[name](node, tuple(with_values(arg, values) for arg in args))
    return args


def _count(arguments: int) -> str:
    return f"{arguments or 'no'} argument{'' if arguments == 1 else 's'}"


def _check_type(signature: Signature, position: int, arg: Expression, written: ast.expr) -> None:
    parameter = signature.parameter(position)
    place = f"{parameter.name} of {signature}"
    if isinstance(arg, Name):
        if (signature.name, position) in _LITERAL_ONLY:
            raise RefusedError(written, f"a string in quotes as {place}", f"the variable {arg.name}")
        return
    if isinstance(arg, Const):
        if not isinstance(arg.value, parameter.types):
            kinds = _listed(parameter)
            if isinstance(arg.value, float):
                kinds = kinds.replace("a number", "a whole number")
            raise RefusedError(written, f"{kinds} as {place}", shown(arg.value))
        # What a label carries may be used as a path; bytes may hold anything.
        if isinstance(arg.value, str) and "\0" in arg.value and (parameter.is_path or signature.name == "label"):
            raise RefusedError(written, f"text without NUL as {place}", shown(arg.value))
    elif int not in parameter.types:
        raise RefusedError(written, f"{_listed(parameter)} as {place}", "a sum or product")


def _listed(parameter: Parameter) -> str:
    # A handle has no literal: only a variable can hold one.
    return " or ".join([*(_KINDS[kind] for kind in parameter.types if kind in _KINDS), "a variable"])


def _value(node: ast.Call, args: tuple[Expression, ...], position: int) -> int | None:
    """Return a constant argument as the call takes it; None for one that is known only when the program runs."""
    arg = args[position] if position < len(args) else None
    if not isinstance(arg, Const) or not isinstance(arg.value, int):
        return None
    assert isinstance(node.func, ast.Name)
    return SIGNATURES[node.func.id].parameters[position].width.cut(arg.value)


def _one_of(
    node: ast.Call, args: tuple[Expression, ...], position: int, names: Collection[str], besides: int = 0
) -> None:
    """Refuse what is not one of these constants, perhaps with bits of ``besides``."""
    value = _value(node, args, position)
    if value is not None and value & ~besides not in {constants.PROGRAM_CONSTANTS[name] for name in names}:
        raise RefusedError(node.args[position], f"one of {', '.join(names)}", f"{value:#x}, which is not supported")


def _flags_of(node: ast.Call, args: tuple[Expression, ...], position: int, names: Collection[str]) -> None:
    value = _value(node, args, position)
    allowed = reduce(or_, (constants.PROGRAM_CONSTANTS[name] for name in names))
    if value is not None and value & ~allowed:
        found = f"{value:#x}" if value < 0 else f"the flags {value & ~allowed:#o}"
        raise RefusedError(node.args[position], f"flags among {', '.join(names)}", f"{found}, which are not supported")


def _open(node: ast.Call, args: tuple[Expression, ...]) -> None:
    _flags_of(node, args, 1, _OPEN_FLAGS)


def _fcntl(node: ast.Call, args: tuple[Expression, ...]) -> None:
    _one_of(node, args, 1, _FCNTL_COMMANDS)
    if len(args) < 3 and _value(node, args, 1) in (constants.F_SETLEASE, constants.F_SETSIG, constants.F_SETOWN):
        raise RefusedError(node, "fcntl(fd, cmd, arg) for a command that sets something", _count(len(args)))


def _mmap(node: ast.Call, args: tuple[Expression, ...]) -> None:
    _flags_of(node, args, 1, _PROTECTIONS)
    _one_of(node, args, 2, _MMAP_FLAGS, besides=reduce(or_, policies.constants("mmap").values(), 0))


def _sigaction(node: ast.Call, args: tuple[Expression, ...]) -> None:
    _one_of(node, args, 1, _DISPOSITIONS)
    _flags_of(node, args, 2, _SIGACTION_FLAGS)


def _waitpid(node: ast.Call, args: tuple[Expression, ...]) -> None:
    _flags_of(node, args, 1, _WAIT_OPTIONS)


def _setrlimit(node: ast.Call, args: tuple[Expression, ...]) -> None:
    _one_of(node, args, 0, _RESOURCES)


def _modify_qp(node: ast.Call, args: tuple[Expression, ...]) -> None:
    _one_of(node, args, 1, _STATES)


def _post_send(node: ast.Call, args: tuple[Expression, ...]) -> None:
    _one_of(node, args, 1, _OPCODES)
    if isinstance(args[2], Const) and _value(node, args, 1) == constants.IBV_WR_RDMA_READ:
        raise RefusedError(
            node.args[2], "a variable with a memory region, which a read needs to write to", "inline data"
        )


_RULES: dict[str, Callable[[ast.Call, tuple[Expression, ...]], None]] = {
    "open": _open,
    "fcntl": _fcntl,
    "mmap": _mmap,
    "sigaction": _sigaction,
    "waitpid": _waitpid,
    "setrlimit": _setrlimit,
    "ibv_modify_qp": _modify_qp,
    "ibv_post_send": _post_send,
}
