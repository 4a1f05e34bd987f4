"""The proposals P0, P1 and P5 with their presets, and the hook interface, proven by policies that exist only here."""

import errno
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from itertools import combinations, product
from typing import Any, ClassVar

import pytest
from unit.programs import DEVICE

from longpin.actors.fs.inode import Inode
from longpin.actors.kernel.file_system import ChangeKind
from longpin.actors.kernel.generation import GENERATIONS, Version
from longpin.actors.policies import POLICIES, find_policy
from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import Allow, Decision, Fail, Notify, OnBreak, Proceed, Scan, WaitFor
from longpin.actors.policies.layout_lease_v1 import LayoutLeaseV1, LeaseCheck
from longpin.actors.policies.proposal import Proposal, proposal_parameters, read_proposal
from longpin.actors.policies.views import FaultRequest, LayoutView, LeaseView, MapRequest
from longpin.config.expectations import read_expectations
from longpin.messages.envelope import Address
from longpin.messages.fs.mapping import PinRequest
from longpin.messages.process.caller import Caller
from longpin.runner.events import BlocksPinned, SleepBegun
from longpin.runner.judging.invariants.errnos import applicable

Play = Callable[..., Any]

REGISTER = "mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)"
HANDLER = "on_signal.SIGIO = 'getpid()'"


# Names.


def test_policies_are_found_by_name_and_alias_in_any_case() -> None:
    assert [find_policy(text)[0].name for text in ("p0", "WAIT", "P5:as_posted", "flv1")] == ["P0", "P1", "P5", "P5"]
    assert find_policy("P5:AS_POSTED")[1] == "as_posted"


@pytest.mark.parametrize("text", ["P99", "", "P5:", "P5:bogus"])
def test_unknown_policies_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a p"):
        find_policy(text)


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("preset", ["as_posted", "intended"])
def test_every_policy_has_both_presets(name: str, preset: str) -> None:
    assert isinstance(Proposal.make(name, preset, {}).policy, POLICIES[name])


def test_parameters_replace_the_presets() -> None:
    policy = Proposal.make("P5", "intended", {"lease_check": "active_only", "pin_kind_known": False}).policy
    assert policy == LayoutLeaseV1(lease_check=LeaseCheck.ACTIVE_ONLY, pin_kind_known=False)
    with pytest.raises(ValueError, match="nobody"):
        Proposal.make("P5", "intended", {"lease_check": "nobody"})
    with pytest.raises(TypeError):
        Proposal.make("P5", "intended", {"bogus": 1})
    with pytest.raises(ValueError, match="evict_waits: expected true or false, found 1"):
        Proposal.make("P5", "intended", {"evict_waits": 1})
    with pytest.raises(ValueError, match=r"kernel: expected one of ideal, 5\.4, .*, found '2\.6'"):
        Proposal.make("P5", "intended", {"kernel": "2.6"})
    proposal = Proposal.make("P5", "intended", {"lease_check": "active_only", "kernel": "5.4", "evict_waits": True})
    assert proposal.policy == LayoutLeaseV1(lease_check=LeaseCheck.ACTIVE_ONLY)
    assert proposal.generation == replace(GENERATIONS[Version.LINUX_5_4], evict_waits=True)
    assert (proposal.parameters["kernel"], proposal.parameters["evict_waits"]) == ("5.4", True)
    assert Proposal.make("P5", "intended", proposal.parameters) == proposal


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("preset", ["as_posted", "intended"])
def test_a_proposals_name_says_all_that_differs_from_its_preset_and_is_read_again(name: str, preset: str) -> None:
    """Of any two parameters, every value beside every other."""
    values = {key: _some_values(kind) for key, kind in proposal_parameters(POLICIES[name]).items()}
    seen: dict[str, Proposal] = {}
    for pair in combinations(values, 2):
        for chosen in product(*(values[key] for key in pair)):
            proposal = Proposal.make(name, preset, dict(zip(pair, chosen, strict=True)))
            assert Proposal.make(*_read(proposal.name)) == proposal
            assert seen.setdefault(proposal.name, proposal) == proposal, "two policies have one name"
    assert f"{name}:{preset}" in seen


def _some_values(kind: Any) -> list[Any]:
    if kind is Version:
        return ["ideal", "5.4", "6.18"]
    if issubclass(kind, Enum):
        return [member.value for member in kind]
    return [False, True] if kind is bool else [0, 3]


def _read(text: str) -> tuple[str, str, dict[str, bool | int | float | str]]:
    policy, preset, parameters = read_proposal(text)
    return policy.name, preset, parameters


def test_a_name_is_short_where_nothing_differs_and_may_be_written_in_other_ways() -> None:
    assert Proposal.make("P5", "intended", {"lease_check": "own_tgid", "kernel": "ideal"}).name == "P5:intended"
    assert _read("flv1") == ("P5", "intended", {})
    assert _read("P5, lease_check = active_only ,evict_waits=false") == (
        "P5",
        "intended",
        {"lease_check": "active_only", "evict_waits": False},
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("P5,", r"expected a parameter of P5 \(.*lease_check.*\), as NAME=VALUE, found ''"),
        ("P5,lease_check", "as NAME=VALUE, found 'lease_check'"),
        ("P0,lease_check=any_lease", r"expected a parameter of P0 \((?!.*lease_check.*\))"),
        ("P5,lease_check=nobody", "lease_check: expected one of any_lease, own_tgid, active_only, found 'nobody'"),
        ("P5,on_demand_errno=0", "on_demand_errno: expected one of EINVAL, EOPNOTSUPP, found '0'"),
        ("P5,evict_waits=1", "evict_waits: expected true or false, found '1'"),
        ("P5,evict_waits=true,evict_waits=true", "expected evict_waits once, found it twice"),
        ("lease_check=own_tgid", "expected a policy, one of"),
    ],
)
def test_a_mistake_in_a_name_is_one_sentence(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_proposal(text)


def test_an_expectation_of_a_preset_is_for_the_unchanged_preset() -> None:
    """With a parameter changed the part for the policy counts, or the one for all."""
    parts = read_expectations("# P5:intended -> EPERM; P5 -> ok; -> 0", {})
    unchanged = Proposal.make("P5", "intended", {"lease_check": "own_tgid"})
    changed = Proposal.make("P5", "intended", {"lease_check": "active_only"})
    elsewhere = Proposal.make("P5", "intended", {"kernel": "5.4"})
    found = [applicable(parts, proposal.name) for proposal in (unchanged, changed, elsewhere)]
    assert [None if one is None else one.policy for one in found] == ["P5:intended", "P5", "P5"]
    (rest,) = (applicable(parts[::2], changed.name),)
    assert rest is not None
    assert rest.policy is None


def test_an_expectation_of_a_policy_is_not_for_its_relatives() -> None:
    parts = read_expectations("# P5 -> EPERM; P5:lt0 -> ok; -> 0", {})
    found = [applicable(parts, f"P5:{name}") for name in ("as_posted", "intended,pins_left=wait", "lt0", "d1")]
    assert [None if one is None else one.policy for one in found] == ["P5", "P5", "P5:lt0", None]
    assert applicable(parts[:1], "P5:k1_kill") is None


# P0.


def test_p0_refuses_before_it_looks_at_a_page(play: Play) -> None:
    """Measured: read-only mappings and pages beyond the end of the file are refused with the same errno."""
    run = play(
        "P0:intended",
        a=DEVICE
        + """
ro = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
ftruncate(fd, PAGE)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> EOPNOTSUPP
ibv_reg_mr(pd, ro, PAGE, 0)                                     # -> EOPNOTSUPP
ibv_reg_mr(pd, buf + PAGE, PAGE, IBV_ACCESS_LOCAL_WRITE)        # -> EOPNOTSUPP
ibv_reg_mr(pd, 0, PAGE, IBV_ACCESS_LOCAL_WRITE)                 # -> EFAULT
""",
    )
    assert not any(actor.pins for address, actor in run.engine.actors.items() if address.startswith("pmem:"))


def test_p0_as_posted_has_a_transient_pin(play: Play) -> None:
    """Linux 5.4 looks at the mapping after the pages: some truncate sleeps on a registration that fails [4.0]."""
    programs = {
        "a": DEVICE
        + """
label("ready")
ibv_reg_mr(pd, buf, 4 * PAGE, IBV_ACCESS_LOCAL_WRITE)
ibv_reg_mr(pd, buf + 4 * PAGE, PAGE, IBV_ACCESS_LOCAL_WRITE)    # -> EFAULT
""",
        "b": """
wait_for("ready")
truncate("/f", 0)                                               # -> 0
""",
    }
    for preset, pinned in (("as_posted", True), ("intended", False)):
        run = play(f"P0:{preset}", seeds=range(60), **programs)
        details = {
            event.waits_for.detail
            for schedule in run.schedules
            for event in schedule.result.events
            if isinstance(event, SleepBegun) and "pinned by mr" in event.waits_for.detail
        }
        assert bool(details) == pinned


def test_p0_as_posted_pins_what_it_can_before_it_refuses(play: Play) -> None:
    play(
        "P0:as_posted",
        a=DEVICE
        + """
ftruncate(fd, PAGE)
ibv_reg_mr(pd, buf, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE)           # -> EOPNOTSUPP (the first page was pinned)
ibv_reg_mr(pd, buf + PAGE, PAGE, IBV_ACCESS_LOCAL_WRITE)        # -> EFAULT (none was)
""",
    )


# P1.


def test_p1_truncate_waits_for_ever(play: Play) -> None:
    play(
        "P1",
        violates=["O3"],
        a=DEVICE
        + REGISTER
        + """
label("pinned")
pause()                                                         # -> hangs
""",
        b="""
wait_for("pinned")
truncate("/f", 0)                                               # -> hangs
""",
    )


@pytest.mark.parametrize(
    ("policy", "outcome"),
    [("P1:as_posted", "hangs"), ("P1:intended,kernel=6.18", "hangs"), ("P1:intended", "0")],
)
def test_p1_waits_for_any_page_of_the_file(play: Play, policy: str, outcome: str) -> None:
    play(
        policy,
        violates=["O3"] if outcome == "hangs" else [],
        a=DEVICE
        + REGISTER
        + """
label("pinned")
pause()                                                         # -> hangs
""",
        b=f"""
wait_for("pinned")
truncate("/f", 2 * PAGE)                                        # -> {outcome} (the pin is on page 0)
""",
    )


@pytest.mark.parametrize(("preset", "violates"), [("as_posted", ["O1"]), ("intended", [])])
def test_p1_munmap_then_truncate(play: Play, preset: str, violates: list[str]) -> None:
    """The scan of 5.4 skips a file nobody maps: the device writes to a block that was given away [H1, H6]."""
    play(
        f"P1:{preset}",
        violates=violates,
        details={"a": "on_signal.SIGUSR1 = 'getpid()'"},
        a=DEVICE
        + """
cq = ibv_create_cq(ctx)
qp = ibv_create_qp(pd, cq)
ibv_modify_qp(qp, IBV_QPS_INIT)
ibv_modify_qp(qp, IBV_QPS_RTR, qp)
ibv_modify_qp(qp, IBV_QPS_RTS)
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)
munmap(buf, 4 * PAGE)
label("unmapped")
sleep(1)
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "x", mr, 0)                # -> 0
ibv_get_cq_event(cq)                                            # -> 0
ibv_dereg_mr(mr)
""",
        b="""
wait_for("unmapped")
truncate("/f", 0)                                               # -> 0
""",
    )


# P5.


def test_p5_pins_need_a_layout_lease(play: Play) -> None:
    play(
        "P5",
        a=DEVICE
        + """
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> EPERM
fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)          # -> ok
fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> 0 (also while pinned)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> EPERM
""",
    )


CHECKS = [("any_lease", "ok", "ok"), ("own_tgid", "EPERM", "EPERM"), ("active_only", "ok", "EPERM")]


@pytest.mark.parametrize(("check", "before", "breaking"), CHECKS)
def test_p5_whose_lease_counts(play: Play, check: str, before: str, breaking: str) -> None:
    policy = LayoutLeaseV1(lease_check=LeaseCheck(check))
    play(
        policy,
        head="[machine]\nlease_break_time = 100",
        details={"holder": HANDLER},
        holder="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0
label("leased")
sleep(1000)
sleep(50)
""",
        a="wait_for('leased')"
        + DEVICE
        + f"""
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> {before}
label("first")
sleep(10)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> {breaking} (the lease is being broken)
""",
        b="""
wait_for("first")
fd = open("/f", O_RDWR)
write(fd, "x")                                                  # -> blocks, 1
""",
    )


@pytest.mark.parametrize(
    ("handler", "outcome", "until"),
    [
        ("ibv_dereg_mr(mr)\nfcntl(fd, F_SETLEASE, F_UNLCK)", "0", 0.0),
        ("fcntl(fd, F_SETLEASE, F_UNLCK)", "ETXTBSY", 0.0),
        ("ibv_dereg_mr(mr)", "0", 45.0),
        ("getpid()", "ETXTBSY", 45.0),
        ("sleep(44)\nibv_dereg_mr(mr)\nfcntl(fd, F_SETLEASE, F_UNLCK)", "0", 44.0),
        ("sleep(46)\nibv_dereg_mr(mr)\nfcntl(fd, F_SETLEASE, F_UNLCK)", "ETXTBSY", 45.0),
    ],
    ids=["answers", "only unlocks", "only deregisters", "ignores", "slow", "too slow"],
)
def test_p5_truncate_and_the_holders_answer(play: Play, handler: str, outcome: str, until: float) -> None:
    run = play(
        "P5",
        details={"holder": f"on_signal.SIGIO = '''\n{handler}\n'''"},
        holder=DEVICE
        + """
fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)          # -> ok
label("pinned")
pause()                                                         # -> EINTR
sleep(100)
""",
        b=f"""
wait_for("pinned")
truncate("/f", 0)                                               # -> blocks, {outcome}
""",
    )
    assert run.returned("b") == until


def test_p5_an_overdue_holder_must_take_a_new_lease(play: Play) -> None:
    play(
        "P5",
        details={"holder": HANDLER},
        holder=DEVICE
        + """
fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0
label("leased")
sleep(1000)
wait_for("truncated")
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> EPERM
fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> ok
""",
        b="""
wait_for("leased")
truncate("/f", 3 * PAGE)                                        # -> blocks, 0
label("truncated")
""",
    )


def test_p5_write_breaks_leases_and_does_not_mind_pins(play: Play) -> None:
    play(
        "P5",
        details={"holder": "on_signal.SIGIO = 'fcntl(fd, F_SETLEASE, F_UNLCK)'"},
        holder=DEVICE
        + """
fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)          # -> ok
write(fd, "")                                                   # -> 0 (nothing to write breaks nothing)
label("pinned")
pause()                                                         # -> EINTR
""",
        b="""
wait_for("pinned")
fd = open("/f", O_WRONLY)                                       # -> 3
write(fd, "x")                                                  # -> blocks, 1
""",
    )


def test_p5_pin_between_break_and_truncate(play: Play) -> None:
    """H5: as posted, a lease that is being broken still lets anybody pin, so truncate waits and fails all the same."""
    play(
        "P5:as_posted",
        details={"holder": HANDLER},
        holder="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0
label("leased")
pause()                                                         # -> EINTR
label("broken")
wait_for("pinned")
fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> 0
""",
        pinner=DEVICE
        + """
wait_for("broken")
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)          # -> ok
label("pinned")
sleep(100)
""",
        b="""
wait_for("leased")
truncate("/f", 0)                                               # -> blocks, ETXTBSY
""",
    )


def test_p5_a_lease_taken_again_before_the_locks_costs_another_round(play: Play) -> None:
    """H5: between the wait and the relock a new lease may come; the test under the locks starts a second break."""
    rounds = set()
    run = play(
        "P5",
        seeds=range(80),
        details={
            "holder": "on_signal.SIGIO = '''\nfcntl(fd, F_SETLEASE, F_UNLCK)\nfcntl(fd, F_SETLEASE, F_LAYOUT)\n'''"
        },
        holder="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0
label("leased")
for i in range(3):
    sleep(500)
sigaction(SIGIO, SIG_IGN)
""",
        b="""
wait_for("leased")
truncate("/f", 0)                                               # -> blocks, 0
""",
    )
    for schedule in run.schedules:
        rounds.add(len(schedule.taken("holder")))
    assert len(rounds) > 1
    assert min(rounds) == 1


# The hooks.


@dataclass(frozen=True, slots=True)
class PinsHoldTheLease(Policy):
    """A pin needs a lease of the caller and holds the lease's description; a layout lease fails every change."""

    name: ClassVar[str] = "test"
    errnos: ClassVar[dict[str, frozenset[str]]] = {"truncate": frozenset({"ETXTBSY"})}

    def pin_gate(self, request: PinRequest, view: LayoutView) -> Allow | Fail:
        own = [lease for lease in view.leases if lease.tgid == request.caller.tgid]
        return Allow(own[0].ofd) if own else Fail(errno.EPERM)


def test_a_zombie_lease_emerges_from_references_alone(play: Play) -> None:
    """No descriptor and no mapping of the file are left, and the lease lives until the last region goes [1.5]."""
    run = play(
        PinsHoldTheLease(),
        details={"a": "on_signal.SIGIO = 'getpid()'"},
        a="""
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_WRLCK)                                  # -> 0
buf = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
one = ibv_reg_mr(pd, buf, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE)     # -> ok
two = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)         # -> ok
munmap(buf, 2 * PAGE)                                           # -> 0
close(fd)                                                       # -> 0
open("/f", O_RDWR | O_NONBLOCK)                                 # -> EAGAIN (a zombie)
ibv_dereg_mr(one)                                               # -> 0
open("/f", O_RDWR | O_NONBLOCK)                                 # -> EAGAIN
ibv_dereg_mr(two)                                               # -> 0
open("/f", O_RDWR | O_NONBLOCK)                                 # -> ok (it died with its last pin)
""",
    )
    inode = run.engine.actors["inode:/f"]
    assert isinstance(inode, Inode)
    assert inode.view().leases == ()


def test_a_failed_registration_lets_go_of_the_lease(play: Play) -> None:
    play(
        PinsHoldTheLease(),
        a="""
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_WRLCK)                                  # -> 0
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ibv_reg_mr(pd, buf, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE)           # -> EFAULT
munmap(buf, PAGE)
close(fd)                                                       # -> 0
open("/f", O_RDWR | O_NONBLOCK)                                 # -> ok
""",
    )


@dataclass(frozen=True, slots=True)
class NoUnlockWhilePinned(LayoutLeaseV1):
    """F_UNLCK fails with EBUSY while a page of the file is pinned."""

    errnos: ClassVar[dict[str, frozenset[str]]] = {"fcntl": frozenset({"EBUSY"})}

    def unlck_gate(self, lease: LeaseView, caller: Caller, view: LayoutView) -> Decision:
        if view.pins is None:
            return Scan()
        return Fail(errno.EBUSY) if view.pins else Proceed()


def test_f_unlck_can_be_refused(play: Play) -> None:
    play(
        NoUnlockWhilePinned(),
        a=DEVICE
        + """
fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> EAGAIN (no lease)
fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0
mr = ibv_reg_mr(pd, buf + PAGE, PAGE, IBV_ACCESS_LOCAL_WRITE)   # -> ok
fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> EBUSY
fcntl(fd, F_GETLEASE)                                           # -> F_LAYOUT
ibv_dereg_mr(mr)                                                # -> 0
fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> 0
""",
    )


@dataclass(frozen=True, slots=True)
class CloseWaits(Policy):
    """The last close waits for the pins of the file, but not that of a dying process."""

    def last_close_gate(self, ofd: Address, view: LayoutView, *, exiting: bool) -> Decision:
        if exiting:
            return Proceed()
        if view.pins is None:
            return Scan()
        return WaitFor(view.pins, killable=True) if view.pins else Proceed()


CLOSER = (
    DEVICE
    + """
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
munmap(buf, 4 * PAGE)
label("pinned")
"""
)


def test_the_last_close_can_be_made_to_wait_and_only_death_ends_it(play: Play) -> None:
    details = {"a": "on_signal.SIGUSR1 = 'getpid()'"}
    run = play(
        CloseWaits(),
        details=details,
        a=CLOSER
        + """
close(fd)                                                       # -> blocks, hangs
""",
        b="""
wait_for("pinned")
sleep(1)
kill("a", SIGUSR1)
sleep(1)
kill("a", SIGKILL)
""",
    )
    assert run.ended("a") == 2.0
    inode = run.engine.actors["inode:/f"]
    assert isinstance(inode, Inode)
    assert inode.view().openers == {}, "the description is gone although the close was cut short"


def test_a_dying_process_is_not_made_to_wait(play: Play) -> None:
    play(CloseWaits(), a=CLOSER + "exit(0)")


@dataclass(frozen=True, slots=True)
class RefusesEverything(Policy):
    """Every gate that returns an errno, with an errno of its own."""

    errnos: ClassVar[dict[str, frozenset[str]]] = {"close": frozenset({"EDEADLK"})}

    def mmap_gate(self, request: MapRequest, view: LayoutView) -> Allow | Fail:
        return Fail(errno.EOPNOTSUPP)

    def read_lease(self, arg: int) -> None:
        return None

    def last_close_gate(self, ofd: Address, view: LayoutView, *, exiting: bool) -> Decision:
        return Fail(errno.EDEADLK)


def test_gates_that_refuse(play: Play) -> None:
    play(
        RefusesEverything(),
        a="""
fd = open("/f", O_RDWR)
mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)                        # -> EOPNOTSUPP
fcntl(fd, F_SETLEASE, F_RDLCK)                                  # -> EINVAL
close(fd)                                                       # -> EDEADLK
close(fd)                                                       # -> EBADF (it is closed all the same)
open("/f", O_RDWR)
""",
    )


@dataclass(frozen=True, slots=True)
class NoAllocationByFault(Policy):
    """A store to a hole of a mapping is refused, as under a seal."""

    def fault_gate(self, fault: FaultRequest, view: LayoutView) -> Decision:
        return Fail(errno.ETXTBSY) if ChangeKind.ADDITIVE in fault.kinds else Proceed()


def test_a_refused_fault_is_sigbus(play: Play) -> None:
    run = play(
        NoAllocationByFault(),
        head='[[file]]\npath = "/f"',
        details={"a": "on_signal.SIGBUS = 'getpid()'"},
        a="""
fd = open("/f", O_RDWR)
ftruncate(fd, 2 * PAGE)
write(fd, "x")                                                  # -> 1
buf = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
store(buf, "y")                                                 # -> 0
store(buf + PAGE, "y")                                          # -> EFAULT
load(buf + PAGE, 1)                                             # -> ok
""",
    )
    assert run.taken("a") == ["SIGBUS: its handler runs"]


@dataclass(frozen=True, slots=True)
class SilentBreaks(Policy):
    """A broken lease's holder is not told."""

    def on_break(self, lease: LeaseView) -> OnBreak:
        return OnBreak(Notify.NOBODY)


def test_a_break_can_be_silent(play: Play) -> None:
    run = play(
        SilentBreaks(),
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)                                  # -> 0
label("leased")
sleep(100)
""",
        b="""
wait_for("leased")
open("/f", O_RDWR)                                              # -> blocks, ok
""",
    )
    assert (run.taken("a"), run.returned("b")) == ([], 45.0)


def test_pin_requests_reach_pmem_only_if_the_gate_allows(play: Play) -> None:
    seen: list[object] = []

    @dataclass(frozen=True, slots=True)
    class Watching(Policy):
        def pin_gate(self, request: PinRequest, view: LayoutView) -> Allow | Fail:
            seen.append((request.caller.tgid, request.longterm))
            return Fail(errno.EPERM)

    run = play(Watching(), seeds=(), a=DEVICE + "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)   # -> EPERM")
    assert seen == [(100, True)]
    assert not any(isinstance(event, BlocksPinned) for event in run.result.events)
