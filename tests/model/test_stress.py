"""Sampling: the traces counted are the traces there are, and a remembered run is the run the stepped engine makes."""

import dataclasses
import itertools
import random
from collections import Counter
from typing import Any

import pytest
from model import random_actors, schedules
from shipped import some_shipped

from longpin.actors.base import Actor, Engine, handles
from longpin.config.loader import load_scenario
from longpin.messages.envelope import Address, Envelope, Message, message
from longpin.runner.engines.engine import InternalError
from longpin.runner.engines.profile import profile_of
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.events import Event
from longpin.runner.exploration import Inconclusive, PropertyViolation, explore, replay
from longpin.runner.oracles import ORACLES, PORTFOLIO
from longpin.runner.result import Verdict
from longpin.runner.sampling import CampaignReason, stress
from longpin.runner.sampling import campaign as campaign_module
from longpin.runner.sampling.sample import Plan, Sampler
from longpin.runner.sampling.trace import NO_TRACE, Traces, trace_number
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

PROGRAMS = range(40)
RUNS = 40


def sampler(build: schedules.Build, *, racy: bool = False, remember: bool = True, **changes: Any) -> Sampler:
    profile = profile_of(build, racy=racy)
    plan = Plan(build, PORTFOLIO, profile, None, None, racy=racy, most=1_000, remember=remember)
    return Sampler(plan._replace(**changes))


# Traces.


@pytest.mark.parametrize(
    ("build", "traces", "runs"),
    [(schedules.s1(3), 90, 5_000), (schedules.s2(4), 192, 40_000), (schedules.s4(1), 15, 2_000)],
)
def test_as_many_traces_are_seen_as_there_are(build: schedules.Build, traces: int, runs: int) -> None:
    campaign = stress(build, runs=runs)
    assert campaign.distinct == traces == explore(build, method="dpor", footprints=False).executions
    assert campaign.counted == campaign.runs == sum(row.runs for row in campaign.by_strategy) == runs
    assert campaign.verdict is Verdict.UNDETERMINED
    assert campaign.reason is CampaignReason.RUNS


@pytest.mark.parametrize("name", some_shipped(5, 1))
def test_scenarios_show_no_more_traces_than_there_are(name: str) -> None:
    scenario = load_scenario(name)
    subject = Subject(scenario, Settings.of(scenario))
    executions = explore(subject.build, method="dpor", footprints=False, max_executions=2_000).executions
    campaign = stress(subject.build, runs=400)
    assert 0 < campaign.distinct <= executions
    assert campaign.unseen > 0 or campaign.distinct >= executions / 2  # some are rare: a process gets no CPU


def test_without_memory_the_runs_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is looked up then; every handler runs."""
    usual = stress(schedules.s4(1), runs=200)
    monkeypatch.setattr(campaign_module, "memory_allowed", lambda: 0)
    small = sampler(schedules.s4(1), most_bytes=0)
    small.run(0)
    assert not small.remember
    found = stress(schedules.s4(1), runs=200)
    assert dataclasses.replace(found, seconds=0.0) == dataclasses.replace(usual, seconds=0.0)


@pytest.mark.parametrize(("timers", "racy"), [(False, False), (True, False), (True, True)])
def test_a_trace_is_what_everybody_receives(timers: bool, racy: bool) -> None:
    """On random programs: two schedules have one number iff every actor receives the same in the same order."""
    several = 0
    for seed in PROGRAMS:
        build = random_actors.program(seed, timers=timers)
        sample = sampler(build, racy=racy)
        runs = [sample.run(number) for number in range(RUNS)]
        pairs = {(run.trace, random_actors.trace_of(build, run.decisions, racy=racy)) for run in runs}
        assert len({number for number, _ in pairs}) == len({trace for _, trace in pairs}) == len(pairs)
        several += len(pairs) > 1
    assert several > len(PROGRAMS) / 6


def test_arrivals_at_different_receivers_may_change_places() -> None:
    def at(dst: Address, src: Address) -> Envelope:
        return Envelope(src, dst, schedules.ServeMe())

    one, other, third = at("x", "a"), at("x", "b"), at("y", "a")
    orders = list(itertools.permutations((one, other, third)))
    assert {trace_number(order) for order in orders if order.index(one) < order.index(other)} == {
        trace_number([one, other, third])
    }
    assert len({trace_number(order) for order in orders}) == 2
    assert trace_number([]) != NO_TRACE


def test_a_table_counts_as_a_dict_does() -> None:
    rng = random.Random(5)
    # Few different low bits, so that many traces want one slot, over several sizes of the table.
    numbers = [rng.choice((rng.randrange(1, 4_000), rng.getrandbits(40) << 10 | 7)) for _ in range(20_000)]
    traces, seen = Traces(), Counter[int]()
    by_strategy: set[tuple[int, int]] = set()
    for index, number in enumerate(numbers):
        seen[number] += 1
        new = (number, index % 3) not in by_strategy
        by_strategy.add((number, index % 3))
        assert traces.add(number, index % 3) is new
    assert traces.distinct == len(seen)
    assert traces.once == sum(count == 1 for count in seen.values())
    assert (traces.counted, traces.full) == (len(numbers), False)


def test_a_full_table_says_at_least() -> None:
    traces = Traces(most=2)
    assert [traces.add(number, 0) for number in (5, 6, 5, 6)] == [True, True, False, False]
    assert not traces.full
    assert not traces.add(7, 0)
    assert (traces.full, traces.distinct, traces.counted, traces.once) == (True, 2, 4, 0)
    assert not traces.add(5, 1)
    assert traces.counted == 4


def test_the_estimate_says_how_often_something_new_comes() -> None:
    """Good-Turing against the share of further runs, five times as many, that had a trace not seen before."""
    first = stress(schedules.s4(2), runs=2_000)
    sample = sampler(schedules.s4(2))
    seen = {sample.run(seed).trace for seed in range(2_000)}
    assert len(seen) == first.distinct
    further = [sample.run(seed).trace for seed in range(2_000, 12_000)]
    share = sum(trace not in seen for trace in further) / len(further)
    assert share == pytest.approx(first.unseen, abs=0.03)
    assert share > 0.1


# Memory.


@pytest.mark.parametrize("racy", [False, True])
@pytest.mark.parametrize("name", some_shipped(5))
def test_a_remembered_scenario_is_the_same_run(name: str, racy: bool) -> None:
    scenario = load_scenario(name)
    subject = Subject(scenario, Settings.of(scenario))
    remembered = sampler(subject.build, racy=racy, check=subject.check, always=subject.always)
    run = sampler(subject.build, racy=racy, remember=False, check=subject.check, always=subject.always)
    assert all(remembered.run(seed) == run.run(seed) for seed in range(1, 50))
    assert remembered.remember


@pytest.mark.parametrize(("timers", "racy"), [(False, False), (True, False), (True, True)])
def test_a_remembered_program_is_the_same_run(timers: bool, racy: bool) -> None:
    for seed in PROGRAMS:
        build = random_actors.program(seed, timers=timers)
        remembered, run = sampler(build, racy=racy), sampler(build, racy=racy, remember=False)
        assert all(remembered.run(number) == run.run(number) for number in range(1, 1 + RUNS))
        assert remembered.remember


@message
class RollDice(Message):
    """Do what cannot be remembered."""


class Gambler(Actor):
    """Asks for a random number."""

    @handles(RollDice)
    def roll(self, _roll: RollDice, _src: Address) -> None:
        self.send(f"winner:{self.random(2)}", RollDice())


class Winner(Actor):
    """Receives it."""

    @handles(RollDice)
    def win(self, _roll: RollDice, _src: Address) -> None:
        """Be glad."""


class Hoarder(Winner):
    """Holds what has no canonical form."""

    def __init__(self, engine: Engine, address: Address) -> None:
        super().__init__(engine, address)
        self.lock = memoryview(b"")


class Hasty(Winner):
    """Sends before it has received anything."""

    def __init__(self, engine: Engine, address: Address) -> None:
        super().__init__(engine, address)
        self.send("winner:0", RollDice())


class Parent(Actor):
    """Creates a hasty actor, after it has sent something itself."""

    @handles(RollDice)
    def create(self, _roll: RollDice, _src: Address) -> None:
        self.send("winner:1", RollDice())
        self.spawn(Hasty, "child")


@pytest.mark.parametrize("kind", [Gambler, Hoarder, Hasty, Parent])
def test_what_cannot_be_remembered_runs_on_the_engine(kind: type[Actor]) -> None:
    def build(world: Any) -> None:
        for number in range(2):
            world.spawn(Winner, f"winner:{number}")
        world.spawn(kind, "first")
        for dst in ("first", "winner:0", "winner:1"):
            world.tell(dst, RollDice())

    remembered, run = sampler(build), sampler(build, remember=False)
    assert all(remembered.run(seed) == run.run(seed) for seed in range(100))
    assert not remembered.remember


class Gossip(Actor):
    """Shares state with others of its class."""

    heard: list[Address] = []

    @handles(RollDice)
    def hear(self, roll: RollDice, src: Address) -> None:
        if src != self.address:
            self.send(self.address, roll)
            return
        self.heard.append(src)
        if len(self.heard) == 2:
            self.heard.clear()
            self.send("winner:0", roll)


def test_shared_state_is_noticed() -> None:
    def build(world: Any) -> None:
        world.spawn(Winner, "winner:0")
        for name in ("a", "b"):
            world.spawn(Gossip, name)
            world.tell(name, RollDice())

    with pytest.raises(InternalError, match="actors share state"):
        stress(build, runs=100)


def test_a_memory_that_is_full_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    build, check = schedules.s7(4)
    monkeypatch.setattr("longpin.runner.sampling.memory.MOST_STATES", 60)
    remembered, run = sampler(build, check=check), sampler(build, check=check, remember=False)
    memories = []
    for seed in range(1, 300):
        assert remembered.run(seed) == run.run(seed)
        if remembered.memory not in memories:
            memories.append(remembered.memory)
    assert len(memories) > 2
    assert remembered.remember


def test_a_memory_in_which_nothing_is_found_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    build = schedules.s7(8)[0]
    monkeypatch.setattr("longpin.runner.sampling.memory.FIRST_LOOK", 100)
    remembered, run = sampler(build), sampler(build, remember=False)
    assert all(remembered.run(seed) == run.run(seed) for seed in range(1, 60))
    assert 0 < remembered.remembered < 59
    assert not remembered.remember


# Failures.


def test_strategy_and_seed_repeat_a_failing_run() -> None:
    for first in range(0, 200, 10):
        build = schedules.s4(2, careful=False)
        (failure,) = stress(build, seed=first).failures
        assert failure.strategy == PORTFOLIO[failure.seed % len(PORTFOLIO)]
        assert failure.seed == first + failure.run - 1
        engine = SteppedEngine(ORACLES[failure.strategy](failure.seed, profile_of(build)), seed=failure.seed)
        arrived: dict[int, Envelope] = {}
        engine.record = arrived.__setitem__
        build(engine)
        with pytest.raises(InternalError, match="truncated while pinned"):
            engine.run()
        assert tuple(envelope.src for envelope in arrived.values()) == failure.decisions
        with pytest.raises(InternalError, match="truncated while pinned"):
            replay(build, failure.decisions, seed=failure.seed)


def test_what_is_wrong_at_rest_is_found() -> None:
    build, check = schedules.s6(3)
    campaign = stress(build, check=check)
    (failure,) = campaign.failures
    assert (campaign.verdict, campaign.reason, failure.what) == (
        Verdict.VIOLATED,
        CampaignReason.VIOLATED,
        "B was served last",
    )
    assert campaign.runs == failure.run
    with pytest.raises(PropertyViolation):
        check(replay(build, failure.decisions, seed=failure.seed))


def test_what_is_wrong_after_an_arrival_is_found() -> None:
    def always(actor: Actor, _envelope: Envelope) -> None:
        if isinstance(actor, schedules.Ledger):
            assert not actor.served.startswith("BA"), "B came first"

    campaign = stress(schedules.s7(2)[0], always=always)
    (failure,) = campaign.failures
    assert failure.what.startswith("AssertionError: B came first")
    assert campaign.counted == campaign.runs - 1
    with pytest.raises(AssertionError):
        replay(schedules.s7(2)[0], failure.decisions, always=always)


def test_every_failure_is_reported_with_who_found_it_first() -> None:
    def check(world: Any) -> None:
        served = world.actors["ledger"].served
        if served.startswith("B"):
            raise PropertyViolation(served, "O9", "first")
        if served.endswith("BBB"):
            raise PropertyViolation(served, "O9", "last")

    build = schedules.s7(3)[0]
    campaign = stress(build, check=check, runs=700, first_failure=False)
    assert campaign.runs == campaign.counted == 700
    assert campaign.distinct == 20
    assert {(failure.broken.rule, failure.broken.site) for failure in campaign.failures} == {
        ("O9", "first"),
        ("O9", "last"),
    }
    assert campaign.verdict is Verdict.VIOLATED
    assert campaign.reason is CampaignReason.RUNS
    for failure in campaign.failures:
        key = (failure.broken.rule, failure.broken.site, "")
        row = next(row for row in campaign.by_strategy if row.name == failure.strategy)
        assert row.found[key] == failure.own_run == failure.run // len(PORTFOLIO) + 1
        alone = stress(build, check=check, runs=100, strategies=[failure.strategy], first_failure=False)
        assert key in alone.by_strategy[0].found
    assert sum(row.broken for row in campaign.by_strategy) > 300
    assert min(row.failing or 0 for row in campaign.by_strategy) > 0


# What ends a run, and a campaign.


class Wheel(Actor):
    """Turns for ever if it is B that first sets it going."""

    def __init__(self, engine: Engine, address: Address) -> None:
        super().__init__(engine, address)
        self.pushed = ""

    @handles(schedules.ServeMe)
    def turn(self, push: schedules.ServeMe, src: Address) -> None:
        self.pushed = self.pushed or src
        if self.pushed == "B":
            self.send(self.address, push)


def test_a_run_without_end_is_no_failure() -> None:
    def build(world: Any) -> None:
        world.spawn(Wheel, "ledger")
        for name in "AB":
            world.spawn(schedules.Teller, name, 1)
            world.tell(name, schedules.StartClient())

    campaign = stress(build, runs=200, most=50)
    assert campaign.runs == campaign.endless + campaign.counted == 200
    assert (campaign.distinct, campaign.reason, campaign.failures) == (1, CampaignReason.RUNS, [])
    assert campaign.events == 50 * campaign.endless + 4 * campaign.counted
    assert campaign.verdict is Verdict.UNDETERMINED


def test_a_world_that_cannot_be_judged_is_counted() -> None:
    def check(world: Any) -> None:
        if world.actors["ledger"].served[0] == "A":
            raise Inconclusive("A was first")

    campaign = stress(schedules.s7(2)[0], check=check, runs=100)
    assert 10 < campaign.unjudged < 90
    assert campaign.inconclusive == "A was first"
    assert not campaign.failures


def test_it_ends_when_it_is_told() -> None:
    def interrupt(_event: Event) -> None:
        raise KeyboardInterrupt

    campaign = stress(schedules.s4(2), runs=None, observers=[interrupt])
    assert campaign.reason is CampaignReason.INTERRUPTED
    assert campaign.runs == campaign.counted > 0
    campaign = stress(schedules.s4(2), runs=None, seconds=0)
    assert (campaign.reason, campaign.runs) == (CampaignReason.SECONDS, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategies": ["luck"]}, "no strategy is named luck"),
        ({"strategies": []}, "no strategy is given"),
        ({"runs": -1}, "-1 runs"),
        ({"most": 0}, "0 arrivals"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stress(schedules.s4(1), **options)
