"""The public interface: load, check, run, replay, explore, stress and judge scenarios. See docs/api.md."""

from importlib import import_module
from typing import TYPE_CHECKING

from longpin.runner import events
from longpin.runner.api import check, explore, load, run, run_all, settings_of, stress
from longpin.runner.conclusions import Explored, RanAll, Replayed, Stressed, Tabulated, Vectors
from longpin.runner.events import Event, Observer
from longpin.runner.report.sentences import sentence
from longpin.runner.result import Result, Verdict
from longpin.runner.tables import matrix, vectors
from longpin.runner.traces import judge, replay, replay_under
from longpin.runner.usage import UsageError

if TYPE_CHECKING:
    from longpin.config.problems import ScenarioError
    from longpin.messages.trace import TraceError
    from longpin.runner.engines.engine import InternalError
    from longpin.runner.exploration.checkpoint import CheckpointError
    from longpin.runner.exploration.footprints import FootprintError
    from longpin.runner.machine.processes import HostError
    from longpin.runner.own_policy.checks import PolicyError
    from longpin.runner.pool import PoolError

__all__ = [
    "CheckpointError",
    "Event",
    "Explored",
    "FootprintError",
    "HostError",
    "InternalError",
    "Observer",
    "PolicyError",
    "PoolError",
    "RanAll",
    "Replayed",
    "Result",
    "ScenarioError",
    "Stressed",
    "Tabulated",
    "TraceError",
    "UsageError",
    "Vectors",
    "Verdict",
    "check",
    "events",
    "explore",
    "judge",
    "load",
    "matrix",
    "replay",
    "replay_under",
    "run",
    "run_all",
    "sentence",
    "settings_of",
    "stress",
    "vectors",
]

EXCEPTIONS = {
    "CheckpointError": "longpin.runner.exploration.checkpoint",
    "FootprintError": "longpin.runner.exploration.footprints",
    "HostError": "longpin.runner.machine.processes",
    "InternalError": "longpin.runner.engines.engine",
    "PolicyError": "longpin.runner.own_policy.checks",
    "PoolError": "longpin.runner.pool",
    "ScenarioError": "longpin.config.problems",
    "TraceError": "longpin.messages.trace",
}
"""What the functions raise beside UsageError, and where it is defined."""


if not TYPE_CHECKING:  # a type checker would let any name through

    def __getattr__(name: str) -> type[Exception]:
        """Import an exception when it is asked for: the modules behind take longer than the interface."""
        if name in EXCEPTIONS:
            return getattr(import_module(EXCEPTIONS[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
