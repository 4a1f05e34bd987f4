"""Mistakes planted in P0 and in the base rules that P1 is made of: exploration finds each, and nothing without it."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from quality.planted import CONNECTED, subject_of

from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import Answer, Decision, Fail, Proceed, Scan, WaitFor
from longpin.actors.policies.reject import Reject
from longpin.actors.policies.views import Change, LayoutView, Range
from longpin.actors.policies.wait import WaitForIdle
from longpin.messages.fs.mapping import Memory, PinRequest
from longpin.runner.exploration import explore
from longpin.runner.result import Verdict

Plant = Callable[[pytest.MonkeyPatch], None]
DATA = Path(__file__).resolve().parents[1] / "data"

READING = """
name = "reading"
[[file]]
path = "/f"
size = "PAGE"
[[process]]
name = "app"
program = '''
ctx = ibv_open_device("rxe0")
pd  = ibv_alloc_pd(ctx)
fd  = open("/f", O_RDONLY)
buf = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_REMOTE_READ)  # -> EOPNOTSUPP
'''
[[process]]
name = "other"
program = "truncate('/f', 0)"
"""
TWO_PINS = f"""
name = "two-pins"
holds = ["O1", "O1'", "O2", "O6", "O7"]
[[file]]
path = "/f"
size = "2 * PAGE"
[[process]]
name = "app"
program = '''
{CONNECTED}fd  = open("/f", O_RDWR)
buf = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
one = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
two = ibv_reg_mr(pd, buf + PAGE, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)
label("pinned")
ibv_dereg_mr(one)
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "DMA", two, 0)
pause()
'''
[[process]]
name = "other"
program = '''
wait_for("pinned")
truncate("/f", 0)                                  # -> hangs
'''
"""


def _gate(planted: Callable[[PinRequest], Answer | None]) -> Plant:
    longterm_gate = Reject.longterm_gate

    def gate(self: Reject, request: PinRequest) -> Answer:
        answer = planted(request)
        return longterm_gate(self, request) if answer is None else answer

    return lambda monkeypatch: monkeypatch.setattr(Reject, "longterm_gate", gate)


def pins_for_reading_are_allowed(request: PinRequest) -> Answer | None:
    """They change nothing in the file."""
    return None if request.write else Proceed()


def another_errno(request: PinRequest) -> Answer | None:
    """EPERM, as of the later proposals."""
    return Fail(errno.EPERM) if request.memory is Memory.FS_DAX else None


def who_may_lock_memory_may_pin(request: PinRequest) -> Answer | None:
    """CAP_IPC_LOCK lifts the limit, and nothing else."""
    return Proceed() if "CAP_IPC_LOCK" in request.caller.capabilities else None


def _changes(planted: Callable[[WaitForIdle, Change, LayoutView], Decision]) -> Plant:
    return lambda monkeypatch: monkeypatch.setattr(WaitForIdle, "change_gate", planted)


def one_look_is_enough(policy: WaitForIdle, change: Change, view: LayoutView) -> Decision:
    """One pin is waited for, and then the change is made."""
    decision = Policy.change_gate(policy, change, view)
    return WaitFor(decision.pins[:1]) if isinstance(decision, WaitFor) and len(decision.pins) > 1 else _last(decision)


def _last(decision: Decision) -> Decision:
    return Proceed() if isinstance(decision, WaitFor) else decision


def only_the_first_page(policy: WaitForIdle, change: Change, view: LayoutView) -> Decision:
    """The scan looks at the first page of the range."""
    decision = Policy.change_gate(policy, change, view)
    return Scan(Range(change.range.first, change.range.first)) if isinstance(decision, Scan) else decision


def nobody_is_waited_for(policy: WaitForIdle, change: Change, view: LayoutView) -> Decision:
    """Pins are found, and the change is made."""
    return _last(Policy.change_gate(policy, change, view))


class Planted(NamedTuple):
    """A mistake, and the scenario on which it is found."""

    plant: Plant
    text: str
    policy: str
    rules: frozenset[str]


REFUSED = (Path(__file__).resolve().parents[2] / "config" / "scenarios" / "pin-refused.toml").read_text()
PUNCH = (DATA / "matrix" / "punch-by-another.toml").read_text()
O7 = frozenset({"O7"})
STRAY = frozenset({"O1", "O7"})
PLANTED = {
    "pins for reading are allowed": Planted(_gate(pins_for_reading_are_allowed), READING, "P0", O7),
    "another errno": Planted(_gate(another_errno), REFUSED, "P0", O7),
    "who may lock memory may pin": Planted(_gate(who_may_lock_memory_may_pin), REFUSED, "P0", O7),
    "one look is enough": Planted(_changes(one_look_is_enough), TWO_PINS, "P1", STRAY),
    "only the first page": Planted(_changes(only_the_first_page), TWO_PINS, "P1", STRAY),
    "nobody is waited for": Planted(_changes(nobody_is_waited_for), PUNCH, "P1", STRAY),
}


def explored(planted: Planted) -> tuple[Verdict, str]:
    """Return what exploring shows, and the rule that is broken."""
    subject = subject_of(planted.text, planted.policy)
    found = explore(
        subject.build, always=subject.always, check=subject.check, marks=subject.marks, wanted=subject.wanted
    )
    return found.verdict, found.failures[0].broken.rule if found.failures else ""


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_mistake_is_found(monkeypatch: pytest.MonkeyPatch, mistake: str) -> None:
    planted = PLANTED[mistake]
    assert explored(planted) == (Verdict.HOLDS, "")
    planted.plant(monkeypatch)
    verdict, rule = explored(planted)
    assert verdict is Verdict.VIOLATED
    assert rule in planted.rules
