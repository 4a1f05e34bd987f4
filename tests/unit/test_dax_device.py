"""Device-dax: mapped in units of its alignment, pinned by anybody, never truncated [4.0]."""

from collections.abc import Callable
from typing import Any

import pytest

Play = Callable[..., Any]

HEAD = """
[[file]]
path = "/f"
size = "PAGE"

[[dax]]
name = "dax0.0"
size = "1024 * PAGE"
"""

MAPPED = """
fd = open("/dev/dax0.0", O_RDWR)                                   # -> ok
buf = mmap(512 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)  # -> ok
"""


@pytest.mark.parametrize("kernel", ["6.1", "6.12", "6.18", "7.2"])
def test_what_was_measured(play: Play, kernel: str) -> None:
    """The facts of Debian kernels with a device of 2 MiB pages."""
    play(
        f"P0,kernel={kernel}",
        head=HEAD,
        a=f"""
{MAPPED}
mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)                           # -> EINVAL
mmap(512 * PAGE, PROT_READ, MAP_SHARED, fd, PAGE)                  # -> EINVAL
mmap(512 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0)                    # -> EINVAL
mmap(512 * PAGE, PROT_READ, MAP_SHARED_VALIDATE, fd, 0)            # -> ok
ftruncate(fd, 0)                                                   # -> EINVAL
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE) # -> ENODEV
pread(fd, 1, 0)                                                    # -> EINVAL
pwrite(fd, "x", 0)                                                 # -> EINVAL
lseek(fd, 100)                                                     # -> 0
truncate("/dev/dax0.0", 0)                                         # -> EINVAL
fcntl(fd, F_SETLEASE, F_RDLCK)                                     # -> EINVAL
""",
    )


@pytest.mark.parametrize("policy", ["P0", "P1", "P5"])
def test_it_is_pinned_under_every_policy_and_the_device_sees_what_is_stored(play: Play, policy: str) -> None:
    play(
        policy,
        head=HEAD,
        a=f"""
{MAPPED}
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
cq = ibv_create_cq(ctx)
qp = ibv_create_qp(pd, cq)
ibv_modify_qp(qp, IBV_QPS_INIT)
ibv_modify_qp(qp, IBV_QPS_RTR, qp)
ibv_modify_qp(qp, IBV_QPS_RTS)
mr = ibv_reg_mr(pd, buf, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)   # -> ok
munmap(buf, 512 * PAGE)                                            # -> 0
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "from the NIC", mr, PAGE)     # -> 0
ibv_get_cq_event(cq)                                               # -> IBV_WC_SUCCESS
again = mmap(512 * PAGE, PROT_READ, MAP_SHARED, fd, 0)
load(again + PAGE, 12)                                             # -> b"from the NIC"
ibv_dereg_mr(mr)                                                   # -> 0
unlink("/dev/dax0.0")                                              # -> 0
load(again + PAGE, 4)                                              # -> b"from"
""",
    )


def test_beyond_its_end_there_is_nothing(play: Play) -> None:
    play(
        "P0",
        head=HEAD.replace("1024", "512"),
        a="""
fd = open("/dev/dax0.0", O_RDWR)
buf = mmap(1024 * PAGE, PROT_READ, MAP_SHARED, fd, 0)              # -> ok
load(buf + 511 * PAGE, 1)                                          # -> b"\\0"
load(buf + 512 * PAGE, 1)                                          # -> hangs (SIGBUS)
""",
    )


def test_who_may_open_it(play: Play) -> None:
    play(
        "P0",
        head=HEAD,
        details={"b": "uid = 1000"},
        a='chmod("/dev/dax0.0", 0o600)                             # -> 0\nlabel("closed")',
        b="""
wait_for("closed")
open("/dev/dax0.0", O_RDONLY)                                      # -> EACCES
open("/dev/dax0.0", O_PATH)                                        # -> ok
stat("/dev/dax0.0")                                                # -> 0
""",
    )


def test_the_administrator_lists_files_and_no_devices(play: Play) -> None:
    play("P6", head=HEAD, a='proc_locks()  # -> b""\nfile_pins("a")  # -> b""\nlist_holders("/f")  # -> 0')
