"""What one thread did, as its log tells it: the steps that a thread of the model must take, too, in this order."""

from dataclasses import dataclass, replace
from typing import Final

from longpin.actors.constants import ERRNO_NAMES, signal_name
from longpin.actors.process.facts import CallRecord
from longpin.actors.process.process_state import Value
from longpin.actors.process.program import Image, Op

Moment = tuple[int, int]
"""A thread, and a step of its that has been taken."""


@dataclass(frozen=True, slots=True)
class HandlerFlags:
    """What of sigaction(2) the call of a scenario does not take."""

    mask: frozenset[int] = frozenset()
    """Signals that are blocked while the handler runs, beside its own."""
    nodefer: bool = False
    """Its own is not [SA_NODEFER]."""
    once: bool = False
    """The disposition is the default again when the handler begins [SA_RESETHAND]."""


PLAIN: Final = HandlerFlags()


@dataclass(frozen=True, slots=True)
class Begins:
    """A call begins."""

    line: int
    """In the log."""
    op: Op
    early: tuple[Moment, ...] = ()
    """What was over well before it began: the thread was in user space then."""
    after: tuple[Moment, ...] = ()
    """What else was over before it took effect: the thread may have been on its way into the kernel."""
    handler: HandlerFlags = PLAIN
    """Of a sigaction."""
    wanted: frozenset[int] | None = None
    """The signals that a sigtimedwait waits for."""


@dataclass(frozen=True, slots=True)
class Returns:
    """The call has returned."""

    line: int
    errno: str = ""
    value: int | None = None
    """What it returned; how many bytes, if that is bytes; None: whatever it is."""
    variables: tuple[tuple[str, int], ...] = ()
    """What else it told, by the variables that have it: ``wait_status`` and so on."""
    told: bool = False
    """Others began something after it."""

    def matches(self, record: CallRecord, variables: dict[str, Value]) -> bool:
        """Return whether a call of the model came to the same."""
        if self.errno or record.errno:
            return ERRNO_NAMES.get(record.errno, str(record.errno)) == self.errno
        if self.value is not None and number_of(record.value) != self.value:
            return False
        return all(variables.get(name) == value for name, value in self.variables)

    def __str__(self) -> str:
        return self.errno or ("ok" if self.value is None else str(self.value))


@dataclass(frozen=True, slots=True)
class Takes:
    """A signal is taken, whose handler runs or which stops the process."""

    line: int
    signo: int
    si_fd: int | None = None
    """None: whatever it is."""
    si_code: int | None = None
    told: bool = False

    def __str__(self) -> str:
        return signal_name(self.signo) + (
            f" (si_fd {self.si_fd})" if self.si_fd is not None and self.si_fd >= 0 else ""
        )


@dataclass(frozen=True, slots=True)
class Resumes:
    """A handler returns: sigreturn(2)."""

    line: int
    early: tuple[Moment, ...] = ()
    after: tuple[Moment, ...] = ()
    told: bool = False


@dataclass(frozen=True, slots=True)
class Ends:
    """The thread ends."""

    line: int
    status: int = 0
    signo: int = 0
    """What killed it."""
    told: bool = False

    def __str__(self) -> str:
        return f"is killed by {signal_name(self.signo)}" if self.signo else f"exits with {self.status}"


@dataclass(frozen=True, slots=True)
class Looks:
    """Where the log is cut off: what the thread does next is looked at, whatever it is."""

    line: int


Step = Begins | Returns | Takes | Resumes | Ends | Looks


@dataclass(frozen=True, slots=True)
class JudgedImage(Image):
    """What a thread runs: instead of a program, what the log says it did."""

    number: int = 0
    """Its own."""
    group: int = 0
    """The process group it is in from its start; 0: that of its parent."""
    script: tuple[Step, ...] = ()
    handler_flags: tuple[tuple[int, HandlerFlags], ...] = ()
    """Those that are in force when it begins, by the signal."""
    first: int = 0
    """How many steps the thread took before it executed this."""


def number_of(value: Value) -> int | None:
    """Return what a call returned as strace prints it: of bytes their number."""
    if isinstance(value, bytes):
        return len(value)
    return value if isinstance(value, int) else 0


def cut(script: tuple[Step, ...], line: int) -> tuple[Step, ...]:
    """Return the steps that a log shows up to a line, that line included."""
    return tuple(step for step in script if step.line <= line)


def told(script: tuple[Step, ...], wanted: frozenset[int], first: int) -> tuple[Step, ...]:
    """Return a script in which the steps that others wait for are marked; ``first`` is the number of its first step."""
    return tuple(
        replace(step, told=True) if first + n in wanted and not isinstance(step, (Begins, Looks)) else step
        for n, step in enumerate(script)
    )
