"""Generations of Linux and file systems: each measured difference, on every kernel and file system there is."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from longpin.actors.kernel.file_system import FILE_SYSTEMS, Asked, LayoutOperation
from longpin.actors.kernel.generation import GENERATIONS, Version
from longpin.config.storage import ON_BLOCKS

Play = Callable[..., Any]

LINUX = [str(version) for version in GENERATIONS if version is not Version.IDEAL]
UP_TO_6_1 = ("5.4", "6.1")
UP_TO_6_12 = ("5.4", "6.1", "6.12")

DEVICE = """
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
"""
PINNED = (
    DEVICE
    + """
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
label("pinned")
"""
)


@pytest.mark.parametrize("kernel", LINUX)
def test_pages_that_nobody_maps_are_busy_after_6_12(play: Play, kernel: str) -> None:
    hangs = kernel not in UP_TO_6_12
    play(
        f"P1,kernel={kernel}",
        violates=["O3"] if hangs else [],
        a=PINNED.replace('label("pinned")', 'munmap(buf, 4 * PAGE)\nlabel("pinned")\npause()'),
        b=f"""
wait_for("pinned")
truncate("/f", 0)                                     # -> {"hangs" if hangs else "0"}
""",
    )


@pytest.mark.parametrize("kernel", LINUX)
def test_the_last_close_of_an_unlinked_file_waits_for_its_pins_after_6_12(play: Play, kernel: str) -> None:
    """A process that has the pin and closes last never comes back [2.5, H7]."""
    hangs = kernel not in UP_TO_6_12
    play(
        f"P1,kernel={kernel}",
        violates=["O3"] if hangs else [],
        a=PINNED
        + f"""
munmap(buf, 4 * PAGE)
unlink("/f")                                          # -> 0
close(fd)                                             # -> {"hangs" if hangs else "0"}
""",
    )


@pytest.mark.parametrize("kernel", LINUX)
def test_a_refused_registration_pins_for_a_moment_up_to_5_4(play: Play, kernel: str) -> None:
    """Beyond the end it is the pages that are refused first, if they are looked at first [4.0]."""
    late = kernel == "5.4"
    play(
        f"P0,kernel={kernel}",
        a=DEVICE
        + f"""
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)     # -> EOPNOTSUPP
ftruncate(fd, 0)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)     # -> {"EFAULT" if late else "EOPNOTSUPP"}
""",
    )


@pytest.mark.parametrize("kernel", LINUX)
def test_a_read_only_mapping_can_be_registered_for_reading_after_6_1(play: Play, kernel: str) -> None:
    """The device reads zeros where the file has a hole, and nothing holds up who fills it [2.6]."""
    allowed = kernel not in UP_TO_6_1
    play(
        f"P1,kernel={kernel}",
        a=f"""
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
fd = open("/hole", O_RDWR | O_CREAT)
ftruncate(fd, PAGE)
buf = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)     # -> EFAULT
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_REMOTE_READ) # -> {"ok" if allowed else "EFAULT"}
"""
        + (READS if allowed else ""),
    )


READS = """
cq = ibv_create_cq(ctx)
qp = ibv_create_qp(pd, cq)
ibv_modify_qp(qp, IBV_QPS_INIT)
ibv_modify_qp(qp, IBV_QPS_RTR, qp)
ibv_modify_qp(qp, IBV_QPS_RTS)
other = open("/f", O_RDWR)
to = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0)
into = ibv_reg_mr(pd, to, PAGE, IBV_ACCESS_LOCAL_WRITE)
store(to, "full")
ibv_post_send(qp, IBV_WR_RDMA_READ, into, mr, 0, 4)
ibv_get_cq_event(cq)
ibv_poll_cq(cq)                                       # -> 1
ibv_wc_status()                                       # -> IBV_WC_SUCCESS
load(to, 4)                                           # -> b"\\x00\\x00\\x00\\x00"
write(fd, "data")                                     # -> 4
ftruncate(fd, 0)                                      # -> 0
ibv_dereg_mr(mr)                                      # -> 0
ibv_dereg_mr(into)                                    # -> 0
"""


@pytest.mark.parametrize("kernel", LINUX)
def test_rxe_does_on_demand_paging_after_6_12_and_refused_it_with_another_errno_after_6_1(
    play: Play, kernel: str
) -> None:
    refused = "EINVAL" if kernel in UP_TO_6_1 else "EOPNOTSUPP"
    play(
        f"P1,kernel={kernel}",
        a=DEVICE
        + f"""
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_ON_DEMAND)       # -> {refused if kernel in UP_TO_6_12 else "ok"}
""",
    )


def test_every_generation_has_another_row_or_was_measured_to_be_the_same() -> None:
    rows = list(GENERATIONS.values())
    assert len(set(rows)) == 6
    older, newer = GENERATIONS[Version.LINUX_6_18], GENERATIONS[Version.LINUX_7_2]
    differ = {field.name for field in fields(older) if getattr(older, field.name) != getattr(newer, field.name)}
    assert differ == {
        "delegations",
        "io_uring_charges_rings",
        "io_uring_shows_unlimited",
        "nfsd_on_timeout",
        "rxe_checks_entries",
    }


# File systems.


@pytest.mark.parametrize("file_system", ON_BLOCKS)
@pytest.mark.parametrize(
    ("operation", "call"),
    [
        (LayoutOperation.TRUNCATE, "ftruncate(fd, 8 * PAGE)"),
        (LayoutOperation.ALLOCATE, "fallocate(fd, 0, PAGE, PAGE)"),
        (LayoutOperation.ALLOCATE, "fallocate(fd, FALLOC_FL_KEEP_SIZE, PAGE, PAGE)"),
        (LayoutOperation.ZERO_RANGE, "fallocate(fd, FALLOC_FL_ZERO_RANGE, PAGE, PAGE)"),
        (LayoutOperation.PUNCH_HOLE, "fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE)"),
        (LayoutOperation.COLLAPSE_RANGE, "fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, PAGE, PAGE)"),
        (LayoutOperation.INSERT_RANGE, "fallocate(fd, FALLOC_FL_INSERT_RANGE, PAGE, PAGE)"),
        (LayoutOperation.WRITE, 'write(fd, "data")'),
    ],
)
def test_who_waits_for_a_pin_anywhere_in_a_file(
    play: Play, file_system: str, operation: LayoutOperation, call: str
) -> None:
    """On ext4 neither a write nor a plain fallocate does, on XFS no write does [2.5; measured on 6.1 to 7.2]."""
    hangs = Asked.PAGES in FILE_SYSTEMS[file_system].asks[operation]
    assert hangs == (
        operation is not LayoutOperation.WRITE and (operation, file_system) != (LayoutOperation.ALLOCATE, "ext4")
    )
    play(
        "P1,kernel=6.18",
        violates=["O3"] if hangs else [],
        head=f"[[pmem]]\nname = 'pmem0'\nfile_system = '{file_system}'\n",
        a=PINNED + "pause()",
        b=f"""
wait_for("pinned")
fd = open("/f", O_RDWR)
{call}                                                # -> {"hangs" if hangs else "ok"}
""",
    )


@pytest.mark.parametrize("file_system", ON_BLOCKS)
def test_write_breaks_layout_leases_on_xfs_only(play: Play, file_system: str) -> None:
    """P5 teaches ext4 to ask leases where it asks pages; its write asks nobody [2.5, 4.5]."""
    waits = "blocks, 4" if file_system == "xfs" else "4"
    play(
        "P5",
        head=f"[[pmem]]\nname = 'pmem0'\nfile_system = '{file_system}'\n",
        details={"a": "on_signal.SIGIO = 'getpid()'"},
        a="""
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_LAYOUT)                       # -> 0
label("leased")
wait_for("done")
""",
        b=f"""
wait_for("leased")
fd = open("/f", O_RDWR)
write(fd, "data")                                     # -> {waits}
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE)   # -> 0
label("done")
""",
    )


@pytest.mark.parametrize("kernel", LINUX)
def test_a_file_on_tmpfs_is_opened_for_direct_transfers_after_6_5(play: Play, kernel: str) -> None:
    fails = kernel in UP_TO_6_1
    play(
        f"P0,kernel={kernel}",
        head='[[tmpfs]]\nmount = "/t"\n[[file]]\npath = "/t/f"\nsize = "PAGE"\n',
        a=f"""
sigprocmask(SIG_BLOCK, SIGIO)
fd = open("/t/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_WRLCK)
fd2 = open("/t/f", O_RDONLY | O_DIRECT | O_TRUNC | O_NONBLOCK)      # -> EAGAIN
fcntl(fd, F_SETLEASE, F_UNLCK)
direct = open("/t/f", O_RDONLY | O_DIRECT | O_TRUNC)                # -> {"EINVAL" if fails else "ok"}
stat("/t/f")                                                        # -> {4096 if fails else 0}
""",
    )
