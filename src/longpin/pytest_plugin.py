"""What pytest loads of longpin (entry point ``pytest11``): options, a fixture, and the way to the rest.

A run that asks for nothing of it is not changed by it and imports nothing else of longpin. See docs/pytest.md.
"""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from longpin.runner.engines.stepped import SteppedEngine

OPTIONS = (
    ("policies", "policy", "POLICY", "follow this policy; again for more (own: the scenario's own)"),
    ("search", "search", "explore|stress", "every schedule, or many of them (default: explore)"),
    ("timers", "timers", "lazy|racy|both", "when time moves (default: lazy)"),
    ("seconds", "seconds", "N", "for one search (default: 60)"),
    ("runs", "runs", "N", "schedules that stress runs (default: 1000)"),
    ("shrink", "shrink", "N", "seconds to make a failure smaller (default: 10)"),
    (
        "undetermined",
        "undetermined",
        "fail|skip",
        "what becomes of an exploration that is not complete (default: fail)",
    ),
)
"""The name in the configuration and on the command line, both after ``longpin``, what it takes, and what for."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; each can be set in the configuration, too."""
    group = parser.getgroup("longpin", "scenarios as tests (longpin)")
    group.addoption(
        "--longpin",
        action="append",
        metavar="FOLDER",
        dest="longpin_paths",
        help="collect the scenario files of this folder, or this file, as tests; again for more",
    )
    parser.addini("longpin_paths", "folders or files whose scenarios are tests", type="paths", default=[])
    for name, option, metavar, text in OPTIONS:
        many = name == "policies"
        action = "append" if many else "store"
        group.addoption(f"--longpin-{option}", action=action, metavar=metavar, dest=f"longpin_{name}", help=text)
        if many:
            parser.addini(f"longpin_{name}", text, type="linelist", default=[])
        else:
            parser.addini(f"longpin_{name}", text, type="string", default="")
    group.addoption(
        "--longpin-replay",
        metavar="DECISIONS",
        help="run @explored and @sampled tests once, in this order, as a failure has printed it",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Let scenarios be collected, if the command line or the configuration asks for that."""
    if (decisions := config.getoption("longpin_replay")) is not None:
        from longpin.runner.suite.worlds import Following

        Following.decisions = decisions.split()
    if config.getoption("longpin_paths") or config.getini("longpin_paths"):
        from longpin.runner.suite.collect import Suite

        config.pluginmanager.register(Suite.of(config), "longpin-suite")


def pytest_unconfigure() -> None:
    """Let nothing of this run be left for another one in the same process."""
    import sys

    if (worlds := sys.modules.get("longpin.runner.suite.worlds")) is not None:
        worlds.Following.decisions = None


@pytest.fixture
def longpin_world(request: pytest.FixtureRequest) -> "SteppedEngine":
    """A world for actors of one's own, in one order: ``spawn(kind, address)``, ``tell(address, message)``, ``run()``.

    First in, first out; an indirect parameter ``{"oracle": "pct", "seed": 3, "racy": True}`` names another order.
    """
    from longpin.runner.suite.worlds import world

    options: dict[str, Any] = getattr(request, "param", {})
    return world(**options)
