"""Each strategy keeps its own rules: legal choices, the same run for the same seed, and what its paper promises.

Probabilities are tested with fixed seeds, so a test passes always or never.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model.schedules import Build, s1, s2, s4, s6

from longpin.actors.base import Actor
from longpin.config.loader import load_scenario
from longpin.messages.codec import Encoder
from longpin.messages.envelope import WORLD, Address, Done, Envelope
from longpin.runner.engines.engine import ALARM, InternalError
from longpin.runner.engines.profile import profile_of
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.exploration.result import PropertyViolation
from longpin.runner.oracles import NO_PROFILE, ORACLES, PORTFOLIO, Oracle, Profile
from longpin.runner.oracles.chains import Chains, Element
from longpin.runner.oracles.delay_bounded import DelayBounded
from longpin.runner.oracles.pct import Pct
from longpin.runner.oracles.pctcp import Pctcp
from longpin.runner.oracles.random_walk import RandomWalk
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

SCENARIO = load_scenario("layout-lease-ignored")
SUBJECT = Subject(SCENARIO, Settings.of(SCENARIO))

Make = Callable[[int], Oracle]


def run(build: Build, oracle: Oracle, *, racy: bool = False) -> list[Envelope]:
    """Return the arrivals of a run."""
    arrivals: list[Envelope] = []
    engine = SteppedEngine(oracle, racy=racy)
    engine.record = lambda _, envelope: arrivals.append(envelope)
    build(engine)
    assert engine.run()
    return arrivals


def order(build: Build, oracle: Oracle, receiver: Address | None = None) -> tuple[Address, ...]:
    """Return who sent what arrived, at one receiver or at all."""
    return tuple(arrival.src for arrival in run(build, oracle) if receiver in (None, arrival.dst))


def payload(oracle: Oracle) -> bytes:
    """Return a run of the scenario, timers racy, as bytes."""
    encoder = Encoder()
    return b"".join(encoder.encode(0, arrival) for arrival in run(SUBJECT.build, oracle, racy=True))


def share(build: Build, check: Callable[[SteppedEngine], object] | None, make: Make, runs: int) -> float:
    """Return the share of runs that break what must hold."""
    found = 0
    for seed in range(runs):
        engine = SteppedEngine(make(seed))
        build(engine)
        try:
            assert engine.run()
            if check is not None:
                check(engine)
        except (PropertyViolation, InternalError):
            found += 1
    return found / runs


def chi_square(counts: Counter[tuple[Address, ...]], kinds: int) -> float:
    """Return Pearson's statistic for ``kinds`` equally likely outcomes; its mean is then kinds - 1."""
    expected = counts.total() / kinds
    seen = sum((count - expected) ** 2 / expected for count in counts.values())
    return seen + (kinds - len(counts)) * expected


class Watched:
    """Notes what an oracle chooses after which decisions."""

    name: ClassVar[str] = "watched"

    def __init__(self, oracle: Oracle, chosen: dict[tuple[int, ...], Counter[int]], sizes: dict[tuple[int, ...], int]):
        self.oracle = oracle
        self.chosen = chosen
        self.sizes = sizes
        self.decisions: tuple[int, ...] = ()

    def new_execution(self) -> None:
        self.oracle.new_execution()

    def next_arrival(self, ready: Sequence[Actor]) -> int | None:
        index = self.oracle.next_arrival(ready)
        assert index is not None
        assert 0 <= index < len(ready)
        self.sizes[self.decisions] = len(ready)
        self.chosen.setdefault(self.decisions, Counter())[index] += 1
        self.decisions += (index,)
        return index

    def next_random(self, actor: Address, count: int, bound: int) -> int:
        return self.oracle.next_random(actor, count, bound)


@pytest.mark.parametrize("build", [s1(3), s2(3), s4(1), s6(2)[0]], ids=["S1", "S2", "S4", "S6"])
@pytest.mark.parametrize("name", PORTFOLIO)
def test_choices_are_legal_and_each_is_made(name: str, build: Build) -> None:
    chosen: dict[tuple[int, ...], Counter[int]] = {}
    sizes: dict[tuple[int, ...], int] = {}
    profile = profile_of(build)
    for seed in range(400):
        run(build, Watched(ORACLES[name](seed, profile), chosen, sizes))
    often = [decisions for decisions, counts in chosen.items() if len(decisions) < 4 and counts.total() > 100]
    assert any(sizes[decisions] > 1 for decisions in often)
    for decisions in often:
        assert sorted(chosen[decisions]) == list(range(sizes[decisions])), decisions


@pytest.mark.parametrize("profile", [NO_PROFILE, profile_of(SUBJECT.build, racy=True)], ids=["no profile", "profile"])
@pytest.mark.parametrize("name", ORACLES)
def test_the_same_seed_is_the_same_run(name: str, profile: Profile) -> None:
    kind = ORACLES[name]
    runs = [payload(kind(seed, profile)) for seed in range(12)]
    random.seed(5)
    assert runs == [payload(kind(seed, profile)) for seed in range(12)]
    assert len(set(runs)) >= 3 if name != "fifo" else len(set(runs)) == 1


@pytest.mark.parametrize("name", PORTFOLIO)
def test_executions_of_one_object_differ_and_are_repeatable(name: str) -> None:
    profile = profile_of(SUBJECT.build, racy=True)
    kind = ORACLES[name]
    one, other = kind(3, profile), kind(3, profile)
    runs = [payload(one) for _ in range(6)]
    assert runs == [payload(other) for _ in range(6)]
    assert len(set(runs)) >= 3


def test_the_portfolio_is_all_that_draws() -> None:
    assert PORTFOLIO == ("random", "pct", "pctcp", "pos", "urw", "surw", "delay")
    assert list(ORACLES) == ["fifo", *PORTFOLIO]


def test_random_walks_are_what_they_were_when_results_were_recorded() -> None:
    walk, generator = RandomWalk(7), random.Random(7)
    ready = [Actor(SteppedEngine(walk), f"actor:{number}") for number in range(5)]
    assert [walk.next_arrival(ready) for _ in range(50)] == [int(generator.random() * 5) for _ in range(50)]


def test_a_profile_counts_what_a_pilot_run_sent() -> None:
    profile = profile_of(s2(2))
    assert profile.sent == {WORLD: 2, "client:0": 2, "client:1": 1, "server:0": 2}
    assert profile.received["server:0"] == {"client:0": 2, "client:1": 1}
    assert profile.arrivals == sum(profile.sent.values()) == 7


def test_a_profile_counts_ticks() -> None:
    assert profile_of(SUBJECT.build).sent[ALARM] > 0


def test_a_pilot_run_may_fail_or_go_on_for_ever() -> None:
    def failing(world: SteppedEngine) -> None:
        s4(2)(world)
        world.tell("inode", Done())  # an answer nobody asked for

    assert 0 < profile_of(failing).arrivals < profile_of(s4(2)).arrivals
    assert profile_of(s4(2), most=10).arrivals == 10


@pytest.mark.parametrize("calls", [3, 10, 30])
def test_pct_of_depth_one_starves_each_sender_as_often_as_promised(calls: int) -> None:
    build, check = s6(calls)
    profile = profile_of(build)
    assert share(build, check, lambda seed: Pct(seed, profile, 1), 300) >= 1 / len(profile.sent)


@pytest.mark.parametrize("pinners", [1, 2])
def test_pct_finds_a_bug_of_depth_two_as_often_as_promised(pinners: int) -> None:
    build = s4(pinners, careful=False)
    profile = profile_of(build)
    promised = 1 / (2 * len(profile.sent) * profile.choices)
    assert share(build, None, lambda seed: Pct(seed, profile, 1), 300) == 0
    assert share(build, None, lambda seed: Pct(seed, profile, 2), 600) >= promised


@pytest.mark.parametrize("calls", [3, 10, 30])
def test_pctcp_of_depth_one_starves_a_conversation_as_often_as_promised(calls: int) -> None:
    build, check = s6(calls)
    profile = profile_of(build)
    width = 2  # the start of B, its call and the answer are not ordered with what A does, and nothing else
    assert share(build, check, lambda seed: Pctcp(seed, profile, 1), 300) >= 1 / width**2


@pytest.mark.parametrize("pinners", [1, 2])
def test_pctcp_finds_a_bug_of_depth_two_as_often_as_promised(pinners: int) -> None:
    build = s4(pinners, careful=False)
    profile = profile_of(build)
    promised = 1 / (2 * (pinners + 1) ** 2 * profile.choices)
    assert share(build, None, lambda seed: Pctcp(seed, profile, 2), 600) >= promised


@given(st.integers(1, 12), st.randoms(use_true_random=False))
def test_chains_are_chains_and_few(size: int, generator: random.Random) -> None:
    below: list[set[int]] = []
    members: dict[int, list[int]] = {}
    inserted: list[Element] = []
    chains = Chains()
    for element in range(size):
        direct = [other for other in range(element) if generator.random() < 0.25]
        below.append({*direct}.union(*(below[other] for other in direct)))
        inserted.append(chains.insert([inserted[other] for other in direct]))
        members.setdefault(inserted[-1].chain, []).append(element)
    for chain in members.values():
        assert all(low in below[high] for low, high in combinations(chain, 2))
    for element, (_, clock) in enumerate(inserted):
        counted = {other for chain, count in enumerate(clock) for other in members[chain][:count]}
        assert counted == below[element] | {element}
    width = max(
        len(some)
        for count in range(size + 1)
        for some in combinations(range(size), count)
        if not any(low in below[high] for low, high in combinations(some, 2))
    )
    assert chains.lengths == [len(members[chain]) for chain in range(len(members))]
    assert len(members) <= width * (width + 1) // 2


def test_pos_lets_one_low_priority_wait_for_long() -> None:
    build, check = s6(20)
    profile = profile_of(build)
    assert share(build, check, ORACLES["random"], 600) == 0  # 2^-20 each
    assert share(build, check, lambda seed: ORACLES["pos"](seed, profile), 600) > 0.01


@pytest.mark.parametrize(("clients", "interleavings", "runs"), [(2, 10, 1_000), (3, 280, 2_800)])
def test_urw_is_uniform_over_interleavings(clients: int, interleavings: int, runs: int) -> None:
    build = s1(clients)
    profile = profile_of(build)

    def statistic(name: str) -> float:
        return chi_square(Counter(order(build, ORACLES[name](seed, profile)) for seed in range(runs)), interleavings)

    most = interleavings + 4 * (2 * interleavings) ** 0.5  # four standard deviations above the mean
    assert statistic("urw") < most
    assert statistic("random") > 10 * most


def test_surw_is_uniform_over_the_orders_at_a_receiver() -> None:
    build = s1(3)
    profile = profile_of(build)

    def statistic(name: str) -> float:
        orders = Counter(order(build, ORACLES[name](seed, profile), "server:0") for seed in range(2_700))
        return chi_square(orders, 90)

    most = 90 + 4 * 180**0.5
    assert statistic("surw") < most
    assert statistic("urw") > 10 * most


def test_every_schedule_of_one_delay_is_equally_likely() -> None:
    build = s1(3)
    profile = profile_of(build)
    assert len({order(build, DelayBounded(seed, profile, 0)) for seed in range(20)}) == 1
    one = Counter(order(build, DelayBounded(seed, profile, 1)) for seed in range(900))
    assert len(one) <= profile.arrivals
    assert min(one.values()) > 70  # 1 / 9, and a quarter less for luck
    two = {order(build, DelayBounded(seed, profile, 2)) for seed in range(900)}
    assert len(one) < len(two) <= profile.arrivals**2
