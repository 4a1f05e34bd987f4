"""What of a scenario can run free on the kernel, found out before anything runs."""

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Final

from longpin.actors.constants import (
    RLIMIT_MEMLOCK,
    RLIMIT_NOFILE,
    RLIMIT_SIGPENDING,
    SA_NOCLDSTOP,
    SA_NOCLDWAIT,
    SA_RESTART,
    signal_name,
)
from longpin.actors.kernel.machine import MOST_BYTES
from longpin.actors.process.program import Const, Expression, Loop, Name, Op, Operation, Program, Statement
from longpin.actors.syscalls import SYSCALLS
from longpin.actors.syscalls.declaration import Syscall
from longpin.actors.syscalls.files import as_bytes
from longpin.actors.syscalls.parameter import Parameter
from longpin.config.problems import Problem, ScenarioError, shown
from longpin.config.schema import ProcessSpec, Scenario
from longpin.runner.host.machine import beyond_one_folder

_TABLE = Path(__file__).with_name("calls.c")
_NAMED = re.compile(r"(?:SYSTEM_CALL\(|\.name = )\"(\w+)\"|^\tPREPARED\((\w+),", re.MULTILINE)
_FEWER = {"mkdir": 1}
"""How many arguments can be given, if not all."""


def _form(call: Syscall) -> str:
    """Return a letter for each argument of a call."""
    form = "".join(_letter(parameter) for parameter in call.parameters)
    return form[: _FEWER.get(call.name, len(form))] + "+" * any(parameter.repeated for parameter in call.parameters)


def _letter(parameter: Parameter) -> str:
    letters = {"path": "p", "new path": "p", "bytes": "b", "process": "P", "program": "F", "float": "s"}
    letters |= {"label": "L", "new label": "L"}
    if int in parameter.types and not {"process", "float"} & set(parameter.kinds):
        return "n"
    return next(letter for kind, letter in letters.items() if kind in parameter.kinds)


FORMS: Final[dict[str, str]] = {
    name: _form(SYSCALLS[name]) for found in _NAMED.findall(_TABLE.read_text()) if (name := found[0] or found[1])
}
"""The calls that can be made, those in the table of ``calls.c``, and a letter for each argument: a path, a number,
bytes, a process (P by name or number, F to fork), a label, seconds; ``+``: the last one any number of times."""

MOST_CALLS = 1000
"""Calls of one program with its loops written out; with those of its handlers, a process makes at most 2048."""
MOST_FILE_BYTES = 64 << 20
"""Bytes that all files of a scenario may have: they are made for every run."""
MOST_PROCESSES = 32
MOST_LABELS = 256
MOST_VARIABLES = 1000
MOST_SENT = 10
"""Descriptors that may be sent in a run: what a socket holds, so that no sender finds one full."""
LONGEST_EXPRESSION = 250
MOST_SIGNALS = 64

_KEYS = {"name", "program", "on_signal", "uid", "capabilities", "memlock", "sigpending", "start"}
_FCNTL_COMMANDS = {8, 9, 10, 11, 1024, 1025}
_SA_NODEFER = 0x40000000
_SIGACTION_FLAGS = SA_RESTART | SA_NOCLDSTOP | SA_NOCLDWAIT | _SA_NODEFER
_RESOURCES = {RLIMIT_NOFILE, RLIMIT_MEMLOCK, RLIMIT_SIGPENDING}
_FIRST_FD, _MOST_FD = 3, 1023
_REOPENED = re.compile(r"/proc/self/fd/([0-9]{1,9})")
_STARTS_A_PROGRAM = b"#\x7f"
"""Bytes without which no file is a script or an ELF program: an execve must find data, never run anything."""


def refuse(scenario: Scenario, filename: str) -> None:
    """Refuse what the runner in C does not offer.

    Raises:
        ScenarioError: there is such a thing in the scenario; one line for each.

    """
    if problems := list(_Offers(scenario, filename).problems()):
        raise ScenarioError(problems)


def inside(path: str) -> str:
    """Return a path of the scenario as one below the folder of a run, or a descriptor opened again as it is."""
    if _REOPENED.fullmatch(path) or not path:
        return path
    below = posixpath.normpath("/" + path.lstrip("/")).lstrip("/")
    return (below + "/" * path.endswith("/")) if below else "."


def programs_of(process: ProcessSpec) -> Iterator[tuple[str, Program]]:
    """Yield each program of a process with the place it has in the file."""
    yield f"process.{process.name}.program", process.program
    for signo, program in process.on_signal:
        yield f"process.{process.name}.on_signal.{signal_name(signo)}", program


def letters(op: Op) -> str:
    """Return the letter of each argument that a call is given."""
    form = FORMS[op.call]
    if form.endswith("+"):
        form = form[:-2] + form[-2] * max(0, len(op.args) - len(form) + 2)
    return form


def calls_made(statements: tuple[Statement, ...]) -> int:
    """Return how many calls a program makes, without writing its loops out."""
    return sum(s.count * calls_made(s.body) if isinstance(s, Loop) else 1 for s in statements)


class _Offers:
    """Looks for what cannot run."""

    def __init__(self, scenario: Scenario, filename: str) -> None:
        self._scenario = scenario
        self._filename = filename
        self._names = {process.name for process in scenario.processes}
        programs = [program for process in scenario.processes for _, program in programs_of(process)]
        self._ops = [op for program in programs for op in program.operations()]
        self._executes = any(op.call == "execve" for op in self._ops)
        self._bytes = {op.target for op in self._ops if op.call == "read"}
        """Variables that hold what was read."""
        self._listed = False
        """Whether a line has named all calls that can be made: once will do."""

    def _problem(self, line: int, where: str, expected: str, found: str) -> Problem:
        return Problem(self._filename, line, None, where, expected, f"{found}, which cannot run free on the kernel")

    def problems(self) -> Iterator[Problem]:
        yield from self._machine()
        for process in self._scenario.processes:
            place = f"process.{process.name}"
            yield from self._unknown(place, process)
            if process.uid or process.capabilities is not None:
                yield self._problem(1, place, "the user that runs longpin", "a user or capabilities")
            for where, program in programs_of(process):
                if (calls := calls_made(program.statements)) > MOST_CALLS:
                    line = program.operations()[0].line
                    yield self._problem(line, where, f"at most {MOST_CALLS} calls in a program", str(calls))
                for op in program.operations():
                    yield from self._call(where, op)

    def _unknown(self, place: str, process: ProcessSpec) -> Iterator[Problem]:
        """Refuse what else a process has that nothing here tells the runner."""
        for key in fields(process):
            if key.name not in _KEYS and getattr(process, key.name) != key.default:
                yield self._problem(1, place, f"nothing but {', '.join(sorted(_KEYS))}", key.name)

    def _machine(self) -> Iterator[Problem]:
        scenario = self._scenario
        if storage := beyond_one_folder(scenario):
            yield self._problem(1, "pmem", "files that lie in one folder", storage)
        if (size := sum(file.size for file in scenario.files)) > MOST_FILE_BYTES:
            yield self._problem(1, "file", f"at most {MOST_FILE_BYTES} bytes in all", str(size))
        paths = [inside(file.path) for file in scenario.files]
        for path, file in zip(paths, scenario.files, strict=True):
            if file.uid:
                yield self._problem(1, "file", "files of the user that runs longpin", f"{shown(file.path)} with a uid")
            if paths.count(path) > 1 or path in _folders(scenario) or path.endswith("/") or path == ".":
                yield self._problem(1, "file", "files, none below another", shown(file.path))
        counts = {
            "processes": (sum(process.start == "now" for process in scenario.processes), MOST_PROCESSES),
            "labels": (len(label_names(scenario)), MOST_LABELS),
            "variables": (len(variable_names(scenario)), MOST_VARIABLES),
            "descriptors that are sent": (self._sent(), MOST_SENT),
        }
        for what, (number, most) in counts.items():
            if number > most:
                yield self._problem(1, "process", f"at most {most} {what}", str(number))

    def _sent(self) -> int:
        def inside_of(statements: tuple[Statement, ...]) -> int:
            return sum(s.count * inside_of(s.body) if isinstance(s, Loop) else s.call == "send_fd" for s in statements)

        programs = (program for process in self._scenario.processes for _, program in programs_of(process))
        return sum(inside_of(program.statements) for program in programs)

    def _call(self, where: str, op: Op) -> Iterator[Problem]:
        if op.call not in FORMS:
            yield self._problem(
                op.line, where, "another call" if self._listed else f"one of {', '.join(FORMS)}", op.call
            )
            self._listed = True
            return
        form = letters(op)
        if len(op.args) > len(form) or len(op.args) > MOST_SIGNALS + 2:
            signature = SYSCALLS.get(op.call)
            yield self._problem(op.line, where, str(signature or f"{len(form)} arguments"), f"{len(op.args)}")
            return
        for letter, argument in zip(form, op.args, strict=False):
            if (wrong := self._argument(letter, argument)) is not None:
                yield self._problem(op.line, where, *wrong)
        for position, allowed, expected in _CHOICES.get(op.call, ()):
            value = _constant(op, position)
            if value is not None and not allowed(value):
                yield self._problem(op.line, where, expected, str(value))
        if op.call == "label" and any(name in self._bytes for arg in op.args[1:] for name in _variables(arg)):
            yield self._problem(op.line, where, "a number as the value of a label", "bytes")

    def _argument(self, letter: str, argument: Expression) -> tuple[str, str] | None:
        """Return what was expected and found of an argument that cannot be passed on."""
        match letter, argument:
            case ("p", Const(value=str() as path)) if reopened := _REOPENED.fullmatch(path):
                if not _FIRST_FD <= int(reopened[1]) <= _MOST_FD:
                    return f"a descriptor from {_FIRST_FD} to {_MOST_FD}", path
            case ("p", Const(value=str() as path)):
                if "\0" in path or len(path.encode()) > MOST_BYTES:
                    return "a path without NUL", shown(path)
            case ("L", Const(value=str())):
                pass
            case (("F" | "P"), Const(value=str() as name)):
                if name not in self._names:
                    return "the name of a process", shown(name)
            case ("b", Const(value=(str() | bytes()) as value)):
                data = as_bytes(value)
                if len(data) > MOST_BYTES:
                    return f"at most {MOST_BYTES} bytes", str(len(data))
                if self._executes and any(byte in data for byte in _STARTS_A_PROGRAM):
                    return "data without the bytes # and 0x7f, beside an execve", "one of them"
            case ("b", Name()):
                pass
            case (("n" | "s"), Const(value=None)):
                pass
            case ("s", Const(value=(int() | float()))):
                pass
            case (("n" | "P" | "s"), _) if _is_number(argument):
                if _length(argument) > LONGEST_EXPRESSION:
                    return f"an expression of at most {LONGEST_EXPRESSION} parts", str(_length(argument))
            case _:
                what = {"p": "a path", "b": "bytes", "L": "a label", "F": "a process", "P": "a process"}
                return what.get(letter, "a number") + ", written out", _found(argument)
        return None


def _found(argument: Expression) -> str:
    match argument:
        case Const(value=value):
            return shown(value)
        case Name(name=name):
            return f"the variable {name}"
        case _:
            return "an expression"


def _is_number(expression: Expression) -> bool:
    match expression:
        case Const(value=value):
            return isinstance(value, int)
        case Name():
            return True
        case Operation(left=left, right=right):
            return _is_number(left) and _is_number(right)


def _length(expression: Expression) -> int:
    if isinstance(expression, Operation):
        return 1 + _length(expression.left) + _length(expression.right)
    return 1


def _variables(expression: Expression) -> Iterator[str]:
    if isinstance(expression, Name):
        yield expression.name
    elif isinstance(expression, Operation):
        yield from _variables(expression.left)
        yield from _variables(expression.right)


def _constant(op: Op, position: int) -> int | None:
    argument = op.args[position] if position < len(op.args) else None
    return argument.value if isinstance(argument, Const) and isinstance(argument.value, int) else None


_CHOICES: dict[str, list[tuple[int, Callable[[int], bool], str]]] = {
    "fcntl": [(1, lambda value: value & 0xFFFFFFFF in _FCNTL_COMMANDS, "another command of fcntl")],
    "sigaction": [
        (
            2,
            lambda value: not value & ~_SIGACTION_FLAGS,
            "flags among SA_RESTART, SA_NOCLDSTOP, SA_NOCLDWAIT and SA_NODEFER",
        )
    ],
    "setrlimit": [(0, lambda value: value in _RESOURCES, "RLIMIT_NOFILE, RLIMIT_MEMLOCK or RLIMIT_SIGPENDING")],
    "kill": [(0, lambda value: (value + (1 << 31)) % (1 << 32) != (1 << 31) - 1, "another process or group")],
}
"""What constants may be: for a call, the position, a test, and what is expected. kill(-1) reaches the whole machine."""


def label_names(scenario: Scenario) -> list[str]:
    """Return the names of all labels, in the order of the file."""
    found: dict[str, None] = {}
    for process in scenario.processes:
        for _, program in programs_of(process):
            for op in program.operations():
                for parameter, arg in zip(SYSCALLS[op.call].parameters, op.args, strict=False):
                    if {"label", "new label"} & set(parameter.kinds) and isinstance(arg, Const):
                        found[str(arg.value)] = None
    return list(found)


def variable_names(scenario: Scenario) -> list[str]:
    """Return the names of all variables that programs assign or use, in the order of the file."""
    found: dict[str, None] = {}

    def note(statements: tuple[Statement, ...]) -> None:
        for statement in statements:
            if isinstance(statement, Loop):
                found[statement.variable] = None
                note(statement.body)
                continue
            if statement.target is not None:
                found[statement.target] = None
            for argument in statement.args:
                found.update(dict.fromkeys(_variables(argument)))

    for process in scenario.processes:
        for _, program in programs_of(process):
            note(program.statements)
    return list(found)


def folders(scenario: Scenario) -> list[str]:
    """Return the folders above the paths that a scenario names, outer ones first: in the emulator names need none."""
    return sorted(_folders(scenario), key=lambda path: (path.count("/"), path))


def _folders(scenario: Scenario) -> set[str]:
    paths = [file.path for file in scenario.files]
    for process in scenario.processes:
        for _, program in programs_of(process):
            for op in program.operations():
                named = zip(FORMS.get(op.call, ""), op.args, strict=False)
                paths += [str(arg.value) for letter, arg in named if letter == "p" and isinstance(arg, Const)]
    found: set[str] = set()
    for path in paths:
        if not _REOPENED.fullmatch(path):
            parts = inside(path).rstrip("/").split("/")[:-1]
            found |= {"/".join(parts[: n + 1]) for n in range(len(parts))}
    return found
