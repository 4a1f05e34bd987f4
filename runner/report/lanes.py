"""The picture of a time line: one column a process, one for the kernel and the device, time running down."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.text import Text

from longpin.runner.events import EventKind
from longpin.runner.report.rows import Row, Shape, printable

MOST_LANES = 8
"""Processes side by side; with more there is one line a row, and the process is named in it."""

NARROWEST = 18
"""Columns of text below which a lane cannot be read."""

KERNEL = "kernel and device"

GAP = "  "

SLEEPS = {EventKind.SLEEP, EventKind.LOCK}

STYLES = {
    EventKind.SLEEP: "yellow",
    EventKind.LOCK: "yellow",
    EventKind.TOLD: "bold magenta",
    EventKind.SIGNAL: "magenta",
    EventKind.KERNEL: "cyan",
    EventKind.DEVICE: "blue",
    EventKind.TIME: "green",
    EventKind.END: "dim",
}


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What lines are drawn with."""

    bar: str = "│"
    end: str = "╰"
    arrow: str = "→"
    rule: str = "─"


ASCII = Glyphs("|", "`", "->", "-")
"""For terminals that show nothing else."""


def glyphs_for(console: Console) -> Glyphs:
    """Return what the console's encoding can show."""
    return Glyphs() if console.encoding.startswith("utf") else ASCII


_PIECES = re.compile(r"(?:→|->)\s\S+\s*|[^\s(]+\(|\S[^\s(]*\s*|\s+")
"""What a line is not broken inside: a word, a call's name with its bracket, a result with its arrow."""


def fold(text: str, width: int) -> list[str]:
    """Break a text into lines of at most ``width`` columns, between its pieces where that is possible."""
    lines = [""]
    for piece in _PIECES.findall(text):
        if cell_len((lines[-1] + piece).rstrip()) <= width:
            lines[-1] += piece
        elif cell_len(piece.rstrip()) <= width:
            lines.append(piece)
        else:
            lines += chop_cells(piece.rstrip(), width)
    return [line.rstrip() for line in lines if line.strip()] or [""]


class Lanes:
    """Draws rows as lines of a console.

    Args:
        console: its encoding counts, and its width.
        lanes: the processes.
        rows: what is drawn.
        never: the lanes whose last call never returns.
        width: the columns to use; None: all of the console.
        under_way: the lanes in which a call is under way before the first row.

    """

    def __init__(
        self,
        console: Console,
        lanes: Sequence[str],
        rows: Sequence[Row],
        never: frozenset[str],
        width: int | None = None,
        under_way: frozenset[str] = frozenset(),
    ) -> None:
        self.console = console
        self.lanes = lanes
        self.rows = rows
        self.never = never
        self.under_way = under_way
        self.glyphs = glyphs_for(console)
        self.arrival_width = max(len(str(rows[-1].arrival)) if rows else 0, len("#"))
        times = [f"{row.now:g} s" for row in rows if row.now]
        self.time_width = max(map(len, times), default=0)
        gutter = self.arrival_width + (self.time_width + len(GAP) if times else 0)
        self.room = (console.width if width is None else width) - gutter

    def lines(self) -> Iterator[Text]:
        """Yield the picture, lanes if they can be read and a list if not."""
        widths = self._lane_widths()
        if widths is None:
            yield from self._list()
        else:
            yield from self._picture(widths)

    def _lane_widths(self) -> list[int] | None:
        """Return the width of each lane, the kernel's last; None if there are too many, or no room."""
        if not 0 < len(self.lanes) <= MOST_LANES:
            return None
        wanted = {lane: len(printable(lane)) for lane in self.lanes} | {"": len(KERNEL)}
        for row in self.rows:
            wanted[row.lane] = max(wanted[row.lane], cell_len(row.text) + len(GAP))
        room = self.room - len(GAP) * len(wanted)
        fair = room // len(wanted)
        if fair < NARROWEST and sum(wanted.values()) > room:
            return None
        # A lane that needs less than a fair share leaves the rest to the others.
        widths = dict.fromkeys(wanted, 0)
        left = sorted(wanted, key=lambda lane: wanted[lane])
        while left:
            lane = left.pop(0)
            widths[lane] = min(wanted[lane], room // (len(left) + 1))
            room -= widths[lane]
        return [widths[lane] for lane in (*self.lanes, "")]

    def _picture(self, widths: list[int]) -> Iterator[Text]:
        columns = [*self.lanes, ""]
        yield self._line(None, [Text(printable(lane) or KERNEL, "bold") for lane in columns], widths)
        yield self._line(None, [Text(self.glyphs.rule * width, "dim") for width in widths], widths)
        bars = {lane: self._bar("dim") for lane in self.lanes if lane in self.under_way}
        blank = Text()
        before: Row | None = None
        for row in self.rows:
            index = columns.index(row.lane)
            first, rest = self._prefixes(row)
            if row.shape is Shape.BEGIN:
                bars[row.lane] = self._bar("yellow" if row.kind in SLEEPS else "dim")
            elif row.shape is Shape.END:
                bars.pop(row.lane, None)
            elif row.kind in SLEEPS:
                bars[row.lane] = self._bar("yellow")
            for number, text in enumerate(self._wrap(row, widths[index], first, rest)):
                cells = [bars.get(lane, blank) for lane in columns]
                cells[index] = text
                yield self._line((before, row) if number == 0 else None, cells, widths)
            before = row
        never = [Text("never returns", "bold red") if lane in self.never else blank for lane in columns]
        if self.never:
            yield self._line(None, [bars.get(lane, blank) for lane in columns], widths)
            yield self._line(None, never, widths)

    def _list(self) -> Iterator[Text]:
        names = [printable(lane) for lane in self.lanes]
        name_width = min(max(map(len, [*names, KERNEL])), max(self.room // 4, 8))
        widths = [name_width, max(self.room - name_width - 2 * len(GAP), 1)]
        before: Row | None = None
        for row in self.rows:
            name = Text(printable(row.lane) or KERNEL, "bold" if row.lane else "dim")
            name.truncate(name_width, overflow="ellipsis" if self.glyphs is not ASCII else "crop")
            for number, text in enumerate(self._wrap(row, widths[1], "", "  ")):
                cells = [name if number == 0 else Text(), text]
                yield self._line((before, row) if number == 0 else None, cells, widths)
            before = row
        for lane in self.lanes:
            if lane in self.never:
                yield self._line(None, [Text(printable(lane), "bold"), Text("never returns", "bold red")], widths)

    def _bar(self, style: str) -> Text:
        return Text(self.glyphs.bar, style)

    def _prefixes(self, row: Row) -> tuple[str, str]:
        """Return what stands before the first and before further lines of a row in its lane."""
        bar = f"{self.glyphs.bar} "
        match row.shape:
            case Shape.BEGIN:
                return "", bar
            case Shape.INSIDE:
                return bar, bar
            case Shape.END:
                return f"{self.glyphs.end} ", "  "
            case _:
                return "", "  "

    def _wrap(self, row: Row, width: int, first: str, rest: str) -> Iterable[Text]:
        style = "bold red" if row.failed else STYLES.get(row.kind, "")
        indent = max(len(first), len(rest))
        for number, line in enumerate(fold(row.text, max(width - indent, 2))):
            yield Text.assemble((first if number == 0 else rest, "dim"), (line, style))

    def _line(self, rows: tuple[Row | None, Row] | None, cells: Sequence[Text], widths: Sequence[int]) -> Text:
        """Put cells side by side, behind the number of the arrival and the time where they are new."""
        arrival = time = ""
        if rows is not None:
            before, row = rows
            if before is None or before.arrival != row.arrival:
                arrival = str(row.arrival)
            if row.now != (before.now if before is not None else 0.0):
                time = f"{row.now:g} s"
        line = Text.assemble((arrival.rjust(self.arrival_width), "dim"))
        if self.time_width:
            line.append(GAP + time.rjust(self.time_width), "green")
        for cell, width in zip(cells, widths, strict=True):
            line.append(GAP)
            line.append_text(cell)
            line.append(" " * (width - cell.cell_len))
        line.rstrip()
        return line
