"""What sampling and threads show, exploration has: every world at rest that a run comes to is among those explored.

``pytest -m heavy tests/quality/test_outcomes.py`` does it for every shipped scenario whose exploration with racy timers
comes to its end in two minutes, with 200 runs on threads.
"""

from collections.abc import Hashable

import pytest

from longpin.config.loader import load_scenario, shipped_scenarios
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.exploration import explore, replay
from longpin.runner.exploration.canonical import canonical
from longpin.runner.sampling import stress
from longpin.runner.sampling.threads import Recorder
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

SMALL = ("layout-lease-ignored", "truncate-waits")


def rest_of(world: SteppedEngine) -> Hashable:
    """Return what all actors have come to."""
    return tuple(sorted((address, canonical(actor)) for address, actor in world.actors.items()))


class Rests:
    """Collects what worlds come to."""

    def __init__(self) -> None:
        self.found: set[Hashable] = set()

    def check(self, world: SteppedEngine) -> None:
        self.found.add(rest_of(world))


def explored(subject: Subject, *, racy: bool, seconds: float | None = None) -> set[Hashable]:
    """Return the worlds at rest that matching states finds."""
    rests = Rests()
    result = explore(subject.build, method="states", racy=racy, seconds=seconds, check=rests.check)
    if not result.complete:
        pytest.skip(f"{result.states} states in {seconds} s, and no end: {result.reason}")
    return rests.found


def check_runs(name: str, *, runs: int, samples: int, seconds: float | None = None) -> None:
    """Compare runs on threads and samples of a scenario with all that it can come to."""
    scenario = load_scenario(name)
    settings = Settings.of(scenario, engine="threads")
    subject = Subject(scenario, settings)
    for racy in (True, False):
        found = explored(subject, racy=racy, seconds=seconds)
        sampled = Rests()
        campaign = stress(subject.build, runs=samples, racy=racy, check=sampled.check, first_failure=False)
        assert campaign.endless == 0
        assert sampled.found
        assert sampled.found <= found
        if racy:  # a timer that is due goes off on threads, whatever else could happen
            recorder = Recorder(subject)
            for seed in range(runs):
                log, quiet = recorder.record(seed)
                assert quiet
                assert rest_of(replay(subject.build, [envelope.src for envelope in log], racy=True)) in found


@pytest.mark.parametrize("name", SMALL)
def test_runs_come_to_nothing_that_exploration_has_not(name: str) -> None:
    check_runs(name, runs=25, samples=100)


@pytest.mark.heavy
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", shipped_scenarios())
def test_many_runs_come_to_nothing_that_exploration_has_not(name: str) -> None:
    check_runs(name, runs=200, samples=5_000, seconds=120)
