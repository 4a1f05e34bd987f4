"""Mistakes planted in P7, in P8 and in knfsd: exploration finds each on a scenario that holds without it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from quality.planted import CONNECTED, explored, subject_of
from quality.test_planted import without_a_second_look

from longpin.actors.conversation import Call, Conversation
from longpin.actors.fs.inode_layouts import InodeLayouts
from longpin.actors.fs.nfs_layout import NfsLayout
from longpin.actors.policies.decisions import Allow, Decision, Fail, Proceed
from longpin.actors.policies.set_layout import SetLayout
from longpin.actors.policies.strict import Strict
from longpin.actors.policies.views import CloseRequest, LayoutView, LeaseRequest, LeaseView
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.layout import LayoutReturned
from longpin.messages.fs.lease import Drop
from longpin.messages.fs.mapping import PinRequest
from longpin.messages.mm.memory import Pin
from longpin.messages.process.caller import Caller
from longpin.runner.result import Verdict
from longpin.runner.subject import Subject

Patch = pytest.MonkeyPatch


# P7.


def a_pin_holds_nothing(monkeypatch: Patch) -> None:
    """The description may go before the pins, and the layout with it."""
    pin_gate = SetLayout.pin_gate

    def planted(self: SetLayout, request: PinRequest, view: LayoutView) -> Allow | Fail:
        answer = pin_gate(self, request, view)
        return Allow() if isinstance(answer, Allow) else answer

    monkeypatch.setattr(SetLayout, "pin_gate", planted)


def a_layout_is_given_up_with_pins(monkeypatch: Patch) -> None:
    """F_UNLCK does not look at pins."""

    def planted(self: SetLayout, lease: LeaseView, caller: Caller, view: LayoutView) -> Decision:
        return Proceed()

    monkeypatch.setattr(SetLayout, "unlck_gate", planted)


def a_layout_is_converted_while_it_is_broken(monkeypatch: Patch) -> None:
    """Who breaks it waits for a time that is running already, and then nothing protects the pins."""

    def planted(self: SetLayout, lease: LeaseView, wanted: LeaseRequest) -> LeaseRequest | Fail:
        return wanted

    monkeypatch.setattr(SetLayout, "change_lease", planted)


CLOSES = """
{connected}fd  = open("/f", O_RDWR)
fcntl(fd, F_SETLAYOUT, F_RDLCK | F_UNBREAK)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr  = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)
munmap(buf, PAGE)
{then}
label("pinned")
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "from the NIC", mr, 0)
ibv_get_cq_event(cq)
"""

CONVERTS = """
sigprocmask(SIG_BLOCK, SIGIO)
{connected}fd  = open("/f", O_RDWR)
fcntl(fd, F_SETLAYOUT, F_WRLCK)
label("pinned")
fcntl(fd, F_SETLAYOUT, F_RDLCK | F_UNBREAK)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr  = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)
munmap(buf, PAGE)
sleep(60)
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "from the NIC", mr, 0)
sleep(1)
"""


# P8.


def orphans_are_forgotten(monkeypatch: Patch) -> None:
    """Pins that nobody has a lease for any more are not looked for."""

    def planted(self: Strict, view: LayoutView, pins: tuple[Pin, ...]) -> None:
        return None

    monkeypatch.setattr(Strict, "_end_orphans", planted)
    monkeypatch.setattr(Strict, "_ask_pages", lambda self, change, view: Proceed())


def a_dying_process_waits_for_its_pins(monkeypatch: Patch) -> None:
    """Its device is closed after its file: the pins cannot go."""
    flush_gate = Strict.flush_gate

    def planted(self: Strict, close: CloseRequest, view: LayoutView) -> Decision:
        return flush_gate(self, close._replace(exiting=False), view)

    monkeypatch.setattr(Strict, "flush_gate", planted)


SHARES = """
{connected}fork("child")
fd  = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_LAYOUT)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr  = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)
label("pinned", mr)
"""

CHILD = """
[[process]]
name = "child"
start = "fork"
program = '''
mr = wait_for("pinned")
wait_for("truncated")
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "from the NIC", mr, 0)
ibv_get_cq_event(cq)
'''
"""

EXITS = """
fd  = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_LAYOUT)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ctx = ibv_open_device("rxe0")
pd  = ibv_alloc_pd(ctx)
mr  = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
label("pinned")
"""


# knfsd.


def no_fence(monkeypatch: Patch) -> None:
    """The layout counts as returned, and the client is not told."""

    def planted(self: NfsLayout) -> Conversation[None]:
        self.disposed = True
        yield Call(self.inode, LayoutReturned(self.address))

    monkeypatch.setattr(NfsLayout, "_recall_failed", planted)


def a_fence_does_not_wait(monkeypatch: Patch) -> None:
    """An access may be on its way when the blocks go."""

    def fence(self: NfsLayout) -> Conversation[None]:
        self.fenced = True
        yield Call(self.inode, LayoutReturned(self.address))

    def drop(self: NfsLayout, _request: Drop, _src: Address) -> Done:
        self.gone = True
        return DONE

    monkeypatch.setattr(NfsLayout, "_fence", fence)
    monkeypatch.setitem(NfsLayout.handlers, Drop, drop)


def shared_files_have_layouts(monkeypatch: Patch) -> None:
    """A client that was told of a shared block writes into it."""

    def planted(self: InodeLayouts) -> Conversation[None]:
        yield from ()

    monkeypatch.setattr(InodeLayouts, "_refuse_shared", planted)


CLIENT = """
fd = open("/f", O_RDWR)
lo = layoutget(fd, 1)
layout_write(lo, "a", 0)
label("pinned")
cb_layoutrecall(lo)
{then}
layout_write(lo, "b", 0)
"""

SNAPSHOT = """
fd = open("/f", O_RDWR)
to = open("/g", O_RDWR | O_CREAT, 0o600)
ioctl(to, FICLONE, fd)
lo = layoutget(fd)
layout_read(lo, 1, 0)
layout_write(lo, "b", 0)
"""


class Mistake(NamedTuple):
    """A planted mistake and what shows it."""

    plant: Callable[[Patch], None]
    policy: str
    program: str
    rule: str
    racy: bool = False
    more: str = ""
    late: str = ""
    """What the truncater does after it."""


MISTAKES = [
    Mistake(a_pin_holds_nothing, "P7:as_posted", CLOSES.format(connected=CONNECTED, then="close(fd)"), "O1"),
    Mistake(
        a_layout_is_given_up_with_pins,
        "P7:as_posted",
        CLOSES.format(connected=CONNECTED, then="fcntl(fd, F_SETLAYOUT, F_UNLCK)"),
        "O1",
    ),
    Mistake(a_layout_is_converted_while_it_is_broken, "P7:as_posted", CONVERTS.format(connected=CONNECTED), "O1"),
    Mistake(
        orphans_are_forgotten,
        "P8:intended",
        SHARES.format(connected=CONNECTED),
        "O1",
        more=CHILD,
        late='label("truncated")',
    ),
    Mistake(
        without_a_second_look,
        "P8:intended",
        SHARES.format(connected=CONNECTED) + "sleep(1000)\n",
        "O1",
        more=CHILD,
        late='label("truncated")',
    ),
    Mistake(a_dying_process_waits_for_its_pins, "P8:intended", EXITS, "O3"),
    Mistake(no_fence, "P1:intended", CLIENT.format(then="sleep(3)"), "O1"),
    Mistake(a_fence_does_not_wait, "P1:intended", CLIENT.format(then=""), "O1", racy=True),
    Mistake(shared_files_have_layouts, "P1:intended", SNAPSHOT, "O1'"),
]


def scenario_of(mistake: Mistake) -> str:
    text = f"""
name = "{mistake.plant.__name__}"
policy = "{mistake.policy}"

[[file]]
path = "/f"
size = "PAGE"

[[process]]
name = "app"
program = '''{mistake.program}'''
{mistake.more}
"""
    if "label" in mistake.program:
        truncates = f'wait_for("pinned")\ntruncate("/f", 0)\n{mistake.late}'
        text += f"[[process]]\nname = \"truncater\"\nprogram = '''\n{truncates}\n'''\n"
    return text


def subject(mistake: Mistake) -> Subject:
    return subject_of(scenario_of(mistake), racy=mistake.racy)


def named(mistake: Any) -> str:
    return str(mistake.plant.__name__)


DEAR = (orphans_are_forgotten, without_a_second_look)
"""Without these there is much to explore: some 20 seconds each."""


@pytest.mark.parametrize(
    "mistake",
    [pytest.param(one, marks=[pytest.mark.heavy] if one.plant in DEAR else []) for one in MISTAKES],
    ids=named,
)
def test_without_it_every_schedule_holds(mistake: Mistake) -> None:
    result = explored(subject(mistake), "states")
    assert (result.verdict, result.complete) == (Verdict.HOLDS, True), result.failures


@pytest.mark.parametrize("mistake", MISTAKES, ids=named)
def test_exploration_finds_it(mistake: Mistake, monkeypatch: Patch) -> None:
    mistake.plant(monkeypatch)
    result = explored(subject(mistake), "dpor")
    (failure,) = result.failures
    assert failure.broken.rule == mistake.rule
