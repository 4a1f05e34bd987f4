"""What is no mistake in a scenario, and yet says less than it seems to: found by reading it, nothing is run.

Each function of ``_KINDS`` yields remarks of one kind. They are certain: where a value is known only when a program
runs, it may be the one in question, and nothing is said.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from longpin.actors.constants import PROGRAM_CONSTANTS, signal_name
from longpin.actors.process.program import Const, Expression, Op
from longpin.actors.syscalls import SYSCALLS
from longpin.actors.syscalls.declaration import Section
from longpin.config.positions import Path, Positions
from longpin.config.schema import Scenario

_NO_LEASES = {
    PROGRAM_CONSTANTS[name]
    for name in ("F_DUPFD", "F_DUPFD_CLOEXEC", "F_GETFD", "F_SETFD", "F_GETFL", "F_SETFL", "F_GETLEASE", "F_GETDELEG")
} | {PROGRAM_CONSTANTS[name] for name in ("F_SETOWN", "F_GETOWN", "F_SETOWN_EX", "F_GETOWN_EX", "F_SETSIG", "F_GETSIG")}
"""Commands of fcntl(2) that take nothing the kernel breaks with a signal; policies have more that do."""
_PLAIN_MAPPING = reduce(or_, (value for name, value in PROGRAM_CONSTANTS.items() if name.startswith("MAP_")))
_SETSIG = PROGRAM_CONSTANTS["F_SETSIG"]
_SIGIO, _SIGCHLD = PROGRAM_CONSTANTS["SIGIO"], PROGRAM_CONSTANTS["SIGCHLD"]
_FAULTS = {PROGRAM_CONSTANTS["SIGSEGV"], PROGRAM_CONSTANTS["SIGBUS"]}
_CHILDREN = ("fork", "clone", "clone3")


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to look at."""

    file: str
    line: int
    """From 1."""
    where: str
    """The place in the scenario's structure, such as ``process.app``."""
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.where}: warning: {self.text}"


def remarks(scenario: Scenario) -> list[Remark]:
    """Return what is to be said of a scenario, in the order of the file."""
    reader = _ReadScenario(scenario)
    found = dict.fromkeys(remark for kind in _KINDS for remark in kind(reader))
    return sorted(found, key=lambda remark: remark.line)


class _ReadScenario:
    """The calls of a scenario, and where its tables stand in the file."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.table: dict[str, Any] = tomllib.loads(scenario.text.removeprefix("\ufeff"))
        self._positions = Positions(scenario.text.removeprefix("\ufeff"))
        self.ops: list[tuple[str, Op]] = [
            (spec.name, op)
            for spec in scenario.processes
            for program in (spec.program, *(handler for _, handler in spec.on_signal))
            for op in program.operations()
        ]
        """Every call, with the process in whose text it is."""
        self.texts = [text for _, op in self.ops for arg in op.args if (text := _text(arg))]
        """Every text that a call is given."""

    def at(self, path: Path, where: str, text: str) -> Remark:
        return Remark(self.scenario.filename, self._positions.line(path), where, text)

    def about(self, process: str, op: Op, text: str) -> Remark:
        return Remark(self.scenario.filename, op.line, f"process.{process}", text)

    def calls(self, *names: str) -> Iterator[tuple[str, Op]]:
        return ((process, op) for process, op in self.ops if op.call in names)

    def given(self, op: Op, parameter: str) -> object:
        """Return the value that a call is given; None: it is known only when the program runs, or there is none."""
        names = [its.name for its in SYSCALLS[op.call].parameters]
        index = names.index(parameter)
        arg = op.args[index] if index < len(op.args) else None
        return arg.value if isinstance(arg, Const) else None


def _text(arg: Expression) -> str:
    return arg.value if isinstance(arg, Const) and isinstance(arg.value, str) else ""


# What roles do depends on the policy that they are written out for: under another one they may do more.


def _labels(reader: _ReadScenario) -> Iterator[Remark]:
    """Labels that nobody waits for, and waits that only what the same program does later could end."""
    setters: dict[object, list[Op]] = {}
    waited = {reader.given(op, "name") for _, op in reader.calls("wait_for")}
    for process, op in reader.calls("label"):
        name = reader.given(op, "name")
        setters.setdefault(name, []).append(op)
        if name not in waited:
            yield reader.about(process, op, f'nobody waits for the label "{name}"')
    for spec in reader.scenario.processes:
        program = spec.program.operations()
        for index, op in enumerate(program if spec.start == "now" else ()):
            name = reader.given(op, "name") if op.call == "wait_for" else None
            if name is not None and all(setter in program[index:] for setter in setters.get(name, ())):
                yield reader.about(spec.name, op, f'the label "{name}" is set by nobody else, and only after this')


def _signals(reader: _ReadScenario) -> Iterator[Remark]:
    """Handlers of signals that nobody sends."""
    if reader.scenario.dialect or (sent := _sent(reader)) is None:
        return
    for index, spec in enumerate(reader.scenario.processes):
        for signo, _ in spec.on_signal:
            if signo not in sent:
                name = signal_name(signo)
                where = f"process.{spec.name}.on_signal.{name}"
                yield reader.at(("process", index, "on_signal", name), where, f"nobody sends {name}")


def _sent(reader: _ReadScenario) -> set[int] | None:
    """Return the signals that somebody may send: processes, or the kernel for what they do; None: perhaps any."""
    sent: set[int] = set()
    for _, op in reader.calls("kill", "tgkill", "kill_holders"):
        if not isinstance(signo := reader.given(op, "signal"), int):
            return None
        sent.add(signo)
    for _, op in reader.calls("fcntl"):
        cmd, arg = reader.given(op, "cmd"), reader.given(op, "arg")
        if cmd is None or (cmd == _SETSIG and not isinstance(arg, int)):
            return None
        if cmd == _SETSIG and isinstance(arg, int):
            sent.add(arg)
        if cmd not in _NO_LEASES:
            sent.add(_SIGIO)
    for _, op in reader.calls("mmap"):
        flags = reader.given(op, "flags")
        if not isinstance(flags, int) or flags & ~_PLAIN_MAPPING:
            sent.add(_SIGIO)
    if any(reader.calls("ibv_reg_mr_lease")):
        sent.add(_SIGIO)
    if any(reader.calls(*_CHILDREN)):
        sent.add(_SIGCHLD)
    if any(SYSCALLS[op.call].section in (Section.MEMORY, Section.VERBS) for _, op in reader.ops):
        sent |= _FAULTS
    return sent


def _names(reader: _ReadScenario) -> Iterator[Remark]:
    """Files and devices that no call names; a path may lead there otherwise, so its last part is looked for."""
    if reader.scenario.dialect:
        return
    for kind, key, folder in (("file", "path", ""), ("dax", "name", "/dev/"), ("video", "name", "/dev/")):
        for index, given in enumerate(reader.table.get(kind, ())):
            path = f"{folder}{given[key]}"
            last = path.rstrip("/").rpartition("/")[2]
            if not any(last in text for text in reader.texts):
                yield reader.at((kind, index), f"{kind}.{given[key]}", f"no call names {path}")
    opened = [reader.given(op, "name") for _, op in reader.calls("ibv_open_device")]
    for index, given in enumerate(reader.table.get("device", ())):
        if given["name"] not in opened and None not in opened:
            yield reader.at(("device", index), f"device.{given['name']}", "nobody opens this device")


_KINDS = (_labels, _signals, _names)
