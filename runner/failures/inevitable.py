"""Since when a violation was inevitable: the first arrival after which every way on violates the rule.

If every way on from some point violates it, so does every way on from a later point of the same schedule. So points are
tried from the violation backwards, in steps that double, until one is found from which the rule can be kept; then the
interval is halved. What is found holds within the bounds of an exploration: these programs, these timers, this seed.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from longpin.actors.base import Actor
from longpin.messages.envelope import Address, Envelope
from longpin.runner.exploration.avoiding import Avoiding, Decisions, NotWholeError
from longpin.runner.exploration.budget import Budget, memory_allowed
from longpin.runner.subject import Subject

LEAST_SECONDS = 0.05
"""What a point is given even if no time is left."""


@dataclass(frozen=True, slots=True)
class LastChoice:
    """What arrived at some point, and what could have arrived instead."""

    taken: Envelope
    instead: Envelope


@dataclass(frozen=True, slots=True)
class Inevitable:
    """Since when a rule could not be kept."""

    rule: str
    since: int
    """The first arrival after which every way on violates it; 0: none keeps it from the start on.

    If it is not known: the first one of which that is known.
    """
    choice: LastChoice | None = None
    """The last choice that could have avoided it: what arrived as number :attr:`since`; None: there is none."""
    why: str = ""
    """Why it is not known whether an earlier arrival was the first; empty: it is known."""

    @property
    def known(self) -> bool:
        """Return whether every way on was looked at."""
        return not self.why

    def __str__(self) -> str:
        if not self.known:
            return f"{self.rule} is inevitable since arrival {self.since} at the latest; {self.why}"
        if not self.since:
            return f"{self.rule} is inevitable from the start: every schedule violates it"
        return f"{self.rule} is inevitable since arrival {self.since}: every way on violates it"


def inevitable_since(subject: Subject, rule: str, decisions: Decisions, seconds: float) -> Inevitable:
    """Return since when a schedule could not but violate a rule.

    Args:
        subject: the scenario.
        rule: which is violated.
        decisions: the schedule, up to the arrival after which the rule does not hold.
        seconds: how long to look.

    Raises:
        InternalError: a bug in longpin.

    """
    alone = Subject(dataclasses.replace(subject.scenario, holds=(rule,)), subject.settings)

    def breaks(actor: Actor, envelope: Envelope) -> bool:
        return any(finding.rule == rule for finding in alone.rules.after(actor, envelope))

    search = Avoiding(
        alone.build,
        breaks,
        lambda engine: any(finding.rule == rule for finding in alone.rules.quiet(engine.actors)),
        racy=alone.settings.timers == "racy",
        seed=alone.settings.seed,
    )
    points = Points(search, decisions, Budget(seconds=seconds))
    since = points.first_lost()
    if points.why:
        return Inevitable(rule, since, why=points.why)
    if not since:
        return Inevitable(rule, 0)
    instead, *_ = points.ways[since - 1]
    return Inevitable(rule, since, LastChoice(*_next(search, decisions[: since - 1], (decisions[since - 1], instead))))


class Points:
    """The points of a schedule: after no arrival, after one, ...; at some the rule can be kept, then it is lost."""

    def __init__(self, search: Avoiding, decisions: Decisions, budget: Budget) -> None:
        self.search = search
        self.decisions = decisions
        self.budget = budget
        self.ways: dict[int, Decisions] = {}
        """By point: decisions from there on that keep the rule."""
        self.why = ""
        """Why it is not known of some point; empty: there was none."""

    def first_lost(self) -> int:
        """Return the first point of which it is known that the rule is lost."""
        lost, kept = len(self.decisions), -1
        for point in self._backwards():
            if not self._is_lost(point):
                kept = point
                break
            lost = point
        while lost - kept > 1:
            point = (kept + lost) // 2
            if self._is_lost(point):
                lost = point
            else:
                kept = point
        if lost - 1 in self.ways or not lost:
            self.why = ""  # what could not be told does not matter
        return lost

    def _backwards(self) -> Iterator[int]:
        point, step = len(self.decisions), 1
        while point:
            point = max(point - step, 0)
            step *= 2
            yield point

    def _is_lost(self, point: int) -> bool:
        """Return whether the rule is known to be lost at a point; where it cannot be told, it is not."""
        left = self.budget.left() or 0.0
        allowed = Budget(seconds=max(left / 2, LEAST_SECONDS), memory=memory_allowed())
        try:
            way = self.search.way_on(self.decisions[:point], allowed)
        except NotWholeError as why:
            self.why = f"whether it was before is not known: {why}"
            return False
        if way is not None:
            self.ways[point] = way
        return way is None


def _next(search: Avoiding, decisions: Decisions, senders: tuple[Address, ...]) -> Iterator[Envelope]:
    """Yield the oldest message of each of some senders, as it is after decisions."""
    world = search.world(decisions)
    actors = {actor.address: actor for actor in (*world.actors.values(), world.world, world.alarm)}
    for sender in senders:
        yield actors[sender].outbox[0]
