"""``longpin conform --races``."""

import time
from typing import NoReturn

from longpin.runner.commands import startup
from longpin.runner.commands.terminal import conclude, fail
from longpin.runner.conclusions import Raced
from longpin.runner.machine.processes import HostError
from longpin.runner.races.series import Series, WantedRaces, open_kernel


def race(wanted: WantedRaces, *, as_json: bool) -> NoReturn:
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
    conclude(Raced(series, time.monotonic() - started), as_json=as_json)
