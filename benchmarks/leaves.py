"""How evenly the leaves of an exploration can be shared, in counted work: no clock is looked at but the process's own.

    python benchmarks/leaves.py late-pin 12000 close-fork-kill

Each scenario is explored in this process, of some at most so many executions. What each leaf took is kept, in arrivals
and in seconds of this process, and from that follows what so many workers would need who take leaves in order, as soon
as these are known. It is what a machine with a core for each worker could show, without what it costs to send.
"""

import heapq
import sys
import time
from typing import NamedTuple

from measure import print_table

from longpin.config.loader import load_scenario
from longpin.runner.exploration.budget import Budget
from longpin.runner.exploration.explorer import Explorer
from longpin.runner.exploration.frontier import LeafReport
from longpin.runner.exploration.shared import HEAD_START, Shared
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

WORKERS = (2, 4, 8)


class Explored(NamedTuple):
    """What a leaf took, in two units, and how many leaves there were after it."""

    arrivals: float
    seconds: float
    known: int


def explore(name: str, most: int | None) -> tuple[Shared, list[Explored]]:
    """Return an exploration, and its leaves."""
    scenario = load_scenario(name)
    subject = Subject(scenario, Settings.of(scenario))
    explorer = Explorer(subject.build, check=subject.check, always=subject.always, marks=subject.marks)
    search = Shared(explorer, Budget(most))
    leaves: list[Explored] = []
    apply, last = search.frontier.apply, time.process_time()

    def note(number: int, report: LeafReport) -> None:
        nonlocal last
        apply(number, report)
        now = time.process_time()
        leaves.append(Explored(report.events, now - last, search.frontier.count))
        last = now

    search.frontier.apply = note  # type: ignore[method-assign]
    search.rest(lambda: None)
    return search, leaves


def shared(costs: list[float], known: list[int], workers: int, alone: float) -> float:
    """Return the time after which all leaves are explored, of which those before ``alone`` are by one worker."""
    now, first = 0.0, 0
    while first < len(costs) and now < alone:
        now += costs[first]
        first += 1
    begun, applied, done, busy = first, first, set[int](), list[tuple[float, int]]()
    while applied < len(costs):
        while len(busy) < workers and begun < min(known[applied - 1] if applied else 1, len(costs)):
            heapq.heappush(busy, (now + costs[begun], begun))
            begun += 1
        now, ended = heapq.heappop(busy)
        done.add(ended)
        while applied in done:
            applied += 1
    return now


def main() -> None:
    """Explore and print."""
    rows = []
    words = sys.argv[1:]
    while words:
        name = words.pop(0)
        search, leaves = explore(name, int(words.pop(0)) if words and words[0].isdigit() else None)
        known = [leaf.known for leaf in leaves]
        seconds, arrivals = [leaf.seconds for leaf in leaves], [leaf.arrivals for leaf in leaves]
        size = f"`{name}`, {search.result.executions:,} executions, {len(leaves)} leaves, {sum(seconds):.1f} s"
        head = sum(arrivals) * min(1.0, HEAD_START / sum(seconds))
        for unit, costs, alone in (("arrivals", arrivals, head), ("seconds", seconds, HEAD_START)):
            sooner = [f"{sum(costs) / shared(costs, known, count, alone):.2f} with {count}" for count in WORKERS]
            rows.append((f"{size}, by {unit}", ", ".join(sooner), "1.8 with 2"))
    print_table("Leaves, counted", rows)


if __name__ == "__main__":
    main()
