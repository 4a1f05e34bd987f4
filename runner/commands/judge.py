"""The command ``longpin judge``.

Exit status: 0 an order of arrivals explains the log, 1 none does, 2 bad input or failure, 3 undetermined: the time was
spent, or only a part of the log could be judged.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from longpin.runner.commands import startup
from longpin.runner.commands.completion import complete_policy
from longpin.runner.commands.options import POLICY_METAVAR, begin, common, duration, spare
from longpin.runner.commands.terminal import BadInput, conclude, say

if TYPE_CHECKING:
    from longpin.runner.judge_log.translated import Translated

DEFAULT_SECONDS = 60.0


@click.command("judge")
@click.argument("log", type=click.Path(path_type=Path))
@click.option(
    "--policy",
    metavar=POLICY_METAVAR,
    shell_complete=complete_policy,
    default="P0",
    show_default=True,
    help="What the kernel is thought to do: P0,kernel=6.1 is what Linux 6.1 does.",
)
@click.option(
    "--break-time",
    type=click.FloatRange(0, 1e6),
    metavar="SECONDS",
    default=45.0,
    show_default=True,
    help="What fs.lease-break-time was when the log begins.",
)
@click.option(
    "--uid", type=click.IntRange(0, (1 << 31) - 1), metavar="N", default=0, show_default=True, help="Whose processes."
)
@click.option(
    "--for",
    "seconds",
    type=duration,
    metavar="TIME",
    default=f"{DEFAULT_SECONDS:g}",
    show_default=True,
    help="Look for at most so long: 90, 1.5m, 2h.",
)
@click.option(
    "--scenario",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write what the log tells as a scenario, so that `explore` tries all other orders.",
)
@common
def judge(
    log: Path,
    policy: str,
    break_time: float,
    uid: int,
    seconds: float,
    scenario: Path | None,
    as_json: bool,
) -> None:
    """Say whether the model allows what a real program did.

    LOG was written by `strace -f -ttt -T -yy -e signal=all -o LOG PROGRAM`. An order of arrivals is looked for in which
    every call returns what it returned, and every signal comes when it came. If there is none, the first line that no
    order explains is shown, with what the model allows there.

    Exit status: 0 an order explains it, 1 none does, 2 bad input or failure, 3 undetermined.
    """
    begin()
    spare("--scenario", scenario, log)
    from longpin.runner.given_policy import read_policy
    from longpin.runner.judge_log.problems import LogError
    from longpin.runner.log_reading import judge_log, read_log
    from longpin.runner.progress import progress_line

    source, name, preset, parameters = read_policy(policy)
    from longpin.runner.conform.emulated import make_proposal

    proposal = make_proposal(name, preset, parameters)
    startup.ready()
    try:
        translated = read_log(log)
    except LogError as error:
        for line in str(error).splitlines():
            say(line)
        raise click.exceptions.Exit(2) from None
    if scenario is not None:
        _write(translated, scenario, break_time=break_time, uid=uid)
    with progress_line("looks", seconds) as show:
        looks = iter(range(1, 1 << 30))
        judged = judge_log(
            translated,
            proposal,
            seconds=seconds,
            break_time=break_time,
            uid=uid,
            progress=lambda what: show(next(looks), 0, what),
            policy_sha256=None if source is None else source.sha256,
        )
    conclude(judged, as_json=as_json)


def _write(translated: "Translated", file: Path, *, break_time: float, uid: int) -> None:
    from longpin.runner.files import replace_file
    from longpin.runner.judge_log.as_scenario import as_scenario

    try:
        replace_file(file, as_scenario(translated, break_time=break_time, uid=uid).encode())
    except OSError as error:
        raise BadInput(f"{file}: cannot be written: {error.strerror or error}") from None
