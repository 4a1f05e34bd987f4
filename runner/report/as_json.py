"""A result as one JSON object, for programs."""

import dataclasses
import json
from typing import Any, TextIO

from longpin.runner.result import Result


def as_object(result: Result) -> dict[str, Any]:
    """Return what the object holds; the moments of the time line are for people and left out."""
    return {
        "verdict": result.verdict.value,
        "reason": result.reason,
        "violations": [dataclasses.asdict(violation) for violation in result.violations],
        "calls": [dataclasses.asdict(call) for call in result.calls],
        "waiting": result.waiting,
        "arrivals": result.arrivals,
        "seed": result.seed,
        "policy": result.policy,
        "engine": result.engine,
        "oracle": result.oracle or None,
        "timers": result.timers or None,
        "scenario": result.scenario,
        "hash": result.hash or None,
    }


class JsonReport:
    """Writes the object on one line, in ASCII, so that nothing in it can steer a terminal."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def show(self, result: Result) -> None:
        """Write it.

        Raises:
            OSError: it cannot be written.

        """
        json.dump(as_object(result), self.file)
        self.file.write("\n")
        self.file.flush()
