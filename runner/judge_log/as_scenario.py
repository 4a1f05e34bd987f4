"""What a log tells, as a scenario: the same calls by the same processes, without the order in which they were made.

What a program of a scenario cannot say is lost: a handler has one program, that of its first run; what processes told
each other by ways that the model does not have orders nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Final

from longpin.actors.constants import O_ACCMODE, PROGRAM_CONSTANTS, SIG_HANDLER, SIGNAL_NAMES, signal_name
from longpin.actors.process.program import Const, Expression, Name, Op
from longpin.actors.syscalls import SYSCALLS
from longpin.actors.syscalls.declaration import Flags, OneOf
from longpin.actors.syscalls.parameter import Parameter
from longpin.config.writer import write_scenario
from longpin.runner.judge_log.scene import quoted, tables
from longpin.runner.judge_log.script import Begins, Ends, Resumes, Returns, Step, Takes
from longpin.runner.judge_log.translated import LoggedImage, Translated

_MAKE_DESCRIPTORS: Final = {"open", "dup", "recv_fd"}
_LEASE_TYPES: Final = {0: "F_RDLCK", 1: "F_WRLCK", 2: "F_UNLCK"}


def as_scenario(translated: Translated, *, break_time: float = 45, uid: int = 0) -> str:
    """Return the text of a scenario file.

    Args:
        translated: the log.
        break_time: lease-break-time in seconds.
        uid: whose processes they are.

    """
    name = PurePath(translated.log.name).stem
    document = {
        "name": name or "log",
        "source": f"what {PurePath(translated.log.name).name} tells, a log of strace",
        "policy": "P0",
        **tables(translated, break_time=break_time),
        "process": [table for table in _ScenarioWriter(translated, uid).tables() if table],
    }
    return write_scenario(document)


@dataclass(slots=True)
class _Text:
    """The programs of a process, while they are written."""

    name: str
    main: list[str] = field(default_factory=list)
    handlers: dict[int, list[str]] = field(default_factory=dict)
    variables: set[str] = field(default_factory=set)
    over: bool = False
    """Its end is told."""


class _ScenarioWriter:
    def __init__(self, translated: Translated, uid: int) -> None:
        self._translated = translated
        self._uid = uid
        self._variables: dict[str, set[str]] = {}
        """Those that a process gets from who makes it, by what it runs."""

    def tables(self) -> Iterator[dict[str, Any]]:
        images = self._translated.images
        made = {self._made_by(step) for image in images.values() for step in image.steps} - {None}
        threads = {
            str(step.op.args[0].value)  # type: ignore[union-attr]
            for image in images.values()
            for step in image.steps
            if isinstance(step, Begins) and step.op.call == "clone"
        }
        for image in images.values():
            text = self._write(image)
            start = "thread" if image.name in threads else "fork" if image.name in made else "now"
            table: dict[str, Any] = {"name": text.name, "program": _program(text.main)}
            if text.handlers:
                table["on_signal"] = {signal_name(signo): _program(body) for signo, body in text.handlers.items()}
            if self._uid:
                table["uid"] = self._uid
            yield table | ({} if start == "now" else {"start": start})

    @staticmethod
    def _made_by(step: Step) -> str | None:
        if isinstance(step, Begins) and step.op.call in ("fork", "clone", "exec"):
            return str(step.op.args[0].value)  # type: ignore[union-attr]
        return None

    def _write(self, image: LoggedImage) -> _Text:
        text = _Text(_name(image.name), variables=self._variables.get(image.name, set()))
        places: list[tuple[int, list[str]]] = [(0, text.main)]
        """The program and the handlers that run, the innermost last."""
        steps = _without_empty(image.steps)
        for number, step in enumerate(steps):
            body = places[-1][1]
            match step:
                case Begins(op=op):
                    result = next((s for s in steps[number + 1 :] if isinstance(s, Returns)), None)
                    body += self._call(text, op, step.line, result, image.tid)
                    if (runs := self._made_by(step)) is not None:
                        self._variables[runs] = set(text.variables)
                case Takes(signo=signo):
                    first = signo not in text.handlers
                    own: list[str] = []
                    if first:
                        text.handlers[signo] = own
                    places.append((signo, own))
                case Resumes() if len(places) > 1:
                    places.pop()
                case Ends():
                    text.over = True
                case _:
                    pass
        if not text.over:
            text.main.append("pause()  # the log ends")
        for signo in _installed(image.steps):
            text.handlers.setdefault(signo, [])
        return text

    def _call(self, text: _Text, op: Op, line: int, result: Returns | None, tid: int) -> list[str]:
        """Return the lines for a call: first what it needs to know of numbers."""
        before: list[str] = []
        arguments = []
        for parameter, argument in zip(SYSCALLS[op.call].parameters_of(len(op.args)), op.args, strict=True):
            arguments.append(self._argument(text, op, parameter, argument, before, tid))
        call = f"{op.call}({', '.join(arguments)})"
        target = op.target
        if result is not None and not result.errno and result.value is not None:
            if op.call in _MAKE_DESCRIPTORS or (op.call == "fcntl" and _value(op, 1) in (0, 1030)):
                target = target or f"fd{result.value}"
            elif op.call in ("fork", "clone"):
                target = f"p{result.value}"
        if target is not None:
            text.variables.add(target)
            call = f"{target} = {call}"
        said = "" if result is None else f"{result}"
        return [*before, f"{call}  # line {line}: {said}" if said else f"{call}  # line {line}"]

    def _argument(
        self, text: _Text, op: Op, parameter: Parameter, argument: Expression, before: list[str], tid: int
    ) -> str:
        if isinstance(argument, Name):
            return argument.name
        assert isinstance(argument, Const)
        value = argument.value
        if isinstance(value, str):
            return quoted(_name(value) if {"program", "thread", "process"} & set(parameter.kinds) else value)
        if isinstance(value, bytes):
            return repr(value)
        if not isinstance(value, int):
            return repr(value)
        if "fd" in parameter.kinds and f"fd{value}" in text.variables:
            return f"fd{value}"
        if "process" in parameter.kinds and value > 0:
            return quoted(_name(str(value)))
        if parameter.name == "tid" or (op.call == "fcntl" and parameter.name == "arg" and _value(op, 1) == 8):
            return self._process(text, value, before, tid)
        if op.call == "fcntl" and parameter.name == "pid_or_start":
            return self._process(text, value, before, tid)
        if op.call == "waitpid" and parameter.name == "pid" and value > 0:
            return self._process(text, value, before, tid)
        return _constant(op, parameter, value)

    def _process(self, text: _Text, number: int, before: list[str], tid: int) -> str:
        """Return what stands for the number of a process: the log's is not that of the scenario."""
        if number == tid:
            if "self" not in text.variables:
                before.append("self = gettid()")
                text.variables.add("self")
            return "self"
        return f"p{number}" if f"p{number}" in text.variables else str(number)


def _name(name: str) -> str:
    """Return what a process is called in the scenario."""
    return f"p{name}" if name[:1].isdigit() else name


def _program(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _value(op: Op, place: int) -> object:
    argument = op.args[place] if place < len(op.args) else None
    return argument.value if isinstance(argument, Const) else None


def _constant(op: Op, parameter: Parameter, value: int) -> str:
    """Return a number by the names that a parameter takes."""
    if op.call == "fcntl" and parameter.name == "arg":
        if _value(op, 1) == 1024:
            return _LEASE_TYPES.get(value, str(value))
        return SIGNAL_NAMES.get(value, str(value)) if _value(op, 1) == 10 else str(value)
    if parameter.name == "signal":
        return SIGNAL_NAMES.get(value, str(value))
    match SYSCALLS[op.call].allowed.get(parameter.name):
        case OneOf(names=names):
            return next((name for name in names if PROGRAM_CONSTANTS[name] == value), str(value))
        case Flags(names=names):
            text = _flags(names, value)
            if op.call != "open" or value & O_ACCMODE:
                return text
            return "O_RDONLY" if text == "0" else f"O_RDONLY | {text}"
        case _:
            return oct(value) if parameter.kinds == ("umode_t",) else str(value)


def _flags(names: tuple[str, ...], value: int) -> str:
    words, left = [], value
    for name in sorted(names, key=lambda name: -PROGRAM_CONSTANTS[name]):
        bits = PROGRAM_CONSTANTS[name]
        if bits and left & bits == bits:
            words.append(name)
            left &= ~bits
    if left:
        return str(value)
    zero = next((name for name in names if not PROGRAM_CONSTANTS[name]), "0")
    return " | ".join(reversed(words)) or zero


def _without_empty(steps: list[Step]) -> list[Step]:
    """Return the steps without descriptors of what the model does not have that are closed at once."""
    kept: list[Step] = []
    for step in steps:
        kept.append(step)
        if len(kept) >= 4 and _is_empty(kept[-4:]):
            del kept[-4:]
    return kept


def _is_empty(steps: list[Step]) -> bool:
    match steps:
        case [Begins(op=opened), Returns(value=fd), Begins(op=closed), Returns(value=0)]:
            return (
                opened.call == "open"
                and _value(opened, 0) == "/"
                and closed.call == "close"
                and _value(closed, 0) == fd
            )
        case _:
            return False


def _installed(steps: list[Step]) -> Iterator[int]:
    """Yield the signals whose handlers are installed."""
    for step in steps:
        if isinstance(step, Begins) and step.op.call == "sigaction" and _value(step.op, 1) == SIG_HANDLER:
            signo = _value(step.op, 0)
            if isinstance(signo, int):
                yield signo
