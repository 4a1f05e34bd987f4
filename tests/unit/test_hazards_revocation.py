"""The hazards of semantics 6 as far as they are about registrations that can be taken back: P4 and P9."""

from collections.abc import Callable
from typing import Any

import pytest
from unit.programs import CONTEXT, DEVICE, LOOPBACK, leases, pinned
from unit.programs import REGISTER_REMOTE as REGISTER

Play = Callable[..., Any]

DIRECT = "buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_DIRECT, fd, 0)   # -> ok\n"
MAPPED = 'fd = open("/f", O_RDWR)\n' + DIRECT
LEASED = REGISTER.replace("ibv_reg_mr", "ibv_reg_mr_lease")
STRAY = """
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "stray", mr, 0)            # -> 0
ibv_get_cq_event(cq)
ibv_poll_cq(cq)                                                 # -> 1
ibv_wc_status()                                                 # -> IBV_WC_REM_ACCESS_ERR
"""
TRUNCATE = 'wait_for("ready")\ntruncate("/f", 0)                    # -> blocks, 0\nlabel("truncated")\n'


def test_h3_sigio_goes_to_who_mapped_and_has_the_file_no_more(play: Play) -> None:
    """The child has the mapping, and nobody tells it: P4 asks for the owner of the description, as F_SETLEASE does."""
    run = play(
        "P4",
        details={"a": "on_signal.SIGIO = 'getpid()'", "child": 'start = "fork"\non_signal.SIGBUS = "getpid()"'},
        a=MAPPED
        + """
fork("child")
munmap(buf, 4 * PAGE)
close(fd)                                                       # -> 0
label("ready")
sleep(1000)                                                     # -> EINTR
""",
        child='wait_for("truncated")\nload(buf, 1)                             # -> EFAULT\n',
        b=TRUNCATE,
    )
    assert run.taken("child") == ["SIGBUS: its handler runs"]
    assert run.returned("b") == 45.0


def test_h3_an_event_goes_to_who_has_the_device(play: Play) -> None:
    """P9: who has closed it gets nothing, SIGIO neither, though it registered; the child is told and answers."""
    run = play(
        "P9",
        details={"child": 'start = "fork"'},
        a=DEVICE + LOOPBACK + LEASED + 'fork("child")\nclose(ctx)\nlabel("ready")\npause()          # -> hangs\n',
        child="ev = ibv_get_async_event(ctx)\nibv_ack_async_event(ev)\nibv_dereg_mr(event_mr)                # -> 0\n",
        b=TRUNCATE,
    )
    assert run.returned("b") == 0.0


def test_h4_a_child_pins_through_the_mapping_it_inherited_and_is_fenced_too(play: Play) -> None:
    run = play(
        "P4",
        details={"a": "on_signal.SIGIO = 'getpid()'", "child": 'start = "fork"'},
        a=MAPPED + 'fork("child")\nsleep(1000)\nsleep(1000)\n',
        child=CONTEXT + LOOPBACK + REGISTER + 'label("ready")\nwait_for("truncated")\n' + STRAY,
        b=TRUNCATE,
    )
    assert run.returned("b") == 45.0


@pytest.mark.parametrize("policy", ["P4", "P9"])
def test_h5_a_pin_between_break_and_truncate(play: Play, policy: str) -> None:
    """P4: ENXIO for a mapping that is being broken; P9: EAGAIN. Whenever it is tried O1 holds, and truncate returns."""
    first, again = (DIRECT, REGISTER) if policy == "P4" else ("", LEASED)
    errno = "ENXIO" if policy == "P4" else "EAGAIN"
    run = play(
        policy,
        racy=True,
        seeds=range(30),
        details={"a": "on_signal.SIGIO = 'getpid()'"},
        a=DEVICE
        + LOOPBACK
        + first
        + again
        + 'label("ready")\n'
        + again.replace("# -> ok", "").replace("mr =", "more =")
        + 'ibv_post_send(qp, IBV_WR_RDMA_WRITE, "DMA", mr, 0)\nibv_get_cq_event(cq)\n',
        b='wait_for("ready")\ntruncate("/f", 0)                                           # -> 0\n',
    )
    ends = {
        call.errno or "ok"
        for schedule in run.schedules
        for call in schedule.result.calls
        if call.call.startswith("ibv_reg") and call.process == "a"
    }
    assert ends >= {"ok", errno}


def test_h18_who_cannot_be_told_loses_mapping_and_registration_in_silence(play: Play) -> None:
    """The thread that mapped is gone, so nobody is the owner; time runs out, and the process finds out by itself."""
    run = play(
        "P4",
        details={"mapper": 'start = "thread"', "a": "on_signal.SIGBUS = 'getpid()'"},
        a=CONTEXT
        + LOOPBACK
        + 'fd = open("/f", O_RDWR)\nmapper = clone("mapper")\npthread_join(mapper)\nbuf = wait_for("buf")\n'
        + REGISTER
        + 'label("ready")\nwait_for("truncated")\nload(buf, 1)                             # -> EFAULT\n'
        + STRAY,
        mapper=DIRECT + 'label("buf", buf)\n',
        b=TRUNCATE,
    )
    assert run.taken("a") == ["SIGBUS: its handler runs"]
    assert run.returned("b") == 45.0


@pytest.mark.parametrize("policy", ["P4", "P9"])
def test_h19_exec_of_a_holder(play: Play, policy: str) -> None:
    """Its mapping goes, and with it what P4 would signal; the registration stays with the device, and its lease."""
    run = play(
        policy,
        details={"image": 'start = "fork"'},
        a=DEVICE + LOOPBACK + (DIRECT + REGISTER if policy == "P4" else LEASED) + 'exec("image")\n',
        image='label("ready")\nwait_for("truncated")\n' + STRAY,
        b=TRUNCATE,
    )
    assert run.taken("a") == []
    assert run.returned("b") == (45.0 if policy == "P4" else 46.0)
    assert (leases(run), pinned(run)) == ((), 0)


def test_h10_a_shorter_lease_break_time_is_all_an_administrator_needs(play: Play) -> None:
    """P4 can always revoke, so nobody need be killed [semantics 4.4]; for breaks that begin after it."""
    run = play(
        "P4",
        details={"a": "on_signal.SIGIO = 'getpid()'"},
        a=DEVICE + DIRECT + REGISTER + 'label("ready")\nsleep(1000)\nsleep(1000)\n',
        b='wait_for("ready")\nset_lease_break_time(3)\n' + TRUNCATE,
    )
    assert run.returned("b") == 3.0


@pytest.mark.parametrize("policy", ["P4", "P9"])
def test_h26_a_pnfs_client_is_recalled_beside_a_registration(play: Play, policy: str) -> None:
    """Both are told at once; the client has two of its leases, which may be longer than the break time."""
    run = play(
        policy,
        seeds=range(3),
        head='[machine]\nlease_break_time = 10\n[[file]]\npath = "/f"\nsize = "4 * PAGE"',
        a='wait_for("layout")\nsigprocmask(SIG_BLOCK, SIGIO)\n'
        + DEVICE
        + LOOPBACK
        + (DIRECT + REGISTER if policy == "P4" else LEASED)
        + 'label("ready")\nwait_for("truncated")\n'
        + STRAY,
        client="""
fd = open("/f", O_RDWR)
lo = layoutget(fd, 20)                                          # -> ok
label("layout")
cb_layoutrecall(lo)
wait_for("truncated")
layout_write(lo, "stray", 0)                                    # -> EIO
""",
        b=TRUNCATE,
    )
    assert run.returned("b") == 40.0
