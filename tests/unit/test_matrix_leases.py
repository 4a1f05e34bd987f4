"""What happens while a page is pinned, under P5 and P6: what ``scenario/test_event_matrix.py`` does not say of them.

The holder answers no signal, so under P5 whoever waits does so for the whole break time.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from unit.programs import CONTEXT, DEVICE, LOOPBACK, OPEN, REGISTER, REGISTER_REMOTE, leases, pinned

Play = Callable[..., Any]

TAKE = {
    "P5": "fcntl(fd, F_SETLEASE, F_LAYOUT)                                 # -> 0\n",
    "P6": "fcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)                   # -> 0\n",
}
DEAF = "sigprocmask(SIG_BLOCK, SIGIO)\n"
PUNCH = "fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, {0} * PAGE, PAGE)"
CLONE = 'c = open("/c", O_RDWR | O_CREAT)\n'


class Row(NamedTuple):
    """One event, by somebody else and by the holder itself."""

    event: str
    p5: str
    p6: str
    p6_own: str = ""
    """As the holder sees it; empty: as others."""


ROWS = {
    "truncate the pinned range": Row('truncate("/f", 0)', "blocks, ETXTBSY", "ETXTBSY", "EDEADLK"),
    "punch the pinned range": Row(PUNCH.format(0), "blocks, ETXTBSY", "ETXTBSY", "EDEADLK"),
    "truncate another range": Row('truncate("/f", PAGE)', "blocks, 0", "ETXTBSY", "EDEADLK"),
    "punch another range": Row(PUNCH.format(3), "blocks, 0", "ETXTBSY", "EDEADLK"),
    "write, and the layout stays": Row('write(fd, "x")', "blocks, 1", "ETXTBSY", "EDEADLK"),
    "clone": Row("ioctl(c, FICLONE, fd)", "blocks, 0", "ETXTBSY", "EDEADLK"),
    "unlink": Row('unlink("/f")', "0", "0"),
}


@pytest.mark.parametrize("policy", ["P5", "P6"])
@pytest.mark.parametrize("row", ROWS)
def test_an_event_while_a_page_is_pinned(row: str, policy: str, play: Play) -> None:
    event, p5, p6, own = ROWS[row]
    others = p5 if policy == "P5" else p6
    holder = DEAF + DEVICE + TAKE[policy] + REGISTER
    run = play(
        policy,
        seeds=range(2),
        a=holder + 'label("pinned")\nwait_for("done")\n',
        b='wait_for("pinned")\nfd = open("/f", O_RDWR)\n' + CLONE + f"{event}  # -> {others}\nlabel('done')\n",
    )
    assert run.returned("b") == (45.0 if "blocks" in others else 0.0)
    itself = others if policy == "P5" else own or others
    play(policy, seeds=range(2), a=holder + CLONE + f"{event}  # -> {itself}\n")


COPIES = """
wait_for("pinned")
fd = open("/f", O_RDWR)
c = open("/c", O_RDWR | O_CREAT)
ioctl(c, FICLONE, fd)                                           # -> {0}
pwrite(fd, "x", 0)                                              # -> {1}
label("done")
"""
DEVICE_WRITES = 'ibv_post_send(qp, IBV_WR_RDMA_WRITE, "from the NIC", mr, 0)\nibv_get_cq_event(cq)\n'


def test_a_write_that_copies(play: Play) -> None:
    """P5 moves the page from under the device [H8]; P6 lets the file be neither shared nor written."""
    for policy, outcomes, violates in (("P5", ("blocks, 0", "1"), ["O1"]), ("P6", ("ETXTBSY", "ETXTBSY"), [])):
        play(
            policy,
            seeds=range(2),
            violates=violates,
            a=DEAF
            + DEVICE
            + LOOPBACK
            + TAKE[policy]
            + REGISTER_REMOTE
            + 'label("pinned")\nwait_for("done")\n'
            + DEVICE_WRITES,
            b=COPIES.format(*outcomes),
        )


EXT4 = '[[pmem]]\nname = "pmem0"\nfile_system = "ext4"'


@pytest.mark.parametrize(
    ("policy", "head", "outcome", "violates"),
    [
        ("P5:as_posted", "", "blocks, 0", ["O1"]),
        ("P6:as_posted", EXT4, "0", ["O1"]),
        ("P6:intended", EXT4, "ETXTBSY", []),
    ],
)
def test_munmap_then_truncate(policy: str, head: str, outcome: str, violates: list[str], play: Play) -> None:
    """With the scan of 5.4, which sees no page of a file nobody maps, P5 frees it, and so does P6 on ext4 [H1, H6]."""
    play(
        policy,
        head=head,
        seeds=range(2),
        violates=violates,
        a=DEAF
        + DEVICE
        + LOOPBACK
        + TAKE[policy[:2]]
        + REGISTER_REMOTE
        + 'munmap(buf, 4 * PAGE)\nlabel("pinned")\nwait_for("done")\n'
        + DEVICE_WRITES,
        b=f'wait_for("pinned")\ntruncate("/f", 0)                            # -> {outcome}\nlabel("done")\n',
    )


UNLINKED = 'unlink("/f")                                                    # -> 0\nmunmap(buf, 4 * PAGE)\n'


def test_unlink_and_last_close(play: Play) -> None:
    """A zombie of P6 keeps file and blocks, and goes with the pins [H7]."""
    run = play(
        "P6",
        a=DEVICE
        + LOOPBACK
        + TAKE["P6"]
        + REGISTER_REMOTE
        + UNLINKED
        + "close(fd)                                                       # -> 0\n"
        + DEVICE_WRITES
        + "ibv_dereg_mr(mr)                                                # -> 0\n",
    )
    assert (leases(run), pinned(run)) == ((), 0)


@pytest.mark.parametrize(
    ("policy", "unlock", "then"),
    [
        ("P5:as_posted", "0", "ETXTBSY"),
        ("P5:intended", "0", "ETXTBSY"),
        ("P6:as_posted", "0", "blocks, 0"),
        ("P6,unlck_with_pins=ok,longterm_fails=true", "0", "ETXTBSY"),
        ("P6:intended", "EBUSY", "ETXTBSY"),
    ],
)
def test_f_unlck_while_a_page_is_pinned(policy: str, unlock: str, then: str, play: Play) -> None:
    """As posted a change of P6 then hangs until the pins go, because no lease is left that fails it [H9]."""
    waits = "blocks" in then
    play(
        policy,
        seeds=range(2),
        a=DEAF
        + DEVICE
        + TAKE[policy[:2]]
        + REGISTER
        + f"fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> {unlock}\n"
        + f"ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)  # -> {'EPERM' if unlock == '0' else 'ok'}\n"
        + 'label("unlocked")\n'
        + ("sleep(5)\nibv_dereg_mr(mr)\n" if waits else 'wait_for("done")\n'),
        b=f'wait_for("unlocked")\ntruncate("/f", 0)                          # -> {then}\nlabel("done")\n',
    )


def test_the_taker_is_killed_and_its_device_is_shared(play: Play) -> None:
    """P5: the lease is gone and the pins stay, so a change fails at once; P6: the lease is a zombie [H11]."""
    for policy, left in (("P5", 0), ("P6", 1)):
        run = play(
            policy,
            details={"child": 'start = "fork"'},
            seeds=range(2),
            a=CONTEXT + 'fork("child")\n' + OPEN + TAKE[policy] + REGISTER + 'label("pinned")\npause()  # -> hangs\n',
            child="pause()                                                         # -> hangs\n",
            b='wait_for("pinned")\nkill("a", SIGKILL)\nsleep(1)\ntruncate("/f", 0)          # -> ETXTBSY\n'
            'kill("child", SIGSTOP)\n',
        )
        assert (len(leases(run)), pinned(run)) == (left, 1)
