"""Queue pairs: states, sends and receives, atomics, and every status that a completion can have [1.10]."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from longpin.actors.rdma.states import TRANSITIONS

Play = Callable[..., Any]

MEMORY = """
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
"""
ALL = "15"
"""Local write, remote write, read and atomic."""


def connected(*, rnr_retry: int = 7, srq: str = "None", one: str = "qp", two: str = "peer") -> str:
    """Return two queue pairs that are each other's peers, with a queue for sends and one for receives."""
    lines = ["scq = ibv_create_cq(ctx)", "rcq = ibv_create_cq(ctx)"]
    for name in (one, two):
        lines += [f"{name} = ibv_create_qp(pd, scq, rcq, {srq})", f"ibv_modify_qp({name}, IBV_QPS_INIT)"]
    for name, other in ((one, two), (two, one)):
        lines += [f"ibv_modify_qp({name}, IBV_QPS_RTR, {other})"]
        lines += [f"ibv_modify_qp({name}, IBV_QPS_RTS, None, None, {rnr_retry})"]
    return "".join(f"{line}\n" for line in lines)


def done(cq: str = "scq", status: str = "IBV_WC_SUCCESS", **more: object) -> str:
    """Return the lines that wait for a completion and see what it says."""
    looks = "".join(f"ibv_wc_{name}()  # -> {value}\n" for name, value in more.items())
    return f"ibv_get_cq_event({cq})\nibv_poll_cq({cq})  # -> 1\nibv_wc_status()  # -> {status}\n{looks}"


START = MEMORY + connected() + f"mr = ibv_reg_mr(pd, buf, 2 * PAGE, {ALL})\n"

STATES = {0: "RESET", 1: "INIT", 2: "RTR", 3: "RTS", 4: "SQD", 5: "SQE", 6: "ERR"}
WAY = {
    0: "",
    1: "INIT",
    2: "INIT RTR",
    3: "INIT RTR RTS",
    4: "INIT RTR RTS SQD",
    6: "INIT ERR",
}
"""How a reliable connection comes to each state; it does not come to SQE."""


def to(state: str, result: str = "0") -> str:
    peer = ", qp" if state == "RTR" else ""
    return f"ibv_modify_qp(qp, IBV_QPS_{state}{peer})  # -> {result}\n"


@pytest.mark.parametrize(("state", "wanted"), list(product(WAY, STATES)))
def test_every_transition(play_to_end: Play, state: int, wanted: int) -> None:
    """ib_modify_qp_is_ok: what its table does not have is EINVAL, and the state stays."""
    result = "0" if wanted in TRANSITIONS[state] else "EINVAL"
    way = "".join(to(step) for step in WAY[state].split())
    program = MEMORY + "cq = ibv_create_cq(ctx)\nqp = ibv_create_qp(pd, cq)\n" + way + to(STATES[wanted], result)
    after = state if result == "EINVAL" else wanted
    posts = "0" if after in (3, 4, 6) else "EINVAL"
    receives = "EINVAL" if after == 0 else "0"
    play_to_end(
        "P0",
        seeds=(),
        a=program
        + f"ibv_query_qp(qp)  # -> IBV_QPS_{STATES[after]}\n"
        + f"ibv_post_send(qp, IBV_WR_SEND, None)  # -> {posts}\nibv_post_recv(qp)  # -> {receives}\n",
    )


def test_the_transitions_are_those_of_the_kernel() -> None:
    """By the letters of the states, so that a slip in the table is seen."""
    words = {STATES[state]: " ".join(STATES[to] for to in sorted(after)) for state, after in TRANSITIONS.items()}
    assert words == {
        "RESET": "RESET INIT",
        "INIT": "RESET INIT RTR ERR",
        "RTR": "RESET RTS ERR",
        "RTS": "RESET RTS SQD ERR",
        "SQD": "RESET RTS SQD ERR",
        "SQE": "RESET RTS ERR",
        "ERR": "RESET ERR",
    }


def test_a_send_goes_where_the_receive_says(play_to_end: Play) -> None:
    play_to_end(
        "P0",
        seeds=range(4),
        a=START
        + """
ibv_post_recv(peer, mr, PAGE, 8)                           # -> 0
ibv_post_recv(peer, mr, PAGE + 8, 8)                       # -> 0
ibv_post_send(qp, IBV_WR_SEND, "first")                    # -> 0
ibv_post_send(qp, IBV_WR_SEND_WITH_IMM, mr, None, 0, 3, 77)  # -> 0
"""
        + done("rcq", opcode="IBV_WC_RECV", byte_len=5, imm_data=0)
        + done("rcq", opcode="IBV_WC_RECV", byte_len=3, imm_data=77)
        + done(opcode="IBV_WC_SEND", byte_len=0)
        + done()
        + 'load(buf + PAGE, 11)  # -> b"first\\0\\0\\0\\0\\0\\0"\n',
    )


def test_a_write_with_immediate_data_takes_a_receive_and_leaves_its_buffer(play_to_end: Play) -> None:
    play_to_end(
        "P0",
        seeds=range(2),
        a=START
        + """
ibv_post_recv(peer)                                        # -> 0
ibv_post_send(qp, IBV_WR_RDMA_WRITE_WITH_IMM, "data", mr, 100, 0, 5)  # -> 0
"""
        + done("rcq", opcode="IBV_WC_RECV_RDMA_WITH_IMM", byte_len=4, imm_data=5)
        + done(opcode="IBV_WC_RDMA_WRITE")
        + 'load(buf + 100, 4)  # -> b"data"\n',
    )


def test_atomics(play_to_end: Play) -> None:
    play_to_end(
        "P0",
        seeds=range(2),
        a=START
        + """
loc = ibv_reg_mr(pd, buf + 2 * PAGE, PAGE, IBV_ACCESS_LOCAL_WRITE)
ibv_post_send(qp, IBV_WR_ATOMIC_FETCH_AND_ADD, loc, mr, 8, 0, 258)  # -> 0
"""
        + done(opcode="IBV_WC_FETCH_ADD", byte_len=8)
        + """
load(buf + 8, 8)                       # -> b"\\x02\\x01\\0\\0\\0\\0\\0\\0"
ibv_post_send(qp, IBV_WR_ATOMIC_CMP_AND_SWP, loc, mr, 8, 8, 258, 9)  # -> 0
"""
        + done(opcode="IBV_WC_COMP_SWAP", byte_len=8)
        + """
load(buf + 2 * PAGE, 8)                # -> b"\\x02\\x01\\0\\0\\0\\0\\0\\0"
load(buf + 8, 8)                       # -> b"\\x09\\0\\0\\0\\0\\0\\0\\0"
ibv_post_send(qp, IBV_WR_ATOMIC_CMP_AND_SWP, loc, mr, 8, 8, 258, 7)  # -> 0
"""
        + done()
        + """
load(buf + 2 * PAGE, 1)                # -> b"\\x09"
load(buf + 8, 1)                       # -> b"\\x09" (it was not 258)
ibv_post_send(qp, IBV_WR_ATOMIC_FETCH_AND_ADD, loc, mr, 8, 8, -1)  # -> 0
"""
        + done()
        + 'load(buf + 8, 1)  # -> b"\\x08" (it goes round)\n',
    )


def test_two_who_add_lose_nothing(play_to_end: Play) -> None:
    """Each is one step of the memory, in whatever order they get there."""
    play_to_end(
        "P0",
        seeds=range(12),
        a=START
        + """
ibv_post_send(qp, IBV_WR_ATOMIC_FETCH_AND_ADD, mr, mr, 8, 8, 1)
ibv_post_send(peer, IBV_WR_ATOMIC_FETCH_AND_ADD, mr, mr, 8, 8, 1)
"""
        + done()
        + done()
        + 'load(buf + 8, 1)  # -> b"\\x02"\n',
    )


FLUSHED = done(status="IBV_WC_WR_FLUSH_ERR")

STATUSES = [
    (
        "a send is longer than the receive",
        'ibv_post_recv(peer, mr, 0, 3)\nibv_post_send(qp, IBV_WR_SEND, "four")\n'
        + done("rcq", "IBV_WC_LOC_LEN_ERR")
        + done(status="IBV_WC_REM_INV_REQ_ERR"),
    ),
    (
        "the receive's region cannot be written to",
        "quiet = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_REMOTE_READ)\n"
        'ibv_post_recv(peer, quiet, 0, 8)\nibv_post_send(qp, IBV_WR_SEND, "four")\n'
        + done("rcq", "IBV_WC_LOC_PROT_ERR")
        + done(status="IBV_WC_REM_OP_ERR"),
    ),
    (
        "the receive's region has gone",
        "gone = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)\nibv_post_recv(peer, gone, 0, 8)\n"
        'ibv_dereg_mr(gone)\nibv_post_send(qp, IBV_WR_SEND, "four")\n'
        + done("rcq", "IBV_WC_LOC_PROT_ERR")
        + done(status="IBV_WC_REM_OP_ERR"),
    ),
    (
        "an atomic is not aligned",
        "ibv_post_send(qp, IBV_WR_ATOMIC_FETCH_AND_ADD, mr, mr, 4, 8, 1)\n" + done(status="IBV_WC_REM_INV_REQ_ERR"),
    ),
    (
        "an atomic without the right",
        "plain = ibv_reg_mr(pd, buf, PAGE, 7)\n"
        "ibv_post_send(qp, IBV_WR_ATOMIC_FETCH_AND_ADD, mr, plain, 0, 8, 1)\n" + done(status="IBV_WC_REM_ACCESS_ERR"),
    ),
    (
        "what is sent cannot be read",
        "gone = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)\nibv_dereg_mr(gone)\n"
        "ibv_post_send(qp, IBV_WR_SEND, gone, None, 0, 8)\n" + done(status="IBV_WC_LOC_PROT_ERR"),
    ),
    (
        "the peer is not connected",
        "ibv_modify_qp(peer, IBV_QPS_RESET)\n"
        'ibv_post_send(qp, IBV_WR_SEND, "four")\n' + done(status="IBV_WC_RETRY_EXC_ERR"),
    ),
    (
        "a window that is not there is bound",
        "mw = ibv_alloc_mw(pd, IBV_MW_TYPE_2)\nibv_post_send(qp, IBV_WR_BIND_MW, mr, mw, 0, PAGE, 2)\n"
        + done(status="IBV_WC_MW_BIND_ERR"),
    ),
    (
        "a key that is none is invalidated",
        "mw = ibv_alloc_mw(pd, IBV_MW_TYPE_2)\nibv_post_send(qp, IBV_WR_LOCAL_INV, None, mw)\n"
        + done(status="IBV_WC_LOC_QP_OP_ERR"),
    ),
]


@pytest.mark.parametrize(("what", "lines"), STATUSES)
def test_how_requests_fail(play_to_end: Play, what: str, lines: str) -> None:
    """The connection is over, and what is posted after it is flushed."""
    play_to_end("P0", seeds=range(2), a=START + lines + 'ibv_post_send(qp, IBV_WR_SEND, "x")\n' + FLUSHED)


def test_a_peer_without_a_receive(play_to_end: Play) -> None:
    """It is asked again as often as was said, and then given up."""
    for retries, seconds in ((0, 0.0), (3, 0.03)):
        run = play_to_end(
            "P0",
            seeds=range(2),
            a=MEMORY
            + connected(rnr_retry=retries)
            + 'ibv_post_send(qp, IBV_WR_SEND, "x")\n'
            + done(status="IBV_WC_RNR_RETRY_EXC_ERR"),
        )
        assert run.returned("a") == pytest.approx(seconds)


def test_a_receive_in_time(play_to_end: Play) -> None:
    for retries in (3, 7):
        play_to_end(
            "P0",
            seeds=range(3),
            details={"b": 'start = "fork"'},
            a=MEMORY
            + connected(rnr_retry=retries)
            + f'mr = ibv_reg_mr(pd, buf, PAGE, {ALL})\nibv_post_send(qp, IBV_WR_SEND, "x")\nfork("b")\n'
            + done()
            + 'load(buf, 1)  # -> b"x"\n',
            b="sleep(0.015)\nibv_post_recv(peer, mr, 0, 1)  # -> 0\n",
        )


def test_who_waits_for_a_receive_ends_with_the_connection(play_to_end: Play) -> None:
    play_to_end(
        "P0",
        seeds=range(3),
        a=START
        + 'ibv_post_send(qp, IBV_WR_SEND, "x")\nsleep(1)\nibv_modify_qp(peer, IBV_QPS_ERR)  # -> 0\n'
        + done(status="IBV_WC_RETRY_EXC_ERR"),
    )


def test_what_the_connection_does_not_allow_is_invalid(play_to_end: Play) -> None:
    """IBV_QP_ACCESS_FLAGS come before the key."""
    play_to_end(
        "P0",
        seeds=range(2),
        a=START
        + "ibv_modify_qp(peer, IBV_QPS_RTS, None, IBV_ACCESS_REMOTE_READ)  # -> 0\n"
        + "ibv_post_send(qp, IBV_WR_RDMA_READ, mr, mr, 0, 1)\n"
        + done()
        + 'ibv_post_send(qp, IBV_WR_RDMA_WRITE, "x", mr, 0)\n'
        + done(status="IBV_WC_REM_INV_REQ_ERR"),
    )


def test_receives_are_flushed_too(play_to_end: Play) -> None:
    play_to_end(
        "P0",
        seeds=range(2),
        a=START
        + """
ibv_post_recv(peer, mr, 0, 8)
ibv_post_recv(peer, mr, 0, 8)
ibv_modify_qp(peer, IBV_QPS_ERR)
ibv_post_recv(peer, mr, 0, 8)                              # -> 0
"""
        + done("rcq", "IBV_WC_WR_FLUSH_ERR") * 3
        + "ibv_poll_cq(rcq)  # -> 0\n",
    )


def test_a_drained_queue_goes_on_later(play_to_end: Play) -> None:
    play_to_end(
        "P0",
        seeds=range(2),
        a=START
        + """
ibv_modify_qp(qp, IBV_QPS_SQD)                             # -> 0
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "x", mr, 0)           # -> 0
sleep(1)
load(buf, 1)                                               # -> b"\\0"
ibv_modify_qp(qp, IBV_QPS_RTS)                             # -> 0
"""
        + done()
        + 'load(buf, 1)  # -> b"x"\n',
    )


def test_who_is_destroyed_completes_nothing(play_to_end: Play) -> None:
    """What waits at the peer for a receive ends with the peer, and nobody hears of it."""
    play_to_end(
        "P0",
        seeds=range(3),
        a=START
        + """
ibv_post_send(qp, IBV_WR_SEND, "x")
sleep(1)
ibv_destroy_qp(qp)                                         # -> 0
ibv_destroy_qp(peer)                                       # -> 0
sleep(1)
ibv_poll_cq(scq)                                           # -> 0
""",
    )


# Queues.


def test_a_completion_queue_that_is_full_loses_what_comes(play_to_end: Play) -> None:
    """IBV_EVENT_CQ_ERR says so, and destroying it waits for the acknowledgement."""
    play_to_end(
        "P0",
        seeds=range(3),
        a=MEMORY
        + """
cq = ibv_create_cq(ctx, 1)
qp = ibv_create_qp(pd, cq)
ibv_modify_qp(qp, IBV_QPS_INIT)
ibv_modify_qp(qp, IBV_QPS_RTR, qp)
ibv_modify_qp(qp, IBV_QPS_RTS)
mr = ibv_reg_mr(pd, buf, PAGE, 7)
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "x", mr, 0)
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "y", mr, 1)
ev = ibv_get_async_event(ctx)
ibv_event_type()                                           # -> IBV_EVENT_CQ_ERR
ibv_poll_cq(event_cq)                                      # -> 1
ibv_poll_cq(cq)                                            # -> 0 (the second is lost)
load(buf, 2)                                               # -> b"xy" (but done)
ibv_ack_async_event(ev)
ibv_destroy_cq(cq)                                         # -> EBUSY
ibv_destroy_qp(qp)                                         # -> 0
ibv_destroy_cq(cq)                                         # -> 0
ibv_destroy_qp(qp)                                         # -> EINVAL
ibv_poll_cq(cq)                                            # -> EINVAL
""",
    )


def test_sizes(play_to_end: Play) -> None:
    play_to_end(
        "P0",
        seeds=(),
        a=MEMORY
        + """
ibv_create_cq(ctx, 0)                                      # -> EINVAL
ibv_create_cq(ctx, -1)                                     # -> EINVAL
ibv_create_cq(ctx, 32768)                                  # -> EINVAL
cq = ibv_create_cq(ctx, 32767)                             # -> ok
ibv_create_srq(pd, 0)                                      # -> EINVAL
ibv_create_srq(pd, 16385)                                  # -> EINVAL
ibv_create_srq(pd, 4, 5)                                   # -> EINVAL
ibv_create_qp(pd, cq, None, None, 16385)                   # -> EINVAL
ibv_create_qp(pd, pd)                                      # -> EINVAL
ibv_create_qp(pd, cq, None, cq)                            # -> EINVAL
qp = ibv_create_qp(pd, cq, None, None, 1, 1)               # -> ok
ibv_modify_qp(qp, IBV_QPS_INIT)
ibv_post_recv(qp)                                          # -> 0
ibv_post_recv(qp)                                          # -> ENOMEM
ibv_modify_qp(qp, IBV_QPS_RTR, qp)
ibv_modify_qp(qp, IBV_QPS_RTS)
ibv_modify_qp(qp, IBV_QPS_SQD)
ibv_post_send(qp, IBV_WR_SEND, "x")                        # -> 0
ibv_post_send(qp, IBV_WR_SEND, "x")                        # -> ENOMEM
""",
    )


SRQ = (
    MEMORY
    + "srq = ibv_create_srq(pd, 2, 2)\n"
    + connected(srq="srq", rnr_retry=0)
    + f"mr = ibv_reg_mr(pd, buf, PAGE, {ALL})\n"
)


def test_a_shared_receive_queue(play_to_end: Play) -> None:
    """Whoever needs it first takes the oldest; below the limit an event comes once."""
    play_to_end(
        "P0",
        seeds=range(3),
        a=SRQ
        + """
ibv_post_recv(qp, mr, 0, 8)                                # -> EINVAL
ibv_post_srq_recv(srq, mr, 0, 8)                           # -> 0
ibv_post_srq_recv(srq, mr, 8, 8)                           # -> 0
ibv_post_srq_recv(srq, mr, 16, 8)                          # -> ENOMEM
ibv_post_send(qp, IBV_WR_SEND, "to peer")
"""
        + done("rcq", byte_len=7)
        + 'ibv_post_send(peer, IBV_WR_SEND, "to qp")\n'
        + done("rcq", byte_len=5)
        + done()
        + done()
        + """
load(buf, 13)                                              # -> b"to peer\\0to qp"
ev = ibv_get_async_event(ctx)
ibv_event_type()                                           # -> IBV_EVENT_SRQ_LIMIT_REACHED
fcntl(ctx, F_SETFL, O_NONBLOCK)
ibv_get_async_event(ctx)                                   # -> EAGAIN (both receives have been taken)
ibv_modify_srq(event_srq, 3)                               # -> EINVAL
ibv_modify_srq(srq, 2)                                     # -> 0
ibv_ack_async_event(ev)
ibv_post_send(qp, IBV_WR_SEND, "x")
"""
        + done(status="IBV_WC_RNR_RETRY_EXC_ERR")
        + """
ibv_destroy_srq(srq)                                       # -> EBUSY
ibv_dealloc_pd(pd)                                         # -> EBUSY
ibv_destroy_qp(qp)
ibv_destroy_qp(peer)
ibv_destroy_srq(srq)                                       # -> 0
ibv_post_srq_recv(srq, mr, 0, 8)                           # -> EINVAL
ibv_dereg_mr(mr)
ibv_dealloc_pd(pd)                                         # -> 0
""",
    )


def test_a_shared_queue_is_not_flushed(play_to_end: Play) -> None:
    play_to_end(
        "P0",
        seeds=range(2),
        a=SRQ
        + """
ibv_post_srq_recv(srq, mr, 0, 8)
ibv_modify_qp(peer, IBV_QPS_ERR)
ibv_post_send(qp, IBV_WR_SEND, "x")
"""
        + done(status="IBV_WC_RETRY_EXC_ERR")
        + "ibv_poll_cq(rcq)  # -> 0\nibv_post_srq_recv(srq, mr, 0, 8)  # -> 0\nibv_post_srq_recv(srq)  # -> ENOMEM\n",
    )


def test_what_does_not_go_together(play_to_end: Play) -> None:
    play_to_end(
        "P0",
        seeds=(),
        a=START
        + """
mw = ibv_alloc_mw(pd, IBV_MW_TYPE_1)
ibv_post_send(qp, IBV_WR_SEND, "x", mr)                    # -> EINVAL
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "x")                  # -> EINVAL
ibv_post_send(qp, IBV_WR_RDMA_WRITE, None, mr)             # -> EINVAL
ibv_post_send(qp, IBV_WR_LOCAL_INV, None, mr)              # -> EINVAL
ibv_post_send(qp, IBV_WR_BIND_MW, "x", mw)                 # -> EINVAL
ibv_post_recv(peer, mr, -1, 8)                             # -> EINVAL
ibv_post_recv(peer, mr, 0, 65537)                          # -> EINVAL
ibv_post_recv(peer, pd, 0, 8)                              # -> EINVAL
""",
    )
