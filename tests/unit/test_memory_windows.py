"""Memory windows of both types, and regions that change in place [1.10; rdma-core tests/test_mr.py, rxe_mw.c]."""

from collections.abc import Callable
from typing import Any

import pytest
from unit.programs import DEVICE
from unit.test_queue_pairs import FLUSHED, MEMORY, connected, done

from longpin.actors.mm.mm import Mm

Play = Callable[..., Any]

BINDABLE = "IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_MW_BIND"
START = MEMORY + connected() + f"mr = ibv_reg_mr(pd, buf, 2 * PAGE, {BINDABLE})\n"
REFUSED = done(status="IBV_WC_REM_ACCESS_ERR")


def bind(what: str, status: str = "IBV_WC_SUCCESS", opcode: str = "IBV_WC_BIND_MW") -> str:
    says = {"opcode": opcode} if status == "IBV_WC_SUCCESS" else {}
    return f"{what}  # -> 0\n{done(status=status, **says)}"


def write(data: str, mw: str, offset: str, status: str = "IBV_WC_SUCCESS", qp: str = "qp") -> str:
    return f'ibv_post_send({qp}, IBV_WR_RDMA_WRITE, "{data}", {mw}, {offset})  # -> 0\n{done(status=status)}'


FIRST = "mw = ibv_alloc_mw(pd, IBV_MW_TYPE_1)\n"
SECOND = "mw = ibv_alloc_mw(pd, IBV_MW_TYPE_2)\n"
BIND_SECOND = "ibv_post_send(peer, IBV_WR_BIND_MW, mr, mw, PAGE, 8, IBV_ACCESS_REMOTE_WRITE)"
"""The peer binds what the requester is to write to."""


def test_a_window_gives_what_its_region_does_not(play_to_end: Play) -> None:
    """The region lets nobody write; a part of it can be written to through the window, at an offset of its own."""
    play_to_end(
        "P0",
        seeds=range(2),
        a=START
        + FIRST
        + bind("ibv_bind_mw(peer, mw, mr, PAGE, 8, IBV_ACCESS_REMOTE_WRITE)", opcode="IBV_WC_BIND_MW")
        + write("in", "mw", "2")
        + 'load(buf + PAGE + 2, 2)  # -> b"in"\n'
        + write("over", "mw", "5", "IBV_WC_REM_ACCESS_ERR"),
    )


@pytest.mark.parametrize(
    "lines",
    [
        write("x", "mw", "0", "IBV_WC_REM_ACCESS_ERR"),
        bind("ibv_bind_mw(peer, mw, mr, 0, 8, IBV_ACCESS_REMOTE_READ)")
        + write("x", "mw", "0", "IBV_WC_REM_ACCESS_ERR"),
        bind("ibv_bind_mw(peer, mw, mr, 0, 8, IBV_ACCESS_REMOTE_WRITE)")
        + bind("ibv_bind_mw(peer, mw, None)")
        + write("x", "mw", "0", "IBV_WC_REM_ACCESS_ERR"),
        bind("ibv_bind_mw(peer, mw, mr, 0, 8, IBV_ACCESS_REMOTE_WRITE)")
        + "ibv_dealloc_mw(mw)  # -> 0\n"
        + write("x", "mw", "0", "IBV_WC_REM_ACCESS_ERR"),
    ],
)
def test_a_window_that_gives_nothing(play_to_end: Play, lines: str) -> None:
    """Not bound, bound for something else, bound to nothing, gone."""
    play_to_end("P0", seeds=range(2), a=START + FIRST + lines + 'ibv_post_send(qp, IBV_WR_SEND, "x")\n' + FLUSHED)


def test_a_region_with_windows_is_busy(play_to_end: Play) -> None:
    play_to_end(
        "P0",
        seeds=range(2),
        a=START
        + FIRST
        + bind("ibv_bind_mw(peer, mw, mr, 0, 8, IBV_ACCESS_REMOTE_WRITE)")
        + """
ibv_dereg_mr(mr)                                           # -> EBUSY
ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_PD, pd)               # -> EBUSY
"""
        + write("x", "mw", "0")
        + bind("ibv_bind_mw(peer, mw, mr, 8, 8, IBV_ACCESS_REMOTE_WRITE)")
        + """
ibv_dereg_mr(mr)                                           # -> EBUSY (bound anew, and still once)
ibv_dealloc_mw(mw)                                         # -> 0
ibv_dereg_mr(mr)                                           # -> 0
ibv_dealloc_mw(mw)                                         # -> EINVAL
""",
    )


def test_a_window_keeps_its_domain_busy(play_to_end: Play) -> None:
    play_to_end(
        "P0",
        seeds=(),
        a=MEMORY
        + """
mw = ibv_alloc_mw(pd, IBV_MW_TYPE_1)
ibv_dealloc_pd(pd)                                         # -> EBUSY
ibv_dealloc_mw(mw)                                         # -> 0
ibv_dealloc_mw(mw)                                         # -> EINVAL
ibv_alloc_mw(pd, 3)                                        # -> EINVAL
ibv_alloc_mw(pd, 0)                                        # -> EINVAL
ibv_dealloc_pd(pd)                                         # -> 0
ibv_alloc_mw(pd, IBV_MW_TYPE_1)                            # -> EINVAL
""",
    )


def test_type_2_belongs_to_the_queue_pair_that_has_bound_it(play_to_end: Play) -> None:
    other = connected(one="other", two="others_peer")
    play_to_end(
        "P0",
        seeds=range(2),
        a=START
        + SECOND
        + bind(BIND_SECOND)
        + "ibv_bind_mw(peer, mw, mr, 0, 8, 2)  # -> EINVAL (of type 2)\n"
        + write("x", "mw", "0")
        + other
        + write("x", "mw", "0", "IBV_WC_REM_ACCESS_ERR", "other"),
    )


def test_type_2_is_invalidated_before_it_is_bound_again(play_to_end: Play) -> None:
    play_to_end(
        "P0",
        seeds=range(2),
        a=START
        + SECOND
        + bind(BIND_SECOND)
        + bind("ibv_post_send(peer, IBV_WR_LOCAL_INV, None, mw)", opcode="IBV_WC_LOCAL_INV")
        + "ibv_dereg_mr(mr)  # -> 0\n"
        + f"mr = ibv_reg_mr(pd, buf, 2 * PAGE, {BINDABLE})\n"
        + bind(BIND_SECOND)
        + bind(BIND_SECOND, "IBV_WC_MW_BIND_ERR"),
    )


def test_a_send_takes_the_key_away(play_to_end: Play) -> None:
    play_to_end(
        "P0",
        seeds=range(2),
        a=START
        + SECOND
        + bind(BIND_SECOND)
        + write("x", "mw", "0")
        + 'ibv_post_recv(peer, mr, 0, 8)\nibv_post_send(qp, IBV_WR_SEND_WITH_INV, "done", mw)  # -> 0\n'
        + done("rcq", byte_len=4)
        + done()
        + write("x", "mw", "0", "IBV_WC_REM_ACCESS_ERR"),
    )


def test_a_send_cannot_take_what_is_not_bound(play_to_end: Play) -> None:
    """The responder has an error of its own and is silent [rxe: class J]."""
    play_to_end(
        "P0",
        seeds=range(2),
        a=START
        + SECOND
        + 'ibv_post_recv(peer, mr, 0, 8)\nibv_post_send(qp, IBV_WR_SEND_WITH_INV, "done", mw)  # -> 0\n'
        + done("rcq", "IBV_WC_REM_INV_REQ_ERR")
        + done(status="IBV_WC_RETRY_EXC_ERR"),
    )


@pytest.mark.parametrize(
    ("region", "arguments"),
    [
        ("IBV_ACCESS_LOCAL_WRITE", "0, 8, IBV_ACCESS_REMOTE_WRITE"),
        ("IBV_ACCESS_MW_BIND", "0, 8, IBV_ACCESS_REMOTE_WRITE"),
        (f"{BINDABLE} | IBV_ACCESS_ZERO_BASED", "0, 8, IBV_ACCESS_REMOTE_WRITE"),
        (BINDABLE, "0, 8, IBV_ACCESS_LOCAL_WRITE"),
        (BINDABLE, "0, 8, IBV_ACCESS_ZERO_BASED | IBV_ACCESS_REMOTE_READ"),
        (BINDABLE, "PAGE - 4, 8, IBV_ACCESS_REMOTE_WRITE"),
        (BINDABLE, "-4, 8, IBV_ACCESS_REMOTE_WRITE"),
    ],
)
def test_what_cannot_be_bound(play_to_end: Play, region: str, arguments: str) -> None:
    """No right to bind, none to write, based at zero, a right that no window has, outside [rxe_check_bind_mw]."""
    play_to_end(
        "P0",
        seeds=(),
        a=MEMORY
        + connected()
        + FIRST
        + f"mr = ibv_reg_mr(pd, buf, PAGE, {region})\n"
        + bind(f"ibv_bind_mw(peer, mw, mr, {arguments})", "IBV_WC_MW_BIND_ERR"),
    )


def test_a_region_of_another_domain_cannot_be_bound(play_to_end: Play) -> None:
    play_to_end(
        "P0",
        seeds=(),
        a=MEMORY
        + connected()
        + f"pd2 = ibv_alloc_pd(ctx)\nmw = ibv_alloc_mw(pd, 1)\nmr = ibv_reg_mr(pd2, buf, PAGE, {BINDABLE})\n"
        + bind("ibv_bind_mw(peer, mw, mr, 0, 8, IBV_ACCESS_REMOTE_WRITE)", "IBV_WC_MW_BIND_ERR"),
    )


def test_windows_go_before_regions_when_the_device_is_closed(play_to_end: Play) -> None:
    played = play_to_end(
        "P1",
        seeds=range(3),
        a=DEVICE
        + connected()
        + f"mr = ibv_reg_mr(pd, buf, 2 * PAGE, {BINDABLE})\n"
        + FIRST
        + bind("ibv_bind_mw(peer, mw, mr, 0, 8, IBV_ACCESS_REMOTE_WRITE)")
        + "close(ctx)  # -> 0\nftruncate(fd, 0)  # -> 0\n",
    )
    assert {mm.pinned_vm for mm in played.engine.actors.values() if isinstance(mm, Mm)} == {0}


# ibv_rereg_mr(3).

ALL = "IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE"
PLAIN = MEMORY + connected() + "mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)\n"


def test_what_is_wrong_with_a_reregistration(play_to_end: Play) -> None:
    play_to_end(
        "P0",
        seeds=(),
        a=PLAIN
        + """
ibv_rereg_mr(mr, 0)                                        # -> EINVAL
ibv_rereg_mr(mr, 8)                                        # -> EINVAL
ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_PD)                   # -> EINVAL
ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_PD, mr)               # -> EINVAL
ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_TRANSLATION, None, buf, 0)    # -> EINVAL
ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_TRANSLATION, None, 0, PAGE)   # -> EINVAL
ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_PD, pd, 0, 0, 1)      # -> EINVAL (rights that are not to change)
ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_ACCESS, None, 0, 0, IBV_ACCESS_REMOTE_WRITE)  # -> EINVAL
ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_ACCESS, None, 0, 0, 65)       # -> EOPNOTSUPP
ibv_rereg_mr(pd, IBV_REREG_MR_CHANGE_PD, pd)               # -> EINVAL
ibv_dereg_mr(mr)
ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_PD, pd)               # -> EINVAL
""",
    )


def test_another_right(play_to_end: Play) -> None:
    play_to_end(
        "P0",
        seeds=range(2),
        a=PLAIN
        + f"ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_ACCESS, None, 0, 0, {ALL})  # -> 0\n"
        + write("x", "mr", "0")
        + "ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_ACCESS, None, 0, 0, 0)  # -> 0\n"
        + write("x", "mr", "0", "IBV_WC_REM_ACCESS_ERR"),
    )


def test_another_domain(play_to_end: Play) -> None:
    play_to_end(
        "P0",
        seeds=range(2),
        a=PLAIN
        + """
pd2 = ibv_alloc_pd(ctx)
ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_PD, pd2)              # -> 0
ibv_dealloc_pd(pd2)                                        # -> EBUSY
ibv_post_send(qp, IBV_WR_SEND, mr, None, 0, 4)
"""
        + done(status="IBV_WC_LOC_PROT_ERR")
        + "ibv_dereg_mr(mr)  # -> 0\nibv_dealloc_pd(pd2)  # -> 0\n",
    )


def test_other_memory(play_to_end: Play) -> None:
    """The old pages are let go of after the new ones are pinned; the key stays."""
    play_to_end(
        "P1",
        seeds=range(2),
        details={"a": "uid = 1000\nmemlock = '4 * PAGE'"},
        a=DEVICE
        + connected()
        + f"""
mr = ibv_reg_mr(pd, buf, PAGE, {ALL})
anon = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_TRANSLATION, None, anon, 4 * PAGE)   # -> ENOMEM (both are charged meanwhile)
ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_TRANSLATION, None, 4096, PAGE)       # -> EFAULT
"""
        + write("to f", "mr", "0")
        + """
ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_TRANSLATION, None, anon + 8, 3 * PAGE - 8)  # -> 0
ftruncate(fd, 0)                                           # -> 0 (its page is not pinned any more)
"""
        + write("to anon", "mr", "2 * PAGE")
        + 'load(anon + 2 * PAGE + 8, 7)  # -> b"to anon"\nibv_dereg_mr(mr)  # -> 0\n',
    )


def test_pages_that_were_pinned_for_reading_are_pinned_anew_to_be_written(play_to_end: Play) -> None:
    """Else the device would write to pages of which nobody was asked whether it may."""
    play_to_end(
        "P0",
        seeds=range(2),
        a=MEMORY
        + connected()
        + f"""
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_REMOTE_READ)
ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_ACCESS, None, 0, 0, {ALL})  # -> 0
"""
        + write("x", "mr", "0")
        + """
load(buf, 1)                                               # -> b"x"
ro = mmap(PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
quiet = ibv_reg_mr(pd, ro, PAGE, IBV_ACCESS_REMOTE_READ)   # -> ok
"""
        + f"ibv_rereg_mr(quiet, IBV_REREG_MR_CHANGE_ACCESS, None, 0, 0, {ALL})  # -> EFAULT\n"
        + "ibv_dereg_mr(quiet)  # -> 0\n",
    )


def test_a_policy_is_asked_for_the_new_pages(play_to_end: Play) -> None:
    play_to_end(
        "P0",
        seeds=(),
        a=DEVICE
        + f"""
anon = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
mr = ibv_reg_mr(pd, anon, PAGE, {ALL})                     # -> ok
ibv_rereg_mr(mr, IBV_REREG_MR_CHANGE_TRANSLATION, None, buf, PAGE)   # -> EOPNOTSUPP
ibv_dereg_mr(mr)                                           # -> 0 (it is what it was)
""",
    )
