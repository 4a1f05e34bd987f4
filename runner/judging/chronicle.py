"""The chronicle of a run: what happened to whom, read off the arrivals and off what processes note down."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from longpin.actors.base import Actor
from longpin.actors.constants import ERRNO_NAMES, signal_name
from longpin.actors.conversation import Sleeping, Task
from longpin.actors.locks import Hold
from longpin.actors.process.facts import CallBegun, CallCut, CallEnded, CallRecord, Fact, HandlerReturned, SignalTaken
from longpin.actors.process.process import Process
from longpin.messages.clock import Tick
from longpin.messages.envelope import Address, Envelope, Message
from longpin.messages.fs.inode import LeaseOverdue
from longpin.messages.fs.lease import Break, Drop
from longpin.messages.mm.pmem import Dma, FreeBlocks, PinFrames, Unpin
from longpin.messages.process.process import Signal
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.result import CallResult, Kind, Moment


def _dma(body: Dma, dst: Address) -> str:
    verb = "reads" if body.data is None else f"writes {body.data!r} to"
    return f"device {verb} block {body.number} of {dst}, pinned by {body.region} as page {body.page} of {body.inode}"


KERNEL_MOMENTS: dict[type, tuple[Kind, Callable[[Any, Address], str]]] = {
    Break: (Kind.KERNEL, lambda body, dst: f"{dst} is broken ({body.level}), {body.seconds:g} s to answer"),
    LeaseOverdue: (Kind.KERNEL, lambda body, _: f"{body.lease} is overdue ({body.level})"),
    Drop: (Kind.KERNEL, lambda _, dst: f"{dst} is gone"),
    PinFrames: (Kind.DEVICE, lambda body, _: f"{body.owner} pins"),
    Unpin: (Kind.DEVICE, lambda body, _: f"{body.owner} unpins its blocks"),
    FreeBlocks: (Kind.KERNEL, lambda _body, _dst: "the file system frees"),
    Dma: (Kind.DEVICE, _dma),
    Tick: (Kind.TIME, lambda body, _: f"it is {body.now:g} s now"),
}
"""Which messages are worth a row, and what it says."""


ACTIONS = {
    "handler": "its handler runs",
    "ignored": "it is ignored",
    "stopped": "it stops the process",
    "terminated": "it kills",
}
"""What becomes of a signal."""


def _blocks(body: Message) -> tuple[int, ...]:
    match body:
        case PinFrames():
            return body.numbers
        case FreeBlocks():
            return body.blocks
        case _:
            return ()


def lane(process: Process) -> str:
    """Return how a process is told from others: two may have one name."""
    return f"{process.name} ({process.pid})"


class Chronicle:
    """An observer that collects moments and calls."""

    def __init__(self, engine: SteppedEngine) -> None:
        self.engine = engine
        self.now = 0.0
        self.moments: list[Moment] = []
        self.calls: list[tuple[Process, CallRecord]] = []
        self.suspended: dict[Actor, int] = {}
        """The number of each actor's conversation that was suspended last."""

    def arrived(self, number: int, envelope: Envelope) -> None:
        """Add what an arrival brought about."""
        if (row := KERNEL_MOMENTS.get(type(envelope.body))) is not None:
            kind, text = row
            if kind is Kind.TIME:
                self.now = envelope.body.now
            moment = Moment(number, self.now, "", kind, text(envelope.body, envelope.dst))
            if blocks := _blocks(envelope.body):
                moment = replace(moment, blocks=blocks, place=f"of {envelope.dst}")
            self.moments.append(moment)
        actor = self.engine.actors[envelope.dst]
        if isinstance(actor, Process):
            if isinstance(envelope.body, Signal) and envelope.body.signo:
                told = f"{signal_name(envelope.body.signo)} from {envelope.src}"
                self.moments.append(Moment(number, self.now, lane(actor), Kind.TOLD, told))
            for fact in actor.facts:
                self._add(number, actor, fact)
        self._add_sleeps(number, actor)

    def _add_sleeps(self, number: int, actor: Actor) -> None:
        """Add the calls of processes that went to sleep in ``actor`` just now."""
        newest = before = self.suspended.get(actor, 0)
        for task in actor.suspended_after(before):
            newest = max(newest, task.number)
            effect = task.waits_for
            if isinstance(effect, Sleeping) and not effect.roused:
                kind, text = Kind.SLEEP, effect.reason.detail
            elif isinstance(effect, Hold):
                kind, text = Kind.LOCK, effect.lock.name
            else:
                continue
            if (process := self._caller(actor, task)) is not None:
                record = None if process.exiting or not process.calls else process.calls[-1]
                if record is None:
                    text = f"{'exit ' * process.exiting}waits for {text}"
                self.moments.append(Moment(number, self.now, lane(process), kind, text, record))
        if newest != before:
            self.suspended[actor] = newest

    def _caller(self, actor: Actor, task: Task) -> Process | None:
        """Return the process whose program waits for a conversation, by way of any number of others."""
        while task.call:
            actor = self.engine.actors[task.src]
            caller = actor.suspended(task.call)
            if caller is None:
                return None
            task = caller
        return actor if isinstance(actor, Process) and task is actor.main else None

    def _add(self, number: int, process: Process, fact: Fact) -> None:
        record = None
        if isinstance(fact, (CallCut, HandlerReturned)):
            return
        if isinstance(fact, CallBegun):
            kind, text, record = Kind.CALL, fact.record.op.text, fact.record
            self.calls.append((process, record))
        elif isinstance(fact, CallEnded):
            kind, text, record = Kind.RETURN, outcome(fact.record), fact.record
        elif isinstance(fact, SignalTaken):
            descriptor = f" (si_fd {fact.si_fd})" if fact.si_fd >= 0 else ""
            kind, text = Kind.SIGNAL, f"{signal_name(fact.signo)}{descriptor}: {ACTIONS[fact.action]}"
        else:
            ending = f"killed by {signal_name(fact.signo)}" if fact.signo else f"exits with {fact.status}"
            kind, text = Kind.END, ending
        self.moments.append(Moment(number, self.now, lane(process), kind, text, record))

    def lanes(self) -> list[str]:
        """Return the names of the processes, in the order in which they came into being."""
        return [lane(actor) for actor in self.engine.actors.values() if isinstance(actor, Process)]

    def results(self) -> list[CallResult]:
        """Return every call in the order in which they were made."""
        return [
            CallResult(
                process.name,
                record.op.line,
                record.op.call,
                record.ret,
                ERRNO_NAMES.get(record.errno) if record.returned and record.errno else None,
                bool(record.slept) or not (record.returned or record.op.call in ("exit", "exec")),
            )
            for process, record in self.calls
        ]


def outcome(record: CallRecord) -> str:
    """Return how a call ended, for people."""
    if not record.returned:
        return "never returned"
    return ERRNO_NAMES.get(record.errno, str(record.errno)) if record.errno else str(record.ret)
