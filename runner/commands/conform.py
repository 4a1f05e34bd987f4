"""The command ``longpin conform``.

It writes no file that was not asked for: a difference is printed with a line that runs its program again.

Exit status: 0 the kernels agree about every program, 1 they differ or the emulated one cannot run a program, 2 bad
input or a failure, 3 nothing could be compared, or not every program that was given, or the run was interrupted before
a difference was found, 130 interrupted before it began.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from longpin.runner.commands import startup
from longpin.runner.commands.comparing import Run
from longpin.runner.commands.completion import complete_policy, complete_scenario
from longpin.runner.commands.options import POLICY_METAVAR, duration, spare
from longpin.runner.commands.terminal import EXIT_BAD, BadInput, conclude, fail, say
from longpin.runner.usage import MOST_SEED

if TYPE_CHECKING:
    from longpin.runner.conform.host import HostRunner
    from longpin.runner.conform.program import ConformProgram

DEFAULT_PROGRAMS = 100
"""How many random programs run where nothing says how many."""
DEFAULT_RUNS, DEFAULT_SECONDS, DEFAULT_SHRINK = 500, 20.0, 60.0
"""How often a scenario runs free, and how many seconds it may be explored and made smaller, where nothing says it."""

PROGRAMS = click.Path(path_type=Path, allow_dash=True)

Engine = Literal["stepped", "threads"]


@click.command("conform")
@click.argument("scenarios", nargs=-1, metavar="[SCENARIO]...", shell_complete=complete_scenario)
@click.option("--recorded", type=PROGRAMS, metavar="FILE", help="Compare with what FILE recorded; - is standard input.")
@click.option("--live", is_flag=True, help="Compare with the kernel of this machine.")
@click.option(
    "--races", is_flag=True, help="Run SCENARIOs free on the kernel of this machine, and compare with every schedule."
)
@click.option(
    "--facts",
    type=PROGRAMS,
    metavar="FILE",
    help="Answer the questions about kernels in FILE, and compare with what is recorded there or in --recorded.",
)
@click.option(
    "--answers",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write an answer a line to FILE (facts).",
)
@click.option(
    "--random",
    "count",
    type=click.IntRange(1, 10_000_000),
    metavar="N",
    help=f"Run N random programs (live) or scenarios (races).  [default: {DEFAULT_PROGRAMS}]",
)
@click.option(
    "--seed",
    type=click.IntRange(0, MOST_SEED),
    metavar="S",
    default=0,
    show_default=True,
    help="Of the random programs or scenarios.",
)
@click.option("--program", type=PROGRAMS, metavar="FILE", help="Run the programs in FILE (live); - is standard input.")
@click.option("--record", type=click.Path(path_type=Path), metavar="FILE", help="Append what the kernel did (live).")
@click.option(
    "--difference",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the program about which the kernels differ to FILE, or the scenario.",
)
@click.option(
    "--runs",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    help=f"How often each scenario runs free (races).  [default: {DEFAULT_RUNS}]",
)
@click.option(
    "--for",
    "seconds",
    type=duration,
    metavar="TIME",
    help=f"Explore each scenario for at most so long (races).  [default: {DEFAULT_SECONDS:g}]",
)
@click.option(
    "--shrink",
    type=duration,
    metavar="TIME",
    help=f"Time to make a scenario smaller (races).  [default: {DEFAULT_SHRINK:g}]",
)
@click.option(
    "--policy",
    metavar=POLICY_METAVAR,
    shell_complete=complete_policy,
    help="Follow another proposal, on today's kernel: without a lease of a layout it differs from none.  [default: P0]",
)
@click.option("--engine", type=click.Choice(["stepped", "threads"]), default="stepped", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output, and nothing else.")
def conform(
    scenarios: tuple[str, ...],
    recorded: Path | None,
    live: bool,
    races: bool,
    facts: Path | None,
    answers: Path | None,
    count: int | None,
    seed: int,
    program: Path | None,
    record: Path | None,
    difference: Path | None,
    runs: int | None,
    seconds: float | None,
    shrink: float | None,
    policy: str | None,
    engine: Engine,
    as_json: bool,
) -> None:
    """Compare the emulated kernel with a real one.

    Program by program: a program is a list of system calls around fcntl(2) leases, one after the other. Either its
    answers were recorded, or it runs on the kernel of this machine, in real processes that are gone afterwards.

    With --facts each question (in which case, on which file system, what is done, on which Linux) is played on the
    emulated kernel of that version, and what is seen is written down as it was of the real one.

    With --races each SCENARIO, or N random ones, runs free on the kernel of this machine, many times, and every outcome
    (results of all calls, signals handled, how each process ended) must be one that some schedule of the model shows.

    Exit status: 0 they agree, 1 they differ, 2 bad input or failure, 3 nothing could be compared, or not all that was
    given, or interrupted, 130 interrupted before the first program.
    """
    if (recorded is not None and facts is None) + live + races + (facts is not None) != 1:
        raise BadInput("expected one of --recorded FILE, --live, --races and --facts FILE")
    for_races = {"--runs": runs, "--for": seconds, "--shrink": shrink, "SCENARIO": scenarios or None}
    if given_for_races := [name for name, given in for_races.items() if given is not None and not races]:
        raise BadInput(f"{given_for_races[0]} needs --races")
    if answers is not None and facts is None:
        raise BadInput("--answers needs --facts")
    if facts is not None:
        threads = None if engine == "stepped" else engine
        beside: dict[str, object] = {"--policy": policy, "--program": program, "--record": record, "--random": count}
        beside |= {"--difference": difference, "--engine threads": threads}
        if unfit := [name for name, its in beside.items() if its is not None]:
            raise BadInput(f"{unfit[0]} does not go with --facts: each question is played once, under P0, plain Linux")
        from longpin.runner.commands.facts import predict

        predict(facts, recorded, answers, as_json=as_json)
    if races:
        if policy is not None:
            raise BadInput("--policy needs --recorded or --live: what runs free is compared with P0, plain Linux")
        if program is not None or record is not None or engine != "stepped":
            raise BadInput("--program, --record and --engine threads need --live: --races takes scenarios")
        if count is not None and scenarios:
            raise BadInput("expected either SCENARIOs or --random")
        from longpin.runner.commands.races import race
        from longpin.runner.races.check import RaceEffort
        from longpin.runner.races.series import WantedRaces

        spare("--difference", difference, *scenarios)
        effort = RaceEffort(runs or DEFAULT_RUNS, DEFAULT_SECONDS if seconds is None else seconds, seed)
        limit = DEFAULT_SHRINK if shrink is None else shrink
        race(WantedRaces(scenarios, count or DEFAULT_PROGRAMS, effort, limit, difference), as_json=as_json)
    for given, name in ((count, "--random"), (program, "--program"), (record, "--record")):
        if given is not None and not live:
            raise BadInput(f"{name} needs --live: a recorded kernel cannot be asked again")
    if count is not None and program is not None:
        raise BadInput("expected either --random or --program")
    file = recorded or program
    spare("--difference", difference, file)
    programs = _load(file) if file is not None else None
    length = len(programs) if programs is not None else count or DEFAULT_PROGRAMS
    from longpin.runner.conclusions import Comparison
    from longpin.runner.conform import emulated
    from longpin.runner.conform.generate import generate
    from longpin.runner.given_policy import read_policy

    source, name, preset, parameters = read_policy(emulated.PROPOSAL.name if policy is None else policy)
    emulator = emulated.EmulatedRunner(engine, emulated.make_proposal(name, preset, parameters))
    startup.ready()
    stream = programs if programs is not None else (generate(seed, index) for index in range(length))
    with _host(live) as real, _appending(record, real) as keep:
        run = Run(real, emulator, keep, named=programs is not None)
        run.go(run.ordinary(stream, emulator.proposal.policy), length)
        options = [] if engine == "stepped" else ["--engine", engine]
        options += [] if policy is None else ["--policy", emulator.proposal.name]
        about = Comparison(
            mode="recorded" if real is None else "live",
            engine=engine,
            policy=emulator.proposal.name,
            policy_sha256=None if source is None else source.sha256,
            seed=None if file else seed,
            kernel=None if real is None else real.abilities.kernel,
            fs=None if real is None else real.abilities.fs,
            programs_wanted=length,
        )
        again = run.smallest(options, difference)
    conclude(run.compared(about, again, difference), as_json=as_json)


def _load(file: Path) -> "list[ConformProgram]":
    from longpin.runner.conform.program import ProgramError, load_programs

    try:
        programs = load_programs(file)
    except ProgramError as error:
        for line in str(error).splitlines():
            say(line)
        raise click.exceptions.Exit(EXIT_BAD) from None
    if not programs:
        raise BadInput(f"{file}: expected a program a line, found none")
    return programs


@contextlib.contextmanager
def _host(live: bool) -> "Iterator[HostRunner | None]":
    """Give the kernel of this machine, or None; every trace of it is gone afterwards."""
    if not live:
        yield None
        return
    from longpin.runner.conform.host import HostRunner
    from longpin.runner.machine.processes import HostError

    try:
        with HostRunner(tell=lambda text: say(f"longpin: {text}")) as host:
            yield host
    except HostError as error:
        fail(str(error))


@contextlib.contextmanager
def _appending(record: Path | None, real: "HostRunner | None") -> "Iterator[Callable[[ConformProgram], None] | None]":
    """Give what appends a program to a file, at once, so that an interrupt loses nothing."""
    if record is None or real is None:
        yield None
        return
    from longpin.runner.conform.program import dump_program

    abilities = real.abilities
    with record.open("a", encoding="utf-8") as file:

        def keep(program: "ConformProgram") -> None:
            file.write(dump_program(replace(program, kernel=abilities.kernel, fs=abilities.fs)) + "\n")
            file.flush()

        yield keep
