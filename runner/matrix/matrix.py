"""The matrix: every hazard under every proposal, row by row, on several cores, going on where it was left."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from longpin.config.hazard import Hazard
from longpin.config.pinner import REGION
from longpin.runner.exploration.budget import memory_allowed
from longpin.runner.matrix.cell import CellVerdict, Column, MatrixCell
from longpin.runner.matrix.interrupts import noted_interrupts
from longpin.runner.matrix.row import Files, RowResult, RowTask, explore_row
from longpin.runner.matrix.store import TRACES, MatrixFolder
from longpin.runner.pool import in_order, open_executor
from longpin.runner.result import Verdict

Timers = Literal["lazy", "racy"]

Shown = Callable[[int, float, str], object]
"""Takes how many cells are done, how many there are, and which row was done last."""


@dataclass(frozen=True, slots=True)
class WantedMatrix:
    """Which cells are asked for, and what may be spent on each."""

    hazards: Sequence[Hazard]
    columns: Sequence[Column]
    timers: Sequence[Timers] = ("lazy", "racy")
    seconds: float | None = 60.0
    """For one exploration; None: as long as it takes."""
    sharing: bool = True
    """False: every cell is explored itself."""
    pinner: str = REGION
    """Who has the pages: a memory region, or another pinner in its place."""

    @property
    def cells(self) -> int:
        """How many there are."""
        return len(self.hazards) * len(self.columns) * len(self.timers)


@dataclass(slots=True)
class Matrix:
    """What was found."""

    verb: ClassVar[str] = "matrix"

    wanted: WantedMatrix
    folder: str
    cells: list[MatrixCell] = field(default_factory=list)
    """Row by row."""
    explorations: int = 0
    questions: int = 0
    """How many questions a policy and its kernel were asked in the exploration with the most."""
    resumed: int = 0
    """Rows that were kept by an earlier run."""
    interrupted: bool = False
    seconds: float = 0.0
    page: str = ""
    """The file with the page; empty: none was written."""
    not_kept: str = ""
    """What could not be written, one line."""

    def trace(self, cell: MatrixCell) -> str:
        """Return the file with the counterexample of a cell, or with the schedule that shows a use; empty: none."""
        return str(Path(self.folder) / TRACES / cell.trace) if cell.trace else ""

    @property
    def surprises(self) -> list[MatrixCell]:
        """The cells that are determined, not as the documents lead one to expect, and of which nobody says why."""
        return [cell for cell in self.cells if cell.found and cell.expected is False and not cell.explained]

    @property
    def undetermined(self) -> int:
        """How many cells are not known, those that were not reached included."""
        known = sum(cell.verdict is not CellVerdict.UNDETERMINED for cell in self.cells)
        return self.wanted.cells - known

    @property
    def verdict(self) -> Verdict:
        """Holds: every cell is as expected, or it is said why not. Violated: one is not."""
        if self.surprises:
            return Verdict.VIOLATED
        return Verdict.UNDETERMINED if self.undetermined else Verdict.HOLDS


def explore_matrix(
    wanted: WantedMatrix,
    folder: str | os.PathLike[str],
    *,
    workers: int = 1,
    executor: Executor | None = None,
    dask: str | None = None,
    show: Shown | None = None,
    waiting: Callable[[], object] | None = None,
) -> Matrix:
    """Explore what is wanted, row by row; Ctrl-C ends it with what is known.

    Args:
        wanted: which cells.
        folder: where rows and counterexamples are kept. What an earlier run has kept there is not done again.
        workers: processes, a row each.
        executor: who does the work instead.
        dask: the address of a dask cluster that does.
        show: told after each row.
        waiting: called every 0.1 s while a row is waited for.

    Raises:
        InternalError: a bug in longpin.
        PolicyError: a policy, a class in a file, does what no policy may.
        PoolError: there are no workers.
        OSError: the folder cannot be written.

    """
    started = time.monotonic()
    kept = MatrixFolder(folder)
    matrix = Matrix(wanted, os.fspath(folder))
    tasks = tasks_of(wanted, kept, workers)
    done = {number: row for number, task in enumerate(tasks) if (row := kept.find(RowResult, task)) is not None}
    matrix.resumed = len(done)
    left = [number for number in range(len(tasks)) if number not in done]
    left.sort(key=lambda number: tasks[number].timers != "racy")  # they take longest: none is to be the last

    def tell(name: str) -> None:
        if show is not None:
            show(sum(len(row.cells) for row in done.values()), wanted.cells, name)

    try:
        with noted_interrupts() as check:
            for number, result in zip(left, _results(tasks, left, workers, executor, dask, waiting), strict=True):
                check()
                done[number], files = result
                kept.keep(tasks[number], done[number], files)
                tell(tasks[number].name)
    except KeyboardInterrupt:
        matrix.interrupted = True
    for number in sorted(done):
        row = done[number]
        matrix.cells += row.cells
        matrix.explorations += row.explorations
        matrix.questions = max(matrix.questions, row.questions)
    matrix.seconds = time.monotonic() - started
    return matrix


def tasks_of(wanted: WantedMatrix, kept: MatrixFolder, workers: int) -> list[RowTask]:
    """Return the rows that are wanted."""
    stored = kept.counterexamples() if wanted.sharing else {}
    memory = memory_allowed() // max(workers, 1)
    return [
        RowTask(
            hazard.scenario.text,
            hazard.scenario.filename,
            hazard.expected,
            timers,
            tuple(wanted.columns),
            wanted.seconds,
            memory,
            wanted.sharing,
            tuple(stored.get(hazard.name, ())),
            wanted.pinner,
        )
        for hazard in wanted.hazards
        for timers in wanted.timers
    ]


def _results(
    tasks: Sequence[RowTask],
    left: Sequence[int],
    workers: int,
    executor: Executor | None,
    dask: str | None,
    waiting: Callable[[], object] | None,
) -> Iterator[tuple[RowResult, Files]]:
    """Yield the results of the rows that are left, in their order."""
    jobs = [tasks[number] for number in left]
    if executor is not None:
        yield from in_order(executor, explore_row, jobs, ahead_of(workers), waiting)
    elif jobs:
        with open_executor(workers, dask) as own:
            yield from in_order(own, explore_row, jobs, ahead_of(workers), waiting)


def ahead_of(workers: int) -> int:
    """Return how many rows are handed out before they are asked for; this process alone does one at a time."""
    return 2 * workers if workers > 1 else 1
