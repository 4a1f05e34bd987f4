"""What ``longpin conform`` does with programs: compares each, makes the first difference small, and sums up."""

import contextlib
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from longpin.actors.policies.base import Policy
    from longpin.runner.conclusions import Compared, Comparison, ShrunkProgram
    from longpin.runner.conform.check import ProgramVerdict
    from longpin.runner.conform.program import ConformProgram, Runner
    from longpin.runner.result import Verdict


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
        self.layouts: list[str] = []
        """Programs that ask for a lease of a layout, of which no kernel of today can be asked."""
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

    def ordinary(self, programs: "Iterable[ConformProgram]", policy: "Policy") -> "Iterator[ConformProgram]":
        """Leave out the programs that ask this policy for a lease of a layout."""
        from longpin.runner.conform.ordinary import asks_for_layout

        for program in programs:
            if asks_for_layout(program, policy):
                self.layouts.append(program.id or "a program without id")
            else:
                yield program

    def go(self, programs: "Iterable[ConformProgram]", length: int) -> None:
        """Compare all programs; an interrupt ends it with what is known."""
        from longpin.runner.conform.check import check

        started = time.monotonic()
        try:
            with progress(length, self.tally) as advance:
                for verdict in check(programs, self._real, self._emulated, self._keep):
                    self.tally.add(verdict)
                    advance()
        except KeyboardInterrupt:
            self.interrupted = True
        self.seconds = time.monotonic() - started

    def smallest(self, options: list[str], file: Path | None) -> str | None:
        """Make the first difference small and return the command, with these options, that shows it again.

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
        again = shlex.join(["longpin", "conform", *source, str(file or STANDARD_INPUT), *options])
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

    def _left_out(self, policy: str) -> list[str]:
        """Return what is to be said of the programs that were left out."""
        if not self.layouts:
            return []
        first, more = self.layouts[0], len(self.layouts) - 1
        named = f"{first} and {more} more" if more else first
        return [f"left out, as it asks {policy} for a layout, of which no kernel of today knows: {named}"]

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
            self._left_out(about.policy),
        )


class Counted(Protocol):
    """What is counted while something is compared."""

    @property
    def programs(self) -> int:
        """How many were looked at."""

    @property
    def differ(self) -> int:
        """About how many the kernels differ."""


@contextlib.contextmanager
def progress(length: int, tally: Counted) -> Iterator[Callable[[], None]]:
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
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=length, rate="-", differ=0)
        started = time.monotonic()

        def advance() -> None:
            rate = tally.programs / max(time.monotonic() - started, 1e-6)
            shown.update(task, completed=tally.programs, rate=f"{rate:.0f}", differ=tally.differ)

        yield advance
