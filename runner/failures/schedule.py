"""Schedules that are easy to follow: the fewest preemptions that still break the rule.

A *preemption* is a choice of somebody else while the last one could go on. In CHESS it is a switch away from a thread
that is enabled (Musuvathi and Qadeer, "Iterative context bounding for systematic testing of multithreaded programs",
PLDI 2007); bugs need few of them, and each is something a reader has to ask the reason of. Here control moves with the
message: who goes on after an arrival is its receiver, which carries the call further or answers it; if that has nothing
to send, it is the sender; if neither has, anybody may go and nothing is preempted. So a system call through several
actors counts as one thread's work, and a process that is started while another one runs is a preemption.

The fewest are looked for by delta debugging (Zeller and Hildebrandt, IEEE TSE 28(2), 2002) over the decisions, and by
putting preemptions off, as trace simplification does (Jalbert and Sen, "A trace simplification technique for effective
debugging of concurrent programs", FSE 2010). A list from which something was taken need not be a schedule, so it is
followed leniently, and what then really happened is the next list.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

from longpin.actors.base import Actor
from longpin.messages.envelope import Address
from longpin.runner.exploration.result import BrokenRule, same
from longpin.runner.failures.effort import ShrinkEffort
from longpin.runner.oracles.base import NO_PROFILE, Oracle, derived_random
from longpin.runner.sampling.sample import Plan, Sampler
from longpin.runner.subject import Subject

SPARE = 5_000
"""Arrivals that a run may have beyond twice those of the decisions it follows; then it is given up."""


class Follower:
    """Follows decisions as far as they can be carried out, and then lets whoever is at it go on.

    A decision is skipped if its sender has nothing to send. One whose number is in ``later`` waits until it preempts
    nobody any more. A world that does not come to rest is left after :data:`SPARE` more arrivals.
    """

    name: ClassVar[str] = "decisions"

    def __init__(self, decisions: Sequence[Address] = (), seed: int = 0, later: frozenset[int] = frozenset()) -> None:
        self.decisions = decisions
        self.seed = seed
        self.later = later
        self.new_execution()

    def new_execution(self) -> None:
        """Begin with the first."""
        self.preempting: list[int] = []
        """The numbers, from 0, of the choices that preempted somebody."""
        self.switches = 0
        """How many choices were of somebody else than who could go on, preempting or not."""
        self._chosen = 0
        self._at = 0
        self._last: tuple[Address, ...] = ()

    def next_arrival(self, ready: Sequence[Actor]) -> int | None:
        """Choose."""
        if self._chosen == most_arrivals(self.decisions):
            return None
        places = {actor.address: place for place, actor in enumerate(ready)}
        goes_on = next((address for address in self._last if address in places), None)
        chosen = self._decided(places, goes_on) or goes_on or ready[0].address
        if chosen != goes_on:
            self.switches += 1
            if goes_on is not None:
                self.preempting.append(self._chosen)
        self._chosen += 1
        envelope = ready[places[chosen]].outbox[0]
        self._last = (envelope.dst, envelope.src)
        return places[chosen]

    def next_random(self, actor: Address, count: int, bound: int) -> int:
        """Return the number the run had that is followed."""
        return derived_random(self.seed, actor, count, bound)

    def _decided(self, places: dict[Address, int], goes_on: Address | None) -> Address | None:
        """Return the sender of the next decision that can be carried out, if there is one."""
        while self._at < len(self.decisions):
            address = self.decisions[self._at]
            if address in places:
                if self._at in self.later and goes_on not in (None, address):
                    return goes_on
                self._at += 1
                return address
            self._at += 1
        return None


def most_arrivals(decisions: Sequence[Address]) -> int:
    """Return after how many arrivals a run is given up that follows decisions, or looks for the like of them."""
    return 2 * len(decisions) + SPARE


class Schedule(NamedTuple):
    """An order of arrivals that was carried out, from the start."""

    decisions: tuple[Address, ...] = ()
    preempting: tuple[int, ...] = ()
    """The numbers, from 0, of the decisions that preempt somebody."""
    switches: int = 0
    """How many decisions are of somebody else than who could go on, preempting or not."""


class ScheduleOutcome(NamedTuple):
    """What a run came to."""

    broken: BrokenRule | None
    inconclusive: str
    """Why nothing can be said of the world at rest; empty if something can."""
    schedule: Schedule


def run_with(subject: Subject, oracle: Oracle, most: int, *, racy: bool) -> ScheduleOutcome:
    """Run once, until a rule is broken, nothing can happen any more, or ``most`` messages have arrived."""
    plan = Plan(subject.build, (), NO_PROFILE, subject.check, subject.always, racy, most, remember=False)
    run = Sampler(plan).on_the_engine(oracle, subject.settings.seed)
    return ScheduleOutcome(run.judgement.broken, run.judgement.inconclusive, Schedule(run.decisions))


def follow(subject: Subject, decisions: Sequence[Address], later: frozenset[int] = frozenset()) -> ScheduleOutcome:
    """Follow decisions leniently."""
    follower = Follower(decisions, subject.settings.seed, later)
    outcome = run_with(subject, follower, most_arrivals(decisions), racy=subject.settings.timers == "racy")
    schedule = outcome.schedule._replace(preempting=tuple(follower.preempting), switches=follower.switches)
    return outcome._replace(schedule=schedule)


def schedule_key(schedule: Schedule) -> tuple[object, ...]:
    """Order schedules: the smaller key is the simpler one.

    1. Fewer preemptions: each needs a reason.
    2. Fewer switches of any kind.
    3. Fewer arrivals.
    4. The decisions themselves, so that there is always one that is simplest.
    """
    return (len(schedule.preempting), schedule.switches, len(schedule.decisions), schedule.decisions)


def simplest_schedule(
    subject: Subject, broken: BrokenRule, schedule: Schedule, effort: ShrinkEffort
) -> Iterator[Schedule]:
    """Yield simpler and simpler schedules that break the same, until none is found.

    Raises:
        SpentError: ``effort`` allows no more.

    """
    best = schedule

    def better(decisions: Sequence[Address], later: frozenset[int] = frozenset()) -> bool:
        nonlocal best
        effort.spend(1)
        outcome = follow(subject, decisions, later)
        if not same(outcome.broken, broken) or schedule_key(outcome.schedule) >= schedule_key(best):
            return False
        best = outcome.schedule
        effort.tell(f"{len(best.decisions)} decisions, {len(best.preempting)} preemptions")
        return True

    before = None
    while before != best:
        before = best
        if better(()):
            yield best
        size = len(best.decisions) // 2
        while size:
            start = len(best.decisions) - size
            while start >= 0:
                if better(best.decisions[:start] + best.decisions[start + size :]):
                    yield best
                start = min(start, len(best.decisions)) - size
            size //= 2
        size = len(best.preempting)
        while size:
            start = len(best.preempting) - size
            while start >= 0:
                if better(best.decisions, frozenset(best.preempting[start : start + size])):
                    yield best
                start = min(start, len(best.preempting)) - size
            size //= 2
