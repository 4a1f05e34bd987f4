"""From a failure to the simplest one that breaks the same rule at the same site.

Delta debugging by passes, again and again until nothing gets simpler: first candidates that are quickly judged, then
each searched thoroughly, at last fewer preemptions. A candidate is looked at only if it is simpler by :func:`sort_key`,
so that no pass can undo another, and each only once. The work is bounded; what was found by then counts.

D. MacIver and A. Donaldson, "Test-case reduction via test-case generation: insights from the Hypothesis reducer", ECOOP
2020, argue for one order in which every step goes down; that the failure must stay the same one is the slippage of
Y. Chen et al., "Taming compiler fuzzers", PLDI 2013.
"""

import dataclasses
import time
import tomllib
from itertools import islice
from typing import Any, NamedTuple

from longpin.config.loader import parse_scenario, without_roles
from longpin.config.problems import ScenarioError
from longpin.config.schema import ALL_RULES, EXPECTATIONS_RULE, Scenario
from longpin.config.writer import Document, write_scenario
from longpin.runner.engines.engine import InternalError
from longpin.runner.exploration.result import same
from longpin.runner.failures.effort import Limits, ShrinkEffort, ShrinkEnd, SpentError
from longpin.runner.failures.found import FoundFailure
from longpin.runner.failures.hunt import Hunt, renumbered
from longpin.runner.failures.schedule import Schedule, follow, schedule_key, simplest_schedule
from longpin.runner.failures.simplify import PASSES, Pass, get, programs, tidied
from longpin.runner.failures.statements import statements, weight
from longpin.runner.progress import Shown
from longpin.runner.subject import Subject

FOR_SCENARIO = 0.75
"""The part of what is allowed that goes into a simpler scenario; the rest is for its schedule."""


def sort_key(scenario: Scenario, schedule: Schedule) -> tuple[Any, ...]:
    """Order failures: the smaller key is the simpler one.

    1. Fewer processes: each is one more thing that runs beside the others.
    2. Fewer lines in programs and signal handlers: each is one more thing to understand.
    3. Fewer handlers, files, devices, block sets and settings to know of.
    4. Smaller numbers and fewer flags.
    5. A simpler schedule, see :func:`~longpin.runner.failures.schedule.schedule_key`: fewer preemptions first.
    6. The text, so that there is always one that is simplest.
    """
    document = tomllib.loads(scenario.text)
    texts = [get(document, place) for place in programs(document)]
    lines = sum(len(statements(text)) for text in texts)
    tables = [table for kind in ("pmem", "device", "file") for table in document.get(kind, [])]
    settings = [document.get("machine", {}), *tables, *document["process"]]
    known = len(texts) + len(tables) + sum(map(len, settings))
    numbers = sum(map(weight, texts)) + sum(
        weight(str(table[key])) for table in settings for key in ("blocks", "size", "memlock") if key in table
    )
    text = (len(scenario.text), scenario.text)
    return (len(document["process"]), lines, known, numbers, schedule_key(schedule), text)


class Shrunk(NamedTuple):
    """The simplest failure found, and why nothing simpler was tried."""

    found: FoundFailure
    before: Schedule
    """How the given failure was shown."""
    schedule: Schedule
    """How this one is."""
    end: ShrinkEnd
    executions: int
    """How many runs it took."""


def shrink(
    found: FoundFailure, limits: Limits | None = None, progress: Shown | None = None, *, whole: bool = False
) -> Shrunk:
    """Return the simplest failure found that breaks the same rule at the same site.

    Ctrl-C ends it as a spent limit does. ``whole``: the scenario stays as it is, and only a simpler schedule is wanted.

    Raises:
        InternalError: the given one does not fail.

    """
    limits = limits or Limits()
    subject = found.subject()  # of which the roles can be cut line by line
    found = dataclasses.replace(found, scenario=subject.scenario if whole else without_roles(subject.scenario))
    outcome = follow(subject, found.decisions)
    if not same(outcome.broken, found.broken):
        raise InternalError(f"not repeatable: {found.broken.what}")
    shrinker = _Shrinker(found, outcome.schedule)
    end, executions = ShrinkEnd.SIMPLEST, 0
    started = time.monotonic()
    steps = [(FOR_SCENARIO, shrinker.simplify), (1.0, shrinker.reschedule)]
    for share, step in steps[whole:]:
        passed = time.monotonic() - started
        seconds = None if limits.seconds is None else max(0.0, limits.seconds * share - passed)
        effort = ShrinkEffort(Limits(int(limits.executions * share) - executions, seconds), progress)
        try:
            step(effort)
        except SpentError as spent:
            end = spent.end
        except KeyboardInterrupt:
            end = ShrinkEnd.INTERRUPTED
        executions += effort.executions
        if end is ShrinkEnd.INTERRUPTED:
            break
    return Shrunk(shrinker.best, outcome.schedule, shrinker.schedule, end, executions)


class _Shrinker:
    """Holds the simplest failure so far."""

    def __init__(self, found: FoundFailure, schedule: Schedule) -> None:
        self.best = found
        self.schedule = schedule
        self._original = found
        self._document: Document = tomllib.loads(found.scenario.text)
        self._asked: set[tuple[str, bool]] = set()

    def simplify(self, effort: ShrinkEffort) -> None:
        """Look for simpler scenarios."""
        hunt = Hunt(self._original, effort)
        self._try(self._tidied(), hunt, thorough=False, simpler=False)
        for thorough in (False, True):
            before = None
            while before is not self.best:
                before = self.best
                for one_pass in PASSES:
                    self._run(one_pass, hunt, thorough=thorough)

    def reschedule(self, effort: ShrinkEffort) -> None:
        """Look for simpler schedules of the best scenario."""
        subject = self.best.subject()
        for schedule in simplest_schedule(subject, self.best.broken, self.schedule, effort):
            self._accept(self.best.scenario, self._document, subject, schedule)

    def _tidied(self) -> Document:
        """Return the tables with the rule that broke, the policy it was run under, and what lines expect.

        What the lines expect stays a rule, so that what is said of a call is true in the shrunk scenario too.
        """
        settings, broken = self._original.settings, self._original.broken
        kept = (broken.rule, EXPECTATIONS_RULE)
        rules = [rule for rule in ALL_RULES if rule in self._original.scenario.holds and rule in kept]
        return tidied(self._document, rules, settings.policy_name)

    def _run(self, one_pass: Pass, hunt: Hunt, *, thorough: bool) -> None:
        """Try the candidates of a pass; after a success they are made again, and those before it passed over."""
        at, again = 0, True
        while again:
            again = False
            for candidate in islice(one_pass(self._document), at, None):
                if self._try(candidate, hunt, thorough=thorough):
                    again = True
                    break
                at += 1

    def _try(self, document: Document, hunt: Hunt, *, thorough: bool, simpler: bool = True) -> bool:
        """Take a candidate if it is simpler and fails in the same way; return whether it was taken."""
        text = write_scenario(document)
        if (text, thorough) in self._asked:
            return False
        self._asked.add((text, thorough))
        try:
            scenario = parse_scenario(text, self.best.scenario.name)
        except ScenarioError:
            return False
        if simpler and sort_key(scenario, self.schedule) >= sort_key(self.best.scenario, self.schedule):
            return False
        subject = Subject(scenario, self.best.settings)
        decisions = renumbered(self.schedule.decisions, self.best.scenario, scenario)
        schedule = hunt.find(subject, decisions, thorough=thorough)
        if schedule is None:
            return False
        self._accept(scenario, document, subject, schedule)
        size = sort_key(scenario, schedule)
        hunt.effort.tell(f"{size[0]} processes, {size[1]} lines")
        return True

    def _accept(self, scenario: Scenario, document: Document, subject: Subject, schedule: Schedule) -> None:
        """Make a failure the best; what exactly is wrong is told in its own words."""
        broken = follow(subject, schedule.decisions).broken
        assert same(broken, self._original.broken)
        assert broken is not None
        self.best = dataclasses.replace(self.best, scenario=scenario, broken=broken, decisions=schedule.decisions)
        self.schedule = schedule
        self._document = document
