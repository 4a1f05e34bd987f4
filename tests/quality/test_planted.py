"""Three planted bugs: exploration and sampling find each on a scenario that holds, in every schedule, without it."""

import errno
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NamedTuple

import pytest
from quality.planted import CONNECTED, explored, subject_of

from longpin.actors.base import Actor
from longpin.actors.conversation import Call, Conversation, WaitQueue
from longpin.actors.fs.layout_guard import LayoutGuard
from longpin.actors.policies import POLICIES
from longpin.actors.policies.decisions import Allow, BreakLeases, Decision, Fail, Proceed, WaitFor
from longpin.actors.policies.layout_lease_v1 import LayoutLeaseV1
from longpin.actors.policies.views import Change, LayoutView
from longpin.actors.rdma.objects import Region
from longpin.actors.rdma.uverbs import UverbsContext
from longpin.messages.fs.file import Put, Release
from longpin.messages.fs.mapping import PinRequest
from longpin.runner.result import Verdict
from longpin.runner.sampling import stress
from longpin.runner.subject import Subject


@dataclass(frozen=True, slots=True)
class PinsHoldTheLease(LayoutLeaseV1):
    """A pin holds the description that holds the lease, and whoever finds a lease changes nothing.

    So nobody looks at pages: a lease must not go before the pins it stands for [4.7, 4.9 rule 5].
    """

    name: ClassVar[str] = "P99"
    alias: ClassVar[str] = "pins-hold-the-lease"

    def pin_gate(self, request: PinRequest, view: LayoutView) -> Allow | Fail:
        held = next((lease.ofd for lease in view.layout_leases if lease.tgid == request.caller.tgid), None)
        return Fail(errno.EPERM) if held is None else Allow(held)

    def change_gate(self, change: Change, view: LayoutView) -> Decision:
        return Fail(errno.ETXTBSY) if view.layout_leases else Proceed()


def without_a_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has waited goes on without asking the policy again, though the locks were dropped meanwhile."""
    consult = LayoutGuard.consult

    def planted(
        self: LayoutGuard, decide: Callable[[LayoutView], Decision], *rest: Any, **options: Any
    ) -> Conversation[None]:
        waited: list[bool] = []

        def once(view: LayoutView) -> Decision:
            if waited:
                return Proceed()
            decision = decide(view)
            if isinstance(decision, BreakLeases | WaitFor):
                waited.append(True)
            return decision

        yield from consult(self, once, *rest, **options)

    monkeypatch.setattr(LayoutGuard, "consult", planted)


def lease_before_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deregistration lets go of the lease, and only then unpins."""
    deregister = UverbsContext._deregister

    def planted(self: UverbsContext, handle: int, region: Region) -> Conversation[None]:
        registration = region.request.registration
        for ofd in registration.holds:
            if (yield Call(ofd, Put(pin=True))).last:
                yield Call(ofd, Release(exiting=False))
        region.request = replace(region.request, registration=registration._replace(holds=()))
        yield from deregister(self, handle, region)

    monkeypatch.setattr(UverbsContext, "_deregister", planted)


def one_waiter_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several sleepers the last is not woken."""

    def planted(self: WaitQueue, actor: Actor) -> None:
        forgotten = [self.sleepers.pop()] if len(self.sleepers) > 1 else []
        while self.sleepers:
            actor.wake(self.sleepers.popleft().number)
        self.sleepers.extend(forgotten)

    monkeypatch.setattr(WaitQueue, "wake_all", planted)


PIN_AGAIN = f"""
name = "pin-again"
policy = "P1:intended"

[[file]]
path = "/f"
size = "PAGE"

[[process]]
name = "app"
program = '''
{CONNECTED}fd  = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr  = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)
label("pinned")
ibv_dereg_mr(mr)
mr  = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "from the NIC", mr, 0)
'''

[[process]]
name = "truncater"
program = '''
wait_for("pinned")
truncate("/f", 0)
'''
"""

LEASE_AND_PIN = f"""
name = "lease-and-pin"
policy = "P99:intended"

[[file]]
path = "/f"
size = "PAGE"

[[process]]
name = "app"
program = '''
{CONNECTED}fd  = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_LAYOUT)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr  = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)   # -> ok
munmap(buf, PAGE)
close(fd)
label("pinned")
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "from the NIC", mr, 0)
ibv_dereg_mr(mr)
'''

[[process]]
name = "truncater"
program = '''
wait_for("pinned")
truncate("/f", 0)
'''
"""

TWO_WAITERS = """
name = "two-waiters"
policy = "P5:intended"

[[file]]
path = "/f"
size = "PAGE"

[[process]]
name = "holder"
program = '''
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_LAYOUT)
fork("one")
fork("other")
pause()
'''
on_signal.SIGIO = '''
fcntl(fd, F_SETLEASE, F_UNLCK)
'''

[[process]]
name = "one"
start = "fork"
program = '''
truncate("/f", 0)
'''

[[process]]
name = "other"
start = "fork"
program = '''
truncate("/f", 0)
'''
"""


class Bug(NamedTuple):
    """A planted bug and what shows it."""

    plant: Callable[[pytest.MonkeyPatch], None]
    scenario: str
    rule: str
    site: str
    """How the site begins; what follows depends on who comes first."""
    executions: int
    """``dpor`` finds it within so many executions."""
    runs: int
    """The portfolio finds it within so many runs."""


BUGS = [
    Bug(without_a_second_look, PIN_AGAIN, "O1", "writes inode:/f through its pin, a free block", 5_000, 2_000),
    Bug(lease_before_pin, LEASE_AND_PIN, "O1", "writes inode:/f through its pin, a free block", 500, 2_000),
    Bug(one_waiter_forgotten, TWO_WAITERS, "O3", "truncate of", 500, 500),
]


@pytest.fixture
def subject(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> Subject:
    monkeypatch.setitem(POLICIES, PinsHoldTheLease.name, PinsHoldTheLease)
    return subject_of(bug.scenario)


def named(bug: Bug) -> str:
    return bug.plant.__name__


def holds_in_every_schedule(subject: Subject, method: Literal["dpor", "states"]) -> None:
    result = explored(subject, method)
    assert (result.verdict, result.complete) == (Verdict.HOLDS, True), result.failures


@pytest.mark.parametrize(
    "bug",
    [pytest.param(bug, marks=pytest.mark.heavy) if bug.plant is one_waiter_forgotten else bug for bug in BUGS],
    ids=named,
)
def test_without_it_every_schedule_holds(subject: Subject) -> None:
    holds_in_every_schedule(subject, "states")


@pytest.mark.heavy
@pytest.mark.parametrize("bug", BUGS, ids=named)
def test_without_it_every_schedule_holds_one_by_one(subject: Subject) -> None:
    """Some 15,000 executions; ``pytest -m heavy tests/quality/test_planted.py``."""
    holds_in_every_schedule(subject, "dpor")


@pytest.mark.parametrize("bug", BUGS, ids=named)
def test_exploration_finds_it(bug: Bug, subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    bug.plant(monkeypatch)
    result = explored(subject, "dpor")
    (failure,) = result.failures
    assert failure.broken.rule == bug.rule
    assert failure.broken.site.startswith(bug.site)
    assert result.executions <= bug.executions


@pytest.mark.parametrize("bug", BUGS, ids=named)
@pytest.mark.parametrize("seed", [0, 10_000, 20_000])
def test_sampling_finds_it(bug: Bug, seed: int, subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    bug.plant(monkeypatch)
    campaign = stress(subject.build, check=subject.check, always=subject.always, runs=bug.runs, seed=seed)
    (failure,) = campaign.failures
    assert failure.broken.rule == bug.rule
    assert failure.broken.site.startswith(bug.site)
