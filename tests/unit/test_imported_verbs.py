"""Objects of a context in other processes: inherited, passed on, imported by number [1.10; rdma-core]."""

from collections.abc import Callable
from typing import Any

from unit.programs import DEVICE
from unit.test_queue_pairs import MEMORY, connected, done

Play = Callable[..., Any]

ALL = "7"


def test_a_domain_and_a_region_are_imported_by_number(play_to_end: Play) -> None:
    """The importer writes through a queue pair of its own to memory that it has not mapped."""
    play_to_end(
        "P0",
        seeds=range(4),
        a=MEMORY
        + f"""
mr = ibv_reg_mr(pd, buf, PAGE, {ALL})
number = ibv_handle(pd)
label("pd", number)
number = ibv_handle(mr)
label("mr", number)
send_fd("b", ctx)
wait_for("written")
load(buf, 4)                                               # -> b"from"
ibv_dealloc_pd(pd)                                         # -> EBUSY
wait_for("gone")
ibv_dereg_mr(mr)                                           # -> EINVAL
ibv_dealloc_pd(pd)                                         # -> EBUSY (of queue pairs)
""",
        b="""
fd = recv_fd()
ctx = ibv_import_device(fd)
number = wait_for("pd")
other = wait_for("mr")
ibv_import_pd(ctx, other)                                  # -> ENOENT
ibv_import_pd(ctx, 99)                                     # -> ENOENT
pd = ibv_import_pd(ctx, number)
ibv_import_mr(pd, number)                                  # -> ENOENT
mr = ibv_import_mr(pd, other)
"""
        + connected()
        + 'ibv_post_send(qp, IBV_WR_RDMA_WRITE, "from b", mr, 0)\n'
        + done()
        + """
label("written")
ibv_unimport_mr(mr)                                        # -> 0
ibv_dereg_mr(mr)                                           # -> 0 (whoever does it first)
ibv_unimport_pd(pd)                                        # -> 0
label("gone")
pause()
""",
    )


def test_what_is_imported_needs_the_descriptor(play_to_end: Play) -> None:
    play_to_end(
        "P0",
        seeds=range(2),
        a=DEVICE
        + """
ibv_import_device(fd)                                      # -> EINVAL
ibv_import_device(99)                                      # -> EBADF
ctx2 = dup(ctx)
same = ibv_import_device(ctx2)
number = ibv_handle(pd)
again = ibv_import_pd(same, number)
close(ctx)
ibv_dealloc_pd(again)                                      # -> 0 (by the other descriptor)
ibv_dealloc_pd(pd)                                         # -> EINVAL
close(ctx2)
ibv_dealloc_pd(again)                                      # -> EBADF
ibv_import_pd(ctx2, 1)                                     # -> EBADF
""",
    )


def test_the_importer_keeps_what_the_maker_has_left(play_to_end: Play) -> None:
    """Kill: the region lives on with whoever has the uverbs file, its pages too [meas]."""
    play_to_end(
        "P1",
        seeds=range(4),
        a=DEVICE
        + f"""
mr = ibv_reg_mr(pd, buf, PAGE, {ALL})
number = ibv_handle(mr)
label("mr", number)
send_fd("b", ctx)
pause()
""",
        b="""
ctx = recv_fd()
number = wait_for("mr")
kill("a", SIGKILL)
pd = ibv_import_pd(ctx, 1)
mr = ibv_import_mr(pd, number)                             # -> ok
"""
        + connected()
        + 'ibv_post_send(qp, IBV_WR_RDMA_WRITE, "still", mr, 0)\n'
        + done()
        + """
open("/f", O_RDWR)
ibv_dereg_mr(mr)                                           # -> 0
truncate("/f", 0)                                          # -> 0
""",
    )
