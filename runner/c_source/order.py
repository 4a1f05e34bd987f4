"""The order in which a run made its calls, for a C file that makes them in this order again.

A turn is that a call begins, that it returns, that a program is over, or that a process has ended. What the kernel does
in a call that does not sleep it does at once on a machine that has nothing else to do, so such a call begins where it
took effect in the run. A call that sleeps begins where it went to sleep. A call that a signal handler interrupts, or
after which one runs before anything else, returns to its program when the handler is over: the kernel runs it on the
way back. The kernel hands a signal over at once, the run may do so later: until then it is kept back.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from longpin.actors.process.program import Op
from longpin.config.schema import Scenario
from longpin.runner.events import CallEntered, CallReturned, ProcessExited, RunEvent, SignalDelivered, SleepBegun


class TurnKind(StrEnum):
    """What a turn is, as the C file calls it."""

    BEGINS = "BEGINS"
    RETURNS = "RETURNS"
    ENDS = "ENDS"


class Turn(NamedTuple):
    """What comes next."""

    process: int
    """Its number in the scenario."""
    kind: TurnKind
    number: int = 0
    """Of the call, as the file numbers them; 0: the program is over."""
    error: int = 0
    """What the call failed with in the run; 0: it succeeded."""
    handler: bool = False
    """The call is one of a signal handler."""
    holds: bool = False
    """The call begins, and signals that come now are taken behind it."""


SEES_SIGNALS = frozenset(
    {
        *("sigprocmask", "sigpending", "sigsuspend", "sigtimedwait", "sigwaitinfo", "pause", "ppoll", "sleep"),
        *("fork", "exec", "execve", "exit", "waitpid", "load", "store"),
    }
)
"""Calls that do something else where signals are kept back: they wait for some, hand the mask on, or fault."""


class RunOrder(NamedTuple):
    """A run to go by."""

    events: tuple[RunEvent, ...]
    about: tuple[str, ...]
    """What it is and what it shows, each a paragraph."""
    effect: Callable[[int], int]
    """Given the arrival that returned a call, says at which one the kernel was asked last for it."""
    last: Callable[[int], int]
    """Given a process, says which arrival was its last."""


Numbers = Mapping[tuple[int, str], int]
"""The numbers of the calls that a file makes, by line and text."""


def turns_of(scenario: Scenario, order: RunOrder, numbers: Numbers) -> list[Turn]:
    """Return the turns of a run; calls that the file does not make have none, nor have threads."""
    programs = [
        [_key(op) for op in program.operations()] for process in scenario.processes for _, program in process.on_signal
    ]
    handlers = _Handlers({key for keys in programs for key in keys}, {keys[-1] for keys in programs if keys})
    found: dict[int, _Turns] = {}
    for event in order.events:
        if isinstance(event, CallEntered | CallReturned | SleepBegun | SignalDelivered | ProcessExited):
            pid = event.process.pid
            if pid not in found:
                found[pid] = _Turns(pid, order, numbers, handlers)
            found[pid].add(event)
    placed = [
        (at, its.pid, place, turn)
        for pid, its in found.items()
        if order.last(pid)
        for place, (at, turn) in enumerate(its.finished())
    ]
    return [turn for _, _, _, turn in sorted(placed)]


class _Handlers(NamedTuple):
    """The calls of signal handlers."""

    all: set[tuple[int, str]]
    ends: set[tuple[int, str]]
    """Those with which one is over: what runs then is no handler of a signal that came meanwhile."""


@dataclass(slots=True)
class _Call:
    """A call that has not returned."""

    op: Op
    arrival: int
    has_begun: bool = False


class _Turns:
    """The turns of one process, each with its place among those of all."""

    def __init__(self, pid: int, order: RunOrder, numbers: Numbers, handlers: _Handlers) -> None:
        self.pid = pid
        self.order = order
        self.numbers = numbers
        self.handlers = handlers
        self.placed: list[tuple[int, Turn]] = []
        """The arrival at which each turn comes, and the turn."""
        self.under_way: list[_Call] = []
        """The innermost last: those of handlers come while another one is."""
        self.returned: tuple[int, Turn] | None = None
        """The return of the last call, as long as nothing has come after it."""
        self.ended = False
        """That call was the last one of a handler."""
        self.late: list[tuple[int, Turn]] = []
        """Returns that come when the handlers that are running are over."""

    def add(self, event: CallEntered | CallReturned | SleepBegun | SignalDelivered | ProcessExited) -> None:
        """Take note of what happens to the process."""
        at = event.arrival
        match event:
            case CallEntered(op=op):
                self._settle(in_handler=_key(op) in self.handlers.all)
                self.under_way.append(_Call(op, at))
            case SleepBegun():
                if self.under_way:
                    self._begin(self.under_way[-1], at)
            case CallReturned(op=op, errno=errno):
                self._settle(in_handler=_key(op) in self.handlers.all)
                call = self.under_way.pop()
                # One that slept returns when who woke it has done so.
                effect = at if call.has_begun else max(self.order.effect(at), call.arrival)
                self._begin(call, effect, holds=op.call not in SEES_SIGNALS)
                if (number := self.numbers.get(_key(op))) is not None:
                    handler = _key(op) in self.handlers.all
                    self.returned = effect, Turn(self.pid, TurnKind.RETURNS, number, errno, handler)
                    self.ended = _key(op) in self.handlers.ends
            case SignalDelivered(action="handler") if self.returned is not None and not self.ended:
                self.late.append(self.returned)
                self.returned = None
            case SignalDelivered():
                pass
            case ProcessExited(status=status):
                self._settle(in_handler=False)
                for call in self.under_way:
                    self._begin(call, at)
                if status is not None and not self.under_way:
                    self._place(at, Turn(self.pid, TurnKind.BEGINS))
                self.under_way.clear()
                self._place(self.order.last(self.pid), Turn(self.pid, TurnKind.ENDS))

    def finished(self) -> list[tuple[int, Turn]]:
        """Return all turns when the run is over."""
        self._settle(in_handler=False)
        for call in self.under_way:
            self._begin(call, call.arrival)
        return self.placed

    def _settle(self, *, in_handler: bool) -> None:
        """Place the return of the call before, and those of calls whose handlers are over."""
        if self.returned is not None:
            self._place(*self.returned)
            self.returned = None
        if not in_handler:
            while self.late:
                self._place(*self.late.pop())

    def _begin(self, call: _Call, at: int, *, holds: bool = False) -> None:
        """Place the beginning of a call; ``holds``: it has not slept."""
        if not call.has_begun:
            call.has_begun = True
            if (number := self.numbers.get(_key(call.op))) is not None:
                handler = _key(call.op) in self.handlers.all
                self._place(at, Turn(self.pid, TurnKind.BEGINS, number, 0, handler, holds))

    def _place(self, at: int, turn: Turn) -> None:
        """Put a turn behind those the process has had."""
        before = self.placed[-1][0] if self.placed else 0
        self.placed.append((max(at, before), turn))


def _key(op: Op) -> tuple[int, str]:
    return op.line, op.text
