"""The event matrix of semantics 5 for what can take a registration back: P4 (MAP_DIRECT) and P9 (with a lease).

One scenario a row, under both. A holder that does not answer is waited for until its time is over: 45 seconds, and
under P9 one more, in which the device gives the key back. Then the change is made, and no access of the device reaches
the file's blocks any more: that is rule O1, in every order.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from unit.programs import CONTEXT, LOOPBACK, leases, pinned

Play = Callable[..., Any]


class Column(NamedTuple):
    """How a registration is made under a policy, and when it is taken back."""

    policy: str
    map: str
    register: str
    deadline: float


ACCESS = "PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)   # -> ok\n"
COLUMNS = [
    Column(
        "P4",
        "buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_DIRECT, fd, 0)   # -> ok\n",
        f"mr = ibv_reg_mr(pd, buf, {ACCESS}",
        45.0,
    ),
    Column(
        "P9",
        "buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)   # -> ok\n",
        f"mr = ibv_reg_mr_lease(pd, buf, {ACCESS}",
        46.0,
    ),
]
DEVICE = CONTEXT + 'fd = open("/f", O_RDWR)\n'
PARTLY_SHARED = """
to = open("/g", O_RDWR | O_CREAT)
ficlonerange(to, fd, 2 * PAGE, PAGE, 0)                         # -> 0 (page 2 is another file's too)
"""
STRAY = """
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "stray", mr, 0)            # -> 0
ibv_get_cq_event(cq)
ibv_poll_cq(cq)                                                 # -> 1
ibv_wc_status()                                                 # -> IBV_WC_REM_ACCESS_ERR
"""
HANDLED = "on_signal.SIGIO = 'getpid()'\non_signal.SIGBUS = 'getpid()'"

PUNCH = "fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, {}, PAGE)   # -> blocks, 0\n"
CHANGES = {
    "truncate the pinned page": 'truncate("/f", 0)                                               # -> blocks, 0\n',
    "punch the pinned page": 'fd = open("/f", O_RDWR)\n' + PUNCH.format(0),
    "punch another page": 'fd = open("/f", O_RDWR)\n' + PUNCH.format("3 * PAGE"),
    "write what changes nothing": 'fd = open("/f", O_RDWR)\nwrite(fd, "x")                           # -> blocks, 1\n',
    "clone the file": """
fd = open("/f", O_RDONLY)
to = open("/h", O_RDWR | O_CREAT)
ioctl(to, FICLONE, fd)                                          # -> blocks, 0
""",
}


@pytest.fixture(params=COLUMNS, ids=lambda column: column.policy)
def column(request: pytest.FixtureRequest) -> Column:
    found: Column = request.param
    return found


def holder(column: Column, *, before: str = "", after: str = "") -> str:
    """Return a program that registers page 0, and tries the device when the change is through."""
    told = 'sigprocmask(SIG_BLOCK, SIGIO)\nlabel("pinned")\nwait_for("changed")\n'
    return DEVICE + LOOPBACK + before + column.map + column.register + after + told + STRAY


@pytest.mark.parametrize("change", CHANGES)
def test_others_change_the_file(play: Play, column: Column, change: str) -> None:
    """Rows 1, 3, 4 and 6: WT, fenced or revoked."""
    run = play(
        column.policy,
        seeds=range(3),
        a=holder(column),
        b='wait_for("pinned")\n' + CHANGES[change] + 'label("changed")\n',
    )
    assert run.returned("b") == column.deadline
    assert (leases(run), pinned(run)) == ((), 0)


@pytest.mark.parametrize(
    "change",
    [
        "ftruncate(fd, 0)                                  # -> blocks, 0\n",
        'write(fd, "x")                                    # -> blocks, 1\n',
    ],
)
def test_the_holder_changes_the_file(play: Play, column: Column, change: str) -> None:
    """Row 2: it waits for itself [H14]."""
    program = holder(column).replace('label("pinned")\nwait_for("changed")\n', change)
    run = play(column.policy, seeds=range(3), details={"a": HANDLED}, a=program)
    assert run.returned("a") == column.deadline
    assert run.rules == set()


def test_the_holder_waits_no_longer_if_another_thread_answers(play: Play, column: Column) -> None:
    """Row 2, for P4 the unmapping and the registration both."""
    run = play(
        column.policy,
        seeds=range(3),
        details={"helper": 'start = "thread"', "a": HANDLED},
        a=DEVICE
        + column.map
        + column.register
        + 'sigprocmask(SIG_BLOCK, SIGIO)\nlabel("mr", mr)\nlabel("buf", buf)\nclone("helper")\n'
        + "ftruncate(fd, 0)                                                # -> blocks, 0\n",
        helper='buf = wait_for("buf")\nmr = wait_for("mr")\nsleep(7)\nmunmap(buf, 4 * PAGE)\nibv_dereg_mr(mr)\n',
    )
    assert run.returned("a") == 7.0


def test_a_write_that_must_copy(play: Play) -> None:
    """Row 5, of another page that the file shares: WT. P4 has no such row: it maps no file that shares a block."""
    column = COLUMNS[1]
    run = play(
        "P9",
        seeds=range(3),
        a=holder(column, before=PARTLY_SHARED),
        b='wait_for("pinned")\nfd = open("/f", O_RDWR)\npwrite(fd, "x", 2 * PAGE)              # -> blocks, 1\n'
        'label("changed")\n',
    )
    assert run.returned("b") == column.deadline
    play("P4", seeds=(), a=DEVICE + PARTLY_SHARED + COLUMNS[0].map.replace("-> ok", "-> EPERM"))


def test_a_clone_and_then_a_write_that_must_copy(play: Play, column: Column) -> None:
    """Row 5 after row 6: the registration was taken back by the clone, so the write waits for nobody [H8]."""
    run = play(
        column.policy,
        seeds=range(3),
        a=holder(column),
        b='wait_for("pinned")\n'
        + CHANGES["clone the file"]
        + 'file = open("/f", O_RDWR)\npwrite(file, "new", 0)                               # -> 3\nlabel("changed")\n'
        + "sleep(10)\npread(to, 5, 0)                                     # -> b'\\x00\\x00\\x00\\x00\\x00'\n",
    )
    assert run.returned("b") == column.deadline + 10


def test_munmap_and_then_a_change(play: Play, column: Column) -> None:
    """Row 7: WT, as the registration has a lease of its own; on 5.4 too, which looks at no page of such a file."""
    for kernel in ("ideal", "5.4", "6.18"):
        run = play(
            f"{column.policy}:intended,kernel={kernel}",
            seeds=range(2),
            a=holder(column, after="munmap(buf, 4 * PAGE)                           # -> 0\n"),
            b='wait_for("pinned")\ntruncate("/f", 0)                    # -> blocks, 0\nlabel("changed")\n',
        )
        assert run.returned("b") == column.deadline


def test_unlink_and_the_last_close(play: Play, column: Column) -> None:
    """Row 8: the registration holds the description, so blocks stay until it is deregistered [H7]."""
    for kernel in ("ideal", "5.4", "6.18"):
        play(
            f"{column.policy}:intended,kernel={kernel}",
            seeds=range(2),
            head='[[pmem]]\nname = "p"\nblocks = 4\n[[file]]\npath = "/f"\nsize = "4 * PAGE"',
            a=DEVICE
            + LOOPBACK
            + column.map
            + column.register
            + """
unlink("/f")                                                    # -> 0
munmap(buf, 4 * PAGE)
close(fd)                                                       # -> 0
new = open("/new", O_RDWR | O_CREAT)
"""
            + """
write(new, "x")                                                 # -> ENOSPC (the blocks are the file's still)
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "DMA", mr, 0)              # -> 0
ibv_get_cq_event(cq)
ibv_poll_cq(cq)
ibv_wc_status()                                                 # -> IBV_WC_SUCCESS
ibv_dereg_mr(mr)                                                # -> 0
write(new, "x")                                                 # -> 1
""",
        )


def test_f_unlck(play: Play, column: Column) -> None:
    """Row 9: it reaches no lease of a mapping or a registration."""
    play(
        column.policy,
        seeds=(0,),
        a=holder(column).partition("sigprocmask")[0]
        + "fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> EAGAIN\n",
    )


def test_the_setter_is_killed_and_the_device_is_shared(play: Play, column: Column) -> None:
    """Row 10: the lease of the registration stays, and is broken as ever [H11]."""
    run = play(
        column.policy,
        seeds=range(3),
        details={"child": 'start = "fork"'},
        a=DEVICE + LOOPBACK + column.map + column.register + 'fork("child")\nlabel("pinned")\npause()   # -> hangs\n',
        child="close(fd)\nmunmap(buf, 4 * PAGE)\nsigprocmask(SIG_BLOCK, SIGIO)\nwait_for('changed')\n" + STRAY,
        b='wait_for("pinned")\nkill("a", SIGKILL)\nsleep(1)\ntruncate("/f", 0)          # -> blocks, 0\n'
        'label("changed")\n',
    )
    assert run.returned("b") == 1.0 + column.deadline
