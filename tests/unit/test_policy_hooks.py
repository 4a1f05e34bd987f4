"""What holds of every hook of every policy, and what the kernel makes of each kind of answer.

Hooks are functions of their arguments: whatever one is shown, it answers the same again and changes nothing, and no
module of a policy can reach an actor or an engine.
"""

import ast
import copy
import errno
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum, Flag
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.programs import DEVICE

from longpin.actors.constants import F_RDLCK, F_WRLCK
from longpin.actors.fs.inode import Inode
from longpin.actors.kernel.file_system import FILE_SYSTEMS, ChangeKind, LayoutOperation
from longpin.actors.policies import POLICIES
from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import (
    Allow,
    Answer,
    BreakLeases,
    Decision,
    Fail,
    OnBreak,
    Proceed,
    Revoke,
    Scan,
    Update,
)
from longpin.actors.policies.layout_calls import LAYOUT_CALLS, layout_errnos
from longpin.actors.policies.layout_lease_v1 import LayoutLeaseV1
from longpin.actors.policies.views import (
    Change,
    CloseRequest,
    FaultRequest,
    LayoutView,
    LeaseCall,
    LeaseKey,
    LeaseKind,
    LeaseRequest,
    LeaseView,
    MapRequest,
    PolicyState,
    RegistrationView,
)
from longpin.messages.fs.mapping import MappingView
from longpin.runner.events import CallReturned

Play = Callable[..., Any]

HOOKS = [name for name, value in vars(Policy).items() if isinstance(value, types.FunctionType) and name[0] != "_"]


# Purity.


@cache
def value_of(hint: Any, policy: Policy) -> st.SearchStrategy[Any]:
    """Return values of a type that a hook is shown; few different ones, so that they often meet."""
    if hint == LeaseKey:
        keys = [("file:1",), ("file:1", "process:1"), ("mapping", "process:1", "1"), ("registration", "mr:1", "uv:1")]
        return st.sampled_from(keys)
    if hint is PolicyState:
        return record(type(policy.state), policy)
    if hint is str:
        return st.sampled_from(["", "file:1", "process:1", "mr:1", "uv:1", "lease:1"])
    if hint is bool:
        return st.booleans()
    if hint is int:
        return st.integers(0, 3) | st.sampled_from([16, 48, 0x200001])
    if hint is float:
        return st.sampled_from([0.0, 45.0])
    if hint is type(None):
        return st.none()
    if get_origin(hint) in (Union, types.UnionType):
        return st.one_of(*(value_of(part, policy) for part in get_args(hint)))
    if get_origin(hint) is tuple:
        item, *_ = get_args(hint)
        return st.lists(value_of(item, policy), max_size=3).map(tuple)
    if isinstance(hint, type) and issubclass(hint, Flag):
        return st.sets(st.sampled_from(list(hint))).map(lambda kinds: sum_of(hint, kinds))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    return record(hint, policy)


def sum_of(kind: Any, members: set[Any]) -> Any:
    total = kind(0)
    for member in members:
        total |= member
    return total


def record(kind: Any, policy: Policy) -> st.SearchStrategy[Any]:
    names = [field.name for field in fields(kind)] if is_dataclass(kind) else list(kind._fields)
    hints = get_type_hints(kind)
    return st.tuples(*(value_of(hints[name], policy) for name in names)).map(lambda values: kind(*values))


OWN_HOOKS = [
    pytest.param(name, hook, marks=[] if policy.overrides(getattr(Policy, hook)) or name == "P0" else pytest.mark.heavy)
    for name, policy in POLICIES.items()
    for hook in HOOKS
]
"""Every hook of every policy; the base rules, where a policy has no other, of one of them by default."""


@pytest.mark.parametrize(("name", "hook"), OWN_HOOKS)
@settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_hook_answers_the_same_again_and_changes_nothing(name: str, hook: str, data: st.DataObject) -> None:
    policy = data.draw(record(POLICIES[name], POLICIES[name]()))
    method = getattr(policy, hook)
    hints = {part: hint for part, hint in get_type_hints(method).items() if part != "return"}
    arguments = {part: data.draw(value_of(hint, policy), label=part) for part, hint in hints.items()}
    before = copy.deepcopy(arguments)
    answer = method(**arguments)
    assert arguments == before, "it changed what it was shown"
    assert method(**copy.deepcopy(arguments)) == answer, "it remembers, or looks at which object it is shown"
    expected = get_type_hints(getattr(Policy, hook))["return"]
    kinds = get_args(expected) if get_origin(expected) in (Union, types.UnionType) else (expected,)
    assert isinstance(answer, tuple(get_origin(kind) or kind for kind in kinds)), answer
    hash(policy)


MAY_IMPORT = (
    "collections.abc",
    "dataclasses",
    "enum",
    "errno",
    "typing",
    "longpin.actors.constants",
    "longpin.actors.kernel.file_system",
    "longpin.actors.kernel.generation",
    "longpin.actors.policies.",
    "longpin.messages.",
)


def modules_of_policies() -> Iterator[Path]:
    folder = Path(__file__).resolve().parents[2] / "actors" / "policies"
    return (path for path in sorted(folder.glob("*.py")) if path.name not in ("__init__.py", "proposal.py"))


def test_no_policy_can_reach_an_actor_or_an_engine() -> None:
    paths = list(modules_of_policies())
    assert len(paths) > 6
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for imported in names:
                assert imported.startswith(MAY_IMPORT), f"{path} imports {imported}"


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_and_what_it_remembers_are_values(name: str) -> None:
    policy = POLICIES[name]()
    for value in (policy, policy.state):
        assert is_dataclass(value)
        assert vars(type(value))["__dataclass_params__"].frozen
        assert value == copy.deepcopy(value)
        assert isinstance(hash(value), int)


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_is_one_file_and_its_test(name: str) -> None:
    """No other file of the program knows its module or its class, but those of policies derived from it."""
    root = Path(__file__).resolve().parents[2]
    module = POLICIES[name].__module__.rpartition(".")[2]
    for layer in ("messages", "actors", "config", "runner"):
        for path in (root / layer).rglob("*.py"):
            if path.stem != module and path.parent.name != "policies":
                text = path.read_text()
                assert f"policies.{module}" not in text, path
                assert POLICIES[name].__name__ not in text.split(), path


# What the kernel makes of answers. The policies here exist only to give them.


@dataclass(frozen=True, slots=True)
class Busy(Policy):
    """P2: a change of pages that are pinned for long fails at once; a write that takes none away does not."""

    name: ClassVar[str] = "test"
    errnos: ClassVar[dict[str, frozenset[str]]] = layout_errnos("EBUSY")

    def change_gate(self, change: Change, view: LayoutView) -> Decision:
        if not change.kinds & (ChangeKind.SUBTRACTIVE | ChangeKind.MOVING):
            return Proceed()
        if view.pins is None:
            return Scan(change.range)
        return Fail(errno.EBUSY) if any(pin.longterm for pin in view.pins) else Proceed()


def test_a_scan_of_exactly_the_range(play: Play) -> None:
    play(
        Busy(),
        a=DEVICE
        + "mr = ibv_reg_mr(pd, buf + 2 * PAGE, PAGE, IBV_ACCESS_LOCAL_WRITE)   # -> ok (page 2)\n"
        + "label('pinned')\nwait_for('done')\n",
        b="""
wait_for("pinned")
fd = open("/f", O_RDWR)
write(fd, "x")                                                  # -> 1
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2 * PAGE)            # -> 0 (before it)
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * PAGE, PAGE)         # -> EBUSY
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * PAGE + 1, PAGE)     # -> 0 (no page goes)
truncate("/f", 3 * PAGE)                                        # -> 0 (behind it)
truncate("/f", 8 * PAGE)                                        # -> 0
fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE)                # -> EBUSY (it would move)
truncate("/f", PAGE)                                            # -> EBUSY
label("done")
""",
    )


@dataclass(frozen=True, slots=True)
class Seal(PolicyState):
    """How many mappings seal the file."""

    count: int = 0


@dataclass(frozen=True, slots=True)
class Sealed(Policy):
    """P3: a writable mapping by root seals the file; while there is one, every change fails."""

    name: ClassVar[str] = "test"
    state: ClassVar[PolicyState] = Seal()
    errnos: ClassVar[dict[str, frozenset[str]]] = layout_errnos("ETXTBSY")

    @staticmethod
    def _count(view: LayoutView, more: int) -> Seal:
        assert isinstance(view.state, Seal)
        return Seal(view.state.count + more)

    def mmap_gate(self, request: MapRequest, view: LayoutView) -> Allow | Fail:
        if "CAP_LINUX_IMMUTABLE" not in request.caller.capabilities and request.caller.uid:
            return Fail(errno.EACCES)
        return Allow(state=self._count(view, 1))

    def on_vma_open(self, mapping: MappingView, copied: MappingView, view: LayoutView) -> Update:
        return Update(self._count(view, 1))

    def on_vma_close(self, mapping: MappingView, view: LayoutView) -> Update:
        return Update(self._count(view, -1))

    def change_gate(self, change: Change, view: LayoutView) -> Decision:
        return Fail(errno.ETXTBSY) if self._count(view, 0).count and change.kinds else Proceed()


def test_what_a_policy_remembers_follows_mappings_through_fork_split_and_unmap(play: Play) -> None:
    run = play(
        Sealed(),
        details={"child": 'start = "fork"', "other": "uid = 7"},
        a="""
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) # -> ok
write(fd, "x")                                                  # -> 1 (nothing changes)
truncate("/f", 0)                                               # -> ETXTBSY (also by who sealed it)
munmap(buf + PAGE, PAGE)                                        # -> 0
fork("child")
munmap(buf, PAGE)
munmap(buf + 2 * PAGE, 2 * PAGE)                                # -> 0
label("unmapped")
wait_for("gone")
truncate("/f", 0)                                               # -> 0
""",
        child="""
wait_for("unmapped")
truncate("/f", 8 * PAGE)                                        # -> ETXTBSY (the copies seal it)
munmap(buf, 4 * PAGE)                                           # -> 0
label("gone")
""",
        other="""
fd = open("/f", O_RDWR)
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)           # -> EACCES
""",
    )
    inode = run.engine.actors["inode:/f"]
    assert isinstance(inode, Inode)
    assert inode.view().state == Seal(0)


@dataclass(frozen=True, slots=True)
class Slots(Policy):
    """P7: layouts are in a slot of their own; a write layout breaks the read layouts of others when it is taken."""

    name: ClassVar[str] = "test"

    def read_lease(self, arg: int) -> LeaseRequest | None:
        if arg in (16 | F_RDLCK, 16 | F_WRLCK):
            return LeaseRequest(arg & 3, LeaseKind.LAYOUT, slot="layout")
        return Policy.read_lease(self, arg)

    def conflict_gate(self, wanted: LeaseRequest, other: LeaseView) -> Answer:
        return Policy.conflict_gate(self, wanted, other) if wanted.slot == other.slot else Proceed()

    def lease_gate(self, call: LeaseCall, view: LayoutView) -> Decision:
        others = tuple(lease.address for lease in view.layout_leases if lease.ofd != call.ofd)
        if call.request.slot and call.request.type == F_WRLCK and others:
            return BreakLeases(others)
        return Policy.lease_gate(self, call, view)


def test_slots_never_meet_and_a_request_can_break_others(play: Play) -> None:
    run = play(
        Slots(),
        details={"a": "on_signal.SIGIO = 'getpid()'"},
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)                                  # -> 0
fcntl(fd, F_SETLEASE, F_LAYOUT | F_RDLCK)                       # -> 0 (both, on one description)
label("both")
sleep(1000)                                                     # -> EINTR
wait_for("taken")
fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> 0 (the lease is still there)
""",
        b="""
wait_for("both")
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_LAYOUT | F_WRLCK)                       # -> blocks, 0
label("taken")
""",
    )
    assert run.returned("b") == 45.0


@dataclass(frozen=True, slots=True)
class Impatient(LayoutLeaseV1):
    """Layout leases have a time of their own."""

    name: ClassVar[str] = "test"

    def on_break(self, lease: LeaseView) -> OnBreak:
        return OnBreak(deadline=7.0)


def test_a_break_can_have_a_time_of_its_own(play: Play) -> None:
    run = play(
        Impatient(),
        details={"a": "on_signal.SIGIO = 'getpid()'"},
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0
label("leased")
sleep(1000)
sleep(1000)
""",
        b='wait_for("leased")\ntruncate("/f", 0)                        # -> blocks, 0\n',
    )
    assert run.returned("b") == 7.0


@dataclass(frozen=True, slots=True)
class Revoking(Policy):
    """Whoever changes the layout takes registrations from the device, finished ones and others."""

    name: ClassVar[str] = "test"
    errnos: ClassVar[dict[str, frozenset[str]]] = {"ibv_reg_mr": frozenset({"ENXIO"})}

    def change_gate(self, change: Change, view: LayoutView) -> Decision:
        if view.pins is None:
            return Scan(change.range)
        found = tuple(dict.fromkeys(RegistrationView(pin.owner, pin.context) for pin in view.pins))
        return Revoke(found) if found else Proceed()


def test_a_registration_that_is_revoked_before_it_is_finished_fails_and_lets_go(play: Play) -> None:
    run = play(
        Revoking(),
        seeds=range(60),
        a=DEVICE
        + """
label("ready")
mr = ibv_reg_mr(pd, buf, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE)
""",
        b="""
wait_for("ready")
fd = open("/f", O_RDWR)
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE)                # -> 0
""",
    )
    ends = {
        call.errno or "ok" for schedule in run.schedules for call in schedule.result.calls if call.call == "ibv_reg_mr"
    }
    assert {"ok", "ENXIO"} <= ends
    assert not any(actor.pins for address, actor in run.engine.actors.items() if address.startswith("pmem:"))


@dataclass(frozen=True, slots=True)
class FaultsWait(LayoutLeaseV1):
    """A fault that would allocate breaks the layout leases and waits for them."""

    name: ClassVar[str] = "test"

    def fault_gate(self, fault: FaultRequest, view: LayoutView) -> Decision:
        return BreakLeases() if ChangeKind.ADDITIVE in fault.kinds and view.layout_leases else Proceed()


def test_a_fault_can_wait_without_the_mmap_lock(play: Play) -> None:
    """A truncate takes the lock meanwhile, and the fault then finds the end of the file."""
    run = play(
        FaultsWait(),
        head='[[file]]\npath = "/f"',
        details={"a": "on_signal.SIGIO = 'getpid()'", "b": "on_signal.SIGBUS = 'getpid()'"},
        a="""
fd = open("/f", O_RDWR)
ftruncate(fd, 4 * PAGE)
fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0
label("leased")
sleep(1000)                                                     # -> EINTR
sleep(1000)
""",
        b="""
wait_for("leased")
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
store(buf, "x")                                                 # -> blocks, 0
""",
    )
    assert run.returned("b") == 45.0


@dataclass(frozen=True, slots=True)
class FlushFails(Policy):
    """The close of a descriptor reports an error."""

    name: ClassVar[str] = "test"
    errnos: ClassVar[dict[str, frozenset[str]]] = {"close": frozenset({"EDEADLK"})}

    def flush_gate(self, close: CloseRequest, view: LayoutView) -> Decision:
        return Fail(errno.EDEADLK) if close.last else Proceed()


def test_a_flush_that_fails_is_what_close_says_and_the_descriptor_is_gone(play: Play) -> None:
    run = play(
        FlushFails(),
        a="""
fd = open("/f", O_RDWR)
again = dup(fd)
close(fd)                                                       # -> 0
close(again)                                                    # -> EDEADLK
close(again)                                                    # -> EBADF
""",
    )
    inode = run.engine.actors["inode:/f"]
    assert isinstance(inode, Inode)
    assert inode.view().openers == {}


@dataclass(frozen=True, slots=True)
class Watching(Policy):
    """Note the kinds of each change that is asked for."""

    name: ClassVar[str] = "test"
    seen: ClassVar[list[tuple[str, ChangeKind]]] = []

    def change_gate(self, change: Change, view: LayoutView) -> Decision:
        self.seen.append((change.operation.value, change.kinds))
        return Proceed()


def test_what_a_change_would_do_to_the_file(play: Play) -> None:
    """As the file is at that moment: blocks, and its size."""
    Watching.seen.clear()
    play(
        Watching(),
        seeds=(),
        head='[[file]]\npath = "/f"',
        a="""
fd = open("/f", O_RDWR)
write(fd, "x")                                                  # -> 1 (into a hole, and behind the end)
lseek(fd, 0)
write(fd, "y")                                                  # -> 1 (in place)
ftruncate(fd, 3 * PAGE)
ftruncate(fd, 2 * PAGE)
ftruncate(fd, 5)
ftruncate(fd, 0)
fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 2 * PAGE)
ftruncate(fd, PAGE)
ftruncate(fd, 2 * PAGE)
fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE)
fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, PAGE)
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1, PAGE)
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2 * PAGE)
""",
    )
    a, s, m = ChangeKind.ADDITIVE, ChangeKind.SUBTRACTIVE, ChangeKind.MOVING
    longer, shorter, nothing = ChangeKind.EXTENDING, ChangeKind.SHRINKING, ChangeKind(0)
    assert Watching.seen == [
        ("write", a | longer),
        ("write", nothing),
        ("truncate", longer),
        ("truncate", shorter),
        ("truncate", shorter),
        ("truncate", s | shorter),
        ("fallocate", a),
        ("truncate", longer),
        ("truncate", longer),
        ("collapse", s | m | shorter),
        ("insert", m | longer),
        ("punch", nothing),
        ("punch", s),
    ]


def test_a_file_system_says_what_no_extent_map_shows(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Delayed allocation and sharing are its own doing."""
    delaying = replace(FILE_SYSTEMS["xfs"], kinds={LayoutOperation.WRITE: ChangeKind.ETHEREAL})
    monkeypatch.setitem(FILE_SYSTEMS, "xfs", delaying)
    Watching.seen.clear()
    play(Watching(), seeds=(), a='fd = open("/f", O_RDWR)\nwrite(fd, "x")')
    assert Watching.seen == [("write", ChangeKind.ETHEREAL)]


@dataclass(frozen=True, slots=True)
class NoChanges(Policy):
    """Nothing may change a layout."""

    name: ClassVar[str] = "test"
    errnos: ClassVar[dict[str, frozenset[str]]] = layout_errnos("EXFULL")

    def change_gate(self, change: Change, view: LayoutView) -> Decision:
        return Fail(errno.EXFULL)


def test_every_call_that_changes_a_layout_fails_as_the_policy_says(play: Play) -> None:
    """One that is not in the list of those calls would violate O7 here."""
    changes = {
        "copy_file_range": "copy_file_range(a, 0, b, 0, PAGE)",
        "fallocate": "fallocate(b, 0, 0, PAGE)",
        "ficlonerange": "ficlonerange(b, a, 0, PAGE, 0)",
        "fideduperange": "fideduperange(a, 0, PAGE, b, 0)",
        "ftruncate": "ftruncate(b, 0)",
        "ioctl": "ioctl(b, FICLONE, a)",
        "open": 'open("/b", O_RDWR | O_TRUNC)',
        "pwrite": 'pwrite(b, "x", 0)',
        "pwritev": "pwritev(b, buf, PAGE, 0)",
        "truncate": 'truncate("/b", 0)',
        "write": 'write(b, "x")',
    }
    assert tuple(changes) == LAYOUT_CALLS
    files = "".join(f'[[file]]\npath = "/{name}"\nsize = "PAGE"\n' for name in "ab")
    head = (
        'a = open("/a", O_RDWR)\nb = open("/b", O_RDWR)\nbuf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, a, 0)\n'
    )
    for call in changes.values():
        play(NoChanges(), head=files, seeds=(), a=f"{head}{call}    # -> EXFULL\n")


@dataclass(frozen=True, slots=True)
class Backwards(Policy):
    """A dying process closes its descriptors from the highest number down."""

    name: ClassVar[str] = "test"

    def on_exit(self, fds: tuple[int, ...]) -> tuple[int, ...]:
        return fds[::-1]


@pytest.mark.parametrize(("policy", "first"), [(Policy(), "f"), (Backwards(), "g")])
def test_a_policy_says_in_which_order_an_exit_closes_descriptors(play: Play, policy: Policy, first: str) -> None:
    """By number, if it says nothing; each waits for the lock of one of them [1.1]."""
    waits = "wait_for('locked')\nfd = open('/{0}', O_RDWR)\nlabel('{0}')\nflock(fd, LOCK_EX)     # -> blocks, 0\n"
    run = play(
        policy,
        seeds=(),
        head='[[file]]\npath = "/f"\nsize = "0"\n[[file]]\npath = "/g"\nsize = "0"\n',
        a="one = open('/f', O_RDWR)\ntwo = open('/g', O_RDWR)\nflock(one, LOCK_EX)\nflock(two, LOCK_EX)\n"
        "label('locked')\nwait_for('f')\nwait_for('g')\nsleep(1)\nexit(0)\n",
        f=waits.format("f"),
        g=waits.format("g"),
    )
    calls = [event.process.name for event in run.result.events if isinstance(event, CallReturned)]
    assert [name for name in calls if name != "a"][-2] == first
