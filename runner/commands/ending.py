"""How a search ends: with a report, a kept failure, a JUnit file and an exit status."""

import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from longpin.runner.commands.options import spare
from longpin.runner.commands.terminal import BadInput, end, make_console, output, print_lines, say
from longpin.runner.exploration.result import Failure
from longpin.runner.failures.effort import Limits
from longpin.runner.failures.found import configuration_hash
from longpin.runner.failures.keep import handle, try_known
from longpin.runner.failures.store import known
from longpin.runner.progress import progress_line
from longpin.runner.report.as_json import Object, write_json
from longpin.runner.report.failure import FailureReport, as_objects
from longpin.runner.report.junit import write_junit
from longpin.runner.result import Verdict
from longpin.runner.subject import Subject

_LONGEST_SHOWN = 100

SHRINK_SECONDS = 60.0
"""How long a failure is made smaller where nothing says how long."""


def require_writable(folder: Path, option: str) -> None:
    """Check now that a folder, or the one it would be made in, can be written to: after hours would be too late.

    A file without a name is made there, as permission bits bind no root and not every file system takes files.

    Raises:
        BadInput: it cannot.

    """
    try:
        whole = folder.absolute()
    except OSError as error:
        raise BadInput(f"{option}: {_shown(folder)} is in a folder that is gone: {_reason(error)}") from None
    there = next(path for path in (whole, *whole.parents) if os.path.lexists(path))
    try:
        with suppress(FileNotFoundError):
            folder.lstat()  # its name may be too long
        with tempfile.TemporaryFile(dir=there):
            pass
    except (OSError, ValueError) as error:
        raise BadInput(f"{option}: nothing can be written in {_shown(there)}: {_reason(error)}") from None


def require_file(path: Path, option: str) -> None:
    """Check now that a file can be written, or made.

    Raises:
        BadInput: it cannot.

    """
    try:
        if path.exists() and not path.is_dir() and not path.is_file():
            fits = os.access(path, os.W_OK)  # a pipe or a device: it stays what it is
        else:
            file = path.resolve()
            fits = file.parent.is_dir() and not file.is_dir()
            if fits:
                require_writable(file.parent, option)
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(f"{option}: {_shown(path)} cannot be written: {_reason(error)}") from None
    if not fits:
        raise BadInput(f"{option}: {_shown(path)} cannot be written, it is a folder, in none, or not ours to write")


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _shown(path: Path) -> str:
    """Return a path as a message names it: on one line, and not longer than that."""
    text = str(path)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _joined(*not_kept: str | None) -> str:
    """Return as one line everything that could not be kept."""
    return "; ".join(filter(None, not_kept))


class Ending:
    """Knows what is searched, where failures are kept, and how the verdict is to be told."""

    def __init__(
        self,
        verb: str,
        subject: Subject,
        folder: Path,
        *,
        junit: str | None = None,
        as_json: bool = False,
        shrink: float = SHRINK_SECONDS,
    ) -> None:
        self.verb = verb
        self.subject = subject
        self.folder = folder
        self.junit = junit
        self.as_json = as_json
        self.shrink = shrink

    @property
    def identity(self) -> str:
        """Return what is searched, for a checkpoint."""
        return configuration_hash(self.subject.scenario, self.subject.settings)

    def require_places(self, scenario: str) -> None:
        """Check that what will be told can be written, and not over the scenario.

        Args:
            scenario: its file or its name, as it was given.

        Raises:
            BadInput: there will be no way to keep a failure, or to write the JUnit file.

        """
        require_writable(self.folder, "--failures")
        if self.junit is not None:
            spare("--junit", self.junit, scenario)
            require_file(Path(self.junit), "--junit")

    def try_known(self, unsearched: Object) -> None:
        """End with a failure that was kept before and still fails, if there is one.

        Args:
            unsearched: what is printed as JSON of a search that did not take place.

        Raises:
            OSError: the folder cannot be read.

        """
        kept = known(self.folder, self.subject, self._say)
        if (found := try_known(kept, self._say)) is not None:
            self.failed(Failure(found.broken, found.decisions), found.by, found.settings.seed, unsearched)

    def failed(self, failure: Failure, by: str, seed: int, found: Object) -> NoReturn:
        """Make a failure small, keep it, show it, and exit: with the status of a failure if it cannot be kept.

        Args:
            failure: what was found.
            by: who found it, for people.
            seed: the seed it was found with.
            found: what is printed as JSON of the search.

        Raises:
            InternalError: it is a bug in longpin.

        """
        with progress_line("runs to make it smaller", self.shrink) as show:
            kept = handle(self.subject, failure, by, seed, self.folder, Limits(seconds=self.shrink), show)
        lost = self._write_junit(Verdict.VIOLATED, f"{failure.broken.rule}: {failure.broken.what}", found["seconds"])
        not_kept = _joined(found["not_kept"], kept.not_kept, lost)
        with output():
            if self.as_json:
                write_json(found | as_objects(kept) | {"not_kept": not_kept or None}, sys.stdout)
            else:
                FailureReport(make_console(), sys.stdout).show_failure(kept, self.subject.rules.judged)
        end(Verdict.VIOLATED, not_kept)

    def report(self, verdict: Verdict, lines: Sequence[str], found: Object) -> NoReturn:
        """Show what a search that broke nothing has found out, and exit."""
        not_kept = _joined(found["not_kept"], self._write_junit(verdict, "\n".join(lines), found["seconds"]))
        with output():
            if self.as_json:
                write_json(found | {"not_kept": not_kept or None}, sys.stdout)
            else:
                print_lines("\n".join(lines))
        end(verdict, not_kept)

    def _write_junit(self, verdict: Verdict, what: str, seconds: float) -> str:
        """Write the JUnit file, before the verdict is told: what cannot be kept is a part of that.

        Return why it cannot be written, one line; empty if it is, or if none was asked for.
        """
        if self.junit is None:
            return ""
        scenario, judged = self.subject.scenario, self.subject.rules.judged
        policy = self.subject.settings.policy_name
        properties = {
            "policy": policy,
            "rules": ", ".join(judged.rules),
            "not_asked": ", ".join(judged.not_asked),
            "warnings": "; ".join(scenario.warnings),
        }
        try:
            write_junit(Path(self.junit), self.verb, f"{scenario.name} {policy}", verdict, what, seconds, properties)
        except OSError as error:
            return f"{self.junit}: cannot be written: {error.strerror or error}"
        return ""

    @staticmethod
    def _say(line: str) -> None:
        say(f"longpin: {' '.join(line.splitlines())}")
