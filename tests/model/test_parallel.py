"""Leaves explored by anybody, in any process: the same traces, counts and failures as in one search."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path as FilePath
from typing import Any

import pytest
from model import random_actors, random_footprints, schedules

from longpin.config.loader import load_scenario
from longpin.messages.envelope import Address
from longpin.runner import pool
from longpin.runner.exploration import (
    Exploration,
    Explorer,
    Method,
    PropertyViolation,
    Reason,
    activations,
    explore,
    realize,
    replay,
    shared,
)
from longpin.runner.exploration.activations import ActivationPath
from longpin.runner.exploration.budget import Budget
from longpin.runner.exploration.frontier import Frontier, Grain
from longpin.runner.exploration.leaf import work
from longpin.runner.exploration.path import Path
from longpin.runner.exploration.result import BrokenRule
from longpin.runner.exploration.shared import Shared
from longpin.runner.pool import PoolError, SerialExecutor, in_order, open_executor, packed
from longpin.runner.result import Verdict
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

SCHEDULES: dict[str, Any] = {"s1": schedules.s1, "s2": schedules.s2, "s3": schedules.s3, "s4": schedules.s4}

RUNS_AT_MOST = 400
"""Random programs that need more are left out."""


def program(name: str, *sizes: int) -> Any:
    """Return what builds a schedule program, and can be sent to workers."""
    return partial(_build, name, sizes)


def _build(name: str, sizes: tuple[int, ...], world: Any) -> None:
    SCHEDULES[name](*sizes)(world)


class Collector(Explorer):
    """Takes note of every schedule explored."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.found: list[tuple[Address, ...] | None] = []

    def judge_path(self, path: Path | ActivationPath, _result: Exploration) -> BrokenRule | None:
        self.found.append(path.decisions())
        return None


@pytest.fixture(autouse=True)
def nobody_has_a_head_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the workers do everything: what is explored here would be over before they start."""
    monkeypatch.setattr(shared, "HEAD_START", 0.0)


def explored_by_leaves(explorer: Explorer, leaf: int) -> Exploration:
    """Explore in this process, giving up each leaf after so many arrivals, and sooner as long as there are few."""
    search = Shared(explorer, Budget(), grain=Grain(leaf, 0))
    search.result.reason = search.rest(lambda: None)
    assert search.result.reason is Reason.COMPLETE
    assert not search.frontier.leaves
    assert not search.frontier.root.branches  # nothing is kept of what is done
    return search.result


@pytest.mark.parametrize(
    ("name", "sizes", "footprints", "traces"),
    [
        ("s1", (3,), False, 90),
        ("s1", (4,), False, 2520),
        ("s2", (4,), False, 192),
        ("s2", (5,), False, 1920),
        ("s3", (4, 2), False, 36),
        ("s3", (6, 3), False, 216),
        ("s4", (1,), False, 15),
        ("s4", (2,), False, 3150),
        ("s4", (3,), True, 64),
    ],
)
@pytest.mark.parametrize("leaf", [1, 200])
def test_leaves_make_up_the_whole(name: str, sizes: tuple[int, ...], footprints: bool, traces: int, leaf: int) -> None:
    result = explored_by_leaves(Explorer(SCHEDULES[name](*sizes), footprints=footprints), leaf)
    assert (result.executions, result.blocked) == (traces, 0)


def check_program(seed: int) -> bool:
    """Compare the traces of leaves with brute force; False: the program is too large or too small for that."""
    timers, racy = seed % 3 != 0, seed % 3 == 1
    program = random_actors.program(seed, timers=timers)
    try:
        orders = list(random_actors.every_order(program, racy=racy, runs_at_most=RUNS_AT_MOST))
    except random_actors.TooManyError:
        return False
    if len(orders) == 1:
        return False
    wanted = {trace for trace, _ in orders}
    for leaf in (1, 20):
        explorer = Collector(program, racy=racy)
        result = explored_by_leaves(explorer, leaf)
        traces = [random_actors.trace_of(program, found or (), racy=racy) for found in explorer.found]
        assert set(traces) == wanted, seed
        assert len(traces) == len(wanted), seed
        assert result.blocked == 0, seed
    return True


def test_leaves_of_random_programs_miss_no_trace_and_repeat_none() -> None:
    assert sum(check_program(seed) for seed in range(100)) >= 35


@pytest.mark.heavy
@pytest.mark.timeout(1200)
def test_leaves_of_many_random_programs() -> None:
    """``pytest -m heavy tests/model/test_parallel.py``."""
    assert sum(check_program(seed) for seed in range(20_000, 23_000)) >= 1000


class Ends(Collector):
    """Takes note of what worlds came to, in schedules that can happen."""

    def ends(self) -> set[object]:
        """Return the registers of each world."""
        return {random_footprints.registers(replay(self.build, found)) for found in self.found if found is not None}


def check_footprints(seed: int) -> bool:
    """Compare the ends with footprints; False: the program is too large or too small."""
    program = random_footprints.program(seed)
    whole = Ends(program)
    if not 1 < explored_by_leaves(whole, 100_000).executions < 300:
        return False
    for leaf in (1, 50):
        parts = Ends(program)
        assert explored_by_leaves(parts, leaf).blocked == 0, seed
        assert parts.ends() == whole.ends(), seed
    return True


def test_leaves_with_footprints_come_to_the_same_ends() -> None:
    assert sum(check_footprints(seed) for seed in range(110)) >= 20


@pytest.mark.heavy
@pytest.mark.timeout(1200)
def test_leaves_with_footprints_of_many_programs() -> None:
    """``pytest -m heavy tests/model/test_parallel.py``."""
    assert sum(check_footprints(seed) for seed in range(20_000, 26_000)) >= 1000


def totals(result: Exploration) -> tuple[object, ...]:
    """Return what must not depend on who explored."""
    counts = (result.executions, result.blocked, result.events, result.impossible)
    return *counts, result.reason, result.failures, result.inconclusive, result.estimate


def explored(build: Any, workers: int, **options: Any) -> Exploration:
    return explore(build, method="dpor", workers=workers, **options)


def test_totals_do_not_depend_on_workers() -> None:
    build = program("s1", 4)
    found = [totals(explored(build, workers, footprints=False)) for workers in (1, 2, 3)]
    assert found[0][:2] == (2520, 0)
    assert found[0] == found[1] == found[2]


def served_first(last: Address, world: Any) -> None:
    """A violation that few schedules show, none of them among the first."""
    if world.actors["ledger"].served == "ABABABAB":
        raise PropertyViolation("they took turns", "R7", last)


def test_the_failure_does_not_depend_on_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    build, check = partial(_ledger, 4), partial(served_first, "B")
    found = [totals(explored(build, workers, check=check)) for workers in (1, 2)]
    assert found[0] == found[1]
    assert found[0][4] is Reason.VIOLATED
    # With leaves of some schedules it is found by another search than the first.
    monkeypatch.setattr(shared, "GRAIN", Grain(10, 0))
    parts = [totals(explored(build, workers, check=check)) for workers in (1, 2)]
    assert parts[0] == parts[1]
    assert parts[0][5][0].broken == ("they took turns", "R7", "B")  # type: ignore[index]


def _ledger(messages: int, world: Any) -> None:
    schedules.s7(messages)[0](world)


def test_what_takes_too_long_to_tell_is_undetermined_with_workers_and_checkpoints_too(
    tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order of arrivals is looked for in a bounded number of positions; here the bound is one."""
    scenario = load_scenario("lease-shared")
    subject = Subject(scenario, Settings.of(scenario))
    options: dict[str, Any] = {"method": "dpor", "check": subject.check, "always": subject.always}
    whole = explore(subject.build, **options)
    assert (whole.verdict, whole.untold) == (Verdict.HOLDS, 0)
    monkeypatch.setattr(realize, "LOOKS_AT_MOST", 1)
    here = {"executor": SerialExecutor(), "workers": 2}  # other processes would have the usual bound
    for more in ({}, {"workers": 1}, here, {"checkpoint": tmp_path / "c"}, {"checkpoint": tmp_path / "c"}):
        result = explore(subject.build, **options, **more)
        assert (result.reason, result.executions) == (Reason.UNTOLD, whole.executions)
        assert result.untold == whole.executions
        assert result.verdict is Verdict.UNDETERMINED
        assert "--no-footprints" in result.reason.value
    assert explore(subject.build, footprints=False, **options).verdict is Verdict.HOLDS


@pytest.mark.parametrize("untold", [3, 1_000_000])
def test_a_failure_that_can_be_told_is_found_though_others_take_too_long(
    untold: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell, asked = realize.realize, count(1)

    def give_up(*args: Any, **options: Any) -> list[int] | None:
        if next(asked) <= untold:
            raise realize.UntoldError
        return tell(*args, **options)

    monkeypatch.setattr(activations, "realize", give_up)
    scenario = load_scenario("layout-lease-answered")
    subject = Subject(scenario, Settings.of(scenario))
    result = explore(subject.build, method="dpor", check=subject.check, always=subject.always, racy=True)
    assert result.untold
    assert result.verdict is (Verdict.VIOLATED if untold == 3 else Verdict.UNDETERMINED)


def test_a_budget_of_executions_is_kept_exactly() -> None:
    for workers in (1, 2):
        result = explored(program("s1", 4), workers, max_executions=2100, footprints=False)
        assert (result.executions, result.reason) == (2100, Reason.EXECUTIONS)
        assert result.estimate > 2100


@pytest.mark.parametrize("options", [{"method": "dpor"}, {"method": "dpor", "workers": 1}, {"method": "states"}])
def test_a_budget_of_memory_is_kept(options: dict[str, Any]) -> None:
    result = explore(program("s4", 4), footprints=False, max_memory=1, **options)
    assert result.reason is Reason.MEMORY
    assert not result.complete


def test_a_worker_that_forgets_finds_the_same() -> None:
    here = explored(program("s1", 4), 1, footprints=False)
    task, setup = Frontier().task(0), packed("", (program("s1", 4), {"footprints": False}))
    whole, again = (work(setup, task, memory) for memory in (None, 1))
    assert whole == again
    assert whole.executions == here.executions


def test_a_scenario_is_explored_by_workers() -> None:
    scenario = load_scenario("layout-lease-answered")
    subject = Subject(scenario, Settings.of(scenario))
    options = {"check": subject.check, "always": subject.always, "racy": True, "max_executions": 2500}
    found = [totals(explored(subject.build, workers, **options)) for workers in (1, 2)]
    assert found[0] == found[1]


def test_progress_is_told_while_others_work() -> None:
    told: list[int] = []
    result = explored(program("s1", 4), 2, footprints=False, observers=[lambda event: told.append(event.runs)])
    assert told == sorted(told)
    assert len(told) > 1
    assert told[-1] == result.executions


def test_what_cannot_be_sent_to_workers_is_an_error() -> None:
    with pytest.raises(PoolError, match="what is explored cannot be sent to other processes"):
        explored(schedules.s1(3), 2)


@pytest.mark.parametrize("method", ["states", "naive"])
def test_only_schedules_can_be_shared(method: str) -> None:
    with pytest.raises(ValueError, match="in one process"):
        explore(program("s1", 2), method=method, workers=2)


def test_auto_with_workers_may_match_states() -> None:
    result = explore(program("s4", 4), footprints=False, workers=2)
    assert result.method is Method.STATES
    assert result.complete


@contextmanager
def local_cluster() -> Iterator[str]:
    """Start a dask cluster of threads in this process and give its address."""
    distributed = pytest.importorskip("distributed", reason="the extra longpin[dask] is not installed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None, silence_logs=50
    ) as cluster:
        yield cluster.scheduler_address


@pytest.mark.filterwarnings("default")
def test_a_dask_cluster_explores() -> None:
    here = explored(program("s1", 4), 1, footprints=False)
    with local_cluster() as address, open_executor(1, dask=address) as executor:
        there = explored(program("s1", 4), 2, footprints=False, executor=executor)
    assert totals(here) == totals(there)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nowhere"])
def test_a_cluster_that_does_not_answer_is_an_error(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="the extra longpin[dask] is not installed")
    monkeypatch.setattr(pool, "CONNECT_WITHIN", 0.2)
    with pytest.raises(PoolError, match="no dask scheduler"), open_executor(2, dask=address):
        pass


def test_dask_that_is_not_installed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(PoolError, match=r"longpin\[dask\]"), open_executor(2, dask="tcp://127.0.0.1:1"):
        pass


def test_no_workers_is_an_error() -> None:
    with pytest.raises(PoolError, match="at least 1"), open_executor(0):
        pass


def square(number: int) -> int:
    if number == 13:
        raise ValueError("unlucky")
    return number * number


def test_results_come_in_the_order_of_the_jobs() -> None:
    for workers in (1, 2):
        with open_executor(workers) as executor:
            assert list(in_order(executor, square, range(10), 4)) == [n * n for n in range(10)]
            endless = in_order(executor, square, count(20), 4)
            assert [next(endless), next(endless)] == [400, 441]
            endless.close()
            with pytest.raises(ValueError, match="unlucky"):
                list(in_order(executor, square, count(10), 2))


def leave(_number: int) -> None:
    os._exit(1)


def test_a_worker_that_is_lost_is_an_error() -> None:
    with open_executor(2) as executor, pytest.raises(PoolError, match="ended unexpectedly"):
        list(in_order(executor, leave, range(3), 2))


COPIES = """
import threading
from longpin.runner.pool import open_executor

known = []

def ask(_):
    return list(known)

if __name__ == "__main__":
    known.append("here")
    with open_executor(2) as executor:
        print(executor.submit(ask, 0).result())
    stop = threading.Event()
    threading.Thread(target=stop.wait).start()
    with open_executor(2) as executor:
        print(executor.submit(ask, 0).result())
    stop.set()
"""


def test_workers_are_copies_unless_another_thread_could_hold_a_lock(tmp_path: FilePath) -> None:
    script = tmp_path / "script.py"
    script.write_text(COPIES)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["['here']", "[]"]


def test_a_short_exploration_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "HEAD_START", 60.0)
    monkeypatch.setattr(shared, "open_executor", None)
    assert explored(program("s1", 3), 2, footprints=False).executions == 90


def test_jobs_are_taken_only_as_they_are_needed() -> None:
    taken: list[int] = []

    def jobs() -> Iterator[int]:
        for number in range(10):
            taken.append(number)
            yield number

    results = in_order(SerialExecutor(), square, jobs(), 3)
    assert next(results) == 0
    assert taken == [0, 1, 2]
