"""Running worlds: engines, scheduling oracles, invariants, verbs, reports and the command line.

Scenarios: :mod:`longpin.api`. For worlds of one's own actors: :func:`explore` runs every schedule, :func:`stress`
many of them.
"""

from importlib import import_module

TYPE_CHECKING = False  # what typing has costs the command line time, and type checkers know it by name
if TYPE_CHECKING:
    from longpin.runner.exploration import explore
    from longpin.runner.sampling import stress

__all__ = ["explore", "stress"]

_HOME = {"explore": "longpin.runner.exploration", "stress": "longpin.runner.sampling"}


def __getattr__(name: str) -> object:
    """Import a search when it is asked for: the command line is quick without."""
    if name in _HOME:
        found: object = getattr(import_module(_HOME[name]), name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
