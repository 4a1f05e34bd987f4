"""Surveys: every parameter vector of a policy against every hazard, row by row, on several cores."""

import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

from longpin.runner.matrix.cell import CellVerdict, MatrixCell
from longpin.runner.matrix.interrupts import noted_interrupts
from longpin.runner.matrix.matrix import Shown, WantedMatrix, ahead_of, tasks_of
from longpin.runner.matrix.row import Files, MatrixRow, RowTask
from longpin.runner.matrix.store import TRACES, MatrixFolder
from longpin.runner.matrix.vectors import Cube, Survey, VectorRegion, VectorSpace, settle
from longpin.runner.pool import in_order, open_executor
from longpin.runner.result import Verdict


class SurveyTask(NamedTuple):
    """A row that is to be explored for every vector; it can be sent elsewhere."""

    row: RowTask
    policy: str
    preset: str


@dataclass(frozen=True, slots=True)
class SurveyRow:
    """What came of it."""

    regions: tuple[VectorRegion, ...]
    explorations: int


@dataclass(slots=True)
class Surveyed:
    """What is known of every vector of a policy."""

    verb: ClassVar[str] = "matrix"

    wanted: WantedMatrix
    space: VectorSpace
    folder: str
    hazards: Survey
    """Of the hazards."""
    uses: Survey
    """Of the uses."""
    rows: int = 0
    """How many rows are known."""
    explorations: int = 0
    resumed: int = 0
    """Rows that were kept by an earlier run."""
    interrupted: bool = False
    seconds: float = 0.0
    not_kept: str = ""
    lost: list[MatrixCell] = field(default_factory=list)
    """A counterexample of each row that no vector survives."""
    clauses: list[Cube] = field(default_factory=list)
    """What no vector may be that survives the others."""
    useless: list[Cube] = field(default_factory=list)
    """What no vector may be that shows every use."""

    @property
    def wanted_rows(self) -> int:
        """How many rows there are."""
        return len(self.wanted.hazards) * len(self.wanted.timers)

    @property
    def complete(self) -> bool:
        """Whether every row is known."""
        return self.rows == self.wanted_rows

    def trace(self, cell: MatrixCell) -> str:
        """Return the file with the counterexample of a cell; empty: there is none."""
        return str(Path(self.folder) / TRACES / cell.trace) if cell.trace else ""

    @property
    def verdict(self) -> Verdict:
        """Holds: it is known of every vector whether it survives; violated is no outcome of a survey."""
        known = not any(self.hazards.with_verdict(CellVerdict.UNDETERMINED).values())
        return Verdict.HOLDS if self.complete and known else Verdict.UNDETERMINED


def survey_row(task: SurveyTask) -> tuple[SurveyRow, Files]:
    """Explore a row for every vector; return what came of it, and the files that belong to it.

    Raises:
        InternalError: a bug in longpin.

    """
    space = VectorSpace(task.policy, task.preset)
    with tempfile.TemporaryDirectory(prefix="longpin-") as folder:
        row = MatrixRow(task.row, Path(folder))
        regions = tuple(settle(space, row))
        return SurveyRow(regions, row.explorations), row.files()


def survey(
    wanted: WantedMatrix,
    policy: str,
    preset: str,
    folder: str | os.PathLike[str],
    *,
    workers: int = 1,
    dask: str | None = None,
    show: Shown | None = None,
) -> Surveyed:
    """Find out which vectors of a policy survive every hazard; Ctrl-C ends it with what is known.

    Args:
        wanted: the hazards, the timers, and what may be spent on each exploration.
        policy: its name.
        preset: whose kernel is the usual one.
        folder: where rows and counterexamples are kept. What an earlier run has kept there is not done again.
        workers: processes, a row each.
        dask: the address of a dask cluster that does the work.
        show: told after each row.

    Raises:
        InternalError: a bug in longpin.
        PoolError: there are no workers.
        OSError: the folder cannot be written.

    """
    started = time.monotonic()
    kept = MatrixFolder(folder)
    tasks = [SurveyTask(task, policy, preset) for task in tasks_of(wanted, kept, workers)]
    what = f"{policy}:{preset}"
    done = {
        number: row for number, task in enumerate(tasks) if (row := kept.find(SurveyRow, task.row, what)) is not None
    }
    space = VectorSpace(policy, preset)
    found = Surveyed(wanted, space, os.fspath(folder), Survey(space), Survey(space))
    found.resumed = len(done)
    left = [number for number in range(len(tasks)) if number not in done]
    try:
        with noted_interrupts() as check, open_executor(workers, dask) as executor:
            results = in_order(executor, survey_row, [tasks[number] for number in left], ahead_of(workers))
            for number, (row, files) in zip(left, results, strict=True):
                check()
                kept.keep(tasks[number].row, row, files, what)
                done[number] = row
                if show is not None:
                    show(len(done), len(tasks), tasks[number].row.name)
    except KeyboardInterrupt:
        found.interrupted = True
    for number, row in sorted(done.items()):
        its = found.uses if wanted.hazards[number // len(wanted.timers)].scenario.shows else found.hazards
        its.regions += row.regions
        found.explorations += row.explorations
    found.rows = len(done)
    found.lost = found.hazards.lost()
    found.clauses, found.useless = found.hazards.without(found.lost).clauses(), found.uses.clauses()
    found.seconds = time.monotonic() - started
    return found
