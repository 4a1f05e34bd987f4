"""What the benchmarks share: medians of runs that take turns, and a table in Markdown."""

import os
import platform
import statistics
from collections.abc import Callable, Mapping

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
