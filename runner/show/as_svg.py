"""A run as a picture: SVG that stands still, for a page or a paper. It looks like the page of a run (``lanes.js``)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape

from longpin.runner.report.page.diagram import ArrowStyle, Diagram, DiagramRow, diagram_of
from longpin.runner.report.page.shared import plain
from longpin.runner.show.model import ShownRun

ROW, HEAD, GUTTER, LANE, TEXT = 22, 44, 44, 118, 470
"""Pixels: the height of a row and of the names, the width of the numbers, of a lane and of the words."""

CHARACTER = 6.35
"""The width of a character, in pixels."""

TIP = 7
"""The length of the head of an arrow, in pixels."""

STYLE = """
:root { --ink: #1b1f24; --soft: #57606a; --faint: #eef1f4; --paper: #ffffff; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ed; --soft: #a3adb8; --faint: #1f252c; --paper: #0d1117; --bad: #ff8a80; }
}
.paper { fill: var(--paper); }
.odd { fill: var(--faint); }
text { font: 10.5px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: var(--ink); }
.title { font-weight: 700; font-size: 12px; }
.name { font-weight: 700; text-anchor: middle; }
.at { fill: var(--soft); text-anchor: end; }
.label { text-anchor: middle; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; paint-order: stroke; }
.start { text-anchor: start; }
.end { text-anchor: end; }
.failed { font-weight: 700; }
.broken { font-weight: 700; fill: var(--bad); }
.lane { stroke: var(--soft); stroke-width: 1; }
.object { stroke-dasharray: 2 4; }
.arrow { stroke: var(--ink); stroke-width: 1.3; fill: none; }
.full { fill: var(--ink); stroke: var(--ink); }
.return { stroke-dasharray: 5 3; }
.wait { stroke-dasharray: 1.5 3; }
.time { stroke-dasharray: 8 3; stroke: var(--soft); }
.bar-call { fill: var(--soft); }
.bar-wait { fill: var(--paper); stroke: var(--ink); stroke-dasharray: 3 2; }
"""


class Svg:
    """Writes a picture."""

    def write(self, run: ShownRun) -> bytes:
        """Return the picture. Of a long run the first rows and the last are drawn, and what is left out is said."""
        return "".join(f"{line}\n" for line in _Drawing(run, diagram_of(run.result)).lines()).encode()


@dataclass(slots=True)
class _Drawing:
    run: ShownRun
    diagram: Diagram
    bars: dict[int, tuple[str, float]] = field(default_factory=dict)
    """By process: that it is in a call or waits, and from where on."""
    ended: dict[int, float] = field(default_factory=dict)
    """By lane: where it ends."""
    y: float = HEAD + 24.0

    def lines(self) -> Iterator[str]:
        """Yield the lines of the file."""
        top, body = self.y, list(self._body())
        lanes = len(self.diagram.lanes)
        width, height = GUTTER + LANE * lanes + TEXT, self.y + 6
        title = f"{self.run.result.scenario} under {self.run.result.policy}: {self.run.result.verdict.value}"
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:g}" '
            f'viewBox="0 0 {width} {height:g}" role="img" aria-labelledby="title">'
        )
        yield f'<title id="title">{_text(title)}</title>'
        yield f"<style>{STYLE}</style>"
        yield f'<rect class="paper" width="{width}" height="{height:g}"/>'
        yield f'<text class="title" x="8" y="18">{_text(title)}</text>'
        for number in range(1, int((self.y - top) / ROW), 2):
            yield f'<rect class="odd" x="0" y="{top + number * ROW:g}" width="{width}" height="{ROW}"/>'
        for lane, name in enumerate(self.diagram.lanes):
            kind = "lane object" if lane > self.diagram.processes else "lane"
            x, end = self._x(lane), self.ended.get(lane, self.y)
            yield f'<text class="name" x="{x:g}" y="{top - 8:g}">{_text(_cut(name, LANE))}</text>'
            yield f'<line class="{kind}" x1="{x:g}" x2="{x:g}" y1="{top:g}" y2="{end:g}"/>'
        yield from body
        yield "</svg>"

    def _body(self) -> Iterator[str]:
        half = len(self.diagram.rows) // 2 if self.diagram.hidden else -1
        broken: dict[int, list[str]] = {}
        for place, text in self.diagram.broken:
            broken.setdefault(place, []).append(text)
        drawn: list[str] = []
        now, before = 0.0, 0
        for place, row in enumerate(self.diagram.rows):
            if place == half:
                drawn += self._remark(f"{self.diagram.hidden:,} rows are left out here", "")
            drawn += self._row(row, before)
            before = row.arrival
            said = row.text if row.now == now or row.style is ArrowStyle.TIME else f"{row.text} ({row.now:g} s)"
            now = row.now
            drawn.append(self._said(said, self.y + 15, "failed" if row.failed else ""))
            self.y += ROW
            for text in broken.get(place, ()):
                drawn += self._remark(f"✗ {text}", "broken")
        for text in self.diagram.waiting:
            drawn += self._remark(f"at the end: {text}", "")
        for lane in list(self.bars):
            drawn.append(self._bar(lane, self.y))
        # Bars lie below the arrows.
        yield from (line for line in drawn if line.startswith("<rect"))
        yield from (line for line in drawn if not line.startswith("<rect"))

    def _remark(self, text: str, kind: str) -> Iterator[str]:
        yield self._said(text, self.y + 15, kind)
        self.y += ROW

    def _said(self, text: str, y: float, kind: str) -> str:
        x = GUTTER + LANE * len(self.diagram.lanes)
        return f'<text class="{kind}" x="{x}" y="{y:g}">{_text(_cut(text, TEXT))}</text>'

    def _row(self, row: DiagramRow, before: int) -> Iterator[str]:
        if row.arrival != before:
            yield f'<text class="at" x="{GUTTER - 8}" y="{self.y + 15:g}">{row.arrival}</text>'
        y = self.y + 15
        source, target, style = row.source, row.target, row.style
        if style in (ArrowStyle.CALL, ArrowStyle.WAIT) and source < self.diagram.processes:
            if source in self.bars:
                yield self._bar(source, y)
            self.bars[source] = ("call" if style is ArrowStyle.CALL else "wait", y)
        ending = {ArrowStyle.RETURN: target, ArrowStyle.END: source}.get(style, -1)
        if ending in self.bars:
            yield self._bar(ending, y)
            del self.bars[ending]
        if style is ArrowStyle.TIME:
            yield from self._across(row, y)
        elif style in (ArrowStyle.NOTE, ArrowStyle.END) or source == target:
            yield from self._note(row, y)
        else:
            yield from self._arrow(row, y)

    def _across(self, row: DiagramRow, y: float) -> Iterator[str]:
        left, right = self._x(0), self._x(len(self.diagram.lanes) - 1)
        yield f'<line class="arrow time" x1="{left:g}" x2="{right:g}" y1="{y:g}" y2="{y:g}"/>'
        yield _label(row.label, (left + right) / 2, y - 4, right - left, "")

    def _note(self, row: DiagramRow, y: float) -> Iterator[str]:
        x = self._x(row.source)
        if row.style is ArrowStyle.END:
            self.ended[row.source] = y
            left, right, up, down = x - 4, x + 4, y - 4, y + 4
            yield f'<path class="arrow" d="M{left:g} {up:g}L{right:g} {down:g}M{right:g} {up:g}L{left:g} {down:g}"/>'
        else:
            yield f'<circle class="full" cx="{x:g}" cy="{y:g}" r="3.2"/>'
        last = row.source == len(self.diagram.lanes) - 1
        yield _label(row.label, x - 9 if last else x + 9, y + 3, LANE, " end" if last else " start")

    def _arrow(self, row: DiagramRow, y: float) -> Iterator[str]:
        way = 1 if row.target > row.source else -1
        start, end = self._x(row.source) + 4 * way, self._x(row.target) - 2 * way
        yield f'<line class="arrow {row.style.value}" x1="{start:g}" x2="{end:g}" y1="{y:g}" y2="{y:g}"/>'
        full = row.style in (ArrowStyle.CALL, ArrowStyle.BOTH)
        yield _head(end, y, way, full=full)
        if row.style is ArrowStyle.BOTH:
            yield _head(start, y, -way, full=False)
        yield _label(row.label, (start + end) / 2, y - 4, abs(end - start), "")

    def _bar(self, lane: int, end: float) -> str:
        kind, start = self.bars[lane]
        x = self._x(lane) - 3
        return f'<rect class="bar-{kind}" x="{x:g}" y="{start:g}" width="6" height="{max(end - start, 0):g}"/>'

    @staticmethod
    def _x(lane: int) -> float:
        return GUTTER + LANE * (lane + 0.5)


def _head(x: float, y: float, way: int, *, full: bool) -> str:
    back = x - TIP * way
    path = f"M{back:g} {y - 4:g}L{x:g} {y:g}L{back:g} {y + 4:g}"
    return f'<path class="full" d="{path}Z"/>' if full else f'<path class="arrow" d="{path}"/>'


def _label(text: str, x: float, y: float, room: float, kind: str) -> str:
    return f'<text class="label{kind}" x="{x:g}" y="{y:g}">{_text(_cut(text, room))}</text>'


def _cut(text: str, room: float) -> str:
    most = max(int(room / CHARACTER), 6)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _text(words: str) -> str:
    return escape(plain(words))
