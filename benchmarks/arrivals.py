"""What an arrival costs, stepped: CPU microseconds in this tree and in another, in turn.

    python benchmarks/arrivals.py --against /other/tree/.venv/bin/python

Each scenario that both have runs under its own policy in the order of arrival: *engine* is the actors alone, without a
record; *judged* is a whole `run`, encoded and hashed, with the rules that this tree and the other have in common. A
process measures one tree; the two take turns at each scenario. The least of all turns is compared: what else the
machine does adds to it only. A scenario need not have as many arrivals as before, *run* is the ratio of the whole of
it, on the engine.
"""

import argparse
import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Callable

from measure import Tree, serve

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
SECONDS = 0.05
"""CPU time for each figure of a turn, at least."""


def cost(once: Callable[[], int]) -> float:
    """Return the CPU microseconds of an arrival, over as many runs as take long enough."""
    once()
    arrivals, started = 0, time.process_time()
    while (spent := time.process_time() - started) < SECONDS:
        arrivals += once()
    return 1e6 * spent / arrivals


def engine_alone(name: str) -> Callable[[], int]:
    """Return what runs the actors of a scenario in a world of their own, and returns how many arrivals there were."""
    scenario = load_scenario(name)
    subject = Subject(scenario, Settings.of(scenario))

    def once() -> int:
        engine = SteppedEngine(Fifo())
        subject.build(engine)
        engine.run()
        return int(engine.arrivals)

    return once


def measure(name: str) -> dict[str, float]:
    """Measure one scenario."""
    scenario = dataclasses.replace(load_scenario(name), holds=RULES)
    settings, engine = Settings.of(scenario), engine_alone(name)
    judged = cost(lambda: int(run(scenario, settings).arrivals))
    return {"engine": cost(engine), "judged": judged, "arrivals": engine()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the figures of this tree")
    parser.add_argument("--against", metavar="PYTHON", help="the interpreter of the other tree's environment")
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(lambda name: measure(name) if name else sorted(shipped_scenarios()))
        return
    if arguments.json or not arguments.against:
        print(json.dumps({name: measure(name) for name in sorted(shipped_scenarios())}, indent=1))
        return
    trees = Tree(arguments.against, __file__), Tree(sys.executable, __file__)
    common = sorted(set(trees[0].ask("")) & set(trees[1].ask("")))
    print("| scenario | engine before | now | | run | judged before | now | |\n|---|---|---|---|---|---|---|---|")
    ratios: dict[str, list[float]] = {"engine": [], "run": [], "judged": []}
    for name in common:
        turns = [[tree.ask(name) for tree in trees] for _ in range(arguments.turns)]
        cells = []
        for what in ("engine", "judged"):
            old, new = (min(figures[what] for figures in of_tree) for of_tree in zip(*turns, strict=True))
            ratios[what].append(new / old)
            cells += [f"{old:.1f} µs", f"{new:.1f} µs", f"{new / old:.2f}"]
            if what == "engine":
                before, now = (figures["arrivals"] for figures in turns[0])
                whole = new / old * now / before
                ratios["run"].append(whole)
                cells.append(f"{whole:.2f}")
        print(f"| `{name}` | {' | '.join(cells)} |", flush=True)
    medians = {what: f"{statistics.median(of_all):.2f}" for what, of_all in ratios.items()}
    print(f"| median | | | {medians['engine']} | {medians['run']} | | | {medians['judged']} |")


if __name__ == "__main__":
    main()
