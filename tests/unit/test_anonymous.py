"""Anonymous and private memory: zero pages, copies at the first store, fork, pins, and what is left [1.8]."""

from collections.abc import Callable
from typing import Any

import pytest
from unit.programs import CONTEXT, LOOPBACK

from longpin.actors.kernel.generation import Version
from longpin.actors.mm.ram import Ram
from longpin.config.loader import load_scenario
from longpin.runner.result import Verdict
from longpin.runner.run import run as run_scenario
from longpin.runner.settings import Settings

Play = Callable[..., Any]

MAP = "buf = mmap({pages} * PAGE, PROT_READ | PROT_WRITE, {flags}, {fd}, 0)   # -> ok\n"
ANON = MAP.format(pages=4, flags="MAP_PRIVATE | MAP_ANONYMOUS", fd=-1)
SHARED = MAP.format(pages=4, flags="MAP_SHARED | MAP_ANONYMOUS", fd=-1)
PRIVATE = 'fd = open("/f", O_RDWR)\n' + MAP.format(pages=4, flags="MAP_PRIVATE", fd="fd")
FAULTS = "on_signal.SIGSEGV = 'getpid()'\non_signal.SIGBUS = 'getpid()'"
CHILD = "start = 'fork'\n" + FAULTS


def frames(run: Any) -> int:
    """Return how many anonymous pages are not free, in all schedules."""
    return sum(
        len(actor.maps) for played in run.schedules for actor in played.engine.actors.values() if isinstance(actor, Ram)
    )


def test_anonymous_memory_is_zero_until_it_is_written(play: Play) -> None:
    run = play(
        "P0",
        a=ANON
        + """
load(buf, 4)                        # -> b"\\x00\\x00\\x00\\x00"
store(buf + PAGE - 2, "over")       # -> 0
load(buf + PAGE - 2, 4)             # -> b"over"
load(buf + 3 * PAGE, 2)             # -> b"\\x00\\x00"
munmap(buf, PAGE)                   # -> 0
load(buf + PAGE, 2)                 # -> b"er"
""",
    )
    assert frames(run) == 0


@pytest.mark.parametrize("mapping", [ANON, SHARED])
def test_an_end_without_munmap_leaves_nothing(play: Play, mapping: str) -> None:
    run = play("P0", a=mapping + 'store(buf, "x")\nstore(buf + 3 * PAGE, "y")\nexit(0)\n')
    assert frames(run) == 0


def test_a_page_that_comes_again_is_zero_again(play: Play) -> None:
    play(
        "P0",
        a=ANON
        + """
store(buf, "secret")
munmap(buf, PAGE)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
store(buf + 10, "x")
load(buf, 6)                        # -> b"\\x00\\x00\\x00\\x00\\x00\\x00"
""",
    )


def test_a_private_mapping_copies_at_the_first_store(play: Play) -> None:
    play(
        "P0",
        a=PRIVATE
        + """
pwrite(fd, "file", 0)
load(buf, 4)                        # -> b"file"
store(buf, "mine")                  # -> 0
load(buf, 4)                        # -> b"mine"
pread(fd, 4, 0)                     # -> b"file"
pwrite(fd, "FILE", PAGE)
load(buf + PAGE, 4)                 # -> b"FILE" (no copy yet: the file's page)
pwrite(fd, "more", 0)
load(buf, 4)                        # -> b"mine"
madvise(buf, PAGE, MADV_DONTNEED)   # -> 0
load(buf, 4)                        # -> b"more"
""",
    )


def test_truncate_takes_copies_too_and_a_punch_does_not(play: Play) -> None:
    play(
        "P0",
        details={"a": FAULTS},
        a=PRIVATE
        + """
store(buf, "mine")
store(buf + PAGE, "mine")
store(buf + 3 * PAGE, "mine")
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE)   # -> 0
load(buf, 4)                        # -> b"mine"
ftruncate(fd, 2 * PAGE)             # -> 0
load(buf + PAGE, 4)                 # -> b"mine"
load(buf + 3 * PAGE, 1)             # -> EFAULT
store(buf + 3 * PAGE, "x")          # -> EFAULT
ftruncate(fd, 4 * PAGE)
load(buf + 3 * PAGE, 4)             # -> b"\\x00\\x00\\x00\\x00"
""",
    )


@pytest.mark.parametrize(("file_system", "seen"), [("xfs", "mine"), ("ext4", "file")])
@pytest.mark.parametrize("mode", ["FALLOC_FL_COLLAPSE_RANGE", "FALLOC_FL_INSERT_RANGE"])
def test_what_moves_blocks_leaves_copies_or_not(play: Play, file_system: str, seen: str, mode: str) -> None:
    play(
        "P0",
        head=f'[[pmem]]\nname = "pmem0"\nfile_system = "{file_system}"\n',
        a=PRIVATE
        + f"""
pwrite(fd, "file", 0)
pwrite(fd, "file", PAGE)
pwrite(fd, "file", 2 * PAGE)
store(buf + PAGE, "mine")
fallocate(fd, {mode}, 0, PAGE)      # -> 0
load(buf + PAGE, 4)                 # -> b"{seen}"
""",
    )


def test_a_private_mapping_needs_no_right_to_write_the_file(play: Play) -> None:
    play(
        "P0",
        a="""
r = open("/f", O_RDONLY)
w = open("/f", O_WRONLY)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, r, 0)   # -> ok
store(buf, "x")                     # -> 0
mmap(PAGE, PROT_READ, MAP_PRIVATE, w, 0)                      # -> EACCES
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r, 0)          # -> EACCES
""",
    )


def test_a_lease_sees_a_private_mapping_as_any_other(play: Play) -> None:
    play(
        "P0",
        a=PRIVATE
        + """
store(buf, "x")
close(fd)
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)      # -> EAGAIN (a writer maps it)
munmap(buf, 4 * PAGE)
fcntl(fd, F_SETLEASE, F_RDLCK)      # -> 0
""",
    )


PARENT = """
store(buf, "before")
fork("child")
store(buf, "PARENT")                # -> 0
load(buf, 6)                        # -> b"PARENT"
label("parent")
wait_for("child")
load(buf, 6)                        # -> b"PARENT"
store(buf + PAGE, "p")
load(buf + PAGE, 1)                 # -> b"p"
"""
COPY = """
wait_for("parent")
load(buf, 6)                        # -> b"before"
store(buf, "CHILD!")                # -> 0
load(buf, 6)                        # -> b"CHILD!"
store(buf + PAGE, "c")
load(buf + PAGE, 1)                 # -> b"c"
label("child")
"""


@pytest.mark.parametrize("mapping", [ANON, PRIVATE])
def test_fork_shares_pages_until_one_stores(play: Play, mapping: str) -> None:
    run = play("P0", details={"child": CHILD}, a=mapping + PARENT, child=COPY)
    assert frames(run) == 0


def test_shared_memory_is_one(play: Play) -> None:
    run = play(
        "P0",
        details={"child": CHILD},
        a=SHARED
        + """
store(buf, "before")
fork("child")
store(buf, "PARENT")
label("parent")
wait_for("child")
load(buf, 6)                        # -> b"CHILD!"
madvise(buf, PAGE, MADV_DONTNEED)   # -> 0
load(buf, 6)                        # -> b"CHILD!"
madvise(buf, PAGE, MADV_REMOVE)     # -> 0
load(buf, 3)                        # -> b"\\x00\\x00\\x00"
""",
        child="""
wait_for("parent")
load(buf, 6)                        # -> b"PARENT"
store(buf, "CHILD!")
label("child")
""",
    )
    assert frames(run) == 0


def test_a_grandchild_outlives_everybody(play: Play) -> None:
    """The memory of the first process is there as long as a page table has pages of it."""
    run = play(
        "P0",
        details={"child": CHILD, "grandchild": CHILD},
        a=ANON + 'store(buf, "first")\nfork("child")\nexit(0)\n',
        child='fork("grandchild")\nexit(0)\n',
        grandchild="""
sleep(1)
load(buf, 5)                        # -> b"first"
store(buf, "third")
load(buf, 5)                        # -> b"third"
""",
    )
    assert frames(run) == 0


def test_memory_goes_with_exec(play: Play) -> None:
    run = play(
        "P0",
        details={"child": CHILD, "other": CHILD},
        a=ANON + 'store(buf, "first")\nfork("child")\nstore(buf, "again")\n',
        child='exec("other")\n',
        other="load(buf, 1)                 # -> EFAULT\n",
    )
    assert frames(run) == 0


REGION = "ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ)"
DEVICE_WRITES = """
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "DMA", mr, 0)
ibv_get_cq_event(cq)
ibv_poll_cq(cq)                     # -> 1
ibv_wc_status()                     # -> IBV_WC_SUCCESS
"""


@pytest.mark.parametrize("policy", ["P0", "P1", "P5"])
@pytest.mark.parametrize("mapping", [ANON, SHARED])
def test_anonymous_memory_can_be_registered_under_every_policy(play: Play, policy: str, mapping: str) -> None:
    run = play(
        policy,
        a=CONTEXT
        + LOOPBACK
        + mapping
        + f"mr = {REGION}   # -> ok\n"
        + DEVICE_WRITES
        + """
load(buf, 3)                        # -> b"DMA"
munmap(buf, 4 * PAGE)               # -> 0
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "dma", mr, 0)   # -> 0 (goes on into the page that is nobody's any more)
ibv_get_cq_event(cq)
ibv_poll_cq(cq)                     # -> 1
ibv_wc_status()                     # -> IBV_WC_SUCCESS
ibv_dereg_mr(mr)                    # -> 0
""",
    )
    assert frames(run) == 0


@pytest.mark.parametrize("access", ["IBV_ACCESS_LOCAL_WRITE", "IBV_ACCESS_REMOTE_READ"])
@pytest.mark.parametrize("kernel", ["6.1", "6.12", "6.18"])
def test_fork_copies_what_is_pinned(play: Play, access: str, kernel: str) -> None:
    """The parent keeps the page, so that the device sees its later stores: long-term pins of either kind [meas]."""
    run = play(
        f"P0:intended,kernel={kernel}",
        details={"child": CHILD},
        a=CONTEXT
        + LOOPBACK
        + ANON
        + f"""
store(buf, "before")
mr = ibv_reg_mr(pd, buf, PAGE, {access} | IBV_ACCESS_REMOTE_READ)   # -> ok
to = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
local = ibv_reg_mr(pd, to, PAGE, IBV_ACCESS_LOCAL_WRITE)            # -> ok
fork("child")
store(buf, "after!")
ibv_post_send(qp, IBV_WR_RDMA_READ, local, mr, 0, 6)
ibv_get_cq_event(cq)
load(to, 6)                         # -> b"after!"
label("parent")
""",
        child='wait_for("parent")\nload(buf, 6)  # -> b"before"\nstore(buf, "child!")\n',
    )
    assert frames(run) == 0


def test_5_4_lost_the_page_of_the_device(play: Play) -> None:
    """Whoever stored first after a fork got the copy, pinned or not: the parent lost the page that the device has."""
    play(
        "P0:intended,kernel=5.4",
        details={"child": CHILD},
        a=CONTEXT
        + LOOPBACK
        + ANON
        + f"""
mr = {REGION}                       # -> ok
fork("child")
store(buf, "mine")
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "DMA", mr, 0)
ibv_get_cq_event(cq)
ibv_wc_status()                     # -> ok
load(buf, 4)                        # -> b"mine"
label("written")
""",
        child='wait_for("written")\nload(buf, 3)  # -> b"DMA"\n',
    )


PIN_PRIVATE = "mr = ibv_reg_mr(pd, buf, 2 * PAGE, {access})   # -> {errno}\n"


@pytest.mark.parametrize(
    ("stores", "access", "errno"),
    [
        ("store(buf, 'x')\nstore(buf + PAGE, 'x')\n", "IBV_ACCESS_LOCAL_WRITE", "ok"),
        ("store(buf, 'x')\nstore(buf + PAGE, 'x')\n", "IBV_ACCESS_REMOTE_READ", "ok"),
        ("store(buf, 'x')\n", "IBV_ACCESS_LOCAL_WRITE", "EOPNOTSUPP"),
        ("load(buf, 1)\nload(buf + PAGE, 1)\n", "IBV_ACCESS_LOCAL_WRITE", "EOPNOTSUPP"),
        ("load(buf, 1)\nload(buf + PAGE, 1)\n", "IBV_ACCESS_REMOTE_READ", "EOPNOTSUPP"),
        ("", "IBV_ACCESS_LOCAL_WRITE", "EOPNOTSUPP"),
    ],
)
@pytest.mark.parametrize("kernel", ["6.1", "6.18"])
def test_a_private_mapping_can_be_registered_when_every_page_is_a_copy(
    play: Play, stores: str, access: str, errno: str, kernel: str
) -> None:
    run = play(
        f"P0:intended,kernel={kernel}",
        a=CONTEXT + PRIVATE + stores + PIN_PRIVATE.format(access=access, errno=errno),
    )
    assert frames(run) == 0


def test_5_4_looks_at_the_mapping_afterwards(play: Play) -> None:
    play(
        "P0:as_posted,kernel=5.4",
        a=CONTEXT
        + PRIVATE
        + "store(buf, 'x')\nstore(buf + PAGE, 'x')\n"
        + PIN_PRIVATE.format(access="IBV_ACCESS_LOCAL_WRITE", errno="EOPNOTSUPP"),
    )


def test_where_dax_pages_can_be_pinned_a_private_mapping_pins_copies(play: Play) -> None:
    """So a truncate waits for nobody, and nobody asks for a lease."""
    run = play(
        "P1",
        a=CONTEXT
        + LOOPBACK
        + PRIVATE
        + f"mr = {REGION}   # -> ok\n"
        + DEVICE_WRITES
        + """
load(buf, 3)                        # -> b"DMA"
pread(fd, 3, 0)                     # -> b"\\x00\\x00\\x00"
ftruncate(fd, 0)                    # -> 0
ibv_dereg_mr(mr)                    # -> 0
""",
    )
    assert frames(run) == 0


@pytest.mark.parametrize(("kernel", "errno"), [("6.1", "ok"), ("6.12", "ok"), ("6.18", "ok")])
def test_read_only_private_memory_can_be_registered_for_reading(play: Play, kernel: str, errno: str) -> None:
    play(
        f"P0:intended,kernel={kernel}",
        a=CONTEXT
        + f"""
buf = mmap(PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_REMOTE_READ)     # -> {errno}
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)     # -> EFAULT
none = mmap(PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
ibv_reg_mr(pd, none, PAGE, IBV_ACCESS_LOCAL_WRITE)    # -> EFAULT
""",
    )


def test_a_region_larger_than_a_batch(play: Play) -> None:
    run = play(
        "P0",
        a=CONTEXT
        + """
buf = mmap(1500 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
store(buf + 700 * PAGE, "x")
mr = ibv_reg_mr(pd, buf, 1500 * PAGE, IBV_ACCESS_LOCAL_WRITE)   # -> ok
munmap(buf, 1500 * PAGE)
ibv_dereg_mr(mr)                    # -> 0
""",
        seeds=range(1),
    )
    assert frames(run) == 0


@pytest.mark.parametrize("kernel", [str(version) for version in Version])
def test_the_shipped_scenario_holds_on_every_kernel(kernel: str) -> None:
    """On 5.4 the device reads what was there before the store; its lines say so."""
    scenario = load_scenario("fork-with-a-pin")
    result = run_scenario(
        scenario, Settings.of(scenario, policy="P0", preset="intended", parameters={"kernel": kernel})
    )
    assert result.verdict is Verdict.HOLDS, result.violations


def test_the_child_of_a_process_that_registered_half_a_page(play: Play) -> None:
    """What ibv_fork_init marks is whole pages: the child may not touch the other half either [rdma-core pull 1222]."""
    parent = """
mem = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
store(mem, "mine")
mr = ibv_reg_mr(pd, mem + 2048, 2048, IBV_ACCESS_LOCAL_WRITE)   # -> ok
"""
    marked = "madvise(mem, PAGE, MADV_DONTFORK)\n"
    undone = "ibv_dereg_mr(mr)\nmadvise(mem, PAGE, MADV_DOFORK)\n"
    for lines, seen in ((marked, "EFAULT"), (marked + undone, "0"), ("", "0")):
        play(
            "P0",
            details={"child": CHILD},
            a=CONTEXT + parent + lines + 'fork("child")\n',
            child=f'store(mem, "x")   # -> {seen}\n',
            seeds=range(2),
        )


@pytest.mark.parametrize(
    "way",
    [
        "fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, {0} * PAGE, PAGE)",
        "madvise(ram + {0} * PAGE, PAGE, MADV_REMOVE)",
    ],
)
@pytest.mark.parametrize(
    ("policy", "pin", "other", "own"),
    [
        ("P0", "EOPNOTSUPP", "0", "0"),
        ("P1:intended", "ok", "0", "hangs"),
        ("P1:as_posted", "ok", "hangs", "hangs"),
        ("P5", "ok", "0", "ETXTBSY"),
    ],
)
def test_a_balloon_gives_guest_memory_back(play: Play, way: str, policy: str, pin: str, other: str, own: str) -> None:
    """A page of a file that a device has pinned is not taken away by a hole, whoever makes it [firecracker 6168]."""
    second = f"{way.format(1)}   # -> {own}\n" if other == "0" else ""
    play(
        policy,
        violates={"O3"} if "hangs" in (other, own) else (),
        seeds=range(2),
        details={"vmm": "on_signal.SIGIO = '''\nfcntl(fd, F_SETLEASE, F_UNLCK)\n'''"},
        vmm=CONTEXT
        + f"""
sigaction(SIGIO, SIG_HANDLER, SA_RESTART)
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_LAYOUT)
ram = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
store(ram, "dirty")
store(ram + 2 * PAGE, "dirty")
mr = ibv_reg_mr(pd, ram, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE)   # -> {pin}
label("assigned")
wait_for("done")
""",
        balloon=f"""
wait_for("assigned")
fd = open("/f", O_RDWR)
ram = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
{way.format(2)}   # -> {other}
{second}label("done")
""",
    )


def test_two_threads_that_store_to_one_page_of_a_private_mapping_get_one_copy(play: Play) -> None:
    """The page of the file that one of them has asked for does not take the place of the other's copy [1.8]."""
    play(
        "P0",
        head='[[pmem]]\nname = "pmem0"\n[[pmem]]\nname = "disk"\ndax = false\nmount = "/disk"\n'
        '[[file]]\npath = "/disk/f"\nsize = "PAGE"\n',
        details={"t": 'start = "thread"'},
        seeds=range(30),
        a='fd = open("/disk/f", O_RDWR)\nbuf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0)\nclone("t")\n'
        'store(buf, "one")\nwait_for("stored")\nload(buf, 6)                # -> b"onetwo"\n',
        t='store(buf + 3, "two")\nlabel("stored")\n',
    )
