"""The end of a process: every reference is dropped before anything that fell to it is released [1.1]."""

from collections.abc import Callable
from typing import Any

Play = Callable[..., Any]


def test_a_release_that_waits_holds_no_other_descriptor(play: Play) -> None:
    """The last user of an unlinked file waits for its pins, in exit, and the device is its child's alone by then."""
    play(
        "P1:intended,kernel=6.18",
        details={"b": "start = 'fork'"},
        a="""
fd = open("/f", O_RDWR)
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
unlink("/f")
fork("b")
wait_for("the device only")
""",
        b="""
munmap(buf, PAGE)
close(fd)
label("the device only")
sleep(1)
close(ctx)                                                      # -> 0 (the last: the region goes, and with it the wait)
""",
    )
