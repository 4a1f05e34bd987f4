"""Marks: a search says exactly what is to be seen in schedules that can really happen, however it searches."""

from functools import partial
from pathlib import Path as FilePath
from typing import Any

import pytest
from model import random_actors, random_footprints, schedules
from model.crossed import crossed_from_afar
from model.random_actors import Hopper
from model.random_footprints import ChangeRegister, Registers
from model.test_parallel import explored_by_leaves

from longpin.actors.base import Actor
from longpin.messages.envelope import Envelope
from longpin.runner import stress
from longpin.runner.exploration import Exploration, Explorer, PropertyViolation, Reason, explore, shared
from longpin.runner.exploration.frontier import Grain
from longpin.runner.exploration.replay import Collector
from longpin.runner.result import Verdict

RUNS_AT_MOST = 400
"""Random programs that need more are left out."""

AT_REST = frozenset({"at rest"})


def written(actor: Actor, envelope: Envelope) -> frozenset[str]:
    """Return what a message has written into a register, which is all that it declares to write."""
    if not isinstance(actor, Registers) or not isinstance(envelope.body, ChangeRegister):
        return frozenset()
    register = envelope.body.written
    return frozenset({f"{actor.address} {register}: {actor.registers[register]}"})


def told(actor: Actor, _envelope: Envelope) -> frozenset[str]:
    """Return what an actor of a program without footprints has come to."""
    if not isinstance(actor, Hopper):
        return frozenset()
    return frozenset({f"{actor.address}: {actor.total}, {actor.fired}, {actor.children}"})


def every_mark(build: Any, marks: Any, *, racy: bool) -> set[str]:
    """Run every order of arrivals on the stepped engine, each from the start.

    Raises:
        TooManyError: there are too many.

    """

    class Watched:
        """A world that is watched from its beginning."""

        def __init__(self) -> None:
            self.collectors: list[Collector] = []

        def build(self, engine: Any) -> None:
            self.collectors.append(Collector(engine, marks))
            engine.observers.append(self.collectors[-1])
            build(engine)

    watched = Watched()
    assert list(random_actors.every_order(watched.build, racy=racy, runs_at_most=RUNS_AT_MOST))
    return set[str]().union(*(collector.found for collector in watched.collectors))


def check_program(build: Any, marks: Any, *, racy: bool = False) -> int | None:
    """Compare what searches say with what every order shows; return how many marks there are, None if too many."""
    try:
        wanted = every_mark(build, marks, racy=racy)
    except random_actors.TooManyError:
        return None
    for method in ("dpor", "states", "naive"):
        for footprints in (True, False) if method == "dpor" else (True,):
            found = explore(build, method=method, marks=marks, racy=racy, footprints=footprints)
            assert found.marks == wanted, method
    for leaf in (1, 3):
        assert explored_by_leaves(Explorer(build, marks=marks, racy=racy), leaf).marks == wanted
    return len(wanted)


def test_random_programs_with_footprints() -> None:
    found = [number for seed in range(45) if (number := check_program(random_footprints.program(seed), written))]
    assert len(found) > 12
    assert max(found) > 5


def test_random_programs_with_timers() -> None:
    found = []
    for seed in range(60):
        timers, racy = seed % 3 != 0, seed % 3 == 1
        found.append(check_program(random_actors.program(seed, timers=timers), told, racy=racy))
    assert len([number for number in found if number]) > 20


def overtaken(actor: Actor, _envelope: Envelope) -> frozenset[str]:
    """Say it where the ledger was told in an order that no inboxes show."""
    log = getattr(actor, "told", [])
    if not {"sq", "pq", "pr", "sr"} <= set(log):
        return frozenset()
    at = log.index
    return frozenset({"both" if at("sq") < at("pq") and at("pr") < at("sr") else "not both"})


def test_what_no_real_order_shows_is_not_seen() -> None:
    """With footprints alone a schedule is explored in which q serves s first and r serves p first."""
    explorer = Explorer(crossed_from_afar, marks=overtaken)
    explored_by_leaves(explorer, 1000)
    computed = {mark for steps in explorer.table.steps for step in steps.values() for mark in step.marks}
    assert computed == {"both", "not both"}, "the search looks at it"
    for method in ("dpor", "states"):
        result = explore(crossed_from_afar, method=method, marks=overtaken, wanted=["both", "not both"])
        assert (result.marks, result.missing) == ({"not both"}, ["both"])
        assert (result.reason, result.verdict) == (Reason.COMPLETE, Verdict.UNDETERMINED)


def test_a_step_computed_for_a_schedule_that_cannot_happen_counts_where_it_can() -> None:
    """What an earlier search computed says nothing about which schedule a later one is in."""
    explorer = Explorer(crossed_from_afar, marks=overtaken)
    first = explored_by_leaves(explorer, 1)
    again = explored_by_leaves(explorer, 3)
    assert first.marks == again.marks == {"not both"}


# What a check says of worlds at rest.


def rest(_world: Any) -> frozenset[str]:
    return AT_REST


def s1(world: Any) -> None:
    schedules.s1(3)(world)


def served(actor: Actor, envelope: Envelope) -> frozenset[str]:
    return frozenset({f"{actor.address} <- {envelope.src}"})


@pytest.mark.parametrize("method", ["dpor", "states", "naive"])
def test_a_check_may_return_marks(method: str) -> None:
    result = explore(s1, method=method, check=rest, wanted=AT_REST)
    assert (result.marks, result.missing, result.verdict) == ({"at rest"}, [], Verdict.HOLDS)
    assert explore(s1, method=method, check=lambda _: ["at rest"]).marks == set(), "whatever else it returns is nothing"


def test_wanted_marks_that_are_missing_leave_the_verdict_undetermined() -> None:
    result = explore(s1, marks=served, wanted=["server <- nobody"])
    assert result.complete
    assert (result.missing, result.verdict) == (["server <- nobody"], Verdict.UNDETERMINED)

    def broken(_world: Any) -> None:
        raise PropertyViolation("at rest")

    assert explore(s1, marks=served, check=broken, wanted=["x"]).verdict is Verdict.VIOLATED


# Workers and checkpoints.


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_tell_what_they_saw(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "GRAIN", Grain(40, 0))
    monkeypatch.setattr(shared, "HEAD_START", 0.0)
    alone = explore(s1, method="dpor", footprints=False, marks=served, check=rest)
    result = explore(s1, method="dpor", footprints=False, marks=served, check=rest, workers=workers)
    assert result.marks == alone.marks
    assert "at rest" in result.marks
    assert len(result.marks) > 3


def test_a_resumed_exploration_has_lost_no_marks(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "GRAIN", Grain(40, 0))
    search = partial(explore, s1, marks=served, check=rest, footprints=False, checkpoint=tmp_path / "file")
    parts: list[Exploration] = [search(max_executions=most) for most in (30, 60)]
    whole = search()
    assert [part.reason for part in parts] == [Reason.EXECUTIONS] * 2
    assert parts[0].marks <= parts[1].marks <= whole.marks
    expected = explore(s1, method="dpor", marks=served, check=rest, footprints=False).marks
    assert whole.marks == expected
    assert search().marks == expected, "and neither has one that was finished"


def other(_actor: Actor, _envelope: Envelope) -> frozenset[str]:
    return frozenset({"explored again"})


def test_what_is_in_a_checkpoint_is_not_asked_again(tmp_path: FilePath) -> None:
    first = explore(s1, marks=served, checkpoint=tmp_path / "file")
    again = explore(s1, marks=other, checkpoint=tmp_path / "file", wanted=sorted(first.marks))
    assert (again.marks, again.verdict) == (first.marks, Verdict.HOLDS)


# Sampling.


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("remember", [False, True])
def test_sampled_runs_show_marks(remember: bool, workers: int) -> None:
    exact = explore(s1, marks=served, check=rest).marks
    wanted = ["server <- nobody", "at rest"]
    found = stress(s1, runs=60, marks=served, check=rest, wanted=wanted, remember=remember, workers=workers)
    assert found.marks == exact
    assert found.missing == ["server <- nobody"]
    assert found.verdict is Verdict.UNDETERMINED
