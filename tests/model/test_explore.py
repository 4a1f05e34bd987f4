"""Exploration: exact counts where they can be derived on paper, and agreement with brute force where they cannot."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from longpin.messages.envelope import Address
from longpin.runner.explore import Exploration, Method, Reason, explore
from longpin.runner.explore.budget import Budget
from longpin.runner.explore.dpor import Dpor
from longpin.runner.explore.path import Path
from longpin.runner.explore.states import Global, Matching, Nodes
from longpin.runner.explore.table import Table
from longpin.runner.result import Verdict

from tests.model import random_actors, schedules

ORDERS_AT_MOST = 3_000
"""Programs with more orders of arrivals are left out: brute force runs each from the start."""


@pytest.mark.parametrize(
    ("build", "traces"),
    [
        *[(schedules.s1(k), n) for k, n in ((2, 6), (3, 90), (4, 2520))],
        *[(schedules.s2(k), n) for k, n in ((2, 4), (3, 24), (4, 192), (5, 1920))],
        *[(schedules.s3(k, m), n) for k, m, n in ((4, 2, 36), (6, 2, 8100), (6, 3, 216))],
        *[(schedules.s4(k), n) for k, n in ((1, 15), (2, 3150))],
        pytest.param(schedules.s1(5), 113_400, marks=pytest.mark.heavy),
        pytest.param(
            schedules.s4(3), 3_153_150, marks=[pytest.mark.heavy, pytest.mark.timeout(1200)]
        ),
    ],
)
def test_traces_are_counted_exactly(build: schedules.Build, traces: int) -> None:
    result = explore(build, method="dpor", footprints=False)
    assert (result.executions, result.blocked) == (traces, 0)
    assert result.verdict is Verdict.HOLDS
    assert result.reason is Reason.COMPLETE


@pytest.mark.parametrize("method", ["dpor", "states", "naive", "auto"])
def test_the_bug_is_found_and_replays(method: str) -> None:
    """``explore`` itself carries out the decisions on the stepped engine before it reports them."""
    result = explore(schedules.s4(1, careful=False), method=method)
    assert result.verdict is Verdict.VIOLATED
    assert result.failures[0].what == "truncated while pinned"


@pytest.mark.parametrize("method", ["dpor", "states"])
@pytest.mark.parametrize(("make", "size"), [(schedules.s6, 6), (schedules.s7, 4)])
def test_the_one_wrong_order_is_found(make: Callable[[int], Any], size: int, method: str) -> None:
    build, check = make(size)
    assert explore(build, method=method).verdict is Verdict.HOLDS
    result = explore(build, method=method, check=check)
    assert result.verdict is Verdict.VIOLATED


def test_six_and_seven_are_counted_exactly() -> None:
    assert explore(schedules.s6(6)[0], method="dpor").executions == 7
    assert explore(schedules.s7(4)[0], method="dpor").executions == 70


@pytest.mark.parametrize("method", ["dpor", "states", "naive"])
def test_a_budget_is_never_a_pass(method: str) -> None:
    result = explore(schedules.s1(4), method=method, max_executions=1)
    assert result.verdict is (Verdict.HOLDS if result.complete else Verdict.UNDETERMINED)
    spent = explore(schedules.s7(6)[0], method=method, max_executions=5)
    assert spent.reason is Reason.EXECUTIONS
    assert spent.verdict is Verdict.UNDETERMINED


def found_by_dpor(build: schedules.Build, *, racy: bool) -> tuple[list[tuple[Address, ...]], Exploration]:
    """Return the decisions of every schedule explored."""
    path, found = Path(Table(build), racy=racy), list[tuple[Address, ...]]()
    result = Exploration(Method.DPOR)
    assert Dpor(path, lambda: found.append(path.decisions()), result, Budget()).run() is Reason.COMPLETE
    return found, result


def totals(world: Any) -> tuple[tuple[Address, int], ...]:
    """Return what the hoppers of a world ended with."""
    return tuple(sorted((a.address, a.total) for a in world.actors.values() if hasattr(a, "total")))


def found_by_matching(build: schedules.Build, *, racy: bool, reduce: bool) -> set[object]:
    """Return what every world at rest looks like."""
    table, found = Table(build), set[object]()

    def judge(state: Global, nodes: Nodes) -> None:
        actors = [table.actor(nodes.state[node]) for node in state if node and nodes.state[node] >= 0]
        found.add(tuple(sorted((actor.address, actor.total) for actor in actors if hasattr(actor, "total"))))

    search = Matching(table, judge, Exploration(Method.STATES), Budget(), racy=racy, reduce=reduce)
    assert search.run() is Reason.COMPLETE
    return found


def check_program(seed: int) -> bool:
    """Compare every method with brute force; False: the program is too large or too small for that."""
    timers, racy = seed % 3 != 0, seed % 3 == 1
    build = random_actors.program(seed, timers=timers)
    orders = list(itertools.islice(random_actors.every_order(build, racy=racy), ORDERS_AT_MOST))
    if not 1 < len(orders) < ORDERS_AT_MOST:
        return False
    wanted = {trace for trace, _ in orders}
    found, result = found_by_dpor(build, racy=racy)
    traces = [random_actors.trace_of(build, decisions, racy=racy) for decisions in found]
    assert set(traces) == wanted, seed
    assert len(traces) == len(wanted), seed
    assert result.blocked == 0, seed
    ends = {totals(engine) for _, engine in orders}
    for reduce in (True, False):
        assert found_by_matching(build, racy=racy, reduce=reduce) == ends, seed
    assert explore(build, method="naive", racy=racy).executions == len(orders), seed
    return True


def test_random_programs_agree_with_brute_force() -> None:
    assert sum(check_program(seed) for seed in range(300)) >= 150


@pytest.mark.heavy
@pytest.mark.timeout(1200)
def test_many_random_programs_agree_with_brute_force() -> None:
    assert sum(check_program(seed) for seed in range(10_000, 12_500)) >= 1000
