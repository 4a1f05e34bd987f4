"""Mistakes planted in P2 and P3: exploration finds each on a scenario that holds, in every schedule, without it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from quality.planted import CONNECTED, explored, subject_of

from longpin.actors.fs.layout_guard import LayoutGuard
from longpin.actors.kernel.file_system import LayoutOperation
from longpin.actors.locks import Hold
from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import Decision, Proceed, Update
from longpin.actors.policies.ebusy import FailIfPinned
from longpin.actors.policies.sealed_inode import SealedInode
from longpin.actors.policies.views import Change, LayoutView, Range
from longpin.messages.fs.mapping import MappingView
from longpin.runner.result import Verdict

Plant = Callable[[pytest.MonkeyPatch], None]


# Mistakes of P2.


def a_scan_without_the_mmap_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write looks for pins and then copies, and a pin may come in between."""
    consult = LayoutGuard.consult

    def planted(self: LayoutGuard, decide: Any, wanted: Any = None, io: Any = None, mm: Any = None) -> Any:
        yield from consult(self, decide, wanted, io, mm if isinstance(mm, Hold) and mm.held else None)

    monkeypatch.setattr(LayoutGuard, "consult", planted)


def _change_gate_with(kind: type[Policy], planted: Callable[[Change, LayoutView], Change | Decision]) -> Plant:
    """Return what has a policy see a change as another one, or give an answer without looking."""
    change_gate = kind.change_gate

    def gate(self: Policy, change: Change, view: LayoutView) -> Decision:
        seen = planted(change, view)
        return change_gate(self, seen, view) if isinstance(seen, Change) else seen

    return lambda monkeypatch: monkeypatch.setattr(kind, "change_gate", gate)


def files_that_nobody_maps_are_not_looked_at(change: Change, view: LayoutView) -> Change | Decision:
    """As Linux 5.4."""
    return change if view.mappings else Proceed()


def pages_that_move_are_not_looked_at(change: Change, _view: LayoutView) -> Change | Decision:
    """Of collapse, only the pages that are freed."""
    collapses = change.operation is LayoutOperation.COLLAPSE_RANGE
    return change._replace(range=Range(change.range.first, change.range.first)) if collapses else change


def clones_are_not_looked_at(change: Change, _view: LayoutView) -> Change | Decision:
    """Nothing moves yet."""
    return Proceed() if change.operation is LayoutOperation.CLONE_FROM else change


def stores_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page fault copies, as write(2) does."""
    monkeypatch.setattr(FailIfPinned, "fault_gate", Policy.fault_gate)


# Mistakes of P3.


def a_copy_of_a_mapping_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by fork nor by a split."""
    monkeypatch.setattr(SealedInode, "on_vma_open", Policy.on_vma_open)


def every_mapping_counts_when_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The close of vm_operations is called for ordinary mappings too."""

    def planted(self: SealedInode, mapping: MappingView, view: LayoutView) -> Update:
        state: Any = view.state
        return Update(type(state)(max(state.mapdcount - 1, 0)))

    monkeypatch.setattr(SealedInode, "on_vma_close", planted)


def who_may_seal_is_exempt(change: Change, _view: LayoutView) -> Change | Decision:
    """Its own change of what it has pinned."""
    return Proceed() if "CAP_LINUX_IMMUTABLE" in change.caller.capabilities else change


def sharing_is_no_change(change: Change, _view: LayoutView) -> Change | Decision:
    """A clone frees nothing."""
    return Proceed() if change.operation is LayoutOperation.CLONE_FROM else change


# Scenarios.


REGISTER = "mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)\n"
WRITE = 'ibv_post_send(qp, IBV_WR_RDMA_WRITE, "from the NIC", mr, 0)\nibv_get_cq_event(cq)\n'


def story(policy: str, flags: str = "MAP_SHARED", then: str = "", page: int = 0, **others: str) -> str:
    """Return a scenario of a process that pins a page of a file of two, does something, and writes there."""
    opens = 'fd = open("/f", O_RDWR)\n'
    maps = f"buf = mmap(PAGE, PROT_READ | PROT_WRITE, {flags}, fd, {page} * PAGE)\n"
    programs = {"app": CONNECTED + opens + maps + REGISTER + then + "label('pinned')\n" + WRITE} | others
    text = f'name = "planted"\npolicy = "{policy}:intended"\n[[pmem]]\nname = "p"\nblocks = 4\n'
    text += '[[file]]\npath = "/f"\nsize = "2 * PAGE"\n'
    for name, program in programs.items():
        start = 'start = "fork"\n' if name == "child" else ""
        text += f"[[process]]\nname = \"{name}\"\n{start}program = '''\n{program}'''\n"
    return text


TRUNCATES = "wait_for('pinned')\ntruncate('/f', 0)\n"
CLONES = "wait_for('pinned')\nc = open('/c', O_RDWR | O_CREAT)\nf = open('/f', O_RDONLY)\nioctl(c, FICLONE, f)\n"
DIRECT = "MAP_SHARED | MAP_DIRECT"

COPIES = (
    'name = "planted"\npolicy = "P2:intended"\n[[pmem]]\nname = "p"\nblocks = 4\n[[file]]\npath = "/f"\nsize = "PAGE"\n'
    f"""
[[process]]
name = "app"
program = '''{CONNECTED}
to = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
local = ibv_reg_mr(pd, to, PAGE, IBV_ACCESS_LOCAL_WRITE)
fd = open("/f", O_RDWR)
c = open("/c", O_RDWR | O_CREAT)
ioctl(c, FICLONE, fd)
buf = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
label("cloned")
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_REMOTE_READ)
ibv_post_send(qp, IBV_WR_RDMA_READ, local, mr, 0, 3)
ibv_get_cq_event(cq)
'''
[[process]]
name = "writer"
program = '''
wait_for("cloned")
fd = open("/f", O_RDWR)
pwrite(fd, "new", 0)
'''
"""
)
STORES = COPIES.replace(
    'pwrite(fd, "new", 0)', 'm = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)\nstore(m, "new")'
)


class Mistake(NamedTuple):
    """A planted mistake and what shows it."""

    name: str
    plant: Plant
    scenario: str
    rule: str
    heavy: bool = False


def _of(kind: type[Policy], planted: Callable[[Change, LayoutView], Change | Decision]) -> tuple[str, Plant]:
    return planted.__name__, _change_gate_with(kind, planted)


MISTAKES = [
    Mistake("a_scan_without_the_mmap_lock", a_scan_without_the_mmap_lock, COPIES, "O1"),
    Mistake("stores_are_not_looked_at", stores_are_not_looked_at, STORES, "O1"),
    Mistake(
        *_of(FailIfPinned, files_that_nobody_maps_are_not_looked_at),
        story("P2", then="munmap(buf, PAGE)\n", other=TRUNCATES),
        "O1",
    ),
    Mistake(
        *_of(FailIfPinned, pages_that_move_are_not_looked_at),
        story(
            "P2",
            page=1,
            other="wait_for('pinned')\nf = open('/f', O_RDWR)\nfallocate(f, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE)\n",
        ),
        "O1",
    ),
    Mistake(*_of(FailIfPinned, clones_are_not_looked_at), story("P2", other=CLONES), "O1'"),
    Mistake(
        "a_copy_of_a_mapping_is_not_counted",
        a_copy_of_a_mapping_is_not_counted,
        story("P3", DIRECT, then='fork("child")\n', child="munmap(buf, PAGE)\n", other=TRUNCATES),
        "O1",
        heavy=True,
    ),
    Mistake(
        "every_mapping_counts_when_it_goes",
        every_mapping_counts_when_it_goes,
        story(
            "P3",
            DIRECT,
            other="fd = open('/f', O_RDONLY)\nm = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)\nmunmap(m, PAGE)\n"
            + TRUNCATES,
        ),
        "O1",
    ),
    Mistake(
        *_of(SealedInode, who_may_seal_is_exempt),
        story("P3", DIRECT, other=TRUNCATES),
        "O1",
    ),
    Mistake(*_of(SealedInode, sharing_is_no_change), story("P3", DIRECT, other=CLONES), "O1'"),
]


@pytest.mark.parametrize(
    "mistake",
    [pytest.param(each, marks=[pytest.mark.heavy] if each.heavy else [], id=each.name) for each in MISTAKES],
)
def test_exploration_finds_it_and_nothing_without_it(mistake: Mistake, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = subject_of(mistake.scenario)
    result = explored(subject, "states")
    assert (result.verdict, result.complete) == (Verdict.HOLDS, True), result.failures
    mistake.plant(monkeypatch)
    result = explored(subject, "dpor")
    (failure,) = result.failures
    assert failure.broken.rule == mistake.rule
