"""Inodes: truncation and the locks it holds, holes, names, and what becomes of an unlinked file [1.6, 2.5, 2.7]."""

from collections.abc import Callable
from typing import Any

import pytest

from longpin.actors.fs.inode import Inode
from longpin.actors.mm.pmem import Pmem

Play = Callable[..., Any]

PINNED = """
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
"""

USR1 = "on_signal.SIGUSR1 = 'getpid()'"


def test_names(play: Play) -> None:
    play(
        "P1",
        details={"a": "uid = 1000"},
        head='[[file]]\npath = "/f"\nmode = 0o640\nuid = 5',
        a="""
open("/none", O_RDONLY)                        # -> ENOENT
open("/f", O_RDONLY)                           # -> EACCES
open("/n", O_RDONLY | O_CREAT | O_EXCL)        # -> ok
open("/n", O_RDONLY | O_CREAT | O_EXCL)        # -> EEXIST
open("/", O_RDWR)                              # -> EISDIR
truncate("/none", 0)                           # -> ENOENT
truncate("/f", 0)                              # -> EACCES
unlink("/none")                                # -> ENOENT
unlink("/n")                                   # -> 0
open("/n", O_RDONLY)                           # -> ENOENT
""",
    )


def test_shrinking_and_growing_leaves_zeroes(play: Play) -> None:
    play(
        "P1",
        head='[[file]]\npath = "/f"',
        a="""
fd = open("/f", O_RDWR)
write(fd, "abcdef")                            # -> 6
ftruncate(fd, 3)                               # -> 0
ftruncate(fd, 7)                               # -> 0
lseek(fd, 0)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
store(buf + 4, "z")
read(fd, 3)                                    # -> b'abc'
lseek(fd, 4)
read(fd, 1)                                    # -> b'z' (and what stood there is gone)
lseek(fd, 5)
write(fd, "")                                  # -> 0
truncate("/f", 4)
lseek(fd, 4)
read(fd, 1)                                    # -> b''
""",
    )


def test_freed_blocks_are_given_to_others_at_once(play: Play) -> None:
    run = play(
        "P1",
        head='[[pmem]]\nname = "p"\nblocks = 2\n[[file]]\npath = "/f"\nsize = "2 * PAGE"',
        a="""
fd = open("/f", O_RDWR)
new = open("/new", O_RDWR | O_CREAT)
write(new, "x")                                # -> ENOSPC
ftruncate(fd, PAGE)                            # -> 0
write(new, "x")                                # -> 1
""",
    )
    pmem, inode = run.engine.actors["pmem:p"], run.engine.actors["inode:/new"]
    assert isinstance(pmem, Pmem)
    assert isinstance(inode, Inode)
    assert (inode.view().pages, pmem.generation(1), pmem.generation(0)) == ({0: 1}, 1, 0)


def test_truncate_waits_for_a_pin_and_holds_up_reads_but_not_faults(play: Play) -> None:
    """Asleep it has dropped the mmap lock, not the iolock [2.5 step 4]."""
    run = play(
        "P1",
        a=PINNED
        + """
label("pinned")
sleep(5)
load(buf + PAGE, 1)                            # -> ok (a fault)
label("faulted")
sleep(5)
ibv_dereg_mr(mr)                               # -> 0
""",
        truncater="""
wait_for("pinned")
truncate("/f", 0)                              # -> blocks, 0
""",
        reader="""
fd = open("/f", O_RDONLY)
wait_for("pinned")
sleep(1)
read(fd, 1)                                    # -> blocks, b''
""",
        opener="""
wait_for("pinned")
sleep(1)
open("/f", O_RDWR)                             # -> ok
""",
    )
    assert (run.returned("truncater"), run.returned("reader"), run.returned("opener")) == (10.0, 10.0, 1.0)


def test_an_interrupted_truncate_changes_nothing_and_lets_the_locks_go(play: Play) -> None:
    play(
        "P1",
        details={"truncater": USR1},
        a=PINNED
        + """
label("pinned")
sleep(5)
kill("truncater", SIGUSR1)                     # -> 0
sleep(5)
read(fd, 1)                                    # -> ok
lseek(fd, 4 * PAGE - 1)
read(fd, 2)                                    # -> ok
load(buf + 3 * PAGE, 1)                        # -> ok
""",
        truncater="""
wait_for("pinned")
truncate("/f", 0)                              # -> blocks, EINTR
truncate("/f", PAGE)                           # -> 0 (the pinned page stays)
truncate("/f", 4 * PAGE)                       # -> 0
""",
    )


@pytest.mark.parametrize(("policy", "waits"), [("P1:intended", False), ("P0:as_posted", False)])
def test_write_does_not_wait_for_pins(play: Play, policy: str, waits: bool) -> None:
    registers = policy.startswith("P1")
    run = play(
        policy,
        a=PINNED
        + """
write(fd, "data")                              # -> 4
""",
    )
    assert run.result.calls[4].errno == (None if registers else "EOPNOTSUPP")
    assert run.result.calls[-1].blocked == waits


def test_an_unlinked_file_lives_while_it_is_open(play: Play) -> None:
    play(
        "P1",
        a="""
fd = open("/f", O_RDWR)
write(fd, "still")                             # -> 5
unlink("/f")                                   # -> 0
open("/f", O_RDWR)                             # -> ENOENT
lseek(fd, 0)
read(fd, 5)                                    # -> b'still'
buf = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
close(fd)                                      # -> 0
load(buf, 5)                                   # -> b'still'
munmap(buf, PAGE)                              # -> 0
""",
    )


def test_a_name_used_again_is_another_file(play: Play) -> None:
    play(
        "P1",
        a="""
old = open("/f", O_RDWR)
unlink("/f")
new = open("/f", O_RDWR | O_CREAT)
write(new, "new")                              # -> 3
ftruncate(old, 0)
fcntl(new, F_SETLEASE, F_WRLCK)                # -> 0 (the old one's openers are not its own)
""",
    )


def test_the_last_close_of_an_unlinked_pinned_file_waits(play: Play) -> None:
    """With the wait at eviction the closer sleeps until the region goes; not even SIGKILL ends it [2.5, H7]."""
    run = play(
        "P1:intended",
        a=PINNED
        + """
unlink("/f")                                   # -> 0
munmap(buf, 4 * PAGE)
send_fd("closer", fd)
close(fd)                                      # -> 0
sleep(1)
label("sent")
sleep(10)
kill("closer", SIGKILL)                        # -> 0
sleep(10)
ibv_dereg_mr(mr)                               # -> 0
""",
        closer="""
fd = recv_fd()
wait_for("sent")
close(fd)                                      # -> blocks, hangs (it dies when it could return)
""",
    )
    assert run.ended("closer") == 21.0


def test_who_holds_the_pin_and_closes_last_never_comes_back(play: Play) -> None:
    """Measured on Linux 6.18 and 7.2."""
    play(
        "P1:intended",
        violates=["O3"],
        a=PINNED
        + """
unlink("/f")                                   # -> 0
munmap(buf, 4 * PAGE)                          # -> 0
close(fd)                                      # -> hangs
""",
    )


def test_without_the_wait_the_blocks_go_under_the_device(play: Play) -> None:
    """Linux 5.4: unlink and last close free what a region still pins, and a write from the device is stray."""
    play(
        "P1:as_posted",
        violates=["O1"],
        a=PINNED.replace("IBV_ACCESS_LOCAL_WRITE)", "IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)")
        + """
cq = ibv_create_cq(ctx)
qp = ibv_create_qp(pd, cq)
ibv_modify_qp(qp, IBV_QPS_INIT)
ibv_modify_qp(qp, IBV_QPS_RTR, qp)
ibv_modify_qp(qp, IBV_QPS_RTS)
unlink("/f")                                   # -> 0
munmap(buf, 4 * PAGE)                          # -> 0
close(fd)                                      # -> 0
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "stray", mr, 0)
ibv_get_cq_event(cq)
""",
    )


def test_truncate_by_name_keeps_the_inode(play: Play) -> None:
    """unlink and last close come while truncate waits for the lease: the blocks go after it, not under it."""
    play(
        "P1",
        a=PINNED
        + """
munmap(buf, 4 * PAGE)
sigaction(SIGIO, SIG_IGN)
fcntl(fd, F_SETLEASE, F_WRLCK)                 # -> 0
label("pinned")
sleep(5)
unlink("/f")                                   # -> 0
close(fd)                                      # -> 0
sleep(5)
ibv_dereg_mr(mr)                               # -> 0
""",
        truncater="""
wait_for("pinned")
truncate("/f", 0)                              # -> blocks, 0
""",
    )


def test_an_aborted_open_is_counted_no_more(play: Play) -> None:
    play(
        "P1",
        details={"a": "on_signal.SIGIO = 'getpid()'"},
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)                 # -> 0
open("/f", O_WRONLY | O_NONBLOCK)              # -> EAGAIN
fcntl(fd, F_SETLEASE, F_UNLCK)                 # -> 0
fcntl(fd, F_SETLEASE, F_WRLCK)                 # -> 0 (no other opener)
""",
    )
