"""Pinning for any driver: one that only this file knows is an actor that keeps registrations [1.9, 1.12, 2.6]."""

import errno
from dataclasses import dataclass

import pytest

from longpin.actors.base import Actor, handles
from longpin.actors.conversation import Call, Conversation, outcome
from longpin.actors.fs.file import OpenFileDescription
from longpin.actors.fs.inode import FileStart, Inode
from longpin.actors.kernel.generation import GENERATIONS, Version
from longpin.actors.kernel.machine import Kernel
from longpin.actors.kernel.mount import Mount
from longpin.actors.mm import gup
from longpin.actors.mm.gup import Buffer, pin_user_pages, unpin_user_pages
from longpin.actors.mm.mm import Mm
from longpin.actors.mm.pmem import Pmem
from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import Allow, Answer, Fail, Proceed
from longpin.actors.policies.reject import Reject
from longpin.actors.policies.views import LayoutView
from longpin.messages.clock import CancelTimer
from longpin.messages.envelope import DONE, Address, Done, Message, message
from longpin.messages.fs.file import Ref
from longpin.messages.fs.inode import CloseFile, Open, Truncate
from longpin.messages.fs.mapping import PinRequest
from longpin.messages.mm.memory import PinnedPage
from longpin.messages.mm.mm import Mmap, Munmap, Registration
from longpin.messages.mm.pmem import BlockRun
from longpin.messages.mm.ranges import Mapped
from longpin.messages.process import caller
from longpin.messages.process.process import File
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.oracles import ORACLES

PAGE = 4096
CALLER = caller.Caller("process:100", 100, 0, 0)


@message
class RegisterBuffers(Message):
    """IORING_REGISTER_BUFFERS of one buffer."""

    mm: Address
    address: int
    pages: int
    memlock: int


class IoUring(Actor):
    """The fixed buffers of an io_uring: a driver that pins user memory until its last descriptor is closed."""

    def __init__(self, engine: SteppedEngine, address: Address, kernel: Kernel) -> None:
        super().__init__(engine, address)
        self.kernel = kernel
        self.buffers: list[Registration] = []

    @handles(RegisterBuffers)
    def register(self, request: RegisterBuffers, _src: Address) -> Conversation[Done]:
        owner = f"buffer:{self.address.partition(':')[2]}.{len(self.buffers)}"
        buffer = Buffer(request.mm, request.address, request.pages, CALLER, request.memlock)
        self.buffers.append((yield from pin_user_pages(self.kernel, buffer, owner, self.address, write=True)))
        return DONE

    @handles(CloseFile)
    def close(self, _request: CloseFile, _src: Address) -> Conversation[Done]:
        while self.buffers:
            yield from unpin_user_pages(self.kernel, self.buffers.pop())
        return DONE


class Caller(Actor):
    """Makes one call and keeps its answer."""

    def __init__(self, engine: SteppedEngine, address: Address, dst: Address, request: Message) -> None:
        super().__init__(engine, address)
        self.call = dst, request
        self.answer: object = None

    @handles(CancelTimer)
    def begin(self, _request: CancelTimer, _src: Address) -> Conversation[None]:
        error = yield from outcome(self.one())
        if error is not None:
            self.answer = error.errno

    def one(self) -> Conversation[None]:
        self.answer = yield Call(*self.call)


@dataclass(frozen=True, slots=True)
class Holding(Policy):
    """Each pin holds the description through which the file is mapped."""

    refuses: bool = False
    gate: int = 0

    def pin_gate(self, request: PinRequest, view: LayoutView) -> Allow | Fail:
        return Fail(errno.EPERM) if self.refuses else Allow("file:1")

    def longterm_gate(self, request: PinRequest) -> Answer:
        return Fail(self.gate) if self.gate else Proceed()


class World:
    """A file of four pages, its first three mapped, and an io_uring."""

    def __init__(self, policy: Policy, version: Version = Version.LINUX_6_18) -> None:
        self.engine = SteppedEngine(ORACLES["fifo"](0))
        self.kernel = Kernel(policy, GENERATIONS[version])
        runs = BlockRun(0, 2, 2), BlockRun(2, 1, 1), BlockRun(3, 0, 1)
        self.engine.spawn(Pmem, "pmem:0", 4, PAGE, [("inode:/f", run) for run in runs])
        self.engine.spawn(Inode, "inode:/f", self.kernel, Mount("pmem:0"), FileStart(0, 0o666, 4 * PAGE, runs))
        self.engine.spawn(OpenFileDescription, "file:1", "inode:/f", "file", 2)
        self.engine.spawn(Mm, "mm:100.1", self.kernel)
        self.engine.spawn(IoUring, "io_uring:1", self.kernel)
        self.count = 0
        self.ask("inode:/f", Open("file:1", 2, CALLER))
        done = self.ask("mm:100.1", Mmap(3 * PAGE, 3, 1, File("file:1", "inode:/f", "file"), 0, 3, CALLER, -1))
        assert isinstance(done, Mapped)
        self.address = done.address

    def ask(self, dst: Address, request: Message) -> object:
        """Make a call; return its answer, its errno, or None if it waits."""
        self.count += 1
        self.engine.spawn(Caller, f"caller:{self.count}", dst, request)
        self.engine.tell(f"caller:{self.count}", CancelTimer("begin"))
        assert self.engine.run()
        return self.answer(self.count)

    def answer(self, number: int) -> object:
        """Return the answer of a call, by its number."""
        made = self.engine.actors[f"caller:{number}"]
        assert isinstance(made, Caller)
        return made.answer

    def register(self, pages: int = 3, *, memlock: int = -1, first: int = 0) -> object:
        return self.ask("io_uring:1", RegisterBuffers("mm:100.1", self.address + first * PAGE, pages, memlock))

    def left(self) -> tuple[int, list[int], int]:
        """Return what is charged, which blocks are pinned, and how many hold the description."""
        mm, pmem, file = (self.engine.actors[address] for address in ("mm:100.1", "pmem:0", "file:1"))
        assert isinstance(mm, Mm)
        assert isinstance(pmem, Pmem)
        assert isinstance(file, OpenFileDescription)
        return mm.pinned_vm, sorted(pmem.pins), file.references

    def buffers(self) -> list[Registration]:
        ring = self.engine.actors["io_uring:1"]
        assert isinstance(ring, IoUring)
        return ring.buffers


NOTHING: tuple[int, list[int], int] = (0, [], 2)
"""The descriptor and the mapping."""


@pytest.mark.parametrize("batch", [1, 2, 512])
def test_a_pinner_of_a_test_pins_and_a_truncate_waits_for_it(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gup, "BATCH", batch)
    world = World(Holding())
    assert world.register() == DONE
    assert world.left() == (3, [1, 2, 3], 3), "one reference on the description, however many pages and batches"
    assert world.ask("inode:/f", Truncate(0, by_path=False, caller=CALLER)) is None
    waits = world.count
    assert world.ask("io_uring:1", CloseFile("file:9", exiting=False)) == DONE
    assert world.answer(waits) == DONE
    assert world.left() == NOTHING


def test_what_is_registered_twice_is_charged_twice() -> None:
    world = World(Holding())
    assert [world.register(memlock=5 * PAGE), world.register(2, memlock=5 * PAGE)] == [DONE, DONE]
    assert world.left() == (5, [1, 2, 3], 4)
    assert world.register(1, memlock=5 * PAGE) == errno.ENOMEM
    assert world.register(1, memlock=0) == errno.EPERM
    world.ask("io_uring:1", CloseFile("file:9", exiting=False))
    assert world.left() == NOTHING


@pytest.mark.parametrize("batch", [1, 2, 512])
@pytest.mark.parametrize(
    ("policy", "version", "pages", "expected"),
    [
        (Holding(), Version.LINUX_6_18, 4, errno.EFAULT),
        (Holding(refuses=True), Version.LINUX_6_18, 3, errno.EPERM),
        (Holding(gate=errno.EOPNOTSUPP), Version.LINUX_6_18, 4, errno.EOPNOTSUPP),
        (Holding(gate=errno.EOPNOTSUPP), Version.LINUX_5_4, 3, errno.EOPNOTSUPP),
        (Holding(gate=errno.EOPNOTSUPP), Version.LINUX_5_4, 4, errno.EOPNOTSUPP),
        (Reject(), Version.LINUX_6_18, 3, errno.EOPNOTSUPP),
        (Reject(), Version.LINUX_5_4, 3, errno.EOPNOTSUPP),
    ],
)
def test_all_or_nothing(
    policy: Policy, version: Version, pages: int, expected: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the first page fails, the last one, or all of them after they were pinned."""
    monkeypatch.setattr(gup, "BATCH", batch)
    world = World(policy, version)
    assert world.register(pages) == expected
    assert world.left() == NOTHING


def test_pages_that_follow_each_other_are_one_entry() -> None:
    world = World(Policy())
    world.register()
    (buffer,) = world.buffers()
    assert [(run.first.frame.number, run.length) for run in buffer.runs] == [(2, 2), (1, 1)]
    pages = [buffer.page(index) for index in range(3)]
    assert all(isinstance(page, PinnedPage) for page in pages)
    assert [(page.frame.number, page.page) for page in pages] == [(2, 0), (3, 1), (1, 2)]
    with pytest.raises(IndexError):
        buffer.page(3)


def test_what_is_unmapped_stays_pinned_and_charged() -> None:
    world = World(Holding())
    world.register()
    world.ask("mm:100.1", Munmap(world.address, world.address + 3 * PAGE))
    assert world.left() == (3, [1, 2, 3], 2), "the descriptor, and the pins"
    assert world.register(1) == errno.EFAULT
    world.ask("io_uring:1", CloseFile("file:9", exiting=False))
    assert world.left() == (0, [], 1)


def test_a_description_that_has_gone_is_held_by_nobody() -> None:
    world = World(Holding())
    file = world.engine.actors["file:1"]
    assert isinstance(file, OpenFileDescription)
    file.references = 0
    assert world.ask("file:1", Ref()) == errno.EBADF
    assert world.register() == errno.EBADF
    assert world.left() == (0, [], 0)
