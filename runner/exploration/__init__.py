"""Exploration: every schedule of a world that can be told from the others."""

from longpin.runner.exploration.checkpoint import CheckpointError
from longpin.runner.exploration.estimate import Estimate, estimate
from longpin.runner.exploration.explorer import Build, Check, Explorer
from longpin.runner.exploration.footprints import FootprintError
from longpin.runner.exploration.replay import Always, Marks, replay
from longpin.runner.exploration.result import (
    BrokenRule,
    Exploration,
    Failure,
    Inconclusive,
    Method,
    PropertyViolation,
    Reason,
)
from longpin.runner.exploration.search import explore

__all__ = [
    "Always",
    "BrokenRule",
    "Build",
    "Check",
    "CheckpointError",
    "Estimate",
    "Exploration",
    "Explorer",
    "Failure",
    "FootprintError",
    "Inconclusive",
    "Marks",
    "Method",
    "PropertyViolation",
    "Reason",
    "estimate",
    "explore",
    "replay",
]
