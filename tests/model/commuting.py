"""Traces under footprints, found from all orders of arrivals without any of the explorer's code.

Two orders are one trace if every message arrives in both, after the same messages that it is in conflict with. A
message is known by the arrival in which it was sent and its number there: what an outbox holds it in has no part in it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from model.random_actors import TooManyError

from longpin.actors.base import Actor
from longpin.messages.envelope import Address, Envelope, Footprint
from longpin.runner.engines.engine import ALARM
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.exploration.replay import Decisions

Name = tuple[Any, ...]
"""A message: the name of the one in whose arrival it was sent, and its number there."""

Trace = frozenset[tuple[Name, frozenset[Name]]]
"""Each message with those in conflict that arrived before it."""


def meet(some: frozenset[Any], others: frozenset[Any]) -> bool:
    """Return whether a part of the first set contains one of the second, or the other way round."""
    return any(one[: len(other)] == other[: len(one)] for one in some for other in others)


def in_conflict(one: Footprint | None, other: Footprint | None) -> bool:
    """Return whether two messages to one actor do not commute, as they declare."""
    if one is None or other is None:
        return all(footprint is None or any(footprint) for footprint in (one, other))
    changes, also = one.writes | one.adds, other.writes | other.adds
    return (
        meet(one.writes, also | other.reads)
        or meet(other.writes, changes | one.reads)
        or meet(one.adds, other.reads)
        or meet(other.adds, one.reads)
    )


class Notes(Decisions):
    """Follows decisions, goes on with whoever waits longest, and notes who sent what in which arrival."""

    def __init__(self, decisions: Sequence[Address]) -> None:
        super().__init__(decisions)
        self.engine: SteppedEngine
        self.taken: list[Address] = []
        self.left: list[tuple[Address, ...]] = []
        """The decisions that could have been taken instead, beyond those that were given."""
        self.weight = 1
        """In how many ways this could have been chosen: about as many orders there are."""
        self.outboxes: dict[Address, list[Name]] = {}
        """By actor: the names of what lies in its outbox."""
        self.arrived: dict[Address, list[tuple[Name, Footprint | None]]] = {}
        self.trace: set[tuple[Name, frozenset[Name]]] = set()
        self.sent_from: Name = ()
        self.asked: dict[tuple[Address, Address, int], Footprint | None] = {}

    def next_arrival(self, ready: Sequence[Actor]) -> int:
        """Note what the last arrival sent, and the one that is chosen."""
        self.look()
        if (choice := super().next_arrival(ready)) is None:
            self.left += [(*self.taken, other.address) for other in ready[1:]]
            choice = 0
        self.taken.append(ready[choice].address)
        self.weight *= len(ready)
        self.note(ready[choice])
        return choice

    def look(self) -> None:
        """Name what was sent since the last look."""
        for actor in (self.engine.world, *self.engine.actors.values()):
            names = self.outboxes.setdefault(actor.address, [])
            fresh = len(actor.outbox) - len(names)
            names += [(self.sent_from, number) for number in range(fresh)]

    def note(self, sender: Actor) -> None:
        """Note that the oldest message of a sender arrives."""
        if sender.address == ALARM:
            name: Name = (ALARM, sum(known[0] == ALARM for known, _ in self.trace))
        else:
            name = self.outboxes[sender.address].pop(0)
        envelope: Envelope = sender.outbox[0]
        footprint = self.footprint(envelope)
        if envelope.call > 0:
            self.asked[envelope.dst, envelope.src, envelope.call] = footprint
        before = self.arrived.setdefault(envelope.dst, [])
        self.trace.add((name, frozenset(other for other, its in before if in_conflict(footprint, its))))
        before.append((name, footprint))
        self.sent_from = name

    def footprint(self, envelope: Envelope) -> Footprint | None:
        """Return what a message touches: what it says, or what the conversation says that it goes on with."""
        declared = envelope.body.footprint() if hasattr(envelope.body, "footprint") else None
        if declared is not None or envelope.call >= 0:
            return declared
        for task in self.engine.actors[envelope.dst].all_suspended():
            if task.number == -envelope.call:
                if task.step is not None:
                    return task.step.footprint()
                if not task.call:
                    return None
                asked = self.asked[envelope.dst, task.src, task.call]
                return Footprint.of(reads=[("conversation",)]) if asked == Footprint() else asked
        return None


def follow(build: Callable[[Any], object], decisions: Sequence[Address], *, racy: bool = False) -> Notes:
    """Run a world to its end, along decisions as far as they go."""
    notes = Notes(decisions)
    notes.engine = SteppedEngine(notes, racy=racy)
    build(notes.engine)
    notes.engine.run()
    return notes


def every_order(build: Callable[[Any], object], *, racy: bool = False, runs_at_most: int) -> Iterator[Notes]:
    """Run every order of arrivals, each from the start; raise TooManyError if there are more, or seem to be."""
    left: list[tuple[Address, ...]] = [()]
    for _ in range(runs_at_most):
        if not left:
            return
        notes = follow(build, left.pop(), racy=racy)
        left += notes.left
        if len(notes.left) and notes.weight > 5 * runs_at_most:
            raise TooManyError
        yield notes
    if left:
        raise TooManyError
