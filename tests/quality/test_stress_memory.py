"""A campaign needs no more memory the longer it goes on: what it remembers is bounded, and so is what it counts.

The bounds are lowered, so that they are reached in seconds and not after minutes.
"""

import pytest

from longpin.config.loader import load_scenario
from longpin.runner.events import Event, SearchAdvanced
from longpin.runner.exploration.budget import memory_used
from longpin.runner.sampling import memory, sample, stress
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

RUNS = 2_000

GROWTH = 8 << 20
"""Bytes that the second half may take more than the first: traces are counted in 40 bytes each, pages are not full."""


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_memory_does_not_grow_with_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """``pytest -m heavy tests/quality/test_stress_memory.py``."""
    monkeypatch.setattr(memory, "MOST_STATES", 300)
    monkeypatch.setattr(sample, "MOST_JUDGED", 50)
    its = Subject(scenario := load_scenario("layout-lease-answered"), Settings.of(scenario))
    first, second = list[int](), list[int]()

    def watch(event: Event) -> None:
        if isinstance(event, SearchAdvanced):
            (first if event.runs < RUNS // 2 else second).append(memory_used())

    found = stress(
        its.build, runs=RUNS, racy=True, check=its.check, always=its.always, first_failure=False, observers=[watch]
    )
    assert found.runs == RUNS
    assert len(first) > 2
    assert max(second) - max(first) < GROWTH
