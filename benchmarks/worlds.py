"""Worlds: how fast they are made, how fast a trace replays, how large it is, and the memory of many actors.

python benchmarks/worlds.py [--trace-of SCENARIO]
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import medians, print_table

from longpin.actors.base import Actor
from longpin.config.loader import load_scenario
from longpin.config.schema import Scenario
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.engines.world import Blueprint
from longpin.runner.oracles.fifo import Fifo
from longpin.runner.run import Settings, replay, run

WORLDS = 500
REPEATS = 7
COUNTS = (1_000, 10_000, 100_000)
SCENARIOS = (
    "layout-lease-answered",
    "layout-lease-ignored",
    str(Path(__file__).parents[1] / "tests" / "data" / "long.toml"),
)
"""One that is over at once, one that waits for 45 s of virtual time, and one of 100,000 arrivals that never waits."""

TIME_SCALE = 0.001
"""Real seconds a virtual second takes on threads; what ``longpin run`` takes by default."""

MEMORY = """
import sys, tracemalloc
sys.path.insert(0, sys.argv[2])
from worlds import world_of
tracemalloc.start()
engine = world_of(int(sys.argv[1]))
print(tracemalloc.get_traced_memory()[0])
"""


def world_of(actors: int) -> SteppedEngine:
    """Return a stepped world with so many actors of the base class."""
    engine = SteppedEngine(Fifo())
    for number in range(actors):
        engine.spawn(Actor, f"actor:{number}")
    return engine


def made_in_a_second() -> float:
    """Return how many worlds of ten actors are made and discarded in a second."""
    begin = time.perf_counter()
    for _ in range(WORLDS):
        world_of(10)
    return WORLDS / (time.perf_counter() - begin)


def built_in_a_second(scenario: Scenario) -> float:
    """Return how many worlds of a scenario are built from its blueprint and discarded in a second."""
    blueprint = Blueprint(scenario, Settings.of(scenario).make_proposal())
    begin = time.perf_counter()
    for _ in range(WORLDS):
        blueprint.build(SteppedEngine(Fifo()))
    return WORLDS / (time.perf_counter() - begin)


def live_and_replay(scenario: Scenario, trace: Path) -> tuple[float, float, int]:
    """Return the seconds of a live run on threads, those of its replay, and the arrivals."""
    settings = Settings.of(scenario, engine="threads", time_scale=TIME_SCALE)
    begin = time.perf_counter()
    result = run(scenario, settings, trace)
    middle = time.perf_counter()
    replay(trace)
    end = time.perf_counter()
    # run judges a live run by a replay of its own, which is not part of being live.
    return middle - begin - (end - middle), end - middle, result.arrivals


def replay_rows(title: str, scenario: Scenario) -> list[tuple[str, str, str]]:
    """Return what there is to say of live runs and replays."""
    lives, replays = [], []
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace"
        for _ in range(REPEATS):
            live, again, arrivals = live_and_replay(scenario, trace)
            lives.append(live)
            replays.append(again)
        size = trace.stat().st_size
    live, again = sorted(lives)[REPEATS // 2], sorted(replays)[REPEATS // 2]
    return [
        (f"{title}: arrivals", f"{arrivals:,}", ""),
        (f"{title}: live on threads, s", f"{live:.3f}", ""),
        (f"{title}: replay, s", f"{again:.3f}", ""),
        (f"{title}: replay ÷ live", f"{live / again:.1f}", "≥ 10"),
        (f"{title}: bytes of trace an arrival", f"{size / arrivals:.0f}", ""),
    ]


def memory_of(actors: int) -> int:
    """Return the bytes a world of so many actors takes, measured in a process of its own."""
    command = [sys.executable, "-c", MEMORY, str(actors), str(Path(__file__).parent)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure and print."""
    scenario = load_scenario(SCENARIOS[0])
    made = medians({"ten": made_in_a_second, "scenario": lambda: built_in_a_second(scenario)}, REPEATS)
    rows = [
        ("stepped worlds of 10 actors made and discarded, 1/s", f"{made['ten']:,.0f}", "well above 1,000"),
        (f"stepped worlds of `{SCENARIOS[0]}` built, 1/s", f"{made['scenario']:,.0f}", ""),
    ]
    for name in SCENARIOS:
        rows += replay_rows(f"`{Path(name).stem}`", load_scenario(name))
    rows += [(f"memory of {n:,} stepped actors, bytes each", f"{memory_of(n) / n:,.0f}", "≤ 4,096") for n in COUNTS]
    print_table("Worlds", rows)


if __name__ == "__main__":
    main()
