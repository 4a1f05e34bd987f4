"""What it takes to explore each shipped scenario under its own policy: executions, states, seconds of this process.

    python benchmarks/scenarios.py                       # one core, up to a minute a cell
    python benchmarks/scenarios.py --json > before.json  # in another tree
    python benchmarks/scenarios.py --before before.json  # in this one: both, and ratios

No rule is asked, so nothing ends early. What is not complete within the time is marked >.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from longpin.config.loader import load_scenario, shipped_scenarios
from longpin.runner.exploration import explore
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

SECONDS = 60.0
MOST_MEMORY = 6 << 30

Cell = list[float | bool]
"""How many, whether that is all, and the seconds it took."""


def measure(name: str, timers: str, method: str) -> Cell:
    """Explore a scenario with a method."""
    scenario = load_scenario(name)
    subject = Subject(scenario, Settings.of(scenario, timers=timers))
    started = time.process_time()
    result = explore(subject.build, method=method, racy=timers == "racy", seconds=SECONDS, max_memory=MOST_MEMORY)
    count = result.states if method == "states" else result.executions
    return [count, result.complete, round(time.process_time() - started, 2)]


def shown(cell: Cell) -> str:
    """Return a cell as text."""
    count, complete, seconds = cell
    return f"{'' if complete else '> '}{count:,} ({seconds:g} s)"


def ratio(now: Cell, before: Cell) -> str:
    """Return how many times as many; nothing where one of them is not complete."""
    return f"{now[0] / before[0]:.1f}" if now[1] and before[1] else ""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--before", type=Path)
    arguments = parser.parse_args()
    before = json.loads(arguments.before.read_text()) if arguments.before else {}
    rows = {}
    for name in sorted(shipped_scenarios()):
        for timers in ("lazy", "racy"):
            row = {method: measure(name, timers, method) for method in ("dpor", "states")}
            rows[f"{name} {timers}"] = row
            print(f"{name} {timers}", file=sys.stderr)
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    columns = ["executions", "states"] if not before else ["executions before", "now", "", "states before", "now", ""]
    print(f"| scenario | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
    for name, row in rows.items():
        cells = []
        for method, cell in row.items():
            old = before.get(name, {}).get(method)
            cells += [shown(old), shown(cell), ratio(cell, old)] if old else [shown(cell)]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
