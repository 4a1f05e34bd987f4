"""Every pinner asks the same gates: what a policy answers RDMA it answers io_uring, VFIO and AF_XDP [2.6, 4.12]."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from longpin.actors.policies import POLICIES

Play = Callable[..., Any]

REGISTER = "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)"
OTHERS = {
    "io_uring": ("other = io_uring_setup(1)", "io_uring_register_buffers(other, buf, PAGE)"),
    "vfio": ('other = open("/dev/vfio/vfio", O_RDWR)', "vfio_iommu_map_dma(other, 0, buf, PAGE, 3)"),
    "af_xdp": ("other = socket(AF_XDP, SOCK_RAW)", "xdp_umem_reg(other, buf, PAGE, PAGE)"),
}
"""What makes each, and how it pins."""


@pytest.fixture
def few(play: Play) -> Play:
    """Return ``play`` with two orders instead of ten: what is looked at here does not depend on the order."""
    return partial(play, seeds=range(1))


@pytest.mark.parametrize("pinner", OTHERS)
@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_answers_every_pinner_as_it_answers_rdma(few: Play, policy: str, pinner: str) -> None:
    """Without a lease, with one, with the file unmapped: what a registration fails with they fail with [C4]."""
    makes, pins = OTHERS[pinner]
    played = few(
        policy,
        head="[machine]\nvfio = true\n",
        a=f"""
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
{makes}
{REGISTER}
{pins}
fcntl(fd, F_SETLEASE, F_LAYOUT)
{makes}
{REGISTER}
{pins}
munmap(buf, PAGE)
{makes}
{REGISTER}                                                         # -> EFAULT
{pins}                                                             # -> EFAULT
""",
    )
    for one in played.schedules:
        names = {call.partition("(")[0] for call in (REGISTER, pins)}
        errnos = [call.errno for call in one.result.calls if call.call in names]
        assert len(errnos) == 6
        assert errnos[::2] == errnos[1::2]
