"""The deep scenarios pin no order: every schedule is explored, under the policies each speaks of.

``pytest -m heavy tests/scenario/test_deep.py`` does the same for those that take up to some minutes.
"""

from importlib import resources
from typing import NamedTuple

import pytest

from longpin.config.loader import load_scenario, parse_scenario
from longpin.config.schema import Scenario
from longpin.runner.exploration import Exploration, explore
from longpin.runner.result import Verdict
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject


def explored(scenario: Scenario, policy: str, *, method: str = "auto", racy: bool = False) -> Exploration:
    name, _, preset = policy.partition(":")
    subject = Subject(scenario, Settings.of(scenario, policy=name, preset=preset, parameters={}))
    return explore(subject.build, check=subject.check, always=subject.always, method=method, racy=racy)


class Deep(NamedTuple):
    """One exploration that ends with every schedule seen."""

    name: str
    policy: str
    method: str = "states"
    racy: bool = False


QUICK = [
    Deep("late-pin", "P5:intended"),
    Deep("late-pin", "P1:intended"),
    Deep("close-fork-kill", "P5:intended"),
    Deep("close-fork-kill", "P1:as_posted"),
]
SLOW = [
    Deep("two-pins-one-truncate", "P5:intended"),
    Deep("unlink-under-dma", "P1:intended", "dpor"),
    *(
        Deep("two-pins-one-truncate", f"{policy}:{preset}")
        for policy in ("P0", "P1")
        for preset in ("as_posted", "intended")
    ),
    Deep("two-pins-one-truncate", "P5:intended", racy=True),
    Deep("two-pins-one-truncate", "P5:as_posted"),
    Deep("two-pins-one-truncate", "P5:as_posted", racy=True),
    Deep("late-pin", "P5:intended", racy=True),
    Deep("late-pin", "P5:intended", "dpor"),
    Deep("late-pin", "P5:intended", "dpor", racy=True),
    Deep("late-pin", "P5:as_posted"),
    Deep("close-fork-kill", "P5:intended", "dpor"),
    Deep("unlink-under-dma", "P1:intended"),
    Deep("unlink-under-dma", "P5:intended", "dpor", racy=True),
]


def holds_in_every_schedule(deep: Deep) -> None:
    result = explored(load_scenario(deep.name), deep.policy, method=deep.method, racy=deep.racy)
    assert (result.verdict, result.complete) == (Verdict.HOLDS, True), result.failures
    assert max(result.executions, result.states) > 1  # where every pin is refused all schedules may come to one end


@pytest.mark.parametrize("deep", QUICK, ids=str)
def test_it_holds_in_every_schedule(deep: Deep) -> None:
    holds_in_every_schedule(deep)


@pytest.mark.heavy
@pytest.mark.parametrize("deep", SLOW, ids=str)
def test_it_holds_in_every_one_of_many_schedules(deep: Deep) -> None:
    holds_in_every_schedule(deep)


@pytest.mark.parametrize(
    ("name", "policy", "racy", "site"),
    [
        ("late-pin", "P1:as_posted", False, "writes inode:/pmem/data through its pin, a free block"),
        # Only an expiry lets truncate go on before the process that is about to die has closed its files.
        ("late-pin", "P5:as_posted", True, "writes inode:/pmem/data through its pin, a free block"),
        ("unlink-under-dma", "P1:as_posted", False, "writes inode:/pmem/data through its pin, a free block"),
        ("unlink-under-dma", "P5:as_posted", False, "writes inode:/pmem/data through its pin, a free block"),
    ],
)
def test_the_posted_code_lets_the_device_write_into_freed_blocks(name: str, policy: str, racy: bool, site: str) -> None:
    result = explored(load_scenario(name), policy, method="states", racy=racy)
    (failure,) = result.failures
    assert (failure.broken.rule, failure.broken.site) == ("O1", site)


@pytest.mark.heavy
def test_two_processes_may_be_killed_at_any_time() -> None:
    kills = ('kill("parent", SIGKILL)\n', 'kill("child", SIGKILL)\n')
    both = _text("close-fork-kill").replace(kills[0], "".join(kills))
    result = explored(parse_scenario(both, "both.toml"), "P5:intended", method="states")
    assert (result.verdict, result.complete) == (Verdict.HOLDS, True)
    assert result.states > 2 * explored(load_scenario("close-fork-kill"), "P5:intended", method="states").states


@pytest.mark.heavy
def test_two_leases_and_two_pins_against_one_truncate() -> None:
    """A lease for each pinner."""
    second = 'fd  = open("/pmem/data", O_RDWR)\nfcntl(fd, F_SETLEASE, F_LAYOUT)\nfork("truncater")\n'
    leased = _text("two-pins-one-truncate").replace('fork("truncater")\n', second)
    result = explored(parse_scenario(leased, "leased.toml"), "P5:intended", method="states")
    assert (result.verdict, result.complete) == (Verdict.HOLDS, True)
    assert result.states > explored(load_scenario("two-pins-one-truncate"), "P5:intended", method="states").states


def _text(name: str) -> str:
    return (resources.files("longpin.config") / "scenarios" / f"{name}.toml").read_text(encoding="utf-8")
