"""The model of a run that every form is made from: what happened, and every arrival with what it changed."""

import dataclasses
import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO, NamedTuple

from longpin.config.schema import Scenario
from longpin.messages.envelope import WORLD, Address, Envelope, Message
from longpin.messages.process.process import NextCall
from longpin.messages.trace import Header, TraceReader
from longpin.runner.engines.engine import ALARM
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.failures.inevitable import Inevitable, inevitable_since
from longpin.runner.judging.chronicle import EVENTS
from longpin.runner.own_policy.source import PolicySource
from longpin.runner.report.page.changes import ArrivalChange, Onlooker, StateChange
from longpin.runner.report.page.facts import all_facts
from longpin.runner.report.rows import printable
from longpin.runner.report.sentences import sentence
from longpin.runner.result import Result, Verdict
from longpin.runner.run import read_header, replay
from longpin.runner.subject import Subject

MOST_FIELD = 200
"""Characters of a field of a message that are shown."""


class ShownArrival(NamedTuple):
    """The arrival of one message, and what came of it."""

    number: int
    """From 1."""
    time: float
    """Virtual time in seconds when it has been handled."""
    src: Address
    dst: Address
    body: Message
    call: int
    """As :attr:`longpin.messages.envelope.Envelope.call` has it: a request, a reply, or neither."""
    sent: int
    """The number of the arrival in which it was sent; 0: before the first one."""
    changes: tuple[StateChange, ...]
    """What it changed in its receiver."""

    @property
    def message(self) -> str:
        """Return the name of its class."""
        return type(self.body).__name__

    @property
    def fields(self) -> dict[str, str]:
        """Return what it says, as text."""
        return {part.name: shortened(getattr(self.body, part.name)) for part in dataclasses.fields(self.body)}  # type: ignore[arg-type]


@dataclass(slots=True)
class ShownRun:
    """A run, ready to be shown."""

    result: Result
    header: Header
    """Of its trace."""
    scenario: Scenario
    """What it ran, with no roles left."""
    arrivals: list[ShownArrival]
    born: dict[Address, int]
    """Every actor, in the order in which they came into being, and the arrival that made it; 0: it was there before."""
    changes: list[ArrivalChange]
    """Those of all arrivals, in their order."""
    again: str = ""
    """The command that shows the run again; empty: no file holds it."""
    inevitable: Inevitable | None = None
    """Since when the rule that is violated could not be kept; None: none is violated, or nobody asked."""
    at: int = 0
    """The arrival around which a page shows a run that is too long for it; 0: that of the violation, or the last."""
    width: int = 120
    """Columns of text."""
    encoding: str = "utf-8"
    """What text is read as: where that has no lines to draw with, others are drawn."""
    told: str = field(init=False)
    """The scenario as it was written, in which there may be roles."""

    def __post_init__(self) -> None:
        self.told = self.header.told or self.header.scenario

    @property
    def decisions(self) -> tuple[Address, ...]:
        """Whose oldest message arrived, arrival by arrival."""
        return tuple(arrival.src for arrival in self.arrivals)


class ArrivalRecorder:
    """Looks at a stepped world after each arrival; :attr:`arrivals` is what has happened so far."""

    def __init__(self, engine: SteppedEngine) -> None:
        self.arrivals: list[ShownArrival] = []
        self.onlooker = Onlooker(engine, all_facts)
        self.born: dict[Address, int] = dict.fromkeys(engine.actors, 0)
        self._engine = engine
        self._sent: dict[Address, deque[int]] = {WORLD: deque([0] * len(engine.world.outbox))}
        """By sender: when each message in its outbox was sent, as far as that is known."""
        self._tick: Envelope | None = None
        self._now = 0.0
        for address in self.born:
            self._note_sent(address, 0)
        self._note_tick(0)

    def arrived(self, number: int, envelope: Envelope) -> None:
        """Take note of an arrival, as :class:`~longpin.runner.engines.stepped.ArrivalObserver` says."""
        src, dst, body, call, _ = envelope
        if src == ALARM:
            sent, self._now = self._tick_sent, body.now
        else:
            sent = self._sent[src].popleft()
        known = len(self.onlooker.found)
        self.onlooker.arrived(number, envelope)
        for address in islice(self._engine.actors, len(self.born), None):
            self.born[address] = number
            self._note_sent(address, number)
        self._note_sent(dst, number)
        self._note_tick(number)
        changes = tuple(StateChange(*map(printable, found.change)) for found in self.onlooker.found[known:])
        self.arrivals.append(ShownArrival(number, self._now, src, dst, body, call, sent, changes))

    def _note_sent(self, address: Address, number: int) -> None:
        sent = self._sent.setdefault(address, deque())
        sent += [number] * (len(self._engine.actors[address].outbox) - len(sent))

    def _note_tick(self, number: int) -> None:
        outbox = self._engine.alarm.outbox
        tick = outbox[0] if outbox else None
        if tick is not self._tick:
            self._tick, self._tick_sent = tick, number


def shortened(value: object) -> str:
    """Return a value as text of a bounded length in which nothing hides."""
    text = printable(value if isinstance(value, str) else repr(value))
    return text if len(text) <= MOST_FIELD else f"{text[: MOST_FIELD - 1]}…"


def read_run(
    trace: str | os.PathLike[str] | BinaryIO, source: PolicySource | None = None, seconds: float | None = None
) -> ShownRun:
    """Follow a trace and return the run.

    Args:
        trace: the file, by its name or open for reading.
        source: the file of its policy, if that is a class in a file.
        seconds: how long to find out since when a violation was inevitable; None: that is not asked.

    Raises:
        TraceError, InternalError: as :func:`longpin.runner.run.replay`.

    """
    recorders: list[ArrivalRecorder] = []
    result = replay(trace, source=source, look=_into(recorders))
    if not isinstance(trace, str | os.PathLike):
        trace.seek(0)
    reader = TraceReader(trace)
    scenario, settings, _ = read_header(reader, source)
    (recorder,) = recorders
    run = ShownRun(result, reader.header, scenario, recorder.arrivals, recorder.born, recorder.onlooker.found)
    if seconds is not None and result.verdict is Verdict.VIOLATED:
        if settings.engine == "threads":  # there a timer fires when the operating system says so
            settings = dataclasses.replace(settings, engine="stepped", timers="racy")
        first = result.violations[0]
        subject = Subject(scenario, settings)
        run.inevitable = inevitable_since(subject, first.rule, run.decisions[: first.arrival], seconds)
    return run


def _into(recorders: list[ArrivalRecorder]) -> Callable[[SteppedEngine], ArrivalRecorder]:
    def look(engine: SteppedEngine) -> ArrivalRecorder:
        recorders.append(ArrivalRecorder(engine))
        return recorders[-1]

    return look


def changed_text(changes: Sequence[StateChange]) -> list[str]:
    """Return changes in words, each a line."""
    return [f"{what}: {f'{before} → ' if before else ''}{after}" for what, before, after in changes]


def message_text(envelope: Envelope) -> str:
    """Return a message in words: its class, between whom, and what it tells of if that is an event."""
    src, dst, body, _, _ = envelope
    text = f"{type(body).__name__} from {src} to {dst}"
    if (event := EVENTS.get(type(body))) is not None:
        return printable(f"{text} ({sentence(event(0, 0.0, body, dst))})")
    return printable(f"{text} ({body.call})" if isinstance(body, NextCall) else text)
