"""The program format: which ops there are, what they take, and reading and writing programs as JSON lines.

One line is one program: ``{"id", "program": [[process, op, arguments], ...]}``, with ``result`` where a kernel's
answers are known, and what it was recorded on (``kernel``, ``fs``). Described in ``tests/data/README.md``.

A program may come from anywhere and the host runs it as root, so a path leads to nothing but what is in the program's
own folder (:mod:`longpin.runner.conform.paths`), and a signal to nobody but its own processes.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from longpin.config.problems import reason
from longpin.messages.strict import shown
from longpin.runner.conform.ops import (
    COORDINATOR,
    KINDS,
    LONGEST_FILE,
    NEW_FD,
    NEW_MAP,
    READ,
    SIGNALS,
    Arguments,
    process_in,
    rules_for,
    signal_name,
    signal_number,
    split_wide,
)
from longpin.runner.conform.outcome import OutcomeError, ProgramOutcome, read_outcome, write_outcome
from longpin.runner.conform.paths import NO_FD, descriptor

RECORDED_PACE = 82
"""Milliseconds after which an op's effects were looked at where a file does not say: from the two recorded programs in
which a lease-break-time of 1 s runs out between two ops, 10 or 11 ops after the break."""

STANDARD_INPUT = Path("-")
"""What stands for standard input where a file of programs is expected."""

_MOST_OPS = 200
_MOST_PROCESSES = 16
_LONGEST_SLEEP = 120_000
_LONGEST_LINE = 1 << 20
_LARGEST_FILE = 256 << 20
_MOST_MISTAKES = 20
_OFF_MAX = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class ConformOp:
    """One op: ``proc`` makes the call ``op``."""

    proc: str
    """A process's name, or ``*`` for the coordinator."""
    op: str
    args: Arguments

    def __str__(self) -> str:
        return " ".join([self.proc, self.op, *(f"{name}={value}" for name, value in self.args.items())])


@dataclass(frozen=True)
class ConformProgram:
    """Ops in the order in which they are made, and perhaps what a kernel answered."""

    id: str
    ops: tuple[ConformOp, ...]
    result: ProgramOutcome | None = None
    kernel: str = ""
    fs: str = ""
    pace: int = RECORDED_PACE
    """Milliseconds from an op to the look at its effects (``pace_ms`` in a file); counts in :attr:`timed` programs."""

    @property
    def timed(self) -> bool:
        """Whether the answers depend on how much time passes: a lease-break-time that can run out is set."""
        times = [op.args["lease_break_time"] for op in self.ops if op.op == "sysctl"]
        slept = sum(op.args["ms"] for op in self.ops if op.op == "sleep")
        return any(0 < time <= 10 or 0 < time * 1000 <= slept for time in times)

    @cached_property
    def own_signals(self) -> frozenset[str]:
        """The signals that the program uses itself: named in kill, sigaction, sigprocmask, or by F_SETSIG beyond READ.

        They are not read after each op; it is shown where they are pending and when their handlers ran.
        """
        named = {name for op in self.ops for name in _signals_of(op)}
        named |= {name for op in self.ops for name in _asked_for(op) if name not in READ}
        return frozenset(named & SIGNALS.keys())

    @cached_property
    def uses_signals(self) -> bool:
        """Whether processes may act without being told to: it takes more then to know that all are at rest."""
        return any(op.op in _SIGNAL_OPS and op.proc != COORDINATOR for op in self.ops) or bool(self.own_signals)

    def settle(self, blocked: bool) -> int:
        """Return the milliseconds from an op to the look at its effects: twice the pace if its call is found asleep."""
        return self.pace * (2 if blocked else 1)

    def processes(self) -> list[str]:
        """Return the processes in the order of their first mention."""
        return list(dict.fromkeys(name for op in self.ops for name in mentioned(op)))


class Unsupported(Exception):
    """A runner cannot run a program; the text says why."""


class Runner(Protocol):
    """A kernel that can run programs."""

    def run(self, program: ConformProgram) -> ProgramOutcome:
        """Run a program from a fresh start and return what it did.

        Raises:
            Unsupported: this kernel cannot run it.

        """


class ProgramError(Exception):
    """A file of programs cannot be used; the text has one line for each mistake: ``file:line: what was expected``."""


def mentioned(op: ConformOp) -> Iterator[str]:
    """Yield the processes an op names: who makes it, then those in its arguments."""
    if op.proc != COORDINATOR:
        yield op.proc
    for name, kind in _kinds(op):
        if kind == "process":
            yield op.args[name]
        elif kind in ("owner", "child") and (process := process_in(op.args[name])) is not None:
            yield process


def is_made_by(op: ConformOp, name: str) -> bool:
    """Whether an op makes the process, or the thread, of a name."""
    return op.op in ("fork", "thread") and name == op.args["as"]


def descriptors(op: ConformOp) -> Iterator[str]:
    """Yield the names of the descriptors that an op uses, in paths too."""
    for name, kind in _kinds(op):
        value = split_wide(op.args[name])[0] if kind == "fd" else descriptor(op.args[name]) if kind == "path" else None
        if value is not None and value != NO_FD:
            yield value


def _kinds(op: ConformOp) -> Iterator[tuple[str, str]]:
    """Yield the name and the kind of each argument that is there."""
    rule = rules_for(op.proc).get(op.op)
    for name, kind in rule.kinds.items() if rule is not None else ():
        if name in op.args:
            yield name, kind


_SIGNAL_OPS = ("thread", "tgkill", "kill", "sigaction", "sigprocmask", "sigsuspend", "ppoll", "waitpid")


def _signals_of(op: ConformOp) -> Iterator[str]:
    """Yield the signals that an op uses, but for F_SETSIG."""
    for name, kind in _kinds(op):
        if kind == "signal" and op.op != "setsig":
            yield signal_name(signal_number(op.args[name]) & 0xFFFF_FFFF)
        elif kind == "signals":
            yield from (part.strip() for part in op.args[name].split("|"))


def _asked_for(op: ConformOp) -> Iterator[str]:
    """Yield the signal that F_SETSIG asks for."""
    if op.op == "setsig":
        yield signal_name(signal_number(op.args["sig"]) & 0xFFFF_FFFF)


def mistakes(ops: tuple[ConformOp, ...]) -> list[str]:
    """Return why ops are no valid program, a sentence for each mistake, none if they are one."""
    found = []
    if len(ops) > _MOST_OPS:
        return [f"expected at most {_MOST_OPS} ops, found {len(ops)}"]
    made = {kind: set(_made(ops, kind)) for kind in (NEW_FD, NEW_MAP)}
    seen: set[str] = set()
    limited: set[str] = set()
    threads: dict[str, str] = {}
    for step, op in enumerate(ops):
        wrong = list(_op_mistakes(op))
        if not wrong:
            wrong += [f"no op makes a descriptor {fd!r}" for fd in descriptors(op) if fd not in made[NEW_FD]]
            wrong += [
                f"no op makes a mapping {op.args[name]!r}"
                for name, kind in _kinds(op)
                if kind == "map" and op.args[name] not in made[NEW_MAP]
            ]
            if op.op in ("fork", "thread") and op.args["as"] in (*seen, op.proc):
                wrong.append(f"process {op.args['as']!r} is there before it is forked")
            wrong += _thread_mistakes(op, threads, limited)
            if op.op in _NEED_DESCRIPTORS and op.proc in limited:
                wrong.append(f"{op.op}: not after RLIMIT_NOFILE was set, since it takes descriptors of our own")
            if op.op == "setrlimit" and op.args["resource"] == "RLIMIT_NOFILE":
                limited.add(op.proc)
            seen.update(mentioned(op))
        found += [f"op {step}: {text}" for text in wrong]
    if not found and len(seen) > _MOST_PROCESSES:
        found.append(f"expected at most {_MOST_PROCESSES} processes, found {len(seen)}")
    slept = 0 if found else sum(op.args["ms"] for op in ops if op.op == "sleep")
    if slept > _LONGEST_SLEEP:
        found.append(f"expected sleeps of at most {_LONGEST_SLEEP} ms together, found {slept}")
    return found


def _thread_mistakes(op: ConformOp, threads: dict[str, str], limited: set[str]) -> Iterator[str]:
    """Yield what is wrong with an op about threads, and keep in mind which process each belongs to."""
    if op.op == "thread":
        threads[op.args["as"]] = threads.get(op.proc, op.proc)
        if not limited.isdisjoint({op.proc, threads[op.args["as"]]}):
            yield "thread: not after RLIMIT_NOFILE was set, since it takes descriptors of our own"
    elif op.op == "threadexit" and op.proc not in threads:
        yield f"threadexit: expected a thread that an op made, found {op.proc!r}"
    elif op.op == "setrlimit" and op.args["resource"] == "RLIMIT_NOFILE":
        if op.proc in (*threads, *threads.values()):
            yield "setrlimit: RLIMIT_NOFILE not in a process of several threads, since it takes descriptors of our own"
    elif op.op == "sendfd" and op.args["to"] in threads:
        yield f"sendfd: expected a process, found {op.args['to']!r}, a thread"
    elif op.proc == COORDINATOR and op.args.get("proc") in threads:
        yield f"{op.op}: expected a process, found {op.args['proc']!r}, a thread"
    elif op.op == "setuid" and op.proc in (*threads, *threads.values()):
        yield "setuid: not in a process of several threads: the C library would signal the others"


def _made(ops: tuple[ConformOp, ...], wanted: str) -> Iterator[str]:
    """Yield the names of a kind that ops make."""
    for op in ops:
        for name, kind in _kinds(op):
            if kind == wanted and isinstance(op.args[name], str):
                yield op.args[name]


_NEED_DESCRIPTORS = ("fork", "exec", "sendfd")
"""Ops for which the process itself opens or receives descriptors beside the program's."""


def _op_mistakes(op: ConformOp) -> Iterator[str]:
    rules = rules_for(op.proc)
    rule = rules.get(op.op)
    if rule is None:
        others = rules_for("A" if op.proc == COORDINATOR else COORDINATOR)
        if op.op in others:
            wanted = "a process" if op.proc == COORDINATOR else f"the coordinator {COORDINATOR}"
            yield f"{op.op}: expected {wanted}, found {shown(op.proc)}"
        else:
            yield f"expected an op ({', '.join(sorted(rules | others))}), found {shown(op.op)}"
        return
    if op.proc != COORDINATOR and not KINDS["process"].accepts(op.proc):
        yield f"expected a process's name such as A, found {shown(op.proc)}"
    wrong = False
    for name, kind in rule.required.items():
        if name not in op.args:
            wrong = True
            yield f"{op.op}: expected {name}, {KINDS[kind].text}"
    for name, value in op.args.items():
        if name not in rule.kinds:
            wrong = True
            yield f"{op.op}: expected {', '.join(rule.kinds) or 'no arguments'}, found {shown(name)}"
        elif not KINDS[rule.kinds[name]].accepts(value):
            wrong = True
            yield f"{op.op}: expected {name} to be {KINDS[rule.kinds[name]].text}, found {shown(value)}"
    if op.op == "fallocate" and not wrong:
        offset, length = op.args.get("offset", 0), op.args.get("len", 0)
        # What is allocated is really allocated, and between the two each file system has its own largest size.
        if offset >= 0 and length > 0 and LONGEST_FILE < offset + length <= _OFF_MAX:
            yield f"fallocate: expected an end of up to 16 MiB, or beyond 2^63 - 1, found {offset + length}"
    if op.op in ("open", "reopen") and not wrong and {"O_PATH", "O_NOFOLLOW"} <= _parts(op.args["flags"]):
        path = op.args.get("path", "@")
        if path.startswith("@") and "/" not in path:
            yield f"{op.op}: expected O_PATH without O_NOFOLLOW, since the name of a descriptor is a link"


def _parts(flags: str) -> set[str]:
    return {part.strip() for part in flags.split("|")}


def load_programs(path: Path) -> list[ConformProgram]:
    """Read a file of programs, one a line; empty lines are left out. ``-`` is standard input.

    Raises:
        ProgramError: one line of text for each mistake.
        OSError: the file cannot be read.

    """
    if path == STANDARD_INPUT:
        return _read_programs(sys.stdin.buffer, "standard input")
    if path.stat().st_size > _LARGEST_FILE:
        raise ProgramError(f"{path}: expected at most {_LARGEST_FILE >> 20} MiB")
    if path.is_fifo() or path.is_char_device():  # they could wait for ever
        raise ProgramError(f"{path}: expected a regular file, or {STANDARD_INPUT} for standard input")
    with path.open("rb") as file:
        return _read_programs(file, str(path))


def _read_programs(file: BinaryIO, name: str) -> list[ConformProgram]:
    programs: list[ConformProgram] = []
    wrong: list[str] = []
    number = size = 0
    while line := file.readline(_LONGEST_LINE + 1):
        number += 1
        size += len(line)
        if size > _LARGEST_FILE:
            raise ProgramError(f"{name}: expected at most {_LARGEST_FILE >> 20} MiB")
        if len(line) > _LONGEST_LINE:
            wrong.append(f"{name}:{number}: expected a line of at most {_LONGEST_LINE >> 20} MiB")
            break
        if not line.strip():
            continue
        try:
            programs.append(parse_program(line))
        except ProgramError as error:
            wrong += [f"{name}:{number}: {text}" for text in str(error).splitlines()]
        if len(wrong) >= _MOST_MISTAKES:
            wrong.append(f"{name}: the rest of the file was not read")
            break
    if wrong:
        raise ProgramError("\n".join(wrong))
    return programs


def parse_program(line: str | bytes) -> ConformProgram:
    """Read one program.

    Raises:
        ProgramError: one line of text for each mistake, without file and line number.

    """
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProgramError(f"expected a JSON object, found {reason(str(error).splitlines()[0])}") from None
    if not isinstance(data, dict):
        raise ProgramError(f"expected a JSON object, found {shown(data)}")
    wrong = []
    texts = {key: data.get(key, "") for key in ("id", "kernel", "fs")}
    wrong += [f"{key}: expected text, found {shown(value)}" for key, value in texts.items() if type(value) is not str]
    pace = data.get("pace_ms", RECORDED_PACE)
    if type(pace) is not int or not 0 <= pace <= 10_000:
        wrong.append(f"pace_ms: expected milliseconds from 0 to 10000, found {shown(pace)}")
    ops = tuple(_parse_ops(data.get("program"), wrong))
    wrong += [] if wrong else mistakes(ops)
    result = None
    if data.get("result") is not None and not wrong:
        try:
            result = read_outcome(data["result"], len(ops))
        except OutcomeError as error:
            wrong += [f"{path}: {text}" for path, text in error.mistakes]
    if wrong:
        raise ProgramError("\n".join(" ".join(text.split()) for text in wrong[:_MOST_MISTAKES]))
    return ConformProgram(texts["id"], ops, result, texts["kernel"], texts["fs"], pace)


def _parse_ops(data: object, wrong: list[str]) -> Iterator[ConformOp]:
    if not isinstance(data, list):
        wrong.append(f"program: expected an array of ops, found {shown(data)}")
        return
    for step, item in enumerate(data[: _MOST_OPS + 1]):
        match item:
            case [str(proc), str(op), dict(args)]:
                yield ConformOp(proc, op, args)
            case _:
                wrong.append(f"op {step}: expected [process, op, arguments], found {shown(item)}")


def dump_program(program: ConformProgram) -> str:
    """Return a program as one line of JSON, without the line's end."""
    data: dict[str, Any] = {"id": program.id}
    data |= {key: value for key, value in (("kernel", program.kernel), ("fs", program.fs)) if value}
    if program.pace != RECORDED_PACE:
        data["pace_ms"] = program.pace
    data["program"] = [[op.proc, op.op, dict(op.args)] for op in program.ops]
    if program.result is not None:
        data["result"] = write_outcome(program.result)
    return json.dumps(data, separators=(",", ":"))


def make_op(proc: str, op: str, args: Mapping[str, Any] | None = None, /, **more: Any) -> ConformOp:
    """Return an op; an argument that is a Python keyword (``as``) goes into ``args``."""
    return ConformOp(proc, op, dict(args or {}) | more)
