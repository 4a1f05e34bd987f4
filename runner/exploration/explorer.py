"""What the methods share: one table of steps, and one judgement of each world at rest."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from longpin.messages.envelope import Address
from longpin.runner.engines.engine import InternalError
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.exploration.activations import ActivationPath
from longpin.runner.exploration.footprints import body_footprint
from longpin.runner.exploration.path import NOBODY, Path
from longpin.runner.exploration.realize import UntoldError
from longpin.runner.exploration.replay import Always, Marks, replay
from longpin.runner.exploration.result import (
    NO_MARKS,
    BrokenRule,
    Exploration,
    Failure,
    Inconclusive,
    PropertyViolation,
    same,
)
from longpin.runner.exploration.table import Table

Build = Callable[[Any], object]
"""Creates actors and tells them to start: ``world.spawn(kind, address, *args)``, ``world.tell(address, message)``."""

Check = Callable[[SteppedEngine], object]
"""Looks at a world that has come to rest: it raises PropertyViolation or AssertionError, and may return marks.

Marks are a frozenset of strings: what is to be seen in that world. Whatever else it returns is nothing.
"""

PILOT_EVENTS = 10_000
"""Arrivals of the one schedule that shows whether messages declare footprints."""


class EndJudgement(NamedTuple):
    """What the check said of a world at rest."""

    broken: BrokenRule | None
    inconclusive: str
    """Why it could not be judged; empty if it could."""
    marks: frozenset[str]
    """What is to be seen in it."""


class Findings(NamedTuple):
    """What an explorer has found so far."""

    inconclusive: str
    marks: frozenset[str]
    witnesses: dict[str, tuple[Address, ...]]


class Explorer:
    """A world to explore, and what must hold in it."""

    def __init__(
        self,
        build: Build,
        *,
        check: Check | None = None,
        always: Always | None = None,
        marks: Marks | None = None,
        shows: tuple[str, ...] = (),
        racy: bool = False,
        seed: int = 0,
        footprints: bool = True,
        interchangeable: tuple[tuple[Address, ...], ...] = (),
        whole_states: bool = False,
        verify: bool = False,
    ) -> None:
        self.build = build
        self.check = check
        self.always = always
        self.shows = frozenset(shows)
        """The marks of worlds at rest of which a schedule is wanted."""
        self.racy = racy
        self.seed = seed
        self.interchangeable = interchangeable
        """Groups of actors of which matching states need not tell who is who."""
        self.whole_states = whole_states
        """States are compared as a whole, not by fingerprints."""
        self.verify = verify
        self.table = Table(build, seed=seed, always=always, marks=marks)
        self.commuting = footprints and self._declared()
        """Messages to one actor commute as they declare."""
        self.inconclusive = ""
        """Why the first world that could not be judged could not."""
        self.marks: set[str] = set()
        """What is to be seen in some schedule that can really happen."""
        self.witnesses: dict[str, tuple[Address, ...]] = {}
        """The decisions of the first schedule at the end of which something is to be seen that was asked for."""
        self._judged: dict[tuple[int, ...], EndJudgement] = {}
        self._met: set[tuple[int, ...]] = set()

    def new_path(self) -> Path | ActivationPath:
        """Return a schedule of which nothing has happened."""
        if self.commuting:
            return ActivationPath(self.table, racy=self.racy, verify=self.verify)
        return Path(self.table, racy=self.racy)

    def forget(self) -> None:
        """Begin a search whose findings do not depend on those before; what was computed stays known."""
        self.inconclusive = ""
        self.marks.clear()
        self.witnesses.clear()
        self._met.clear()

    def findings(self) -> Findings:
        """Return what was found so far."""
        return Findings(self.inconclusive, frozenset(self.marks), dict(self.witnesses))

    def go_back(self, findings: Findings) -> None:
        """Forget what was found since."""
        self.forget()
        self.inconclusive = findings.inconclusive
        self.marks |= findings.marks
        self.witnesses |= findings.witnesses

    def judge_path(self, path: Path | ActivationPath, result: Exploration) -> BrokenRule | None:
        """Return what is wrong at the end of a schedule, and note what is to be seen in it.

        Raises:
            UntoldError: it takes too long to tell whether that can happen.

        """
        for event, marks in path.marked:
            with suppress(UntoldError):  # another schedule may show the same
                if not marks <= self.marks and path.decisions(event) is not None:
                    self.marks |= marks
        if path.failure is not None:
            return BrokenRule.by(path.failure)
        if self.check is None:
            return None
        rest = tuple(path.local)
        while rest and rest[-1] == NOBODY:  # actors that the table has heard of, in other schedules
            rest = rest[:-1]
        if rest not in self._met:
            if path.decisions() is None:
                result.impossible += 1
                return None
            self._met.add(rest)
        return self.judge(rest, path.decisions)

    def judge(self, rest: tuple[int, ...], decisions: Callable[[], tuple[Address, ...] | None]) -> BrokenRule | None:
        """Return what the check has to say about the states of all actors; it is asked once for each."""
        if rest not in self._judged:
            self._judged[rest] = self._ask(self.replay(decisions() or ()))
        broken, inconclusive, marks = self._judged[rest]
        for mark in sorted(marks & self.shows - self.witnesses.keys()):
            self.witnesses[mark] = decisions() or ()
        self.marks |= marks
        self.inconclusive = self.inconclusive or inconclusive
        return broken

    def replay(self, decisions: tuple[Address, ...]) -> SteppedEngine:
        """Carry out decisions on the stepped engine."""
        return replay(self.build, decisions, racy=self.racy, seed=self.seed, always=self.always)

    def confirm(self, failure: Failure) -> None:
        """Carry out the decisions of a failure on the stepped engine.

        Raises:
            InternalError: what failed does not fail there.

        """
        try:
            found = self._ask(self.replay(failure.decisions)).broken
        except (PropertyViolation, AssertionError) as violation:
            found = BrokenRule.by(violation)
        except InternalError as error:
            if error.__cause__ is None:
                raise
            found = BrokenRule.by(error.__cause__)
        if not same(found, failure.broken):
            raise InternalError(f"not repeatable: {failure.what}")

    def _ask(self, engine: SteppedEngine) -> EndJudgement:
        if self.check is not None:
            try:
                found = self.check(engine)
            except Inconclusive as why:
                return EndJudgement(None, str(why), why.marks)
            except (PropertyViolation, AssertionError) as violation:
                return EndJudgement(BrokenRule.by(violation), "", NO_MARKS)
            return EndJudgement(None, "", found if isinstance(found, frozenset) else NO_MARKS)
        return EndJudgement(None, "", NO_MARKS)

    def _declared(self) -> bool:
        """Return whether any message of one schedule declares a footprint; if none does, there is nothing to gain."""
        path, table, seen = Path(self.table, racy=self.racy), self.table, 0
        while True:
            if any(body_footprint(table, message) is not None for message in range(seen, len(table.envelopes))):
                return True
            seen = len(table.envelopes)
            if path.failure is not None or len(path.clock) >= PILOT_EVENTS or (process := path.ready({})) < 0:
                return False
            path.push(process)
