"""Hazards: races that no proposal may have, each a scenario in roles with what the documents lead one to expect.

A hazard is two files in ``config/hazards``: a scenario, ``H8-data-move.toml``, and beside it what should happen, in
whose words, and the verdict that is expected of each policy, ``H8-data-move.expected.toml``. Both are data: nothing
else knows which hazards there are.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from cattrs import Converter

from longpin.config.loader import parse_scenario
from longpin.config.schema import Scenario

HOLDS = "holds"
"""The verdict that is expected where no rule is violated."""

_SCENARIO, _EXPECTED = ".toml", ".expected.toml"
_NAME = re.compile(r"(?P<letter>[A-Z])(?P<number>\d+)-[a-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Deviation:
    """Verdicts that are not what the documents lead one to expect, and why that is right."""

    cells: tuple[str, ...]
    """As the keys of :attr:`Expected.verdicts`."""
    found: str
    """The rule that is violated, or ``holds``."""
    why: str


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of a hazard."""

    should: str
    """What should happen, whatever the policy."""
    words: str
    """What the source says."""
    source: str
    default: str = HOLDS
    kernel: str = ""
    """The version of Linux that every policy runs on here; empty: that of its preset."""
    verdicts: Mapping[str, str] = field(default_factory=dict)
    """A rule that is violated, or ``holds``, by ``P5``, ``P5:intended``, ``P5/racy`` or ``P5:intended/racy``."""
    deviation: tuple[Deviation, ...] = ()

    def verdict(self, policy: str, preset: str, timers: str) -> str:
        """Return what is expected of a cell: what is said of it most closely."""
        return next((self.verdicts[key] for key in _keys(policy, preset, timers) if key in self.verdicts), self.default)

    def explanation(self, policy: str, preset: str, timers: str, found: str) -> str:
        """Return why a cell is found as it is, where that is not what is expected; empty if nobody says."""
        keys = _keys(policy, preset, timers)
        told = (each.why for each in self.deviation if each.found == found and not keys.keys().isdisjoint(each.cells))
        return next(told, "")


@dataclass(frozen=True, slots=True)
class Hazard:
    """A hazard, or one of its variants."""

    scenario: Scenario
    expected: Expected

    @property
    def name(self) -> str:
        """The scenario's name: ``H8-data-move``."""
        return self.scenario.name

    @property
    def number(self) -> str:
        """Which one it is, as the documents count them: ``H8``."""
        return self.name.partition("-")[0]


def shipped_hazards() -> tuple[str, ...]:
    """Return the names of the hazards, in the order of their numbers."""
    return tuple(_files())


def load_hazard(name: str) -> Hazard:
    """Return a hazard that comes with the package.

    Raises:
        KeyError: there is none of that name.

    """
    scenario, expected = _files()[name]
    converter = Converter(forbid_extra_keys=True)
    return Hazard(
        parse_scenario(scenario.read_text(encoding="utf-8"), scenario.name),
        converter.structure(tomllib.loads(expected.read_text(encoding="utf-8")), Expected),
    )


def hazards_named(wanted: Sequence[str]) -> list[str]:
    """Return the names of the hazards that are asked for by number or by name, all if none is, in their order.

    Raises:
        ValueError: one sentence that says what was expected.

    """
    names = shipped_hazards()
    for one in wanted:
        if not any(is_named(name, [one]) for name in names):
            numbers = ", ".join(dict.fromkeys(name.partition("-")[0] for name in names))
            raise ValueError(f"expected one of {numbers}, or the name of a variant, found {one!r}")
    return [name for name in names if not wanted or is_named(name, wanted)]


def is_named(name: str, wanted: Sequence[str]) -> bool:
    """Return whether a hazard is among those that are asked for by number or by name."""
    return name in wanted or name.partition("-")[0] in wanted


def _keys(policy: str, preset: str, timers: str) -> dict[str, None]:
    """Return what a cell may be called, the closest first."""
    return dict.fromkeys((f"{policy}:{preset}/{timers}", f"{policy}:{preset}", f"{policy}/{timers}", policy))


@cache
def _files() -> dict[str, tuple[Traversable, Traversable]]:
    """Return the two files of each hazard by its name: hazards before uses, by number."""
    folder = resources.files("longpin.config") / "hazards"
    names = [entry.name.removesuffix(_EXPECTED) for entry in folder.iterdir() if entry.name.endswith(_EXPECTED)]

    def place(name: str) -> tuple[str, int, str]:
        found = _NAME.fullmatch(name)
        if found is None:
            raise ValueError(f"{name}: expected a name such as H8-data-move")
        return found["letter"], int(found["number"]), name

    return {name: (folder / f"{name}{_SCENARIO}", folder / f"{name}{_EXPECTED}") for name in sorted(names, key=place)}
