"""Canonical forms: two are equal if and only if the plain ones are, in states that random walks come to."""

import random
from collections.abc import Callable, Hashable
from typing import Any

import pytest
from model.random_actors import program
from model.reference_forms import reference_form

from longpin.config.loader import load_scenario, shipped_scenarios
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.exploration.canonical import canonical
from longpin.runner.oracles.random_walk import RandomWalk
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject


class Comparer:
    """Compares the forms of an actor that has just received something, and of what it received."""

    def __init__(self) -> None:
        self.engine: SteppedEngine | None = None
        self.partners: dict[Hashable, Hashable] = {}
        """For each form met, of either kind, the other one."""

    def arrived(self, _number: int, envelope: Any) -> None:
        assert self.engine is not None
        for value in (tuple(envelope), self.engine.actors[envelope.dst]):
            for ordered in (True, False):
                form, reference = canonical(value, ordered=ordered), reference_form(value, ordered=ordered)
                assert self.partners.setdefault((ordered, "form", form), reference) == reference
                assert self.partners.setdefault((ordered, "reference", reference), form) == form


def walk(comparer: Comparer, build: Callable[[Any], object], seed: int) -> None:
    comparer.engine = SteppedEngine(RandomWalk(seed), racy=random.Random(seed).random() < 0.5, seed=seed)
    comparer.engine.observers.append(comparer)
    build(comparer.engine)
    comparer.engine.run()


def compare_scenario(name: str, walks: int) -> int:
    scenario = load_scenario(name)
    subject, comparer = Subject(scenario, Settings.of(scenario)), Comparer()
    for seed in range(walks):
        walk(comparer, subject.build, seed)
    return len(comparer.partners)


def test_forms_tell_the_same_states_apart() -> None:
    assert compare_scenario("lease-shared", 2) > 200
    comparer = Comparer()
    for seed in range(20):
        walk(comparer, program(seed, timers=True), seed)
    assert len(comparer.partners) > 200


@pytest.mark.heavy
@pytest.mark.parametrize("name", shipped_scenarios())
def test_forms_tell_the_same_states_of_every_scenario_apart(name: str) -> None:
    compare_scenario(name, 10)
