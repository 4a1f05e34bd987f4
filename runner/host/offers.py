"""What of a scenario an unmodified kernel can run, found out before anything runs."""

from collections.abc import Iterator

from longpin.actors.constants import SIGBUS, SIGSEGV, signal_name
from longpin.actors.kernel.machine import MOST_BYTES
from longpin.actors.process.program import Const, Op
from longpin.actors.syscalls import SYSCALLS
from longpin.actors.syscalls.files import as_bytes
from longpin.actors.syscalls.signals import EVERYBODY
from longpin.config.problems import Problem, ScenarioError, shown
from longpin.config.schema import Scenario
from longpin.messages.fs.paths import in_proc, names
from longpin.runner.machine.agent_libc import PAGE

MOST_FILE_BYTES = 1 << 30
"""Bytes that all files of a scenario, or one file later on, may have: they are real."""

_FORCED = {SIGSEGV, SIGBUS}
"""Signals of a fault in the process itself, which cannot be put off until its handler can run."""
_NOT_WITH_THREADS = ("exec", "sigaction")
"""What would change the masks of several threads at once, which are in calls of their own."""
_STARTS_A_PROGRAM = b"#\x7f"
"""Bytes without which no file is a script or an ELF program: an execve must find data, never run anything."""


def refuse(scenario: Scenario, filename: str) -> None:
    """Refuse what only the emulator has.

    Raises:
        ScenarioError: there is such a thing in the scenario; one line for each.

    """
    if problems := list(_problems(scenario, filename)):
        raise ScenarioError(problems)


def _problems(scenario: Scenario, filename: str) -> Iterator[Problem]:
    size = sum(file.size for file in scenario.files)
    if size > MOST_FILE_BYTES:
        yield Problem(
            filename, 1, None, "file", f"at most {MOST_FILE_BYTES} bytes in all on the host engine", str(size)
        )
    ops = [(where, op) for where, op in _ops(scenario)]
    threads = {process.name for process in scenario.processes if process.start == "thread"}
    threaded = any(op.call == "clone" for _, op in ops)
    executes = any(op.call == "execve" for _, op in ops)
    for where, op in ops:
        if op.call in _NOT_WITH_THREADS and threaded:
            yield Problem(filename, op.line, None, where, f"no {op.call} beside threads on the host engine", op.call)
        elif op.call == "pthread_exit" and where.split(".")[1] not in threads:
            yield Problem(
                filename, op.line, None, where, "pthread_exit of a thread that clone made", "the first thread's"
            )
        elif not SYSCALLS[op.call].on_host:
            yield Problem(filename, op.line, None, where, "a call the host engine can make", op.call)
        elif op.call == "kill" and op.args[0] == Const(EVERYBODY):
            yield Problem(filename, op.line, None, where, "a process or a group of the scenario", "-1, everybody")
        elif op.call == "mmap" and scenario.machine.page_size != PAGE:
            expected = f"pages of {PAGE} bytes, as the host kernel has"
            yield Problem(filename, op.line, None, where, expected, str(scenario.machine.page_size))
        for path in _paths(op):
            if (found := in_proc(path)) is not None and ".." in names(found.rest):
                expected = "a path without .. behind a name in /proc/self/fd, on the host engine"
                yield Problem(filename, op.line, None, where, expected, shown(path))
        for data in _data(op):
            if len(data) > MOST_BYTES:
                yield Problem(filename, op.line, None, where, f"at most {MOST_BYTES} bytes", str(len(data)))
            elif executes and any(byte in data for byte in _STARTS_A_PROGRAM):
                expected = "data without the bytes # and 0x7f, beside an execve on the host engine"
                yield Problem(filename, op.line, None, where, expected, "one of them")
    for process in scenario.processes:
        for signo, program in process.on_signal:
            if signo in _FORCED:
                line = next((op.line for op in program.operations()), 1)
                where = f"process.{process.name}.on_signal"
                yield Problem(filename, line, None, where, "a signal that can be put off", signal_name(signo))


def _ops(scenario: Scenario) -> Iterator[tuple[str, Op]]:
    for process in scenario.processes:
        yield from ((f"process.{process.name}.program", op) for op in process.program.operations())
        for signo, program in process.on_signal:
            where = f"process.{process.name}.on_signal.{signal_name(signo)}"
            yield from ((where, op) for op in program.operations())


def _paths(op: Op) -> Iterator[str]:
    """Yield the paths that a call writes out."""
    for parameter, arg in zip(SYSCALLS[op.call].parameters, op.args, strict=False):
        if parameter.is_path and isinstance(arg, Const) and isinstance(arg.value, str):
            yield arg.value


def _data(op: Op) -> Iterator[bytes]:
    """Yield the data a call writes, or passes on by a label."""
    for parameter, arg in zip(SYSCALLS[op.call].parameters, op.args, strict=False):
        if bytes in parameter.types and isinstance(arg, Const) and isinstance(arg.value, (str, bytes)):
            yield as_bytes(arg.value)
