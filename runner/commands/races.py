"""``longpin conform --races``."""

import sys
import time
from typing import NoReturn

import click

from longpin.runner.commands import startup
from longpin.runner.commands.terminal import end, fail, output
from longpin.runner.machine.processes import HostError
from longpin.runner.races.series import Series, Wanted, open_kernel
from longpin.runner.report.as_json import write_json
from longpin.runner.report.races import as_object, lines
from longpin.runner.report.rows import printable


def race(wanted: Wanted, *, as_json: bool) -> NoReturn:
    """Compare what is wanted, show what came of it, and exit.

    Raises:
        ScenarioError: a scenario cannot be used.
        InternalError: a bug of longpin.

    """
    startup.ready()
    started = time.monotonic()
    try:
        with open_kernel() as kernel:
            series = Series(wanted, kernel)
            series.go()
    except HostError as error:
        fail(str(error))
    with output():
        if as_json:
            write_json(as_object(series, time.monotonic() - started), sys.stdout)
        else:
            for line in lines(series):
                click.echo(printable(line))
    end(series.verdict, series.not_kept)
