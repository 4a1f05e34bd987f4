"""The public interface: load, run, replay, explore, stress and judge scenarios. See docs/api.md."""

from longpin.runner.api import (
    Event,
    Explored,
    Observer,
    Result,
    Stressed,
    UsageError,
    Verdict,
    events,
    explore,
    judge,
    load,
    replay,
    run,
    sentence,
    settings_of,
    stress,
)

__all__ = [
    "Event",
    "Explored",
    "Observer",
    "Result",
    "Stressed",
    "UsageError",
    "Verdict",
    "events",
    "explore",
    "judge",
    "load",
    "replay",
    "run",
    "sentence",
    "settings_of",
    "stress",
]
