"""Is there a way on from a point of a schedule on which a rule is kept? Every way is looked at, or one is found.

States are matched (``states.py``) from that point on. A step that violates the rule is abandoned, for nothing behind it
avoids the violation; a world at rest in which the rule is kept is what is looked for, and ends the search. Both depend
on steps alone, which schedules that cannot be told apart have in common, so the reductions of the search miss none.
"""

from collections.abc import Callable
from typing import Any

from longpin.actors.base import Actor
from longpin.messages.envelope import Address, Envelope
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.exploration.budget import Budget
from longpin.runner.exploration.replay import replay
from longpin.runner.exploration.result import Abandoned, BrokenRule, Exploration, Method, Reason
from longpin.runner.exploration.states import Matching
from longpin.runner.exploration.table import Table

Decisions = tuple[Address, ...]
"""Whose oldest message arrives, arrival by arrival."""

_KEPT = BrokenRule("it is kept")


class NotWholeError(Exception):
    """The search ended before it could tell; the text says why."""


class Avoiding:
    """Looks for ways on which a rule is kept; what it computed for one point serves for the others.

    Args:
        build: creates the actors and their first messages.
        breaks: whether the rule is violated by what an actor has just handled; it may look at nothing else.
        broken: whether it is violated in a world at rest.
        racy: timers may fire at any time.
        seed: of the actors' random numbers.

    """

    def __init__(
        self,
        build: Callable[[Any], object],
        breaks: Callable[[Actor, Envelope], bool],
        broken: Callable[[SteppedEngine], bool],
        *,
        racy: bool = False,
        seed: int = 0,
    ) -> None:
        def always(actor: Actor, envelope: Envelope) -> None:
            if breaks(actor, envelope):
                raise Abandoned

        self._build = build
        self._broken = broken
        self._racy = racy
        self._seed = seed
        self._table = Table(build, seed=seed, always=always)
        self._judged: dict[tuple[int, ...], bool] = {}

    def way_on(self, prefix: Decisions, budget: Budget) -> Decisions | None:
        """Return decisions from a point on that keep the rule to the end; None: there are none.

        Args:
            prefix: the decisions that lead to the point; no step on the way violates the rule.
            budget: how long to look.

        Raises:
            NotWholeError: the search ended before it could tell.
            InternalError: a bug in longpin.

        """
        result = Exploration(Method.STATES)

        def judge(rest: tuple[int, ...], decisions: Callable[[], Decisions]) -> BrokenRule | None:
            if rest not in self._judged:
                self._judged[rest] = self._broken(self.world(prefix + decisions()))
            return None if self._judged[rest] else _KEPT

        reason = Matching(self._table, judge, result, budget, racy=self._racy, prefix=prefix).run()
        if not result.failures:
            if reason is not Reason.COMPLETE:
                raise NotWholeError(reason.value)
            return None
        (found,) = result.failures
        if found.broken is not _KEPT:
            raise NotWholeError(found.what)
        return found.decisions

    def world(self, decisions: Decisions) -> SteppedEngine:
        """Return the world as it is after decisions."""
        return replay(self._build, decisions, racy=self._racy, seed=self._seed)
