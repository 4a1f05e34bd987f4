"""With footprints: each trace once, and none that no order of arrivals shows."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from model import commuting, random_worlds
from model.crossed import crossed
from model.random_actors import TooManyError

from longpin.actors.base import Actor, handles
from longpin.messages.envelope import Address, Footprint, Message, message
from longpin.runner.exploration import Exploration, Method, Reason, explore
from longpin.runner.exploration.activations import ActivationPath
from longpin.runner.exploration.budget import Budget
from longpin.runner.exploration.dpor import Dpor
from longpin.runner.exploration.path import Path
from longpin.runner.exploration.states import Matching
from longpin.runner.exploration.table import Table

Build = Callable[[Any], object]


@message
class Relay(Message):
    """Tell whom it is for, one after the other; whoever relays keeps nothing."""

    to: tuple[Address, ...]

    def footprint(self) -> Footprint:
        return Footprint()


@message
class Hit(Message):
    """Something that the receiver notes."""


class Relayer(Actor):
    """Passes on what it is told, or says it to the one who does."""

    @handles(Relay)
    def relay(self, relay: Relay, _src: Address) -> None:
        if relay.to[0] == "x" and self.address != "x":
            self.send("x", Relay(relay.to[1:]))
            return
        for whom in relay.to:
            self.send(whom, Hit())


class Noter(Actor):
    """Knows in which order it was hit."""

    def __init__(self, engine: Any, address: Address) -> None:
        super().__init__(engine, address)
        self.log: tuple[Address, ...] = ()

    @handles(Hit)
    def hit(self, _hit: Hit, src: Address) -> None:
        self.log = (*self.log, src)


def relayed(*lists: tuple[Address, ...]) -> Build:
    """x is asked by as many actors as there are lists to tell those in each; it commutes with itself."""

    def build(world: Any) -> None:
        for name in sorted({name for names in lists for name in names}):
            world.spawn(Noter, name)
        world.spawn(Relayer, "x")
        for number, names in enumerate(lists):
            world.spawn(Relayer, f"s{number}")
            world.tell(f"s{number}", Relay(("x", *names)))

    return build


@pytest.mark.parametrize(
    ("build", "traces"),
    [
        (relayed(("y",) * 3, ("y",) * 3, ("y",) * 3), 6),
        (relayed(("y", "z"), ("z", "y")), 2),
        (relayed(("y", "z"), ("z", "y"), ("v", "w")), 2),
        (relayed(("y", "z"), ("z", "w"), ("w", "y")), 6),
        (relayed(("y", "z"), ("z", "w"), ("w", "v")), 4),
        (relayed(("v", "w"), ("y", "z")), 1),
        (crossed, 18),
    ],
)
def test_what_one_arrival_sends_is_not_mixed_with_what_another_sends(build: Build, traces: int) -> None:
    """Blocks of which something is in conflict stand in one order, that of the arrivals that led to them."""
    result = explore(build, method="dpor", verify=True)
    assert (result.executions, result.blocked, result.impossible) == (traces, 0, 0)
    assert len({frozenset(order.trace) for order in commuting.every_order(build, runs_at_most=3000)}) == traces


class Counts(NamedTuple):
    """How many schedules of a random world there are."""

    orders: int
    traces: int
    impossible: int


def check_world(seed: int, runs_at_most: int) -> Counts | None:
    """Compare all methods with brute force; None: the world is too large or too small for that."""
    wide, racy = seed % 4 == 3, seed % 4 == 2
    build = random_worlds.program(seed, random_worlds.Shape(timers=seed % 2 == 0, wide=wide))
    try:
        orders = list(commuting.every_order(build, racy=racy, runs_at_most=runs_at_most))
    except TooManyError:
        return None
    if len(orders) < 4:
        return None
    ends = {random_worlds.ending(order.engine.actors.values()) for order in orders}
    traces = {frozenset(order.trace) for order in orders}
    table = Table(build)

    def ending(local: list[int]) -> object:
        return random_worlds.ending(table.actor(state) for state in local[2:] if state >= 0)

    def explored(path: Path | ActivationPath) -> tuple[set[object], list[commuting.Trace], int]:
        """Return the ends and the traces that optimal reduction finds, and how many are not possible."""
        found, seen, impossible = set[object](), list[commuting.Trace](), 0

        def judge() -> None:
            nonlocal impossible
            if (decisions := path.decisions()) is None:
                impossible += 1
                return
            found.add(ending(path.local))
            seen.append(frozenset(commuting.follow(build, decisions, racy=racy).trace))

        result = Exploration(Method.DPOR)
        assert Dpor(path, judge, result, Budget()).run() is Reason.COMPLETE
        assert result.blocked == 0
        return found, seen, impossible

    found, _, _ = explored(Path(table, racy=racy))
    assert found == ends, seed
    found, seen, impossible = explored(ActivationPath(table, racy=racy, verify=True))
    assert found == ends, seed
    assert len(seen) == len(set(seen)), seed
    assert set(seen) == traces, seed
    for reduce in (True, False):
        matched = set[object]()

        def rests(rest: tuple[int, ...], _decisions: object, matched: set[object] = matched) -> None:
            matched.add(ending([*rest]))

        search = Matching(table, rests, Exploration(Method.STATES), Budget(), racy=racy, reduce=reduce)
        assert search.run() is Reason.COMPLETE
        assert matched == ends, seed
    return Counts(len(orders), len(traces), impossible)


def test_all_methods_agree_with_brute_force() -> None:
    """On worlds with spawns, nested conversations, locks, sleeps, interrupts and timers, lazy and racy."""
    checked = [counts for seed in range(50) if (counts := check_world(seed, 60)) is not None]
    assert len(checked) >= 12
    assert sum(counts.orders for counts in checked) > 3 * sum(counts.traces for counts in checked)
    assert not any(counts.impossible for counts in checked)


@pytest.mark.heavy
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("block", range(60))
def test_all_methods_agree_with_brute_force_on_many_worlds(block: int) -> None:
    seeds = range(100_000 + 1_000 * block, 100_000 + 1_000 * (block + 1))
    checked = [counts for seed in seeds if (counts := check_world(seed, 150)) is not None]
    assert len(checked) >= 250
    assert sum(counts.impossible for counts in checked) * 100 < sum(counts.traces for counts in checked)
