"""Events: what happens in a run and in a search, as values that reports and observers read.

The events of a run are read off a world by :mod:`longpin.runner.judging.chronicle`, and off real processes by
:mod:`longpin.runner.host.world`; a search tells of itself. The family is closed: code that turns events into something
else matches all of :data:`Event`, and mypy finds what is missing. Sentences stand in
:mod:`longpin.runner.report.sentences`.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, NamedTuple

from longpin.actors.conversation import WaitsFor
from longpin.actors.process.program import Op
from longpin.messages.envelope import Address
from longpin.messages.fs.lease import Level


class EventKind(StrEnum):
    """What an event is about; logs name it, and a time line colours by it."""

    CALL = "call"
    RETURN = "return"
    SLEEP = "sleep"
    LOCK = "lock"
    TOLD = "told"
    """A signal is generated for a process."""
    SIGNAL = "signal"
    """A process acts on a signal."""
    END = "end"
    KERNEL = "kernel"
    DEVICE = "device"
    TIME = "time"
    SEARCH = "search"


class ProcessName(NamedTuple):
    """How a process is told from others: two may have one name."""

    name: str
    pid: int

    def __str__(self) -> str:
        return f"{self.name} ({self.pid})"


@dataclass(frozen=True, slots=True)
class WorldEvent:
    """Something that happens in a world; of the kernel, a device or time unless it is a :class:`ProcessEvent`."""

    kind: ClassVar[EventKind] = EventKind.KERNEL

    arrival: int
    """The number of the arrival that brings it about, from 1; on the host engine, of the event."""
    time: float
    """Virtual time in seconds; on the host engine, real time in seconds of the scenario."""


@dataclass(frozen=True, slots=True)
class ProcessEvent(WorldEvent):
    """Something that happens to a process."""

    process: ProcessName


@dataclass(frozen=True, slots=True)
class CallEntered(ProcessEvent):
    """A process makes a system call."""

    kind: ClassVar[EventKind] = EventKind.CALL

    call: int
    """Its place in :attr:`longpin.runner.result.Result.calls`, from 0."""
    op: Op


@dataclass(frozen=True, slots=True)
class CallReturned(ProcessEvent):
    """A system call returns."""

    kind: ClassVar[EventKind] = EventKind.RETURN

    call: int
    """As in the :class:`CallEntered` before."""
    op: Op
    ret: int | str | None
    """What the program sees; -1 with ``errno``."""
    errno: int
    """0: it succeeded."""


@dataclass(frozen=True, slots=True)
class SleepBegun(ProcessEvent):
    """A process goes to sleep, mostly in a call."""

    kind: ClassVar[EventKind] = EventKind.SLEEP

    call: int | None
    """The call it sleeps in, by its place; None: it is exiting, or has made none yet."""
    op: Op | None
    exiting: bool
    waits_for: WaitsFor
    """What would wake it. On the host engine only the clause is known, not the kind."""


@dataclass(frozen=True, slots=True)
class LockContended(ProcessEvent):
    """A process queues for a lock inside the kernel, which it mostly gets in no time."""

    kind: ClassVar[EventKind] = EventKind.LOCK

    call: int | None
    """As in :class:`SleepBegun`."""
    op: Op | None
    exiting: bool
    lock: str
    """The name of the lock."""


@dataclass(frozen=True, slots=True)
class SignalGenerated(ProcessEvent):
    """A signal is generated for a process, which may block or ignore it, or be gone."""

    kind: ClassVar[EventKind] = EventKind.TOLD

    signo: int
    sender: Address


@dataclass(frozen=True, slots=True)
class SignalDelivered(ProcessEvent):
    """A process acts on a signal."""

    kind: ClassVar[EventKind] = EventKind.SIGNAL

    signo: int
    si_fd: int
    """The descriptor in siginfo; -1: there is none."""
    action: str
    """``handler``, ``ignored``, ``stopped`` or ``terminated``."""


@dataclass(frozen=True, slots=True)
class ProcessExited(ProcessEvent):
    """A process begins to exit."""

    kind: ClassVar[EventKind] = EventKind.END

    status: int | None
    """Its exit status; None: a signal killed it, and which one is not known."""
    signo: int
    """The signal that killed it; 0: none did, or it is not known."""


@dataclass(frozen=True, slots=True)
class LeaseBroken(WorldEvent):
    """A break of a lease begins: its holder is told, and the break time runs."""

    lease: Address
    level: Level
    seconds: float
    """Until it is taken away; 0: never."""


@dataclass(frozen=True, slots=True)
class LeaseTimedOut(WorldEvent):
    """The break time of a lease has passed; the lease stays until somebody looks."""

    lease: Address
    level: Level


@dataclass(frozen=True, slots=True)
class LeaseRemoved(WorldEvent):
    """A lease is off its inode's list."""

    lease: Address


@dataclass(frozen=True, slots=True)
class BlocksPinned(WorldEvent):
    """A registration takes references on blocks."""

    kind: ClassVar[EventKind] = EventKind.DEVICE

    region: Address
    """The memory region, also before it is published."""
    pmem: Address
    blocks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BlocksUnpinned(WorldEvent):
    """A memory region drops all references that it has on blocks of one set."""

    kind: ClassVar[EventKind] = EventKind.DEVICE

    region: Address
    pmem: Address


@dataclass(frozen=True, slots=True)
class RegionRevoked(WorldEvent):
    """The kernel takes a memory region back from a device."""

    kind: ClassVar[EventKind] = EventKind.DEVICE

    region: Address
    context: Address
    """What owns it."""
    seconds: float
    """Until the device has given the key back."""
    unpin: bool
    """Its pages lose their references; else they keep them until it is deregistered."""


@dataclass(frozen=True, slots=True)
class AsyncEventQueued(WorldEvent):
    """All who have a device open are told something about a region."""

    kind: ClassVar[EventKind] = EventKind.DEVICE

    region: Address
    context: Address
    """What is open."""


@dataclass(frozen=True, slots=True)
class BlocksFreed(WorldEvent):
    """The file system frees blocks; from now on they may be given to anybody."""

    pmem: Address
    blocks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DmaDone(WorldEvent):
    """A device reads or writes a block by its physical address."""

    kind: ClassVar[EventKind] = EventKind.DEVICE

    region: Address
    """The memory region through which it does."""
    pmem: Address
    block: int
    inode: Address
    """The file that the block was pinned as a page of."""
    page: int
    data: bytes | None
    """What is written; None: it reads."""


@dataclass(frozen=True, slots=True)
class ClockAdvanced(WorldEvent):
    """Virtual time moves on, to :attr:`time`."""

    kind: ClassVar[EventKind] = EventKind.TIME


@dataclass(frozen=True, slots=True)
class SearchAdvanced:
    """How far an exploration or a campaign is; told a few times a second."""

    kind: ClassVar[EventKind] = EventKind.SEARCH

    runs: int
    """Schedules executed, or runs made."""
    arrivals: int
    """In all of them."""
    states: int
    """Different states of the world, where states are matched; else 0."""
    distinct: int
    """Different Mazurkiewicz traces, where runs are sampled; else 0."""
    expected: float
    """How many runs there will be in all, for an exploration a guess; 0: nobody knows."""


@dataclass(frozen=True, slots=True)
class FailureFound:
    """A search has found a schedule that breaks a rule."""

    kind: ClassVar[EventKind] = EventKind.SEARCH

    rule: str
    """Empty: a handler raised, or a check without a rule did."""
    site: str
    """What it is about, in words that are the same for every schedule that shows it."""
    what: str
    """What is wrong, a sentence."""
    decisions: tuple[Address, ...]
    """Whose oldest message arrives, arrival by arrival."""


@dataclass(frozen=True, slots=True)
class ShrinkAdvanced:
    """A failure is about to be made smaller, or was."""

    kind: ClassVar[EventKind] = EventKind.SEARCH

    runs: int
    """Schedules run for it so far."""
    allowed: int
    """As many may be."""
    size: str
    """How large it is now, for people."""


RunEvent = (
    CallEntered
    | CallReturned
    | SleepBegun
    | LockContended
    | SignalGenerated
    | SignalDelivered
    | ProcessExited
    | LeaseBroken
    | LeaseTimedOut
    | LeaseRemoved
    | BlocksPinned
    | BlocksUnpinned
    | RegionRevoked
    | AsyncEventQueued
    | BlocksFreed
    | DmaDone
    | ClockAdvanced
)
"""What happens in a run."""

Event = RunEvent | SearchAdvanced | FailureFound | ShrinkAdvanced
"""What an observer is called with."""

Observer = Callable[[Event], object]
"""Called with each event as it happens, in the order of arrivals; what it raises ends what it watches, and is raised
there. KeyboardInterrupt is taken for Ctrl-C: what it watches ends with what is known by then."""


def tell(observers: Iterable[Observer], event: Event) -> None:
    """Call observers with an event."""
    for observer in observers:
        observer(event)


def tell_result(observers: Iterable[Observer], events: Iterable[Event]) -> None:
    """Tell of what has been found; an interrupt ends the telling, and what has been found is returned all the same."""
    with suppress(KeyboardInterrupt):
        for event in events:
            tell(observers, event)
