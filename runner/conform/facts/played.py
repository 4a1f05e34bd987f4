"""A situation that was played: the calls that were looked at, and what came of each."""

from dataclasses import dataclass, field
from math import inf
from typing import Any

from longpin.actors.constants import ERRNO_NAMES, signal_name
from longpin.actors.policies.proposal import Proposal
from longpin.actors.process.facts import CallRecord
from longpin.config.schema import Scenario
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.engines.world import Blueprint
from longpin.runner.events import CallEntered, CallReturned, ProcessExited
from longpin.runner.judging.chronicle import Chronicle
from longpin.runner.judging.waiting import WaitForGraph
from longpin.runner.oracles.fifo import Fifo

MOST_ARRIVALS = 1_000_000
"""A run that is not over after so many is a mistake."""


class UnplayedError(Exception):
    """A situation did not come about: why, in a sentence."""


@dataclass(slots=True)
class Watched:
    """A call of a program, made once or not at all."""

    name: str
    records: list[CallRecord] = field(default_factory=list)
    """Where it was made; of a loop each time."""
    seconds: float = 0.0
    """How long it took; infinite: it never returned."""
    process: str = ""
    """Who made it."""
    signal: str = ""
    """The signal that ended its process in it."""

    @property
    def made(self) -> bool:
        """Whether it was made at all."""
        return bool(self.records)

    @property
    def last(self) -> CallRecord:
        """The last time it was made."""
        return self.records[-1]

    @property
    def returned(self) -> bool:
        """Whether it has come back."""
        return self.last.returned

    @property
    def blocked(self) -> bool:
        """Whether it had not come back when nothing could happen any more without time passing."""
        return self.seconds > 0

    @property
    def failed(self) -> bool:
        """Whether it has come back with an errno."""
        return self.made and self.last.returned and bool(self.last.errno)

    @property
    def errno(self) -> int:
        """With which it failed; 0: it did not."""
        return self.last.errno

    @property
    def value(self) -> Any:
        """What it returned, -1 if it failed."""
        return self.last.value

    @property
    def outcome(self) -> str:
        """What came of it, in words."""
        if not self.returned:
            return f"ended with {self.signal}" if self.signal else "never returned"
        if self.errno:
            return f"failed with {ERRNO_NAMES[self.errno]}"
        return "returned bytes" if isinstance(self.value, bytes) else f"returned {self.value}"

    def __str__(self) -> str:
        text = f" {self.last.op.text}" if self.made else ""
        return f"the call [{self.name}]{text}"


class Played:
    """One run, first in, first out, to where nothing can happen any more.

    Args:
        scenario: what is played.
        marks: the names of calls by their lines.
        proposal: the policy, on one kernel.

    Raises:
        UnplayedError: a call that nobody looks at failed, not after one that somebody does.

    """

    def __init__(self, scenario: Scenario, marks: dict[int, str], proposal: Proposal) -> None:
        engine = SteppedEngine(Fifo())
        chronicle = Chronicle(engine, ())
        engine.observers.append(chronicle)
        Blueprint(scenario, proposal).build(engine)
        if not engine.run(MOST_ARRIVALS):
            raise UnplayedError(f"it was not over after {MOST_ARRIVALS} arrivals")
        self.calls = {name: Watched(name) for name in marks.values()}
        self._graph = WaitForGraph(engine.actors, proposal.policy)
        self._read(chronicle, marks)

    def _read(self, chronicle: Chronicle, marks: dict[int, str]) -> None:
        """Note what came of the calls that are looked at; what follows one of them that failed may fail too."""
        killed = {event.process.pid: event.signo for event in chronicle.events if isinstance(event, ProcessExited)}
        began = {event.call: event.time for event in chronicle.events if isinstance(event, CallEntered)}
        ended = {event.call: event.time for event in chronicle.events if isinstance(event, CallReturned)}
        failed = False
        for number, (thread, record) in enumerate(chronicle.calls):
            fails = record.returned and bool(record.errno)
            name = marks.get(record.op.line)
            if name is None and fails and not failed:
                why = ERRNO_NAMES[record.errno]
                raise UnplayedError(f"it could not be set up: {record.op.text} failed with {why}")
            if name is not None:
                failed = failed or fails
                call = self.calls[name]
                call.records.append(record)
                call.process = thread.name
                call.seconds = ended.get(number, inf) - began[number]
                if not record.returned and (signo := killed.get(thread.process.pid)):
                    call.signal = signal_name(signo)

    def state_of(self, call: Watched) -> str:
        """Return in which state ps(1) shows who has not come back from a call; empty: he has, or he is gone."""
        if call.returned or call.signal:
            return ""
        return next((wait.state for wait in self._graph.waiting() if wait.process == call.process), "")

    def call(self, name: str) -> Watched:
        """Return a call by its name."""
        return self.calls[name]
