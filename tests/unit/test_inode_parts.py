"""The parts of an inode by themselves: their conversations are played by hand, without an inode."""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from longpin.actors.base import Actor
from longpin.actors.constants import F_RDLCK, F_WRLCK, MAP_SHARED, O_PATH, O_RDONLY, O_RDWR, O_WRONLY, PROT_READ
from longpin.actors.conversation import Call, Conversation, Covers, KernelError, Widen
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.extents import END, ExtentMap, extents_of
from longpin.actors.fs.file_data import FileData
from longpin.actors.fs.inode import FileStart, Inode
from longpin.actors.fs.layout_change import Wanted
from longpin.actors.fs.layout_guard import LayoutGuard
from longpin.actors.fs.lease_list import LeaseList
from longpin.actors.fs.lease_record import LeaseRecord
from longpin.actors.fs.mappings import Mappings
from longpin.actors.fs.open_counts import OpenCounts
from longpin.actors.kernel.file_system import LayoutOperation
from longpin.actors.kernel.machine import MOST_SIZE, Kernel
from longpin.actors.kernel.mount import Mount
from longpin.actors.locks import Hold, Lock
from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import (
    BreakLeases,
    Decision,
    Fail,
    OnDeadline,
    Proceed,
    Scan,
    SendSignal,
    WaitFor,
)
from longpin.actors.policies.views import Change, LayoutView, LeaseKind, LeaseView
from longpin.messages.envelope import DONE, Address, Done, Message
from longpin.messages.fs.inode import LeaseOverdue
from longpin.messages.fs.lease import Level
from longpin.messages.fs.mapping import MappingView
from longpin.messages.mm.memory import AwaitIdle, Busy, FrameRun, IsIdle, Pin, ScanBusy, Store
from longpin.messages.mm.mm import Zap
from longpin.messages.mm.pmem import Allocate, Allocated, BlockRun, FreeBlocks, Move
from longpin.messages.process.caller import Caller
from longpin.messages.process.process import Signal
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.oracles.fifo import Fifo

PAGE = 4096
INODE, PMEM = "inode:/f", "pmem:pmem0"
PINNED = Pin(10, 0, 0, longterm=True, owner="mr:100.1", context="uverbs:100.1")
CALLER = Caller("process:100", 100, 0, 0)
MAPPING = MappingView("mm:100.1", 1, PROT_READ, MAP_SHARED, "file:100.1")
Answer = Callable[[Message], Message | KernelError]


def done(_request: Message) -> Message:
    return DONE


def play(conversation: Conversation[Any], answer: Answer = done) -> list[tuple[Address, Message]]:
    """Answer every call and grant every lock; return the calls that were made."""
    calls: list[tuple[Address, Message]] = []
    value: Any = None
    try:
        while True:
            effect = conversation.throw(value) if isinstance(value, KernelError) else conversation.send(value)
            if isinstance(effect, Call):
                calls.append((effect.dst, effect.body))
                value = answer(effect.body)
            elif isinstance(effect, Covers | Widen):
                value = None
            else:
                assert isinstance(effect, Hold)
                effect.lock.holds.append(effect)
                value = effect
    except StopIteration:
        return calls


@pytest.fixture
def actor() -> Actor:
    engine = SteppedEngine(Fifo())
    engine.spawn(Actor, INODE)
    return engine.actors[INODE]


@dataclass(frozen=True, slots=True)
class Scripted(Policy):
    """Look at the pages, wait while one is pinned, fail if a process maps the file."""

    def change_gate(self, change: Change, view: LayoutView) -> Decision:
        if view.mappings and change.operation is LayoutOperation.WRITE:
            return Fail(errno.ETXTBSY)
        if view.pins is None:
            return Scan()
        return WaitFor(view.pins) if view.pins else Proceed()


class World:
    """A guard, and what it is given."""

    def __init__(self, actor: Actor, policy: Policy = Scripted()) -> None:
        kernel = Kernel(policy)
        self.iolock, self.mmaplock = Lock(actor, "iolock"), Lock(actor, "mmap lock")
        self.mappings = Mappings(INODE)
        self.attributes = Attributes(0, 0o666, 4 * PAGE)
        leases, extents = LeaseList(actor, kernel, OpenCounts()), ExtentMap(extents_of({2: 12, 0: 10}))
        self.guard = LayoutGuard(kernel, Mount(PMEM), self.attributes, leases, extents, self.mappings)
        self.io, self.mm = self.iolock.exclusive(), self.mmaplock.exclusive()
        self.iolock.holds.append(self.io)
        self.mmaplock.holds.append(self.mm)

    @property
    def held(self) -> tuple[bool, bool]:
        return bool(self.iolock.holds), bool(self.mmaplock.holds)


def test_the_guard_looks_again_after_a_wait_that_held_only_the_iolock(actor: Actor) -> None:
    """On Linux 6.18 a page that a fault has mapped once the lock was dropped is not idle: it sleeps again [H27]."""
    world = World(actor)
    world.mappings.add(MAPPING)
    found, held, idle = [Busy((PINNED,)), Busy(())], [], [Done(0), Done(1)]

    def answer(asked: Message) -> Message:
        held.append((type(asked), world.held))
        if isinstance(asked, IsIdle):
            return idle.pop(0)
        return found.pop(0) if isinstance(asked, ScanBusy) else DONE

    change = Wanted(LayoutOperation.TRUNCATE, 0, MOST_SIZE, CALLER)
    calls = play(world.guard.break_layouts(change, world.io, world.mm), answer)
    look = [("mm:100.1", Zap(INODE, 0, END)), (PMEM, ScanBusy((FrameRun(10, 1), FrameRun(12, 1))))]
    sleep = [(PMEM, AwaitIdle(10, killable=True, interruptible=True)), (PMEM, IsIdle(10))]
    assert calls == [*look, *sleep, *sleep, *look]
    both = (True, True)
    looks, sleeps = [(Zap, both), (ScanBusy, both)], [(AwaitIdle, (True, False)), (IsIdle, both)]
    assert held == [*looks, *sleeps, *sleeps, *looks]
    assert world.held == both


def test_the_guard_retakes_the_lock_before_it_reports_a_signal(actor: Actor) -> None:
    world = World(actor)
    change = Wanted(LayoutOperation.TRUNCATE, 0, MOST_SIZE, CALLER)
    conversation = world.guard.break_layouts(change, world.io, world.mm)
    with pytest.raises(KernelError) as failure:
        play(conversation, lambda asked: Busy((PINNED,)) if isinstance(asked, ScanBusy) else KernelError.interrupted())
    assert failure.value.errno == errno.EINTR
    assert world.held == (True, True)


def test_the_guard_reports_the_errno_of_the_policy(actor: Actor) -> None:
    world = World(actor)
    world.mappings.add(MAPPING)
    change = Wanted(LayoutOperation.WRITE, 0, PAGE, CALLER)
    with pytest.raises(KernelError) as failure:
        play(world.guard.break_layouts(change, world.io, None))
    assert failure.value.errno == errno.ETXTBSY


class Data:
    """The data of a file of four pages, two of which have blocks."""

    def __init__(self, actor: Actor) -> None:
        self.attributes = Attributes(0, 0o666, 4 * PAGE)
        self.mappings = Mappings(INODE)
        self.mappings.add(MAPPING)
        runs = BlockRun(0, 10, 1), BlockRun(2, 12, 1)
        self.data = FileData(actor, Kernel(Policy()), Mount(PMEM), self.attributes, self.mappings, runs)

    @property
    def pages(self) -> dict[int, int]:
        return {page: block for page in self.data.extents if (block := self.data.extents.lookup(page)) is not None}


def test_a_smaller_size_zaps_then_zeroes_then_frees(actor: Actor) -> None:
    file = Data(actor)
    calls = play(file.data.resize(100))
    assert calls == [
        ("mm:100.1", Zap(INODE, 1, END, even_cows=True)),
        (PMEM, Store(10, 100, bytes(PAGE - 100))),
        (PMEM, FreeBlocks(INODE, (BlockRun(2, 12, 1),))),
    ]
    assert (file.attributes.size, file.pages) == (100, {0: 10})


def test_a_hole_that_is_filled_is_zapped_for_those_who_map_the_zero_page(actor: Actor) -> None:
    file = Data(actor)
    calls = play(file.data.writable_block(1), lambda asked: Allocated(11) if isinstance(asked, Allocate) else DONE)
    assert calls == [(PMEM, Allocate(INODE, 1)), ("mm:100.1", Zap(INODE, 1, 1))]
    assert play(file.data.writable_block(1)) == []
    assert file.pages == {0: 10, 2: 12, 1: 11}


def test_the_size_is_that_of_the_shifted_file_before_the_blocks_are_told(actor: Actor) -> None:
    """stat(2) takes no lock, and the size it sees is the new one already."""
    file = Data(actor)
    insert = file.data.fallocate(LayoutOperation.INSERT_RANGE, PAGE, PAGE, keep_size=False)
    sizes = []

    def answer(asked: Message) -> Message:
        sizes.append((type(asked), file.attributes.size))
        return DONE

    play(insert, answer)
    assert sizes == [(Zap, 4 * PAGE), (Move, 5 * PAGE)]
    assert file.pages == {0: 10, 3: 12}


@pytest.mark.parametrize(
    ("opens", "lease", "access", "refused"),
    [
        ([], F_RDLCK, O_RDONLY, False),
        ([O_RDONLY], F_RDLCK, O_RDONLY, False),
        ([O_RDONLY, O_RDWR], F_RDLCK, O_RDONLY, True),
        ([O_RDONLY], F_WRLCK, O_RDONLY, False),
        ([O_WRONLY], F_WRLCK, O_WRONLY, False),
        ([O_RDWR, O_RDONLY], F_WRLCK, O_RDWR, True),
        ([O_RDWR, O_RDWR | O_PATH], F_WRLCK, O_RDWR, False),
        ([O_RDWR, 3], F_WRLCK, O_RDWR, False),
    ],
)
def test_opens_in_the_way_of_a_lease(opens: list[int], lease: int, access: int, refused: bool) -> None:
    counts = OpenCounts()
    for number, flags in enumerate(opens):
        counts.add(f"file:{number}", flags)
    assert counts.refuses(lease, access) == refused
    counts.truncating += 1
    assert counts.refuses(lease, access)


def test_what_keeps_an_inode() -> None:
    counts, attributes = OpenCounts(), Attributes(0, 0o600)
    assert (counts.in_use, attributes.has_name) == (False, True)
    counts.add("file:1", O_PATH)
    attributes.lose_name()
    assert (counts.in_use, attributes.has_name) == (True, True), "whoever took the last name has yet to let go"
    counts.remove("file:1")
    attributes.names_going -= 1
    assert (counts.in_use, attributes.has_name) == (False, False)


def test_nothing_is_done_at_the_deadline_of_a_lease_that_was_given_up_while_the_lock_was_waited_for() -> None:
    """Else its holder, who was in time, would be killed, for example."""

    class Killing(Policy):
        def on_deadline(self, lease: LeaseView, view: LayoutView) -> OnDeadline:
            return OnDeadline((SendSignal(lease.holder, 9),))

    engine = SteppedEngine(Fifo())
    engine.spawn(Inode, INODE, Kernel(Killing()), Mount(PMEM), FileStart(0, 0o666, 0))
    inode = engine.actors[INODE]
    assert isinstance(inode, Inode)
    record = LeaseRecord("lease:1", "file:1", "process:100", 100, F_RDLCK, ("file:1",), LeaseKind.LAYOUT, works=True)
    for left, signals in ((True, 1), (False, 0)):
        inode.leases.records[:] = [record]
        work = inode.lease_calls.overdue(LeaseOverdue("lease:1", Level.UNLOCK), "lease:1")
        assert work is not None
        lock = next(work)
        assert isinstance(lock, Hold)
        lock.lock.holds.append(lock)
        if not left:
            inode.leases.records.clear()
        calls = []
        try:
            effect = work.send(lock)
            while True:
                assert isinstance(effect, Call)
                calls.append(effect.body)
                effect = work.send(DONE)
        except StopIteration:
            assert [type(call) for call in calls] == [Signal] * signals


def test_a_decision_that_would_change_nothing_is_a_mistake_of_the_policy(actor: Actor) -> None:
    """The guard would ask for ever."""

    class Endless(Policy):
        def change_gate(self, change: Change, view: LayoutView) -> Decision:
            return BreakLeases()

    world = World(actor, Endless())
    with pytest.raises(ValueError, match="Endless decides about leases that are not there"):
        play(world.guard.break_layouts(Wanted(LayoutOperation.WRITE, 0, PAGE, CALLER), world.io, None))
