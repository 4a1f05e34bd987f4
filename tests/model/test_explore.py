"""Exploration: exact counts where they can be derived on paper, and agreement with brute force where they cannot."""

import itertools
import os
import resource
import time
from collections.abc import Callable
from typing import Any

import pytest
from model import random_actors, random_footprints, schedules
from model.crossed import Log, WriteLog, crossed, crossed_from_afar

from longpin.actors.base import Actor, handles
from longpin.actors.conversation import Conversation, Step
from longpin.config.loader import load_scenario
from longpin.messages.envelope import Address, Envelope
from longpin.runner.engines.world import Blueprint
from longpin.runner.exploration import (
    Exploration,
    Explorer,
    FootprintError,
    Inconclusive,
    Method,
    PropertyViolation,
    Reason,
    budget,
    estimate,
    explore,
    replay,
)
from longpin.runner.exploration.activations import ActivationPath
from longpin.runner.exploration.budget import Budget
from longpin.runner.exploration.canonical import canonical
from longpin.runner.exploration.dpor import Dpor
from longpin.runner.exploration.estimate import PROBES
from longpin.runner.exploration.path import Path
from longpin.runner.exploration.states import Matching
from longpin.runner.exploration.table import Table
from longpin.runner.result import Verdict
from longpin.runner.run import Settings

SCHEDULES_AT_MOST = 1_000
"""The same for comparisons of two reductions."""

RUNS_AT_MOST = 1_500
"""Programs that need more are left out: brute force runs every prefix of every order from the start."""


@pytest.mark.parametrize(
    ("build", "traces"),
    [
        *[(schedules.s1(k), n) for k, n in ((2, 6), (3, 90), (4, 2520))],
        *[(schedules.s2(k), n) for k, n in ((2, 4), (3, 24), (4, 192), (5, 1920))],
        *[(schedules.s3(k, m), n) for k, m, n in ((4, 2, 36), (6, 2, 8100), (6, 3, 216))],
        *[(schedules.s4(k), n) for k, n in ((1, 15), (2, 3150))],
        pytest.param(schedules.s1(5), 113_400, marks=pytest.mark.heavy),
        pytest.param(schedules.s4(3), 3_153_150, marks=[pytest.mark.heavy, pytest.mark.timeout(1200)]),
    ],
)
def test_traces_are_counted_exactly(build: schedules.Build, traces: int) -> None:
    result = explore(build, method="dpor", footprints=False)
    assert (result.executions, result.blocked) == (traces, 0)
    assert result.verdict is Verdict.HOLDS
    assert result.reason is Reason.COMPLETE


@pytest.mark.parametrize("method", ["dpor", "states", "naive", "auto"])
def test_the_bug_is_found_and_replays(method: str) -> None:
    """``explore`` itself carries out the decisions on the stepped engine before it reports them."""
    result = explore(schedules.s4(1, careful=False), method=method)
    assert result.verdict is Verdict.VIOLATED
    assert result.failures[0].what == "truncated while pinned"


@pytest.mark.parametrize("method", ["dpor", "states"])
@pytest.mark.parametrize(("make", "size"), [(schedules.s6, 6), (schedules.s7, 4)])
def test_the_one_wrong_order_is_found(make: Callable[[int], Any], size: int, method: str) -> None:
    build, check = make(size)
    assert explore(build, method=method).verdict is Verdict.HOLDS
    result = explore(build, method=method, check=check)
    assert result.verdict is Verdict.VIOLATED


def test_six_and_seven_are_counted_exactly() -> None:
    assert explore(schedules.s6(6)[0], method="dpor").executions == 7
    assert explore(schedules.s7(4)[0], method="dpor").executions == 70


@pytest.mark.parametrize("method", ["dpor", "states", "naive"])
def test_a_budget_is_never_a_pass(method: str) -> None:
    result = explore(schedules.s1(4), method=method, max_executions=1)
    assert result.verdict is (Verdict.HOLDS if result.complete else Verdict.UNDETERMINED)
    spent = explore(schedules.s7(6)[0], method=method, max_executions=5)
    assert spent.reason is Reason.EXECUTIONS
    assert spent.verdict is Verdict.UNDETERMINED


def found_by_dpor(build: schedules.Build, *, racy: bool) -> tuple[list[tuple[Address, ...]], Exploration]:
    """Return the decisions of every schedule explored."""
    path, found = Path(Table(build), racy=racy), list[tuple[Address, ...]]()
    result = Exploration(Method.DPOR)
    assert Dpor(path, lambda: found.append(path.decisions()), result, Budget()).run() is Reason.COMPLETE
    return found, result


def totals(world: Any) -> tuple[tuple[Address, int], ...]:
    """Return what the hoppers of a world ended with."""
    return tuple(sorted((a.address, a.total) for a in world.actors.values() if hasattr(a, "total")))


def found_by_matching(build: schedules.Build, *, racy: bool, reduce: bool) -> set[object]:
    """Return what every world at rest looks like."""
    table, found = Table(build), set[object]()

    def judge(rest: tuple[int, ...], _decisions: object) -> None:
        actors = [table.actor(state) for state in rest if state >= 0]
        found.add(tuple(sorted((actor.address, actor.total) for actor in actors if hasattr(actor, "total"))))

    search = Matching(table, judge, Exploration(Method.STATES), Budget(), racy=racy, reduce=reduce)
    assert search.run() is Reason.COMPLETE
    return found


def check_program(seed: int) -> bool:
    """Compare every method with brute force; False: the program is too large or too small for that."""
    timers, racy = seed % 3 != 0, seed % 3 == 1
    build = random_actors.program(seed, timers=timers)
    try:
        orders = list(random_actors.every_order(build, racy=racy, runs_at_most=RUNS_AT_MOST))
    except random_actors.TooManyError:
        return False
    if len(orders) == 1:
        return False
    wanted = {trace for trace, _ in orders}
    found, result = found_by_dpor(build, racy=racy)
    traces = [random_actors.trace_of(build, decisions, racy=racy) for decisions in found]
    assert set(traces) == wanted, seed
    assert len(traces) == len(wanted), seed
    assert result.blocked == 0, seed
    ends = {totals(engine) for _, engine in orders}
    for reduce in (True, False):
        assert found_by_matching(build, racy=racy, reduce=reduce) == ends, seed
    assert explore(build, method="naive", racy=racy).executions == len(orders), seed
    return True


def test_random_programs_agree_with_brute_force() -> None:
    assert sum(check_program(seed) for seed in range(100)) >= 50


@pytest.mark.heavy
@pytest.mark.timeout(1200)
def test_many_random_programs_agree_with_brute_force() -> None:
    assert sum(check_program(seed) for seed in range(10_000, 12_500)) >= 1000


@pytest.mark.parametrize(("pinners", "traces"), [(1, 4), (2, 16), (3, 64), (4, 256), (5, 1024)])
def test_traces_with_footprints_are_counted_exactly(pinners: int, traces: int) -> None:
    result = explore(schedules.s4(pinners), method="dpor", verify=True)
    assert (result.executions, result.blocked, result.verdict) == (traces, 0, Verdict.HOLDS)


def ends_with_footprints(build: schedules.Build) -> tuple[set[object], int]:
    """Return what worlds came to under footprints, in schedules that can happen, and how many others there were."""
    table = Table(build)
    path = ActivationPath(table, verify=True)
    ends, impossible = set[object](), 0

    def judge() -> None:
        nonlocal impossible
        if (decisions := path.decisions()) is None:
            impossible += 1
            return
        engine = replay(build, decisions)
        assert not engine.ready
        end = random_footprints.registers(engine)
        actors = [table.actor(state) for state in path.local if state >= 0]
        assert end == random_footprints.registers_of(actors)
        ends.add(end)

    result = Exploration(Method.DPOR)
    assert Dpor(path, judge, result, Budget()).run() is Reason.COMPLETE
    assert result.blocked == 0
    return ends, impossible


def ends_without_footprints(build: schedules.Build) -> set[object] | None:
    """Return what worlds came to in all schedules; None: there is one, or there are too many."""
    table = Table(build)
    path, ends = Path(table), set[tuple[int, ...]]()
    result = Exploration(Method.DPOR)
    reason = Dpor(path, lambda: ends.add(tuple(path.local)), result, Budget(SCHEDULES_AT_MOST)).run()
    if reason is not Reason.COMPLETE or result.executions == 1:
        return None
    return {random_footprints.registers_of(table.actor(state) for state in end if state >= 0) for end in ends}


def check_footprints(seed: int) -> int | None:
    """Compare the ends with and without footprints; None: the program is too large or too small."""
    build = random_footprints.program(seed)
    if (wanted := ends_without_footprints(build)) is None:
        return None
    ends, impossible = ends_with_footprints(build)
    assert ends == wanted, seed
    return impossible


def test_footprints_change_no_end() -> None:
    checked = [impossible for seed in range(200) if (impossible := check_footprints(seed)) is not None]
    assert len(checked) >= 75


@pytest.mark.heavy
@pytest.mark.timeout(1200)
def test_footprints_change_no_end_of_many_programs() -> None:
    checked = [impossible for seed in range(10_000, 14_000) if (impossible := check_footprints(seed)) is not None]
    assert len(checked) >= 1000


def test_a_footprint_that_lies_is_caught() -> None:
    """Two messages that change one register and declare nothing, in programs that deliver two of them at once."""
    caught = 0
    for seed in range(40):
        try:
            explore(random_footprints.program(seed, lies=True), method="dpor", verify=True, max_executions=200)
        except FootprintError:
            caught += 1
    assert caught >= 10


def test_auto_picks_what_reaches_the_end_and_says_why() -> None:
    small = explore(schedules.s4(1), footprints=False)
    assert (small.method, small.executions) == (Method.DPOR, 15)
    large = explore(schedules.s4(4), footprints=False)
    assert large.method is Method.STATES
    assert large.complete
    assert large.states < 10_000  # of some 10^10 traces
    assert "did not reach the end" in large.why


class Echo(Actor):
    """Sends back what it receives, for ever."""

    @handles(schedules.StartClient)
    def begin(self, start: schedules.StartClient, _src: Address) -> None:
        self.send("b" if self.address == "a" else "a", start)


def endless(world: Any) -> None:
    for name in "ab":
        world.spawn(Echo, name)
    world.tell("a", schedules.StartClient())


@pytest.mark.parametrize("method", ["dpor", "naive"])
def test_a_schedule_without_end_is_given_up(method: str) -> None:
    result = explore(endless, method=method)
    assert result.reason is Reason.ENDLESS
    assert result.verdict is Verdict.UNDETERMINED


class Counting(Actor):
    """Sends to itself, and is in a new state each time."""

    count = 0

    @handles(schedules.StartClient)
    def again(self, start: schedules.StartClient, _src: Address) -> None:
        self.count += 1
        self.send(self.address, start)


def counting(world: Any) -> None:
    world.spawn(Counting, "a")
    world.tell("a", schedules.StartClient())


@pytest.mark.parametrize("method", ["dpor", "states"])
def test_time_and_memory_are_looked_at_within_a_schedule(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedule can be long, and so can the chain of ample steps between two states that are matched."""
    clock = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    late = explore(counting, method=method, seconds=500)
    assert (late.reason, late.executions) == (Reason.SECONDS, 0)
    full = explore(counting, method=method, max_memory=1)
    assert (full.reason, full.executions) == (Reason.MEMORY, 0)
    assert full.events < 10


def test_the_memory_allowed_is_no_more_than_the_limits_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = budget.memory_allowed()
    assert 0 < usual < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1000, resource.RLIM_INFINITY))
    assert budget.memory_allowed() == 800


def test_a_guess_is_cut_short_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    assert estimate(Explorer(schedules.s1(3)), budget=Budget(seconds=100)).probes == 0
    assert 0 < estimate(Explorer(schedules.s1(3)), budget=Budget(seconds=3000)).probes < PROBES


@pytest.mark.parametrize("method", ["states", "auto"])
def test_a_schedule_without_end_has_few_states(method: str) -> None:
    result = explore(endless, method=method)
    assert result.verdict is Verdict.HOLDS
    assert result.method is Method.STATES
    assert result.states < 10


def test_always_looks_at_every_step() -> None:
    """What it finds is found by every method, and its schedule ends where it was found."""
    seen = []

    def always(actor: Any, envelope: Envelope) -> None:
        seen.append((actor.address, envelope.src))
        if envelope.src == "client:2" and actor.owner != envelope.src:
            raise PropertyViolation("client:2 had to wait", "R1", "the server")

    for method in ("dpor", "states", "naive"):
        result = explore(schedules.s2(3), method=method, always=always)
        assert result.failures[0].broken == ("client:2 had to wait", "R1", "the server")
        with pytest.raises(PropertyViolation, match="had to wait"):
            replay(schedules.s2(3), result.failures[0].decisions, always=always)
        assert replay(schedules.s2(3), result.failures[0].decisions[:-1], always=always).arrivals
    assert {"server:0", "client:0", "client:1", "client:2"} == {address for address, _ in seen}


@pytest.mark.parametrize("method", Method)
def test_nothing_happens_in_an_empty_world(method: Method) -> None:
    found = explore(lambda _: None, method=method)
    assert (found.verdict, found.executions, found.events) == (Verdict.HOLDS, 1, 0)


def test_a_failure_may_name_an_object_by_its_address() -> None:
    """It is another one when the schedule is carried out again."""

    def check(world: Any) -> None:
        raise AssertionError(f"of {world!r}")

    (failure,) = explore(lambda _: None, check=check).failures
    assert failure.what.startswith("AssertionError: of <longpin.runner.engines.stepped.SteppedEngine object at 0x")


def test_a_world_that_cannot_be_judged_is_no_pass() -> None:
    def check(_world: Any) -> None:
        raise Inconclusive("the story has no end")

    result = explore(schedules.s1(2), check=check)
    assert result.complete
    assert result.verdict is Verdict.UNDETERMINED
    assert result.inconclusive == "the story has no end"


@pytest.mark.parametrize("timers", ["lazy", "racy"])
def test_a_shipped_scenario_is_explored_completely(timers: str) -> None:
    """Every end that matching finds is one that reduction finds, and the reverse."""
    scenario = load_scenario("layout-lease-answered")
    build = Blueprint(scenario, Settings.of(scenario).make_proposal()).build
    table, ends = Table(build), set[tuple[int, ...]]()
    path = Path(table, racy=timers == "racy")
    result = Exploration(Method.DPOR)
    assert Dpor(path, lambda: ends.add(tuple(path.local)), result, Budget()).run() is Reason.COMPLETE
    assert result.blocked == 0
    matched: set[tuple[int, ...]] = set()

    def judge(rest: tuple[int, ...], _decisions: object) -> None:
        matched.add(rest)

    matching = Matching(table, judge, Exploration(Method.STATES), Budget(), racy=timers == "racy")
    assert matching.run() is Reason.COMPLETE
    assert matched == ends
    assert not table.opaque


def test_orders_that_contradict_each_other_are_no_failures() -> None:
    """With footprints alone q could seem to serve s first and r to serve p first; no inboxes show that."""

    def check(world: Any) -> None:
        told = world.actors["ledger"].told.index
        if told("sq") < told("pq") and told("pr") < told("sr"):
            raise PropertyViolation("both were overtaken")

    for build in (crossed, crossed_from_afar):
        assert explore(build, method="dpor", check=check, footprints=False).verdict is Verdict.HOLDS
        assert explore(build, method="states", check=check).verdict is Verdict.HOLDS
        result = explore(build, method="dpor", check=check, verify=True)
        assert result.verdict is Verdict.HOLDS
        assert bool(result.impossible) is (build is crossed_from_afar)


def test_what_cannot_happen_does_not_hide_what_else_is_under_way() -> None:
    """A handler raises in an order that footprints allow and inboxes do not; the last message has not arrived then."""

    def build(world: Any) -> None:
        crossed_from_afar(world)
        world.tell("ledger", WriteLog("end"))

    def always(actor: Actor, _envelope: Envelope) -> None:
        if isinstance(actor, Log) and actor.told[-1] != "end" and {"sq", "pq", "pr", "sr"} <= set(actor.told):
            told = actor.told.index
            if told("sq") < told("pq") and told("pr") < told("sr"):
                raise PropertyViolation("both were overtaken")

    whole = explore(build, method="dpor")
    result = explore(build, method="dpor", always=always)
    assert (result.failures, result.executions) == ([], whole.executions)
    assert result.impossible


class Sharer(Actor):
    """Suspends in the middle of a loop, with a value in no variable."""

    @handles(schedules.StartClient)
    def begin(self, _begin: schedules.StartClient, _src: Address) -> Conversation[None]:
        for _ in (0, 0, 0):
            yield Step()


def test_a_loop_is_part_of_the_state_of_a_conversation() -> None:
    """Every turn of the loop suspends at one line with one value of one variable; the iterator differs."""

    def build(world: Any) -> None:
        world.spawn(Sharer, "a")
        world.tell("a", schedules.StartClient())

    table = Table(build)
    (spawned,), (begin,) = table.first, table.told
    states, message_ = [spawned.state], begin
    for _ in range(4):
        step = table.step(states[-1], message_)
        states.append(step.state)
        if step.sends:
            asked = table.envelopes[step.sends[0]]
            message_ = table.message(Envelope(asked.dst, asked.src, asked.body, -asked.call))
    assert len(set(states)) == 5
    assert not table.opaque


def test_when_a_conversation_was_looked_at_is_no_part_of_its_state() -> None:
    """The names in ``f_locals`` stand in the order in which they were asked for; one of them is ``__class__``."""

    class Base:
        def begin(self) -> None:
            """Do nothing."""

    class Later(Base):
        def steps(self) -> Conversation[int]:
            super().begin()
            yield Step()
            value = 1
            yield Step()
            return value

    def suspended(*, looked_before: bool) -> object:
        conversation = Later().steps()
        next(conversation)
        if looked_before:
            canonical(conversation)
        next(conversation)
        return canonical(conversation)

    assert suspended(looked_before=True) == suspended(looked_before=False)
