"""The command ``longpin matrix``: every hazard under every proposal.

Exit status: 0 every cell is as the documents lead one to expect, or it is said why not; 1 one is not; 2 bad input or a
failure of longpin; 3 none is unexpected, but some are undetermined.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from longpin.runner.commands import startup
from longpin.runner.commands.options import POLICY_METAVAR, begin, common, duration
from longpin.runner.commands.terminal import BadInput, conclude

if TYPE_CHECKING:
    from longpin.runner.matrix.cell import Column
    from longpin.runner.matrix.matrix import Matrix, Shown, WantedMatrix

FOLDER = "longpin-matrix"
"""The folder in which rows, counterexamples and the page are kept, in the working directory."""


@click.command("matrix")
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar=POLICY_METAVAR,
    help="Only this proposal, all of its presets if none is named; again for more. FILE.py:CLASS is loaded.",
)
@click.option("--hazard", "hazards", multiple=True, metavar="H", help="Only this one, such as H8; again for more.")
@click.option(
    "--timers",
    type=click.Choice(["lazy", "racy", "both"]),
    default="both",
    show_default=True,
    help="lazy: time moves only when nothing else can happen; racy: timers may fire any time.",
)
@click.option("--kernel", metavar="K", help="Every proposal on this Linux, such as 6.18, instead of its preset's.")
@click.option(
    "--for", "seconds", type=duration, metavar="TIME", default="60", show_default=True, help="Of one exploration."
)
@click.option("--workers", type=click.IntRange(1, 1024), metavar="N", help="Processes.  [default: usable cores]")
@click.option("--dask", metavar="ADDRESS", help="Work on this dask cluster (pip install 'longpin[dask]').")
@click.option("--sharing/--no-sharing", default=True, help="Do not explore again what answers alike.")
@click.option("--vectors", metavar="POLICY", help="Every parameter vector of this proposal: which survive, as clauses.")
@click.option(
    "--findings", type=click.Path(dir_okay=False), metavar="FILE", help="Write what all of it shows, as Markdown."
)
@click.option(
    "--out", "folder", metavar="DIR", default=FOLDER, show_default=True, help="Where the page and rows are kept."
)
@common
def matrix(
    policies: tuple[str, ...],
    hazards: tuple[str, ...],
    timers: str,
    kernel: str | None,
    seconds: float,
    workers: int | None,
    dask: str | None,
    sharing: bool,
    vectors: str | None,
    findings: str | None,
    folder: str,
    as_json: bool,
) -> None:
    """Explore every hazard under every proposal, and make a page of it.

    A policy that answers every question alike that was asked in an exploration is not explored again. What is done is
    kept in DIR: a run that was interrupted goes on there.
    """
    begin()
    from longpin.config.hazard import hazards_named, load_hazard
    from longpin.runner.commands.ending import require_writable
    from longpin.runner.conclusions import Tabulated
    from longpin.runner.matrix.matrix import WantedMatrix, explore_matrix
    from longpin.runner.pool import default_workers
    from longpin.runner.progress import progress_line

    try:
        names = hazards_named(hazards)
    except ValueError as error:
        raise BadInput(f"--hazard: {error}") from None
    columns = _columns(policies, kernel)
    require_writable(Path(folder), "--out")
    wanted = WantedMatrix(
        [load_hazard(name) for name in names],
        columns,
        ("lazy", "racy") if timers == "both" else ("racy",) if timers == "racy" else ("lazy",),
        seconds,
        sharing,
    )
    if vectors is not None:
        _survey(vectors, wanted, folder, workers, dask, given=bool(policies or kernel or not sharing), as_json=as_json)
    startup.ready("longpin.runner.matrix.row")
    with progress_line("cells") as show:
        if findings is None:
            found = explore_matrix(wanted, folder, workers=workers or default_workers(), dask=dask, show=show)
        else:
            found = _find_out(Path(findings), wanted, folder, workers or default_workers(), dask, show)
    conclude(Tabulated(found), as_json=as_json)


def _find_out(
    file: Path, wanted: "WantedMatrix", folder: str, workers: int, dask: str | None, show: "Shown"
) -> "Matrix":
    """Find out what all of it shows, write that, and return the matrix.

    Raises:
        BadInput: the file cannot be written.
        OSError: it could be, and cannot any more.

    """
    from longpin.runner.commands.ending import require_file
    from longpin.runner.files import replace_file
    from longpin.runner.matrix.findings import find_out
    from longpin.runner.report.findings import lines
    from longpin.runner.shell import command

    require_file(file, "--findings")
    found = find_out(wanted, folder, workers=workers, dask=dask, show=show)
    made_by = command("matrix", *sys.argv[2:])
    replace_file(file, "".join(f"{line}\n" for line in lines(found, made_by)).encode())
    return found.matrix


def _survey(
    policy: str,
    wanted: "WantedMatrix",
    folder: str,
    workers: int | None,
    dask: str | None,
    *,
    given: bool,
    as_json: bool,
) -> NoReturn:
    """Find out which parameter vectors survive, show it, and exit.

    Raises:
        BadInput: there is no such policy, or an option has no meaning here.

    """
    from longpin.runner.conclusions import Vectors
    from longpin.runner.given_policy import read_policy
    from longpin.runner.matrix.survey import survey
    from longpin.runner.pool import default_workers
    from longpin.runner.progress import progress_line

    if given:
        raise BadInput("--vectors is about every setting of one policy: without --policy, --kernel and --no-sharing")
    source, name, preset, parameters = read_policy(policy)
    if parameters or source is not None:
        raise BadInput(f"--vectors: expected a policy that comes with longpin, perhaps with a preset, found {policy!r}")
    startup.ready("longpin.runner.matrix.survey")
    with progress_line("rows") as show:
        found = survey(wanted, name, preset, folder, workers=workers or default_workers(), dask=dask, show=show)
    conclude(Vectors(found), as_json=as_json)


def _columns(policies: tuple[str, ...], kernel: str | None) -> "list[Column]":
    """Return what stands across.

    Raises:
        BadInput: there is no such kernel.
        UsageError: there is no such policy, preset or parameter, or its file cannot be used.

    """
    from longpin.actors.policies.proposal import read_kernel
    from longpin.runner.matrix.cell import all_columns, columns_of

    try:
        parameters = read_kernel(kernel) if kernel is not None else {}
    except ValueError as error:
        raise BadInput(f"--kernel: {error}") from None
    columns = [column for text in policies for column in columns_of(text)] if policies else all_columns()
    return [column.on_kernel(parameters) for column in dict.fromkeys(columns)]
