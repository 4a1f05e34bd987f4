"""Verbs: registration and its checks, who owns a region, queue pairs and what the device does [1.10, 2.6]."""

import errno
from collections.abc import Callable
from typing import Any

import pytest
from unit.conftest import play_once
from unit.programs import DEVICE, LOOPBACK

from longpin.actors.conversation import KernelError
from longpin.actors.mm.pmem import Pmem
from longpin.actors.rdma.access import check_access
from longpin.runner.events import BlocksFreed, BlocksPinned, BlocksUnpinned
from longpin.runner.oracles import ORACLES

Play = Callable[..., Any]


ALL = "IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ"

DONE = """
ibv_get_cq_event(cq)                           # -> 0
ibv_poll_cq(cq)                                # -> 1
"""


def test_what_is_wrong_with_the_arguments_comes_first(play: Play) -> None:
    play(
        "P1",
        details={"a": "uid = 1000\nmemlock = 0"},
        a=DEVICE
        + """
ibv_reg_mr(pd, buf, 0, IBV_ACCESS_LOCAL_WRITE)            # -> EINVAL
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_REMOTE_WRITE)        # -> EINVAL (without local write)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)         # -> EPERM (no page may be locked at all)
ibv_open_device("mlx9")                                   # -> ENODEV
ibv_alloc_pd(fd)                                          # -> EINVAL
ibv_alloc_pd(99)                                          # -> EBADF
read(ctx, 1)                                              # -> EINVAL (it has no method to read)
read(ctx, 4611686018427387904)                            # -> EINVAL (which comes before the buffer)
pread(ctx, 1, 0)                                          # -> ESPIPE
""",
    )


@pytest.mark.parametrize("policy", ["P0:intended", "P0:as_posted"])
def test_the_limit_comes_before_the_mapping(play: Play, policy: str) -> None:
    play(
        policy,
        details={"a": "uid = 1000\nmemlock = 'PAGE'"},
        a=DEVICE
        + """
ibv_reg_mr(pd, buf, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE)     # -> ENOMEM
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)         # -> EOPNOTSUPP
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)         # -> EOPNOTSUPP (what failed is not charged)
ibv_reg_mr(pd, 0, PAGE, IBV_ACCESS_LOCAL_WRITE)           # -> EFAULT
""",
    )


def test_pages_that_are_not_there_or_not_writable(play: Play) -> None:
    play(
        "P1",
        a=DEVICE
        + """
ro = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
ibv_reg_mr(pd, ro, PAGE, IBV_ACCESS_LOCAL_WRITE)          # -> EFAULT (it pins for writing)
ibv_reg_mr(pd, buf, 5 * PAGE, IBV_ACCESS_LOCAL_WRITE)     # -> EFAULT
ftruncate(fd, PAGE)                                       # -> 0 (the failed registrations left no pin)
ibv_reg_mr(pd, buf, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE)     # -> EFAULT (beyond the end)
""",
    )


def test_access_bits_are_looked_at_first(play: Play) -> None:
    """Before the domain's handle, and before anything is charged [2.6 steps 1, 2]."""
    run = play(
        "P1",
        head='[[device]]\nname = "rxe0"\non_demand = false\n',
        details={"a": "uid = 1000\nmemlock = 0"},
        a=DEVICE
        + """
ibv_reg_mr(pd, buf, PAGE, 0x8)                            # -> EINVAL (remote atomic alone)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_REMOTE_WRITE)        # -> EINVAL
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_REMOTE_READ)  # -> EINVAL
ibv_reg_mr(pd, buf, PAGE, 0x41)                           # -> EINVAL (on demand, on a device without it)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | 0x400) # -> EINVAL (a bit nobody knows)
ibv_reg_mr(pd, buf, PAGE, 0x80001)                        # -> EINVAL
ibv_reg_mr(pd, buf, PAGE, 0x40000001)                     # -> EINVAL
ibv_reg_mr(pd, buf, PAGE, -1)                             # -> EINVAL
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)         # -> EPERM
ibv_reg_mr(pd, -1, PAGE, IBV_ACCESS_LOCAL_WRITE)          # -> EINVAL (it would go round)
ibv_dealloc_pd(pd)                                        # -> 0
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)         # -> EINVAL
close(ctx)
ibv_reg_mr(pd, buf, PAGE, 0x8)                            # -> EBADF
""",
    )
    assert not any(isinstance(actor, Pmem) and actor.pins for actor in run.engine.actors.values())


def test_every_number_of_access_bits() -> None:
    """ib_check_mr_access by number: remote write (2) or atomic (8) needs local write (1); 1024 to 0x80000 are none."""

    def refused(access: int) -> bool:
        try:
            check_access(access)
        except KernelError as error:
            return error.errno == errno.EINVAL
        return False

    numbers = [*range(1 << 10), *(1 << bit for bit in range(10, 64))]
    wrong = [number for number in numbers if refused(number)]
    expected = [number for number in range(1 << 10) if number & 10 and not number & 1]
    expected += [1 << bit for bit in range(10, 64) if not 20 <= bit < 30]
    assert wrong == expected


def test_bits_that_are_known_make_an_ordinary_region(play: Play) -> None:
    known = (
        "IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_ATOMIC",
        "IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_MW_BIND | IBV_ACCESS_ZERO_BASED | IBV_ACCESS_HUGETLB",
        "IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_FLUSH_GLOBAL | IBV_ACCESS_FLUSH_PERSISTENT",
        "IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_RELAXED_ORDERING",
        "IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_OPTIONAL_RANGE",
        "0",
        "4294967296",
    )
    lines = [f"ibv_reg_mr(pd, buf, PAGE, {bits})  # P0 -> EOPNOTSUPP; P5 -> EPERM; -> ok" for bits in known]
    for policy in ("P0", "P1", "P5"):
        play(policy, seeds=range(2), a=DEVICE + "\n".join(lines) + "\n")


def test_the_length_comes_before_the_limit_and_the_pages_after(play: Play) -> None:
    play(
        "P1",
        details={"a": "uid = 1000\nmemlock = '2 * PAGE'"},
        a=DEVICE
        + """
ibv_reg_mr(pd, buf, 0, IBV_ACCESS_LOCAL_WRITE)            # -> EINVAL
ibv_reg_mr(pd, buf, -1, IBV_ACCESS_LOCAL_WRITE)           # -> EINVAL
ibv_reg_mr(pd, buf, 3 * PAGE, IBV_ACCESS_LOCAL_WRITE)     # -> ENOMEM
ibv_reg_mr(pd, 0, PAGE, IBV_ACCESS_LOCAL_WRITE)           # -> EFAULT
ibv_reg_mr(pd, buf, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE)     # -> ok (what failed is charged no more)
""",
    )


def test_memlock_is_counted_by_region_and_by_process(play: Play) -> None:
    details = {"a": "uid = 1000\nmemlock = '4 * PAGE'", "child": "uid = 1000\nmemlock = '4 * PAGE'\nstart = 'fork'"}
    play(
        "P1",
        details=details,
        a=DEVICE
        + """
one = ibv_reg_mr(pd, buf, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE)     # -> ok
two = ibv_reg_mr(pd, buf, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE)     # -> ok
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> ENOMEM (the same pages count twice)
munmap(buf, 4 * PAGE)                                           # -> 0
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> ENOMEM (munmap gives nothing back)
fork("child")
wait_for("child done")
ibv_reg_mr(pd, buf, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE)           # -> ok (uncharged here by the child's dereg)
""",
        child="""
three = ibv_reg_mr(pd, buf, 4 * PAGE, IBV_ACCESS_LOCAL_WRITE)   # -> ok (a counter of its own)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> ENOMEM
ibv_dereg_mr(two)                                               # -> 0
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> ENOMEM (its owner was charged for it)
label("child done")
""",
    )


def test_cap_ipc_lock_passes_the_limit(play: Play) -> None:
    play(
        "P1",
        details={"a": "uid = 1000\nmemlock = 0\ncapabilities = ['CAP_IPC_LOCK']"},
        a=DEVICE
        + """
ibv_reg_mr(pd, buf, 4 * PAGE, IBV_ACCESS_LOCAL_WRITE)           # -> ok
""",
    )


def test_the_open_device_owns_what_is_made_through_it(play: Play) -> None:
    """Another process with the device's descriptor, under any number, may end a region; without it, not."""
    play(
        "P1",
        a=DEVICE
        + """
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
label("mr", mr)
send_fd("b", ctx)
wait_for("gone")
ibv_dereg_mr(mr)                                                # -> EINVAL
ibv_dealloc_pd(pd)                                              # -> 0
ibv_dealloc_pd(pd)                                              # -> EINVAL
""",
        b="""
mr = wait_for("mr")
ibv_dereg_mr(mr)                                                # -> EBADF
open("/f", O_RDONLY)
open("/f", O_RDONLY)
ctx = recv_fd()                                                 # -> 5
ibv_dereg_mr(mr)                                                # -> 0
label("gone")
""",
    )


def test_a_domain_in_use_is_busy(play: Play) -> None:
    play(
        "P1",
        a=DEVICE
        + """
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
ibv_dealloc_pd(pd)                                              # -> EBUSY
ibv_dereg_mr(pd)                                                # -> EINVAL (of another kind)
ibv_dereg_mr(mr)                                                # -> 0
ibv_dealloc_pd(pd)                                              # -> 0
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> EINVAL
""",
    )


def test_pins_survive_munmap_and_close(play: Play) -> None:
    """On a kernel that always scans, truncate waits for a pin nobody maps any more, until the region goes [H6]."""
    play(
        "P1",
        a=DEVICE
        + """
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
munmap(buf, 4 * PAGE)
close(fd)
label("closed")
sleep(3)
ibv_dereg_mr(mr)                                                # -> 0
""",
        b="""
wait_for("closed")
truncate("/f", 0)                                               # -> blocks, 0
""",
    )


def test_a_region_outlives_its_process_with_a_child_that_has_the_device(play: Play) -> None:
    play(
        "P1",
        details={"child": "start = 'fork'"},
        a=DEVICE
        + """
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
fork("child")
pause()                                                         # -> EINTR (killed)
""",
        child="""
close(fd)
munmap(buf, 4 * PAGE)
kill("a", SIGKILL)
sleep(1)
label("killed")
sleep(5)
ibv_dereg_mr(mr)                                                # -> 0
""",
        b="""
wait_for("killed")
ftr = open("/f", O_RDWR)
ftruncate(ftr, 0)                                               # -> blocks, 0
""",
    )


def test_death_of_the_last_holder_ends_the_region(play: Play) -> None:
    play(
        "P1",
        a=DEVICE
        + """
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
label("pinned")
pause()                                                         # -> EINTR (killed)
""",
        b="""
wait_for("pinned")
kill("a", SIGKILL)                                              # -> 0
truncate("/f", 0)                                               # -> 0
""",
    )


def test_release_of_the_device_may_return_before_the_pins_are_gone() -> None:
    """H13: with the delay some schedule still finds the pin after close; without it none does."""
    program = (
        DEVICE
        + """
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
close(ctx)                                                      # -> 0
ftruncate(fd, 0)                                                # -> 0
"""
    )

    def waits(delay: str) -> set[bool]:
        head = f"[machine]\nuverbs_async_delay = {delay}"
        runs = [play_once("P1", {"a": program}, {}, head, ORACLES["pctcp"](seed), racy=False) for seed in range(50)]
        assert not any(run.rules for run in runs)
        return {run.result.calls[-1].blocked for run in runs}

    assert waits("false") == {False}
    assert waits("true") == {True, False}


def test_the_device_writes_and_reads_the_file(play: Play) -> None:
    play(
        "P1",
        a=DEVICE
        + LOOPBACK
        + f"""
mr = ibv_reg_mr(pd, buf + 100, 2 * PAGE, {ALL})
far = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 3 * PAGE)
local = ibv_reg_mr(pd, far, PAGE, IBV_ACCESS_LOCAL_WRITE)
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "over the edge", mr, PAGE - 104)     # -> 0
{DONE}
ibv_wc_status()                                # -> IBV_WC_SUCCESS
load(buf + PAGE - 4, 13)                       # -> b'over the edge'
lseek(fd, PAGE)
read(fd, 9)                                    # -> b' the edge'
ibv_post_send(qp, IBV_WR_RDMA_READ, local, mr, PAGE - 104, 13)            # -> 0
{DONE}
ibv_wc_status()                                # -> IBV_WC_SUCCESS
load(far, 13)                                  # -> b'over the edge'
ibv_post_send(qp, IBV_WR_RDMA_WRITE, local, mr, 0, 4)                     # -> 0
{DONE}
load(buf + 100, 4)                             # -> b'over'
ibv_poll_cq(cq)                                # -> 0
""",
    )


@pytest.mark.parametrize(
    ("post", "status"),
    [
        ('ibv_post_send(qp, IBV_WR_RDMA_WRITE, "x", quiet, 0)', "IBV_WC_REM_ACCESS_ERR"),
        ("ibv_post_send(qp, IBV_WR_RDMA_READ, mr, quiet, 0, 1)", "IBV_WC_REM_ACCESS_ERR"),
        ('ibv_post_send(qp, IBV_WR_RDMA_WRITE, "xx", mr, PAGE - 1)', "IBV_WC_REM_ACCESS_ERR"),
        ('ibv_post_send(qp, IBV_WR_RDMA_WRITE, "x", mr, -1)', "IBV_WC_REM_ACCESS_ERR"),
        ('ibv_post_send(qp, IBV_WR_RDMA_WRITE, "x", gone, 0)', "IBV_WC_REM_ACCESS_ERR"),
        ('ibv_post_send(qp, IBV_WR_RDMA_WRITE, "x", foreign, 0)', "IBV_WC_REM_ACCESS_ERR"),
        ("ibv_post_send(qp, IBV_WR_RDMA_WRITE, mr, mr, 0, PAGE + 1)", "IBV_WC_LOC_PROT_ERR"),
        ("ibv_post_send(qp, IBV_WR_RDMA_READ, readonly, mr, 0, 1)", "IBV_WC_LOC_PROT_ERR"),
    ],
)
def test_an_access_the_key_does_not_allow_ends_the_connection(play: Play, post: str, status: str) -> None:
    play(
        "P1",
        a=DEVICE
        + LOOPBACK
        + f"""
mr = ibv_reg_mr(pd, buf, PAGE, {ALL})
quiet = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
readonly = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_REMOTE_READ)
gone = ibv_reg_mr(pd, buf, PAGE, {ALL})
ibv_dereg_mr(gone)
pd2 = ibv_alloc_pd(ctx)
foreign = ibv_reg_mr(pd2, buf, PAGE, {ALL})
{post}                                         # -> 0
{DONE}
ibv_wc_status()                                # -> {status}
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "x", mr, 0)          # -> 0
{DONE}
ibv_wc_status()                                # -> IBV_WC_WR_FLUSH_ERR
""",
    )


def test_a_dead_region_is_refused_at_the_call(play: Play) -> None:
    play(
        "P1",
        a=DEVICE
        + LOOPBACK
        + f"""
mr = ibv_reg_mr(pd, buf, PAGE, {ALL})
ibv_post_send(qp, IBV_WR_RDMA_WRITE, mr, pd, 0, 1)        # -> EINVAL
ibv_post_send(qp, IBV_WR_RDMA_WRITE, pd, mr, 0, 1)        # -> EINVAL
ibv_post_send(mr, IBV_WR_RDMA_WRITE, "x", mr, 0)          # -> EINVAL
ibv_post_send(qp, IBV_WR_RDMA_WRITE, mr, mr, 0, 0)        # -> EINVAL
close(ctx)
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "x", mr, 0)          # -> EBADF
ibv_poll_cq(cq)                                           # -> EBADF
""",
    )


def test_the_states_of_a_queue_pair(play: Play) -> None:
    play(
        "P1",
        a=DEVICE
        + f"""
cq = ibv_create_cq(ctx)
qp = ibv_create_qp(pd, cq)
mr = ibv_reg_mr(pd, buf, PAGE, {ALL})
ibv_modify_qp(qp, IBV_QPS_RTS)                 # -> EINVAL
ibv_modify_qp(qp, IBV_QPS_RTR, qp)             # -> EINVAL
ibv_modify_qp(qp, IBV_QPS_INIT)                # -> 0
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "x", mr, 0)          # -> EINVAL
ibv_modify_qp(qp, IBV_QPS_RTR)                 # -> EINVAL (no peer)
ibv_modify_qp(qp, IBV_QPS_RTR, mr)             # -> EINVAL
ibv_modify_qp(qp, IBV_QPS_RTR, qp)             # -> 0
ibv_modify_qp(qp, IBV_QPS_INIT)                # -> EINVAL
ibv_modify_qp(qp, IBV_QPS_RTS)                 # -> 0
ibv_modify_qp(qp, IBV_QPS_ERR)                 # -> 0
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "x", mr, 0)          # -> 0
{DONE}
ibv_wc_status()                                # -> IBV_WC_WR_FLUSH_ERR
ibv_modify_qp(qp, IBV_QPS_RESET)               # -> 0
ibv_modify_qp(qp, IBV_QPS_INIT)                # -> 0
""",
    )


def test_a_peer_that_is_not_ready_does_not_answer(play: Play) -> None:
    play(
        "P1",
        a=DEVICE
        + f"""
cq = ibv_create_cq(ctx)
qp = ibv_create_qp(pd, cq)
peer = ibv_create_qp(pd, cq)
mr = ibv_reg_mr(pd, buf, PAGE, {ALL})
ibv_modify_qp(qp, IBV_QPS_INIT)
ibv_modify_qp(qp, IBV_QPS_RTR, peer)
ibv_modify_qp(qp, IBV_QPS_RTS)
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "x", mr, 0)          # -> 0
{DONE}
ibv_wc_status()                                # -> IBV_WC_RETRY_EXC_ERR
""",
    )


def test_requests_of_one_queue_pair_are_done_in_order(play: Play) -> None:
    """The first is long; the second, to its last page, must not get there before it."""
    play(
        "P1",
        a=DEVICE
        + LOOPBACK
        + f"""
mr = ibv_reg_mr(pd, buf, 2 * PAGE, {ALL})
zeroes = ibv_reg_mr(pd, buf + 2 * PAGE, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE)
ibv_post_send(qp, IBV_WR_RDMA_WRITE, zeroes, mr, 0, 2 * PAGE)
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "new", mr, PAGE)
for i in range(2):
    ibv_get_cq_event(cq)
    ibv_poll_cq(cq)                            # -> 1
load(buf + PAGE, 3)                            # -> b'new'
""",
    )


def test_a_refused_access_ends_the_connection_on_both_sides(play: Play) -> None:
    play(
        "P1",
        a=DEVICE
        + f"""
cq = ibv_create_cq(ctx)
one = ibv_create_qp(pd, cq)
two = ibv_create_qp(pd, cq)
ibv_modify_qp(one, IBV_QPS_INIT)
ibv_modify_qp(two, IBV_QPS_INIT)
ibv_modify_qp(one, IBV_QPS_RTR, two)
ibv_modify_qp(two, IBV_QPS_RTR, one)
ibv_modify_qp(one, IBV_QPS_RTS)
ibv_modify_qp(two, IBV_QPS_RTS)
mr = ibv_reg_mr(pd, buf, PAGE, {ALL})
ibv_post_send(one, IBV_WR_RDMA_WRITE, "x", mr, PAGE)      # -> 0
{DONE}
ibv_wc_status()                                # -> IBV_WC_REM_ACCESS_ERR
ibv_post_send(two, IBV_WR_RDMA_WRITE, "x", mr, 0)         # -> 0
{DONE}
ibv_wc_status()                                # -> IBV_WC_WR_FLUSH_ERR
""",
    )


def test_no_pin_gets_between_the_scan_and_the_free(play: Play) -> None:
    """The page is mapped before truncate comes, so only the zap before the scan makes a registration fault."""
    run = play(
        "P1",
        seeds=range(250),
        details={"a": "on_signal.SIGUSR1 = 'getpid()'"},
        a=DEVICE
        + """
store(buf, "x")
label("mapped")
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
label("done")
kill("a", SIGKILL)
""",
        b="""
wait_for("mapped")
fd = open("/f", O_RDWR)
ftruncate(fd, 0)                               # -> 0
""",
    )
    for schedule in run.schedules:
        pinned: set[int] = set()
        for event in schedule.result.events:
            match event:
                case BlocksFreed():
                    assert not pinned & set(event.blocks)
                case BlocksPinned(region="mr:100.1"):
                    pinned |= set(event.blocks)
                case BlocksUnpinned():
                    pinned.clear()
                case _:
                    pass


def test_dereg_waits_for_the_access_under_way_and_none_comes_after_it(play: Play) -> None:
    """O1 holds whenever the region goes: the blocks are freed only after dereg has returned."""
    play(
        "P1",
        seeds=range(40),
        a=DEVICE
        + LOOPBACK
        + f"""
mr = ibv_reg_mr(pd, buf, 2 * PAGE, {ALL})
for i in range(3):
    ibv_post_send(qp, IBV_WR_RDMA_WRITE, "data", mr, PAGE - 2)
ibv_dereg_mr(mr)                               # -> 0
ftruncate(fd, 0)                               # -> 0
""",
    )
