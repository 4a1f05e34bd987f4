"""Exploration: every schedule of a world that can be told from the others."""

from longpin.runner.explore.footprints import FootprintError
from longpin.runner.explore.replay import Always, replay
from longpin.runner.explore.result import Broken, Exploration, Failure, Inconclusive, Method, PropertyViolation, Reason
from longpin.runner.explore.search import Build, Check, explore

__all__ = [
    "Always",
    "Broken",
    "Build",
    "Check",
    "Exploration",
    "Failure",
    "FootprintError",
    "Inconclusive",
    "Method",
    "PropertyViolation",
    "Reason",
    "explore",
    "replay",
]
