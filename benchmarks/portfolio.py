"""The strategies of the portfolio: who finds which planted order, and what a choice costs.

    python benchmarks/portfolio.py

The shares are those of fixed seeds and the same on every machine; the costs are ratios of times.
"""

import sys
import time
from functools import partial
from pathlib import Path

from measure import medians

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from model.schedules import Build, s4, s6, s7
from quality.test_portfolio import Check, breaks, nearly_sequential

from longpin.config.loader import load_scenario
from longpin.runner.engines.profile import profile_of
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.oracles import ORACLES, PORTFOLIO, Profile
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

RUNS = 2_000
TIMED_RUNS = 300
REPEATS = 7
SCENARIO = "layout-lease-answered"

PLANTED: dict[str, tuple[Build, Check | None]] = {
    "S6(5): B is served last": s6(5),
    "S6(20)": s6(20),
    "S7(3): A and B take turns": s7(3),
    "S7(5)": s7(5),
    "S4(1): truncated while pinned": (s4(1, careful=False), None),
    "S4(3)": (s4(3, careful=False), None),
    "S1(12): in order but for the last two": nearly_sequential(12),
}


def share(build: Build, check: Check | None, profile: Profile, name: str) -> str:
    """Return the share of runs that find it, and the first that does."""
    runs = [seed for seed in range(RUNS) if breaks(build, check, ORACLES[name](seed, profile))]
    return f"{len(runs) / RUNS:.1%} ({runs[0] + 1:,})" if runs else "-"


def in_turn(build: Build, check: Check | None, profile: Profile) -> str:
    """Return which run finds it first when the strategies take turns."""
    for seed in range(RUNS):
        name = PORTFOLIO[seed % len(PORTFOLIO)]
        if breaks(build, check, ORACLES[name](seed, profile)):
            return f"{seed + 1:,}, {name}"
    return "-"


def seconds_an_arrival(build: Build, profile: Profile, name: str) -> float:
    """Return what an arrival takes, the making of worlds not counted."""
    arrivals, seconds = 0, 0.0
    for seed in range(TIMED_RUNS):
        engine = SteppedEngine(ORACLES[name](seed, profile))
        build(engine)
        begin = time.perf_counter()
        engine.run()
        seconds += time.perf_counter() - begin
        arrivals += engine.arrivals
    return seconds / arrivals


def costs(build: Build) -> list[str]:
    """Return what an arrival takes under each strategy, a random walk being 1."""
    profile = profile_of(build)
    taken = medians({name: partial(seconds_an_arrival, build, profile, name) for name in PORTFOLIO}, REPEATS)
    return [f"{taken[name] / taken['random']:.2f}" for name in PORTFOLIO]


def print_row(*cells: str) -> None:
    """Print a row of a table in Markdown."""
    print(f"| {' | '.join(cells)} |")


def main() -> None:
    """Measure and print."""
    print(f"Share of {RUNS:,} runs that find it (the first run that does)\n")
    print_row("planted", *PORTFOLIO, "in turn")
    print_row(*["---"] * (len(PORTFOLIO) + 2))
    for title, (build, check) in PLANTED.items():
        profile = profile_of(build)
        print_row(title, *(share(build, check, profile, name) for name in PORTFOLIO), in_turn(build, check, profile))
    print("\nTime an arrival takes, a random walk being 1\n")
    print_row("world", *PORTFOLIO)
    print_row(*["---"] * (len(PORTFOLIO) + 1))
    scenario = load_scenario(SCENARIO)
    print_row("S4(2), trivial handlers", *costs(s4(2)))
    print_row(f"`{SCENARIO}`", *costs(Subject(scenario, Settings.of(scenario)).build))


if __name__ == "__main__":
    main()
