"""The outcomes of free runs in the model: all that some schedule shows, and whether a given one is among them.

Time stands still, as in the runs on the kernel. Each process keeps its own history, which is part of its state, so that
two schedules which a program can tell apart are never taken for one.
"""

import itertools
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from longpin.actors.base import Actor
from longpin.actors.clock import Clock
from longpin.actors.policies.proposal import Proposal
from longpin.actors.process.facts import CallBegun, CallEnded, Ended, Fact, HandlerReturned, SignalTaken
from longpin.actors.process.process import Process
from longpin.config.schema import Scenario
from longpin.messages.envelope import Envelope
from longpin.runner.engines.engine import InternalError
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.engines.world import Blueprint
from longpin.runner.exploration import Exploration, Method, PropertyViolation, Reason, explore
from longpin.runner.exploration.result import Abandoned
from longpin.runner.races.outcome import (
    EndKind,
    History,
    ProcessEnd,
    ProcessOutcome,
    RaceOutcome,
    outcome_of,
    result_of,
)

PROPOSAL = Proposal.make("P0", "intended", {})
"""The model of today's kernel; without pins the policies hardly differ."""

MOST_MEMORY = 4 << 30
"""Bytes that one exploration may take."""


class StoppedClock(Clock):
    """A clock on which no timer ever expires."""

    def _set_alarm(self) -> None:
        """Ask the engine for nothing."""


class RacingProcess(Process):
    """A process that remembers what its program could see."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.history = History(self.pid, self.name)
        self.came_to: ProcessEnd | None = None

    def on_receive(self, message: Envelope) -> None:
        """Handle one arrival and note what the program could see of it."""
        super().on_receive(message)
        for fact in self.facts:
            self._note(fact)

    def outcomes(self) -> tuple[ProcessOutcome, ...]:
        """Return what it may have come to; nothing more will happen to it."""
        return self.history.outcomes(self.came_to or ProcessEnd(EndKind.STOPPED if self.stopped else EndKind.ASLEEP))

    def may_become(self, outcome: ProcessOutcome) -> bool:
        """Return False only if nothing that can follow makes this outcome of it."""
        return self.came_to in (None, outcome.end) and self.history.may_become(outcome)

    def _note(self, fact: Fact) -> None:
        match fact:
            case CallBegun(record):
                self.history.call_begins(record.op.line, record.op.text)
            case CallEnded(record):
                self.history.call_returns(
                    result_of(record.ret, record.errno), signal_pending=self.current.signal_pending
                )
            case SignalTaken(signo, si_fd, action="handler"):
                self.history.handler_begins(signo, si_fd)
            case SignalTaken(action="stopped"):
                self.history.stops()
            case HandlerReturned():
                self.history.handler_returns()
            case Ended(status, signo):
                self.came_to = ProcessEnd(EndKind.KILLED, signo) if signo else ProcessEnd(EndKind.EXITED, status)
            case _:
                pass


class RacingBlueprint(Blueprint):
    """Worlds in which time stands still and processes keep their histories."""

    clock: ClassVar[type[Clock]] = StoppedClock
    process: ClassVar[type[Process]] = RacingProcess


@dataclass(slots=True)
class ExploredOutcomes:
    """The outcomes that were found, and by how much work."""

    outcomes: frozenset[RaceOutcome]
    result: Exploration

    @property
    def complete(self) -> bool:
        """Return whether there are no others."""
        return self.result.complete


class OutcomeFound(StrEnum):
    """Whether a schedule shows an outcome."""

    INSIDE = "a schedule of the model shows it"
    OUTSIDE = "no schedule of the model shows it"
    UNDETERMINED = "the time allowed is spent"


@dataclass(slots=True)
class RaceModel:
    """A scenario in the model."""

    scenario: Scenario
    blueprint: RacingBlueprint = field(init=False)

    def __post_init__(self) -> None:
        self.blueprint = RacingBlueprint(self.scenario, PROPOSAL)

    def explore(self, seconds: float, method: Method = Method.AUTO) -> ExploredOutcomes:
        """Find every outcome that the time allows to find.

        Raises:
            InternalError: a handler raised, which is a bug of longpin.
            KeyboardInterrupt: it was interrupted; a search by itself would only end.

        """
        found: set[RaceOutcome] = set()

        def check(engine: SteppedEngine) -> None:
            found.update(outcomes_of(engine))

        result = explore(self.blueprint.build, method=method, check=check, seconds=seconds, max_memory=MOST_MEMORY)
        _pass_on_interrupt(result)
        if result.failures:
            raise InternalError(result.failures[0].what)
        return ExploredOutcomes(frozenset(found), result)

    def find(self, outcome: RaceOutcome, seconds: float) -> OutcomeFound:
        """Look for a schedule that shows an outcome: states from which none can be reached are left out.

        Raises:
            InternalError: a handler raised, which is a bug of longpin.
            KeyboardInterrupt: it was interrupted; a search by itself would only end.

        """
        wanted = {process.pid: process for process in outcome.processes}

        def always(actor: Actor, _envelope: Envelope) -> None:
            if isinstance(actor, RacingProcess) and actor.facts:
                target = wanted.get(actor.pid)
                if target is None or not actor.may_become(target):
                    raise Abandoned

        def check(engine: SteppedEngine) -> None:
            if outcome in outcomes_of(engine):
                raise PropertyViolation(OutcomeFound.INSIDE)

        result = explore(
            self.blueprint.build,
            method=Method.STATES,
            check=check,
            always=always,
            seconds=seconds,
            max_memory=MOST_MEMORY,
        )
        _pass_on_interrupt(result)
        if result.failures:
            if (what := result.failures[0].what) != OutcomeFound.INSIDE:
                raise InternalError(what)
            return OutcomeFound.INSIDE
        return OutcomeFound.OUTSIDE if result.complete else OutcomeFound.UNDETERMINED


def _pass_on_interrupt(result: Exploration) -> None:
    """Tell the caller, which compares many scenarios, of an interrupt that the search has taken for its own."""
    if result.reason is Reason.INTERRUPTED:
        raise KeyboardInterrupt


def outcomes_of(engine: SteppedEngine) -> list[RaceOutcome]:
    """Return what the processes of a world at rest may have seen."""
    processes = [actor for actor in engine.actors.values() if isinstance(actor, RacingProcess)]
    each = (process.outcomes() for process in processes)
    return [outcome_of(list(combined)) for combined in itertools.product(*each)]
