"""Who wrote what, and for whom it is right: the stamps of blocks, and the rules O1' and O2 that look at them [3]."""

from collections.abc import Callable
from typing import Any

import pytest

from longpin.actors.mm.ownership import Owner, Ownership
from longpin.actors.mm.stamps import Stamp, Stamps

Play = Callable[..., Any]

HEAD = '[[pmem]]\nname = "p"\nblocks = 16\n[[file]]\npath = "/f"\nsize = "PAGE"\n'
FULL = HEAD.replace("16", "1")
DEVICE = """
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
cq = ibv_create_cq(ctx)
qp = ibv_create_qp(pd, cq)
ibv_modify_qp(qp, IBV_QPS_INIT)
ibv_modify_qp(qp, IBV_QPS_RTR, qp)
ibv_modify_qp(qp, IBV_QPS_RTS)
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ)  # -> ok
munmap(buf, PAGE)
"""
WRITE = 'ibv_post_send(qp, IBV_WR_RDMA_WRITE, "NIC", mr, 0)\nibv_get_cq_event(cq)\n'
READ = """
m2 = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, open_other, 0)
mr2 = ibv_reg_mr(pd, m2, PAGE, IBV_ACCESS_LOCAL_WRITE)
ibv_post_send(qp, IBV_WR_RDMA_READ, mr2, mr, 0, 3)
ibv_get_cq_event(cq)
"""
CLONE = 'c = open("/c", O_RDWR | O_CREAT)\nioctl(c, FICLONE, fd)  # -> 0\n'
UNTIL_6_12 = "P1,kernel=6.12"
"""A clone does not see the pin of a page that nobody maps."""


def test_a_device_that_writes_to_what_a_snapshot_has_too(play: Play) -> None:
    """O1': the snapshot changes, as those see who read it: O2."""
    play(UNTIL_6_12, head=HEAD, violates=["O1'"], a=DEVICE + CLONE + WRITE + "pread(fd, 3, 0)  # -> b'NIC'")
    play(UNTIL_6_12, head=HEAD, violates=["O1'", "O2"], a=DEVICE + CLONE + WRITE + "pread(c, 3, 0)  # -> b'NIC'")
    mapped = "m = mmap(PAGE, PROT_READ, MAP_SHARED, c, 0)\nload(m, 3)  # -> b'NIC'"
    play(UNTIL_6_12, head=HEAD, violates=["O1'", "O2"], a=DEVICE + CLONE + WRITE + mapped)


def test_what_a_device_wrote_before_the_clone_is_the_clone_s(play: Play) -> None:
    play(UNTIL_6_12, head=HEAD, a=DEVICE + WRITE + CLONE + "pread(c, 3, 0)  # -> b'NIC'")


def test_a_device_may_read_what_is_shared(play: Play) -> None:
    """It harms no snapshot, and reads what its file has."""
    other = 'open_other = open("/o", O_RDWR | O_CREAT)\nftruncate(open_other, PAGE)\n'
    play(UNTIL_6_12, head=HEAD, a=DEVICE + CLONE + other + READ)


def test_the_file_moves_away_from_under_a_device(play: Play) -> None:
    """O1: the update is lost, for the block is the clone's now, which has what it never wrote: O2."""
    lost = DEVICE + CLONE + 'pwrite(fd, "new", 0)\n' + WRITE + "pread(fd, 3, 0)  # -> b'new'\n"
    play(UNTIL_6_12, head=HEAD, violates=["O1"], a=lost)
    play(UNTIL_6_12, head=HEAD, violates=["O1", "O2"], a=lost + "pread(c, 3, 0)  # -> b'NIC'")


def test_what_is_copied_or_cloned_from_wrong_data_is_wrong(play: Play) -> None:
    """Copy on write, a clone of the clone, and a move within the file keep what they had for whom."""
    wrong = DEVICE + CLONE + WRITE
    play(UNTIL_6_12, head=HEAD, violates=["O1'", "O2"], a=wrong + 'pwrite(c, "x", 9)\npread(c, 3, 0)  # -> b"NIC"')
    play(UNTIL_6_12, head=HEAD, violates=["O1'"], a=wrong + 'pwrite(c, "own", 0)\npread(c, 3, 0)  # -> b"own"')
    again = 'd = open("/d", O_RDWR | O_CREAT)\nioctl(d, FICLONE, {})\npread(d, 3, 0)  # -> b"NIC"'
    play(UNTIL_6_12, head=HEAD, violates=["O1'", "O2"], a=wrong + again.format("c"))
    play(UNTIL_6_12, head=HEAD, violates=["O1'"], a=wrong + again.format("fd"))
    moved = "fallocate({0}, FALLOC_FL_INSERT_RANGE, 0, PAGE)  # -> 0\npread({0}, 3, PAGE)  # -> b'NIC'"
    play(UNTIL_6_12, head=HEAD, violates=["O1'", "O2"], a=wrong + moved.format("c"))
    play(UNTIL_6_12, head=HEAD, violates=["O1'"], a=wrong + moved.format("fd"))


def test_a_block_that_was_given_to_another_file(play: Play) -> None:
    """O2: the other file has what the device wrote, and a device reads what the other file wrote."""
    given = DEVICE + 'ftruncate(fd, 0)\ng = open("/g", O_RDWR | O_CREAT)\npwrite(g, "own", 0)  # -> 3\n'
    play(UNTIL_6_12, head=FULL, violates=["O1", "O2"], a=given + WRITE + "pread(g, 3, 0)  # -> b'NIC'")
    play(UNTIL_6_12, head=FULL, violates=["O1"], a=given + WRITE + 'pwrite(g, "own", 0)\npread(g, 3, 0)  # -> b"own"')
    other = 'open_other = open("/o", O_RDWR | O_CREAT)\npwrite(open_other, "x", 0)\n'
    play(UNTIL_6_12, head=HEAD.replace("16", "2"), violates=["O1", "O2"], a=given + other + READ)


@pytest.mark.parametrize("kernel", ["6.18", "ideal"])
def test_later_kernels_give_nothing_away(play: Play, kernel: str) -> None:
    """6.18 never makes the clone; `ideal` does, and so the snapshot changes there too: only copying would help."""
    clone = "c = open('/c', O_RDWR | O_CREAT)\nioctl(c, FICLONE, fd)\n"
    violates = ["O3"] if kernel == "6.18" else ["O1'", "O2"]
    play(f"P1,kernel={kernel}", head=HEAD, violates=violates, a=DEVICE + clone + WRITE + "pread(c, 3, 0)")


def test_owners_of_shared_blocks() -> None:
    owners = Ownership()
    owners.add(10, 4, Owner("inode:/f", 0))
    owners.add(12, 4, Owner("inode:/c", 7))
    assert owners.of(13) == (Owner("inode:/c", 8), Owner("inode:/f", 3))
    assert owners.shared(0, 99) == [(12, 2)]
    assert owners.drop(11, 2, Owner("inode:/f", 1)) == [(11, 1)]
    assert (owners.of(11), owners.of(12)) == ((), (Owner("inode:/c", 7),))
    with pytest.raises(ValueError, match="block 10 is not page 5 of inode:/f"):
        owners.drop(10, 1, Owner("inode:/f", 5))
    assert owners.drop(12, 4, Owner("inode:/c", 7)) == [(12, 1), (14, 2)]


def test_stamps_are_of_bytes() -> None:
    stamps, f, g = Stamps(), Owner("inode:/f", 0), Owner("inode:/g", 0)
    mine, theirs = Stamp("inode:/f", f, (f,)), Stamp("mr:1.1", g, ())
    stamps.write(3, 0, 100, mine)
    stamps.write(3, 10, 5, theirs)
    assert stamps.read(3, 0, 10) == [mine]
    assert stamps.read(3, 9, 2) == [mine, theirs]
    assert stamps.read(3, 200, 5) == []
    assert [str(stamp) for stamp in stamps.read(3, 12, 4)] == [
        "DMA of mr:1.1 to page 0 of inode:/g",
        "write(2) of inode:/f to page 0 of inode:/f",
    ]
    stamps.forget(3)
    assert stamps.read(3, 0, 100) == []
