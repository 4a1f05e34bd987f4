"""Matching states: persistent sets lose no end and no step of random programs, and mistakes in them are noticed."""

from collections.abc import Callable
from typing import Any, Self

import pytest
from model import random_actors, random_talks

from longpin.actors.base import Actor, Engine, handles
from longpin.messages.envelope import Address, Message, message
from longpin.runner.exploration import Exploration, Method, PropertyViolation, Reason, explore
from longpin.runner.exploration.budget import Budget
from longpin.runner.exploration.commuting import Commuting
from longpin.runner.exploration.nodes import Global
from longpin.runner.exploration.persistent import PersistentSets, Prospect
from longpin.runner.exploration.seen import Seen, SeenByFingerprint, SeenWhole, packed, wrong_match_probability
from longpin.runner.exploration.senders import Senders
from longpin.runner.exploration.states import Matching, Unexplored
from longpin.runner.exploration.table import ALARM_ACTOR, Table
from longpin.runner.result import Verdict

TELLING = (3, 5, 15, 22, 33, 49, 57, 62, 109)
"""Programs in which planted mistakes lose something."""

STATES_AT_MOST = 1_500
"""Programs that have more are left out."""

RUNS_AT_MOST = 150
"""The same for brute force on the stepped engine."""

Build = Callable[[Any], None]


def searched(
    build: Build, *, racy: bool, reduce: bool = True, seen: Callable[[], Seen] = SeenByFingerprint
) -> tuple[frozenset[object], frozenset[object], int] | None:
    """Return what worlds at rest look like, the steps of actors that were seen, and how many states; None: too many."""
    table, found = Table(build), set[object]()

    def judge(rest: tuple[int, ...], _decisions: object) -> None:
        found.add(tuple(sorted(end_of(table.actor(state)) for state in rest if state >= 0)))

    result = Exploration(Method.STATES)
    search = Matching(table, judge, result, Budget(states=STATES_AT_MOST), racy=racy, reduce=reduce, seen=seen)
    if search.run() is not Reason.COMPLETE:
        return None
    states = {number: form for form, number in table._states.items()}
    messages = {number: form for form, number in table._messages.items()}
    steps = {(states[state], messages[message]) for state, its in enumerate(table.steps) for message in its}
    return frozenset(found), frozenset(steps), result.states


def end_of(actor: Actor) -> tuple[Any, ...]:
    """Return what is to be seen of an actor at the end."""
    return actor.address, getattr(actor, "sum", -1), getattr(actor, "total", -1), len(list(actor.all_suspended()))


def program(seed: int) -> tuple[Build, bool]:
    """Return a random program, and whether its timers are racy."""
    make = random_talks.program if seed % 4 else random_actors.program
    return make(seed, timers=seed % 3 != 0), seed % 3 == 1


def loses(seed: int) -> bool | None:
    """Return whether persistent sets lose something; None: the program is too large or has one state."""
    build, racy = program(seed)
    if (whole := searched(build, racy=racy, reduce=False)) is None or whole[2] == 1:
        return None
    reduced = searched(build, racy=racy)
    return reduced is None or reduced[0] != whole[0] or not whole[1] <= reduced[1]


def lost(seeds: range) -> list[int]:
    """Return the programs of which something is lost, and check that there were enough of a fit size."""
    compared = {seed: answer for seed in seeds if (answer := loses(seed)) is not None}
    assert len(compared) > len(seeds) // 3
    return [seed for seed, answer in compared.items() if answer]


def test_persistent_sets_lose_no_end_and_no_step() -> None:
    assert lost(range(40)) == []


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_persistent_sets_lose_nothing_of_many_programs() -> None:
    assert lost(range(10_000, 20_000)) == []


def agrees_with_brute_force(seed: int) -> bool:
    build, racy = program(seed)
    try:
        orders = list(random_actors.every_order(build, racy=racy, runs_at_most=RUNS_AT_MOST))
    except random_actors.TooManyError:
        return False
    ends = {tuple(sorted(end_of(actor) for actor in engine.actors.values())) for _, engine in orders}
    found = searched(build, racy=racy)
    assert found is not None
    assert found[0] == ends, seed
    return len(orders) > 1


def test_ends_are_those_of_the_stepped_engine() -> None:
    assert sum(map(agrees_with_brute_force, range(100, 125))) >= 3


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_ends_of_many_programs_are_those_of_the_stepped_engine() -> None:
    assert sum(map(agrees_with_brute_force, range(20_000, 23_000))) >= 300


# Mistakes planted in the search: each loses something in one of a few programs.


def forget_alarms(monkeypatch: pytest.MonkeyPatch) -> None:
    """The alarm is not reckoned with: neither the one that is set, nor one that the clock will set."""
    nothing_else, begin = PersistentSets._nothing_else_gets_to, PersistentSets.begin

    def without_alarm(self: Any, receiver: int, state: Global, senders: Any) -> bool:
        return nothing_else(self, receiver, state, [sender for sender in senders if sender[0] != ALARM_ACTOR])

    def lazy(self: Any) -> None:
        begin(self)
        self.racy = False

    monkeypatch.setattr(PersistentSets, "_nothing_else_gets_to", without_alarm)
    monkeypatch.setattr(PersistentSets, "begin", lazy)


def forget_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that is made and sends before the messages of its parent that wait is not reckoned with."""
    prospect = PersistentSets._prospect
    monkeypatch.setattr(
        PersistentSets, "_prospect", lambda self, *question: prospect(self, *question)._replace(spawned=())
    )
    monkeypatch.setattr(Senders, "_created", lambda *_step: None)


def stop_who_creates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is stopped, because what it sends waits, is taken for one who creates nobody either."""
    leave_alone = Senders.leave_alone

    def without(self: Any, receiver: int, state: Global, busy: int, stopped: int, answer: int = 0) -> bool:
        before = self._creators
        self._creators = [creators & ~stopped for creators in before]
        try:
            return leave_alone(self, receiver, state, busy, stopped, answer)
        finally:
            self._creators = before

    monkeypatch.setattr(Senders, "leave_alone", without)


def take_all_for_commuting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a receiver gets first, a message is taken to do the same."""
    monkeypatch.setattr(
        Commuting, "ask", lambda self, state, message, _others: self._look(state, message, 0, self.step)
    )


def answer_whom_others_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not asked whether others get to whom a message makes its receiver send to."""
    monkeypatch.setattr(PersistentSets, "_tells_nobody", lambda *_question: True)


def hash_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fingerprint kept for a state is that of the state that is looked at next."""
    find, add = SeenByFingerprint.find, SeenByFingerprint.add

    def late(self: Any, state: Global) -> int:
        if self.__dict__.pop("unkept", False):
            return len(self) - 1
        return find(self, state)

    def not_yet(self: Any, state: Global, before: int, way: tuple[int, ...]) -> int:
        self.unkept = True
        return add(self, state, before, way)

    monkeypatch.setattr(SeenByFingerprint, "find", late)
    monkeypatch.setattr(SeenByFingerprint, "add", not_yet)


def believe_the_first_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an actor may do is not asked again at the end of a pass."""
    begin = PersistentSets.begin

    def satisfied(self: Any) -> None:
        begin(self)
        self._before = Forgetful()

    monkeypatch.setattr(PersistentSets, "begin", satisfied)
    monkeypatch.setattr(PersistentSets, "proved", lambda _self: True)


class Forgetful(dict[Any, Any]):
    """Keeps nothing."""

    def __ior__(self, _other: object) -> Self:  # type: ignore[misc]
        return self


def look_at_heads_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is under way now is reckoned with, not what it leads to."""
    nothing = Prospect(0, (), ())
    monkeypatch.setattr(PersistentSets, "_prospect", lambda *_question: nothing)


@pytest.mark.parametrize(
    "mistake",
    [
        forget_alarms,
        forget_children,
        stop_who_creates,
        take_all_for_commuting,
        answer_whom_others_reach,
        hash_too_late,
        believe_the_first_answer,
        look_at_heads_alone,
    ],
)
def test_a_planted_mistake_is_noticed(
    mistake: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as planted:
        mistake(planted)
        assert any(loses(seed) for seed in TELLING)


@message
class Ball(Message):
    """Is sent back."""


class Player(Actor):
    """Sends every ball back, and is in the same state ever after."""

    def __init__(self, engine: Engine, address: Address, other: Address) -> None:
        super().__init__(engine, address)
        self.other = other

    @handles(Ball)
    def play(self, _ball: Ball, _src: Address) -> None:
        self.send(self.other, Ball())


class Referee(Actor):
    """Is not to be told."""

    @handles(Ball)
    def told(self, _ball: Ball, _src: Address) -> None:
        raise PropertyViolation("told")


def endless_game(world: Any) -> None:
    """Two players send each other balls for ever; elsewhere a message arrives at a referee."""
    for first, second in (("a", "b"), ("c", "d")):
        world.spawn(Player, first, second)
        world.spawn(Player, second, first)
    world.spawn(Referee, "referee")
    world.spawn(Player, "e", "referee")
    for name in ("a", "c", "e"):
        world.tell(name, Ball())


def test_what_goes_round_in_circles_puts_nothing_off_for_ever() -> None:
    assert explore(endless_game, method="states").verdict is Verdict.VIOLATED


def test_a_chain_that_only_ends_puts_it_off_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, planted: what a chain that met itself put off is not explored."""

    def expand(self: Matching, state: Global, number: int, processes: list[int], stack: list[Unexplored]) -> bool:
        chosen = self.sets.choose(state, processes)
        return original(self, state, number, chosen, stack) or True

    original = Matching._expand
    monkeypatch.setattr(Matching, "_expand", expand)
    assert explore(endless_game, method="states").verdict is Verdict.HOLDS


@pytest.mark.parametrize("seen", [SeenByFingerprint, SeenWhole])
def test_states_seen_have_numbers_and_ways(seen: Callable[[], Seen]) -> None:
    known = seen()
    states = [(number, number * number, 0) for number in range(5_000)]
    for number, state in enumerate(states):
        assert known.find(state) == -1
        assert known.add(state, max(number - 1, 0) // 2, (number % 7, 1)) == number
    assert [known.find(state) for state in states] == list(range(5_000))
    assert known.find((1, 1)) == known.find((1, 1, 0, 0)) == 1
    assert (known.way(0), known.way(2), known.depth[2]) == ([0, 1], [0, 1, 2, 1], 4)


def test_fingerprints_and_whole_states_come_to_the_same() -> None:
    build = random_talks.program(3, timers=False)
    assert searched(build, racy=False) == searched(build, racy=False, seen=SeenWhole)


def test_a_wrong_match_is_told_by_how_likely_it_is() -> None:
    assert wrong_match_probability(1_000_000) < 2e-27
    assert packed((1, 256, 0)) == packed((1, 256)) != packed((1, 256, 0, 1))
