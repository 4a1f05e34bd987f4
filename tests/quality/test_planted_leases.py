"""Mistakes planted into P5 and P6: exploration finds each on a scenario that holds, in every schedule, without it."""

import errno
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from quality.planted import explored, subject_of

from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import Allow, Decision, Fail, Proceed, Scan
from longpin.actors.policies.exclusive_lease import ExclusiveLease
from longpin.actors.policies.layout_lease_v1 import LayoutLeaseV1
from longpin.actors.policies.views import Change, LayoutView, LeaseView
from longpin.messages.envelope import Address
from longpin.messages.fs.mapping import PinRequest
from longpin.messages.process.caller import Caller
from longpin.runner.result import Verdict

# P6.


def pins_hold_nothing(
    self: ExclusiveLease, request: PinRequest, view: LayoutView, gate: Callable[..., Allow | Fail]
) -> Allow | Fail:
    """A pin does not hold the leased description: the last close ends the lease."""
    allowed = gate(self, request, view)
    return Allow() if isinstance(allowed, Allow) else allowed


def zombies_are_forgotten(
    self: ExclusiveLease, change: Change, view: LayoutView, gate: Callable[..., Decision]
) -> Decision:
    """A change walks past the leases whose descriptors are gone."""
    return gate(self, change, view._replace(leases=tuple(lease for lease in view.leases if not lease.zombie)))


def holds_are_kept(
    self: ExclusiveLease, holds: tuple[Address, ...], others: tuple[Address, ...], gate: Callable[..., Any]
) -> tuple[Address, ...]:
    """A region that dies keeps what it held."""
    return ()


def numbers_are_compared(self: ExclusiveLease, lease: LeaseView, caller: Caller, gate: Callable[..., bool]) -> bool:
    """The holder is whoever has the number."""
    return lease.tgid == caller.tgid


# P5.


def pages_are_not_asked(
    self: LayoutLeaseV1, change: Change, view: LayoutView, gate: Callable[..., Decision]
) -> Decision:
    """When the leases are gone the change goes on, without a look at the pages."""
    decision = gate(self, change, view)
    return Proceed() if isinstance(decision, Scan) else decision


def pages_are_asked_first(
    self: LayoutLeaseV1, change: Change, view: LayoutView, gate: Callable[..., Decision]
) -> Decision:
    """Pins fail a change before their holder was told of it."""
    if view.pins is None and view.layout_leases and not any(lease.breaking for lease in view.layout_leases):
        return Scan(change.range)
    return Fail(errno.ETXTBSY) if view.pins else gate(self, change, view._replace(pins=None))


def everybody_pins(
    self: LayoutLeaseV1, request: PinRequest, view: LayoutView, gate: Callable[..., Allow | Fail]
) -> Allow | Fail:
    """A pin needs no lease."""
    return Allow()


def unlocking_does_not_wait(
    self: LayoutLeaseV1, lease: LeaseView, caller: Caller, view: LayoutView, gate: Callable[..., Decision]
) -> Decision:
    """F_UNLCK gives the lease up although there are pins."""
    return Proceed()


class Mistake(NamedTuple):
    """A mistake in one hook, and where exploration finds it."""

    policy: type[Policy]
    hook: str
    planted: Callable[..., Any]
    scenario: str
    """A shipped one, or the text."""
    chosen: str
    """The policy with its preset."""
    rule: str


UNLOCKS = """
name = "unlocks"
policy = "P5:k1_kill"

[[file]]
path = "/f"
size = "PAGE"

[[process]]
name = "app"
program = '''
ctx = ibv_open_device("rxe0")
pd  = ibv_alloc_pd(ctx)
fd  = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
fcntl(fd, F_SETLEASE, F_LAYOUT)                             # -> 0
mr  = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)     # -> ok
fork("worker")
fcntl(fd, F_SETLEASE, F_UNLCK)                              # -> 0
label("unlocked")
pause()
'''

[[process]]
name = "worker"
start = "fork"
program = '''
ibv_dereg_mr(mr)                                            # -> 0
'''

[[process]]
name = "truncater"
program = '''
wait_for("unlocked")
truncate("/f", 0)                                           # -> 0
'''
"""

MISTAKES = [
    Mistake(ExclusiveLease, "pin_gate", pins_hold_nothing, "zombie-lease", "P6:intended", "O7"),
    Mistake(ExclusiveLease, "change_gate", zombies_are_forgotten, "zombie-lease", "P6:intended", "O7"),
    Mistake(ExclusiveLease, "on_unpin", holds_are_kept, "zombie-lease", "P6:intended", "O7"),
    Mistake(ExclusiveLease, "_is_holder", numbers_are_compared, "number-used-again", "P6:intended", "O7"),
    Mistake(LayoutLeaseV1, "change_gate", pages_are_not_asked, "layout-lease-ignored", "P5:intended", "O7"),
    Mistake(LayoutLeaseV1, "change_gate", pages_are_asked_first, "layout-lease-answered", "P5:intended", "O7"),
    Mistake(LayoutLeaseV1, "pin_gate", everybody_pins, "layout-lease-ignored", "P5:intended", "O7"),
    Mistake(LayoutLeaseV1, "unlck_gate", unlocking_does_not_wait, UNLOCKS, "P5:k1_kill", "O7"),
]


def named(mistake: Mistake) -> str:
    return mistake.planted.__name__


@pytest.mark.parametrize(
    ("scenario", "chosen"),
    dict.fromkeys((mistake.scenario, mistake.chosen) for mistake in MISTAKES),
    ids=lambda text: text.strip().split("\n")[0],
)
def test_without_a_mistake_every_schedule_holds(scenario: str, chosen: str) -> None:
    result = explored(subject_of(scenario, chosen), "states")
    assert (result.verdict, result.complete) == (Verdict.HOLDS, True), result.failures


@pytest.mark.parametrize("mistake", MISTAKES, ids=named)
def test_exploration_finds_it(mistake: Mistake, monkeypatch: pytest.MonkeyPatch) -> None:
    original = getattr(mistake.policy, mistake.hook)

    def planted(self: Policy, *arguments: Any) -> Any:
        return mistake.planted(self, *arguments, original)

    monkeypatch.setattr(mistake.policy, mistake.hook, planted)
    (failure,) = explored(subject_of(mistake.scenario, mistake.chosen), "states").failures
    assert failure.broken.rule == mistake.rule
