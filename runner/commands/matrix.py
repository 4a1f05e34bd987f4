"""The command ``longpin matrix``: every hazard under every proposal.

Exit status: 0 every cell is as the documents lead one to expect, or it is said why not; 1 one is not; 2 bad input or a
failure of longpin; 3 none is unexpected, but some are undetermined.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from longpin.runner.commands import startup
from longpin.runner.commands.completion import complete_policy
from longpin.runner.commands.options import POLICY_METAVAR, begin, common, duration
from longpin.runner.commands.terminal import BadInput, conclude

if TYPE_CHECKING:
    from longpin.runner.conclusions import Conclusion
    from longpin.runner.matrix.findings import MatrixFindings

FOLDER = "longpin-matrix"
"""The folder in which rows, counterexamples and the page are kept, in the working directory."""


@click.command("matrix")
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar=POLICY_METAVAR,
    shell_complete=complete_policy,
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
@click.option(
    "--pinner",
    default="mr",
    show_default=True,
    metavar="NAME",
    help="Who has the pages: mr, a memory region, or af_xdp, io_uring, odp, v4l2 or vfio in its place.",
)
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
    timers: Literal["lazy", "racy", "both"],
    kernel: str | None,
    seconds: float,
    workers: int | None,
    dask: str | None,
    sharing: bool,
    pinner: str,
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
    from longpin.runner import tables
    from longpin.runner.commands.ending import require_file, require_writable
    from longpin.runner.conclusions import Tabulated
    from longpin.runner.pool import default_workers
    from longpin.runner.progress import progress_line

    if vectors is not None and (policies or kernel or findings or not sharing):
        alone = "without --policy, --kernel, --findings and --no-sharing"
        raise BadInput(f"--vectors is about every setting of one policy: {alone}")
    if pinner != "mr" and (vectors is not None or findings):
        raise BadInput("--pinner: what --vectors and --findings show is told of memory regions")
    wanted = tables.wanted_matrix(hazards, policies, timers, kernel, seconds, sharing=sharing, pinner=pinner)
    require_writable(Path(folder), "--out")
    if findings is not None:
        require_file(Path(findings), "--findings")
    startup.ready("longpin.runner.matrix.survey")
    work: dict[str, Any] = {"workers": workers or default_workers(), "dask": dask}
    conclusion: Conclusion
    with progress_line("cells" if vectors is None else "rows") as show:
        if vectors is not None:
            conclusion = tables.vectors(
                vectors, hazards, timers=timers, seconds=seconds, folder=folder, show=show, **work
            )
        elif findings is not None:
            found = tables.findings(wanted, folder, show=show, **work)
            given = [word for name in hazards for word in ("--hazard", name)]
            given += [word for name in policies for word in ("--policy", name)]
            given += ["--timers", timers] if timers != "both" else []
            given += ["--kernel", kernel] if kernel is not None else []
            write_findings(Path(findings), found, given)
            conclusion = Tabulated(found.matrix)
        else:
            conclusion = tables.explore(wanted, folder, show=show, **work)
    conclude(conclusion, as_json=as_json)


def write_findings(file: Path, found: "MatrixFindings", given: list[str]) -> None:
    """Write what all of it shows; ``given`` are the options that say what was asked.

    Raises:
        OSError: it cannot be written.

    """
    from longpin.runner.files import replace_file
    from longpin.runner.report.findings import lines
    from longpin.runner.shell import command

    text = "".join(f"{line}\n" for line in lines(found, command("matrix", *given, "--findings", str(file))))
    replace_file(file, text.encode())
