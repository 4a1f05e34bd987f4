"""Writes the page: the table, what cells open, style and script, in one file that needs no other."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from longpin.config.schema import ALL_RULES, USES
from longpin.messages.trace import TraceError, TraceReader
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.files import replace_file
from longpin.runner.matrix.cell import CellVerdict, How, MatrixCell
from longpin.runner.matrix.matrix import Matrix
from longpin.runner.matrix.store import TRACES
from longpin.runner.own_policy.source import PolicySource
from longpin.runner.report.matrix import reason
from longpin.runner.report.page.changes import Onlooker
from longpin.runner.report.page.diagram import diagram_of
from longpin.runner.report.page.embedded import Embedded, as_json
from longpin.runner.report.page.kinds import by_kind, kinds_of, sentence_of
from longpin.runner.report.page.shared import data_file, filled, plain
from longpin.runner.report.page.table import MatrixLine, bodies, heads, lines_of, policies, text, title_of
from longpin.runner.report.page.words import words_of
from longpin.runner.report.rows import printable
from longpin.runner.result import Verdict
from longpin.runner.run import replay
from longpin.runner.shell import replay_command

FILES = "longpin.runner.report.page"
"""Where the files are that the page is made of."""

PAGE = "matrix.html"
"""The name of the file, in the folder of the matrix."""


def write_page(matrix: Matrix, folder: Path) -> Path:
    """Write the page of a matrix into its folder, and return the file.

    It says nothing of when or how fast it was made: the same cells give the same bytes.

    Args:
        matrix: what was found.
        folder: where its counterexamples are, in ``traces``. One that cannot be read is left out, and its cells say so.

    Raises:
        InternalError: a bug in longpin.
        OSError: the page cannot be written.

    """
    lines = lines_of(matrix)
    columns = matrix.wanted.columns
    page = filled(
        FILES,
        "page.html",
        [data_file(FILES, "lanes.css"), data_file(FILES, "page.css")],
        [data_file(FILES, "lanes.js"), data_file(FILES, "page.js")],
        verdict=text(matrix.verdict.value),
        reason=text(reason(matrix)),
        counts=text(_counts(matrix)),
        kinds="".join(_kinds()),
        policies="".join(policies(columns)),
        head="".join(heads(columns)),
        body="".join(bodies(lines, columns)),
        data=as_json(_data(matrix, lines, folder)),
    )
    path = folder / PAGE
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(path, page)
    return path


def _data(matrix: Matrix, lines: list[MatrixLine], folder: Path) -> dict[str, Any]:
    """Return what cells open."""
    embedded = Embedded()
    hazards = [
        {
            "name": " · ".join(title_of(hazard)),
            "file": hazard.name,
            "summary": plain(hazard.scenario.summary),
            "should": plain(hazard.expected.should),
            "words": plain(hazard.expected.words),
            "source": plain(hazard.expected.source),
            "tags": [f"{kind.symbol} {kind.word} {' '.join(its)}" for kind, its in kinds_of(hazard.scenario).items()],
            "scenario": "\n".join(printable(line) for line in hazard.scenario.text.expandtabs().splitlines()),
        }
        for hazard in matrix.wanted.hazards
    ]
    numbers = {hazard.name: number for number, hazard in enumerate(matrix.wanted.hazards)}
    traces = _Traces(folder, embedded, {column.policy: column.source for column in matrix.wanted.columns})
    cells = []
    for line in lines:
        for cell, column in zip(line.cells, matrix.wanted.columns, strict=bool(line.cells)):
            words = words_of(cell, matrix.wanted.seconds)
            diagram, note, command = traces.of(cell)
            parts = [cell.verdict.value, column.name, cell.timers, *words, note, command]
            cells.append([numbers[cell.hazard], -1 if diagram is None else diagram, *embedded.texts(map(plain, parts))])
    return {"hazards": hazards, "cells": cells} | embedded.value()


class _Traces:
    """The diagrams of the traces that cells name, each made once."""

    def __init__(self, folder: Path, embedded: Embedded, sources: Mapping[str, PolicySource | None]) -> None:
        self.sources = sources
        """The files of policies that are in one: a cell's trace may be that of another column."""
        self.folder = folder / TRACES
        self.embedded = embedded
        self.known: dict[str, tuple[int | None, str, str]] = {}

    def of(self, cell: MatrixCell) -> tuple[int | None, str, str]:
        """Return the number of a cell's diagram or None, what is to be said of it, and the command that replays it."""
        if not cell.trace:
            return None, "", ""
        if cell.trace not in self.known:
            self.known[cell.trace] = self._read(self.folder / cell.trace)
        return self.known[cell.trace]

    def _read(self, path: Path) -> tuple[int | None, str, str]:
        onlookers: list[Onlooker] = []

        def look(engine: SteppedEngine) -> Onlooker:
            onlookers.append(Onlooker(engine))
            return onlookers[0]

        try:
            source = self.sources.get(TraceReader(path).header.policy)
            result = replay(path, source=source, look=look)
        except TraceError as error:
            return None, f"The schedule cannot be shown: {error}", ""
        command = replay_command(str(path), result.policy)
        if result.verdict is Verdict.DIVERGED:
            return None, f"The schedule cannot be shown: {result.reason}", command
        diagram = self.embedded.diagram(diagram_of(result, onlookers[0].found))
        size = f"{result.arrivals:,} arrivals"
        if diagram is None:
            return None, f"The page would become too large with this one ({size}); the command shows it.", command
        return diagram, f"A schedule of {result.policy}, {size}; seed {result.seed}", command


def _counts(matrix: Matrix) -> str:
    """Return how many cells there are of each verdict, and how they were found."""
    verdicts = Counter(cell.verdict for cell in matrix.cells)
    how = Counter(cell.how for cell in matrix.cells)
    parts = [f"{verdicts[verdict]:,} {verdict.value}" for verdict in CellVerdict]
    if missing := matrix.wanted.cells - len(matrix.cells):
        parts.append(f"{missing:,} not reached")
    found = ", ".join(f"{how[each]:,} {each.value}" for each in How)
    return f"{matrix.wanted.cells:,} cells: {', '.join(parts)}. Of those known {found}."


def _kinds() -> Iterator[str]:
    """Yield the kinds of rules, each with its symbol, its name, and its rules."""
    for kind, rules in by_kind((*USES, *ALL_RULES)).items():
        symbol, word = kind
        told = "".join(f"<li><b>{text(rule)}</b> {text(sentence_of(rule))}</li>" for rule in rules)
        yield f'<li><span class="tag"><span aria-hidden="true">{symbol}</span> {word}</span><ul>{told}</ul></li>'
