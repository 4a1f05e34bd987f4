"""Free runs: a scenario's processes on the kernel of this machine, many times, and what they came to.

Time stands still in these runs: lease-break-time is long, and what waits for a time waits for ever. A run is over when
every process has ended or sleeps.
"""

import contextlib
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from longpin.actors.constants import ERRNO_NAMES
from longpin.actors.process.program import Op
from longpin.config.schema import Scenario
from longpin.runner.machine.abilities import DEFAULT_BREAK_TIME, HostAbilities, probe
from longpin.runner.machine.place import machine_to_ourselves, usual_place
from longpin.runner.machine.proc_files import LEASE_BREAK_TIME
from longpin.runner.machine.processes import HostError, Zygote
from longpin.runner.races.build import compiled_runner
from longpin.runner.races.encode import Encoded, encode
from longpin.runner.races.offers import refuse
from longpin.runner.races.outcome import (
    NEVER,
    CallOutcome,
    EndKind,
    HandlerOutcome,
    ProcessEnd,
    ProcessOutcome,
    RaceOutcome,
    outcome_of,
    settle,
)

MODES = ("free", "free, with delays", "on one core", "on one core, with yields")
"""How a run is scheduled: run ``n`` goes by the mode ``n % 4``."""

_LONGEST_RUN = 10.0
"""Seconds after which a run that is not over is given up."""
_SHORTEST_BREAK_TIME = 20
"""A lease-break-time of so many seconds never runs out in a run."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened in a run, at a time in nanoseconds from its start."""

    time: int
    process: str
    text: str


@dataclass(frozen=True, slots=True)
class Example:
    """How often an outcome was seen, and the first run that showed it."""

    count: int
    run: int
    """The number of that run, from 0; its mode is ``MODES[run % 4]``."""
    events: tuple[Moment, ...]
    """In the order of time: calls begin and return, handlers are entered and left."""

    def describe(self) -> str:
        """Return the run as text for people, an event to a line, in microseconds."""
        width = max((len(event.process) for event in self.events), default=0)
        return "\n".join(f"{event.time / 1000:10.3f}  {event.process:{width}}  {event.text}" for event in self.events)


@dataclass(slots=True)
class FreeRuns:
    """What many runs of one scenario came to."""

    runs: int = 0
    """Runs whose outcome is known."""
    outcomes: dict[RaceOutcome, Example] = field(default_factory=dict)
    """In the order in which they were first seen."""
    lost: Counter[str] = field(default_factory=Counter)
    """Runs whose outcome is not known, by the reason."""


class FreeKernel:
    """The kernel of this machine, for free runs; a context manager.

    Only one user of lease-break-time runs at a time on a machine: the others wait their turn.

    Raises:
        NoRunnerError: no compiler, or it cannot compile the runner; the text is one line.
        HostError: this machine cannot be used.

    """

    how = "a runner in C"

    def __init__(self, folder: Path | None = None) -> None:
        with contextlib.ExitStack() as undo:
            try:
                self._zygote = Zygote()
                undo.callback(self._zygote.close)
                self._folder = self._zygote.make_folder("longpin-races-", folder or usual_place())
                self._runner = compiled_runner(self._folder)
                self.abilities: HostAbilities = probe(self._folder)
            except OSError as error:
                raise HostError(f"the host cannot be prepared: {error}") from None
            self.release, self.fs = self.abilities.kernel, self.abilities.fs
            if self.abilities.leases:
                raise HostError(self.abilities.leases)
            self._undo = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove what is left."""
        self._undo.close()

    def run(self, scenario: Scenario, filename: str, runs: int, seed: int = 0) -> FreeRuns:
        """Run a scenario many times.

        Args:
            scenario: what to run.
            filename: the scenario's file, for messages.
            runs: how many times, in four modes by turns (:data:`MODES`).
            seed: of the delays; the order is the operating system's all the same. An interrupt (KeyboardInterrupt)
                ends everything that was started.

        Raises:
            ScenarioError: the scenario has what cannot run free on the kernel.
            HostError: this machine cannot run it, or somebody changes its lease-break-time meanwhile.

        """
        refuse(scenario, filename)
        encoded = encode(scenario)
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        orders = encoded.orders(
            runs=runs,
            seed=seed,
            milliseconds=int(_LONGEST_RUN * 1000),
            folder=str(folder),
            nonce=secrets.token_hex(8),
        )
        try:
            with (
                machine_to_ourselves() as lock,
                self._long_break_time(lock),
                contextlib.closing(_lines(self._runner, orders)) as lines,
            ):
                return _AnswerReader(encoded).read(lines)
        except OSError as error:
            raise HostError(f"the host cannot run it: {error}") from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def _long_break_time(self, lock: int) -> Iterator[None]:
        """Make lease-break-time so long that none runs out, if it is not, and put it back afterwards."""
        before = int(LEASE_BREAK_TIME.read_text())
        if not before or before >= _SHORTEST_BREAK_TIME:
            # 0 is for ever.
            yield
            self._check_break_time(before)
            return
        if self.abilities.break_time:
            raise HostError(f"lease-break-time is {before} s: {self.abilities.break_time}")
        self._zygote.undo_at_end(LEASE_BREAK_TIME, str(before), lock)
        try:
            LEASE_BREAK_TIME.write_text(str(DEFAULT_BREAK_TIME))
            yield
            self._check_break_time(DEFAULT_BREAK_TIME)
        finally:
            LEASE_BREAK_TIME.write_text(str(before))
            self._zygote.nothing_to_undo()

    @staticmethod
    def _check_break_time(expected: int) -> None:
        if (now := int(LEASE_BREAK_TIME.read_text())) != expected:
            raise HostError(f"somebody has changed lease-break-time from {expected} to {now} s during the runs")


def _lines(runner: Path, orders: bytes) -> Generator[str, None, None]:
    """Have the runner do as it is told, and yield what it writes.

    Raises:
        HostError: it fails.

    """
    # A session of its own: Ctrl-C reaches only this process, which then ends the runner and all it has started.
    with subprocess.Popen(  # noqa: S603
        [runner],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={},
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(orders)
                process.stdin.close()
            for line in process.stdout:
                yield line.decode("ascii")
            reason = process.stderr.read().decode(errors="replace").strip()
        except BaseException:
            process.send_signal(signal.SIGTERM)
            process.wait()
            raise
        if process.wait():
            raise HostError(reason.partition("\n")[0] or f"the runner in C ends with {process.returncode}")


class _AnswerReader:
    """Makes outcomes of what the runner writes: see ``print_run`` in ``runner.c``."""

    def __init__(self, encoded: Encoded) -> None:
        self._encoded = encoded
        self._seen: dict[str, list[int]] = {}
        """For each thing the runner has said of a run: how often, and the first run."""
        self._times: dict[str, str] = {}

    def read(self, lines: Iterator[str]) -> FreeRuns:
        found = FreeRuns()
        for line in lines:
            kind, _, rest = line.rstrip("\n").partition(" ")
            number, _, rest = rest.partition(" ")
            if kind == "run":
                said, _, times = rest.partition(" |")
                seen = self._seen.setdefault(said, [0, int(number)])
                seen[0] += 1
                self._times.setdefault(said, times)
            elif kind == "void":
                raise HostError(f"the runner in C does not do this: {rest}")
            else:
                found.lost[f"not over after {_LONGEST_RUN:g} s"] += 1
        for said, (count, first) in self._seen.items():
            self._add(found, said, count, first)
        return found

    def _add(self, found: FreeRuns, said: str, count: int, first: int) -> None:
        outcome, events = _Run(self._encoded, said, self._times[said]).read()
        if any(process.end.kind is EndKind.UNKNOWN for process in outcome.processes):
            found.lost["how a child ended that was not waited for cannot be seen"] += count
            return
        found.runs += count
        if (before := found.outcomes.get(outcome)) is not None:
            count, first, events = before.count + count, before.run, before.events
        found.outcomes[outcome] = Example(count, first, events)


class _Run:
    """Reads what is said of one run."""

    def __init__(self, encoded: Encoded, said: str, times: str) -> None:
        self._encoded = encoded
        self._words = iter(said.split())
        self._times = iter(times.split())
        self._events: list[Moment] = []

    def read(self) -> tuple[RaceOutcome, tuple[Moment, ...]]:
        processes = []
        for word in self._words:
            processes.append(self._process(int(word)))
        # A call begins and returns at different times, and the sort is stable.
        return outcome_of(processes), tuple(sorted(self._events, key=lambda event: event.time))

    def _number(self) -> int:
        return int(next(self._words))

    def _process(self, pid: int) -> ProcessOutcome:
        image, nth = self._number(), self._number()
        end = ProcessEnd(list(EndKind)[self._number() - 1], self._number())
        name = self._encoded.names[image] + (f".{nth}" if nth > 1 else "")
        calls: list[CallOutcome] = []
        handlers: list[HandlerOutcome] = []
        for index in range(self._number()):
            signo, si_fd, program, length = (self._number() for _ in range(4))
            handler = HandlerOutcome(signo, si_fd)
            if index:
                self._between(name, f"{handler}: its handler begins", f"{handler}: its handler returns")
            made = [self._call(name, self._encoded.programs[program]) for _ in range(length)]
            if index:
                handlers.append(HandlerOutcome(signo, si_fd, tuple(made)))
            else:
                calls = made
        return settle(pid, name, calls, handlers, end)

    def _call(self, process: str, program: tuple[Op, ...]) -> CallOutcome:
        op = program[self._number()]
        call = CallOutcome(op.line, _result(next(self._words)), op.text)
        self._between(process, op.text, str(call))
        return call

    def _between(self, process: str, begins: str, ends: str) -> None:
        """Note when something begins and ends; what has not ended has no time for that."""
        begun, ended = int(next(self._times)), int(next(self._times))
        self._events.append(Moment(begun, process, begins))
        if ended:
            self._events.append(Moment(ended, process, ends))


def _result(word: str) -> str:
    """Return a result from how the runner writes it."""
    kind, rest = word[0], word[1:]
    match kind:
        case "=":
            return rest
        case "!":
            return ERRNO_NAMES.get(int(rest), rest)
        case "x":
            return repr(bytes.fromhex(rest))
        case _:
            return NEVER
