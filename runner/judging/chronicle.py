"""The chronicle of a run: what happened to whom, read off the arrivals and off what processes note down."""

from collections.abc import Callable, Iterable
from typing import Any, assert_never

from longpin.actors.base import Actor
from longpin.actors.constants import ERRNO_NAMES
from longpin.actors.conversation import Sleeping, Task
from longpin.actors.locks import Hold
from longpin.actors.process.facts import (
    CallBegun,
    CallCut,
    CallEnded,
    CallRecord,
    Ended,
    Fact,
    HandlerReturned,
    HoldersRead,
    SignalTaken,
)
from longpin.actors.process.process import Process
from longpin.actors.process.program import Op
from longpin.actors.process.thread import Thread
from longpin.actors.syscalls import SYSCALLS
from longpin.actors.syscalls.declaration import Returning
from longpin.messages.clock import Tick
from longpin.messages.envelope import Address, Envelope
from longpin.messages.fs.inode import LeaseOverdue
from longpin.messages.fs.lease import Break, Drop
from longpin.messages.mm.memory import AtomicDma, Dma, PinFrames, Unpin
from longpin.messages.mm.pmem import FreeBlocks
from longpin.messages.mm.ram import UnpinFrames
from longpin.messages.process.process import Signal
from longpin.messages.rdma.revocation import QueueEvent, RevokeRegion
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.events import (
    AsyncEventQueued,
    BlocksFreed,
    BlocksPinned,
    BlocksUnpinned,
    CallEntered,
    CallReturned,
    ClockAdvanced,
    DmaDone,
    LeaseBroken,
    LeaseRemoved,
    LeaseTimedOut,
    LockContended,
    Observer,
    ProcessExited,
    ProcessName,
    RegionRevoked,
    RunEvent,
    SignalDelivered,
    SignalGenerated,
    SleepBegun,
    tell,
)
from longpin.runner.result import CallResult

EVENTS: dict[type, Callable[[int, float, Any, Address], RunEvent]] = {
    Break: lambda at, now, body, dst: LeaseBroken(at, now, dst, body.level, body.seconds),
    LeaseOverdue: lambda at, now, body, _: LeaseTimedOut(at, now, body.lease, body.level),
    Drop: lambda at, now, _, dst: LeaseRemoved(at, now, dst),
    PinFrames: lambda at, now, body, dst: BlocksPinned(at, now, body.owner, dst, body.numbers),
    Unpin: lambda at, now, body, dst: BlocksUnpinned(at, now, body.owner, dst),
    UnpinFrames: lambda at, now, body, dst: BlocksUnpinned(at, now, body.owner, dst),
    FreeBlocks: lambda at, now, body, dst: BlocksFreed(
        at, now, dst, tuple(block for run in body.runs for block in run.blocks)
    ),
    RevokeRegion: lambda at, now, body, dst: RegionRevoked(at, now, body.region, dst, body.after, body.unpin),
    QueueEvent: lambda at, now, body, dst: AsyncEventQueued(at, now, body.registration, dst),
    Dma: lambda at, now, body, dst: DmaDone(at, now, body.region, dst, body.number, body.inode, body.page, body.data),
    AtomicDma: lambda at, now, body, dst: DmaDone(
        at, now, body.region, dst, body.number, body.inode, body.page, body.data
    ),
    Tick: lambda at, now, _body, _dst: ClockAdvanced(at, now),
}
"""Which messages are events of the kernel, a device or time: the number of the arrival, the time, body and receiver."""


def name_of(runs: Process | Thread) -> ProcessName:
    """Return how a process is told from others, or a thread; a thread group leader has the name of its process."""
    return ProcessName(runs.name, runs.pid if isinstance(runs, Process) else runs.tid)


class Chronicle:
    """Collects the events and calls of a stepped world, and tells observers of each event.

    Args:
        engine: the world.
        observers: called with each event as it happens.

    """

    def __init__(self, engine: SteppedEngine, observers: Iterable[Observer] = ()) -> None:
        self.engine = engine
        self.observers = tuple(observers)
        self.now = 0.0
        self.events: list[RunEvent] = []
        self.calls: list[tuple[Thread, CallRecord]] = []
        self._threads: dict[Address, dict[ProcessName, None]] = {}
        """Those of each process that were seen, but for the leader."""
        self._places: dict[int, int] = {}
        """By the identity of a call's record: its place among the calls."""

    def arrived(self, number: int, envelope: Envelope) -> None:
        """Add what an arrival brought about."""
        body = envelope.body
        if isinstance(body, Tick):
            self.now = body.now
        if (event := EVENTS.get(type(body))) is not None:
            self._add(event(number, self.now, body, envelope.dst))
        actor = self.engine.actors[envelope.dst]
        if isinstance(actor, Process):
            if isinstance(body, Signal) and body.signo:
                self._add(SignalGenerated(number, self.now, name_of(actor), body.signo, envelope.src))
            for fact in actor.facts:
                self._add_fact(number, actor, fact)
        self._add_sleeps(number, actor)

    def _add(self, event: RunEvent) -> None:
        self.events.append(event)
        tell(self.observers, event)

    def _add_sleeps(self, number: int, actor: Actor) -> None:
        """Add the processes that went to sleep in ``actor`` just now."""
        for task in dict.fromkeys(reversed(actor.suspended_now)):
            effect = task.waits_for
            if (isinstance(effect, Sleeping) and not effect.roused) or isinstance(effect, Hold):
                if (thread := self._caller(actor, task)) is None:
                    continue
                where, (place, op) = (number, self.now, name_of(thread)), self._under_way(thread)
                if isinstance(effect, Hold):
                    self._add(LockContended(*where, place, op, thread.leaving, effect.lock.name))
                else:
                    self._add(SleepBegun(*where, place, op, thread.leaving, effect.reason))

    def _caller(self, actor: Actor, task: Task) -> Thread | None:
        """Return the thread whose program waits for a conversation, by way of any number of others."""
        while task.call:
            actor = self.engine.actors[task.src]
            caller = actor.suspended(task.call)
            if caller is None:
                return None
            task = caller
        threads = actor.threads if isinstance(actor, Process) else ()
        return next((thread for thread in threads if thread.task is task), None)

    def _under_way(self, thread: Thread) -> tuple[int, Op] | tuple[None, None]:
        """Return the place and the text of the call a thread is in; before its first and while exiting, none."""
        if thread.leaving or not thread.calls:
            return None, None
        record = thread.calls[-1]
        return self._places[id(record)], record.op

    def _add_fact(self, number: int, process: Process, fact: Fact) -> None:
        by = process if isinstance(fact, Ended) or fact.thread is None else fact.thread
        where = (number, self.now, name_of(by))
        if where[2].pid != process.pid:
            self._threads.setdefault(process.address, {})[where[2]] = None
        match fact:
            case CallBegun(record, thread):
                self._places[id(record)] = len(self.calls)
                self.calls.append((thread or process.leader, record))
                self._add(CallEntered(*where, self._places[id(record)], record.op))
            case CallEnded(record):
                self._add(CallReturned(*where, self._places[id(record)], record.op, record.ret, record.errno))
            case SignalTaken():
                self._add(SignalDelivered(*where, fact.signo, fact.si_fd, fact.action))
            case Ended():
                self._add(ProcessExited(*where, fact.status, fact.signo))
            case CallCut() | HandlerReturned() | HoldersRead():
                pass
            case _:
                assert_never(fact)

    def processes(self) -> list[ProcessName]:
        """Return the processes, in the order in which they came into being, each before its other threads."""
        found = []
        for actor in self.engine.actors.values():
            if isinstance(actor, Process):
                found += [name_of(actor), *self._threads.get(actor.address, ())]
        return found

    def results(self) -> list[CallResult]:
        """Return every call in the order in which they were made."""
        return [
            CallResult(
                thread.name,
                record.op.line,
                record.op.call,
                record.ret,
                ERRNO_NAMES.get(record.errno) if record.returned and record.errno else None,
                bool(record.slept) or _waits_for_ever(record),
            )
            for thread, record in self.calls
        ]


def _waits_for_ever(record: CallRecord) -> bool:
    """Return whether a call has not returned, and would do so if it went on."""
    return not record.returned and SYSCALLS[record.op.call].returning is Returning.ALWAYS
