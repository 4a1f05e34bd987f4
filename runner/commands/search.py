"""The commands ``longpin explore`` and ``longpin stress``: every schedule, or many of them.

Exit status: 0 every rule asked for holds in every schedule, 1 one is violated, 2 bad input or a failure of longpin,
3 undetermined: the budget is spent or the search was interrupted, 130 interrupted before it began.
Incomplete is never a pass.
"""

from typing import Any, Literal

import click

from longpin.runner.commands import startup
from longpin.runner.commands.completion import complete_policy, complete_scenario
from longpin.runner.commands.options import (
    DEFAULT_SCENARIO,
    ORACLE_NAMES,
    POLICY_HELP,
    POLICY_METAVAR,
    begin,
    common,
    duration,
    load,
    memory_size,
)
from longpin.runner.usage import MOST_SEED, check_explore, check_stress

FAILURES = "longpin-failures"
"""The folder in which failures are kept, in the working directory."""


def search(command: Any) -> Any:
    """Add the options both commands have."""
    for option in (
        click.option("--policy", metavar=POLICY_METAVAR, shell_complete=complete_policy, help=POLICY_HELP),
        click.option(
            "--timers",
            type=click.Choice(["lazy", "racy"]),
            help="lazy: time moves only when nothing else can happen; racy: timers may fire any time.  [default: lazy]",
        ),
        click.option("--for", "seconds", type=duration, metavar="TIME", help="Give up after 90, 90s, 15m or 2h."),
        click.option(
            "--workers", type=click.IntRange(1, 1024), metavar="N", help="Processes.  [default: usable cores]"
        ),
        click.option("--dask", metavar="ADDRESS", help="Work on this dask cluster (pip install 'longpin[dask]')."),
        click.option(
            "--failures", metavar="FOLDER", default=FAILURES, show_default=True, help="Where failures are kept."
        ),
        click.option(
            "--junit", type=click.Path(dir_okay=False), metavar="FILE", help="Write the verdict as JUnit XML."
        ),
        click.option(
            "--shrink", type=duration, metavar="TIME", default="60", show_default=True, help="Time to make one smaller."
        ),
        common,
    ):
        command = option(command)
    return command


@click.command("explore")
@click.argument("scenario", default=DEFAULT_SCENARIO, shell_complete=complete_scenario)
@click.option(
    "--method",
    type=click.Choice(["auto", "dpor", "states"]),
    default="auto",
    show_default=True,
    help="dpor: each Mazurkiewicz trace once; states: each state once; auto: a pilot run decides.",
)
@click.option("--max-executions", type=click.IntRange(1), metavar="N", help="Give up after N schedules.")
@click.option(
    "--seed", type=click.IntRange(0, MOST_SEED), metavar="N", default=0, show_default=True, help="Of random numbers."
)
@click.option("--checkpoint", type=click.Path(dir_okay=False), metavar="FILE", help="Keep what is done; go on there.")
@click.option("--footprints/--no-footprints", default=True, help="Let messages commute as they declare (dpor).")
@click.option("--symmetry/--no-symmetry", default=True, help="Processes alike need not be told apart (states).")
@click.option("--whole-states", is_flag=True, help="Compare whole states, not fingerprints of 128 bits (states).")
@click.option(
    "--max-memory", type=memory_size, metavar="SIZE", help="Give up at 500m or 4g.  [default: 80 % of what is free]"
)
@click.option("--verify", is_flag=True, help="Check every footprint that is made use of; means --method dpor.")
@search
def explore(
    scenario: str,
    policy: str | None,
    method: Literal["auto", "dpor", "states"],
    timers: Literal["lazy", "racy"] | None,
    max_executions: int | None,
    seconds: float | None,
    seed: int,
    workers: int | None,
    dask: str | None,
    checkpoint: str | None,
    footprints: bool,
    symmetry: bool,
    whole_states: bool,
    max_memory: int | None,
    verify: bool,
    failures: str,
    shrink: float,
    junit: str | None,
    as_json: bool,
) -> None:
    """Run SCENARIO under every schedule that can be told from the others, or find one that breaks a rule.

    A schedule that breaks a rule is made small, kept as a trace, and tried first next time.
    """
    begin()
    check_explore(method, workers=workers, executor=dask, checkpoint=checkpoint, footprints=footprints, verify=verify)
    from longpin.runner import api
    from longpin.runner.commands.ending import WrittenFiles, conclude_search, notice
    from longpin.runner.pool import default_workers
    from longpin.runner.progress import ProgressLine

    loaded, written = load(scenario, policy), WrittenFiles(failures, junit)
    api.settings_of(loaded, policy)
    written.require(scenario)
    startup.ready("longpin.runner.searches")
    with ProgressLine("executions", seconds, shrink, estimated=True) as progress:
        explored = api.explore(
            loaded,
            policy,
            method=method,
            timers=timers or "lazy",
            seed=seed,
            max_executions=max_executions,
            seconds=seconds,
            workers=None if method == "states" else workers or default_workers(),
            dask=dask,
            checkpoint=checkpoint,
            footprints=footprints,
            symmetry=symmetry,
            whole_states=whole_states,
            max_memory=max_memory,
            verify=verify,
            failures=failures,
            shrink=shrink,
            observers=[progress],
            notice=notice,
        )
    conclude_search(explored, written, as_json=as_json)


@click.command("stress")
@click.argument("scenario", default=DEFAULT_SCENARIO, shell_complete=complete_scenario)
@click.option("--runs", type=click.IntRange(1, 10**12), metavar="N", help="[default: 10000; 100 on threads]")
@click.option(
    "--strategy", "strategies", multiple=True, type=click.Choice(ORACLE_NAMES), help="Only this; again for more."
)
@click.option(
    "--seed", type=click.IntRange(0, MOST_SEED), metavar="N", default=0, show_default=True, help="Of the first run."
)
@click.option("--engine", type=click.Choice(["stepped", "threads"]), default="stepped", show_default=True)
@click.option("--time-scale", type=float, help="Real seconds a virtual second takes (threads).  [default: 0.001]")
@click.option("--all", "keep_going", is_flag=True, help="Make all runs, and say which strategy found what.")
@search
def stress(
    scenario: str,
    policy: str | None,
    runs: int | None,
    strategies: tuple[str, ...],
    seed: int,
    engine: Literal["stepped", "threads"],
    time_scale: float | None,
    keep_going: bool,
    timers: Literal["lazy", "racy"] | None,
    seconds: float | None,
    workers: int | None,
    dask: str | None,
    failures: str,
    shrink: float,
    junit: str | None,
    as_json: bool,
) -> None:
    """Run SCENARIO under many schedules, chosen by a portfolio of strategies in turn.

    The first that breaks a rule is made small, kept as a trace, and tried first next time. Samples prove nothing:
    without a violation the verdict is undetermined.
    """
    begin()
    check_stress(engine, timers=timers, time_scale=time_scale, strategies=strategies, workers=workers, executor=dask)
    from longpin.runner import api
    from longpin.runner.commands.ending import WrittenFiles, conclude_search, notice
    from longpin.runner.pool import default_workers
    from longpin.runner.progress import ProgressLine

    loaded, written = load(scenario, policy), WrittenFiles(failures, junit)
    api.settings_of(loaded, policy)
    written.require(scenario)
    startup.ready("longpin.runner.searches")
    with ProgressLine("runs", seconds, shrink) as progress:
        stressed = api.stress(
            loaded,
            policy,
            runs=runs,
            seconds=seconds,
            strategies=strategies,
            seed=seed,
            engine=engine,
            timers=timers,
            time_scale=time_scale,
            every=keep_going,
            workers=workers or default_workers(),
            dask=dask,
            failures=failures,
            shrink=shrink,
            observers=[progress],
            notice=notice,
        )
    conclude_search(stressed, written, as_json=as_json)
