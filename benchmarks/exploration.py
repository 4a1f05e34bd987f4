"""Exploration: executions a second and time for the scenarios of tests/model/schedules.py, on one core and on two.

    python benchmarks/exploration.py

Aims and reference figures are those of one machine: Concuerror's optimal DPOR takes 45 s, 0.89 s and 1.66 s for the
first three rows, SPIN 5.3 s for the fourth.
"""

import statistics
import sys
from functools import partial
from pathlib import Path
from typing import Any

from measure import print_table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from model.schedules import Build, s1, s2, s4

from longpin.config.loader import load_scenario
from longpin.runner.exploration import Exploration, explore
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

REPEATS = 5

SHARED_REPEATS = 3

SCENARIO = "two-pins-one-truncate"

SHIPPED = ("layout-lease-answered", "close-fork-kill", "late-pin")
"""Scenarios that both methods complete."""

MANY = 200_000
"""Executions of S4(3) that are measured, of 3,153,150."""

MOST = 20_000
"""Executions of the scenario that are measured."""


def median(build: Build, method: str, *, footprints: bool) -> tuple[Exploration, float]:
    """Return one result and the median of the seconds taken."""
    results = [explore(build, method=method, footprints=footprints) for _ in range(REPEATS)]
    assert all(result.complete and not result.blocked for result in results)
    return results[0], statistics.median(result.seconds for result in results)


def clients(count: int, world: Any) -> None:
    """Build S1; a function of a module can be sent to workers."""
    s1(count)(world)


def pinners(count: int, world: Any) -> None:
    """Build S4."""
    s4(count)(world)


def shipped() -> list[tuple[str, str, str]]:
    """Return how fast real scenarios are explored."""
    rows = []
    for name in SHIPPED:
        scenario = load_scenario(name)
        subject = Subject(scenario, Settings.of(scenario))
        for method in ("dpor", "states"):
            results = [
                explore(subject.build, method=method, check=subject.check, always=subject.always)
                for _ in range(SHARED_REPEATS)
            ]
            assert all(result.complete for result in results)
            count = results[0].states or results[0].executions
            what = "states" if results[0].states else "executions"
            rate = count / statistics.median(result.seconds for result in results)
            rows.append((f"`{name}`, {method}", f"{count:,} {what}, {rate:,.0f}/s", ""))
    return rows


def scaling() -> list[tuple[str, str, str]]:
    """Return how much sooner two workers are through than one, who take turns so that a slow minute slows both."""
    scenario = load_scenario(SCENARIO)
    subject = Subject(scenario, Settings.of(scenario))
    rows = []
    for name, build, options in (
        ("S1(5)", partial(clients, 5), {"footprints": False}),
        ("S4(3)", partial(pinners, 3), {"footprints": False, "max_executions": MANY}),
        (SCENARIO, subject.build, {"check": subject.check, "always": subject.always, "max_executions": MOST}),
    ):
        seconds: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(SHARED_REPEATS):
            for workers, taken in seconds.items():
                result = explore(build, method="dpor", workers=workers, **options)
                taken.append(result.seconds)
        one, two = (statistics.median(taken) for taken in seconds.values())
        rows.append((f"{name}, 2 workers", f"{result.executions:,} executions, {one / two:.2f} times 1 worker", ""))
    return rows


def main() -> None:
    """Measure and print."""
    rows = []
    for name, build, method, footprints, aim in (
        ("S1(5)", s1(5), "dpor", False, 9.0),
        ("S2(5)", s2(5), "dpor", False, 0.18),
        ("S4(2)", s4(2), "dpor", False, 0.33),
        ("S4(4) by footprints", s4(4), "dpor", True, 0.5),
        ("S4(4) by matching", s4(4), "states", False, 2.0),
    ):
        result, seconds = median(build, method, footprints=footprints)
        count = f"{result.states:,} states" if result.states else f"{result.executions:,} executions"
        rate = (result.states or result.executions) / seconds
        rows.append((name, f"{count}, {seconds:.3f} s, {rate:,.0f}/s", f"≤ {aim:g} s"))
    print_table("Exploration, one core", rows)
    print_table("Exploration of shipped scenarios, one core", shipped())
    print_table("Exploration, several cores", scaling())


if __name__ == "__main__":
    main()
