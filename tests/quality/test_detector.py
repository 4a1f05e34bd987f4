"""The determinism detector catches planted actors, and passes all that is shipped.

``pytest -m heavy tests/quality/test_detector.py`` tries fifty seeds of every strategy on every shipped scenario.
"""

import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest
from model.schedules import StartClient, s1, s2, s4, s6
from shipped import some_shipped

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.policies import POLICIES
from longpin.config.loader import load_scenario, shipped_scenarios
from longpin.messages.envelope import Address, Done, Message, message
from longpin.runner.engines.profile import profile_of
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.exploration.detector import Detector, NondeterminismError, check_determinism
from longpin.runner.exploration.result import PropertyViolation
from longpin.runner.oracles import ORACLES, Oracle
from longpin.runner.oracles.fifo import Fifo
from longpin.runner.oracles.random_walk import RandomWalk
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

CHOICES = [f"{name}:{preset}" for name, policy in POLICIES.items() for preset in policy.presets]


@message
class Reading(Message):
    """Something an actor got from where it should not look."""

    value: float


class Planted(Actor):
    """Sends what :meth:`look` returns."""

    def look(self) -> float:
        """Look where no actor may."""
        raise NotImplementedError

    @handles(StartClient)
    def begin(self, _begin: StartClient, _src: Address) -> None:
        """Look and send."""
        self.send("sink", Reading(self.look()))


class Sink(Actor):
    """Takes readings."""

    @handles(Reading)
    def take(self, _reading: Reading, _src: Address) -> None:
        """Forget it."""


class Identity(Planted):
    def look(self) -> float:
        return id(self)


class Ticket:
    """Has a hash that depends on how many were made before, as identities do on what was allocated before."""

    made = itertools.count()

    def __init__(self) -> None:
        self.number = next(self.made) * 37

    def __hash__(self) -> int:
        return self.number


class SetOrder(Planted):
    def look(self) -> float:
        tickets = [Ticket() for _ in range(10)]
        return float("".join(str(tickets.index(ticket)) for ticket in set(tickets)))


counter = itertools.count()


class Counter(Planted):
    def look(self) -> float:
        return next(counter)


class Clock(Planted):
    def look(self) -> float:
        return time.perf_counter()


class Shared(Planted):
    """Has a list that another world may have, too."""

    def __init__(self, engine: Engine, address: Address, items: list[int]) -> None:
        super().__init__(engine, address)
        self.items = items

    def look(self) -> float:
        self.items.append(1)
        return len(self.items)


class Silent(Shared):
    """Sends nothing of what it has seen."""

    def look(self) -> float:
        super().look()
        return 0.0


def planted(kind: type[Planted], *args: Any) -> Callable[[Any], None]:
    def build(world: Any) -> None:
        world.spawn(Sink, "sink")
        world.spawn(kind, "planted", *args)
        world.tell("planted", StartClient())

    return build


@pytest.mark.parametrize("kind", [Identity, SetOrder, Counter, Clock])
def test_what_an_actor_must_not_look_at_is_caught(kind: type[Planted]) -> None:
    with pytest.raises(NondeterminismError, match=r"^arrival 2: the first time planted -> sink: Reading") as caught:
        check_determinism(planted(kind), Fifo())
    assert caught.value.number == 2
    assert caught.value.first != caught.value.second
    for words in (caught.value.first, caught.value.second, "Likely causes"):
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_argument_that_worlds_share_is_caught() -> None:
    with pytest.raises(NondeterminismError, match=r"Reading\(value=1\); the second time .*Reading\(value=2\)"):
        check_determinism(planted(Shared, []), Fifo())


def test_a_difference_nobody_sends_is_caught_at_the_end() -> None:
    with pytest.raises(NondeterminismError, match="planted came to rest in one state"):
        check_determinism(planted(Silent, []), Fifo())


class Sometimes(Shared):
    """Does something only the first time, or only the second."""

    def __init__(self, engine: Engine, address: Address, items: list[int], when: int) -> None:
        super().__init__(engine, address, items)
        self.when = when

    @handles(StartClient)
    def begin(self, _begin: StartClient, _src: Address) -> None:
        self.items.append(1)
        if len(self.items) == self.when:
            self.act()

    def act(self) -> None:
        """Do it."""
        self.send("sink", Reading(0.0))


class Draws(Sometimes):
    def act(self) -> None:
        self.random(6)


class Fails(Sometimes):
    def act(self) -> None:
        raise PropertyViolation("only once")


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        (Sometimes, "the next message of planted could arrive", "it was over"),
        (Draws, "planted asked for its random number 1, below 6", "it was over"),
        (Fails, "planted: PropertyViolation: only once", "no handler failed"),
    ],
)
def test_what_happens_only_once_is_caught(kind: type[Sometimes], first: str, second: str) -> None:
    with pytest.raises(NondeterminismError) as caught:
        check_determinism(planted(kind, [], 1), Fifo())
    assert (caught.value.first, caught.value.second) == (first, second)
    with pytest.raises(NondeterminismError) as caught:
        check_determinism(planted(kind, [], 2), Fifo())
    assert (caught.value.first, caught.value.second) == (second, first)


def test_who_else_is_ready_is_compared() -> None:
    worlds = itertools.count(1)

    def build(world: Any) -> None:
        world.spawn(Sink, "sink")
        names = ["a", "b"][: next(worlds)]
        for name in names:
            world.spawn(Shared, name, [])
        for name in names:
            world.tell(name, StartClient())

    with pytest.raises(NondeterminismError) as caught:
        check_determinism(build, Fifo())
    assert caught.value.number == 2
    assert caught.value.first == "a -> sink: Reading(value=1)"
    assert caught.value.second == "world -> b: StartClient()"


@message
class Loose(Message):
    """Holds what no trace can."""

    thing: Any


def test_a_message_no_trace_can_hold_is_compared_by_its_repr() -> None:
    def build(thing: Callable[[], object]) -> Callable[[Any], None]:
        def build_it(world: Any) -> None:
            world.spawn(LooseSink, "sink")
            world.tell("sink", Loose(thing()))

        return build_it

    check_determinism(build(lambda: {1, 2}), Fifo())
    with pytest.raises(NondeterminismError, match=r"Loose\(thing=<object object at"):
        check_determinism(build(object), Fifo())


class LooseSink(Actor):
    @handles(Loose)
    def take(self, _loose: Loose, _src: Address) -> Done:
        return Done()


def test_a_failure_that_comes_both_times_is_deterministic() -> None:
    for seed in range(30):
        check_determinism(s4(1, careful=False), RandomWalk(seed))


def test_a_detector_goes_on_with_other_executions() -> None:
    class Counting(RandomWalk):
        executions = 0

        def new_execution(self) -> None:
            self.executions += 1

    inner = Counting(1)
    detector = Detector(inner)
    orders = []
    for _ in range(20):
        order: list[Address] = []
        engine = SteppedEngine(detector)
        engine.record = lambda _, envelope, order=order: order.append(envelope.src)
        s1(3)(engine)
        assert engine.run()
        orders.append(tuple(order))
    detector.expect_end()
    assert inner.executions == 10
    assert orders[::2] == orders[1::2]
    assert len(set(orders)) > 5


@pytest.mark.parametrize("name", ORACLES)
def test_small_programs_pass(name: str) -> None:
    for build in (s1(3), s2(3), s4(2), s6(4)[0]):
        check_determinism(build, ORACLES[name](3, profile_of(build)))


def check_scenario(scenario_name: str, choice: str, seeds: range) -> None:
    scenario = load_scenario(scenario_name)
    policy, _, preset = choice.partition(":")
    subject = Subject(scenario, Settings.of(scenario, policy=policy, preset=preset, parameters={}))
    for racy in (False, True):
        profile = profile_of(subject.build, racy=racy)
        for kind, seed in itertools.product(ORACLES.values(), seeds):
            oracle: Oracle = kind(seed, profile)
            check_determinism(subject.build, oracle, racy=racy, seed=seed)


@pytest.mark.parametrize("name", some_shipped(4))
def test_every_shipped_scenario_passes(name: str) -> None:
    """Under two of the policies, which are others for the next scenario."""
    first = shipped_scenarios().index(name)
    for choice in (first, first + len(CHOICES) // 2):
        check_scenario(name, CHOICES[choice % len(CHOICES)], range(1))


@pytest.mark.heavy
@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("name", shipped_scenarios())
def test_every_shipped_scenario_passes_with_many_seeds(name: str, choice: str) -> None:
    """See the command at the head of this file."""
    check_scenario(name, choice, range(50))
