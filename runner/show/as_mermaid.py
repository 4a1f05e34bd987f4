"""A run as a sequence diagram in the language of Mermaid, for pages and mails that draw it."""

from collections.abc import Iterator

from longpin.runner.report.page.diagram import ArrowStyle, Diagram, DiagramRow, Room, diagram_of
from longpin.runner.report.rows import printable
from longpin.runner.show.cannot import CannotShowError
from longpin.runner.show.model import ShownRun

MOST_LANES = 60
"""Lanes side by side that anybody could read."""

ARROWS = {
    ArrowStyle.CALL: "->>",
    ArrowStyle.BOTH: "->>",
    ArrowStyle.RETURN: "-->>",
    ArrowStyle.MESSAGE: "-)",
    ArrowStyle.WAIT: "--)",
}

_ENTITIES = str.maketrans({"#": "#35;", ";": "#59;", "<": "#lt;", ">": "#gt;", "&": "#amp;", '"': "#quot;"})
"""What would end a text, or be taken for markup."""


class Mermaid:
    """Writes a ``sequenceDiagram``."""

    def write(self, run: ShownRun) -> bytes:
        """Return the diagram.

        Raises:
            CannotShowError: it has more lanes than anybody could read.

        """
        everything = len(run.arrivals) + len(run.result.events) + 1
        diagram = diagram_of(run.result, room=Room(everything, everything, everything))
        if len(diagram.lanes) > MOST_LANES:
            raise CannotShowError(
                f"{len(diagram.lanes)} lanes side by side could not be read: mermaid has {MOST_LANES}"
            )
        return "".join(f"{line}\n" for line in _lines(run, diagram)).encode()


def _lines(run: ShownRun, diagram: Diagram) -> Iterator[str]:
    yield f"%% {printable(run.result.scenario)} under {printable(run.result.policy)}: {run.result.verdict.value}"
    yield "sequenceDiagram"
    for number, lane in enumerate(diagram.lanes):
        kind = "actor" if number < diagram.processes else "participant"
        yield f"    {kind} L{number} as {_text(lane)}"
    broken = dict(diagram.broken)
    for place, row in enumerate(diagram.rows):
        yield f"    {_row(row, len(diagram.lanes))}"
        if place in broken:
            yield f"    Note over L0,L{len(diagram.lanes) - 1}: {_text(broken[place])}"
    for waiting in diagram.waiting:
        yield f"    Note over L0,L{len(diagram.lanes) - 1}: {_text(f'at the end: {waiting}')}"


def _row(row: DiagramRow, lanes: int) -> str:
    text = _text(f"{row.arrival}. {row.text}")
    if row.style is ArrowStyle.TIME:
        return f"Note over L0,L{lanes - 1}: {text}"
    if row.style not in ARROWS or row.source == row.target:
        return f"Note over L{row.source}: {text}"
    return f"L{row.source}{ARROWS[row.style]}L{row.target}: {text}"


def _text(text: str) -> str:
    return text.translate(_ENTITIES)
