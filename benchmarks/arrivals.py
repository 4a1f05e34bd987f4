"""What an arrival costs, stepped: CPU microseconds in this tree and in another, in turn.

    python benchmarks/arrivals.py --against /other/tree/.venv/bin/python

Each scenario that both have runs under its own policy in the order of arrival: *engine* is the actors alone, without a
record; *judged* is a whole `run`, encoded and hashed, with the rules that this tree and the other have in common. A
process measures one tree; processes take turns. The least of all turns is compared: what else the machine does adds
to it only. A scenario need not have as many arrivals as before,
*run* is the ratio of the whole of it, on the engine.
"""

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from longpin.config.loader import load_scenario, shipped_scenarios
from longpin.runner.oracles.fifo import Fifo
from longpin.runner.run import run
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

try:
    from longpin.runner.engines.stepped import SteppedEngine
except ImportError:  # an older tree
    from longpin.runner.stepped import SteppedEngine  # type: ignore[import-not-found, no-redef]

RULES = ("O1", "O3", "O6", "O7")
"""Those that every tree has."""
SECONDS = 0.15
"""CPU time for each figure of a turn, at least."""

Figures = dict[str, dict[str, float]]
"""Microseconds an arrival, by scenario and by what was measured."""


def cost(once: Callable[[], int]) -> float:
    """Return the CPU microseconds of an arrival, over as many runs as take long enough."""
    once()
    arrivals, started = 0, time.process_time()
    while (spent := time.process_time() - started) < SECONDS:
        arrivals += once()
    return 1e6 * spent / arrivals


def measure(name: str) -> dict[str, float]:
    """Measure one scenario."""
    scenario = dataclasses.replace(load_scenario(name), holds=RULES)
    settings = Settings.of(scenario)
    subject = Subject(scenario, settings)

    def engine_alone() -> int:
        engine = SteppedEngine(Fifo())
        subject.build(engine)
        engine.run()
        return int(engine.arrivals)

    judged = cost(lambda: int(run(scenario, settings).arrivals))
    return {"engine": cost(engine_alone), "judged": judged, "arrivals": engine_alone()}


def of_tree(python: str) -> Figures:
    """Have the interpreter of a tree measure it."""
    out = subprocess.run([python, __file__, "--json"], check=True, capture_output=True, text=True).stdout
    figures: Figures = json.loads(out)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the figures of this tree")
    parser.add_argument("--against", metavar="PYTHON", help="the interpreter of the other tree's environment")
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.json or not arguments.against:
        print(json.dumps({name: measure(name) for name in sorted(shipped_scenarios())}, indent=1))
        return
    before, now = [], []
    for turn in range(arguments.turns):
        print(f"turn {turn + 1} of {arguments.turns}", file=sys.stderr)
        before.append(of_tree(arguments.against))
        now.append(of_tree(sys.executable))
    print("| scenario | engine before | now | | run | judged before | now | |\n|---|---|---|---|---|---|---|---|")
    ratios: dict[str, list[float]] = {"engine": [], "run": [], "judged": []}
    for name in (name for name in now[0] if name in before[0]):
        cells = []
        for what in ("engine", "judged"):
            old, new = (min(turn[name][what] for turn in turns) for turns in (before, now))
            ratios[what].append(new / old)
            cells += [f"{old:.1f} µs", f"{new:.1f} µs", f"{new / old:.2f}"]
            if what == "engine":
                whole = new / old * now[0][name]["arrivals"] / before[0][name]["arrivals"]
                ratios["run"].append(whole)
                cells.append(f"{whole:.2f}")
        print(f"| `{name}` | {' | '.join(cells)} |")
    medians = {what: f"{statistics.median(of_all):.2f}" for what, of_all in ratios.items()}
    print(f"| median | | | {medians['engine']} | {medians['run']} | | | {medians['judged']} |")


if __name__ == "__main__":
    main()
