"""A block that is pinned, truncated through a file that nobody maps, and given to another file [H1, H6]."""

from collections.abc import Callable
from typing import Any

import pytest

Play = Callable[..., Any]

HEAD = """
[[pmem]]
name = "pmem0"
blocks = 1

[[file]]
path = "/f"
size = "PAGE"
"""
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
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ)
munmap(buf, PAGE)
label("unmapped")
"""
BANK = """
wait_for("unmapped")
truncate("/f", 0)                                      # -> {result}
fd = open("/accounts", O_RDWR | O_CREAT)
write(fd, "balance: 100")
label("given")
"""
READ = """
own = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
to = ibv_reg_mr(pd, own, PAGE, IBV_ACCESS_LOCAL_WRITE)
ibv_post_send(qp, IBV_WR_RDMA_READ, to, mr, 0, 12)
ibv_get_cq_event(cq)                                   # -> 0
load(own, 12)                                          # -> b"balance: 100"
"""
WRITE = 'ibv_post_send(qp, IBV_WR_RDMA_WRITE, "from the NIC", mr, 0)\nibv_get_cq_event(cq)\n'


@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
def test_a_device_that_writes_into_it_is_stray_and_the_next_file_reads_what_is_not_its_own(
    play: Play, kernel: str
) -> None:
    play(
        f"P1,kernel={kernel}",
        head=HEAD,
        violates=["O1", "O2"],
        a=f'{DEVICE}wait_for("given")\n{WRITE}label("done")',
        b=f"""{BANK.format(result="0")}
wait_for("done")
pread(fd, 12, 0)                                       # -> b"from the NIC"
""",
    )


def test_a_device_that_reads_it_sees_what_another_file_wrote(play: Play) -> None:
    play(
        "P1,kernel=6.1",
        head=HEAD,
        violates=["O1", "O2"],
        a=f'{DEVICE}wait_for("given")\n{READ}label("done")',
        b=f'{BANK.format(result="0")}\nwait_for("done")\n',
    )


@pytest.mark.parametrize("kernel", ["6.18", "7.2"])
def test_later_kernels_wait_for_the_pin(play: Play, kernel: str) -> None:
    play(
        f"P1,kernel={kernel}",
        head=HEAD,
        a=f"{DEVICE}{WRITE}sleep(1)\nibv_dereg_mr(mr)\n",
        b=BANK.format(result="0"),
    )
