"""Every rule in every branch: small worlds made by hand are fit, one thing in them is broken, and the rule says which.

``pytest tests/unit/test_invariants.py --cov=runner/judging/invariants --cov-branch`` shows that no branch is left out.
"""

import errno
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from longpin.actors.base import Actor
from longpin.actors.constants import F_RDLCK, MAP_SHARED, O_RDWR, PROT_READ
from longpin.actors.conversation import Effect, WaitQueue, WaitsFor
from longpin.actors.fs.file import OpenFileDescription
from longpin.actors.fs.inode import FileStart, Inode
from longpin.actors.fs.lease import Lease
from longpin.actors.fs.lease_record import LeaseRecord
from longpin.actors.kernel.machine import Kernel
from longpin.actors.kernel.mount import Mount
from longpin.actors.locks import Lock
from longpin.actors.mm.huge_pages import HugePages
from longpin.actors.mm.mm import Mm
from longpin.actors.mm.ownership import Owner
from longpin.actors.mm.pmem import Pmem
from longpin.actors.policies.proposal import Proposal
from longpin.actors.policies.views import LeaseKind
from longpin.actors.process.facts import CallBegun, CallCut, CallEnded, CallRecord
from longpin.actors.process.process import Process
from longpin.actors.process.process_state import NOTHING_INHERITED
from longpin.actors.process.program import Expectation, Image, Op, Outcome, Program
from longpin.actors.process.users import Users
from longpin.actors.rdma.uverbs import UverbsContext
from longpin.actors.syscalls import SYSCALLS
from longpin.messages.clock import TimerExpired
from longpin.messages.envelope import Envelope
from longpin.messages.fs.mapping import MappingView
from longpin.messages.mm.memory import Dma, Load, Pin
from longpin.messages.mm.pmem import BlockRun
from longpin.messages.process.process import File
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.judging.invariants import INVARIANTS
from longpin.runner.judging.invariants.base import Finding
from longpin.runner.judging.invariants.errnos import applicable
from longpin.runner.oracles.fifo import Fifo

PAGE = 4096
POLICY = Proposal.make("P5", "intended", {}).policy
KERNEL = Kernel(POLICY)
INODE, OFD, PMEM, CONTEXT, REGION = "inode:/f", "file:100.1", "pmem:pmem0", "uverbs:100.1", "mr:100.1"


class World:
    """A process that has opened a file of two pages and an RDMA device, and is gone again: nothing is left."""

    def __init__(self) -> None:
        self.engine = SteppedEngine(Fifo(0))
        self.pmem = self.spawn(Pmem, PMEM, 4, PAGE, [(INODE, BlockRun(0, 0, 2))])
        self.inode = self.spawn(Inode, INODE, KERNEL, Mount(PMEM), FileStart(0, 0o666, 2 * PAGE, (BlockRun(0, 0, 2),)))
        self.ofd = self.spawn(OpenFileDescription, OFD, INODE, "file", O_RDWR)
        self.context = self.spawn(UverbsContext, CONTEXT, KERNEL)
        self.app = self.process(100, "app")
        self.ofd.released = True
        self.ofd.references = 0
        self.app.exiting = self.app.dead = True

    def spawn(self, kind: type[Any], address: str, *args: Any) -> Any:
        """Create an actor and return it."""
        self.engine.spawn(kind, address, *args)
        return self.engine.actors[address]

    def process(self, pid: int, name: str) -> Process:
        """Create a process that has not begun."""
        made = self.spawn(Process, f"process:{pid}", KERNEL, {}, Image(name, Program()), pid, name, NOTHING_INHERITED)
        assert isinstance(made, Process)
        return made

    def alive(self) -> None:
        """Let the process be there, with the file open."""
        self.app.exiting = self.app.dead = False
        self.ofd.released, self.ofd.references = False, 1
        self.app.fds[3] = File(OFD, INODE, "file")

    def waits(self, process: Process, effect: Effect, *, line: int = 7, text: str = 'truncate("/f", 0)') -> None:
        """Let the program of a process be suspended on an effect, in a call."""

        def conversation() -> Iterator[Effect]:
            yield effect

        call = text.partition("(")[0]
        process.leader.calls = [CallRecord(Op(line, text, call, (), None))] if text else []
        process.leader.task = process.start_task(conversation())  # type: ignore[arg-type]
        process.on_receive(Envelope("test", process.address, TimerExpired("of nobody")))  # it goes on after it

    def after(self, rule: str, actor: Actor, envelope: Envelope) -> list[Finding]:
        """Return what a rule says after an arrival."""
        return list(INVARIANTS[rule](Proposal.of(POLICY)).after(actor, envelope))

    def quiet(self, rule: str) -> list[Finding]:
        """Return what a rule says of the world at rest."""
        return list(INVARIANTS[rule](Proposal.of(POLICY)).quiet(self.engine.actors))


@pytest.fixture
def world() -> World:
    return World()


ARRIVAL = Envelope("test", "process:100", TimerExpired("of nobody"))


# O1


def dma(world: World, data: bytes | None = b"x", *, block: int = 0, generation: int = 0) -> list[Finding]:
    """Let the device access a block that was pinned as the page of the same number."""
    access = Dma(block, generation, INODE, block, 0, 1, data, REGION)
    return world.after("O1", world.pmem, Envelope("qp:100.1", PMEM, access))


def test_the_device_may_access_what_is_still_what_was_pinned(world: World) -> None:
    assert dma(world) == []
    assert dma(world, None) == []
    assert world.after("O1", world.pmem, Envelope("process:100", PMEM, Load(3, 0, 1))) == []
    assert world.quiet("O1") == []


def test_access_to_a_block_that_is_free(world: World) -> None:
    world.pmem.owners.remove(0, 0)
    world.pmem.generations.add(0, 0)
    assert dma(world) == [
        Finding(
            "O1",
            "writes inode:/f through its pin, a free block",
            "the device writes block 0 of pmem:pmem0 through mr:100.1, which pinned it as page 0 of inode:/f; "
            "it is free now (generation 1, pinned at 0)",
        )
    ]


def test_access_to_a_block_that_is_another_file_s(world: World) -> None:
    world.pmem.owners.assign(0, 1, (Owner("inode:/g", 5),))
    assert dma(world, None) == [
        Finding(
            "O1",
            "reads inode:/f through its pin, now of inode:/g",
            "the device reads block 0 of pmem:pmem0 through mr:100.1, which pinned it as page 0 of inode:/f; "
            "it is page 5 of inode:/g now (generation 0, pinned at 0)",
        )
    ]


def test_access_to_a_block_that_was_freed_and_is_the_same_page_again(world: World) -> None:
    world.pmem.generations.assign(0, 1, 2)
    [found] = dma(world, generation=1)
    assert found.site == "writes inode:/f through its pin, now of inode:/f"
    assert found.detail.endswith("it is page 0 of inode:/f now (generation 2, pinned at 1)")


def test_access_to_a_block_that_was_moved_in_the_file(world: World) -> None:
    world.pmem.owners.assign(1, 1, (Owner(INODE, 3),))
    [found] = dma(world, block=1)
    assert found.detail.endswith(
        "which pinned it as page 1 of inode:/f; it is page 3 of inode:/f now (generation 0, pinned at 0)"
    )


# O1' and O2. What programs can do is in test_stamps.py.


def test_a_read_of_what_is_no_page_of_the_file(world: World) -> None:
    access = Envelope(INODE, PMEM, Load(0, 0, 1))
    assert world.after("O2", world.pmem, access) == []
    world.pmem.owners.assign(0, 1, (Owner("inode:/g", 5),))
    assert world.after("O2", world.pmem, access) == [
        Finding(
            "O2",
            "inode:/f is read, which was freed",
            "inode:/f reads block 0 of pmem:pmem0 as one of inode:/f, which was freed since",
        )
    ]
    mapped = Envelope("mm:100.1", PMEM, Load(0, 0, 1, "inode:/g"))
    assert world.after("O2", world.pmem, mapped) == []
    assert world.after("O2", world.inode, access) == []
    assert world.after("O1'", world.pmem, access) == []


# O3


def asleep(kind: str, target: str = "", detail: str = "something", number: int = 0) -> Effect:
    return WaitQueue().sleep(WaitsFor(kind, target, detail, number))


@pytest.mark.parametrize("kind", ["signal", "label", "descriptor", "timer", "completion", "child"])
def test_a_program_may_wait_for_ever_for_what_it_asked_to_wait_for(world: World, kind: str) -> None:
    world.alive()
    world.waits(world.app, asleep(kind))
    assert world.quiet("O3") == []


def test_nobody_waits(world: World) -> None:
    assert world.after("O3", world.app, ARRIVAL) == []
    assert world.quiet("O3") == []
    world.alive()
    world.waits(world.app, asleep("lease"))
    assert world.app.leader.task is not None
    world.app.leader.task.finished = True
    assert world.quiet("O3") == []


def test_a_call_that_waits_for_a_lease(world: World) -> None:
    world.alive()
    world.spawn(Lease, "lease:100.1", INODE, OFD, 3)
    world.inode.leases.records.append(
        LeaseRecord("lease:100.1", OFD, "process:100", 100, F_RDLCK, (OFD,), unlock_pending=True)
    )
    other = world.process(101, "other")
    world.waits(other, asleep("lease", "lease:100.1", "lease:100.1 of process 100 to be given up"))
    [found] = world.quiet("O3")
    assert (found.rule, found.site) == ("O3", "truncate of other waits for a lease")
    assert found.detail.startswith(
        'hangs for ever: other in line 7, truncate("/f", 0): it waits for lease:100.1 of process 100 to be given up '
        "(app has it as fd 3); an administrator sees "
    )


@pytest.mark.parametrize("pins", [0, 1])
def test_a_call_that_waits_for_a_pin(world: World, pins: int) -> None:
    world.alive()
    world.pmem.pins[0] = [Pin(0, 0, 0, longterm=True, owner=REGION, context=CONTEXT)]
    if pins:
        world.app.fds[4] = File("file:100.2", CONTEXT, "uverbs")
    other = world.process(101, "other")
    world.waits(other, asleep("pin", PMEM, "page 0 of inode:/f (block 0), pinned by mr:100.1"))
    [found] = world.quiet("O3")
    assert (found.rule, found.site) == ("O3", "truncate of other waits for a pin")
    holder = "app" if pins else "no process"
    assert (
        f"pinned by mr:100.1 (in uverbs:100.1, whose descriptor is held by {holder}); an administrator sees "
        in found.detail
    )


def test_a_call_that_waits_for_a_lock(world: World) -> None:
    """The chain goes on with what the holder of the lock waits for."""
    world.alive()
    lock = Lock(world.app, "the iolock of inode:/f")
    holder = world.process(101, "holder")

    def holding() -> Iterator[Effect]:
        yield lock.exclusive()
        yield asleep("signal", detail="a signal")

    task = world.app.start_task(holding())  # type: ignore[arg-type]
    task.src = holder.address
    world.waits(world.app, lock.exclusive(), text='write(fd, b"x")')
    assert world.quiet("O3") == [
        Finding(
            "O3",
            "write of app waits for a lock",
            'hangs for ever: app in line 7, write(fd, b"x"): it waits for the iolock of inode:/f, '
            "held by the call of holder, which waits for a signal",
        )
    ]


def test_an_exit_that_never_ends(world: World) -> None:
    world.alive()
    world.app.exiting = True
    world.waits(world.app, asleep("lock", detail="the folder's lock"), text="")
    assert world.quiet("O3") == [
        Finding("O3", "exit of app waits for a lock", "hangs for ever: app in exit: it waits for the folder's lock")
    ]


# O6


def mapped(world: World) -> None:
    world.inode.mappings.add(MappingView("mm:100.1", 1, PROT_READ, MAP_SHARED, OFD))


def leaves_a_description(world: World) -> None:
    world.ofd.released, world.ofd.references = False, 2


def leaves_a_lease(world: World) -> None:
    world.inode.leases.records.append(
        LeaseRecord("lease:100.1", OFD, "process:100", 100, F_RDLCK, (OFD,), LeaseKind.LAYOUT)
    )


def leaves_pins(world: World) -> None:
    world.pmem.pins = {
        block: [Pin(block, block, 0, longterm=True, owner=f"mr:100.{block}", context=CONTEXT)] for block in (0, 1)
    }


def leaves_blocks(world: World) -> None:
    world.inode.attributes.nlink = 0


def leaves_a_charge(world: World) -> None:
    """To memory that may have been left by an exec."""
    mm = world.spawn(Mm, "mm:100.1", KERNEL)
    assert isinstance(mm, Mm)
    mm.pins.pinned_vm = 3


def leaves_locked_pages(world: World) -> None:
    """What VFIO counts."""
    mm = world.spawn(Mm, "mm:100.1", KERNEL)
    assert isinstance(mm, Mm)
    mm.areas.locked_for_devices = 4


def leaves_a_promise(world: World) -> None:
    pages = world.spawn(HugePages, "huge_pages", 4, 512)
    assert isinstance(pages, HugePages)
    pages.reserved = 2


def leaves_a_charge_to_a_user(world: World) -> None:
    """What io_uring and AF_XDP count."""
    users = world.spawn(Users, "users")
    assert isinstance(users, Users)
    users.locked_vm[1000] = 5


LEAKS: list[tuple[Callable[[World], None], str, list[str]]] = [
    (leaves_a_description, "an open file description", ["file:100.1 has 2 references and was not released"]),
    (leaves_a_lease, "a lease", ["lease:100.1 is on the list of inode:/f"]),
    (mapped, "a mapping", ["mm:100.1 maps inode:/f"]),
    (
        leaves_pins,
        "a pin",
        ["mr:100.0 still pins block 0 of pmem:pmem0", "mr:100.1 still pins block 1 of pmem:pmem0"],
    ),
    (leaves_blocks, "blocks", ["inode:/f has no name and no user and owns 2 blocks"]),
    (leaves_a_charge, "a charge", ["mm:100.1 is charged with 3 pinned pages"]),
    (leaves_locked_pages, "a charge", ["mm:100.1 is charged with 4 locked pages"]),
    (leaves_a_charge_to_a_user, "a charge", ["user 1000 is charged with 5 locked pages"]),
    (leaves_a_promise, "a promise", ["2 of huge_pages are promised"]),
]


@pytest.mark.parametrize(("leave", "kind", "what"), LEAKS, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_left_when_all_processes_are_gone(
    leave: Callable[[World], None], kind: str, what: list[str], world: World
) -> None:
    leave(world)
    expected = [Finding("O6", f"{kind} is left", f"all processes are gone, but {one}") for one in what]
    assert world.quiet("O6") == expected
    world.app.dead = False
    assert world.quiet("O6") == [], "while a process is there, it may have it"


def test_nothing_is_left(world: World) -> None:
    assert world.quiet("O6") == []
    assert world.after("O6", world.app, ARRIVAL) == []
    world.inode.attributes.nlink = 0
    world.inode.data.extents.punch(0)
    assert world.quiet("O6") == []


# O7


def returned(call: str = "open", *expectations: Expectation, **fields: Any) -> CallRecord:
    record = CallRecord(Op(7, f"{call}(x)", call, (), None, expectations), returned=True)
    for name, value in fields.items():
        setattr(record, name, value)
    return record


def ends(world: World, record: CallRecord, fact: Callable[[CallRecord], Any] = CallEnded) -> list[Finding]:
    """Return what O7 says when a call has just returned."""
    world.app.facts = [CallBegun(record), fact(record)]
    return world.after("O7", world.app, ARRIVAL)


@pytest.mark.parametrize(
    ("call", "number", "allowed"),
    [
        ("open", 0, True),
        ("open", errno.ENOENT, True),
        ("open", errno.ECHILD, False),
        ("close", errno.ETXTBSY, False),
        ("close", 9999, False),
    ],
)
def test_errnos_are_those_of_the_call(world: World, call: str, number: int, allowed: bool) -> None:
    found = ends(world, returned(call, ret=-1 if number else 3, errno=number))
    name = errno.errorcode.get(number, str(number))
    expected = Finding(
        "O7", f"{call} of app: {name}", f"line 7, app: {call}(x) failed with {name}, which {call} may not under P5"
    )
    assert found == ([] if allowed else [expected])


def test_a_policy_may_add_errnos(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    record = returned("close", ret=-1, errno=errno.ETXTBSY)
    assert "ETXTBSY" not in SYSCALLS["close"].errnos
    monkeypatch.setattr(type(POLICY), "errnos", {"close": frozenset({"ETXTBSY"})})
    assert ends(world, record) == []
    assert len(ends(world, returned("open", ret=-1, errno=errno.ECHILD))) == 1


def test_only_processes_make_calls(world: World) -> None:
    assert world.after("O7", world.pmem, ARRIVAL) == []
    world.app.facts = []
    assert world.after("O7", world.app, ARRIVAL) == []
    assert world.quiet("O7") == []


MET: list[tuple[str | int, dict[str, Any]]] = [
    (Outcome.OK, {"ret": 3}),
    (Outcome.BLOCKS, {"ret": 0, "slept": "a lease"}),
    (0, {"ret": 0}),
    (-1, {"ret": -1, "errno": errno.EINTR}),
    ("EINTR", {"ret": -1, "errno": errno.EINTR}),
    ("b'abc'", {"ret": "b'abc'"}),
]
NOT_MET: list[tuple[str | int, dict[str, Any], str, str]] = [
    (Outcome.OK, {"ret": -1, "errno": errno.EINTR}, "ok, found EINTR, did not sleep", "EINTR"),
    (Outcome.BLOCKS, {"ret": 3}, "blocks, found 3, did not sleep", "success"),
    (Outcome.HANGS, {"ret": 3, "slept": "a pin"}, "hangs, found 3, slept on a pin", "success"),
    (0, {"ret": 3}, "0, found 3, did not sleep", "success"),
    (0, {"ret": 0, "errno": errno.EINTR}, "0, found EINTR, did not sleep", "EINTR"),
    ("ENOENT", {"ret": -1, "errno": errno.EINTR}, "ENOENT, found EINTR, did not sleep", "EINTR"),
    ("b'abc'", {"ret": "b'abd'"}, "b'abc', found b'abd', did not sleep", "success"),
]


@pytest.mark.parametrize(("expected", "fields"), MET)
def test_an_expectation_that_is_met(world: World, expected: str | int, fields: dict[str, Any]) -> None:
    assert ends(world, returned("open", Expectation(None, (expected,)), **fields)) == []


@pytest.mark.parametrize(("expected", "fields", "difference", "how"), NOT_MET)
def test_an_expectation_that_is_not_met(
    world: World, expected: str | int, fields: dict[str, Any], difference: str, how: str
) -> None:
    detail = f"line 7, app: open(x): expected {difference}"
    record = returned("open", Expectation(None, (expected,)), **fields)
    assert ends(world, record) == [Finding("O7", f"open of app: {how}", detail)]


def test_all_outcomes_of_an_expectation_must_hold(world: World) -> None:
    both = Expectation(None, (Outcome.BLOCKS, "ENOENT"))
    assert ends(world, returned("open", both, ret=-1, errno=errno.ENOENT, slept="a lease")) == []
    [found] = ends(world, returned("open", both, ret=0, slept="a lease"))
    assert found.detail.endswith("expected ENOENT, found 0, slept on a lease")


def test_the_expectation_that_is_nearest_to_the_policy_counts(world: World) -> None:
    def said(*policies: str | None) -> list[Finding]:
        expectations = [Expectation(policy, (number,)) for number, policy in enumerate(policies)]
        return ends(world, returned("open", *expectations, ret=7))

    assert said() == said("P0") == said("P5:as_posted") == []
    for policies, number in (
        (("P5:intended", "P5", None), 0),
        (("P5:as_posted", "P5", None), 1),
        (("P0", "P1", None), 2),
    ):
        [found] = said(*policies)
        assert f"expected {number}, found 7" in found.detail


@pytest.mark.parametrize(
    ("policy", "number"),
    [
        ("P1:intended,kernel=6.12", 0),
        ("P1:intended", 1),
        ("P1:as_posted", 3),
        ("P1:as_posted,kernel=6.1", 2),
        ("P5:as_posted", 5),
        ("P5:as_posted,kernel=6.12", 4),
        ("P5:as_posted,kernel=7.2", 5),
    ],
)
def test_the_expectation_that_names_the_kernel_comes_first(policy: str, number: int) -> None:
    expectations = (
        Expectation("P1:intended", (0,), kernels=("6.12",)),
        Expectation("P1:intended", (1,)),
        Expectation("P1", (2,), kernels=("6.1",)),
        Expectation("P1", (3,)),
        Expectation(None, (4,), kernels=("6.1", "6.12")),
        Expectation(None, (5,)),
    )
    found = applicable(expectations, policy)
    assert found is not None
    assert found.outcomes == (number,)
    assert applicable(expectations, "P0:intended", "6.12") is expectations[4]


@pytest.mark.parametrize(
    ("outcomes", "found"),
    [
        ((Outcome.HANGS,), ""),
        ((Outcome.BLOCKS,), ""),
        ((Outcome.OK,), "expected ok, found never returned"),
        ((0,), "expected 0, found never returned"),
        (("EINTR",), "expected EINTR, found never returned"),
        (("b'abc'",), "expected b'abc', found never returned"),
        ((Outcome.BLOCKS, 0), "expected 0, found never returned"),
    ],
)
def test_a_call_that_never_returns(world: World, outcomes: tuple[str | int, ...], found: str) -> None:
    record = returned("read", Expectation(None, outcomes), returned=False, slept="a lease")
    world.app.leader.calls = [record]
    expected = [Finding("O7", "read of app: no return", f"line 7, app: read(x): {found}")] if found else []
    assert world.quiet("O7") == expected
    record.op = Op(7, "exit(x)", "exit", (), None, record.op.expectations)
    assert world.quiet("O7") == [], "exit does not return"


@pytest.mark.parametrize(
    "outcomes", [(Outcome.HANGS,), (Outcome.BLOCKS, Outcome.HANGS), (0,), (Outcome.BLOCKS, "EINTR"), (Outcome.OK,)]
)
def test_of_a_call_in_which_the_process_ends_nothing_else_is_known(
    world: World, outcomes: tuple[str | int, ...]
) -> None:
    """It may wait for ever, and so meets what says so; what it would have returned nobody knows."""
    assert ends(world, returned("read", Expectation(None, outcomes), returned=False), CallCut) == []
    assert ends(world, returned("read", returned=False), CallCut) == []
