"""The table of a page: policies across, hazards down, a cell for each, as HTML."""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from typing import NamedTuple

from longpin.actors.policies import find_policy
from longpin.config.hazard import Hazard
from longpin.runner.matrix.cell import CellVerdict, Column, How, MatrixCell
from longpin.runner.matrix.matrix import Matrix
from longpin.runner.report.page.kinds import kind_of, kinds_of
from longpin.runner.report.page.words import SYMBOLS, label_of
from longpin.runner.report.rows import printable

EXPLAINED, SURPRISE = "*", "!"
"""Behind a verdict: it is not as expected, and it is said why, or not."""

HOW = {How.EXPLORED: "", How.INFERRED: "=", How.FOLLOWED: "→"}
"""Behind a verdict: how it was found."""


class MatrixLine(NamedTuple):
    """A hazard with one kind of timers, across all columns."""

    hazard: Hazard
    timers: str
    cells: tuple[MatrixCell, ...]
    """One a column, in their order; none if it was not reached."""


def lines_of(matrix: Matrix) -> list[MatrixLine]:
    """Return the lines of a matrix, those that were not reached included."""
    found = {key: tuple(its) for key, its in groupby(matrix.cells, key=lambda cell: (cell.hazard, cell.timers))}
    return [
        MatrixLine(hazard, timers, found.get((hazard.name, timers), ()))
        for hazard in matrix.wanted.hazards
        for timers in matrix.wanted.timers
    ]


def text(words: str) -> str:
    """Return words as HTML: on one line, nothing hidden, nothing that is markup."""
    return escape(printable(" ".join(words.split())))


def preset_name(column: Column) -> str:
    """Return the preset of a column, with what differs from it."""
    return column.name.removeprefix(f"{column.policy}:")


def title_of(hazard: Hazard) -> tuple[str, str]:
    """Return a hazard's number and its title: ``H8``, ``write that copies``."""
    number, _, rest = hazard.name.partition("-")
    return number, rest.replace("-", " ")


def heads(columns: Sequence[Column]) -> Iterator[str]:
    """Yield the two rows of the table's head."""
    yield '<tr><th class="corner" rowspan="2" scope="col">timers</th>'
    for policy, its in groupby(columns, key=lambda column: column.policy):
        yield f'<th class="policy" scope="colgroup" colspan="{len(list(its))}"><span>{text(policy)}</span></th>'
    yield "</tr><tr>"
    before = None
    for column in columns:
        first = ' class="first"' if column.policy != before else ""
        before = column.policy
        yield f'<th{first} scope="col"><span class="preset">{text(preset_name(column))}</span></th>'
    yield "</tr>"


def bodies(lines: Sequence[MatrixLine], columns: Sequence[Column]) -> Iterator[str]:
    """Yield the rows of the table, a group for each hazard."""
    number, section = 0, None
    for _, group in groupby(lines, key=lambda line: line.hazard.name):
        its = list(group)
        hazard = its[0].hazard
        about = "Uses: what some schedule must show" if hazard.scenario.shows else "Hazards: what no schedule may show"
        width = len(columns) + 1
        if about != section:
            section = about
            yield f'<tbody class="section"><tr><th colspan="{width}"><div class="wide">{about}</div></th></tr></tbody>'
        yield f'<tbody><tr class="title"><th colspan="{width}" scope="rowgroup"><div class="wide">'
        yield from _title(hazard)
        yield "</div></th></tr>"
        for line in its:
            yield f'<tr><th scope="row">{line.timers}</th>'
            before = None
            for place, column in enumerate(columns):
                first = " first" if column.policy != before else ""
                before = column.policy
                if line.cells:
                    yield _cell(line.cells[place], number, column, first)
                    number += 1
                else:
                    yield f'<td class="missing{first}" title="not reached">·</td>'
            yield "</tr>"
        yield "</tbody>"


def policies(columns: Sequence[Column]) -> Iterator[str]:
    """Yield what each policy is, as a list of definitions."""
    for name, its in groupby(columns, key=lambda column: column.policy):
        policy, _ = find_policy(f"{name}:{next(its).preset}")
        alias = f" {text(policy.alias)}" if policy.alias else ""
        yield f"<dt>{text(name)}{alias}</dt><dd>{text(policy.summary)}</dd>"


def tags(hazard: Hazard) -> Iterator[str]:
    """Yield the rules that a hazard is judged by, each kind with its symbol and its name."""
    for (symbol, word), rules in kinds_of(hazard.scenario).items():
        yield f'<span class="tag"><span aria-hidden="true">{symbol}</span> {word} {text(" ".join(rules))}</span>'


def _title(hazard: Hazard) -> Iterator[str]:
    number, title = title_of(hazard)
    expected = hazard.expected
    yield f'<span class="number">{text(number)}</span> <span class="name">{text(title)}</span> '
    yield from tags(hazard)
    yield f'<p class="summary">{text(hazard.scenario.summary)}</p>'
    yield f'<p class="should"><b>Should:</b> {text(expected.should)}</p>'
    yield "<details><summary>the words of the source</summary>"
    yield f"<blockquote>{text(expected.words)}<cite>{text(expected.source)}</cite></blockquote></details>"


def _cell(cell: MatrixCell, number: int, column: Column, first: str) -> str:
    """Return a cell; what it opens is found by its number."""
    mark = "" if cell.expected is not False else EXPLAINED if cell.explained else SURPRISE
    if cell.verdict is CellVerdict.VIOLATED:
        what = f"{kind_of(cell.rule).symbol}{cell.rule}"
    else:
        what = cell.use if cell.verdict is CellVerdict.PROVED else ""
    name = f"{cell.hazard}, {column.name}, {cell.timers} timers: {label_of(cell)}"
    signs = f'<span class="s">{SYMBOLS[cell.verdict]}{mark}</span><span class="r">{text(what)}</span>'
    how = f'<span class="h">{HOW[cell.how]}</span>' if HOW[cell.how] else ""
    return (
        f'<td class="{cell.verdict.value}{first}{" surprise" if mark == SURPRISE else ""}">'
        f'<a id="m{number}" href="#c{number}" aria-label="{text(name)}">{signs}{how}</a></td>'
    )
