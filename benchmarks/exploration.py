"""Exploration: executions a second and time for the scenarios of tests/model/schedules.py, on one core.

    python benchmarks/exploration.py

Aims and reference figures are those of one machine: Concuerror's optimal DPOR takes 45 s, 0.89 s and 1.66 s for the
first three rows, SPIN 5.3 s for the fourth.
"""

import statistics
import sys
from pathlib import Path

from measure import print_table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from model.schedules import Build, s1, s2, s4

from longpin.runner.explore import Exploration, explore

REPEATS = 5


def median(build: Build, method: str, *, footprints: bool) -> tuple[Exploration, float]:
    """Return one result and the median of the seconds taken."""
    results = [explore(build, method=method, footprints=footprints) for _ in range(REPEATS)]
    assert all(result.complete and not result.blocked for result in results)
    return results[0], statistics.median(result.seconds for result in results)


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


if __name__ == "__main__":
    main()
