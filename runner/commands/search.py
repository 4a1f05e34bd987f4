"""The commands ``longpin explore`` and ``longpin stress``: every schedule, or many of them.

Exit status: 0 every rule asked for holds in every schedule, 1 one is violated, 2 bad input or a failure of longpin,
3 undetermined: the budget is spent or the search was interrupted, 130 interrupted before it began.
Incomplete is never a pass.
"""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from longpin.runner.commands import startup
from longpin.runner.commands.options import (
    DEFAULT_SCENARIO,
    MOST_SEED,
    ORACLE_NAMES,
    POLICY_HELP,
    POLICY_METAVAR,
    begin,
    choose,
    common,
    duration,
    load,
)
from longpin.runner.commands.terminal import BadInput, output, print_lines

if TYPE_CHECKING:
    from longpin.runner.sampling import Campaign

FAILURES = "longpin-failures"
"""The folder in which failures are kept, in the working directory."""


def search(command: Any) -> Any:
    """Add the options both commands have."""
    for option in (
        click.option("--policy", metavar=POLICY_METAVAR, help=POLICY_HELP),
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
@click.argument("scenario", default=DEFAULT_SCENARIO)
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
@click.option("--verify", is_flag=True, help="Check every footprint that is made use of; means --method dpor.")
@search
def explore(
    scenario: str,
    policy: str | None,
    method: str,
    timers: str | None,
    max_executions: int | None,
    seconds: float | None,
    seed: int,
    workers: int | None,
    dask: str | None,
    checkpoint: str | None,
    footprints: bool,
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
    if method == "states" and (checkpoint is not None or dask is not None or (workers or 1) > 1):
        raise BadInput("--method states is done in one process: no --workers, --dask or --checkpoint")
    if verify and (method == "states" or not footprints):
        raise BadInput(
            "--verify checks the footprints that --method dpor makes use of: not states, not --no-footprints"
        )
    if verify:
        method = "dpor"  # auto may go on to states, which make use of none
    from longpin.runner.commands.ending import Ending
    from longpin.runner.exploration import explore as explore_build
    from longpin.runner.exploration.budget import memory_allowed
    from longpin.runner.pool import default_workers, open_executor
    from longpin.runner.progress import progress_line
    from longpin.runner.report import exploration
    from longpin.runner.subject import Subject

    loaded = load(scenario)
    settings = choose(loaded, policy, seed=seed, timers=timers or "lazy")
    startup.ready()
    subject = Subject(loaded, settings)
    ending = Ending("explore", subject, Path(failures), junit=junit, as_json=as_json, shrink=shrink)
    ending.require_places(scenario)
    ending.try_known(exploration.as_object(subject, None))
    count = workers or default_workers()
    with (
        progress_line("executions", seconds, estimated=True) as show,
        open_executor(count, dask) if dask is not None else nullcontext() as cluster,
    ):
        result = explore_build(
            subject.build,
            method=method,
            check=subject.check,
            always=subject.always,
            marks=subject.marks,
            wanted=subject.wanted,
            max_executions=max_executions,
            seconds=seconds,
            max_memory=memory_allowed(),
            footprints=footprints,
            racy=settings.timers == "racy",
            verify=verify,
            progress=lambda now: show(now.executions, now.estimate, f"{now.states:,} states" if now.states else ""),
            seed=seed,
            workers=None if method == "states" else count,
            executor=cluster,
            checkpoint=checkpoint,
            # What was explored without checking footprints says nothing about them.
            identity=ending.identity + " with --verify" * verify,
        )
    found = exploration.as_object(subject, result)
    if result.failures:
        ending.failed(result.failures[0], f"explore ({result.method.value})", seed, found)
    ending.report(result.verdict, exploration.lines(subject, result), found)


@click.command("stress")
@click.argument("scenario", default=DEFAULT_SCENARIO)
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
    engine: str,
    time_scale: float | None,
    keep_going: bool,
    timers: str | None,
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
    reject_contradictions(engine, timers, time_scale, strategies, workers, dask)
    from longpin.runner.commands.ending import Ending
    from longpin.runner.oracles import PORTFOLIO
    from longpin.runner.pool import default_workers, open_executor
    from longpin.runner.progress import progress_line
    from longpin.runner.report import campaign
    from longpin.runner.sampling import stress as stress_build
    from longpin.runner.sampling.threads import stress_threads
    from longpin.runner.subject import Subject

    loaded = load(scenario)
    threads = engine == "threads"
    # What threads did is replayed with racy timers: they go off when they are due, whatever else happens.
    settings = choose(loaded, policy, seed=seed, timers="racy" if threads else timers or "lazy")
    startup.ready()
    subject = Subject(loaded, settings)
    ending = Ending("stress", subject, Path(failures), junit=junit, as_json=as_json, shrink=shrink)
    ending.require_places(scenario)
    if not keep_going:
        ending.try_known(campaign.as_object(subject, None, engine))
    count = workers or default_workers()
    wanted = runs if runs is not None or seconds is not None else (100 if threads else 10_000)
    with progress_line("runs", seconds) as show:

        def progress(now: "Campaign") -> None:
            show(now.runs, wanted or 0, f"{now.distinct:,} distinct")

        if threads:
            result = stress_threads(
                loaded,
                settings,
                runs=wanted,
                seconds=seconds,
                seed=seed,
                time_scale=time_scale,
                first_failure=not keep_going,
                progress=progress,
            )
        else:
            with open_executor(count, dask) if dask is not None else nullcontext() as cluster:
                result = stress_build(
                    subject.build,
                    strategies=strategies or PORTFOLIO,
                    runs=wanted,
                    seconds=seconds,
                    seed=seed,
                    check=subject.check,
                    always=subject.always,
                    marks=subject.marks,
                    wanted=subject.wanted,
                    racy=settings.timers == "racy",
                    first_failure=not keep_going,
                    workers=count,
                    executor=cluster,
                    progress=progress,
                )
    if keep_going and not as_json:
        with output():
            print_lines("\n".join(campaign.table(result.by_strategy)))
    found = campaign.as_object(subject, result, engine)
    if result.failures:
        first = result.failures[0]
        by = f"{first.strategy}, its run {first.own_run:,}, run {first.run:,} of all"
        ending.failed(first, by, first.seed, found)
    named = "the operating system's" if threads else settings.timers
    ending.report(result.verdict, campaign.lines(subject, result, named), found)


def reject_contradictions(
    engine: str,
    timers: str | None,
    time_scale: float | None,
    strategies: tuple[str, ...],
    workers: int | None,
    dask: str | None,
) -> None:
    """Refuse options that have no meaning together.

    Raises:
        BadInput: there is one.

    """
    if engine == "threads":
        for given, option in (
            (timers, "--timers"),
            (strategies, "--strategy"),
            (workers, "--workers"),
            (dask, "--dask"),
        ):
            if given:
                raise BadInput(f"{option} is for the stepped engine; on threads the operating system decides")
    elif time_scale is not None:
        raise BadInput("--time-scale is for --engine threads; on the stepped engine no real time passes")
    if time_scale is not None and not 0 <= time_scale <= 1000:
        raise BadInput(f"--time-scale: expected 0 to 1000 seconds, found {time_scale:g}")
