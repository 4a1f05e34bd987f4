"""How a search ends: with a report, a JUnit file and an exit status; and where it may write."""

import dataclasses
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from longpin.runner.commands.options import spare
from longpin.runner.commands.terminal import BadInput, conclude, say
from longpin.runner.conclusions import Searched
from longpin.runner.report.junit import JunitReport

_LONGEST_SHOWN = 100


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


class WrittenFiles:
    """Where a search writes: the folder of failures and the JUnit file."""

    def __init__(self, failures: str, junit: str | None) -> None:
        self.failures = Path(failures)
        self.junit = junit

    def require(self, scenario: str) -> None:
        """Check that what will be told can be written, and not over the scenario.

        Args:
            scenario: its file or its name, as it was given.

        Raises:
            BadInput: there will be no way to keep a failure, or to write the JUnit file.

        """
        require_writable(self.failures, "--failures")
        if self.junit is not None:
            spare("--junit", self.junit, scenario)
            require_file(Path(self.junit), "--junit")


def conclude_search(searched: Searched, written: WrittenFiles, *, as_json: bool) -> NoReturn:
    """Show what a search has come to, in a JUnit file first: what cannot be kept is a part of the verdict; and exit."""
    if written.junit is not None:
        try:
            JunitReport(Path(written.junit)).show(searched)
        except OSError as error:
            lost = f"{written.junit}: cannot be written: {error.strerror or error}"
            searched = dataclasses.replace(searched, lost=lost)
    conclude(searched, as_json=as_json)


def notice(line: str) -> None:
    """Print a line that is to be said of the folder of failures."""
    say(f"longpin: {' '.join(line.splitlines())}")
