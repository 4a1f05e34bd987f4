"""The verb ``run --all``: every shipped scenario under its own policy, and whether it ended as its file says."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from longpin.actors.policies.proposal import read_kernel
from longpin.config.loader import load_scenario, shipped_scenarios
from longpin.runner.conclusions import RanAll, ShippedRun
from longpin.runner.result import Verdict
from longpin.runner.run import INTERRUPTED, run
from longpin.runner.settings import Settings
from longpin.runner.shell import command
from longpin.runner.usage import UsageError


def kernel_of(text: str) -> Mapping[str, Any]:
    """Read the option ``--kernel``: a version of Linux, and perhaps what differs from it.

    Raises:
        UsageError: there is no such version, or no such difference.

    """
    try:
        return read_kernel(text)
    except ValueError as error:
        raise UsageError("{}: ", "kernel", why=str(error)) from None


def run_shipped(kernel: str | None, show: Callable[[int, float, str], object]) -> RanAll:
    """Run every shipped scenario once, first in, first out.

    Args:
        kernel: what they run on, as ``--kernel`` takes it; None: each on its own.
        show: is told how many are done, of how many, and which one is next.

    Raises:
        UsageError: there is no such kernel.
        ScenarioError: a shipped scenario has a mistake.
        InternalError: a bug in longpin.

    """
    given = None if kernel is None else kernel_of(kernel)
    names = shipped_scenarios()
    begun = time.monotonic()
    runs: list[ShippedRun] = []
    for name in names:
        show(len(runs), len(names), name)
        scenario = load_scenario(name)
        settings = Settings.of(scenario)
        again = ["run", name]
        if given is not None:
            settings = settings.on_kernel(given)
            again += ["--policy", settings.policy_name]
        result = run(scenario, settings)
        if result.verdict is Verdict.UNDETERMINED and result.reason.startswith(INTERRUPTED):
            break
        expected = scenario.expected_on(settings.make_proposal().kernel)
        runs.append(ShippedRun(name, result, expected, scenario.unreached, command(*again)))
    return RanAll(runs, len(names), kernel, time.monotonic() - begun)
