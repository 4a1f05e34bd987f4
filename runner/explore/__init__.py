"""Exploration: every schedule of a world that can be told from the others."""

from longpin.runner.explore.footprints import FootprintError
from longpin.runner.explore.replay import replay
from longpin.runner.explore.result import Exploration, Failure, Method, PropertyViolation, Reason
from longpin.runner.explore.search import explore

__all__ = ["Exploration", "Failure", "FootprintError", "Method", "PropertyViolation", "Reason", "explore", "replay"]
