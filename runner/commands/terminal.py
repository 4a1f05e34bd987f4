"""What every command needs of the terminal: errors as one line each, standard output that may fail, a console."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

from longpin.runner.commands.startup import EXIT_INTERRUPTED, told

if TYPE_CHECKING:
    from rich.console import Console

    from longpin.runner.conclusions import Conclusion
    from longpin.runner.result import Verdict

WIDTH = 120
"""Columns where standard output is no terminal and COLUMNS says nothing."""

HEIGHT = 25
"""Lines of the screen; nothing here depends on it."""

EXIT_BAD = 2

VERBOSITY = "longpin.verbosity"


class BadInput(Exception):
    """Something the user gave does not make sense; the text is the line to print."""


class Commands(click.Group):
    """A group whose commands end with one line for each mistake, never with a stack trace."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run as a program. The help texts are printed outside of any command: they may not fit on a disk either."""
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            discard_output()
            say(f"longpin: {error.strerror or error}")
            sys.exit(EXIT_BAD)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn errors into lines on standard error and an exit status."""
        try:
            if sys.stdout is None:
                fail("standard output is closed")
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            fail("interrupted", EXIT_INTERRUPTED)
        except Exception as error:  # noqa: BLE001 - a stack trace is for those who ask for it
            if by_interrupt(error):
                fail("interrupted", EXIT_INTERRUPTED)
            explain(error, verbose=bool(ctx.meta.get(VERBOSITY)))


def by_interrupt(error: BaseException) -> bool:
    """Return whether Ctrl-C is behind an exception: a class that was being made wraps it in another."""
    seen: list[BaseException] = []
    reason: BaseException | None = error
    while reason is not None and reason not in seen:
        if isinstance(reason, KeyboardInterrupt):
            return True
        seen.append(reason)
        reason = reason.__cause__ or reason.__context__
    return False


def explain(error: Exception, *, verbose: bool) -> NoReturn:
    """Print what an exception means, and exit."""
    from longpin.config.problems import ScenarioError
    from longpin.messages.trace import TraceError
    from longpin.runner.engines.engine import InternalError
    from longpin.runner.engines.threads import TooManyThreadsError
    from longpin.runner.exploration.checkpoint import CheckpointError
    from longpin.runner.own_policy.checks import PolicyError
    from longpin.runner.pool import PoolError
    from longpin.runner.usage import UsageError

    if isinstance(error, ScenarioError):
        for line in str(error).splitlines():
            say(line)
        raise click.exceptions.Exit(EXIT_BAD)
    if isinstance(error, UsageError):
        fail(error.on_command_line)
    if isinstance(error, BadInput | PolicyError | TraceError | CheckpointError | PoolError | TooManyThreadsError):
        fail(str(error))
    if isinstance(error, MemoryError):
        fail("out of memory")
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        fail(f"{where}{error.strerror or error}")
    if verbose:
        import traceback

        with contextlib.suppress(OSError):
            click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    what = str(error) if isinstance(error, InternalError) else f"{type(error).__name__}: {error}"
    fail(f"internal error (a bug in longpin): {what}" + ("" if verbose else "; -v shows where"))


def say(line: str) -> None:
    """Print a line on standard error, whatever is in it; if nobody can read it, that changes nothing else."""
    from longpin.runner.report.rows import printable

    with contextlib.suppress(OSError):
        click.echo(printable(line), err=True)


def fail(message: str, code: int = EXIT_BAD) -> NoReturn:
    """Print ``message`` as one line and exit."""
    say(f"longpin: {' '.join(message.splitlines())}")
    raise click.exceptions.Exit(code)


def end(verdict: "Verdict", not_kept: str) -> NoReturn:
    """Exit as a verdict that was shown says; if something could not be kept, say so, and exit as after a failure."""
    told()
    if not_kept:
        fail(not_kept)
    raise click.exceptions.Exit(verdict.exit_code)


def conclude(conclusion: "Conclusion", *, as_json: bool, again: str = "", advice: str = "") -> NoReturn:
    """Show on standard output what a verb has come to, and exit as its verdict says.

    Args:
        conclusion: what it has come to.
        as_json: as one object, not for people.
        again: the command that shows a run again.
        advice: a sentence to stand before that.

    """
    from longpin.runner.report import Report

    report: Report
    with output():
        if as_json:
            from longpin.runner.report.as_json import JsonReport

            report = JsonReport(sys.stdout, again)
        else:
            from longpin.runner.report.console import ConsoleReport

            report = ConsoleReport(make_console(), sys.stdout, again, advice)
        report.show(conclusion)
    end(conclusion.verdict, conclusion.not_kept)


@contextmanager
def output() -> Iterator[None]:
    """Write to standard output: a reader that has gone away is no error, anything else is told in one line."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
    except OSError as error:
        discard_output()
        fail(f"standard output: {error.strerror or error}")


def print_lines(text: str) -> None:
    """Print a text without the blanks that fill its lines."""
    for line in text.splitlines():
        click.echo(line.rstrip())


def discard_output() -> None:
    """Let what is still buffered go nowhere when the interpreter flushes it at exit."""
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a descriptor is wanted, not a path
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def make_console() -> "Console":
    """Return a console for standard output, without colour where that is no terminal."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    # rich reads COLUMNS itself, and fails on what is no number, unless it is given both a width and a height.
    return Console(
        file=sys.stdout,
        width=width_of_output(),
        height=HEIGHT,
        force_terminal=None if terminal else False,
        color_system="auto" if terminal else None,
        highlight=False,
        markup=False,
        emoji=False,
    )


def width_of_output() -> int:
    """Return the columns to fill: what COLUMNS says, or the terminal, or a default."""
    columns = os.environ.get("COLUMNS", "")
    # More than any screen has is a mistake, and lines that long would cost memory.
    width = min(int(columns), 1000) if columns.isascii() and columns.isdigit() and len(columns) < 5 else 0
    if not width and sys.stdout.isatty():
        width = os.get_terminal_size(sys.stdout.fileno()).columns
    return width or WIDTH
