"""MatrixFindings: what a whole matrix says, beyond its cells."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, cycle
from typing import NamedTuple

from longpin.config.hazard import HOLDS, is_named, load_hazard
from longpin.config.readings import DisputedQuestion, disputed_questions
from longpin.runner.matrix.cell import CellVerdict, Column, MatrixCell, columns_of
from longpin.runner.matrix.matrix import Matrix, Shown, WantedMatrix, explore_matrix
from longpin.runner.matrix.survey import Surveyed, survey

POSTED, INTENDED = "as_posted", "intended"

SURVEYED = ("P2", "P3", "P4", "P5")
"""Whose parameter vectors are gone through; those of P6 to P9 are many and take longer: ``--vectors`` does it."""

MOST_TOGETHER = 3
"""Sets of so many rows at most are looked at for what no policy satisfies together."""


@dataclass(frozen=True, slots=True)
class Readings:
    """What running each reading of a question shows."""

    question: DisputedQuestion
    matrix: Matrix | None
    """None: nothing was run."""


@dataclass(frozen=True, slots=True)
class MatrixFindings:
    """Everything that is found out."""

    matrix: Matrix
    readings: list[Readings]
    surveys: list[Surveyed]

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended a part of it; nothing was begun after that."""
        matrices = [self.matrix, *(each.matrix for each in self.readings if each.matrix is not None)]
        return any(each.interrupted for each in matrices) or any(each.interrupted for each in self.surveys)


class PresetDifference(NamedTuple):
    """A row in which what was posted does otherwise than what was meant."""

    posted: MatrixCell
    intended: MatrixCell


def find_out(
    wanted: WantedMatrix, folder: str, *, workers: int = 1, dask: str | None = None, show: Shown | None = None
) -> MatrixFindings:
    """Explore the matrix, every reading of every question, and every parameter vector of each policy.

    Args:
        wanted: the matrix; its hazards and bounds are those of the rest, and its timers but for the vectors, which have
            the first kind alone.
        folder: where everything is kept. What an earlier run has kept there is not done again.
        workers: processes, a row each.
        dask: the address of a dask cluster that does the work.
        show: told after each row.

    Raises:
        As :func:`~longpin.runner.matrix.matrix.explore_matrix`.

    """
    matrix = explore_matrix(wanted, folder, workers=workers, dask=dask, show=show)
    found = MatrixFindings(matrix, [], [])
    names = [hazard.name for hazard in wanted.hazards]
    for question in disputed_questions():
        rows = [name for name in names if is_named(name, question.hazards)]
        columns = [columns_of(reading.policy)[0] for reading in question.readings]
        asked = replace(wanted, hazards=[load_hazard(name) for name in rows], columns=columns)
        its = explore_matrix(asked, folder, workers=workers, dask=dask) if rows and not found.interrupted else None
        found.readings.append(Readings(question, its))
    for policy in SURVEYED:
        if any(column.policy == policy for column in wanted.columns) and not found.interrupted:
            asked = replace(wanted, timers=wanted.timers[:1])
            its_vectors = survey(asked, policy, INTENDED, folder, workers=workers, dask=dask, show=show)
            found.surveys.append(its_vectors)
    return found


def preset_differences(matrix: Matrix) -> Iterator[PresetDifference]:
    """Yield where what was posted and what was meant come to different verdicts."""
    cells = {(column, cell.hazard, cell.timers): cell for column, cell in by_column(matrix)}
    for column, cell in by_column(matrix):
        if column.preset == POSTED:
            meant = cells.get((column._replace(preset=INTENDED), cell.hazard, cell.timers))
            if meant is not None and cell.found and meant.found and cell.found != meant.found:
                yield PresetDifference(cell, meant)


def own_failures(matrix: Matrix) -> Iterator[MatrixCell]:
    """Yield where a proposal as it was meant violates a rule."""
    for column, cell in by_column(matrix):
        if column.preset == INTENDED and cell.verdict is CellVerdict.VIOLATED and not cell.use:
            yield cell


def deviations(matrix: Matrix) -> Iterator[MatrixCell]:
    """Yield what is not as the documents lead one to expect, explained or not."""
    for cell in matrix.cells:
        if cell.expected is False:
            yield cell


def never_together(matrix: Matrix) -> list[tuple[str, ...]]:
    """Return the smallest sets of rows of which every column violates one; what is not determined may be satisfied."""
    rows = list(dict.fromkeys(cell.hazard for cell in matrix.cells))
    failed = {(cell.hazard, its) for its, cell in by_column(matrix) if cell.verdict is CellVerdict.VIOLATED}
    good = {row: frozenset(its for its in matrix.wanted.columns if (row, its) not in failed) for row in rows}
    found: list[tuple[str, ...]] = []
    for size in range(1, MOST_TOGETHER + 1):
        for some in combinations(rows, size):
            if any(set(smaller) <= set(some) for smaller in found):
                continue
            if not frozenset.intersection(*(good[row] for row in some)):
                found.append(some)
    return found


def satisfied_most(matrix: Matrix) -> list[tuple[str, int, int]]:
    """Return how many rows each column satisfies, and of how many it is not known, best first."""
    verdicts: dict[Column, dict[str, set[CellVerdict]]] = {}
    for column, cell in by_column(matrix):
        verdicts.setdefault(column, {}).setdefault(cell.hazard, set()).add(cell.verdict)
    counts = []
    for column, rows in verdicts.items():
        good = sum(its == {CellVerdict.PROVED} for its in rows.values())
        unknown = sum(CellVerdict.UNDETERMINED in its and CellVerdict.VIOLATED not in its for its in rows.values())
        counts.append((column.name, good, unknown))
    return sorted(counts, key=lambda count: -count[1])


def by_column(matrix: Matrix) -> Iterator[tuple[Column, MatrixCell]]:
    """Yield the cells with their columns: a row may run on a kernel of its own, which its cells name."""
    return zip(cycle(matrix.wanted.columns), matrix.cells, strict=False)


def verdict_words(cell: MatrixCell) -> str:
    """Return what a cell comes to, in a word: ``holds``, ``O1``, ``shown``, ``shown by none``, ``undetermined``."""
    if cell.verdict is CellVerdict.UNDETERMINED:
        return cell.verdict.value
    violated = cell.verdict is CellVerdict.VIOLATED
    if cell.use:
        return "shown by none" if violated else "shown"
    return cell.rule if violated else HOLDS
