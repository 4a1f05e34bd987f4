"""``docs/findings.md``: what a whole matrix shows, as Markdown, each with the command that shows it."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

from longpin.runner.matrix.cell import MatrixCell
from longpin.runner.matrix.findings import (
    MatrixFindings,
    Readings,
    deviations,
    never_together,
    own_failures,
    preset_differences,
    satisfied_most,
    verdict_words,
)
from longpin.runner.matrix.survey import Surveyed
from longpin.runner.report.survey import clause, counts
from longpin.runner.shell import command

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


def lines(found: MatrixFindings, made_by: str) -> Iterator[str]:
    """Yield the lines of the file.

    Args:
        found: what was found out.
        made_by: the command that made it.

    """
    matrix = found.matrix
    yield "# Findings"
    yield ""
    size = f"{len(matrix.cells):,} cells, {matrix.explorations:,} explorations, {matrix.undetermined} undetermined"
    yield f"Made by `{made_by}`: {size}. A command below shows what its line says; its exit status is 1 where a"
    yield "rule is violated. `holds` is a proof within the bounds that the command prints."
    if found.interrupted:
        yield "**It was interrupted: what follows is what was known by then.**"
    yield ""
    yield from _satisfied(found)
    yield from _presets(found)
    yield from _own(found)
    yield from _deviations(found)
    yield from _readings(found.readings)
    yield from _clauses(found.surveys)
    yield from _together(found)


def _satisfied(found: MatrixFindings) -> Iterator[str]:
    rows = len(found.matrix.wanted.hazards)
    yield "## Who satisfies how much"
    yield ""
    yield f"Of {rows} rows, hazards and uses, with every kind of timers that was asked for."
    yield ""
    yield "| proposal | satisfied | not known |"
    yield "|---|---|---|"
    for column, good, unknown in satisfied_most(found.matrix):
        yield f"| {column} | {good} | {unknown or ''} |"
    yield ""


def _presets(found: MatrixFindings) -> Iterator[str]:
    yield "## Where what was posted is not what was meant"
    yield ""
    yield "| proposal | hazard | as posted | intended | timers | command |"
    yield "|---|---|---|---|---|---|"
    differences = list(preset_differences(found.matrix))
    for (policy, hazard, posted, meant), some in _grouped(
        differences,
        lambda each: (
            each.posted.policy,
            each.posted.hazard,
            verdict_words(each.posted),
            verdict_words(each.intended),
        ),
    ):
        timers = [each.posted.timers for each in some]
        yield f"| {policy} | {hazard} | {posted} | {meant} | {', '.join(timers)} | {_explore(some[0].posted)} |"
    yield ""


def _own(found: MatrixFindings) -> Iterator[str]:
    yield "## Where a proposal as it was meant breaks a rule"
    yield ""
    yield "| proposal | hazard | rule | timers | what happens | command |"
    yield "|---|---|---|---|---|---|"
    for (policy, hazard, rule), some in _grouped(
        own_failures(found.matrix), lambda cell: (cell.policy, cell.hazard, cell.rule)
    ):
        timers = ", ".join(cell.timers for cell in some)
        yield f"| {policy} | {hazard} | {rule} | {timers} | {_text(some[0].why)} | {_explore(some[0])} |"
    yield ""


def _deviations(found: MatrixFindings) -> Iterator[str]:
    yield "## Where what is found is not what the documents lead one to expect"
    yield ""
    told = list(deviations(found.matrix))
    if not told:
        yield "Nowhere."
        yield ""
        return
    for (hazard, wanted, words, why), some in _grouped(
        told, lambda cell: (cell.hazard, cell.wanted, verdict_words(cell), cell.explained)
    ):
        cells = ", ".join(dict.fromkeys(f"{cell.column} ({cell.timers})" for cell in some))
        reason = why or "**Nobody says why.**"
        yield f"* **{hazard}**, {cells}: expected {wanted}, found {words}. {reason} {_explore(some[0])}"
    yield ""


def _readings(readings: Sequence[Readings]) -> Iterator[str]:
    yield "## Where the documents disagree, and what running each reading shows"
    yield ""
    for number, each in enumerate(readings, 1):
        yield f"{number}. **{each.question.asks}** ({each.question.source})"
        if each.matrix is None:
            yield f"   {each.question.why or 'Nothing of this was run.'}"
            yield ""
            continue
        yield ""
        cells = {(cell.column, cell.hazard, cell.timers): cell for cell in each.matrix.cells}
        rows = dict.fromkeys((cell.hazard, cell.timers) for cell in each.matrix.cells)
        columns = list(dict.fromkeys(cell.column for cell in each.matrix.cells))
        says = [reading.says for reading in each.question.readings]
        words = {row: [verdict_words(cells[column, *row]) for column in columns] for row in rows}
        differing = {row: its for row, its in words.items() if len(set(its)) > 1}
        if differing:
            headings = " | ".join(f"{said} (`{column}`)" for said, column in zip(says, columns, strict=True))
            yield f"   | row | timers | {headings} |"
            yield "   |---|---|" + "---|" * len(columns)
        for (hazard, timers), its in differing.items():
            yield f"   | {hazard} | {timers} | {' | '.join(its)} |"
        yield ""
        yield f"   The other {len(rows) - len(differing)} of {len(rows)} come to the same. {_matrix(each)}"
        yield ""


def _clauses(surveys: Sequence[Surveyed]) -> Iterator[str]:
    yield "## Which settings survive"
    yield ""
    yield "Every vector of a proposal's own parameters, and of those of the kernel that make a difference. A clause"
    yield "says what a vector must be, and what happens if it is not."
    yield f"Timers: {', '.join(dict.fromkeys(timers for each in surveys for timers in each.wanted.timers))}."
    yield ""
    for each in surveys:
        its = counts(each)
        fates = f"{its.surviving:,} survive every hazard, {its.failing:,} do not, {its.unknown:,} undetermined"
        yield f"**{each.space.policy}**: of {its.vectors:,} vectors {fates} ({each.explorations:,} explorations)."
        timers = each.wanted.timers[0] if len(each.wanted.timers) == 1 else "both"
        yield f"`{command('matrix', '--vectors', each.space.policy, '--timers', timers)}`"
        yield ""
        for cell in each.lost:
            yield f"* no vector survives {cell.hazard}: {cell.rule}. {_explore(cell)}"
        survive = "to survive the others" if each.lost else "to survive"
        for title, cubes in ((survive, each.clauses), ("to show every use", each.useless)):
            for cube in cubes:
                cell = cube.cell
                yield f"* {title}: `{clause(each, cube)}`, else {cell.hazard}: {cell.rule}. {_explore(cell)}"
        yield ""


def _together(found: MatrixFindings) -> Iterator[str]:
    yield "## What no proposal satisfies together"
    yield ""
    sets = never_together(found.matrix)
    if not sets:
        yield "Every three rows are satisfied together by some proposal."
    for some in sets:
        yield f"* {', '.join(some)}"
    yield ""


def _grouped(items: Iterable[T], key: Callable[[T], K]) -> Iterator[tuple[K, list[T]]]:
    """Yield what has the same key, in the order in which keys first appear."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return iter(groups.items())


def _explore(cell: MatrixCell) -> str:
    timers = ["--timers", "racy"] if cell.timers == "racy" else []
    return f"`{command('explore', cell.hazard, '--policy', cell.column, *timers)}`"


def _matrix(readings: Readings) -> str:
    assert readings.matrix is not None
    columns = [word for column in readings.matrix.wanted.columns for word in ("--policy", column.name)]
    hazards = [word for hazard in readings.question.hazards for word in ("--hazard", hazard)]
    return f"`{command('matrix', *hazards, *columns)}`"


def _text(text: str) -> str:
    return text.replace("|", "\\|")
