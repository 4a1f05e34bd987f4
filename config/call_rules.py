"""What a call in a program may look like: its parameters, and what of it the emulator does not support yet.

What is refused here is refused when a scenario is loaded, so that no run gives an answer about a flag nobody emulates.
What the kernel would refuse with an errno is left to the run, with few exceptions, because that errno may be the point.
"""

import ast
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from operator import or_

from longpin.actors import policies
from longpin.actors.process.program import Const, Expression, Name
from longpin.actors.syscalls import SYSCALLS
from longpin.actors.syscalls.declaration import Flags, Given, Section, Syscall, Unknown
from longpin.actors.syscalls.parameter import Parameter
from longpin.config.expressions import RefusedError, names_in, with_values
from longpin.config.problems import closest, shown

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
    call = SYSCALLS.get(name)
    if call is None:
        found = f"{shown(name)}{closest(name, SYSCALLS)}; there are {', '.join(sorted(SYSCALLS))}"
        raise RefusedError(node, "a supported call", found)
    if not call.least <= len(args) <= call.most:
        raise RefusedError(node, str(call), _count(len(args)))
    if len(args) > call.least and args[-1] == Const(None):
        args = args[:-1]
    for parameter, arg, written in zip(_parameters(call, args), args, node.args, strict=False):
        _check_type(call, parameter, arg, written)
    if call.allowed or call.refuses:
        for values in turns({variable for arg in args for variable in names_in(arg)}):
            _check_values(call, node, tuple(with_values(arg, values) for arg in args))
    return args


def what_fits(name: str, position: int) -> str:
    """Return what constants an argument of a call can be, by its place from 0; empty if they are not counted."""
    call = SYSCALLS.get(name)
    if call is None or not call.parameters:
        return ""
    parameter = call.parameter(position)
    allowed = call.allowed.get(parameter.name)
    return "" if allowed is None else f"{allowed} as {parameter.name} of {call}"


def _parameters(call: Syscall, args: tuple[Expression, ...]) -> list[Parameter]:
    """Return the parameter of each argument."""
    return list(call.parameters_of(len(args)))


def _check_values(call: Syscall, node: ast.Call, args: tuple[Expression, ...]) -> None:
    """Check what constants parameters take, and whether they go together."""
    given: Given = {
        parameter.name: parameter.cut(arg.value) if isinstance(arg, Const) else Unknown.VALUE
        for parameter, arg in zip(_parameters(call, args), args, strict=True)
    }
    written = dict(zip(given, node.args, strict=False))
    for name, allowed in call.allowed.items():
        value = given.get(name)
        added = policies.constants(f"{call.name}.{name}").values()
        if not isinstance(value, int) or value in added:
            continue
        rest = value & ~reduce(or_, added, 0) if isinstance(allowed, Flags) else value
        if (wrong := allowed.refuse(rest)) is not None:
            raise RefusedError(written[name], f"{wrong[0]} as {name} of {call}", wrong[1])
    if call.refuses is not None and (refusal := call.refuses(given)) is not None:
        raise RefusedError(written.get(refusal.parameter, node), refusal.expected, refusal.found)


def _count(arguments: int) -> str:
    return f"{arguments or 'no'} argument{'' if arguments == 1 else 's'}"


def _check_type(call: Syscall, parameter: Parameter, arg: Expression, written: ast.expr) -> None:
    place = f"{parameter.name} of {call}"
    if isinstance(arg, Name):
        if parameter.is_literal:
            raise RefusedError(written, f"a string in quotes as {place}", f"the variable {arg.name}")
        return
    if isinstance(arg, Const):
        if not isinstance(arg.value, parameter.types):
            kinds = _listed(parameter)
            if isinstance(arg.value, float):
                kinds = kinds.replace("a number", "a whole number")
            raise RefusedError(written, f"{kinds} as {place}", shown(arg.value))
        # What a label carries may be used as a path; bytes may hold anything.
        if isinstance(arg.value, str) and "\0" in arg.value and (parameter.is_path or call.section is Section.ORDER):
            raise RefusedError(written, f"text without NUL as {place}", shown(arg.value))
    elif int not in parameter.types:
        raise RefusedError(written, f"{_listed(parameter)} as {place}", "a sum or product")


def _listed(parameter: Parameter) -> str:
    # A handle has no literal: only a variable can hold one.
    return " or ".join([*(_KINDS[kind] for kind in parameter.types if kind in _KINDS), "a variable"])
