"""Files that are not on DAX: pages in memory, written back or nowhere else; what is pinned of them, and who waits."""

from collections.abc import Callable
from typing import Any

import pytest

Play = Callable[..., Any]

KINDS = {
    "xfs": '[[pmem]]\nname = "p"\nblocks = 8\ndax = false\n[[file]]\npath = "/f"\nsize = "4 * PAGE"\n',
    "ext4": '[[pmem]]\nname = "p"\nblocks = 8\ndax = false\nfile_system = "ext4"\n'
    '[[file]]\npath = "/f"\nsize = "4 * PAGE"\n',
    "tmpfs": '[[pmem]]\nname = "p"\n[[tmpfs]]\nmount = "/dev/shm"\n[[file]]\npath = "/dev/shm/f"\nsize = "4 * PAGE"\n',
}
DAX = {name: text.replace("dax = false\n", "") for name, text in KINDS.items() if name != "tmpfs"}


def path(kind: str) -> str:
    return "/dev/shm/f" if kind == "tmpfs" else "/f"


DEVICE = 'ctx = ibv_open_device("rxe0")\npd = ibv_alloc_pd(ctx)\n'
LOOPBACK = """
cq = ibv_create_cq(ctx)
qp = ibv_create_qp(pd, cq)
ibv_modify_qp(qp, IBV_QPS_INIT)
ibv_modify_qp(qp, IBV_QPS_RTR, qp)
ibv_modify_qp(qp, IBV_QPS_RTS)
"""


@pytest.mark.parametrize("head", [*KINDS.values(), *DAX.values()], ids=[*KINDS, *(f"{name} on DAX" for name in DAX)])
def test_a_program_sees_the_same_bytes_on_each(play: Play, head: str) -> None:
    name = "/dev/shm/f" if "tmpfs" in head else "/f"
    unsupported = "EOPNOTSUPP" if "tmpfs" in head else "0"
    zeroed = r"tail" if "tmpfs" in head else r"t\0\0l"
    play(
        "P0",
        head=head,
        a=f"""
fd = open("{name}", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
store(buf + PAGE - 2, "abcd")
read(fd, 3)                                            # -> b"\\0\\0\\0"
pread(fd, 6, PAGE - 3)                                 # -> b"\\0abcd\\0"
pwrite(fd, "ABCDEF", PAGE - 1)                         # -> 6
load(buf + PAGE - 2, 8)                                # -> b"aABCDEF\\0"
fsync(fd)                                              # -> 0
load(buf + PAGE - 2, 8)                                # -> b"aABCDEF\\0"
store(buf + PAGE - 2, "x")
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE - 1, PAGE + 1)      # -> 0
load(buf + PAGE - 2, 8)                                # -> b"x\\0\\0\\0\\0\\0\\0\\0"
ftruncate(fd, PAGE - 1)                                # -> 0
ftruncate(fd, 6 * PAGE)                                # -> 0
pread(fd, 3, PAGE - 2)                                 # -> b"x\\0\\0"
pwrite(fd, "tail", 5 * PAGE)                           # -> 4
fallocate(fd, FALLOC_FL_INSERT_RANGE, PAGE, PAGE)      # -> {unsupported}
fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, PAGE, PAGE)    # -> {unsupported}
pread(fd, 5, 5 * PAGE)                                 # -> b"tail\\0"
fallocate(fd, FALLOC_FL_ZERO_RANGE, 5 * PAGE + 1, 2)   # -> {unsupported}
pread(fd, 5, 5 * PAGE)                                 # -> b"{zeroed}\\0"
fallocate(fd, 0, 6 * PAGE, PAGE)                       # -> 0
stat("{name}")                                         # -> 28672
open("{name}", O_TRUNC | O_RDWR)                       # -> ok
pread(fd, 5, 0)                                        # -> b""
""",
    )


@pytest.mark.parametrize("kernel", ["6.1", "6.12", "6.18", "7.2"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_can_be_pinned(play: Play, kind: str, kernel: str) -> None:
    """Measured: for writing, and shared, only tmpfs from 6.12 on; a copy of one's own, or for reading, always."""
    shared = "ok" if kind == "tmpfs" or kernel == "6.1" else "EFAULT"
    play(
        f"P0,kernel={kernel}",
        head=KINDS[kind],
        seeds=(),
        a=f"""
{DEVICE}
fd = open("{path(kind)}", O_RDWR)
shared = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
private = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0)
ibv_reg_mr(pd, shared, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE)           # -> {shared}
ibv_reg_mr(pd, shared, 2 * PAGE, IBV_ACCESS_REMOTE_READ)           # -> ok
ibv_reg_mr(pd, private, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE)          # -> ok
r = pipe()
vmsplice(pipe_w, shared, 2 * PAGE)                                 # -> 8192
""",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_waits_for_its_pins_and_the_device_keeps_the_old_page(play: Play, kind: str) -> None:
    """Measured: RDMA goes on into the old page after a truncate; the file does not see it."""
    play(
        "P0,kernel=6.1",
        head=KINDS[kind],
        a=f"""
{DEVICE}{LOOPBACK}
fd = open("{path(kind)}", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
store(buf, "old")
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)   # -> ok
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "dev", mr, 0)                 # -> 0
ibv_get_cq_event(cq)                                               # -> 0
read(fd, 3)                                                        # -> b"dev"
ftruncate(fd, 0)                                                   # -> 0
ftruncate(fd, PAGE)                                                # -> 0
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "DEV", mr, 0)                 # -> 0
ibv_get_cq_event(cq)                                               # -> 0
load(buf, 3)                                                       # -> b"\\0\\0\\0"
munmap(buf, 4 * PAGE)                                              # -> 0
unlink("{path(kind)}")                                             # -> 0
close(fd)                                                          # -> 0
""",
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flags", ["MAP_SHARED_VALIDATE", "MAP_SHARED", "MAP_PRIVATE"])
def test_stores_that_are_durable_need_dax(play: Play, kind: str, flags: str) -> None:
    refused = kind != "tmpfs" or flags == "MAP_SHARED_VALIDATE"
    play(
        "P0",
        head=KINDS[kind],
        seeds=(),
        a=f"""
fd = open("{path(kind)}", O_RDWR)
mmap(PAGE, PROT_READ, {flags} | MAP_SYNC, fd, 0)                   # -> {"EOPNOTSUPP" if refused else "ok"}
""",
    )


def test_a_hole_has_no_block_before_it_is_written_back(play: Play) -> None:
    """The set has eight blocks, of which the file has four."""
    play(
        "P0",
        head=KINDS["xfs"],
        a="""
fd = open("/f", O_RDWR)
fiemap(fd)                                                         # -> b"0:0:16384 LAST"
pwrite(fd, "x", 6 * PAGE)                                          # -> 1
pwrite(fd, "y", 7 * PAGE)                                          # -> 1
fiemap(fd)                                                         # -> b"0:0:16384, 24576:0:8192 UNKNOWN DELALLOC LAST"
g = open("/g", O_CREAT | O_RDWR)
pwrite(g, "z", 0)                                                  # -> 1
pwrite(g, "z", PAGE)                                               # -> 1
pwrite(g, "z", 2 * PAGE)                                           # -> ENOSPC
ftruncate(fd, 7 * PAGE)                                            # -> 0
pwrite(g, "z", 2 * PAGE)                                           # -> 1
fsync(g)                                                           # -> 0
fsync(fd)                                                          # -> 0
fiemap(fd)                                                         # -> b"0:0:16384, 24576:28672:4096 LAST"
fiemap(g)                                                          # -> b"0:16384:12288 LAST"
pwrite(fd, "x", 7 * PAGE)                                          # -> ENOSPC
""",
    )


def test_a_clone_shares_what_is_written_back(play: Play) -> None:
    play(
        "P0",
        head=KINDS["xfs"],
        a="""
fd = open("/f", O_RDWR)
pwrite(fd, "before", 0)                                            # -> 6
g = open("/g", O_CREAT | O_RDWR)
ioctl(g, FICLONE, fd)                                              # -> 0
pwrite(fd, "after ", 0)                                            # -> 6
pread(g, 6, 0)                                                     # -> b"before"
fsync(fd)                                                          # -> 0
pread(g, 6, 0)                                                     # -> b"before"
pread(fd, 6, 0)                                                    # -> b"after "
""",
    )


def test_a_memfd_is_a_file_that_goes_with_its_last_descriptor(play: Play) -> None:
    play(
        "P0",
        head=KINDS["tmpfs"],
        a=f"""
{DEVICE}
fd = memfd_create("guest")                                         # -> ok
ftruncate(fd, 2 * PAGE)                                            # -> 0
buf = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)    # -> ok
store(buf, "mine")
pread(fd, 4, 0)                                                    # -> b"mine"
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)             # -> ok
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE) # -> 0
load(buf, 4)                                                       # -> b"\\0\\0\\0\\0"
fcntl(fd, F_SETLEASE, F_RDLCK)                                     # -> EAGAIN
again = memfd_create("guest", MFD_CLOEXEC)                         # -> ok
fcntl(again, F_GETFD)                                              # -> FD_CLOEXEC
munmap(buf, 2 * PAGE)                                              # -> 0
close(fd)                                                          # -> 0
memfd_create("{"x" * 250}")                                        # -> EINVAL
""",
    )


def test_a_truncate_meets_a_page_that_is_being_written_back(play: Play) -> None:
    """It waits until the page is written [truncate_inode_pages]; whichever comes first, nothing is left over."""
    play(
        "P0",
        head=KINDS["xfs"],
        details={"b": 'start = "fork"'},
        a="""
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
fork("b")
pwrite(fd, "x", 0)
fsync(fd)                                                          # -> 0
""",
        b="ftruncate(fd, 0)                                                # -> 0",
    )
