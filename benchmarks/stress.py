"""Sampling: whole runs a second on one core, and how many of them show a schedule not seen before.

    python benchmarks/stress.py

Traces are counted in all of them. *Engine* is the stepped engine without what it remembers of handlers, the yardstick;
a new world is made for every run. Only the first row has an aim; times differ from machine to machine, ratios less.
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from measure import medians, print_table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from model.schedules import s4

from longpin.config.loader import load_scenario
from longpin.runner.oracles import PORTFOLIO
from longpin.runner.sampling import Campaign, stress
from longpin.runner.sampling.threads import stress_threads
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

REPEATS = 5
RUNS = 4_000
THREAD_RUNS = 30
ON_THREADS = "layout-lease-answered"
SCENARIOS = ("layout-lease-answered", "layout-lease-slow", "lease-shared", "pin-refused")


def sample(what: dict[str, Any], strategies: Sequence[str], *, remember: bool) -> Campaign:
    """Return a campaign in which nothing breaks."""
    return stress(**what, runs=RUNS, strategies=strategies, remember=remember)


def rate(what: dict[str, Any], strategies: Sequence[str], *, remember: bool) -> float:
    """Return runs a second."""
    found = sample(what, strategies, remember=remember)
    assert found.runs == RUNS
    return found.runs / found.seconds


def on_threads() -> float:
    """Return runs a second on threads."""
    scenario = load_scenario(ON_THREADS)
    found = stress_threads(scenario, Settings.of(scenario), runs=THREAD_RUNS)
    assert found.runs == THREAD_RUNS
    return found.runs / found.seconds


def main() -> None:
    """Measure and print."""
    worlds: dict[str, dict[str, Any]] = {"S4(2)": {"build": s4(2)}}
    for name in SCENARIOS:
        scenario = load_scenario(name)
        subject = Subject(scenario, Settings.of(scenario))
        worlds[f"`{name}`"] = {"build": subject.build, "check": subject.check, "always": subject.always}
    rows = []
    for name, what in worlds.items():
        rates = medians(
            {
                "random": partial(rate, what, ("random",), remember=True),
                "engine": partial(rate, what, ("random",), remember=False),
                "portfolio": partial(rate, what, PORTFOLIO, remember=True),
            },
            REPEATS,
        )
        found = sample(what, PORTFOLIO, remember=True)
        aim = "≥ 8,000" if name == "S4(2)" else ""
        rows += [
            (f"{name}: whole random runs, 1/s", f"{rates['random']:,.0f}", aim),
            (f"{name}: random ÷ engine", f"{rates['random'] / rates['engine']:.1f}", ""),
            (f"{name}: portfolio ÷ random", f"{rates['portfolio'] / rates['random']:.2f}", ""),
            (f"{name}: different traces in {RUNS:,} runs of the portfolio", f"{found.distinct / RUNS:.2%}", ""),
            (f"{name}: chance of a new one with the next run, estimated", f"{found.unseen:.2%}", ""),
        ]
    rows.append((f"`{ON_THREADS}`: runs on threads, judged, 1/s", f"{on_threads():,.0f}", ""))
    print_table("Sampling", rows)


if __name__ == "__main__":
    main()
