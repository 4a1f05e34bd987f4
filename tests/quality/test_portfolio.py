"""What the strategies find, and what they cannot: none of them is enough, all of them together are.

The numbers of runs are those that fixed seeds take. ``pytest -m heavy tests/quality/test_portfolio.py`` has the runs
that take long.
"""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from model.schedules import Build, s1, s4, s6, s7

from longpin.messages.envelope import Address, Envelope
from longpin.runner.engines.engine import InternalError
from longpin.runner.engines.profile import profile_of
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.exploration.result import PropertyViolation
from longpin.runner.oracles import ORACLES, PORTFOLIO, Profile, Strategy
from longpin.runner.oracles.delay_bounded import DelayBounded

Check = Callable[[Any], object]

S1_3 = s1(3)
S1_3_PROFILE = profile_of(S1_3)
S1_3_ORDERS = 90


def order_at_server(oracle: Strategy) -> tuple[Address, ...]:
    """Run S1(3); return the order in which its server is served, which is its Mazurkiewicz trace."""
    order: list[Address] = []

    def record(_number: int, envelope: Envelope) -> None:
        if envelope.dst == "server:0":
            order.append(envelope.src)

    engine = SteppedEngine(oracle)
    engine.record = record
    S1_3(engine)
    assert engine.run()
    return tuple(order)


def orders(name: str, runs: int) -> set[tuple[Address, ...]]:
    """Return the orders that so many runs show; stop when there are no more."""
    seen: set[tuple[Address, ...]] = set()
    for seed in range(runs):
        seen.add(order_at_server(ORACLES[name](seed, S1_3_PROFILE)))
        if len(seen) == S1_3_ORDERS:
            break
    return seen


def breaks(build: Build, check: Check | None, oracle: Strategy) -> bool:
    """Return whether a run breaks what must hold."""
    engine = SteppedEngine(oracle)
    build(engine)
    try:
        assert engine.run()
        if check is not None:
            check(engine)
    except (PropertyViolation, InternalError):
        return True
    return False


def found(case: str, name: str, runs: int) -> int:
    """Return how many of so many runs break a planted case."""
    build, check = PLANTED[case]
    profile = PROFILES[case]
    return sum(breaks(build, check, ORACLES[name](seed, profile)) for seed in range(runs))


def nearly_sequential(clients: int) -> tuple[Build, Check]:
    """S1, an error iff each client is done before the next begins, in order, but for the last two."""
    build = s1(clients)
    wrong = [f"client:{number}" for number in (*range(clients - 2), clients - 1, clients - 2) for _ in range(2)]

    def watched(world: SteppedEngine) -> None:
        world.observers.append(Ledger(world, wrong))
        build(world)

    return watched, lambda _: None


class Ledger:
    """Notes whom the server serves."""

    def __init__(self, world: SteppedEngine, wrong: list[Address]) -> None:
        self.wrong = wrong
        self.served: list[Address] = []

    def arrived(self, _number: int, envelope: Envelope) -> None:
        """Look at an arrival."""
        if envelope.dst == "server:0":
            self.served.append(envelope.src)
            if self.served == self.wrong:
                raise PropertyViolation("nearly one after the other")


PLANTED: dict[str, tuple[Build, Check | None]] = {
    "starved": s6(20),
    "turns": s7(5),
    "sequential": nearly_sequential(12),
    "preempted": (s4(1, careful=False), None),
}
"""A sender waits for long; two take turns; many go in order, but for two; one is interrupted at one place."""

PROFILES: dict[str, Profile] = {case: profile_of(build) for case, (build, _) in PLANTED.items()}


@pytest.mark.parametrize(("name", "runs"), [("random", 3_800), ("pos", 1_800), ("urw", 900), ("surw", 350)])
def test_a_strategy_without_a_bound_shows_every_order(name: str, runs: int) -> None:
    assert len(orders(name, runs)) == S1_3_ORDERS


@pytest.mark.heavy
@pytest.mark.parametrize(("name", "runs"), [("pct", 40_000), ("pctcp", 230_000)])
def test_priorities_of_depth_five_are_enough_for_every_order(name: str, runs: int) -> None:
    """See the command at the head of this file."""
    assert len(orders(name, runs)) == S1_3_ORDERS


@pytest.mark.parametrize(("delays", "reached"), [(0, 1), (1, 5), (2, 15), (3, 30)])
def test_few_delays_show_few_orders(delays: int, reached: int) -> None:
    """With 5 delays 66 of the 90 can be reached, with 7 delays 86."""
    oracles = (DelayBounded(seed, S1_3_PROFILE, delays) for seed in range(1_500))
    assert len({order_at_server(oracle) for oracle in oracles}) == reached


@pytest.mark.parametrize(
    ("case", "runs", "who", "others"),
    [
        ("starved", 150, ("pct", "pctcp", "pos", "urw", "surw"), ("random", "delay")),
        ("turns", 600, ("urw", "surw"), ("pct", "pctcp", "delay")),
        ("sequential", 150, ("pct", "delay"), ("random", "pos", "urw", "surw")),
        ("preempted", 50, PORTFOLIO, ()),
    ],
)
def test_no_strategy_finds_all(case: str, runs: int, who: tuple[str, ...], others: tuple[str, ...]) -> None:
    assert [name for name in who if not found(case, name, runs)] == []
    assert [name for name in others if found(case, name, runs)] == []


@pytest.mark.parametrize("case", PLANTED)
def test_the_portfolio_finds_all(case: str) -> None:
    build, check = PLANTED[case]
    for seed in count():
        if breaks(build, check, ORACLES[PORTFOLIO[seed % len(PORTFOLIO)]](seed, PROFILES[case])):
            break
    assert seed < 1_500
