"""Planted mistakes in what takes registrations back: exploration finds each on a scenario of its policy.

Three are of P4, three of P9; where time is to run out while something is under way timers are racy.
``tests/quality/test_planted.py`` has those of the base kernel.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from quality.planted import CONNECTED, explored, subject_of

from longpin.actors.conversation import Conversation
from longpin.actors.policies import POLICIES
from longpin.actors.policies.decisions import Allow, Fail, OnBreak, OnDeadline, RemoveLease
from longpin.actors.rdma.objects import Region
from longpin.actors.rdma.revocation import Revocation
from longpin.messages.rdma.revocation import RevokeRegion

Plant = Callable[[pytest.MonkeyPatch], None]


def policy_with(base: str, **hooks: Callable[..., Any]) -> Plant:
    """Return what puts another policy in the place of one: some hooks are given the answer and change it."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        right = POLICIES[base]

        def wrong(hook: str, change: Callable[..., Any]) -> Callable[..., Any]:
            return lambda self, *rest, **named: change(getattr(right, hook)(self, *rest, **named))

        made = type(right.__name__, (right,), {hook: wrong(hook, change) for hook, change in hooks.items()})
        monkeypatch.setitem(POLICIES, base, made)

    return plant


def without_revocation(answer: OnDeadline) -> OnDeadline:
    """Only the lease goes."""
    return answer._replace(actions=tuple(action for action in answer.actions if isinstance(action, RemoveLease)))


def nobody_acts(answer: OnBreak) -> OnBreak:
    """At the deadline the lease is overdue, as any lease, and who waits for it has it removed."""
    return answer._replace(work=False)


def without_a_lease(answer: Allow | Fail) -> Allow | Fail:
    """The registration relies on the lease of the mapping."""
    return answer if isinstance(answer, Fail) else answer._replace(grant=None)


def without_a_hold(answer: Allow | Fail) -> Allow | Fail:
    """The registration does not hold the description that its lease ends with."""
    return answer if isinstance(answer, Fail) else answer._replace(hold="")


def accesses_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is void, and who has looked it up already is not waited for."""

    def planted(self: Revocation, handle: int, region: Region, request: RevokeRegion) -> Conversation[None]:
        if request.unpin:
            yield from self._unpin_early(region)

    monkeypatch.setattr(Revocation, "_end_accesses", planted)


def the_unfinished_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is revoked before it is published is published all the same."""
    forgetful = property(lambda self: set(), lambda self, value: None)
    monkeypatch.setattr(Revocation, "early", forgetful, raising=False)


UNFINISHED = f"""
name = "unfinished"
policy = "P4:intended,version=v7"

[[file]]
path = "/pmem/data"
size = "PAGE"

[[process]]
name = "app"
program = '''
{CONNECTED}fd  = open("/pmem/data", O_RDWR)
sigprocmask(SIG_BLOCK, SIGIO)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_DIRECT, fd, 0)
label("mapped")
mr  = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)
wait_for("truncated")
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "stray", mr, 0)
'''

[[process]]
name = "truncater"
program = '''
wait_for("mapped")
truncate("/pmem/data", 0)
label("truncated")
'''
"""


IN_FLIGHT = f"""
name = "in-flight"
policy = "P9:intended,revoke_latency=0"

[[file]]
path = "/pmem/data"
size = "PAGE"

[[process]]
name = "app"
program = '''
{CONNECTED}fd  = open("/pmem/data", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr  = ibv_reg_mr_lease(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)
label("registered")
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "in flight", mr, 0)
pause()
'''

[[process]]
name = "truncater"
program = '''
wait_for("registered")
truncate("/pmem/data", 0)
'''
"""


class Bug(NamedTuple):
    """A planted mistake and what shows it."""

    name: str
    plant: Plant
    scenario: str
    """The name of a shipped one, or its text."""
    racy: bool
    rule: str
    site: str
    """How the site begins."""
    executions: int
    """``dpor`` finds it within so many."""


STRAY = "writes inode:/pmem/data through its pin, a free block"
ANSWERED = "registration-lease-answered"
BUGS = [
    Bug("not-fenced", policy_with("P4", on_deadline=without_revocation), "map-direct-fenced", False, "O1", STRAY, 100),
    Bug("no-own-lease", policy_with("P4", pin_gate=without_a_lease), "map-direct-fenced", False, "O1", STRAY, 100),
    Bug("unfinished-forgotten", the_unfinished_are_forgotten, UNFINISHED, False, "O1", STRAY, 1_000),
    Bug("nobody-acts", policy_with("P9", on_break=nobody_acts), "registration-revoked", False, "O3", "truncate", 100),
    Bug(
        "no-hold",
        policy_with("P9", pin_gate=without_a_hold),
        "registration-lease-answered",
        False,
        "O3",
        "truncate",
        100,
    ),
    Bug("accesses-go-on", accesses_go_on, IN_FLIGHT, True, "O1", STRAY, 1_000),
]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_exploration_finds_it(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    bug.plant(monkeypatch)
    result = explored(subject_of(bug.scenario, racy=bug.racy), "dpor")
    (failure,) = result.failures
    assert failure.broken.rule == bug.rule
    assert failure.broken.site.startswith(bug.site)
    assert result.executions <= bug.executions
