"""What came of one run, as the processes themselves could see it: results, handlers, and how each process ended.

The same values are made from what the runner in C reports (:mod:`.free`) and from what the model does
(:class:`History`), so that they can be compared: equal means that no program could tell the two runs apart. Two things
are left out because no program can see them:

* Whether a call that a deadly signal cut off was made, or what it returned. So of a process that is killed or stopped,
  calls that did not return, and handlers that made no call, are left out.
* The order in which handlers were entered, before their first calls.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from longpin.actors.constants import ERRNO_NAMES, signal_name

NEVER = "never returns"
"""The result of a call that has not returned when the run is over."""


class EndKind(StrEnum):
    """How a process ends; the order is that of the runner in C."""

    EXITED = "exits with"
    KILLED = "is killed by"
    STOPPED = "is stopped"
    ASLEEP = "sleeps for ever"
    UNKNOWN = "ends unseen"


@dataclass(frozen=True, slots=True, order=True)
class ProcessEnd:
    """How a process ended, or what it was doing when nothing could happen any more."""

    kind: EndKind
    value: int = 0
    """A status, or the number of the signal that killed it."""

    def __str__(self) -> str:
        match self.kind:
            case EndKind.EXITED:
                return f"{self.kind} {self.value}"
            case EndKind.KILLED:
                return f"{self.kind} {signal_name(self.value)}"
            case _:
                return str(self.kind)

    @property
    def by_signal(self) -> bool:
        """Whether a signal took it before it could see what its last call returned."""
        return self.kind in (EndKind.KILLED, EndKind.STOPPED)


@dataclass(frozen=True, slots=True, order=True)
class CallOutcome:
    """One call."""

    line: int
    """In the scenario file."""
    result: str
    """The value as the program sees it, an errno's name, or :data:`NEVER`."""
    text: str = field(default="", compare=False)
    """The statement as written."""

    def __str__(self) -> str:
        return f"{self.text or f'line {self.line}'} → {self.result}"


@dataclass(frozen=True, slots=True, order=True)
class HandlerOutcome:
    """One signal that was handled."""

    signo: int
    si_fd: int
    """-1: the signal tells of no descriptor."""
    calls: tuple[CallOutcome, ...] = ()

    def __str__(self) -> str:
        return signal_name(self.signo) + (f" (si_fd {self.si_fd})" if self.si_fd >= 0 else "")


@dataclass(frozen=True, slots=True, order=True)
class ProcessOutcome:
    """One process."""

    pid: int
    """Its number in the scenario."""
    name: str
    calls: tuple[CallOutcome, ...]
    """Those of its main program."""
    handlers: tuple[HandlerOutcome, ...]
    """In the order of their first calls; then those that made none, by number."""
    end: ProcessEnd

    def describe(self) -> Iterator[str]:
        """Yield lines for people."""
        yield f"{self.name} ({self.pid}) {self.end}"
        yield from (f"  {call}" for call in self.calls)
        for handler in self.handlers:
            yield f"  {handler}:"
            yield from (f"    {call}" for call in handler.calls)


@dataclass(frozen=True, slots=True, order=True)
class RaceOutcome:
    """One run."""

    processes: tuple[ProcessOutcome, ...]
    """By number."""

    def describe(self) -> str:
        """Return it as text for people, a process after the other."""
        return "\n".join(line for process in self.processes for line in process.describe())


def outcome_of(processes: list[ProcessOutcome]) -> RaceOutcome:
    """Return the outcome of a run of these processes."""
    return RaceOutcome(tuple(sorted(processes, key=lambda process: process.pid)))


def result_of(ret: int | str | None, errno: int) -> str:
    """Return a result as :attr:`CallOutcome.result` has it, from what a ``CallRecord`` holds."""
    if errno:
        return ERRNO_NAMES.get(errno, str(errno))
    return NEVER if ret is None else str(ret)


def settle(
    pid: int, name: str, calls: list[CallOutcome], handlers: list[HandlerOutcome], end: ProcessEnd
) -> ProcessOutcome:
    """Return what a process came to; ``handlers`` are in the order of their first calls."""
    main = tuple(calls)
    if end.by_signal:
        main = _seen(main)
        handlers = [HandlerOutcome(h.signo, h.si_fd, _seen(h.calls)) for h in handlers]
        handlers = [handler for handler in handlers if handler.calls]
    made, idle = [h for h in handlers if h.calls], [h for h in handlers if not h.calls]
    return ProcessOutcome(pid, name, main, (*made, *sorted(idle)), end)


def _seen(calls: tuple[CallOutcome, ...]) -> tuple[CallOutcome, ...]:
    """Return the calls without one at the end that did not return."""
    return calls[:-1] if calls and calls[-1].result == NEVER else calls


@dataclass(slots=True)
class _Program:
    """The main program or a handler, while it is told."""

    signo: int = 0
    si_fd: int = -1
    calls: list[CallOutcome] = field(default_factory=list)
    first: int = 0
    """When its first call began, counted in calls of the process; 0: it made none."""


class History:
    """One process of the model, told in the order of what it does."""

    def __init__(self, pid: int, name: str) -> None:
        self._pid, self._name = pid, name
        self._programs = [_Program()]
        self._running = [self._programs[0]]
        self._begun = 0
        self._returned_last: _Program | None = None
        """The program whose call returned, if nothing has been called since."""
        self._on_the_way_back = False
        """Whether a signal waited when that call returned, so that it is taken before user space sees the result."""
        self._stopped = False
        """Whether a signal has stopped it since."""

    def handler_begins(self, signo: int, si_fd: int) -> None:
        """A signal is taken and its handler entered."""
        program = _Program(signo, si_fd)
        self._programs.append(program)
        self._running.append(program)
        self._on_the_way_back = False

    def stops(self) -> None:
        """A signal stops it; if it was stopped before, it may have been in user space meanwhile."""
        self._on_the_way_back = self._on_the_way_back and not self._stopped
        self._stopped = True

    def handler_returns(self) -> None:
        """The handler entered last returns."""
        self._running.pop()

    def call_begins(self, line: int, text: str = "") -> None:
        """The program running makes a call."""
        program = self._running[-1]
        self._begun += 1
        program.first = program.first or self._begun
        program.calls.append(CallOutcome(line, NEVER, text))
        self._returned_last = None
        self._on_the_way_back = False

    def call_returns(self, result: str, *, signal_pending: bool = False) -> None:
        """The last call of the program running returns."""
        program = self._running[-1]
        call = program.calls[-1]
        program.calls[-1] = CallOutcome(call.line, result, call.text)
        self._returned_last = program
        self._on_the_way_back, self._stopped = signal_pending, False

    def may_become(self, outcome: ProcessOutcome) -> bool:
        """Return False only if nothing that can follow makes this outcome of it."""
        main, *handlers = self._programs
        told = sorted((program for program in handlers if program.calls), key=lambda program: program.first)
        if outcome.end.by_signal:  # what it had no time to see is left out
            told = [program for program in told if len(program.calls) > 1 or self._is_seen(program)]
            left = iter(outcome.handlers)
            return _may_become(main, outcome.calls, 1) and all(
                any(_is_same(program, handler) and _may_become(program, handler.calls, 1) for handler in left)
                for program in told
            )
        made = [handler for handler in outcome.handlers if handler.calls]
        idle = [(h.signo, h.si_fd) for h in outcome.handlers if not h.calls]
        for program in handlers:
            if not program.calls and not any(program is running for running in self._running):
                if (program.signo, program.si_fd) not in idle:
                    return False
                idle.remove((program.signo, program.si_fd))
        return (
            _may_become(main, outcome.calls)
            and len(told) <= len(made)
            and all(_is_same(p, h) and _may_become(p, h.calls) for p, h in zip(told, made, strict=False))
        )

    def _is_seen(self, program: _Program) -> bool:
        """Return whether the last call of a program has returned, and to user space."""
        return program.calls[-1].result != NEVER and program is not self._returned_last

    def outcomes(self, end: ProcessEnd) -> tuple[ProcessOutcome, ...]:
        """Return what user space may have seen of it: two things if a signal came just after a call and took it.

        The process saw the result or not; if the signal was pending when the call returned, it did not.
        """
        whole = self._outcome(end)
        if not end.by_signal or (program := self._returned_last) is None:
            return (whole,)
        call = program.calls.pop()
        less = self._outcome(end)
        program.calls.append(call)
        return (less,) if self._on_the_way_back else (whole, less)

    def _outcome(self, end: ProcessEnd) -> ProcessOutcome:
        main, *handlers = self._programs
        handlers.sort(key=lambda program: program.first)
        told = [HandlerOutcome(program.signo, program.si_fd, tuple(program.calls)) for program in handlers]
        return settle(self._pid, self._name, main.calls, told, end)


def _is_same(program: _Program, handler: HandlerOutcome) -> bool:
    return (program.signo, program.si_fd) == (handler.signo, handler.si_fd)


def _may_become(program: _Program, calls: tuple[CallOutcome, ...], more: int = 0) -> bool:
    """Return whether a program may come to these calls; ``more``: so many at its end may be left out."""
    made = program.calls
    return len(made) <= len(calls) + more and all(
        one == other or (one is made[-1] and one.result == NEVER and one.line == other.line)
        for one, other in zip(made, calls, strict=False)
    )
