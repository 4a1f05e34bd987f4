"""P1, pins without a rule: the sentences of docs/policies.md, P1, that other files have not [4.1].

``test_policies.py`` has what a truncate waits for, ``test_inode.py`` the end of that wait and the last free.
"""

from collections.abc import Callable
from typing import Any

import pytest
from unit.programs import CONTEXT, DEVICE, LOOPBACK, REGISTER, REGISTER_REMOTE, pinned

Play = Callable[..., Any]


def test_every_process_that_maps_may_pin_within_its_limit(play: Play) -> None:
    """It owns nothing, has no capability, and may only read."""
    play(
        "P1",
        seeds=(0,),
        head='[[file]]\npath = "/f"\nsize = "4 * PAGE"\nmode = 0o644',
        details={"stranger": 'uid = 1000\ncapabilities = []\nmemlock = "2 * PAGE"'},
        stranger=CONTEXT
        + """
fd = open("/f", O_RDWR)                                         # -> EACCES
fd = open("/f", O_RDONLY)
ro = mmap(4 * PAGE, PROT_READ, MAP_SHARED, fd, 0)
ibv_reg_mr(pd, ro, 3 * PAGE, IBV_ACCESS_REMOTE_READ)            # -> ENOMEM
ibv_reg_mr(pd, ro, 2 * PAGE, IBV_ACCESS_REMOTE_READ)            # -> ok
munmap(ro, 4 * PAGE)
ibv_reg_mr(pd, ro, PAGE, IBV_ACCESS_REMOTE_READ)                # -> ENOMEM (the limit comes first)
""",
    )


UNMAPS = [
    'truncate("/f", 0)',
    "fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE)",
    "fallocate(f, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE)",
    "fallocate(f, FALLOC_FL_ZERO_RANGE, 0, PAGE)",
]


@pytest.mark.parametrize("change", UNMAPS)
def test_who_pins_is_told_nothing_and_no_time_runs_out(play: Play, change: str) -> None:
    """Whatever unmaps waits for a thousand seconds of a pin, and the pinner hears of it by no signal."""
    run = play(
        "P1",
        seeds=(0, 1),
        details={"a": "on_signal.SIGIO = 'getpid()'\non_signal.SIGBUS = 'getpid()'"},
        a=DEVICE + REGISTER + 'label("pinned")\nsleep(1000)                        # -> 0\nibv_dereg_mr(mr)\n',
        b=f'wait_for("pinned")\nf = open("/f", O_RDWR)\n{change}              # -> blocks, 0\n',
    )
    assert (run.taken("a"), run.returned("b")) == ([], 1000.0)


def test_the_waiter_can_be_killed(play: Play) -> None:
    """What it has locked is free then, and nothing is changed."""
    run = play(
        "P1",
        seeds=range(3),
        a=DEVICE + REGISTER + 'label("pinned")\nsleep(2)\nkill("b", SIGKILL)\nread(fd, 1)  # -> b"\\x00"\nsleep(3)\n',
        b='wait_for("pinned")\ntruncate("/f", 0)                            # -> blocks, hangs\n',
    )
    assert run.ended("b") == 2.0


WAITS = "pause()                                                         # -> hangs\n"
EVENTS = {
    "close(fd)": {},
    "munmap(buf, 4 * PAGE)": {},
    "munmap(buf, 4 * PAGE)\nclose(fd)": {},
    "again = dup(fd)\nclose(fd)\nclose(again)": {},
    'fork("child")': {"child": WAITS},
    'exec("child")': {"child": WAITS},
    'send_fd("other", fd)': {"other": "f = recv_fd()\n" + WAITS},
    'send_fd("other", ctx)\nclose(ctx)': {"other": "c = recv_fd()\n" + WAITS},
}


@pytest.mark.parametrize("event", EVENTS)
def test_pins_do_not_mind(play: Play, event: str) -> None:
    """Close, munmap, dup, fork, exec, a descriptor that is passed: they stay while somebody has the device [2.4]."""
    others: dict[str, str] = EVENTS[event]
    run = play(
        "P1",
        seeds=(0,),
        details={"child": 'start = "fork"'},
        a=DEVICE + REGISTER + event + "\n" + WAITS,
        **others,
    )
    assert pinned(run) == 1


def test_a_copy_moves_the_page_from_under_the_device(play: Play) -> None:
    """write(2) looks at no page, though the block is shared by then: what the device writes is the clone's [H8]."""
    play(
        "P1",
        seeds=(0, 1),
        violates=["O1", "O2"],
        a=DEVICE
        + LOOPBACK
        + REGISTER_REMOTE
        + """
c = open("/c", O_RDWR | O_CREAT)
ioctl(c, FICLONE, fd)                                           # -> 0 (no page changes, so nobody looks)
pwrite(fd, "x", 0)                                              # -> 1 (at once)
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "from the NIC", mr, 0)     # -> 0
ibv_get_cq_event(cq)
pread(c, 4, 0)                                                  # -> b'from'
""",
    )


def test_an_administrator_can_only_guess_whom_to_kill(play: Play) -> None:
    """Nobody is listed; who kills the right process has its way [4.1]."""
    play(
        "P1",
        seeds=(0, 1),
        a=DEVICE + REGISTER + 'munmap(buf, 4 * PAGE)\nclose(fd)\nlabel("pinned")\npause()     # -> hangs\n',
        admin='wait_for("pinned")\nlist_holders("/f")  # -> 0\nkill_holders("/f", SIGKILL)  # -> 0\n'
        'kill("a", SIGKILL)\nsleep(1)\ntruncate("/f", 0)                              # -> 0\n',
    )
