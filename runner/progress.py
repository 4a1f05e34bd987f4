"""One line on standard error that says how far a long search is, how fast it goes, and how long it will take."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple, Self

from longpin.runner.events import Event, SearchAdvanced, ShrinkAdvanced

Shown = Callable[[int, float, str], None]
"""Takes what is done, what is expected in all (0: nobody knows), and a note."""


@contextmanager
def progress_line(unit: str, seconds: float | None = None, *, estimated: bool = False) -> Iterator[Shown]:
    """Give a function that shows progress, if standard error is a terminal; what it showed is gone afterwards.

    Args:
        unit: what is counted, in the plural.
        seconds: when it will end at the latest.
        estimated: what is expected in all is a guess.

    """
    if sys.stderr is None or not sys.stderr.isatty():  # None: it was closed
        yield ignore
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    started = time.monotonic()
    columns = (BarColumn(), TextColumn("{task.description}", markup=False))
    # No thread of its own: a process with one cannot start workers as copies of itself.
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as progress:
        task = progress.add_task("", total=None)

        def show(done: int, total: float, note: str) -> None:
            of = f"{done:,} of {'about ' * estimated}{total:,.0f} {unit}" if total >= done else f"{done:,} {unit}"
            text, part = describe(of, done, total, time.monotonic() - started, seconds, note)
            done_of_all = {"total": 1.0, "completed": part} if part is not None else {"total": None, "completed": 0.0}
            progress.update(task, description=text, refresh=True, **done_of_all)

        yield show


class ProgressLine:
    """An observer that shows how far a search is, and then how small its failure.

    Args:
        unit: what a search runs, in the plural.
        seconds: when it will end at the latest.
        shrink: how long a failure is made smaller.
        estimated: how many there are in all is a guess.

    """

    def __init__(self, unit: str, seconds: float | None, shrink: float, *, estimated: bool = False) -> None:
        self._search = _Line(unit, seconds, estimated)
        self._shrinking = _Line("runs to make it smaller", shrink, estimated=False)
        self._stack = ExitStack()
        self._line: _Line | None = None
        """The one that is shown."""
        self._show: Shown = ignore

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __call__(self, event: Event) -> None:
        """Show what a search tells."""
        match event:
            case SearchAdvanced():
                counted = ((event.states, "states"), (event.distinct, "distinct"))
                note = "".join(f"{number:,} {what}" for number, what in counted if number)
                self._change(self._search)(event.runs, event.expected, note)
            case ShrinkAdvanced():
                self._change(self._shrinking)(event.runs, event.allowed, event.size)
            case _:
                pass

    def _change(self, line: "_Line") -> Shown:
        """Show another line, if it is not shown; return what shows progress there."""
        if self._line is not line:
            self._stack.close()
            self._line = line
            self._show = self._stack.enter_context(progress_line(line.unit, line.seconds, estimated=line.estimated))
        return self._show


class _Line(NamedTuple):
    """What a line is about; see :func:`progress_line`."""

    unit: str
    seconds: float | None
    estimated: bool


def ignore(_done: int, _total: float, _note: str) -> None:
    """Show nothing."""


def describe(
    what: str, done: int, total: float, passed: float, limit: float | None, note: str
) -> tuple[str, float | None]:
    """Return the line, and how much is done of what is expected, if that can be said; times in seconds."""
    parts = [what, f"{done / passed if passed else 0:,.0f}/s"]
    shares = [done / total] if total >= done > 0 else []
    if limit:
        shares.append(min(passed / limit, 1.0))
    part = max(shares, default=None)
    if part:
        parts.append(f"{duration_left(passed / part - passed)} left")
    if note:
        parts.append(note)
    return ", ".join(parts), part


def duration_left(seconds: float) -> str:
    """Return a time for people."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:,.0f} days"
