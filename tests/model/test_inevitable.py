"""Since when a violation is inevitable, against a search that runs every continuation on the stepped engine itself."""

from collections.abc import Callable
from typing import Any

import pytest
from model.random_actors import TooManyError, every_order
from model.test_states import program

from longpin.actors.base import Actor
from longpin.messages.envelope import Address, Envelope
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.exploration.avoiding import Avoiding, Decisions, NotWholeError
from longpin.runner.exploration.budget import Budget
from longpin.runner.exploration.replay import Decisions as Follow
from longpin.runner.failures import inevitable
from longpin.runner.failures.inevitable import Points

RUNS_AT_MOST = 250
Build = Callable[[Any], None]


def sum_of(actor: Actor) -> int:
    value: int = getattr(actor, "total", getattr(actor, "sum", -1))
    return value


def breaks(actor: Actor, _envelope: Envelope) -> bool:
    """Return whether a step does what must never be done."""
    return actor.address == "a1" and sum_of(actor) in (2, 3)


def broken(engine: SteppedEngine) -> bool:
    """Return whether a world at rest is not as it must be."""
    return sum(map(sum_of, engine.actors.values())) % 3 == 0


class Watch:
    """Remembers whether a step did what must never be done, and who was let go."""

    def __init__(self, engine: SteppedEngine) -> None:
        self.engine = engine
        self.at: int | None = None
        self.decisions: list[Address] = []

    def arrived(self, number: int, envelope: Envelope) -> None:
        self.decisions.append(envelope.src)
        if self.at is None and breaks(self.engine.actors[envelope.dst], envelope):
            self.at = number


def followed(build: Build, decisions: Decisions, *, racy: bool) -> tuple[SteppedEngine, Watch]:
    engine = SteppedEngine(Follow(decisions), racy=racy)
    watch = Watch(engine)
    engine.observers.append(watch)
    build(engine)
    engine.run()
    return engine, watch


def next_of(engine: SteppedEngine) -> list[Address]:
    return [actor.address for actor in engine.ready] or (["alarm"] if engine.alarm.outbox else [])


def can_be_kept(build: Build, prefix: Decisions, *, racy: bool, left: list[int]) -> bool:
    """Return whether some continuation breaks nothing, by running all of them."""
    left[0] -= 1
    if not left[0]:
        raise TooManyError
    engine, watch = followed(build, prefix, racy=racy)
    if watch.at is not None:
        return False
    ready = next_of(engine)
    if not ready:
        return not broken(engine)
    return any(can_be_kept(build, (*prefix, address), racy=racy, left=left) for address in ready)


def violations(build: Build, *, racy: bool) -> list[Decisions]:
    """Return a few schedules that break something, each up to where it does."""
    found = []
    choose: list[Callable[[list[Address]], Address]] = [min, max, lambda ready: ready[len(ready) // 2]]
    for pick in choose:
        decisions: Decisions = ()
        while len(decisions) < 60:
            engine, watch = followed(build, decisions, racy=racy)
            ready = next_of(engine)
            if watch.at is not None or (not ready and broken(engine)):
                found.append(decisions)
                break
            if not ready:
                break
            decisions = (*decisions, pick(ready))
    return found


def compared(seed: int) -> list[tuple[int, int]]:
    """Return for each violation of a program how long it is, and since when it is inevitable."""
    build, racy = program(seed)
    try:
        list(every_order(build, racy=racy, runs_at_most=RUNS_AT_MOST))
    except TooManyError:
        return []
    found = []
    for decisions in violations(build, racy=racy):
        points = Points(Avoiding(build, breaks, broken, racy=racy), decisions, Budget(seconds=60))
        since = points.first_lost()
        assert not points.why
        kept = [can_be_kept(build, decisions[:point], racy=racy, left=[10_000]) for point in range(len(decisions) + 1)]
        assert kept == sorted(kept, reverse=True)
        assert since == kept.index(False), (seed, decisions)
        if since:
            way = points.ways[since - 1]
            assert way[0] != decisions[since - 1]
            engine, watch = followed(build, (*decisions[: since - 1], *way), racy=racy)
            assert watch.at is None
            assert not next_of(engine)
            assert not broken(engine)
        found.append((len(decisions), since))
    return found


def all_compared(seeds: range) -> list[tuple[int, int]]:
    return [pair for seed in seeds for pair in compared(seed)]


def test_it_is_what_running_every_continuation_says() -> None:
    found = all_compared(range(100, 150))
    assert len(found) >= 10
    assert any(0 < since < length for length, since in found)
    assert any(since == 0 for _, since in found)


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_it_is_what_running_every_continuation_says_of_many() -> None:
    assert len(all_compared(range(30_000, 31_500))) > 300


def test_a_planted_mistake_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that break the rule are gone through as if they kept it."""

    class Careless(Avoiding):
        def __init__(self, build: Build, _breaks: object, broken: Any, **options: Any) -> None:
            super().__init__(build, lambda *_: False, broken, **options)

    monkeypatch.setitem(globals(), "Avoiding", Careless)
    with pytest.raises(AssertionError):
        all_compared(range(100, 150))


def test_what_is_not_whole_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inevitable, "LEAST_SECONDS", 0.0)
    build, decisions, racy = next(
        (build, decisions, racy)
        for build, racy in map(program, range(100, 150))
        for decisions in violations(build, racy=racy)
    )
    search = Avoiding(build, breaks, broken, racy=racy)
    with pytest.raises(NotWholeError, match="the time allowed is spent"):
        search.way_on((), Budget(seconds=0))
    points = Points(search, decisions, Budget(seconds=0))
    assert points.first_lost() == len(decisions)
    assert points.why == "whether it was before is not known: the time allowed is spent"
