"""What the benchmarks share: medians of runs that take turns, trees that take turns, and a table in Markdown."""

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

Measurement = Callable[[], float]


def medians(measurements: Mapping[str, Measurement], repeats: int) -> dict[str, float]:
    """Take each measurement ``repeats`` times, in turn so that a slow minute slows all of them; return the medians."""
    taken: dict[str, list[float]] = {name: [] for name in measurements}
    for _ in range(repeats):
        for name, measure in measurements.items():
            taken[name].append(measure())
    return {name: statistics.median(values) for name, values in taken.items()}


def print_table(title: str, rows: list[tuple[str, str, str]]) -> None:
    """Print what was measured, the number, and the aim."""
    print(f"{title}, {platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores\n")
    print("| what | measured | aim |\n|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print()


class Tree:
    """A process of another tree's interpreter, or of this one's, that measures what it is asked for and then waits."""

    def __init__(self, python: str, script: str) -> None:
        command = [python, script, "--serve"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, what: str) -> Any:
        """Have something measured, and return what was found."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(what, file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())


def serve(measure: Callable[[str], Any]) -> None:
    """Measure what standard input names, a line each, until it ends."""
    for line in sys.stdin:
        print(json.dumps(measure(line.strip())), flush=True)
