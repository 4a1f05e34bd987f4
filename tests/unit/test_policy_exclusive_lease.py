"""P6, exclusive layout leases that pins keep, each defining sentence of semantics 4.7 as a small scenario."""

import errno
from collections.abc import Callable
from typing import Any

import pytest
from unit.programs import CONTEXT, DEVICE, LOOPBACK, OPEN, REGISTER, REGISTER_REMOTE, leases, pinned

from longpin.actors.constants import F_LAYOUT, F_RDLCK
from longpin.actors.kernel.file_system import Asked, ChangeKind, LayoutOperation
from longpin.actors.policies.decisions import Allow, Fail, ListedBy, Proceed, WaitFor
from longpin.actors.policies.exclusive_lease import ExclusiveLease, SelfChange
from longpin.actors.policies.views import (
    F_EXCLUSIVE,
    WHOLE_FILE,
    Change,
    FileFacts,
    LayoutView,
    LeaseKind,
    LeaseRequest,
    LeaseView,
)
from longpin.messages.fs.mapping import MappingView, Memory, PinRequest
from longpin.messages.mm.memory import Pin
from longpin.messages.process.caller import Caller

Play = Callable[..., Any]

TAKE = "fcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)                   # -> 0\n"
PINNED = DEVICE + TAKE + REGISTER


def test_a_pin_needs_an_exclusive_lease_of_the_process(play: Play) -> None:
    play(
        "P6",
        details={"child": 'start = "fork"'},
        a=DEVICE
        + "fcntl(fd, F_SETLEASE, F_EXCLUSIVE)                            # -> EINVAL (it stands beside F_LAYOUT only)\n"
        + "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)             # -> EPERM\n"
        + "fcntl(fd, F_SETLEASE, F_LAYOUT)                               # -> 0\n"
        + "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)             # -> EPERM (not exclusive)\n"
        + TAKE
        + "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)             # -> EPERM (C-b: it stays as it is)\n"
        + "fcntl(fd, F_SETLEASE, F_UNLCK)                                # -> 0\n"
        + TAKE
        + REGISTER
        + 'fork("child")\n',
        child="""
fcntl(fd, F_GETLEASE)                                           # -> F_LAYOUT (shared with the parent)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> EPERM
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)                   # -> 0 (exclusive leases are not mutual)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> ok
""",
    )


def test_a_lease_is_kept_by_pins_also_where_the_kernel_does_not_look_for_them(play: Play) -> None:
    """H6: 5.4 looks for no pins of a file that nobody maps; who keeps a lease counts its own."""
    play(
        "P6:intended,kernel=5.4",
        a=PINNED + "munmap(buf, 4 * PAGE)\nfcntl(fd, F_SETLEASE, F_UNLCK)               # -> EBUSY\n",
    )


def test_a_lease_without_descriptors_and_mappings_lives_as_long_as_its_pins(play: Play) -> None:
    run = play(
        "P6",
        a=PINNED
        + """
two = ibv_reg_mr(pd, buf, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE)     # -> ok
munmap(buf, 4 * PAGE)
close(fd)                                                       # -> 0 (always allowed)
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> EPERM (a zombie lets nobody pin)
label("zombie")
wait_for("refused")
ibv_dereg_mr(mr)                                                # -> 0
truncate("/f", 0)                                               # -> EDEADLK
ibv_dereg_mr(two)                                               # -> 0
truncate("/f", 0)                                               # -> 0
""",
        b="""
wait_for("zombie")
truncate("/f", 0)                                               # -> ETXTBSY
truncate("/f", 3 * PAGE)                                        # -> ETXTBSY (the lease is of the whole file)
label("refused")
""",
    )
    assert leases(run) == ()


def test_as_posted_a_zombie_lets_its_process_pin(play: Play) -> None:
    play(
        "P6:as_posted",
        a=PINNED
        + """
munmap(buf, 4 * PAGE)
close(fd)
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> ok
""",
    )


def test_a_killed_holder_leaves_a_zombie_to_who_shares_the_device(play: Play) -> None:
    """Killing the process that took the lease is not enough: all that have the uverbs file open must go [H11]."""
    run = play(
        "P6",
        details={"child": 'start = "fork"'},
        a="""
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
fork("child")
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
"""
        + TAKE
        + REGISTER
        + """
label("pinned")
pause()                                                         # -> hangs
""",
        child="""
wait_for("second")
exit(0)
""",
        b="""
wait_for("pinned")
kill("a", SIGKILL)
sleep(1)
truncate("/f", 0)                                               # -> ETXTBSY (a zombie)
label("second")
sleep(1)
truncate("/f", 0)                                               # -> 0
""",
    )
    assert leases(run) == ()


def test_a_change_that_fails_has_broken_what_is_not_exclusive(play: Play) -> None:
    """H16: nobody waits, and the holder of the shared lease is told of a truncate that does not happen."""
    run = play(
        "P6",
        details={"shares": "on_signal.SIGIO = 'fcntl(shared, F_SETLEASE, F_UNLCK)'"},
        shares="""
shared = open("/f", O_RDONLY)
fcntl(shared, F_SETLEASE, F_LAYOUT)                             # -> 0
label("shared")
sleep(1000)
""",
        a="""
wait_for("shared")
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)                   # -> 0
label("leased")
wait_for("refused")
""",
        b="""
wait_for("leased")
truncate("/f", 0)                                               # -> ETXTBSY
label("refused")
""",
    )
    assert run.taken("shares") == ["SIGIO: its handler runs"]
    assert run.returned("b") == 0.0


@pytest.mark.parametrize(("first", "told"), [("shares", True), ("a", False)])
def test_the_walk_ends_at_the_lease_of_the_caller(play: Play, first: str, told: bool) -> None:
    """EDEADLK at once: what stands before it on the list is being broken by then, what stands behind it is not."""
    second = {"shares": "a", "a": "shares"}[first]
    waits = {first: "", second: f"wait_for('{first}')\n"}
    run = play(
        "P6",
        seeds=range(2),
        details={"shares": "on_signal.SIGIO = 'getpid()'"},
        shares=waits["shares"]
        + """
shared = open("/f", O_RDONLY)
fcntl(shared, F_SETLEASE, F_LAYOUT)                             # -> 0
label("shares")
wait_for("tried")
""",
        a=waits["a"]
        + "fd = open('/f', O_RDWR)\n"
        + TAKE
        + f"label('a')\nwait_for('{second}')\ntruncate('/f', 0)                            # -> EDEADLK\n"
        + "label('tried')\n",
    )
    assert bool(run.taken("shares")) == told


def test_the_walk_goes_on_behind_a_lease_of_others(play: Play) -> None:
    """ETXTBSY comes after it: a shared lease that was taken later is broken too."""
    run = play(
        "P6",
        seeds=range(2),
        details={"shares": "on_signal.SIGIO = 'getpid()'"},
        a="fd = open('/f', O_RDWR)\n" + TAKE + "label('a')\nwait_for('tried')\n",
        shares="wait_for('a')\nfd = open('/f', O_RDONLY)\nfcntl(fd, F_SETLEASE, F_LAYOUT)           # -> 0\n"
        "label('both')\nwait_for('tried')\n",
        b="wait_for('both')\ntruncate('/f', 0)                            # -> ETXTBSY\nlabel('tried')\n",
    )
    assert run.taken("shares") == ["SIGIO: its handler runs"]


@pytest.mark.parametrize(("fails", "outcome"), [("false", "blocks, 0"), ("true", "ETXTBSY")])
def test_long_term_pins_without_an_exclusive_lease(play: Play, fails: str, outcome: str) -> None:
    """As posted a lease goes before its pins, and a change waits for them [I1]; or it fails, but waits for others [K2].

    Pins of other pages are in nobody's way: a lease is of the whole file, and the look at pages is not.
    """
    run = play(
        f"P6:as_posted,longterm_fails={fails},kernel=ideal",
        seeds=range(3),
        a=PINNED
        + "fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> 0\n"
        + "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> EPERM\n"
        + "label('unlocked')\nsleep(7)\nibv_dereg_mr(mr)\n",
        b=f"""
wait_for("unlocked")
truncate("/f", PAGE)                                            # -> 0
truncate("/f", 0)                                               # -> {outcome}
""",
    )
    assert run.returned("b") == (7.0 if fails == "false" else 0.0)


def test_shared_leases_alone_are_waited_for_and_then_pins(play: Play) -> None:
    run = play(
        "P6",
        details={"shares": "on_signal.SIGIO = 'getpid()'"},
        shares="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0
label("shared")
sleep(1000)                                                     # -> EINTR
sleep(100)
""",
        b="""
wait_for("shared")
truncate("/f", 0)                                               # -> blocks, 0
""",
    )
    assert run.returned("b") == 45.0


def test_the_holder_cannot_change_the_layout_either(play: Play) -> None:
    changes = """
truncate("/f", PAGE)                                            # -> {0}
ftruncate(fd, 8 * PAGE)                                         # -> {0}
write(fd, "x")                                                  # -> {0}
fallocate(fd, 0, 0, PAGE)                                       # -> {0}
open("/f", O_RDWR | O_TRUNC)                                    # -> {0}
"""
    play(
        "P6",
        a=PINNED + changes.format("EDEADLK") + "label('leased')\nwait_for('refused')\n",
        b="wait_for('leased')\nfd = open('/f', O_RDWR)\n" + changes.format("ETXTBSY") + "label('refused')\n",
    )


def test_a_holder_that_may_change_the_layout_must_not_free_what_it_pinned(play: Play) -> None:
    play(
        "P6,self_change=allow",
        a=PINNED
        + """
write(fd, "x")                                                  # -> 1
truncate("/f", 2 * PAGE)                                        # -> 0 (nothing is pinned there)
truncate("/f", 0)                                               # -> ETXTBSY
""",
    )


@pytest.mark.parametrize(
    ("mode", "first", "violates"), [("EBUSY", "EBUSY", []), ("ok", "0", []), ("block", "hangs", ["O3"])]
)
def test_f_unlck_with_pins(play: Play, mode: str, first: str, violates: list[str]) -> None:
    rest = "" if violates else "ibv_dereg_mr(mr)\n"
    play(
        f"P6,unlck_with_pins={mode}",
        violates=violates,
        a=PINNED + f"fcntl(fd, F_SETLEASE, F_UNLCK)                   # -> {first}\n" + rest,
    )


def test_f_unlck_that_waits_goes_on_when_the_pins_have_gone(play: Play) -> None:
    run = play(
        "P6,unlck_with_pins=block",
        details={"child": 'start = "fork"'},
        a=PINNED
        + """
fork("child")
fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> blocks, 0
""",
        child="""
sleep(7)
ibv_dereg_mr(mr)                                                # -> 0
""",
    )
    assert run.returned("a") == 7.0
    assert leases(run) == ()


def test_pins_of_another_lease_are_not_in_the_way_of_f_unlck(play: Play) -> None:
    play(
        "P6",
        a=PINNED + "label('pinned')\nwait_for('done')\n",
        b="wait_for('pinned')\nfd = open('/f', O_RDWR)\n"
        + TAKE
        + "fcntl(fd, F_SETLEASE, F_UNLCK)   # -> 0\nlabel('done')\n",
    )


def test_mutual_exclusive_leases(play: Play) -> None:
    play(
        "P6,exclusive_mutual=true",
        a="fd = open('/f', O_RDWR)\n" + TAKE + "label('leased')\nwait_for('refused')\n",
        b="""
wait_for("leased")
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)                   # -> EAGAIN
fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0
label("refused")
""",
    )


@pytest.mark.parametrize(("preset", "outcome"), [("as_posted", "0"), ("intended", "ETXTBSY")])
def test_ext4_as_posted_looks_at_leases_only_while_the_file_is_mapped(play: Play, preset: str, outcome: str) -> None:
    play(
        f"P6:{preset}",
        head='[[pmem]]\nname = "pmem0"\nfile_system = "ext4"',
        a="""
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)                   # -> 0
label("leased")
wait_for("done")
""",
        b=f"""
wait_for("leased")
fd = open("/f", O_RDWR)
map = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
truncate("/f", 0)                                               # -> ETXTBSY (whoever maps it)
munmap(map, PAGE)
truncate("/f", 0)                                               # -> {outcome}
label("done")
""",
    )


@pytest.mark.parametrize("kernel", ["ideal", "5.4"])
def test_who_pins_says_which_open_file_owns_the_pins(play: Play, kernel: str) -> None:
    """A driver that does not is told EINVAL, before leases are looked at; other proposals do not ask it [V2-12]."""
    head = '[[device]]\nname = "rxe0"\nnames_owner = false\n'
    refused = "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> EINVAL\n"
    play(f"P6,kernel={kernel}", seeds=(), head=head, a=DEVICE + refused + TAKE + refused)
    play(f"P1,kernel={kernel}", seeds=(), head=head, a=DEVICE + REGISTER)


TWO_FILES = '[[file]]\npath = "/f"\nsize = "4 * PAGE"\n[[file]]\npath = "/g"\nsize = "PAGE"\n'


@pytest.mark.parametrize(("policy", "left", "outcome"), [("P6:as_posted", 0, "0"), ("P6:intended", 1, "ETXTBSY")])
def test_as_posted_a_region_that_is_given_up_lets_go_of_another_file(
    play: Play, policy: str, left: int, outcome: str
) -> None:
    """H25: two files pinned through one context; the zombie of the one ends with the region of the other [V2-16]."""
    run = play(
        policy,
        head=TWO_FILES,
        violates=["O1"] if left == 0 else [],
        a=CONTEXT
        + LOOPBACK
        + OPEN
        + TAKE
        + REGISTER_REMOTE
        + """
g = open("/g", O_RDWR)
fcntl(g, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)                    # -> 0
map = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, g, 0)
other = ibv_reg_mr(pd, map, PAGE, IBV_ACCESS_LOCAL_WRITE)       # -> ok
munmap(buf, 4 * PAGE)
close(fd)
ibv_dereg_mr(other)                                             # -> 0
label("released")
wait_for("tried")
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "from the NIC", mr, 0)
ibv_get_cq_event(cq)
ibv_dereg_mr(mr)                                                # -> 0 (nothing is let go of twice)
fcntl(g, F_SETLEASE, F_UNLCK)                                   # -> 0
""",
        b=f"""
wait_for("released")
truncate("/f", 0)                                               # -> {outcome}
label("tried")
""",
    )
    assert (leases(run), pinned(run)) == ((), 0)


def test_what_goes_with_a_region_as_posted() -> None:
    """One reference on each file that its device keeps, its own and others', and no more than there are."""
    posted, intended = ExclusiveLease(v2_pin_refbug=True), ExclusiveLease()
    assert intended.on_unpin(("file:1",), ("file:2", "file:2")) == ("file:1",)
    assert posted.on_unpin(("file:1",), ("file:2", "file:2", "file:1")) == ("file:1", "file:2")
    assert posted.on_unpin((), ("file:2",)) == ("file:2",)


@pytest.mark.parametrize(("preset", "outcome"), [("as_posted", "0"), ("intended", "ETXTBSY")])
def test_as_posted_growth_asks_nobody(play: Play, preset: str, outcome: str) -> None:
    """H22: growth may have to copy or allocate the last block; the code looks at truncates to smaller sizes only."""
    play(
        f"P6:{preset}",
        a=PINNED + "label('pinned')\nwait_for('done')\n",
        b=f"""
wait_for("pinned")
truncate("/f", 5 * PAGE)                                        # -> {outcome}
truncate("/f", 3 * PAGE)                                        # -> ETXTBSY
label("done")
""",
    )


def test_releases_of_the_device_and_its_pins_are_two_things(play: Play) -> None:
    """H13: with a release that returns early the zombie outlives the device's file, and then goes [G2]."""
    run = play(
        "P6",
        head="[machine]\nuverbs_async_delay = true\n",
        a=PINNED + "munmap(buf, 4 * PAGE)\nclose(fd)\nclose(ctx)\nsleep(1)\ntruncate('/f', 0)              # -> 0\n",
    )
    assert (leases(run), pinned(run)) == ((), 0)


def test_short_pins_are_waited_for_where_long_ones_fail() -> None:
    """A change must not fail because of direct I/O [K1b, K2]."""
    short = Pin(7, 0, 0, longterm=False, owner="read:1", context="process:1", process="process:1")
    view = LayoutView(FileFacts(0, 0, Memory.FS_DAX), (), (), (short,), ExclusiveLease.state)
    change = Change(
        LayoutOperation.TRUNCATE,
        ChangeKind.SUBTRACTIVE | ChangeKind.SHRINKING,
        WHOLE_FILE,
        Caller("process:1", 1, 0, 0),
        (Asked.LEASES, Asked.PAGES),
    )
    for policy in (ExclusiveLease(longterm_fails=True), ExclusiveLease(self_change=SelfChange.ALLOW)):
        assert policy.change_gate(change, view) == WaitFor((short,))
        failed = policy.change_gate(change, view._replace(pins=(short._replace(longterm=True),)))
        assert failed == Fail(errno.ETXTBSY)


def lease(**changes: Any) -> LeaseView:
    usual = LeaseView(
        "lease:1", ("file:1",), "file:1", "process:1", 1, 0, LeaseKind.LAYOUT, "", True, False, False, False, False, 0
    )
    return usual._replace(**changes)


def asked(policy: ExclusiveLease, held: LeaseView, caller: Caller) -> Allow | Fail:
    mapping = MappingView(caller.process, 1, 3, 1, "file:2")
    request = PinRequest(caller, mapping, longterm=True, write=True, registration="mr:1", context="uverbs:1")
    view = LayoutView(FileFacts(0, 0, Memory.FS_DAX), (held,), (), None, policy.state)
    return policy.pin_gate(request, view)


def test_as_posted_a_process_with_the_number_of_a_dead_holder_is_taken_for_it() -> None:
    """H17: numbers come back. This is a question to the gate, because numbers here never do."""
    heir = Caller("process:1 again", 1, 0, 0)
    assert (
        asked(ExclusiveLease(holder_by_number=True, zombie_can_pin=True), lease(zombie=True), heir).__class__ is Allow
    )
    assert asked(ExclusiveLease(), lease(), heir) == Fail(errno.EPERM)
    assert asked(ExclusiveLease(), lease(), Caller("process:1", 1, 0, 0)) == Allow(hold="file:1")


def test_exclusive_leases_are_mutual_with_exclusive_ones_alone() -> None:
    wanted = LeaseRequest(F_RDLCK, LeaseKind.LAYOUT, exclusive=True)
    mutual = ExclusiveLease(exclusive_mutual=True)
    assert mutual.conflict_gate(wanted, lease()) == Fail(errno.EAGAIN)
    assert mutual.conflict_gate(wanted, lease(exclusive=False)) == Proceed()
    assert mutual.conflict_gate(wanted._replace(exclusive=False), lease()) == Proceed()


def test_low_bits_beside_f_layout_count_for_nothing() -> None:
    policy = ExclusiveLease()
    assert policy.read_lease(F_LAYOUT | 2) == policy.read_lease(F_LAYOUT)
    assert policy.read_lease(F_EXCLUSIVE) is None


def test_an_administrator_sees_the_device_through_which_pages_are_pinned() -> None:
    pin = Pin(7, 0, 0, longterm=True, owner="mr:1.1", context="uverbs:1.1")
    view = LayoutView(FileFacts(0, 0, Memory.FS_DAX), (lease(),), (), (pin,), ExclusiveLease.state)
    seen = ExclusiveLease().admin_list(view)
    assert [(entry.by, entry.address) for entry in seen] == [
        (ListedBy.DESCRIPTION, "process:1"),
        (ListedBy.DEVICE, "uverbs:1.1"),
    ]


# What was wanted of close in June 2019.

CLOSES = PINNED + "munmap(buf, 4 * PAGE)\nclose(fd)                                    # -> 0\nlabel('closed')\n"


def test_who_closes_with_pins_may_be_killed(play: Play) -> None:
    """The pins go with its device, and the lease with them [K1]."""
    run = play(
        "P6,close_with_pins=kill",
        a=CLOSES + "pause()                                        # -> hangs\n",
        b="sleep(1)\ntruncate('/f', 0)                                       # -> 0\n",
    )
    assert run.taken("a") == ["SIGKILL: it kills"]
    assert (leases(run), pinned(run)) == ((), 0)


def test_or_loses_all_that_it_made_through_its_device(play: Play) -> None:
    """As if the file of the device had been closed; the process goes on, and nothing is left of the lease [K1]."""
    run = play(
        "P6,close_with_pins=invalidate",
        a=CLOSES
        + 'truncate("/f", 0)                                               # -> 0\n'
        + "ibv_dereg_mr(mr)                                                # -> 0\n"
        + "ibv_alloc_pd(ctx)                                               # -> EIO\n",
    )
    assert run.taken("a") == []
    assert (leases(run), pinned(run)) == ((), 0)


@pytest.mark.parametrize("close", ["kill", "invalidate"])
def test_a_descriptor_a_mapping_or_no_pins_is_no_such_close(play: Play, close: str) -> None:
    run = play(
        f"P6,close_with_pins={close}",
        seeds=range(2),
        a=PINNED
        + "again = dup(fd)\nclose(fd)\nclose(again)                              # -> 0 (it is mapped)\n"
        + "ibv_alloc_pd(ctx)                                               # -> ok\n"
        + "ibv_dereg_mr(mr)\nmunmap(buf, 4 * PAGE)\nibv_alloc_pd(ctx)            # -> ok\n",
    )
    assert run.taken("a") == []


def test_a_kill_does_not_end_pins_of_a_device_that_is_shared(play: Play) -> None:
    """Why the kill was given up, and what came instead [K1]. The taker's death is a close too."""
    for close, outcome in (("kill", "ETXTBSY"), ("invalidate", "0")):
        play(
            f"P6,close_with_pins={close}",
            seeds=range(3),
            details={"child": 'start = "fork"'},
            a=CONTEXT + 'fork("child")\n' + CLOSES.removeprefix(CONTEXT) + "sleep(1)\n",
            child="sleep(10)\n",
            b=f"sleep(5)\ntruncate('/f', 0)                                # -> {outcome}\n",
        )
