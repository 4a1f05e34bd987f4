"""Random small actor programs, and every order of their arrivals, found without any of the explorer's code."""

import random
from collections.abc import Callable, Iterator
from typing import Any

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.clock import Clock
from longpin.messages.clock import CLOCK, ArmTimer, CancelTimer, TimerExpired
from longpin.messages.envelope import WORLD, Address, Envelope, Message, message
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.exploration.replay import Decisions

Trace = tuple[tuple[Address, tuple[str, ...]], ...]
"""What each actor received, in order: two schedules with one trace differ in nothing that anybody can see."""


class TooManyError(Exception):
    """A program has more orders than there is time for."""


@message
class Hop(Message):
    """Makes its receiver do something, and less each time."""

    left: int
    tag: int


Rule = tuple[int, str, str, int]
"""When (the parity of the receiver's state, 2: always), do what, to whom, with which tag."""


class Hopper(Actor):
    """Does what its rules say."""

    def __init__(self, engine: Engine, address: Address, rules: dict[int, tuple[Rule, ...]]) -> None:
        super().__init__(engine, address)
        self.rules = rules
        self.total = 1
        self.fired = 0
        self.children = 0

    @handles(Hop)
    def hop(self, hop: Hop, src: Address) -> None:
        self.total = (self.total * 3 + hop.tag + 1) % 11
        if not hop.left:
            return
        for when, what, whom, tag in self.rules[hop.tag]:
            if when in (2, self.total % 2):
                if what == "send":
                    self.send(whom, Hop(hop.left - 1, tag))
                elif what == "answer":
                    self.send(self.address if src in (WORLD, CLOCK) else src, Hop(hop.left - 1, tag))
                elif what == "arm":
                    self.send(CLOCK, ArmTimer("t", 1.0 + tag))
                elif what == "cancel":
                    self.send(CLOCK, CancelTimer("t"))
                else:
                    self.children += 1
                    child = f"{self.address}.{self.children}"
                    self.spawn(Hopper, child, self.rules)
                    self.send(child, Hop(0, tag))

    @handles(TimerExpired)
    def expired(self, _timer: TimerExpired, src: Address) -> None:
        self.fired += 1
        self.hop(Hop(int(self.fired == 1), 0), src)


def program(seed: int, *, timers: bool) -> Callable[[Any], None]:
    """Return the ``build`` of a random program."""
    rng = random.Random(seed)
    names = [f"a{number}" for number in range(rng.randint(2, 4))]
    kinds = ["send"] * 5 + ["spawn"] + (["arm", "arm", "cancel"] if timers else [])
    rules = {
        name: {
            tag: tuple(
                (rng.choice((0, 1, 2, 2)), rng.choice(kinds), rng.choice(names), rng.randrange(3))
                for _ in range(rng.randint(0, 2))
            )
            for tag in range(3)
        }
        for name in names
    }
    told = [(rng.choice(names), Hop(rng.randint(0, 2), rng.randrange(3))) for _ in range(rng.randint(2, 4))]

    def build(world: Any) -> None:
        world.spawn(Clock, CLOCK)
        for name in names:
            world.spawn(Hopper, name, rules[name])
        for name, hop in told:
            world.tell(name, hop)

    return build


class Listener:
    """Collects the trace of a run."""

    def __init__(self) -> None:
        self.received: dict[Address, list[str]] = {}

    def arrived(self, _number: int, envelope: Envelope) -> None:
        self.received.setdefault(envelope.dst, []).append(f"{envelope.src} {envelope.body}")

    def trace(self) -> Trace:
        return tuple(sorted((dst, tuple(received)) for dst, received in self.received.items()))


def trace_of(build: Callable[[Any], object], decisions: tuple[Address, ...], *, racy: bool) -> Trace:
    """Return what everybody receives under ``decisions``, which must lead to the end."""
    trace, engine = run(build, decisions, racy=racy)
    assert not engine.ready
    assert not engine.alarm.outbox
    return trace


def run(build: Callable[[Any], object], decisions: tuple[Address, ...], *, racy: bool) -> tuple[Trace, SteppedEngine]:
    engine = SteppedEngine(Decisions(decisions), racy=racy)
    listener = Listener()
    engine.observers.append(listener)
    build(engine)
    engine.run()
    return listener.trace(), engine


def every_order(
    build: Callable[[Any], object], *, racy: bool, runs_at_most: int
) -> Iterator[tuple[Trace, SteppedEngine]]:
    """Run every order of arrivals on the stepped engine, each from the start, and stop after so many runs."""
    left: list[tuple[Address, ...]] = [()]
    for _ in range(runs_at_most):
        if not left:
            return
        decisions = left.pop()
        trace, engine = run(build, decisions, racy=racy)
        ready = [actor.address for actor in engine.ready] or (["alarm"] if engine.alarm.outbox else [])
        left += [(*decisions, address) for address in dict.fromkeys(ready)]
        if not ready:
            yield trace, engine
    raise TooManyError
