"""The command line in this process, for tests to which a process of its own would tell nothing else.

A process takes longer to start than most commands take.
"""

import contextlib
from pathlib import Path
from typing import NamedTuple

from click.testing import CliRunner

from longpin.runner.commands import cli


class Done(NamedTuple):
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def longpin(folder: Path, *words: str, **environment: str) -> Done:
    """Run a command in a folder; an exception that a process would end with is raised."""
    with contextlib.chdir(folder):
        result = CliRunner().invoke(cli.main, words, env=environment, catch_exceptions=False)
    return Done(result.exit_code, result.stdout, result.stderr)
