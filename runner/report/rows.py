"""From the moments of a run to the rows of its picture: what belongs together is one row, what says nothing is none."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import groupby

from longpin.actors.process.facts import CallRecord
from longpin.runner.judging.chronicle import outcome
from longpin.runner.result import Kind, Moment

ORDER_CALLS = {"label", "wait_for"}
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
    kind: Kind
    text: str
    shape: Shape = Shape.ALONE
    failed: bool = False
    """It tells of a call that failed."""


def printable(text: str) -> str:
    """Return ``text`` with everything escaped that could steer a terminal or hide: controls, bidi marks, surrogates."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def spans(blocks: Iterable[int]) -> str:
    """Return block numbers as ``blocks 0-3, 7``."""
    ordered = sorted(set(blocks))
    groups = [[block for _, block in run] for _, run in groupby(enumerate(ordered), lambda pair: pair[1] - pair[0])]
    shown = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in groups)
    return f"block{'s' if len(ordered) > 1 else ''} {shown}"


def call_text(record: CallRecord) -> str:
    """Return a call as it was written, without the blanks that align it with its neighbours."""
    text = record.op.text
    if record.op.target is not None:
        _, _, right = text.partition("=")
        text = f"{record.op.target} = {right.strip()}"
    return text


def result_text(record: CallRecord) -> str:
    """Return what a call returned, for people: no number where a program sees none, addresses in hexadecimal."""
    if not record.errno and record.ret == 0 and _MAKES_HANDLE.match(record.op.call):
        return "ok"
    if record.op.call == "mmap" and isinstance(record.ret, int) and not record.errno:
        return f"{record.ret:#x}"
    return outcome(record)


def rows(moments: Sequence[Moment], arrow: str = "->") -> Iterator[Row]:
    """Yield the rows of a time line.

    * neighbouring moments that say the same of several blocks are one row;
    * a call that returns before anything else is to be seen is one row with its result;
    * a sleep is told once, and only if something is to be seen before the process goes on.
    """
    told: dict[str, str] = {}
    """What each process's call was last said to wait for."""
    under_way: set[str] = set()
    moments = _visible(moments)
    index = 0
    while index < len(moments):
        moment = moments[index]
        index += 1
        lane, record, text, shape, failed = moment.lane, moment.record, moment.text, Shape.ALONE, False
        match moment.kind:
            case Kind.CALL:
                assert record is not None
                text = call_text(record)
                end = _returned_at(moments, index, record)
                told.pop(lane, None)
                if end is None and record.op.call != "exit":
                    under_way.add(lane)
                    shape = Shape.BEGIN
                elif end is not None:
                    index = end + 1
                    failed = bool(record.errno)
                    if record.op.call not in ORDER_CALLS or failed:
                        text = f"{text} {arrow} {result_text(record)}"
            case Kind.RETURN:
                assert record is not None
                under_way.discard(lane)
                shape, failed = Shape.END, bool(record.errno)
                name = record.op.call
                silent = name in ORDER_CALLS and not failed
                text = f"{name} returns" if silent else f"{name} {arrow} {result_text(record)}"
            case Kind.SLEEP | Kind.LOCK:
                goes_on = index < len(moments) and moments[index].lane == lane and moments[index].kind is Kind.RETURN
                if goes_on or told.get(lane) == text:
                    continue
                told[lane] = text
                if record is not None:
                    shape, text = Shape.INSIDE, f"waits for {text}"
                elif text.startswith("exit"):
                    shape = Shape.BEGIN
            case Kind.END:
                if lane in under_way:
                    under_way.discard(lane)
                    shape = Shape.END
            case _ if moment.blocks:
                blocks = list(moment.blocks)
                while index < len(moments) and _continues(moment, moments[index]):
                    blocks += moments[index].blocks
                    index += 1
                text = f"{text} {spans(blocks)} {moment.place}"
            case _ if lane in under_way:
                shape = Shape.INSIDE
            case _:
                pass
        yield Row(moment.arrival, moment.now, lane, moment.kind, printable(text), shape, failed)


def _returned_at(moments: Sequence[Moment], index: int, record: CallRecord) -> int | None:
    """Return where a call returned, if nothing of it or of anybody else is to be seen before."""
    while index < len(moments) and moments[index].record is record:
        if moments[index].kind is Kind.RETURN:
            return index
        index += 1
    return None


def _visible(moments: Sequence[Moment]) -> list[Moment]:
    """Leave out sleeps that are no news unless they never end: wait_for says it itself, and locks are soon there."""
    last = {moment.lane: moment for moment in moments}
    return [
        moment
        for moment in moments
        if last[moment.lane] is moment
        or not (
            moment.kind is Kind.LOCK
            or (moment.kind is Kind.SLEEP and moment.record is not None and moment.record.op.call in ORDER_CALLS)
        )
    ]


def _continues(first: Moment, moment: Moment) -> bool:
    """Whether a moment says of more blocks what ``first`` says."""
    return bool(moment.blocks) and (moment.text, moment.place, moment.now) == (first.text, first.place, first.now)
