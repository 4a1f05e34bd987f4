"""What this tree does in a second of CPU time, and another, in turn: engines, replay, exploration, worlds.

    python benchmarks/ratios.py --against /other/tree/.venv/bin/python

A process measures one tree; the two take turns at each row. What is printed of a row are the medians of both, and the
median of the ratios of turns: above 1, this tree is faster. A replay is judged by the rules that both trees have. Each
explores the schedules that it has, so executions of a scenario are not the same work in both. Of memory it is the other
way round: what an actor takes in the other tree, as a multiple of what it takes in this one.
"""

import argparse
import gc
import io
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from measure import Tree, serve

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from messages import (  # noqa: TID251 the benchmark beside this one
    MESSAGES,
    WIDTH,
    Pattern,
    fan_in,
    ping_pong,
    stepped,
    threads,
)
from model.schedules import s1, s2, s3, s4

from longpin.actors.base import Actor
from longpin.config.loader import load_scenario
from longpin.runner.exploration import explore
from longpin.runner.oracles.fifo import Fifo
from longpin.runner.run import replay, run
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

try:
    from longpin.runner.engines.stepped import SteppedEngine
except ImportError:  # an older tree
    from longpin.runner.stepped import SteppedEngine  # type: ignore[import-not-found, no-redef]

SECONDS = 0.1
"""CPU time for each figure of a turn, at least."""
TRACED = "layout-lease-ignored"
RULES = 'holds = ["O1", "O3", "O6", "O7"]'
"""Those that every tree has."""
EXPLORED = ("close-fork-kill", "late-pin", "lease-shared")
EXECUTIONS = 100
"""How many executions of each are measured, at most: steps are new at first, and are looked up then."""
ACTORS = 10_000

Work = Callable[[], int]
"""Does something, and returns how much."""


def messages(pattern: Pattern, *, on_threads: bool) -> Work:
    """Return what sends a pattern's messages, recorded if on threads."""

    def work() -> int:
        if on_threads:
            with tempfile.TemporaryDirectory() as folder:
                threads(pattern, Path(folder))
        else:
            stepped(pattern)
        return WIDTH * MESSAGES

    return work


def replayed() -> Work:
    """Return what replays a trace."""
    trace = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / f"{TRACED}.toml"
        copy.write_text(f"{RULES}\n{load_scenario(TRACED).text}")
        scenario = load_scenario(str(copy))
    run(scenario, Settings.of(scenario), trace)
    return lambda: int(replay(io.BytesIO(trace.getvalue())).arrivals)


def explored(name: str) -> Work:
    """Return what explores a scenario; no rule is asked."""
    scenario = load_scenario(name)
    subject = Subject(scenario, Settings.of(scenario))
    return lambda: int(explore(subject.build, method="dpor", max_executions=EXECUTIONS).executions)


def built(name: str) -> Work:
    """Return what builds a world of a scenario."""
    scenario = load_scenario(name)
    subject = Subject(scenario, Settings.of(scenario))

    def work() -> int:
        subject.build(SteppedEngine(Fifo()))
        return 1

    return work


def world_of(actors: int) -> SteppedEngine:
    """Return a world of actors of the base class."""
    engine = SteppedEngine(Fifo())
    for number in range(actors):
        engine.spawn(Actor, f"actor:{number}")
    return engine


def made() -> int:
    """Make a world of ten actors."""
    world_of(10)
    return 1


WORK: dict[str, Callable[[], Work]] = {
    "fan-in on threads, arrivals": lambda: messages(fan_in, on_threads=True),
    "ping-pong on threads, arrivals": lambda: messages(ping_pong, on_threads=True),
    "fan-in stepped, arrivals": lambda: messages(fan_in, on_threads=False),
    "ping-pong stepped, arrivals": lambda: messages(ping_pong, on_threads=False),
    f"replay of `{TRACED}`, arrivals": replayed,
    "S1(4), executions": lambda: lambda: explore(s1(4), method="dpor", footprints=False).executions,
    "S2(4), executions": lambda: lambda: explore(s2(4), method="dpor", footprints=False).executions,
    "S3(2, 2), executions": lambda: lambda: explore(s3(2, 2), method="dpor", footprints=False).executions,
    "S4(2), executions": lambda: lambda: explore(s4(2), method="dpor", footprints=False).executions,
    "S4(3) by footprints, executions": lambda: lambda: explore(s4(3), method="dpor").executions,
    **{f"`{name}`, executions": lambda name=name: explored(name) for name in EXPLORED},  # type: ignore[misc]
    "worlds of 10 actors": lambda: made,
    f"worlds of `{TRACED}`": lambda: built(TRACED),
}
"""What is measured, in a second of CPU time."""
MEMORY = "bytes an actor"


def rate(work: Work) -> float:
    """Return how much is done in a second of CPU time, over as many times as take long enough."""
    done, started = 0, time.process_time()
    while (spent := time.process_time() - started) < SECONDS:
        done += work()
    return done / spent


def memory() -> float:
    """Return the bytes that an actor takes in a stepped world."""
    gc.collect()
    tracemalloc.start()
    world = world_of(ACTORS)
    taken = tracemalloc.get_traced_memory()[0] / len(world.actors)
    tracemalloc.stop()
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="PYTHON", help="the interpreter of the other tree's environment")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        kept: dict[str, Work] = {}
        serve(lambda what: memory() if what == MEMORY else rate(kept.setdefault(what, WORK[what]())))
        return
    if not arguments.against:
        parser.error("--against is missing")
    trees = Tree(arguments.against, __file__), Tree(sys.executable, __file__)
    print("| what | before | now | |\n|---|---|---|---|")
    ratios = []
    for what in (*WORK, MEMORY):
        turns = [[float(tree.ask(what)) for tree in trees] for _ in range(1 if what == MEMORY else arguments.turns)]
        before, now = (statistics.median(of_tree) for of_tree in zip(*turns, strict=True))
        ratio = statistics.median(old / new if what == MEMORY else new / old for old, new in turns)
        ratios.append(ratio)
        print(f"| {what} | {before:,.0f} | {now:,.0f} | {ratio:.2f} |", flush=True)
    print(f"| median | | | {statistics.median(ratios):.2f} |")


if __name__ == "__main__":
    main()
