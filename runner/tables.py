"""The public interface to the matrix: every hazard under every proposal, and every setting of one.

Import it as ``from longpin import api``, as :mod:`longpin.runner.api`. Each function imports what it needs when called.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from longpin.config.pinner import REGION, find_pinner, pinner_names
from longpin.runner.conclusions import Tabulated, Vectors
from longpin.runner.usage import (
    UsageError,
    names_of,
    require_called,
    require_one_of,
    require_seconds,
    require_whole,
)

if TYPE_CHECKING:
    from longpin.runner.matrix.cell import Column
    from longpin.runner.matrix.findings import MatrixFindings
    from longpin.runner.matrix.matrix import Matrix, WantedMatrix

FOLDER = "longpin-matrix"
"""Where rows, counterexamples and the page are kept if nothing says where."""

SECONDS = 60.0
"""How long one exploration may take if nothing says how long."""

BOTH = ("lazy", "racy")
TIMERS = ("lazy", "racy", "both")


def matrix(
    hazards: Iterable[str] = (),
    policies: Iterable[str] = (),
    *,
    timers: Literal["lazy", "racy", "both"] = "both",
    kernel: str | None = None,
    seconds: float | None = SECONDS,
    sharing: bool = True,
    pinner: str = REGION,
    folder: str | os.PathLike[str] = FOLDER,
    workers: int = 1,
    dask: str | None = None,
    show: Callable[[int, float, str], object] | None = None,
) -> Tabulated:
    """Explore hazards under proposals, keep what is found, and write the page.

    Args:
        hazards: numbers such as ``H8``, or names of variants; none: all.
        policies: as on the command line; a name alone is all of its presets. None: every preset of every proposal.
        timers: ``lazy``, ``racy``, or both.
        kernel: every proposal on this Linux, such as ``6.18``; None: on that of its preset.
        seconds: of one exploration; None: as long as it takes.
        sharing: do not explore again what answers alike.
        pinner: who has the pages, ``mr`` or another in its place: see ``config/pinners``.
        folder: where rows, counterexamples and the page are kept; what is there already is not done again.
        workers: processes, a row each; with more than one a script needs ``if __name__ == "__main__":``.
        dask: the address of a dask cluster that does the work.
        show: called after each row with the cells that are done, how many there are, and the row.

    Raises:
        UsageError: there is no such hazard, policy, preset, parameter, kernel or pinner, or an argument has no meaning.
        PolicyError: a policy, a class in a file, does what no policy may.
        PoolError: there are no workers.
        OSError: the folder cannot be written.
        InternalError: a bug in longpin.

    """
    wanted = wanted_matrix(hazards, policies, timers, kernel, seconds, sharing=sharing, pinner=pinner)
    return explore(wanted, folder, workers=workers, dask=dask, show=show)


def vectors(
    policy: str,
    hazards: Iterable[str] = (),
    *,
    timers: Literal["lazy", "racy", "both"] = "both",
    seconds: float | None = SECONDS,
    folder: str | os.PathLike[str] = FOLDER,
    workers: int = 1,
    dask: str | None = None,
    show: Callable[[int, float, str], object] | None = None,
) -> Vectors:
    """Find out which parameter vectors of a proposal survive every hazard.

    Args:
        policy: its name, perhaps with the preset whose kernel and dialect are meant.
        hazards: as for :func:`matrix`, and so are the others; ``show`` is told of rows.
        timers: which.
        seconds: of one exploration.
        folder: where rows and counterexamples are kept.
        workers: processes.
        dask: the address of a dask cluster.
        show: called after each row.

    Raises:
        UsageError: there is no such policy or hazard, or an argument has no meaning.
        PoolError, OSError, InternalError: as for :func:`matrix`.

    """
    from longpin.runner.given_policy import read_policy

    source, name, preset, parameters = read_policy(policy)
    if parameters or source is not None:
        raise UsageError(
            "{}: ", "vectors", why=f"expected a policy that comes with longpin, perhaps with a preset, found {policy!r}"
        )
    wanted = wanted_matrix(hazards, [f"{name}:{preset}"], timers, None, seconds, sharing=True)
    _check_work(workers, show)
    from longpin.runner.matrix.survey import survey

    return Vectors(survey(wanted, name, preset, folder, workers=workers, dask=dask, show=show))


def explore(
    wanted: "WantedMatrix",
    folder: str | os.PathLike[str],
    *,
    workers: int = 1,
    dask: str | None = None,
    show: Callable[[int, float, str], object] | None = None,
) -> Tabulated:
    """Explore the cells that are asked for, and write the page.

    Raises:
        As :func:`matrix`.

    """
    _check_work(workers, show)
    from longpin.runner.matrix.matrix import explore_matrix

    return _with_page(explore_matrix(wanted, folder, workers=workers, dask=dask, show=show))


def findings(
    wanted: "WantedMatrix",
    folder: str | os.PathLike[str],
    *,
    workers: int = 1,
    dask: str | None = None,
    show: Callable[[int, float, str], object] | None = None,
) -> "MatrixFindings":
    """Explore a matrix, each reading of what the documents disagree about, and the parameters of each proposal.

    Raises:
        As :func:`matrix`.

    """
    from longpin.runner.matrix.findings import find_out

    found = find_out(wanted, os.fspath(folder), workers=workers, dask=dask, show=show)
    _with_page(found.matrix)
    return found


def _with_page(found: "Matrix") -> Tabulated:
    """Write the page of a matrix beside its rows; what cannot be written is told by ``not_kept``."""
    from longpin.runner.report.page import write_page

    try:
        found.page = str(write_page(found, Path(found.folder)))
    except OSError as error:
        found.not_kept = f"{error.filename or found.folder}: cannot be written: {error.strerror or error}"
    return Tabulated(found)


def wanted_matrix(
    hazards: Iterable[str],
    policies: Iterable[str],
    timers: str,
    kernel: str | None,
    seconds: float | None,
    *,
    sharing: bool,
    pinner: str = REGION,
) -> "WantedMatrix":
    """Return which cells are asked for; the uses are those of a memory region, so another pinner has none.

    Raises:
        UsageError: there is no such hazard, policy, preset, parameter, kernel or pinner, or an argument has no meaning.

    """
    require_one_of("pinner", pinner, pinner_names())
    require_one_of("timers", timers, TIMERS)
    require_seconds("seconds", seconds)
    asked, given = names_of("hazards", hazards), names_of("policies", policies)
    from longpin.config.hazard import hazards_named, load_hazard
    from longpin.runner.matrix.matrix import WantedMatrix

    try:
        names = hazards_named(asked)
    except ValueError as error:
        raise UsageError("{}: ", "hazards", why=str(error)) from None
    if pinner != REGION:
        names = _told_with(pinner, names)
    columns = _columns(given, _kernel(kernel))
    chosen: Any = BOTH if timers == "both" else (timers,)
    return WantedMatrix([load_hazard(name) for name in names], columns, chosen, seconds, sharing, pinner)


def _told_with(pinner: str, names: Iterable[str]) -> list[str]:
    """Return the hazards that can be told with another pinner than a memory region."""
    from longpin.config.hazard import load_hazard

    untold = dict(find_pinner(pinner).untold)
    untold |= {name: "a use is that of a memory region" for name in names if load_hazard(name).scenario.shows}
    told = [name for name in names if name not in untold]
    if not told:
        raise UsageError("{}: ", "pinner", why="; ".join(f"{name}: {untold[name]}" for name in names))
    return told


def _columns(policies: Iterable[str], kernel: Mapping[str, Any]) -> "list[Column]":
    from longpin.runner.matrix.cell import all_columns, columns_of

    columns = [column for text in policies for column in columns_of(text)] or all_columns()
    return [column.on_kernel(kernel) for column in dict.fromkeys(columns)]


def _kernel(kernel: str | None) -> Mapping[str, Any]:
    from longpin.actors.policies.proposal import read_kernel

    try:
        return read_kernel(kernel) if kernel is not None else {}
    except ValueError as error:
        raise UsageError("{}: ", "kernel", why=str(error)) from None


def _check_work(workers: int, show: object) -> None:
    require_whole("workers", workers, 1)
    require_called("show", show)
