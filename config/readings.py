"""Where the documents disagree, and which policies say what: ``config/readings.toml``."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from cattrs import Converter


@dataclass(frozen=True, slots=True)
class Reading:
    """What one side says."""

    says: str
    policy: str
    """The proposal that does so, as ``--policy`` takes it."""


@dataclass(frozen=True, slots=True)
class DisputedQuestion:
    """Something of which the documents say different things."""

    asks: str
    source: str
    hazards: tuple[str, ...]
    """What shows the difference: numbers of hazards, or names."""
    readings: tuple[Reading, ...]
    why: str = ""
    """Why nothing is run, where nothing is."""


@cache
def disputed_questions() -> tuple[DisputedQuestion, ...]:
    """Return the questions, in the order of the documents."""
    text = resources.files("longpin.config").joinpath("readings.toml").read_text(encoding="utf-8")
    converter = Converter(forbid_extra_keys=True)
    return tuple(converter.structure(entry, DisputedQuestion) for entry in tomllib.loads(text)["question"])
