"""What the commands share: options, settings from options, and command lines to paste."""

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from longpin.runner.commands.terminal import VERBOSITY, BadInput, say

if TYPE_CHECKING:
    from longpin.config.schema import Scenario

DEFAULT_SCENARIO = "layout-lease-ignored"
"""What is run where no scenario is named: everything the first proposal is about happens in it."""

ORACLE_NAMES = ("fifo", "random", "pct", "pctcp", "pos", "urw", "surw", "delay")
"""The keys of :data:`longpin.runner.oracles.ORACLES`, here so that help texts need not import them."""

POLICY_METAVAR = "NAME[:PRESET][,PARAMETER=VALUE]..."
POLICY_HELP = (
    "The proposal to follow instead of the scenario's own, which then counts for nothing. NAME is one of `longpin list "
    "policies`, or FILE.py:CLASS, which is loaded."
)

F = TypeVar("F", bound=Callable[..., Any])


def common(command: F) -> F:
    """Add the options every command has."""
    command = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output, and nothing else.")(
        command
    )
    return click.option(
        "-v",
        "--verbose",
        count=True,
        expose_value=False,
        is_eager=True,
        callback=set_verbosity,
        help="Log what is done to standard error; -vv: every moment of the run.",
    )(command)


def set_verbosity(ctx: click.Context, _option: click.Parameter, count: int) -> None:
    """Remember how much to log, for the command and for what prints its errors."""
    ctx.meta[VERBOSITY] = count


def begin() -> None:
    """Configure the logs as the command line asks; every command does this first."""
    from longpin.runner.commands.logs import configure_logs

    configure_logs(click.get_current_context().meta[VERBOSITY])


def load(name_or_path: str, policy: str | None) -> "Scenario":
    """Return the scenario to work on; what is to be said of it is printed. A policy in a file is loaded before it.

    Raises:
        ScenarioError: it cannot be used.
        UsageError: the file of the policy cannot be used.

    """
    from longpin.runner import api
    from longpin.runner.given_policy import load_policy

    load_policy(policy)
    scenario = api.load(name_or_path)
    for warning in scenario.warnings:
        say(warning)
    return scenario


def spare(option: str, file: str | Path | None, *read: str | Path | None) -> None:
    """Refuse to write a file over one that is read.

    Raises:
        BadInput: ``file`` is one of ``read``, of which a name of a shipped scenario is no file.

    """
    for source in read:
        with contextlib.suppress(OSError, ValueError):  # one of them does not exist
            if file is not None and source is not None and Path(file).samefile(source):
                raise BadInput(f"{option}: {file} is what is read, and would be overwritten")


UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def duration(text: str) -> float:
    """Return seconds: ``90``, ``1.5m``, ``2h``; the type of an option.

    Raises:
        click.BadParameter: it is no time.

    """
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)([smh]?)", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a time: expected seconds, or a number with s, m or h")
    return float(match[1]) * UNITS[match[2]]


SIZES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def memory_size(text: str) -> int:
    """Return bytes: ``500m``, ``4g``; the type of an option.

    Raises:
        click.BadParameter: it is no size.

    """
    match = re.fullmatch(r"(\d{1,9})([kmg])", text.lower())
    if match is None or not int(match[1]):
        raise click.BadParameter(f"{text!r} is not a size: expected a number with k, m or g")
    return int(match[1]) * SIZES[match[2]]
