"""Lines that many programs begin with, and what tests look at in the world they ended in."""

from typing import Any

from longpin.actors.fs.inode import Inode
from longpin.actors.mm.pmem import Pmem
from longpin.actors.policies.views import LeaseView

CONTEXT = """
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
"""

OPEN = """
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
"""

DEVICE = CONTEXT + OPEN

LOOPBACK = """
cq = ibv_create_cq(ctx)
qp = ibv_create_qp(pd, cq)
ibv_modify_qp(qp, IBV_QPS_INIT)                # -> 0
ibv_modify_qp(qp, IBV_QPS_RTR, qp)             # -> 0
ibv_modify_qp(qp, IBV_QPS_RTS)                 # -> 0
"""
"""A queue pair that is its own peer."""

REGISTER = "mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)          # -> ok\n"

REGISTER_REMOTE = "mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)   # -> ok\n"


def leases(run: Any) -> tuple[LeaseView, ...]:
    """Return the leases on ``/f``."""
    inode = run.engine.actors["inode:/f"]
    assert isinstance(inode, Inode)
    return inode.view().leases


def pinned(run: Any) -> int:
    """Return how many references pins hold, in all block sets."""
    sets = [actor for actor in run.engine.actors.values() if isinstance(actor, Pmem)]
    return sum(len(pins) for actor in sets for pins in actor.pins.values())
