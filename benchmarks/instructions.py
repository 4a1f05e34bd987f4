"""How many instructions of the processor an arrival takes, stepped, in this tree and in another.

    python benchmarks/instructions.py --against /other/tree/.venv/bin/python

What `benchmarks/arrivals.py` calls *engine*, counted by valgrind (callgrind): time depends on what else the machine
does, and on how much of it is in the caches, the count does not. It takes some minutes, and a Python whose symbols have
not been stripped. The garbage collector is off.
"""

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from arrivals import __file__ as arrivals
from arrivals import engine_alone
from measure import Tree

RUNS = 4
"""How many runs of each scenario are counted, after two that are not."""


def run_marked(names: list[str]) -> None:
    """Run scenarios with a mark before and after each; print how many arrivals each had."""
    counted = []
    for name in names:
        once = engine_alone(name)
        once()
        once()
        gc.collect()
        gc.disable()
        os.getppid()
        counted.append(sum(once() for _ in range(RUNS)))
        os.getppid()
        gc.enable()
    print(json.dumps(counted))


def count(python: str, names: list[str]) -> list[tuple[float, int]]:
    """Return the instructions of an arrival, and the arrivals of a run, of each scenario in the tree of a Python."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        command = ["valgrind", "--tool=callgrind", "--dump-before=os_getppid", f"--callgrind-out-file={out}", "-q"]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        child = [*command, python, __file__, "--marked", *names]
        done = subprocess.run(child, check=True, capture_output=True, text=True, env=environment)
        arrived = json.loads(done.stdout)
        # A dump is what was counted since the last mark.
        dumps = [Path(f"{out}.{2 * place + 2}").read_text(encoding="utf-8") for place in range(len(names))]
    totals = [next(line for line in dump.splitlines() if line.startswith("summary:")) for dump in dumps]
    counted = [int(total.split()[1]) for total in totals]
    return [(total / number, number // RUNS) for total, number in zip(counted, arrived, strict=True)]


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="PYTHON", help="the interpreter of the other tree's environment")
    parser.add_argument("--marked", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.marked is not None:
        run_marked(arguments.marked)
        return
    if not arguments.against:
        parser.error("--against is missing")
    pythons = arguments.against, sys.executable
    there = [set(Tree(python, str(arrivals)).ask("")) for python in pythons]
    names = sorted(there[0] & there[1])
    print("| scenario | before | now | | run |\n|---|---|---|---|---|")
    ratios: list[tuple[float, float]] = []
    for name, before, now in zip(names, *(count(python, names) for python in pythons), strict=True):
        ratios.append((now[0] / before[0], now[0] * now[1] / (before[0] * before[1])))
        figures = f"{before[0] / 1000:.1f} k | {now[0] / 1000:.1f} k | {ratios[-1][0]:.2f} | {ratios[-1][1]:.2f}"
        print(f"| `{name}` | {figures} |")
    arrival, whole = (statistics.median(column) for column in zip(*ratios, strict=True))
    print(f"| median | | | {arrival:.2f} | {whole:.2f} |")


if __name__ == "__main__":
    main()
