"""From the events of a run to the rows of its picture: what belongs together is one row, what says nothing is none."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from longpin.actors.process.program import Op
from longpin.actors.syscalls import SYSCALLS
from longpin.actors.syscalls.declaration import Section
from longpin.runner.events import (
    BlocksFreed,
    BlocksPinned,
    CallEntered,
    CallReturned,
    EventKind,
    LockContended,
    ProcessEvent,
    ProcessExited,
    RunEvent,
    SleepBegun,
)
from longpin.runner.report.sentences import sentence
from longpin.runner.result import returned

ORDER_CALLS = {call.name for call in SYSCALLS.values() if call.section is Section.ORDER}
"""Calls that only state an order between processes: that they return, and what they wait for, is no news."""

_MAKES_HANDLE = re.compile(r"ibv_(open|alloc|reg|create)_")
"""Calls whose result is an object; a program sees no number."""


class Shape(Enum):
    """How a row stands in its lane."""

    ALONE = auto()
    """An event, or a call that returned before anything else happened."""
    BEGIN = auto()
    """A call that is under way from here on."""
    INSIDE = auto()
    """Something that happens to a call under way."""
    END = auto()
    """The call under way returns."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row."""

    arrival: int
    now: float
    lane: str
    """The process; empty: the kernel, the device, or time."""
    kind: EventKind
    text: str
    shape: Shape = Shape.ALONE
    failed: bool = False
    """It tells of a call that failed."""
    event: RunEvent | None = None
    """What it tells of: of a call that returned at once that it was made, of neighbouring blocks all of them."""


def printable(text: str) -> str:
    """Return ``text`` with everything escaped that could steer a terminal or hide: controls, bidi marks, surrogates."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def call_text(op: Op) -> str:
    """Return a call as it was written, without the blanks that align it with its neighbours."""
    if op.target is None:
        return op.text
    _, _, right = op.text.partition("=")
    return f"{op.target} = {right.strip()}"


def result_text(event: CallReturned) -> str:
    """Return what a call returned, for people: no number where a program sees none, addresses in hexadecimal."""
    if not event.errno and event.ret == 0 and _MAKES_HANDLE.match(event.op.call):
        return "ok"
    if event.op.call in ("mmap", "mremap") and isinstance(event.ret, int) and not event.errno:
        return f"{event.ret:#x}"
    return returned(event.ret, event.errno)


def rows(events: Sequence[RunEvent], arrow: str = "->") -> Iterator[Row]:
    """Yield the rows of a time line.

    * neighbouring events that say the same of several blocks are one row;
    * a call that returns before anything else is to be seen is one row with its result;
    * a sleep is told once, and only if something is to be seen before the process goes on.
    """
    told: dict[str, str] = {}
    """What each process's call was last said to wait for."""
    under_way: set[str] = set()
    events = _visible(events)
    index = 0
    while index < len(events):
        event = events[index]
        index += 1
        lane, text, shape, failed = lane_of(event), sentence(event), Shape.ALONE, False
        match event:
            case CallEntered():
                text = call_text(event.op)
                end = _returned_at(events, index, event)
                told.pop(lane, None)
                if end is None and event.op.call != "exit":
                    under_way.add(lane)
                    shape = Shape.BEGIN
                elif end is not None:
                    index, end_event = end
                    failed = bool(end_event.errno)
                    if event.op.call not in ORDER_CALLS or failed:
                        text = f"{text} {arrow} {result_text(end_event)}"
            case CallReturned():
                under_way.discard(lane)
                shape, failed = Shape.END, bool(event.errno)
                name = event.op.call
                silent = name in ORDER_CALLS and not failed
                text = f"{name} returns" if silent else f"{name} {arrow} {result_text(event)}"
            case SleepBegun() | LockContended():
                goes_on = index < len(events) and _is_return_to(events[index], lane)
                if goes_on or told.get(lane) == text:
                    continue
                told[lane] = text
                if event.call is not None:
                    shape = Shape.INSIDE
                elif event.exiting:
                    shape = Shape.BEGIN
            case ProcessExited():
                if lane in under_way:
                    under_way.discard(lane)
                    shape = Shape.END
            case BlocksPinned() | BlocksFreed():
                blocks = event.blocks
                while index < len(events) and (more := _blocks_besides(event, events[index])):
                    blocks += more
                    index += 1
                event = replace(event, blocks=blocks)
                text = sentence(event)
            case _ if lane in under_way:
                shape = Shape.INSIDE
            case _:
                pass
        yield Row(event.arrival, event.time, lane, event.kind, printable(text), shape, failed, event)


def lane_of(event: RunEvent) -> str:
    """Return the process that an event happens to, empty if it is one of the kernel, the device, or time."""
    return str(event.process) if isinstance(event, ProcessEvent) else ""


def _returned_at(events: Sequence[RunEvent], index: int, entered: CallEntered) -> tuple[int, CallReturned] | None:
    """Return what comes after a call, and its return, if nothing of it or of anybody else is to be seen before."""
    while index < len(events):
        event = events[index]
        if not isinstance(event, CallReturned | SleepBegun | LockContended) or event.call != entered.call:
            return None
        index += 1
        if isinstance(event, CallReturned):
            return index, event
    return None


def _is_return_to(event: RunEvent, lane: str) -> bool:
    return isinstance(event, CallReturned) and str(event.process) == lane


def _visible(events: Sequence[RunEvent]) -> list[RunEvent]:
    """Leave out sleeps that are no news unless they never end: wait_for says it itself, and locks are soon there."""
    last = {lane_of(event): event for event in events}
    return [
        event
        for event in events
        if last[lane_of(event)] is event
        or not (
            isinstance(event, LockContended)
            or (isinstance(event, SleepBegun) and event.op is not None and event.op.call in ORDER_CALLS)
        )
    ]


def _blocks_besides(first: BlocksPinned | BlocksFreed, event: RunEvent) -> tuple[int, ...]:
    """Return the blocks of which an event says the same as ``first``, at the same time; none if it does not."""
    if not isinstance(event, BlocksPinned | BlocksFreed):
        return ()
    return event.blocks if replace(event, arrival=first.arrival, blocks=first.blocks) == first else ()
