"""What the versions of MAP_DIRECT differ in, and which files and devices it is for [semantics 4.4]."""

from collections.abc import Callable
from typing import Any

import pytest
from unit.programs import CONTEXT, LOOPBACK, leases
from unit.programs import REGISTER_REMOTE as REGISTER

Play = Callable[..., Any]

DEVICE = CONTEXT + LOOPBACK + 'fd = open("/f", O_RDWR)\n'
MAP = "buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_DIRECT, fd, 0)   # -> ok\n"
HANDLED = "on_signal.SIGIO = 'getpid()'\non_signal.SIGBUS = 'getpid()'"
HOLEY = '[[file]]\npath = "/f"'
VERSIONS = ("v7", "v8", "v9")


@pytest.mark.parametrize("flags", ["MAP_SHARED", "MAP_PRIVATE"])
def test_only_map_shared_validate_knows_the_flag(play: Play, flags: str) -> None:
    """With the other two it is ignored, as every flag nobody knows, and the mapping is an ordinary one [mmap(2)]."""
    run = play(
        "P4",
        a=f"""
fd = open("/f", O_RDWR)
mmap(PAGE, PROT_READ | PROT_WRITE, {flags} | MAP_DIRECT, fd, 0)                         # -> ok
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_DIRECT | 0x400000, fd, 0)  # -> EOPNOTSUPP (unknown)
""",
    )
    assert leases(run) == ()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "head",
    [
        '[[pmem]]\nname = "p"\nfile_system = "ext4"\n[[file]]\npath = "/f"\nsize = "4 * PAGE"',
        '[[pmem]]\nname = "p"\n[[tmpfs]]\nmount = "/dev/shm"\n[[file]]\npath = "/dev/shm/f"\nsize = "4 * PAGE"',
    ],
    ids=["ext4", "tmpfs"],
)
def test_a_file_system_without_it_says_so(play: Play, head: str, version: str) -> None:
    path = "/dev/shm/f" if "tmpfs" in head else "/f"
    play(
        f"P4:intended,version={version}",
        seeds=(0,),
        head=head,
        a=f"""
fd = open("{path}", O_RDWR)
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_DIRECT, fd, 0)             # -> EOPNOTSUPP
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_DIRECT, fd, 0)                      # -> ok (ignored)
""",
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_a_shared_file_is_refused_at_mmap_or_at_each_fault(play: Play, version: str) -> None:
    """v7 looks at each fault, v8 and v9 at mmap(2) [MD8: validate once]."""
    late = version == "v7"
    play(
        f"P4:intended,version={version}",
        seeds=(0, 1),
        details={"a": HANDLED},
        a=CONTEXT
        + f"""
fd = open("/f", O_RDWR)
to = open("/g", O_RDWR | O_CREAT)
ioctl(to, FICLONE, fd)                                          # -> 0
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_DIRECT, fd, 0)   # -> {"ok" if late else "EPERM"}
"""
        + ("load(buf, 1)                                                    # -> EFAULT\n" if late else "")
        + ("ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> EFAULT\n" if late else ""),
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_that_is_not_on_dax_too(play: Play, version: str) -> None:
    late = version == "v7"
    play(
        f"P4:intended,version={version}",
        seeds=(0, 1),
        head='[[pmem]]\nname = "p"\ndax = false\n[[file]]\npath = "/f"\nsize = "4 * PAGE"',
        details={"a": HANDLED},
        a=f"""
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_DIRECT, fd, 0)       # -> {"ok" if late else "EPERM"}
"""
        + ("load(buf, 1)                                                    # -> EFAULT\n" if late else ""),
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_an_allocating_fault_of_any_mapping_gets_no_block(play: Play, version: str) -> None:
    """v7 says SIGBUS and no more; from v8 on the break of all layout leases begins [MD8: iomap_can_allocate]."""
    run = play(
        f"P4:intended,version={version}",
        head=HOLEY,
        details={"a": HANDLED, "b": HANDLED},
        a="fd = open('/f', O_RDWR)\nftruncate(fd, 4 * PAGE)\n"
        + MAP
        + 'label("mapped")\nwait_for("stored")\nmunmap(buf, 4 * PAGE)\nlabel("unmapped")\n',
        b="""
wait_for("mapped")
fd = open("/f", O_RDWR)
plain = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)   # -> ok
store(plain, "x")                                               # -> EFAULT
label("stored")
wait_for("unmapped")
store(plain, "x")                                               # -> 0 (nobody minds)
""",
    )
    assert run.taken("a") == ([] if version == "v7" else ["SIGIO: its handler runs"])


def test_v9_as_posted_refuses_every_registration_of_fs_dax(play: Play) -> None:
    """RDMA is put off to a later series, so it is P0 for pins; device-dax can be pinned as ever [MD9]."""
    play(
        "P4:as_posted",
        seeds=(0, 1),
        head='[[dax]]\nname = "d"\nsize = "4 * PAGE"\nalign = "PAGE"\n' + '[[file]]\npath = "/f"\nsize = "4 * PAGE"',
        a=DEVICE
        + MAP
        + """
store(buf, "x")                                                 # -> 0
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> EOPNOTSUPP
dd = open("/dev/d", O_RDWR)
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_DIRECT, dd, 0)             # -> EOPNOTSUPP
raw = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, dd, 0)     # -> ok
ibv_reg_mr(pd, raw, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> ok
""",
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_a_device_that_nothing_can_stop_gets_no_registration(play: Play, version: str) -> None:
    """EOPNOTSUPP of FS-DAX only; on 5.4, which looks at mappings after it has pinned, too [MD7, MD8: ib_umem_get]."""
    for kernel in ("ideal", "5.4"):
        play(
            f"P4:intended,version={version},kernel={kernel}",
            seeds=(0,),
            head='[[device]]\nname = "rxe0"\niommu = false\n' + '[[file]]\npath = "/f"\nsize = "4 * PAGE"',
            a=DEVICE
            + MAP
            + """
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> EOPNOTSUPP
own = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
ibv_reg_mr(pd, own, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> ok
plain = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ibv_reg_mr(pd, plain, PAGE, IBV_ACCESS_LOCAL_WRITE)             # -> EOPNOTSUPP
""",
        )


@pytest.mark.parametrize("version", ["v7", "v8"])
def test_a_registration_has_the_break_time_too_since_v8(play: Play, version: str) -> None:
    """v7 has it fenced as soon as the break begins, while the mapping may still be used [MD8: quiesce RDMA]."""
    status = "IBV_WC_REM_ACCESS_ERR" if version == "v7" else "IBV_WC_SUCCESS"
    run = play(
        f"P4:intended,version={version}",
        details={"a": HANDLED},
        a=DEVICE
        + MAP
        + REGISTER
        + f"""
label("pinned")
sleep(1000)                                                     # -> EINTR
sleep(10)
store(buf, "in time")                                           # -> 0
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "DMA", mr, 0)              # -> 0
ibv_get_cq_event(cq)                                            # -> 0
ibv_poll_cq(cq)                                                 # -> 1
ibv_wc_status()                                                 # -> {status}
sleep(1000)
""",
        b="""
wait_for("pinned")
truncate("/f", 0)                                               # -> blocks, 0
""",
    )
    assert run.returned("b") == 45.0


@pytest.mark.parametrize("version", ["v7", "v8"])
def test_the_addresses_of_a_fenced_registration_are_anothers_in_v7(play: Play, version: str) -> None:
    """dma_unmap_sg gives them back, and a late access of the device goes to who has them now [MD8: IOVA reuse race]."""
    reused = version == "v7"
    status = "IBV_WC_SUCCESS" if reused else "IBV_WC_REM_ACCESS_ERR"
    play(
        f"P4:intended,version={version}",
        head='[[file]]\npath = "/f"\nsize = "4 * PAGE"\n[[file]]\npath = "/g"\nsize = "PAGE"',
        details={"a": HANDLED},
        a=DEVICE
        + MAP
        + REGISTER
        + f"""
label("pinned")
sleep(1000)                                                     # -> EINTR
wait_for("truncated")
g = open("/g", O_RDWR)
own = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_DIRECT, g, 0)
store(own, "balance")
other = ibv_reg_mr(pd, own, PAGE, IBV_ACCESS_LOCAL_WRITE)       # -> ok
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "late", mr, 0)             # -> 0 (by the old key)
ibv_get_cq_event(cq)
ibv_poll_cq(cq)
ibv_wc_status()                                                 # -> {status}
load(own, 7)                                                    # -> {"b'latence'" if reused else "b'balance'"}
ibv_dereg_mr(other)                                             # -> 0
ibv_modify_qp(qp, IBV_QPS_RESET)
ibv_modify_qp(qp, IBV_QPS_INIT)
ibv_modify_qp(qp, IBV_QPS_RTR, qp)
ibv_modify_qp(qp, IBV_QPS_RTS)
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "late", mr, 0)             # -> 0
ibv_get_cq_event(cq)
ibv_poll_cq(cq)
ibv_wc_status()                                                 # -> IBV_WC_REM_ACCESS_ERR (nothing is there any more)
ibv_dereg_mr(mr)                                                # -> 0
""",
        b="""
wait_for("pinned")
truncate("/f", 0)                                               # -> blocks, 0
label("truncated")
""",
    )


def test_a_break_cannot_be_cancelled(play: Play) -> None:
    """Neither by a lease that is taken, nor by F_UNLCK: the lease of a mapping is none of fcntl's [MD8]."""
    run = play(
        "P4",
        details={"a": HANDLED},
        a=DEVICE
        + MAP
        + """
sigprocmask(SIG_BLOCK, SIGIO)
fcntl(fd, F_GETLEASE)                                           # -> F_UNLCK
fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> EAGAIN
label("mapped")
sigwaitinfo()                                                   # -> SIGIO
fcntl(fd, F_SETLEASE, F_UNLCK)                                  # -> EAGAIN
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_DIRECT, fd, 0)   # -> EAGAIN (it is being broken)
sleep(100)
load(buf, 1)                                                    # -> EFAULT
""",
        b="""
wait_for("mapped")
truncate("/f", 0)                                               # -> blocks, 0
""",
    )
    assert run.returned("b") == 45.0


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("parameter", "store", "told"), [("true", "EFAULT", True), ("false", "0", False)])
def test_a_fault_that_makes_a_preallocated_page_written(
    play: Play, parameter: str, store: str, told: bool, version: str
) -> None:
    """To MAP_DIRECT that a page is unwritten is part of the block map; the parameter says that it is not [1.6]."""
    run = play(
        f"P4:intended,version={version},unwritten_is_layout={parameter}",
        seeds=(0,),
        head=HOLEY,
        details={"a": HANDLED},
        a="fd = open('/f', O_RDWR)\nfallocate(fd, 0, 0, 4 * PAGE)                # -> 0\n"
        + MAP
        + f"load(buf, 1)                                # -> b'\\x00'\nstore(buf, 'x')        # -> {store}\n"
        + "munmap(buf, 4 * PAGE)\n",
    )
    assert ("SIGIO: its handler runs" in run.taken("a")) == (told and version != "v7")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_break_time_of_0_is_no_time_at_all(play: Play, version: str) -> None:
    """The end of mapping and registration is work that it delays; an ordinary lease is kept for ever by it [MD7]."""
    run = play(
        f"P4:intended,version={version}",
        seeds=(0, 1),
        head='[machine]\nlease_break_time = 0\n[[file]]\npath = "/f"\nsize = "4 * PAGE"',
        details={"a": HANDLED},
        a=DEVICE
        + MAP
        + REGISTER
        + """
label("pinned")
sleep(1000)                                                     # -> EINTR
wait_for("truncated")
load(buf, 1)                                                    # -> EFAULT
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "stray", mr, 0)            # -> 0
ibv_get_cq_event(cq)
ibv_poll_cq(cq)
ibv_wc_status()                                                 # -> IBV_WC_REM_ACCESS_ERR
""",
        b='wait_for("pinned")\ntruncate("/f", 0)                            # -> 0\nlabel("truncated")\n',
    )
    assert run.returned("b") == 0.0
    assert run.taken("a") == ["SIGIO: its handler runs", "SIGBUS: its handler runs"]


def test_v7_lets_others_allocate_when_the_lease_is_gone_though_the_mapping_is_there(play: Play) -> None:
    """Its count goes down with the lease, at the deadline, and not with the mapping [MD7: map_direct_lm_change]."""
    play(
        "P4:intended,version=v7",
        seeds=(0,),
        head=HOLEY,
        details={"a": HANDLED, "b": HANDLED},
        a="fd = open('/f', O_RDWR)\nftruncate(fd, 4 * PAGE)\n" + MAP + 'label("mapped")\nsleep(1000)\nsleep(1000)\n',
        b="""
wait_for("mapped")
fd = open("/f", O_RDWR)
plain = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
store(plain, "x")                                               # -> EFAULT
ftruncate(fd, 2 * PAGE)                                         # -> blocks, 0
store(plain, "x")                                               # -> 0
""",
    )


def test_the_kernel_acts_at_the_deadline_though_nobody_waits(play: Play) -> None:
    """Who began the break, a fault, has long gone; a lease of fcntl would be there until somebody looks [MD7: work]."""
    run = play(
        "P4",
        seeds=(0, 1),
        head=HOLEY,
        details={"a": HANDLED},
        a=CONTEXT
        + LOOPBACK
        + "fd = open('/f', O_RDWR)\nftruncate(fd, 4 * PAGE)\nwrite(fd, 'x')\n"
        + MAP
        + REGISTER
        + """
store(buf + PAGE, "y")                                          # -> EFAULT (a hole: the break begins)
sleep(40)
load(buf, 1)                                                    # -> b'x'
sleep(10)
load(buf, 1)                                                    # -> EFAULT
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "stray", mr, 0)            # -> 0
ibv_get_cq_event(cq)
ibv_poll_cq(cq)
ibv_wc_status()                                                 # -> IBV_WC_REM_ACCESS_ERR
pause()                                                         # -> hangs
""",
    )
    assert leases(run) == ()


def test_what_the_file_system_cannot_do_is_said_before_who_may_not(play: Play) -> None:
    """EOPNOTSUPP, then EPERM, then EACCES, as posted: the file is looked at before the lease is taken [MD9]."""
    direct = "mmap(PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_DIRECT, {}, 0)   # -> {}\n"
    play(
        "P4",
        seeds=(0,),
        head='[[pmem]]\nname = "p"\n[[pmem]]\nname = "e"\nmount = "/e"\nfile_system = "ext4"\n'
        '[[file]]\npath = "/f"\nsize = "PAGE"\nmode = 0o666\n[[file]]\npath = "/e/f"\nsize = "PAGE"\nmode = 0o666',
        details={"stranger": "uid = 9\ncapabilities = []"},
        owner="fd = open('/f', O_RDWR)\ng = open('/g', O_RDWR | O_CREAT)\nlabel('open')\nwait_for('tried')\n"
        "ioctl(g, FICLONE, fd)                                           # -> 0\nlabel('cloned')\n",
        stranger="wait_for('open')\nfd = open('/f', O_RDWR)\ne = open('/e/f', O_RDWR)\n"
        + direct.format("e", "EOPNOTSUPP")
        + direct.format("fd", "EACCES")
        + "label('tried')\nwait_for('cloned')\n"
        + direct.format("fd", "EPERM"),
    )


@pytest.mark.parametrize("policy", ["P4:as_posted", "P4:intended,version=v7"])
def test_short_pins_are_waited_for_when_the_leases_are_gone(play: Play, policy: str) -> None:
    """They end by themselves; a long one is fenced by then, and holds up nothing though its pages are pinned [2.5]."""
    run = play(
        policy,
        seeds=(0, 1),
        details={"a": HANDLED},
        a='fd = open("/f", O_RDWR)\n'
        + MAP
        + "r = pipe()\nvmsplice(pipe_w, buf, 100)                                # -> 100\n"
        + "label('in the pipe')\nsleep(1000)\nsleep(60)\nread(r, 100)\n",
        b="wait_for('in the pipe')\ntruncate('/f', 0)                       # -> blocks, 0\n",
    )
    assert run.returned("b") == 60.0
