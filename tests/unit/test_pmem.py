"""Pmem block sets: allocation, generations, references, and who waits for a block to be idle [1.7]."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longpin.actors.base import Actor, handles
from longpin.actors.conversation import Call, Conversation, outcome
from longpin.actors.mm.free_space import FreeSpace
from longpin.actors.mm.pmem import Pmem
from longpin.config.loader import parse_scenario
from longpin.messages.clock import CancelTimer
from longpin.messages.codec import decode
from longpin.messages.envelope import Message
from longpin.messages.fs.file import Data
from longpin.messages.mm.memory import AwaitIdle, Busy, Dma, FrameRun, Load, PinFrames, ScanBusy, Store, Unpin, portions
from longpin.messages.mm.pmem import Allocate, Allocated, BlockRun, FreeBlocks
from longpin.messages.trace import TraceReader
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.exploration.canonical import canonical
from longpin.runner.oracles import ORACLES
from longpin.runner.result import Verdict
from longpin.runner.run import run
from longpin.runner.settings import Settings

PAGE = 16


class Client(Actor):
    """Makes calls one after the other and keeps the answers."""

    def __init__(self, engine: SteppedEngine, address: str, requests: tuple[Message, ...]) -> None:
        super().__init__(engine, address)
        self.answers: list[object] = []
        self.requests = requests

    @handles(CancelTimer)
    def begin(self, _request: CancelTimer, _src: str) -> Conversation[None]:
        yield from self.ask(self.requests)

    def ask(self, requests: tuple[Message, ...]) -> Conversation[None]:
        for request in requests:
            error = yield from outcome(self.one(request))
            if error is not None:
                self.answers.append(error.errno)

    def one(self, request: Message) -> Conversation[None]:
        self.answers.append((yield Call("pmem", request)))


class World:
    """A set of four blocks; block 0 belongs to page 7 of a file."""

    def __init__(self) -> None:
        self.engine = SteppedEngine(ORACLES["fifo"](0))
        self.engine.spawn(Pmem, "pmem", 4, PAGE, [("inode:/f", BlockRun(7, 0, 1))])
        self.clients = 0

    def ask(self, *requests: Message) -> list[object]:
        """Make the calls and return the answers so far."""
        self.clients += 1
        address = f"client:{self.clients}"
        self.engine.spawn(Client, address, requests)
        self.engine.tell(address, CancelTimer("start"))
        assert self.engine.run()
        client = self.engine.actors[address]
        assert isinstance(client, Client)
        return client.answers


def pin(block: int, owner: str = "mr:1", *, longterm: bool = True) -> PinFrames:
    return PinFrames((block,), "inode:/f", 7, longterm=longterm, owner=owner, context="uverbs:1")


def test_the_lowest_free_block_is_given_out_zeroed_and_then_no_more() -> None:
    world = World()
    answers = world.ask(*(Allocate("inode:/g", page) for page in range(4)))
    assert answers == [Allocated(1), Allocated(2), Allocated(3), 28]


def test_freeing_counts_generations_and_leaves_the_bytes_until_they_are_given_out() -> None:
    world = World()
    world.ask(Store(0, 3, b"old"), FreeBlocks("inode:/f", (BlockRun(7, 0, 1),)))
    pmem = world.engine.actors["pmem"]
    assert isinstance(pmem, Pmem)
    assert (pmem.generation(0), pmem.owners.runs) == (1, ())
    assert world.ask(Load(0, 3, 3), Allocate("inode:/g", 0), Load(0, 3, 3)) == [
        Data(b"old"),
        Allocated(0),
        Data(b"\0\0\0"),
    ]
    assert world.ask(pin(0))[0].generations == (1,)  # type: ignore[attr-defined]


def test_bytes_go_where_they_are_written() -> None:
    world = World()
    world.ask(Store(0, 4, b"abcd"), Store(0, 5, b"X"), Store(0, 15, b"z"))
    assert world.ask(Load(0, 3, 6), Load(0, 15, 1)) == [Data(b"\0aXcd\0"), Data(b"z")]


def test_the_device_reads_and_writes_whoever_owns_the_block() -> None:
    world = World()
    access = Dma(0, 0, "inode:/f", 7, 2, 3, b"dma", "mr:1")
    read = Dma(0, 0, "inode:/f", 7, 2, 3, None, "mr:1")
    assert world.ask(FreeBlocks("inode:/f", (BlockRun(7, 0, 1),)), access, read)[1:] == [Data(b""), Data(b"dma")]


def test_a_scan_lists_every_reference_of_the_blocks_asked_for() -> None:
    world = World()
    world.ask(pin(0), pin(0, "mr:2", longterm=False), pin(1))
    (busy,) = world.ask(ScanBusy((FrameRun(0, 1), FrameRun(2, 1))))
    assert isinstance(busy, Busy)
    assert [(found.owner, found.longterm) for found in busy.pins] == [("mr:1", True), ("mr:2", False)]


@pytest.mark.parametrize("owners", [("mr:1",), ("mr:1", "mr:2")])
def test_waiters_wake_when_the_last_reference_goes(owners: tuple[str, ...]) -> None:
    world = World()
    world.ask(*(pin(0, owner) for owner in owners))
    idle = AwaitIdle(0, killable=True, interruptible=True)
    waiting = [world.ask(idle), world.ask(idle)]
    for owner in owners:
        assert waiting == [[], []]
        world.ask(Unpin(owner))
    assert [len(answers) for answers in waiting] == [1, 1]
    assert len(world.ask(idle)) == 1, "idle is idle"


def test_unpinning_drops_one_regions_references_only() -> None:
    world = World()
    world.ask(pin(0), pin(1), pin(1, "mr:2"), Unpin("mr:1"))
    (busy,) = world.ask(ScanBusy((FrameRun(0, 2),)))
    assert isinstance(busy, Busy)
    assert [(found.block, found.owner) for found in busy.pins] == [(1, "mr:2")]


@given(st.lists(st.integers(0, 11), max_size=40), st.frozensets(st.integers(0, 11)))
def test_free_space_is_a_sorted_list_and_keeps_no_history(choices: list[int], used: frozenset[int]) -> None:
    space, plain = FreeSpace(12, ((block, 1) for block in used)), [block for block in range(12) if block not in used]
    for choice in choices:
        if choice % 2:
            assert space.take_lowest() == ((plain.pop(0), 1) if plain else None)
        elif taken := [block for block in range(12) if block not in plain]:
            block = taken[choice % len(taken)]
            space.add(block)
            plain = sorted([*plain, block])
        assert list(space) == plain
        assert canonical(space) == canonical(FreeSpace(12, ((block, 1) for block in range(12) if block not in plain)))


def test_a_large_set_costs_nothing_until_it_is_used() -> None:
    engine = SteppedEngine(ORACLES["fifo"](0))
    engine.spawn(Pmem, "pmem", 10**12, PAGE, [("inode:/f", BlockRun(0, 0, 1))])
    assert len(repr(canonical(engine.actors["pmem"]))) < 1200


@given(st.lists(st.builds(FrameRun, st.integers(0, 99), st.integers(1, 20)), max_size=6), st.integers(1, 9))
def test_runs_are_cut_where_a_portion_is_full(runs: list[FrameRun], most: int) -> None:
    cut = list(portions(runs, most))
    frames = [[number for run in portion for number in run.numbers] for portion in cut]
    assert [number for found in frames for number in found] == [number for run in runs for number in run.numbers]
    assert all(len(found) == most for found in frames[:-1])
    assert len(frames[-1]) <= most
    assert frames[-1] or not runs


def test_a_scan_of_many_pages_is_several_messages_that_can_be_read(tmp_path: Path) -> None:
    text = """
name = "many"
policy = "P1"
[[pmem]]
name = "pmem0"
blocks = 10000
[[file]]
path = "/f"
size = "10000 * PAGE"
[[process]]
name = "app"
memlock = 100000000
program = '''
ctx = ibv_open_device("rxe0")
pd  = ibv_alloc_pd(ctx)
fd  = open("/f", O_RDWR)
buf = mmap(10000 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr  = ibv_reg_mr(pd, buf, 10000 * PAGE, IBV_ACCESS_LOCAL_WRITE)
truncate("/f", 0)   # -> hangs
'''
"""
    scenario = parse_scenario(text, "many.toml")
    assert run(scenario, Settings.of(scenario), tmp_path / "trace").verdict is Verdict.VIOLATED
    bodies = [decode(payload)[1].body for _, payload in TraceReader(tmp_path / "trace")]
    assert [sum(run.length for run in body.runs) for body in bodies if isinstance(body, ScanBusy)] == [4096, 4096, 1808]
    assert [len(body.pins) for body in bodies if isinstance(body, Busy)] == [4096, 4096, 1808]
