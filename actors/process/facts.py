"""What a process did, in a form reports and oracles read: kept by the process, never sent."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from longpin.actors.process.process_state import Value
from longpin.actors.process.program import Op
from longpin.messages.envelope import Address
from longpin.messages.mm.memory import Pin

if TYPE_CHECKING:
    from longpin.actors.process.thread import Thread


@dataclass(slots=True)
class CallRecord:
    """One call of a program, made and perhaps returned."""

    op: Op
    ret: int | str | None = None
    """What it returned, as the program sees it; -1 with ``errno``; None while it has not returned."""
    errno: int = 0
    slept: str = ""
    """What it waited for, last; empty if it never slept."""
    returned: bool = False
    value: Value = None
    """What the program's variable got."""
    arguments: list[Value] | None = None
    """Their values when it was made, which it keeps when it is made again; None before that."""


@dataclass(frozen=True, slots=True)
class CallBegun:
    """A call is made."""

    record: CallRecord
    thread: "Thread | None" = None


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call has returned."""

    record: CallRecord
    thread: "Thread | None" = None


@dataclass(frozen=True, slots=True)
class CallCut:
    """The process ends in a call, or goes on with another program after it, so it never returns."""

    record: CallRecord
    thread: "Thread | None" = None


@dataclass(frozen=True, slots=True)
class SignalTaken:
    """A signal is acted on."""

    signo: int
    si_fd: int
    action: str
    """``handler``, ``ignored``, ``stopped`` or ``terminated``."""
    thread: "Thread | None" = None
    """None: it is the process's as a whole."""


@dataclass(frozen=True, slots=True)
class HandlerReturned:
    """The handler that was entered last has returned."""

    thread: "Thread | None" = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The process is exiting."""

    status: int
    signo: int
    """The signal that killed it; 0: it exited."""


class PinHolders(NamedTuple):
    """A pin that is in the way of a layout change, and who can have it dropped."""

    pin: Pin
    processes: tuple[tuple[int, str], ...]
    """The number and the name of each."""


@dataclass(frozen=True, slots=True)
class HoldersRead:
    """An administrator's program has read who holds a file, and what it can not see of it, for those who judge."""

    inode: Address
    listed: tuple[int, ...]
    """The numbers of the processes it found."""
    leases: tuple[Address, ...]
    """Leases that fail a layout change."""
    pins: tuple[PinHolders, ...]
    """Pins that fail it, or that it waits for."""
    thread: "Thread | None" = None


Fact = CallBegun | CallEnded | CallCut | SignalTaken | HandlerReturned | Ended | HoldersRead
