"""The command line: ``longpin run``, ``replay`` and ``list``; the other verbs have files of their own.

Only click is imported here; every command imports what it needs, so that ``longpin --help`` is quick.

Exit status: 0 every rule that was asked for holds, 1 one is violated, 2 bad input, a failure of longpin, a replay that
diverged or a trace that cannot be written, 3 undetermined, 130 interrupted before anything was known.
"""

from longpin.runner.commands import startup

if __name__ == "__main__":  # before the rest is imported: until then Ctrl-C would be a stack trace
    startup.begin()

import re
from typing import TYPE_CHECKING, Literal, NoReturn

import click

from longpin.runner.commands.about import show_versions
from longpin.runner.commands.check import check
from longpin.runner.commands.completion import complete_policy, complete_scenario
from longpin.runner.commands.conform import conform
from longpin.runner.commands.judge import judge
from longpin.runner.commands.matrix import matrix
from longpin.runner.commands.new import new
from longpin.runner.commands.options import (
    DEFAULT_SCENARIO,
    ORACLE_NAMES,
    POLICY_HELP,
    POLICY_METAVAR,
    begin,
    common,
    load,
    spare,
)
from longpin.runner.commands.search import explore, stress
from longpin.runner.commands.show import show
from longpin.runner.commands.terminal import (
    VERBOSITY,
    BadInput,
    Commands,
    conclude,
    make_console,
    output,
    print_lines,
    say,
)
from longpin.runner.shell import command
from longpin.runner.usage import MOST_SEED, check_run

if TYPE_CHECKING:
    from longpin.config.schema import Scenario
    from longpin.runner.result import Result
    from longpin.runner.settings import Settings


def finish(result: "Result", *, as_json: bool, again: str, advice: str = "") -> NoReturn:
    """Show a result and exit with its status."""
    if click.get_current_context().meta[VERBOSITY]:
        log(result)
    conclude(result, as_json=as_json, again=again, advice=advice)


def log(result: "Result") -> None:
    """Log each moment of a run and how it ended."""
    import structlog

    from longpin.runner.report.rows import lane_of, printable
    from longpin.runner.report.sentences import sentence

    log = structlog.get_logger()
    for event in result.events:
        text, lane = printable(sentence(event)), lane_of(event)
        log.debug(text, arrival=event.arrival, now=event.time, kind=event.kind.value, lane=lane)
    log.info("ended", verdict=result.verdict.value, arrivals=result.arrivals, hash=result.hash)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=show_versions,
    help="Show the version, and those of what a trace depends on, and exit.",
)
def main() -> None:
    """Run the races behind long-term pins of FS-DAX pages: leases, truncate, RDMA registrations.

    Exit status: 0 every rule asked for holds, 1 violated, 2 bad input or failure, 3 undetermined, 130
    interrupted early.
    """


@main.command()
@click.argument("scenario", required=False, shell_complete=complete_scenario)
@click.option("--all", "everything", is_flag=True, help="Run every shipped scenario: does each end as its file says?")
@click.option("--kernel", metavar="K", help="On this Linux, such as 6.18, instead of the scenario's own.")
@click.option("--policy", metavar=POLICY_METAVAR, shell_complete=complete_policy, help=POLICY_HELP)
@click.option("--engine", type=click.Choice(["threads", "stepped", "host"]), default="stepped", show_default=True)
@click.option("--oracle", type=click.Choice(ORACLE_NAMES), help="Who chooses the order (stepped).  [default: fifo]")
@click.option(
    "--seed", type=click.IntRange(0, MOST_SEED), metavar="N", default=0, show_default=True, help="Of the oracle."
)
@click.option("--timers", type=click.Choice(["lazy", "racy"]), help="When time moves (stepped).  [default: lazy]")
@click.option("--time-scale", type=float, help="Real seconds a virtual second takes (threads).  [default: 0.001]")
@click.option("--trace", type=click.Path(dir_okay=False), help="Write every arrival to this file.")
@common
def run(
    scenario: str | None,
    everything: bool,
    kernel: str | None,
    policy: str | None,
    engine: Literal["stepped", "threads", "host"],
    oracle: str | None,
    seed: int,
    timers: Literal["lazy", "racy"] | None,
    time_scale: float | None,
    trace: str | None,
    as_json: bool,
) -> None:
    """Run SCENARIO, a file or the name of a shipped one, and show what happens.

    Without it a scenario runs in which an RDMA application ignores a lease break. `longpin list scenarios` names them.
    With --all each of them runs, and the table says whether it ended as its file says.
    """
    begin()
    check_run(engine, policy=policy, oracle=oracle, seed=seed, timers=timers, time_scale=time_scale, trace=trace)
    if everything:
        others = (scenario, policy, oracle, timers, time_scale, trace)
        if engine != "stepped" or seed or any(option is not None for option in others):
            raise BadInput("--all runs every shipped scenario as it is: with it there are --kernel and --json only")
        run_all(kernel, as_json=as_json)
    from longpin.runner import api

    scenario = DEFAULT_SCENARIO if scenario is None else scenario
    loaded = load(scenario, policy)
    if kernel is not None:
        policy = on_kernel(loaded, kernel, policy, engine)
    if engine == "host":
        run_host(loaded, scenario, as_json=as_json)
    spare("--trace", trace, scenario)
    given = {"oracle": oracle, "timers": timers, "time_scale": time_scale}
    options = {name: value for name, value in given.items() if value is not None}
    settings = api.settings_of(loaded, policy, engine=engine, seed=seed, **options)
    startup.ready("longpin.runner.run")
    result = api.run(
        loaded, policy, engine=engine, oracle=oracle, seed=seed, timers=timers, time_scale=time_scale, trace=trace
    )
    advice = ""
    if trace is not None and not result.not_kept:
        again = command(*replay_again(trace, None, None if settings.source is None else settings.source.name))
    else:
        again = command(*run_again(scenario, policy, settings))
        if engine == "threads":
            advice = "The order was the operating system's: another run may go another way, its trace replays exactly."
    finish(result, as_json=as_json, again=again, advice=advice)


def run_all(kernel: str | None, *, as_json: bool) -> NoReturn:
    """Run every shipped scenario and show how each ended."""
    from longpin.runner import api
    from longpin.runner.progress import progress_line

    startup.ready("longpin.runner.run")
    with progress_line("scenarios") as show:
        ran = api.run_all(kernel, show=show)
    conclude(ran, as_json=as_json)


def on_kernel(loaded: "Scenario", kernel: str, policy: str | None, engine: str) -> str:
    """Return what the policy of a scenario is called on another kernel.

    Raises:
        BadInput: another policy is given, or the kernel is this machine's.
        UsageError: there is no such kernel.

    """
    from longpin.runner import api
    from longpin.runner.shipped import kernel_of

    if policy is not None:
        raise BadInput(
            "--kernel is for the scenario's own policy; of another one it is part: "
            f"{re.sub(r',kernel=[^,]*', '', policy)},kernel={kernel}"
        )
    if engine == "host":
        raise BadInput("--kernel: the host engine has the kernel of this machine")
    return api.settings_of(loaded).on_kernel(kernel_of(kernel)).policy_name


def run_host(loaded: "Scenario", scenario: str, *, as_json: bool) -> NoReturn:
    """Run a scenario on the kernel of this machine and show what happens.

    Raises:
        BadInput: this machine cannot run it.

    """
    from longpin.runner import api
    from longpin.runner.machine.processes import HostError

    startup.ready("longpin.runner.host.run")
    try:
        result = api.run(loaded, engine="host", notice=lambda text: say(f"longpin: {text}"))
    except HostError as error:
        raise BadInput(f"the host engine: {error}") from None
    again = (
        ["run", "--engine", "host", "--", scenario]
        if scenario.startswith("-")
        else ["run", scenario, "--engine", "host"]
    )
    finish(
        result,
        as_json=as_json,
        again=command(*again),
        advice="The order was the operating system's: another run may go another way.",
    )


def run_again(scenario: str, policy: str | None, settings: "Settings") -> list[str]:
    """Return the arguments that make the same run, or on threads one like it that leaves a trace."""
    options = ["--policy", settings.policy_name] if policy is not None else []
    if settings.engine == "threads":
        options += ["--engine", "threads", "--time-scale", f"{settings.time_scale:g}", "--seed", str(settings.seed)]
        options += ["--trace", "longpin.trace"]
    else:
        options += ["--oracle", settings.oracle, "--seed", str(settings.seed), "--timers", settings.timers]
    return ["run", *options, "--", scenario] if scenario.startswith("-") else ["run", scenario, *options]


def replay_again(trace: str, until: int | None, *policies: str | None) -> list[str]:
    """Return the arguments that show a trace.

    Args:
        trace: the file.
        until: after which arrival it stops.
        policies: the class in a file that it needs, and another one to follow it under; None: there is none.

    """
    options = ["--until", str(until)] if until is not None else []
    for policy in policies:
        options += ["--policy", policy] if policy is not None else []
    return ["replay", *options, "--", trace] if trace.startswith("-") else ["replay", trace, *options]


@main.command()
@click.argument("trace", type=click.Path())
@click.option("--until", type=click.IntRange(0), metavar="N", help="Stop after arrival N.")
@click.option(
    "--policy",
    "policies",
    metavar=POLICY_METAVAR,
    shell_complete=complete_policy,
    multiple=True,
    help="Follow the decisions of TRACE under this policy as far as they go, then first in, first out, and show both. "
    "A trace of a policy that is a class in a file needs this file first: FILE.py:CLASS.",
)
@common
def replay(trace: str, until: int | None, policies: tuple[str, ...], as_json: bool) -> None:
    """Show exactly the run that wrote TRACE, comparing every arrival.

    With --policy the same decisions are followed under another policy, and both are shown from where they part.
    """
    begin()
    from longpin.messages.trace import TraceReader
    from longpin.runner import traces
    from longpin.runner.conclusions import Replayed
    from longpin.runner.given_policy import read_policy
    from longpin.runner.result import SEEN

    startup.ready("longpin.runner.run")
    for policy in policies:
        read_policy(policy)
    in_a_file = bool(policies) and bool(TraceReader(trace).header.policy_sha256)
    own, other = policies_of(policies, in_a_file=in_a_file)
    if other is None:
        replayed = Replayed(traces.replay(trace, until=until, policy=own))
    elif until is not None:
        raise BadInput("--until is for a replay of what was recorded; under another policy the run goes on to its end")
    else:
        replayed = traces.replay_under(trace, other, own=own)
    result = replayed.result
    for warning in result.warnings:
        if not warning.startswith(SEEN):  # what was seen in it is in the report
            say(warning)
    if click.get_current_context().meta[VERBOSITY]:
        log(result)
    conclude(replayed, as_json=as_json, again=command(*replay_again(trace, until, own, other)))


def policies_of(given: tuple[str, ...], *, in_a_file: bool) -> tuple[str | None, str | None]:
    """Return the file of the policy of a trace, and the policy to follow it under; None: there is none.

    Args:
        given: the policies that the command line names.
        in_a_file: that of the trace is a class in a file.

    Raises:
        BadInput: there are too many.

    """
    if len(given) > 1 + in_a_file:
        its = "the file of its own policy and one other" if in_a_file else "one other policy"
        raise BadInput(f"--policy: expected at most {its}, found {len(given)}")
    own, other = (given[:1], given[1:]) if in_a_file else ((), given)
    return next(iter(own), None), next(iter(other), None)


@main.command("list")
@click.argument("what", type=click.Choice(["scenarios", "hazards", "policies", "rules"]))
@click.option("--policy", metavar="FILE.py:CLASS", help="List this policy, which is loaded, and no other.")
@common
def list_(what: str, policy: str | None, as_json: bool) -> None:
    """List the shipped scenarios, the hazards, the policies or the rules, with their sources."""
    begin()
    from longpin.runner.commands.listing import LISTS, draw_table, own_policy

    if policy is not None and what != "policies":
        raise BadInput(f"--policy needs `list policies`: {what} are the same under every policy")
    entries = LISTS[what]() if policy is None else own_policy(policy)
    with output():
        if as_json:
            import json

            print_lines(json.dumps(entries, indent=2))
        else:
            console = make_console()
            with console.capture() as capture:
                console.print(draw_table(entries))
            print_lines(capture.get())


main.add_command(check)
main.add_command(new)
main.add_command(conform)
main.add_command(explore)
main.add_command(stress)
main.add_command(judge)
main.add_command(matrix)
main.add_command(show)

if __name__ == "__main__":
    main()
