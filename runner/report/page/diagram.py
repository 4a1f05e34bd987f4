"""A run as a sequence diagram: its lanes, and for each row between which of them something happens.

Lanes are the processes, the kernel, and the objects of the kernel that events name: leases, regions, memories. How it
is drawn is the page's business.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, assert_never

from longpin.actors.constants import signal_name
from longpin.messages.envelope import Address
from longpin.runner.events import (
    AsyncEventQueued,
    BlocksFreed,
    BlocksPinned,
    BlocksUnpinned,
    CallEntered,
    CallReturned,
    ClockAdvanced,
    DmaDone,
    LeaseBroken,
    LeaseRemoved,
    LeaseTimedOut,
    LockContended,
    ProcessExited,
    ProcessName,
    RegionRevoked,
    RunEvent,
    SignalDelivered,
    SignalGenerated,
    SleepBegun,
)
from longpin.runner.report.page.changes import ArrivalChange, StateChange
from longpin.runner.report.rows import Row, Shape, lane_of, printable, result_text, rows
from longpin.runner.report.sentences import spans
from longpin.runner.result import Result

MOST_ROWS = 300
"""Rows of a diagram; of a longer one the first and the last are shown."""

MOST_PROCESSES = 8
"""Lanes of processes; those that came last share one if there are more."""

MOST_OBJECTS = 6
"""Lanes of objects; if there are more, all of a kind share one."""

LONGEST_LABEL = 20

KERNEL = "kernel"

_REGIONS, _LEASES, _MEMORIES = "regions", "leases", "memory"


class ArrowStyle(StrEnum):
    """How an arrow is drawn."""

    CALL = "call"
    """A call that is under way from here on."""
    RETURN = "return"
    BOTH = "both"
    """A call that returned before anything else happened."""
    MESSAGE = "message"
    """Something is told or done to somebody."""
    WAIT = "wait"
    """Who waits, and for whom."""
    NOTE = "note"
    """Something happens to one lane alone."""
    END = "end"
    """The same, and the lane ends."""
    TIME = "time"
    """Time moves on, for all."""


class Arrow(NamedTuple):
    """What is drawn for an event: from which lane to which, and a few words."""

    source: str
    target: str
    style: ArrowStyle
    label: str


class DiagramRow(NamedTuple):
    """A row of the diagram."""

    arrival: int
    now: float
    text: str
    """What happens; empty: something changes inside the kernel."""
    failed: bool
    source: int
    """The number of a lane."""
    target: int
    style: ArrowStyle
    label: str
    changes: tuple[StateChange, ...] = ()


class Room(NamedTuple):
    """How much there is to draw on."""

    rows: int
    processes: int
    objects: int


@dataclass(frozen=True, slots=True)
class Diagram:
    """A run, ready to be drawn."""

    lanes: tuple[str, ...]
    processes: int
    """How many of the lanes are processes; they come first."""
    rows: tuple[DiagramRow, ...]
    hidden: int
    """Rows in the middle that are left out, behind the first half of :attr:`rows`; mostly 0."""
    broken: tuple[tuple[int, str], ...]
    """Which rule does not hold any more, and after which row, by its place."""
    waiting: tuple[str, ...]
    """Who waits at the end, and what for."""


def diagram_of(result: Result, changes: Sequence[ArrivalChange] = (), room: Room | None = None) -> Diagram:
    """Return the diagram of a run.

    Args:
        result: the run.
        changes: what its arrivals changed, in their order.
        room: how much there is to draw on; None: what a page of many diagrams has.

    """
    room = room or Room(MOST_ROWS, MOST_PROCESSES, MOST_OBJECTS)
    drawn = [row for row in rows(result.events, "→") if row.event is not None]
    lanes = _Lanes(result.processes, (row.event for row in drawn if row.event is not None), room)
    found = list(_with_changes([_row(row, lanes) for row in drawn], changes, lanes))
    hidden = max(len(found) - room.rows, 0)
    if hidden:
        found = found[: room.rows // 2] + found[-(room.rows // 2) :]
    broken = []
    for violation in result.violations:
        place = max((place for place, row in enumerate(found) if row.arrival <= violation.arrival), default=0)
        broken.append((place, printable(f"{violation.rule} does not hold: {violation.detail}")))
    waiting = tuple(printable(line) for line in result.waiting)
    return Diagram(tuple(map(printable, lanes.names)), lanes.processes, tuple(found), hidden, tuple(broken), waiting)


def _row(row: Row, lanes: "_Lanes") -> DiagramRow:
    event = row.event
    assert event is not None
    arrow = _arrow(event, row)
    label = printable(arrow.label)
    if len(label) > LONGEST_LABEL:
        label = f"{label[: LONGEST_LABEL - 1]}…"
    source, target = lanes.number(arrow.source), lanes.number(arrow.target)
    style = ArrowStyle.NOTE if arrow.style is ArrowStyle.END and source in lanes.shared else arrow.style
    return DiagramRow(row.arrival, row.now, row.text, row.failed, source, target, style, label)


def _with_changes(
    drawn: Sequence[DiagramRow], changes: Sequence[ArrivalChange], lanes: "_Lanes"
) -> Iterator[DiagramRow]:
    """Yield the rows with what changed; what changes between two rows is one of its own.

    A call that returned before anything else happened is one row, and all that changes until the next is its doing.
    """
    left = deque(changes)
    now = 0.0

    def until(arrival: int | None) -> Iterator[DiagramRow]:
        while left and (arrival is None or left[0].arrival < arrival):
            first = left[0]
            its = tuple(_taken(left, first.arrival))
            lane = lanes.number(first.actor)
            yield DiagramRow(first.arrival, now, "", False, lane, lane, ArrowStyle.NOTE, "", its)

    for place, row in enumerate(drawn):
        following = drawn[place + 1].arrival if place + 1 < len(drawn) else None
        yield from until(row.arrival)
        now = row.now
        its: tuple[StateChange, ...] = ()
        if following != row.arrival:
            last = row.arrival
            if row.style is ArrowStyle.BOTH:
                last = left[-1].arrival if following is None and left else (following or row.arrival + 1) - 1
            its = tuple(change for arrival in range(row.arrival, last + 1) for change in _taken(left, arrival))
        yield row._replace(changes=its)
    yield from until(None)


def _taken(left: "deque[ArrivalChange]", arrival: int) -> Iterator[StateChange]:
    """Take the changes of an arrival, if they come first."""
    while left and left[0].arrival == arrival:
        yield StateChange(*map(printable, left.popleft().change))


class _Lanes:
    """The lanes of a run, and which one has something."""

    def __init__(self, processes: Sequence[ProcessName], events: Iterable[RunEvent], room: Room) -> None:
        shown = list(processes)
        self._places: dict[str, int] = {}
        if len(shown) > room.processes:
            shown = shown[: room.processes - 1]
        names = [str(process) for process in shown]
        if more := len(processes) - len(shown):
            names.append(f"{more} other processes")
        for number, process in enumerate(processes):
            place = min(number, len(names) - 1)
            self._places[str(process)] = self._places[f"process:{process.pid}"] = place
        self.processes = len(names)
        self._kernel = len(names)
        names.append(KERNEL)
        objects = {kind: dict[Address, None]() for kind in (_LEASES, _REGIONS, _MEMORIES)}
        for event in events:
            for kind, address in _objects(event):
                objects[kind][address] = None
        one_each = sum(map(len, objects.values())) <= room.objects
        for kind, addresses in objects.items():
            for address in addresses:
                name = address if one_each else kind
                if name not in names[self._kernel + 1 :]:
                    names.append(name)
                self._places[address] = names.index(name, self._kernel + 1)
        self.names = names
        of_objects = [place for place in self._places.values() if place > self._kernel]
        self.shared = {place for place in of_objects if of_objects.count(place) > 1}
        """The lanes that several have together: none of them ends it."""
        if more:
            self.shared.add(self.processes - 1)

    def number(self, lane: str) -> int:
        """Return the number of a lane; what has none is of the kernel."""
        return self._places.get(lane, self._kernel)


def _objects(event: RunEvent) -> Iterable[tuple[str, Address]]:
    """Yield the objects of the kernel that an event is about."""
    match event:
        case LeaseBroken() | LeaseTimedOut() | LeaseRemoved():
            yield _LEASES, event.lease
        case BlocksPinned() | BlocksUnpinned() | DmaDone():
            yield _REGIONS, event.region
            yield _MEMORIES, event.pmem
        case RegionRevoked() | AsyncEventQueued():
            yield _REGIONS, event.region
        case BlocksFreed():
            yield _MEMORIES, event.pmem
        case _:
            pass


def _arrow(event: RunEvent, row: Row) -> Arrow:
    """Return what is drawn for an event."""
    lane = lane_of(event)
    match event:
        case CallEntered():
            style = ArrowStyle.CALL if row.shape is Shape.BEGIN else ArrowStyle.BOTH
            _, arrow, result = row.text.rpartition(" → ")
            return Arrow(lane, KERNEL, style, f"{event.op.call}{arrow}{result if arrow else ''}")
        case CallReturned():
            return Arrow(KERNEL, lane, ArrowStyle.RETURN, f"{event.op.call} → {result_text(event)}")
        case SleepBegun():
            return Arrow(lane, event.waits_for.target, ArrowStyle.WAIT, "waits")
        case LockContended():
            return Arrow(lane, KERNEL, ArrowStyle.WAIT, f"waits: {event.lock}")
        case SignalGenerated():
            return Arrow(event.sender, lane, ArrowStyle.MESSAGE, signal_name(event.signo))
        case SignalDelivered():
            return Arrow(lane, lane, ArrowStyle.NOTE, f"{signal_name(event.signo)} taken")
        case ProcessExited():
            return Arrow(lane, lane, ArrowStyle.END, "killed" if event.signo or event.status is None else "exits")
        case LeaseBroken():
            return Arrow(KERNEL, event.lease, ArrowStyle.MESSAGE, "break")
        case LeaseTimedOut():
            return Arrow(event.lease, event.lease, ArrowStyle.NOTE, "overdue")
        case LeaseRemoved():
            return Arrow(event.lease, event.lease, ArrowStyle.END, "gone")
        case BlocksPinned():
            return Arrow(event.region, event.pmem, ArrowStyle.MESSAGE, f"pins {spans(event.blocks)}")
        case BlocksUnpinned():
            return Arrow(event.region, event.pmem, ArrowStyle.MESSAGE, "unpins")
        case RegionRevoked():
            return Arrow(KERNEL, event.region, ArrowStyle.MESSAGE, "revoke")
        case AsyncEventQueued():
            return Arrow(event.region, KERNEL, ArrowStyle.MESSAGE, "event")
        case BlocksFreed():
            return Arrow(KERNEL, event.pmem, ArrowStyle.MESSAGE, f"frees {spans(event.blocks)}")
        case DmaDone():
            verb = "DMA read" if event.data is None else "DMA write"
            return Arrow(event.region, event.pmem, ArrowStyle.MESSAGE, f"{verb} {event.block}")
        case ClockAdvanced():
            return Arrow(KERNEL, KERNEL, ArrowStyle.TIME, f"{event.time:g} s")
        case _:
            assert_never(event)
