"""The command ``longpin conform``.

It writes no file that was not asked for: a difference is printed with a line that runs its program again.

Exit status: 0 the kernels agree about every program, 1 they differ or the emulated one cannot run a program, 2 bad
input or a failure, 3 nothing could be compared, or not every program that was given, or the run was interrupted before
a difference was found, 130 interrupted before it began.
"""

import contextlib
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from longpin.runner.commands import startup
from longpin.runner.commands.options import duration, spare
from longpin.runner.commands.terminal import EXIT_BAD, BadInput, conclude, fail, say
from longpin.runner.usage import MOST_SEED

if TYPE_CHECKING:
    from longpin.runner.conclusions import Compared, Comparison, ShrunkProgram
    from longpin.runner.conform.check import ProgramVerdict, Tally
    from longpin.runner.conform.host import HostRunner
    from longpin.runner.conform.program import ConformProgram, Runner
    from longpin.runner.result import Verdict

DEFAULT_PROGRAMS = 100
"""How many random programs run where nothing says how many."""
DEFAULT_RUNS, DEFAULT_SECONDS, DEFAULT_SHRINK = 500, 20.0, 60.0
"""How often a scenario runs free, and how many seconds it may be explored and made smaller, where nothing says it."""

PROGRAMS = click.Path(path_type=Path, allow_dash=True)

Engine = Literal["stepped", "threads"]


@click.command("conform")
@click.argument("scenarios", nargs=-1, metavar="[SCENARIO]...")
@click.option("--recorded", type=PROGRAMS, metavar="FILE", help="Compare with what FILE recorded; - is standard input.")
@click.option("--live", is_flag=True, help="Compare with the kernel of this machine.")
@click.option(
    "--races", is_flag=True, help="Run SCENARIOs free on the kernel of this machine, and compare with every schedule."
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
@click.option("--engine", type=click.Choice(["stepped", "threads"]), default="stepped", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output, and nothing else.")
def conform(
    scenarios: tuple[str, ...],
    recorded: Path | None,
    live: bool,
    races: bool,
    count: int | None,
    seed: int,
    program: Path | None,
    record: Path | None,
    difference: Path | None,
    runs: int | None,
    seconds: float | None,
    shrink: float | None,
    engine: Engine,
    as_json: bool,
) -> None:
    """Compare the emulated kernel with a real one.

    Program by program: a program is a list of system calls around fcntl(2) leases, one after the other. Either its
    answers were recorded, or it runs on the kernel of this machine, in real processes that are gone afterwards.

    With --races each SCENARIO, or N random ones, runs free on the kernel of this machine, many times, and every outcome
    (results of all calls, signals handled, how each process ended) must be one that some schedule of the model shows.

    Exit status: 0 they agree, 1 they differ, 2 bad input or failure, 3 nothing could be compared, or not all that was
    given, or interrupted, 130 interrupted before the first program.
    """
    if (recorded is not None) + live + races != 1:
        raise BadInput("expected one of --recorded FILE, --live and --races")
    for_races = {"--runs": runs, "--for": seconds, "--shrink": shrink, "SCENARIO": scenarios or None}
    if given_for_races := [name for name, given in for_races.items() if given is not None and not races]:
        raise BadInput(f"{given_for_races[0]} needs --races")
    if races:
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

    startup.ready()
    stream = programs if programs is not None else (generate(seed, index) for index in range(length))
    with _host(live) as real, _appending(record, real) as keep:
        run = Run(real, emulated.EmulatedRunner(engine), keep, named=programs is not None)
        run.go(stream, length)
        about = Comparison(
            mode="recorded" if real is None else "live",
            engine=engine,
            policy=emulated.PROPOSAL.name,
            seed=None if file else seed,
            kernel=None if real is None else real.abilities.kernel,
            fs=None if real is None else real.abilities.fs,
            programs_wanted=length,
        )
        again = run.smallest(engine, difference)
    conclude(run.compared(about, again, difference), as_json=as_json)


class Run:
    """The comparison of many programs, which can be interrupted at any time."""

    def __init__(
        self,
        real: "Runner | None",
        emulated: "Runner",
        keep: "Callable[[ConformProgram], None] | None",
        *,
        named: bool = False,
    ) -> None:
        from longpin.runner.conform.check import Tally

        self._named = named
        """The programs were given: one that is not compared leaves the verdict undetermined."""
        self.tally: Tally = Tally()
        self.interrupted = False
        self.seconds = 0.0
        self.not_kept = ""
        """What was asked to be kept and could not be, one line."""
        self._written = False
        """The program about which the kernels differ is in its file."""
        self.shrunk: ShrunkProgram | None = None
        self.shown: ProgramVerdict | None = None
        """The first program about which the kernels differ, made smaller if the real kernel can be asked."""
        self._real = real
        self._emulated = emulated
        self._keep = None if keep is None else self._kept(keep)

    def _kept(self, keep: "Callable[[ConformProgram], None]") -> "Callable[[ConformProgram], None]":
        """Return what keeps a program, until that cannot be done any more: the comparison goes on."""

        def try_keep(program: "ConformProgram") -> None:
            if not self.not_kept:
                try:
                    keep(program)
                except OSError as error:
                    self.not_kept = f"{error.filename or '--record'}: cannot be written: {error.strerror}"

        return try_keep

    def go(self, programs: "Iterable[ConformProgram]", length: int) -> None:
        """Compare all programs; an interrupt ends it with what is known."""
        from longpin.runner.conform.check import check

        started = time.monotonic()
        try:
            with _progress(length, self.tally) as advance:
                for verdict in check(programs, self._real, self._emulated, self._keep):
                    self.tally.add(verdict)
                    advance()
        except KeyboardInterrupt:
            self.interrupted = True
        self.seconds = time.monotonic() - started

    def smallest(self, engine: str, file: Path | None) -> str | None:
        """Make the first difference small and return the command that shows it again.

        The program is written to ``file`` if that is asked for; otherwise it is in the command.
        """
        from longpin.runner.conform.program import STANDARD_INPUT, dump_program
        from longpin.runner.files import replace_file

        if (first := self.tally.first) is None:
            return None
        self.shown = first if self._real is None or self.interrupted else self._shrink(first)
        written = self.shown.program if self._real is not None else replace(self.shown.program, result=first.expected)
        line = dump_program(written)
        if file is not None:
            try:
                replace_file(file, f"{line}\n".encode())
                self._written = True
            except OSError as error:
                lost, file = f"{file}: cannot be written: {error.strerror}", None
                self.not_kept = f"{self.not_kept}; {lost}" if self.not_kept else lost
        source = ["--recorded"] if self._real is None else ["--live", "--program"]
        option = [] if engine == "stepped" else ["--engine", engine]
        again = shlex.join(["longpin", "conform", *source, str(file or STANDARD_INPUT), *option])
        return again if file is not None else f"printf '%s\\n' {shlex.quote(line)} | {again}"

    def _shrink(self, first: "ProgramVerdict") -> "ProgramVerdict":
        from longpin.runner.conclusions import ShrunkProgram
        from longpin.runner.conform.check import Agreement, check_one
        from longpin.runner.conform.shrink import shrink
        from longpin.runner.machine.processes import HostError

        best, tries = first, 0

        def disagrees(program: "ConformProgram") -> bool:
            nonlocal best, tries
            if self.interrupted:
                return False
            tries += 1
            try:
                verdict = check_one(program, self._real, self._emulated)
            except HostError:
                return False
            except KeyboardInterrupt:
                self.interrupted = True
                return False
            if verdict.agreement is Agreement.DIFFERS:
                best = verdict
            return verdict.agreement is Agreement.DIFFERS

        shrink(first.program, disagrees)
        self.shrunk = ShrunkProgram(len(first.program.ops), len(best.program.ops), tries, best.program)
        return best

    @property
    def judgement(self) -> "Verdict":
        """What it all comes to."""
        from longpin.runner.result import Verdict

        if self.tally.differ or self.tally.unsupported:
            return Verdict.VIOLATED
        unknown = self.interrupted or not self.tally.asked or self._lacks_some
        return Verdict.UNDETERMINED if unknown else Verdict.HOLDS

    @property
    def _lacks_some(self) -> bool:
        return self._named and bool(self.tally.skipped)

    @property
    def reason(self) -> str:
        """What it all comes to, in words."""
        if self.tally.differ:
            return "the kernels differ"
        if self.tally.unsupported:
            return "the emulated kernel cannot run every program"
        if self.interrupted:
            return "interrupted: no difference so far"
        if not self.tally.asked:
            return "nothing could be compared"
        return "not every program could be compared" if self._lacks_some else "the kernels agree"

    def compared(self, about: "Comparison", again: str | None, file: Path | None) -> "Compared":
        """Return what came of it, for reports."""
        from longpin.runner.conclusions import Compared

        kept = str(file) if self._written and file is not None else None
        return Compared(
            self.judgement,
            self.reason,
            self.tally,
            about,
            self.shrunk,
            self.shown,
            again,
            kept,
            self.seconds,
            self.not_kept,
        )


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


@contextlib.contextmanager
def _progress(length: int, tally: "Tally") -> Iterator[Callable[[], None]]:
    """Show on standard error, if that is a terminal, how far it is, how fast and how long it will take."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}/s, {task.fields[differ]} differ"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=length, rate="-", differ=0)
        started = time.monotonic()

        def advance() -> None:
            rate = tally.programs / max(time.monotonic() - started, 1e-6)
            progress.update(task, completed=tally.programs, rate=f"{rate:.0f}", differ=tally.differ)

        yield advance
