"""What a matrix shows: a grid for people, and the cells as one JSON object."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from longpin.config.hazard import HOLDS
from longpin.config.pinner import REGION, find_pinner
from longpin.runner.matrix.cell import CellVerdict, How, MatrixCell
from longpin.runner.matrix.matrix import Matrix
from longpin.runner.matrix.survey import Surveyed
from longpin.runner.report.objects import Object
from longpin.runner.report.observation import observation_of_cell
from longpin.runner.shell import command

UNKNOWN, EXPLAINED, SURPRISE = "?", "*", "!"
"""In the grid: not determined; not as expected, and it is said why; not as expected."""

_MOST_SURPRISES = 40


def lines(matrix: Matrix) -> Iterator[str]:
    """Yield the grid, what is not as expected, and how it was found out."""
    yield f"{matrix.verdict.value}: {reason(matrix)}"
    if matrix.wanted.pinner != REGION:
        yield f"The pages are had by {find_pinner(matrix.wanted.pinner).title}."
    yield ""
    yield from _grid(matrix)
    yield ""
    yield f"{HOLDS}: every schedule was explored and breaks no rule; O1 and so on: a schedule violates it"
    yield "shown: a schedule shows the use; none: no schedule does"
    marks = f"{EXPLAINED} not as expected, and explained; {SURPRISE} not as expected; {UNKNOWN} undetermined"
    yield f"/ presets or timers differ; {marks}"
    unknown = [cell for cell in matrix.cells if cell.verdict is CellVerdict.UNDETERMINED]
    for title, cells in (("not as expected", matrix.surprises), ("undetermined", unknown)):
        if cells:
            yield ""
            yield f"{title}:"
        for cell in cells[:_MOST_SURPRISES]:
            wanted = f", expected {cell.wanted}" if cell.wanted else ""
            found = cell.rule or cell.verdict.value
            yield f"  {cell.hazard}, {cell.column}, {cell.timers}: {found}{wanted}: {cell.why}"
        if len(cells) > _MOST_SURPRISES:
            yield f"  and {len(cells) - _MOST_SURPRISES} more"
    yield ""
    how = {how: sum(cell.how is how for cell in matrix.cells) for how in How}
    yield (
        f"{len(matrix.cells):,} of {matrix.wanted.cells:,} cells: {how[How.EXPLORED]:,} explored, "
        f"{how[How.INFERRED]:,} inferred from one that answers alike (at most {matrix.questions} questions), "
        f"{how[How.FOLLOWED]:,} violated by another's counterexample; {matrix.seconds:.1f} s"
    )
    if matrix.resumed:
        yield f"{matrix.resumed} rows were kept by an earlier run in {matrix.folder}"
    if matrix.page:
        yield f"page: {matrix.page}"
    if not matrix.surprises and (shown := _replay(matrix, matrix.cells)):
        yield f"a counterexample: {shown}"


def replay_line(matrix: Matrix) -> str:
    """Return the command that shows the first counterexample that nobody expected; empty: there is none."""
    return _replay(matrix, matrix.surprises)


def _replay(matrix: Matrix, cells: Sequence[MatrixCell]) -> str:
    shown = (cell for cell in cells if cell.verdict is CellVerdict.VIOLATED and cell.trace)
    return next((command("replay", matrix.trace(cell)) for cell in shown), "")


def reason(matrix: Matrix) -> str:
    """Return why the verdict is what it is."""
    if matrix.surprises:
        return f"{len(matrix.surprises)} cells are not as the documents lead one to expect"
    if matrix.interrupted:
        return f"it was interrupted with {len(matrix.cells):,} of {matrix.wanted.cells:,} cells known"
    if matrix.undetermined:
        return f"{matrix.undetermined} of {matrix.wanted.cells:,} cells are undetermined"
    if matrix.wanted.pinner != REGION:
        return (
            f"every cell is known; what the documents expect is told of memory regions, not of {matrix.wanted.pinner}"
        )
    return "every cell is as the documents lead one to expect, or it is said why not"


def _grid(matrix: Matrix) -> Iterator[str]:
    policies = list(dict.fromkeys(column.policy for column in matrix.wanted.columns))
    rows = [["", *policies]]
    for hazard, cells in groupby(matrix.cells, key=lambda cell: cell.hazard):
        its = list(cells)
        rows.append([hazard, *(_summary([cell for cell in its if cell.policy == policy]) for policy in policies)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(policies) + 1)]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def _summary(cells: Sequence[MatrixCell]) -> str:
    """Return what the cells of a policy have come to, each thing once."""
    return "/".join(dict.fromkeys(_sign(cell) for cell in cells))


def _sign(cell: MatrixCell) -> str:
    if cell.verdict is CellVerdict.UNDETERMINED:
        return UNKNOWN
    mark = "" if cell.expected is not False else EXPLAINED if cell.explained else SURPRISE
    violated = cell.verdict is CellVerdict.VIOLATED
    if cell.use:
        return ("none" if violated else "shown") + mark
    return (cell.rule if violated else HOLDS) + mark


def as_object(matrix: Matrix) -> Object:
    """Return what ``matrix`` prints as JSON."""
    return matrix_object(
        matrix,
        cells=[_cell(matrix, cell) for cell in matrix.cells],
        wanted=matrix.wanted.cells,
        pinner=matrix.wanted.pinner,
        undetermined=matrix.undetermined,
        not_as_expected=len(matrix.surprises),
        questions=matrix.questions,
        page=matrix.page or None,
    )


def matrix_object(found: Matrix | Surveyed, **its: object) -> Object:
    """Return an object with every key that ``matrix`` prints; those that ``its`` leaves out are null."""
    nothing = ("cells", "wanted", "pinner", "undetermined", "not_as_expected", "questions", "page", "vectors")
    return {
        "verdict": found.verdict.value,
        "reason": reason(found) if isinstance(found, Matrix) else its.pop("reason"),
        **dict.fromkeys(nothing),
        **its,
        "explorations": found.explorations,
        "resumed_rows": found.resumed,
        "interrupted": found.interrupted,
        "folder": found.folder,
        "not_kept": found.not_kept or None,
        "seconds": round(found.seconds, 3),
    }


def _cell(matrix: Matrix, cell: MatrixCell) -> Object:
    return {
        "policy": cell.policy,
        "preset": cell.preset,
        "hazard": cell.hazard,
        "timers": cell.timers,
        "verdict": cell.verdict.value,
        "use": cell.use or None,
        "rule": cell.rule or None,
        "what": cell.why or None,
        "wanted": cell.wanted or None,
        "expected": cell.expected,
        "explanation": cell.explained or None,
        "explored": cell.explored,
        "how": cell.how.value,
        "origin": cell.origin or None,
        "executions": cell.executions,
        "states": cell.states or None,
        "trace": matrix.trace(cell) or None,
        "observation": str(observation_of_cell(cell)),
    }
