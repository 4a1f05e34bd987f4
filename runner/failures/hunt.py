"""Looks for a schedule of a simpler scenario that breaks the same rule at the same site.

Another scenario has other schedules, so it is searched, cheapest first: the old decisions are followed as
far as they go, some random runs are made, and in the end its schedules are explored, as far as a bound allows.
"""

import re
from collections.abc import Sequence
from enum import IntEnum

from longpin.actors.base import Actor
from longpin.actors.syscalls.processes import CHILDREN
from longpin.config.schema import Scenario
from longpin.messages.envelope import Address, Envelope
from longpin.runner.engines.profile import profile_of
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.engines.world import FIRST_PID
from longpin.runner.exploration.budget import Budget, EndlessError
from longpin.runner.exploration.dpor import Dpor
from longpin.runner.exploration.explorer import Explorer
from longpin.runner.exploration.result import (
    BrokenRule,
    Exploration,
    Inconclusive,
    Method,
    PropertyViolation,
    Reason,
    same,
)
from longpin.runner.failures.effort import ShrinkEffort
from longpin.runner.failures.found import FoundFailure
from longpin.runner.failures.schedule import Schedule, follow, most_arrivals, run_with
from longpin.runner.oracles import ORACLES, PORTFOLIO
from longpin.runner.oracles.fifo import Fifo
from longpin.runner.subject import Subject

QUICK_RUNS = 4
"""Random runs of a candidate before many are searched thoroughly."""

RUNS = 4 * len(PORTFOLIO)
"""Random runs of a candidate that has more schedules than are explored."""

EXECUTIONS = 200
"""Schedules of a candidate that are explored."""

_NUMBERED = re.compile(r"([a-z_]+:)(\d+)(.*)", re.DOTALL)


class Plain(IntEnum):
    """What the plain run of a scenario shows; more is worse."""

    HOLDS = 0
    UNPLAYED = 1
    """It was not played to its end."""
    OTHER = 2
    """Something else breaks."""
    SAME = 3
    """The failure itself."""


class Aimed:
    """``always`` and ``check`` of a scenario that see one failure only, so that a search goes on past others."""

    def __init__(self, subject: Subject, broken: BrokenRule) -> None:
        self.subject = subject
        self.broken = broken

    def always(self, actor: Actor, envelope: Envelope) -> None:
        """Look at an actor that has just handled ``envelope``.

        Raises:
            PropertyViolation: it shows the failure.

        """
        try:
            self.subject.always(actor, envelope)
        except PropertyViolation as violation:
            if same(BrokenRule.by(violation), self.broken):
                raise

    def check(self, engine: SteppedEngine) -> None:
        """Look at a world in which nothing can happen any more.

        Raises:
            PropertyViolation: it shows the failure.

        """
        try:
            self.subject.check(engine)
        except Inconclusive:
            return
        except PropertyViolation as violation:
            if same(BrokenRule.by(violation), self.broken):
                raise


class Hunt:
    """Looks for one failure in simpler scenarios.

    A race must stay one: the plain run of a candidate, first in, first out and with lazy timers, may be no worse than
    that of the original. Otherwise "there is no lease to be given up", which fails always, would be taken for a
    simpler case of "the lease was given up too late".
    """

    def __init__(self, found: FoundFailure, effort: ShrinkEffort) -> None:
        self.broken = found.broken
        self.effort = effort
        self.most = most_arrivals(found.decisions)
        self.racy = found.settings.timers == "racy"
        self._plain = self._worth_of_plain_run(found.subject())

    def find(self, subject: Subject, decisions: Sequence[Address], *, thorough: bool) -> Schedule | None:
        """Return a schedule in which the failure is the first thing that breaks; None if none was found.

        Args:
            subject: the candidate.
            decisions: those of the scenario it was made from, in its own process numbers.
            thorough: explore it too.

        Raises:
            SpentError: the effort allows no more.

        """
        if self._plain is not Plain.SAME:
            self.effort.spend(1)
            if self._worth_of_plain_run(subject) > self._plain:
                return None
        if schedule := self._breaks(subject, decisions):
            return schedule
        if not thorough:
            return self._sampled(subject, QUICK_RUNS)
        complete, schedule = self._explored(subject)
        return schedule or (None if complete else self._sampled(subject, RUNS))

    def _worth_of_plain_run(self, subject: Subject) -> "Plain":
        outcome = run_with(subject, Fifo(subject.settings.seed), self.most, racy=False)
        if same(outcome.broken, self.broken):
            return Plain.SAME
        if outcome.broken is not None:
            return Plain.OTHER
        return Plain.UNPLAYED if outcome.inconclusive else Plain.HOLDS

    def _breaks(self, subject: Subject, decisions: Sequence[Address]) -> Schedule | None:
        self.effort.spend(1)
        outcome = follow(subject, decisions)
        return outcome.schedule if same(outcome.broken, self.broken) else None

    def _sampled(self, subject: Subject, runs: int) -> Schedule | None:
        profile = profile_of(subject.build, racy=self.racy)
        for number in range(runs):
            self.effort.spend(1)
            oracle = ORACLES[PORTFOLIO[number % len(PORTFOLIO)]](number, profile)
            outcome = run_with(subject, oracle, self.most, racy=self.racy)
            if same(outcome.broken, self.broken) and (schedule := self._breaks(subject, outcome.schedule.decisions)):
                return schedule
        return None

    def _explored(self, subject: Subject) -> tuple[bool, Schedule | None]:
        """Explore; return whether that was the whole, and what was found."""
        aimed = Aimed(subject, self.broken)
        explorer = Explorer(
            subject.build, check=aimed.check, always=aimed.always, racy=self.racy, seed=subject.settings.seed
        )
        found, path = Exploration(Method.DPOR), explorer.new_path()
        most = min(EXECUTIONS, max(1, self.effort.limits.executions - self.effort.executions))
        # Not explore(): that would also estimate how many schedules are left, which takes longer than these do.
        search = Dpor(path, lambda: explorer.judge_path(path, found), found, Budget(most, self.effort.left()))
        try:
            found.reason = search.run()
        except EndlessError:
            found.reason = Reason.ENDLESS
        self.effort.spend(found.executions + found.blocked)
        schedule = self._breaks(subject, found.failures[0].decisions) if found.failures else None
        return found.complete and not found.untold, schedule


def renumbered(decisions: Sequence[Address], before: Scenario, now: Scenario) -> tuple[Address, ...]:
    """Return decisions with the process numbers that another scenario gives to processes of the same name."""
    numbers = _numbers(now)
    table = {number: numbers[name] for name, number in _numbers(before).items() if name in numbers}

    def other(number: int) -> int:
        if number >= FIRST_PID * CHILDREN:  # a child's number is made from its parent's
            return other(number // CHILDREN) * CHILDREN + number % CHILDREN
        return table.get(number, number)

    def moved(address: Address) -> Address:
        match = _NUMBERED.fullmatch(address)
        return f"{match[1]}{other(int(match[2]))}{match[3]}" if match else address

    return tuple(map(moved, decisions))


def _numbers(scenario: Scenario) -> dict[str, int]:
    started = [spec.name for spec in scenario.processes if spec.start == "now"]
    return {name: FIRST_PID + index for index, name in enumerate(started)}
