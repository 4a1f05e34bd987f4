"""P8, leases of single processes and death for who is late, each defining sentence of semantics 4.9 as a scenario."""

import errno
from collections.abc import Callable
from typing import Any

import pytest
from unit.programs import CONTEXT, LOOPBACK, OPEN, leases, pinned
from unit.programs import REGISTER_REMOTE as REGISTER

from longpin.actors.constants import F_LAYOUT, F_RDLCK
from longpin.actors.kernel.file_system import Asked, ChangeKind, LayoutOperation
from longpin.actors.policies.decisions import Allow, BreakLeases, Fail, Proceed, Scan, WaitFor
from longpin.actors.policies.strict import BreakOn, Orphans, PassedUse, Strict
from longpin.actors.policies.views import (
    F_EXCLUSIVE,
    WHOLE_FILE,
    Change,
    CloseRequest,
    FileFacts,
    LayoutView,
    LeaseCall,
    LeaseKind,
    LeaseRequest,
    LeaseView,
    RegistrationView,
)
from longpin.messages.fs.mapping import MappingView, Memory, PinRequest
from longpin.messages.mm.memory import Pin
from longpin.messages.process.caller import Caller

Play = Callable[..., Any]

DEVICE = CONTEXT + LOOPBACK
SHARED = "fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0\n"
EXCLUSIVE = "fcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)                   # -> 0\n"
FORKED = 'start = "fork"'
ANSWERS = "on_signal.SIGIO = '''\nibv_dereg_mr(mr)\nfcntl(fd, F_SETLEASE, F_UNLCK)\n'''"
HANDLED = "on_signal.SIGIO = 'getpid()'"


def test_a_lease_is_that_of_one_process_on_one_description(play: Play) -> None:
    """A child shares the description and has no lease on it until it takes its own; each gives up its own."""
    play(
        "P8",
        details={"child": FORKED},
        a=DEVICE
        + OPEN
        + "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> EPERM\n"
        + SHARED
        + REGISTER
        + """
fork("child")
wait_for("given up")
fcntl(fd, F_GETLEASE)                                           # -> F_LAYOUT
fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> EBUSY (resources before the lease)
ibv_dereg_mr(mr)                                                # -> 0
fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> 0
""",
        child="""
fcntl(fd, F_GETLEASE)                                           # -> F_UNLCK
fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> EAGAIN (it has none)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> EPERM
fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0
own = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)         # -> ok
ibv_dereg_mr(own)                                               # -> 0
fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> 0
label("given up")
""",
    )


CLOSER = DEVICE + OPEN + SHARED + REGISTER + "munmap(buf, 4 * PAGE)\nlabel('pinned')\n"


def test_close_waits_for_the_pins_and_only_death_ends_it(play: Play) -> None:
    run = play(
        "P8",
        details={"a": "on_signal.SIGUSR1 = 'getpid()'"},
        a=CLOSER + "close(fd)                                         # -> blocks, hangs\n",
        b="""
wait_for("pinned")
sleep(1)
kill("a", SIGUSR1)
sleep(1)
kill("a", SIGKILL)
sleep(1)
truncate("/f", 0)                                               # -> 0
""",
    )
    assert run.ended("a") == 2.0
    assert leases(run) == ()


@pytest.mark.parametrize("preset", ["intended", "as_posted"])
def test_close_goes_on_when_another_has_deregistered(play: Play, preset: str) -> None:
    """Nobody maps the file any more: a kernel that does not look for pins then, 5.4, would not find them (H6)."""
    run = play(
        f"P8:{preset}",
        details={"child": FORKED},
        a=CLOSER
        + """
fork("child")
close(fd)                                                       # -> blocks, 0
""",
        child="""
sleep(6)
ibv_dereg_mr(mr)                                                # -> 0
""",
    )
    assert run.returned("a") == 6.0
    assert leases(run) == ()


def test_only_the_last_descriptor_of_a_process_waits(play: Play) -> None:
    play(
        "P8",
        details={"child": FORKED},
        a=CLOSER
        + """
again = dup(fd)
close(fd)                                                       # -> 0 (there is another one)
fork("child")
wait_for("closed")
ibv_dereg_mr(mr)                                                # -> 0
close(again)                                                    # -> 0
""",
        child="""
close(again)                                                    # -> 0 (the lease is not its own)
label("closed")
""",
    )


def test_a_dying_process_does_not_wait(play: Play) -> None:
    run = play("P8", a=CLOSER + "exit(0)")
    assert (leases(run), pinned(run)) == ((), 0)


@pytest.mark.parametrize("late", [False, True])
def test_who_does_not_release_a_shared_lease_in_time_is_killed(play: Play, late: bool) -> None:
    run = play(
        "P8",
        details={"a": HANDLED if late else ANSWERS},
        a=DEVICE + OPEN + SHARED + REGISTER + "label('pinned')\nsleep(1000)                # -> EINTR\nsleep(1000)\n",
        b="""
wait_for("pinned")
truncate("/f", 0)                                               # -> blocks, 0
""",
    )
    assert run.returned("b") == (45.0 if late else 0.0)
    assert ("SIGKILL: it kills" in run.taken("a")) == late
    assert (leases(run), pinned(run)) == ((), 0)


SHARER = {"a": HANDLED, "child": FORKED}
"""A parent that is late, and a child that has the device too."""
LATE = (
    DEVICE
    + 'fork("child")\n'
    + OPEN
    + SHARED
    + REGISTER
    + 'label("pinned", mr)\nsleep(1000)                                   # -> EINTR\nsleep(1000)\n'
)


def test_what_a_killed_process_registered_is_taken_from_the_device_that_others_share(play: Play) -> None:
    run = play(
        "P8",
        details=SHARER,
        a=LATE,
        child="""
mr = wait_for("pinned")
wait_for("truncated")
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "stray", mr, 0)            # -> 0
ibv_get_cq_event(cq)
ibv_poll_cq(cq)
ibv_wc_status()                                                 # -> IBV_WC_REM_ACCESS_ERR
ibv_dereg_mr(mr)                                                # -> 0
""",
        b="""
wait_for("pinned")
truncate("/f", 0)                                               # -> blocks, 0
label("truncated")
""",
    )
    assert run.returned("b") == 45.0
    assert pinned(run) == 0


def test_orphans_that_are_left_alone_are_waited_for(play: Play) -> None:
    play(
        "P8,orphan=leave",
        violates=["O3"],
        details=SHARER,
        a=LATE,
        child="wait_for('pinned')\npause()                           # -> hangs\n",
        b="wait_for('pinned')\ntruncate('/f', 0)                     # -> hangs\n",
    )


@pytest.mark.parametrize("before", ["true", "false"])
def test_an_exclusive_lease_is_given_when_orphans_have_gone(play: Play, before: str) -> None:
    """H2: who is given one relies on being alone; else they go when it changes the file."""
    status = {"true": "IBV_WC_REM_ACCESS_ERR", "false": "IBV_WC_SUCCESS"}[before]
    run = play(
        f"P8,orphans_before_grant={before}",
        seeds=range(3),
        details=SHARER,
        a=LATE,
        child=f"""
mr = wait_for("pinned")
wait_for("leased")
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "x", mr, 0)                # -> 0
ibv_get_cq_event(cq)
ibv_poll_cq(cq)
ibv_wc_status()                                                 # -> {status}
label("tried")
""",
        b="""
wait_for("pinned")
kill("a", SIGKILL)
sleep(1)
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)                   # -> 0
label("leased")
wait_for("tried")
truncate("/f", 0)                                               # -> 0 (its own lease, and no pin is left)
""",
    )
    assert pinned(run) == 0


def test_an_exclusive_lease_fails_others_before_anything_has_begun(play: Play) -> None:
    run = play(
        "P8",
        details={"a": HANDLED, "c": HANDLED},
        a=DEVICE + OPEN + EXCLUSIVE + REGISTER + "label('pinned')\nwait_for('done')\n",
        c="""
wait_for("pinned")
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)                   # -> EAGAIN (they are mutual)
fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0
label("shared")
wait_for("done")
""",
        b="""
wait_for("shared")
truncate("/f", 0)                                               # -> ETXTBSY
fd = open("/f", O_RDWR)
write(fd, "x")                                                  # -> ETXTBSY
label("done")
""",
    )
    assert (run.taken("a"), run.taken("c")) == ([], [])


@pytest.mark.parametrize("lease", [SHARED, EXCLUSIVE])
def test_a_holder_is_exempt_from_its_own_lease_and_not_from_its_pins(play: Play, lease: str) -> None:
    run = play(
        "P8",
        details={"a": HANDLED},
        a=DEVICE
        + OPEN
        + lease
        + REGISTER
        + """
write(fd, "x")                                                  # -> 1
truncate("/f", 2 * PAGE)                                        # -> 0
truncate("/f", 0)                                               # -> ETXTBSY
ibv_dereg_mr(mr)
truncate("/f", 0)                                               # -> 0
""",
    )
    assert run.returned("a") == 0.0


@pytest.mark.parametrize(("enforced", "outcome"), [("none", "0"), ("block_use", "EACCES")])
def test_use_of_a_registration_that_was_passed_on(play: Play, enforced: str, outcome: str) -> None:
    play(
        f"P8,enforce_pass={enforced}",
        details={"child": FORKED},
        a=DEVICE
        + OPEN
        + SHARED
        + REGISTER
        + """
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "x", mr, 0)                # -> 0
ibv_get_cq_event(cq)
fork("child")
wait_for("used")
""",
        child=f"""
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "y", mr, 0)                # -> {outcome}
fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "z", mr, 0)                # -> 0
label("used")
""",
    )


@pytest.mark.parametrize(("enforced", "outcome"), [("none", "0"), ("block_use", "EACCES")])
def test_use_through_a_window_and_by_a_receive(play: Play, enforced: str, outcome: str) -> None:
    """Whatever gives the device the pages: the key of a window, a buffer for what comes."""
    play(
        f"P8,enforce_pass={enforced}",
        details={"child": FORKED},
        a=DEVICE
        + OPEN
        + SHARED
        + """
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_MW_BIND)
mw = ibv_alloc_mw(pd, IBV_MW_TYPE_1)
ibv_bind_mw(qp, mw, mr, 0, 8, IBV_ACCESS_REMOTE_WRITE)          # -> 0
ibv_get_cq_event(cq)
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "x", mw, 0)                # -> 0
fork("child")
wait_for("used")
""",
        child=f"""
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "y", mw, 0)                # -> {outcome}
ibv_post_recv(qp, mr, 0, 8)                                     # -> {outcome}
ibv_post_recv(qp)                                               # -> 0
label("used")
""",
    )


@pytest.mark.parametrize(("which", "until"), [("any", 45.0), ("subtractive", 0.0)])
def test_additive_changes_may_leave_shared_leases_alone(play: Play, which: str, until: float) -> None:
    run = play(
        f"P8,break_on={which}",
        details={"a": HANDLED},
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0
label("leased")
sleep(1000)
sleep(1000)
""",
        b="""
wait_for("leased")
fd = open("/f", O_RDWR)
fallocate(fd, FALLOC_FL_KEEP_SIZE, 8 * PAGE, PAGE)              # -> 0
""".replace("# -> 0", "# -> blocks, 0" if until else "# -> 0"),
    )
    assert run.returned("b") == until


def test_subtractive_changes_break_shared_leases_also_then(play: Play) -> None:
    run = play(
        "P8,break_on=subtractive",
        details={"a": HANDLED},
        a="fd = open('/f', O_RDONLY)\n" + SHARED + "label('leased')\nsleep(1000)\nsleep(1000)\n",
        b="""
wait_for("leased")
fd = open("/f", O_RDWR)
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE)   # -> blocks, 0
""",
    )
    assert run.returned("b") == 45.0


def test_all_who_have_the_device_of_orphans_are_killed_if_that_is_the_rule(play: Play) -> None:
    """Who they are follows from descriptors: a child that has closed its copy lives, who was passed one does not."""
    run = play(
        "P8,orphan=kill_all_holders",
        details=SHARER | {"child": FORKED, "innocent": FORKED},
        a=CONTEXT
        + LOOPBACK
        + 'fork("child")\nfork("innocent")\nsend_fd("passed", ctx)\n'
        + OPEN
        + SHARED
        + REGISTER
        + 'label("pinned")\nsleep(1000)               # -> EINTR\nsleep(1000)\n',
        child="pause()                # -> hangs\n",
        innocent="close(ctx)\nwait_for('truncated')\n",
        passed="wait_for('pinned')\npause()              # -> hangs\n",
        b='wait_for("pinned")\ntruncate("/f", 0)                # -> blocks, 0\nlabel("truncated")\n',
    )
    assert run.returned("b") == 45.0
    assert (pinned(run), leases(run)) == (0, ())
    assert [run.ended(name) for name in ("a", "child", "passed")] == [45.0] * 3
    assert not run.taken("innocent")


def test_an_exclusive_lease_can_kill_the_holders_of_orphans_too(play: Play) -> None:
    """H2: it is not given before they are gone."""
    run = play(
        "P8,orphan=kill_all_holders",
        details=SHARER,
        a=LATE,
        child="wait_for('pinned')\npause()                      # -> hangs\n",
        b="""
wait_for("pinned")
kill("a", SIGKILL)
sleep(1)
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)
fcntl(fd, F_GETLEASE)                                           # -> F_LAYOUT
""",
    )
    assert (pinned(run), run.ended("child")) == (0, 1.0)


def test_a_lease_that_is_late_may_only_be_removed(play: Play) -> None:
    """Its process lives, and what it had pinned has no lease any more: it is taken from the device."""
    run = play(
        "P8,at_deadline=remove",
        details={"a": HANDLED},
        a=DEVICE
        + OPEN
        + SHARED
        + REGISTER
        + "label('pinned')\nsleep(1000)                # -> EINTR\nwait_for('done')\n"
        + "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)   # -> EPERM\n",
        b="wait_for('pinned')\ntruncate('/f', PAGE)               # -> blocks, 0 (no pinned page)\n"
        "truncate('/f', 0)                    # -> 0\ntruncate('/f', PAGE)\nlabel('done')\n",
    )
    assert (run.returned("b"), pinned(run)) == (45.0, 0)


def test_who_has_closed_is_not_signalled_and_not_killed(play: Play) -> None:
    """C5's complaint about base leases (H3): the first setter is signalled, and killed, who has nothing any more."""
    run = play(
        "P8",
        details={"a": HANDLED, "child": FORKED},
        a=OPEN + SHARED + "fork('child')\nwait_for('taken')\nmunmap(buf, 4 * PAGE)\nclose(fd)\nlabel('closed')\n"
        "wait_for('truncated')\n",
        child=SHARED + "label('taken')\nsleep(1000)\n",
        b="wait_for('closed')\ntruncate('/f', 0)                  # -> blocks, 0\nlabel('truncated')\n",
    )
    assert run.taken("a") == []
    assert run.returned("b") == 0.0, "the child had no handler: the break itself ended it"


def test_a_holder_whose_signal_is_lost_is_killed_all_the_same(play: Play) -> None:
    """H18: signals of a description have the rights of who took the first lease on it, who may not signal the other."""
    run = play(
        "P8",
        head='[[file]]\npath = "/f"\nsize = "4 * PAGE"\nuid = 7\n',
        details={
            "first": "uid = 7\non_signal.SIGIO = 'fcntl(fd, F_SETLEASE, F_UNLCK)'",
            "a": HANDLED + "\nuid = 8\ncapabilities = ['CAP_LEASE']",
        },
        first="fd = open('/f', O_RDWR)\n" + SHARED + "send_fd('a', fd)\nwait_for('truncated')\n",
        a="fd = recv_fd()\n" + SHARED + "label('leased')\nsleep(1000)\n",
        b="wait_for('leased')\ntruncate('/f', 0)                  # -> blocks, 0\nlabel('truncated')\n",
    )
    assert run.returned("b") == 45.0
    assert len(run.taken("first")) == 1
    assert len(run.taken("a")) == 1, "SIGKILL alone"


def test_a_second_exclusive_lease_may_be_allowed(play: Play) -> None:
    play(
        "P8,exclusive_mutual=false",
        a=OPEN + EXCLUSIVE + "label('one')\nwait_for('two')\n",
        b="wait_for('one')" + OPEN + EXCLUSIVE + "label('two')\n",
    )


def test_exclusive_pins_cannot_be_passed(play: Play) -> None:
    """Whoever is passed them has no way to a lease that covers them; a shared one does not."""
    play(
        "P8,enforce_pass=block_use",
        details={"child": FORKED},
        a=DEVICE + OPEN + EXCLUSIVE + REGISTER + 'fork("child")\nwait_for("tried")\n',
        child="""
fcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)                   # -> EAGAIN
fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "y", mr, 0)                # -> EACCES
label("tried")
""",
    )


def test_without_the_check_of_pages_a_holder_frees_blocks_under_its_own_device(play: Play) -> None:
    """W1: why to be exempt from one's own lease is not enough (O1)."""
    play(
        "P8,holder_page_check=false",
        violates=["O1"],
        a=DEVICE
        + OPEN
        + SHARED
        + REGISTER
        + """
truncate("/f", 0)                                               # -> 0
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "stray", mr, 0)            # -> 0
ibv_get_cq_event(cq)
""",
    )


@pytest.mark.parametrize(("how", "outcome"), [("EBUSY", "EBUSY"), ("block", "blocks, 0"), ("ok", "0")])
def test_a_lease_is_kept_while_its_process_has_pins(play: Play, how: str, outcome: str) -> None:
    run = play(
        f"P8,unlck_with_pins={how}",
        details={"child": FORKED},
        a=DEVICE
        + OPEN
        + SHARED
        + REGISTER
        + f'fork("child")\nfcntl(fd, F_SETLEASE, F_UNLCK)               # -> {outcome}\nlabel("asked")\n',
        child=("sleep(3)\n" if how == "block" else "wait_for('asked')\n") + "ibv_dereg_mr(mr)\n",
    )
    assert run.returned("a") == (3.0 if how == "block" else 0.0)


def test_use_of_a_mapping_alone_needs_no_lease(play: Play) -> None:
    play(
        "P8",
        a=OPEN
        + "store(buf, 'x')                                # -> 0\nload(buf, 1)              # -> b'x'\nlabel('used')\n",
        b="wait_for('used')\nfd = open('/f', O_RDWR)\nwrite(fd, 'y')                     # -> 1\n",
    )


REFLINK = '[[file]]\npath = "/f"\nsize = "4 * PAGE"\n[[file]]\npath = "/g"\nsize = "0"\n'


@pytest.mark.parametrize("exclusive", [False, True])
def test_a_copy_and_a_clone_wait_for_shared_pins_no_longer_than_the_break_time(play: Play, exclusive: bool) -> None:
    """S3: they must not be held up for ever. An exclusive lease does hold them up, by failing them."""
    clone = "ETXTBSY" if exclusive else "blocks, 0"
    run = play(
        "P8",
        head=REFLINK,
        details={"a": HANDLED},
        a=DEVICE
        + OPEN
        + (EXCLUSIVE if exclusive else SHARED)
        + REGISTER
        + "label('pinned')\nsleep(1000)\nsleep(1000)\n",
        b=f"""
wait_for("pinned")
fd = open("/f", O_RDWR)
to = open("/g", O_RDWR)
ioctl(to, FICLONE, fd)                                          # -> {clone}
write(fd, "x")                                                  # -> {"ETXTBSY" if exclusive else "1"}
""",
    )
    assert run.returned("b") == (0.0 if exclusive else 45.0)


def test_a_write_that_copies_does_not_leave_orphans_behind(play: Play) -> None:
    """H8: what a killed process has pinned through a device that lives on is taken from it before the page moves."""
    run = play(
        "P8",
        head=REFLINK,
        details=SHARER,
        a="fd = open('/f', O_RDWR)\nto = open('/g', O_RDWR)\nioctl(to, FICLONE, fd)\nclose(fd)\n"
        + LATE.replace("IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE", "IBV_ACCESS_REMOTE_READ"),
        child="wait_for('pinned')\nwait_for('copied')\n",
        b="""
wait_for("pinned")
fd = open("/g", O_RDWR)
write(fd, "y")                                                  # -> 1
fd = open("/f", O_RDWR)
write(fd, "x")                                                  # -> blocks, 1
label("copied")
""",
    )
    assert run.returned("b") == 45.0


def test_an_exit_closes_in_any_order_and_never_waits(play: Play) -> None:
    """H12: the lease is dropped by the close of the file, whether the device goes before or after."""
    for first in (CONTEXT + LOOPBACK + OPEN, OPEN + CONTEXT + LOOPBACK):
        run = play("P8", a=first + SHARED + REGISTER + "munmap(buf, 4 * PAGE)\n")
        assert (leases(run), pinned(run), run.ended("a")) == ((), 0, 0.0)


def test_growth_asks_too(play: Play) -> None:
    """H22: the tail of the last page may be zeroed or copied."""
    play(
        "P8",
        a=OPEN + EXCLUSIVE + "label('leased')\nwait_for('tried')\n",
        b="wait_for('leased')\ntruncate('/f', 9 * PAGE)                # -> ETXTBSY\nlabel('tried')\n",
    )


def test_a_file_without_a_name_is_kept_until_its_close_is_over(play: Play) -> None:
    """H7: the close waits for the pins, and only then can the blocks go."""
    run = play(
        "P8",
        details={"child": FORKED},
        a=CLOSER + 'unlink("/f")\nfork("child")\nclose(fd)                   # -> blocks, 0\n',
        child="close(fd)\nsleep(6)\nibv_dereg_mr(mr)\n",
    )
    assert run.returned("a") == 6.0


def test_who_closes_with_pins_may_be_killed(play: Play) -> None:
    """Instead of waiting; what others have of its device is orphaned [K1]."""
    run = play(
        "P8,close_with_pins=kill",
        seeds=range(4),
        details={"child": FORKED},
        a=CLOSER + 'fork("child")\nclose(fd)                                    # -> hangs\n',
        child="close(fd)\nsleep(9)\n",
        b="sleep(5)\ntruncate('/f', 0)                                # -> 0 (its pins are taken from the device)\n",
    )
    assert run.taken("a") == ["SIGKILL: it kills"]
    assert (run.ended("a"), leases(run), pinned(run)) == (0.0, (), 0)


def test_or_loses_all_that_it_made_through_its_device(play: Play) -> None:
    """Close returns, and the lease is gone with the pins [K1]."""
    run = play(
        "P8,close_with_pins=invalidate",
        seeds=range(4),
        a=CLOSER
        + "close(fd)                                                       # -> 0\n"
        + 'truncate("/f", 0)                                               # -> 0\n'
        + "ibv_dereg_mr(mr)                                                # -> 0\n"
        + "ibv_alloc_pd(ctx)                                               # -> EIO\n",
    )
    assert run.taken("a") == []
    assert (run.returned("a"), leases(run), pinned(run)) == (0.0, (), 0)


@pytest.mark.parametrize("close", ["kill", "invalidate"])
def test_a_descriptor_that_is_left_or_no_pins_is_no_such_close(play: Play, close: str) -> None:
    run = play(
        f"P8,close_with_pins={close}",
        seeds=range(2),
        a=CLOSER
        + "again = dup(fd)\nclose(fd)\nibv_alloc_pd(ctx)                   # -> ok\n"
        + "ibv_dereg_mr(mr)\nclose(again)\nibv_alloc_pd(ctx)               # -> ok\n",
    )
    assert run.taken("a") == []


@pytest.mark.parametrize("owner", ["process", "description"])
def test_what_a_lease_belongs_to(play: Play, owner: str) -> None:
    """With leases of descriptions the one who took it is killed, who has nothing of the file any more [C5, H3]."""
    base = owner == "description"
    run = play(
        f"P8,lease_owner={owner}",
        seeds=range(3),
        details={"a": HANDLED, "child": FORKED},
        a=OPEN
        + SHARED
        + 'fork("child")\nmunmap(buf, 4 * PAGE)\nclose(fd)                 # -> 0\nlabel("closed")\n'
        + "sleep(100)\nsleep(100)\n",
        child=f"""
wait_for("closed")
fcntl(fd, F_GETLEASE)                                           # -> {"F_LAYOUT" if base else "F_UNLCK"}
label("looked")
sleep(200)
""",
        b=f'wait_for("looked")\ntruncate("/f", 0)                # -> {"blocks, 0" if base else "0"}\n',
    )
    assert run.taken("a") == (["SIGIO: its handler runs", "SIGKILL: it kills"] if base else [])


def test_leases_of_descriptions_are_given_up_by_whoever_has_one(play: Play) -> None:
    """And do not hold up a close: pins stay without a lease."""
    run = play(
        "P8,lease_owner=description",
        seeds=range(3),
        details={"child": FORKED},
        a=DEVICE + OPEN + SHARED + REGISTER + 'fork("child")\nclose(fd)                 # -> 0\nlabel("closed")\n',
        child="wait_for('closed')\nibv_dereg_mr(mr)\nfcntl(fd, F_SETLEASE, F_UNLCK)               # -> 0\n",
    )
    assert (run.returned("a"), leases(run)) == (0.0, ())


def test_the_lease_of_a_dead_process_goes_though_others_have_its_description(play: Play) -> None:
    """C3: after a kill it is dropped; a child that has the descriptor has no part in it."""
    run = play(
        "P8",
        seeds=range(2),
        details={"child": FORKED},
        a=OPEN + SHARED + 'fork("child")\nkill("a", SIGKILL)\n',
        child="sleep(200)\n",
        b="sleep(1)\ntruncate('/f', 0)                    # -> 0\n",
    )
    assert run.returned("b") == 1.0


# Hooks.

ASKS = (Asked.LEASES, Asked.PAGES)
FACTS = FileFacts(0, 0, Memory.FS_DAX)
EXCLUSIVELY = LeaseRequest(F_RDLCK, LeaseKind.LAYOUT, exclusive=True)


def lease(**changes: Any) -> LeaseView:
    usual = LeaseView(
        "lease:1", ("file:1",), "file:1", "process:1", 1, 0, LeaseKind.LAYOUT, "", False, False, False, False, False, 0
    )
    return usual._replace(**changes)


def test_a_lease_that_is_being_broken_is_not_active() -> None:
    """It lets nobody pin more, nor, if that is asked, use what was passed on."""
    one, strict = Caller("process:1", 1, 0, 0), Strict(enforce_pass=PassedUse.LEASE_HOLDERS)
    request = PinRequest(one, MappingView("mm:1", 1, 3, 1, "file:1"), True, True, "mr:1", "uverbs:1")
    active = LayoutView(FACTS, (lease(),), (), None, Strict.state)
    breaking = active._replace(leases=(lease(breaking=True),))
    assert (strict.pin_gate(request, active), strict.pin_gate(request, breaking)) == (Allow(), Fail(errno.EPERM))
    assert strict.pin_gate(request._replace(longterm=False), breaking) == Allow()
    registration = RegistrationView("mr:1", "uverbs:1")
    assert strict.use_gate(one, registration, active) == Proceed()
    assert strict.use_gate(one, registration, breaking) == Fail(errno.EACCES)


def test_a_write_that_copies_waits_for_no_short_pins() -> None:
    """As it never did [2.5]; for orphans that are left alone it does."""
    short = Pin(7, 0, 0, longterm=False, owner="read:1", context="process:2", process="process:2")
    copies = Change(LayoutOperation.WRITE, ChangeKind.SUBTRACTIVE, WHOLE_FILE, Caller("process:1", 1, 0, 0), ASKS[:1])
    view = LayoutView(FACTS, (), (), (short,), Strict.state)
    assert Strict().change_gate(copies, view) == Proceed()
    assert Strict().change_gate(copies._replace(asks=ASKS), view) == WaitFor((short,))
    long = short._replace(longterm=True)
    left = Strict(orphan=Orphans.LEAVE).change_gate(copies, view._replace(pins=(short, long)))
    assert left == WaitFor((long,))


def test_pins_are_looked_for_also_where_nobody_maps_the_file() -> None:
    """H6: a kernel that does not look then would find no pins of a holder, and no orphans."""
    one = Caller("process:1", 1, 0, 0)
    view = LayoutView(FACTS, (lease(),), (), None, Strict.state)
    assert Strict().unlck_gate(lease(), one, view) == Scan(unmapped=True)
    assert Strict().flush_gate(CloseRequest(one, "file:1", True, False), view) == Proceed(), "not its lease"
    own = view._replace(leases=(lease(key=("file:1", "process:1")),))
    assert Strict().flush_gate(CloseRequest(one, "file:1", True, False), own) == Scan(unmapped=True)
    truncate = Change(LayoutOperation.TRUNCATE, ChangeKind.SUBTRACTIVE, WHOLE_FILE, one, ASKS)
    assert Strict().change_gate(truncate, view) == Scan(WHOLE_FILE, unmapped=True)
    assert Strict(orphans_before_grant=False).lease_gate(LeaseCall(one, "file:1", 2, EXCLUSIVELY), view) == Proceed()
    exclusive = LeaseCall(one, "file:1", 2, EXCLUSIVELY)
    assert Strict().lease_gate(exclusive, view) == Scan(unmapped=True)


def test_low_bits_beside_f_layout_are_refused() -> None:
    assert Strict().read_lease(F_LAYOUT | 2) is None
    assert Strict().read_lease(F_EXCLUSIVE) is None


@pytest.mark.parametrize("exclusive", [False, True])
def test_ethereal_changes_break_shared_leases_as_subtractive_ones(exclusive: bool) -> None:
    """October 2019: delayed allocation is no addition yet; exclusive leases fail whatever it is."""
    view = LayoutView(FACTS, (lease(exclusive=exclusive),), (), None, Strict.state)
    other = Caller("process:2", 2, 0, 0)
    decide = Strict(break_on=BreakOn.SUBTRACTIVE).change_gate
    breaks = Fail(errno.ETXTBSY) if exclusive else BreakLeases(("lease:1",))
    for kinds in (ChangeKind.ETHEREAL, ChangeKind.SUBTRACTIVE, ChangeKind.ADDITIVE | ChangeKind.ETHEREAL):
        assert decide(Change(LayoutOperation.WRITE, kinds, WHOLE_FILE, other, ASKS), view) == breaks
    for kinds in (ChangeKind.ADDITIVE, ChangeKind.ADDITIVE | ChangeKind.EXTENDING, ChangeKind.CONVERTING):
        adds = decide(Change(LayoutOperation.WRITE, kinds, WHOLE_FILE, other, ASKS), view)
        assert adds == (Fail(errno.ETXTBSY) if exclusive else Proceed())
