"""P4, MAP_DIRECT with layout leases, each defining sentence of semantics 4.4 as a small scenario."""

from collections.abc import Callable
from typing import Any

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


# Whose a lease is, and who is told.


def test_the_right_is_that_of_a_lease_and_no_capability_of_its_own(play: Play) -> None:
    """The owner without any capability, or CAP_LEASE alone; a mapping for reading too, which v6 refuses."""
    lines = """
fd = open("/f", O_RDWR)
mmap(PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_DIRECT, fd, 0)  # -> ok
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_DIRECT, fd, 0)     # -> ok
"""
    play(
        "P4",
        seeds=(0,),
        head='[[file]]\npath = "/f"\nsize = "4 * PAGE"\nuid = 7\nmode = 0o666',
        details={
            "owner": "uid = 7\ncapabilities = []",
            "able": "uid = 9\ncapabilities = ['CAP_LEASE']",
            "other": "uid = 9\ncapabilities = ['CAP_LINUX_IMMUTABLE']",
        },
        owner=lines,
        able=lines,
        other=lines.replace("-> ok", "-> EACCES"),
    )


def test_the_owner_of_the_description_is_told_who_mapped_if_it_has_none(play: Play) -> None:
    """F_SETOWN before it stays; the signal says by which descriptor the file was mapped; the last unmap ends it."""
    redirected = 'pid = wait_for("pid")\nfcntl(fd, F_SETOWN, pid)\n'
    for before, hears, until in (("", "a", 0.0), (redirected, "friend", 45.0)):
        run = play(
            "P4",
            seeds=range(2),
            details={"a": "on_signal.SIGUSR1 = 'close(si_fd)  # -> 0'", "friend": "on_signal.SIGUSR1 = 'getpid()'"},
            friend='pid = getpid()\nlabel("pid", pid)\nsleep(1000)\n',
            a='fd = open("/f", O_RDWR)\n'
            + before
            + "fcntl(fd, F_SETSIG, SIGUSR1)\n"
            + MAP
            + 'label("mapped")\nsleep(100)\nmunmap(buf, 4 * PAGE)\n',
            b='wait_for("mapped")\ntruncate("/f", 0)                            # -> blocks, 0\n',
        )
        assert {name: len(run.taken(name)) for name in ("a", "friend")} == {"a": 0, "friend": 0} | {hears: 1}
        assert run.returned("b") == until


def test_the_last_unmap_is_an_f_unlck(play: Play) -> None:
    """The owner for signals goes with the lease; before that F_SETLEASE finds none of its description."""
    run = play(
        "P4",
        seeds=(0,),
        a='fd = open("/f", O_RDWR)\nfcntl(fd, F_GETOWN)                      # -> 0\n'
        + MAP
        + """
fcntl(fd, F_GETOWN)                                             # -> 100 (its own number)
munmap(buf + PAGE, PAGE)
munmap(buf, PAGE)
fcntl(fd, F_GETOWN)                                             # -> 100
munmap(buf + 2 * PAGE, 2 * PAGE)
fcntl(fd, F_GETOWN)                                             # -> 0
""",
    )
    assert leases(run) == ()


def test_a_second_breaker_signals_nobody_and_puts_off_nothing(play: Play) -> None:
    """The hook works once a break: SIGIO once, and the time of the first break is the second one's too."""
    run = play(
        "P4",
        seeds=range(3),
        details={"a": HANDLED},
        a=DEVICE + MAP + REGISTER + 'label("mapped")\nsleep(1000)\nsleep(1000)\n',
        b='wait_for("mapped")\ntruncate("/f", 0)                            # -> blocks, 0\n',
        c='wait_for("mapped")\nsleep(10)\nf = open("/f", O_RDWR)\nwrite(f, "x")              # -> blocks, 1\n',
    )
    assert run.taken("a") == ["SIGIO: its handler runs"]
    assert (run.returned("b"), run.returned("c")) == (45.0, 45.0)


def test_who_only_shares_the_device_hears_nothing(play: Play) -> None:
    """Its accesses fail from the deadline on: that is all that it, and the mapper, learn of the registration's end."""
    run = play(
        "P4",
        seeds=range(3),
        details={"a": HANDLED, "other": HANDLED},
        a=DEVICE + MAP + REGISTER + 'send_fd("other", ctx)\nlabel("pinned")\nsleep(1000)\nsleep(1000)\n',
        other="ctx = recv_fd()\nsleep(100)                                      # -> 0\n",
        b='wait_for("pinned")\ntruncate("/f", 0)                            # -> blocks, 0\n',
    )
    assert (run.taken("a"), run.taken("other")) == (["SIGIO: its handler runs"], [])


# Regions of several mappings.


def test_every_mapping_of_a_region_is_asked(play: Play) -> None:
    """One that is ordinary among them is EOPNOTSUPP; of two files, each has a lease for the registration."""
    run = play(
        "P4",
        seeds=(0, 1),
        head='[[file]]\npath = "/f"\nsize = "4 * PAGE"\n[[file]]\npath = "/g"\nsize = "4 * PAGE"',
        details={"a": HANDLED},
        a=DEVICE
        + """
g = open("/g", O_RDWR)
buf = mmap(3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_DIRECT | MAP_FIXED, fd, 0, buf)
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_DIRECT | MAP_FIXED, g, 0, buf + PAGE)
mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, g, PAGE, buf + 2 * PAGE)
ibv_reg_mr(pd, buf, 3 * PAGE, IBV_ACCESS_LOCAL_WRITE)           # -> EOPNOTSUPP
mr = ibv_reg_mr(pd, buf, 2 * PAGE, IBV_ACCESS_LOCAL_WRITE)      # -> ok
munmap(buf, 3 * PAGE)
label("pinned")
sleep(60)
""",
        b="""
wait_for("pinned")
truncate("/g", 0)                                               # -> blocks, 0
""",
        c='wait_for("pinned")\nsleep(50)\ntruncate("/f", 0)          # -> blocks, 0\n',
    )
    assert (run.returned("b"), run.returned("c")) == (45.0, 60.0)
    assert (leases(run), pinned(run)) == ((), 0)
