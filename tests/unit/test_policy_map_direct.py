"""P4, MAP_DIRECT with layout leases, each defining sentence of semantics 4.4 as a small scenario."""

from collections.abc import Callable
from typing import Any

import pytest
from unit.programs import CONTEXT, LOOPBACK, leases, pinned
from unit.programs import REGISTER_REMOTE as REGISTER

from longpin.actors.fs.inode import Inode
from longpin.actors.policies.map_direct import DirectMappings

Play = Callable[..., Any]

DEVICE = CONTEXT + LOOPBACK + 'fd = open("/f", O_RDWR)\n'
MAP = "buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_DIRECT, fd, 0)   # -> ok\n"
HANDLED = "on_signal.SIGIO = 'getpid()'\non_signal.SIGBUS = 'getpid()'"


def test_only_map_direct_mappings_of_who_may_have_leases_can_be_pinned(play: Play) -> None:
    play(
        "P4",
        head='[[file]]\npath = "/f"\nsize = "4 * PAGE"\nuid = 7',
        details={"other": "uid = 9"},
        a=DEVICE
        + """
plain = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)   # -> ok
ibv_reg_mr(pd, plain, PAGE, IBV_ACCESS_LOCAL_WRITE)             # -> EOPNOTSUPP
"""
        + MAP
        + REGISTER,
        other="""
fd = open("/f", O_RDWR)
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_DIRECT, fd, 0)     # -> EACCES
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)           # -> ok
""",
    )


def test_a_lease_lives_as_long_as_its_mapping_and_a_registration_has_its_own(play: Play) -> None:
    """Closing the file is nothing; who unmaps and deregisters in time is waited for no longer."""
    run = play(
        "P4",
        details={
            "a": "on_signal.SIGIO = '''\nmunmap(buf, 4 * PAGE)\nsleep(3)\nibv_dereg_mr(mr)\n'''",
        },
        a=DEVICE
        + MAP
        + REGISTER
        + """
close(fd)                                                       # -> 0
label("pinned")
sleep(1000)                                                     # -> EINTR
""",
        b="""
wait_for("pinned")
truncate("/f", 0)                                               # -> blocks, 0
""",
    )
    assert run.returned("b") == 3.0
    assert (leases(run), pinned(run)) == ((), 0)


def test_when_the_time_is_over_the_mapping_is_invalid_and_the_registration_fenced(play: Play) -> None:
    """Its pages stay referenced until it is deregistered, and no access of the device reaches them: O1 holds."""
    run = play(
        "P4",
        details={"a": HANDLED},
        a=DEVICE
        + MAP
        + REGISTER
        + """
store(buf, "before")                                            # -> 0
label("pinned")
sleep(1000)                                                     # -> EINTR
wait_for("truncated")
load(buf, 1)                                                    # -> EFAULT
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "stray", mr, 0)            # -> 0
ibv_get_cq_event(cq)                                            # -> 0
ibv_poll_cq(cq)                                                 # -> 1
ibv_wc_status()                                                 # -> IBV_WC_REM_ACCESS_ERR
label("tried")
wait_for("looked")
ibv_dereg_mr(mr)                                                # -> 0
""",
        b="""
wait_for("pinned")
truncate("/f", 0)                                               # -> blocks, 0
label("truncated")
fd = open("/g", O_RDWR | O_CREAT)
write(fd, "balance")
wait_for("tried")
lseek(fd, 0)
read(fd, 7)                                                     # -> b'balance'
label("looked")
""",
    )
    assert run.returned("b") == 45.0
    assert run.taken("a") == ["SIGIO: its handler runs", "SIGBUS: its handler runs"]
    assert pinned(run) == 0


def test_a_fenced_region_keeps_its_pages(play: Play) -> None:
    run = play(
        "P4",
        violates=["O3"],
        details={"a": HANDLED},
        a=DEVICE
        + MAP
        + REGISTER
        + """
label("pinned")
sleep(1000)                                                     # -> EINTR
wait_for("truncated")
flock(fd, LOCK_EX)                                              # -> hangs
""",
        b="""
locked = open("/f", O_RDONLY)
flock(locked, LOCK_EX)
wait_for("pinned")
truncate("/f", 0)                                               # -> blocks, 0
label("truncated")
pause()                                                         # -> hangs
""",
    )
    assert (leases(run), pinned(run)) == ((), 1)


def test_a_forked_copy_shares_lease_and_invalidity(play: Play) -> None:
    run = play(
        "P4",
        details={"a": HANDLED, "child": 'start = "fork"'},
        a=DEVICE
        + MAP
        + """
store(buf, "x")                                                 # -> 0
fork("child")
munmap(buf, 4 * PAGE)                                           # -> 0 (the child's copy keeps the lease)
label("unmapped")
sleep(1000)
""",
        child="""
load(buf, 1)                                                    # -> b'x'
wait_for("truncated")
load(buf, 1)                                                    # -> EFAULT
munmap(buf, 4 * PAGE)
""",
        b="""
wait_for("unmapped")
truncate("/f", 2 * PAGE)                                        # -> blocks, 0
label("truncated")
""",
    )
    assert run.returned("b") == 45.0


def test_a_split_mapping_keeps_its_lease_until_every_piece_is_gone(play: Play) -> None:
    run = play(
        "P4",
        details={"a": "on_signal.SIGIO = 'getpid()'"},
        a=DEVICE
        + MAP
        + """
munmap(buf + PAGE, PAGE)                                        # -> 0
munmap(buf, PAGE)                                               # -> 0
label("split")
sleep(1000)                                                     # -> EINTR
sleep(5)
munmap(buf + 2 * PAGE, 2 * PAGE)                                # -> 0
""",
        b="""
wait_for("split")
truncate("/f", 0)                                               # -> blocks, 0
""",
    )
    assert run.returned("b") == 5.0
    inode = run.engine.actors["inode:/f"]
    assert isinstance(inode, Inode)
    assert inode.view().state == DirectMappings()


def test_no_pin_while_the_lease_of_the_mapping_is_being_broken(play: Play) -> None:
    play(
        "P4",
        details={"a": HANDLED},
        a=DEVICE
        + MAP
        + """
label("mapped")
sleep(1000)                                                     # -> EINTR
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> ENXIO
""",
        b="""
wait_for("mapped")
truncate("/f", 0)                                               # -> blocks, 0
""",
    )


def test_a_holder_waits_for_its_own_lease(play: Play) -> None:
    """write(2) breaks every lease, though it would change nothing."""
    run = play(
        "P4",
        details={"a": HANDLED},
        a=DEVICE
        + MAP
        + """
sigprocmask(SIG_BLOCK, SIGIO)
write(fd, "x")                                                  # -> blocks, 1
load(buf, 1)                                                    # -> EFAULT
""",
    )
    assert run.returned("a") == 45.0


def test_a_fault_that_would_allocate_breaks_the_leases_and_is_sigbus(play: Play) -> None:
    """Nobody waits: the fault fails at once, and the holder hears of the break of its own lease [MD9]."""
    run = play(
        "P4",
        head='[[file]]\npath = "/f"',
        details={"a": HANDLED},
        a="fd = open('/f', O_RDWR)\nftruncate(fd, 4 * PAGE)\nwrite(fd, 'x')\n"
        + MAP
        + """
store(buf, "y")                                                 # -> 0 (it has a block)
store(buf + PAGE, "y")                                          # -> EFAULT
munmap(buf, 4 * PAGE)
""",
    )
    assert sorted(run.taken("a")) == ["SIGBUS: its handler runs", "SIGIO: its handler runs"]
    assert leases(run) == ()


def test_whoever_shares_the_device_is_fenced_too_and_a_dead_setter_leaves_the_registrations_lease(play: Play) -> None:
    run = play(
        "P4",
        details={"child": 'start = "fork"'},
        a=DEVICE
        + MAP
        + REGISTER
        + """
fork("child")
label("pinned")
pause()                                                         # -> hangs
""",
        child="""
close(fd)
munmap(buf, 4 * PAGE)
wait_for("truncated")
ibv_post_send(qp, IBV_WR_RDMA_WRITE, "stray", mr, 0)            # -> 0
ibv_get_cq_event(cq)
ibv_poll_cq(cq)
ibv_wc_status()                                                 # -> IBV_WC_REM_ACCESS_ERR
""",
        b="""
wait_for("pinned")
kill("a", SIGKILL)
sleep(1)
truncate("/f", 0)                                               # -> blocks, 0
label("truncated")
""",
    )
    assert run.returned("b") == 46.0
    assert (leases(run), pinned(run)) == ((), 0)


def test_ordinary_leases_expire_as_ever(play: Play) -> None:
    run = play(
        "P4",
        details={"a": HANDLED},
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)                                  # -> 0
fcntl(fd, F_SETLEASE, 16)                                       # -> EINVAL (no F_LAYOUT here)
label("leased")
sleep(1000)
sleep(100)
""",
        b="""
wait_for("leased")
open("/f", O_RDWR)                                              # -> blocks, ok
""",
    )
    assert run.returned("b") == 45.0


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
