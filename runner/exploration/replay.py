"""Follow decisions on the stepped engine itself: the proof that an explored schedule is one."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from longpin.actors.base import Actor
from longpin.messages.envelope import Address, Envelope
from longpin.runner.engines.engine import InternalError
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.oracles.base import derived_random

Always = Callable[[Actor, Envelope], object]
"""Looks at an actor that has just handled a message; it raises PropertyViolation or AssertionError if that is wrong."""


Marks = Callable[[Actor, Envelope], frozenset[str]]
"""Looks at an actor that has just handled a message and returns what is to be seen in that step, as names."""


class Collector:
    """Collects the marks of every arrival of a stepped world."""

    def __init__(self, engine: SteppedEngine, marks: Marks) -> None:
        self.engine = engine
        self.marks = marks
        self.found: set[str] = set()

    def arrived(self, _number: int, envelope: Envelope) -> None:
        """Look, unless the handler raised."""
        if self.engine.failure is None:
            self.found |= self.marks(self.engine.actors[envelope.dst], envelope)


class Looker:
    """Lets ``always`` look at every arrival of a stepped world."""

    def __init__(self, engine: SteppedEngine, always: Always) -> None:
        self.engine = engine
        self.always = always

    def arrived(self, _number: int, envelope: Envelope) -> None:
        """Let it look, unless the handler raised: that comes first."""
        if self.engine.failure is None:
            self.always(self.engine.actors[envelope.dst], envelope)


class Decisions:
    """An oracle that lets those go who are named, in that order, and then stops."""

    name: ClassVar[str] = "decisions"

    def __init__(self, decisions: Sequence[Address], seed: int = 0) -> None:
        self.decisions = decisions
        self.seed = seed
        self.count = 0

    def new_execution(self) -> None:
        """Begin with the first."""
        self.count = 0

    def next_arrival(self, ready: Sequence[Actor]) -> int | None:
        """Return the next one's place among those who can go.

        Raises:
            InternalError: it cannot: the actors do not do the same thing twice.

        """
        if self.count == len(self.decisions):
            return None
        address = self.decisions[self.count]
        self.count += 1
        for index, actor in enumerate(ready):
            if actor.address == address:
                return index
        raise InternalError(f"decision {self.count}: {address} has sent nothing: the schedule is not repeatable")

    def next_random(self, actor: Address, count: int, bound: int) -> int:
        """Return the number the explored run had."""
        return derived_random(self.seed, actor, count, bound)


def replay(
    build: Callable[[Any], object],
    decisions: Sequence[Address],
    *,
    racy: bool = False,
    seed: int = 0,
    always: Always | None = None,
) -> SteppedEngine:
    """Build a world, let ``decisions`` be carried out, and return the world as it is then.

    ``always`` looks at every arrival.

    Raises:
        InternalError: the decisions cannot be carried out, or a handler raised; its exception is the cause.
        PropertyViolation, AssertionError: ``always`` found something.

    """
    engine = SteppedEngine(Decisions(decisions, seed), racy=racy, seed=seed)
    if always is not None:
        engine.observers.append(Looker(engine, always))
    build(engine)
    engine.run()
    return engine
