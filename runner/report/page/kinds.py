"""Kinds of rules: what a row of the matrix is about, told by a word and a symbol, never by colour alone."""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from longpin.config.schema import USES, Scenario
from longpin.runner.judging.invariants import INVARIANTS


class _Kind(NamedTuple):
    symbol: str
    word: str


class RuleKind(_Kind, Enum):
    """A kind of rules; their order is that in which a row names them."""

    USE = ("★", "use")
    SAFETY = ("▲", "safety")
    LIVENESS = ("∞", "liveness")
    ADMINISTRATION = ("§", "administration")
    OTHER = ("◆", "other")


_KINDS = {
    "O1": RuleKind.SAFETY,
    "O1'": RuleKind.SAFETY,
    "O2": RuleKind.SAFETY,
    "O3": RuleKind.LIVENESS,
    "O4": RuleKind.ADMINISTRATION,
    "O8": RuleKind.ADMINISTRATION,
}


def kind_of(rule: str) -> RuleKind:
    """Return the kind of a rule, or of a use."""
    return RuleKind.USE if rule in USES else _KINDS.get(rule, RuleKind.OTHER)


def sentence_of(rule: str) -> str:
    """Return what a rule, or a use, says; empty if there is none of that name."""
    if rule in USES:
        return USES[rule]
    return INVARIANTS[rule].summary if rule in INVARIANTS else ""


def kinds_of(scenario: Scenario) -> dict[RuleKind, list[str]]:
    """Return the rules and uses that a scenario is judged by, by their kind."""
    return by_kind((*scenario.shows, *scenario.holds))


def by_kind(rules: Iterable[str]) -> dict[RuleKind, list[str]]:
    """Return rules by their kind, in the order of kinds."""
    found: dict[RuleKind, list[str]] = {kind: [] for kind in RuleKind}
    for rule in rules:
        found[kind_of(rule)].append(rule)
    return {kind: its for kind, its in found.items() if its}
