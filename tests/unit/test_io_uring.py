"""io_uring: who may register which memory, how long it is pinned, what it counts for, and what is moved through it."""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, TypeVar

import pytest

from longpin.actors.io_uring.accounting import ring_pages
from longpin.actors.io_uring.ring import Ring
from longpin.actors.mm.memory import FrameMemory
from longpin.actors.mm.mm import Mm
from longpin.actors.mm.pmem import Pmem
from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import Answer, Decision, Fail, Proceed, Revoke, Scan
from longpin.actors.policies.proposal import Proposal
from longpin.actors.policies.views import Change, LayoutView, RegistrationView
from longpin.actors.process.users import Users
from longpin.config.loader import parse_scenario
from longpin.messages.fs.mapping import PinRequest
from longpin.messages.process.caller import Caller
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.engines.world import Blueprint
from longpin.runner.exploration import explore
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

Play = Callable[..., Any]
T = TypeVar("T")

KERNELS = ("6.1", "6.12", "6.18", "7.2")
FILE = '[[file]]\npath = "/f"\nsize = "4 * PAGE"\n'
RW = "PROT_READ | PROT_WRITE"
ANONYMOUS = f"buf = mmap(16 * PAGE, {RW}, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)"


@pytest.fixture
def few(play: Play) -> Play:
    """Return ``play`` with three orders instead of ten: what is looked at here does not depend on the order."""
    return partial(play, seeds=range(2))


def head(kernel: str = "6.18", *, more: str = "", file_system: str = "xfs", dax: bool = True) -> str:
    return f"""
[machine]
kernel = "{kernel}"
{more}
[[pmem]]
name = "pmem0"
file_system = "{file_system}"
dax = {str(dax).lower()}
[[file]]
path = "/f"
size = "16 * PAGE"
"""


def of_kind(played: Any, kind: type[T]) -> list[T]:
    return [actor for actor in played.engine.actors.values() if isinstance(actor, kind)]


def pinned(played: Any) -> int:
    """Return how many pages are pinned, whatever they are of."""
    return sum(len(actor.pins) for actor in played.engine.actors.values() if isinstance(actor, FrameMemory))


def locked(played: Any) -> dict[int, int]:
    (users,) = of_kind(played, Users)
    return users.locked_vm


# Which memory: the answers of real kernels, in the order of KERNELS [meas].

OF_FILE = {
    "shared": f"buf = mmap(16 * PAGE, {RW}, MAP_SHARED, fd, 0)",
    "read only": "buf = mmap(16 * PAGE, PROT_READ, MAP_SHARED, fd, 0)",
    "private": f"buf = mmap(16 * PAGE, {RW}, MAP_PRIVATE, fd, 0)",
    "first written": f"buf = mmap(16 * PAGE, {RW}, MAP_PRIVATE, fd, 0)\nstore(buf, b'x')",
    "last written": f"buf = mmap(16 * PAGE, {RW}, MAP_PRIVATE, fd, 0)\nstore(buf + 15 * PAGE, b'x')",
    "all written": f"buf = mmap(16 * PAGE, {RW}, MAP_PRIVATE, fd, 0)\n"
    + "\n".join(f"store(buf + {page} * PAGE, b'x')" for page in range(16)),
    "beyond": f"buf = mmap(16 * PAGE, {RW}, MAP_SHARED, fd, 0)\nftruncate(fd, 8 * PAGE)",
}
NO, FAULT = "EOPNOTSUPP", "EFAULT"
ANSWERS = {
    ("dax", "shared"): (NO, NO, NO, NO),
    ("dax", "read only"): (NO, NO, NO, NO),
    ("dax", "private"): (NO, NO, NO, NO),
    ("dax", "first written"): (NO, FAULT, FAULT, FAULT),
    ("dax", "last written"): (NO, NO, NO, NO),
    ("dax", "all written"): (NO, "0", "0", "0"),
    ("dax", "beyond"): (NO, NO, NO, NO),
    ("page cache", "shared"): (NO, FAULT, FAULT, FAULT),
    ("page cache", "read only"): (FAULT, FAULT, FAULT, FAULT),
    ("page cache", "private"): (NO, "0", "0", "0"),
    ("page cache", "first written"): (NO, "0", "0", "0"),
    ("page cache", "all written"): (NO, "0", "0", "0"),
    ("page cache", "beyond"): (FAULT, FAULT, FAULT, FAULT),
    ("tmpfs", "shared"): ("0", "0", "0", "0"),
    ("tmpfs", "read only"): (FAULT, FAULT, FAULT, FAULT),
    ("tmpfs", "private"): ("0", "0", "0", "0"),
    ("tmpfs", "all written"): ("0", "0", "0", "0"),
    ("tmpfs", "beyond"): (FAULT, FAULT, FAULT, FAULT),
}


@pytest.mark.parametrize(("memory", "mapping"), ANSWERS)
def test_which_pages_of_files_can_be_registered(few: Play, memory: str, mapping: str) -> None:
    opened = 'fd = open("/f", O_RDWR)'
    if memory == "tmpfs":
        opened = 'fd = memfd_create("f", 0)\nftruncate(fd, 16 * PAGE)'
    for kernel, answer in zip(KERNELS, ANSWERS[memory, mapping], strict=True):
        few(
            "P0",
            head=head(kernel, dax=memory == "dax"),
            a=f"""
{opened}
{OF_FILE[mapping]}
ring = io_uring_setup(8)
io_uring_register_buffers(ring, buf, 16 * PAGE)      # -> {answer}
""",
        )


@pytest.mark.parametrize(
    ("mapping", "answers"),
    [
        (ANONYMOUS, ("0", "0", "0", "0")),
        (f"buf = mmap(16 * PAGE, {RW}, MAP_SHARED | MAP_ANONYMOUS, -1, 0)", ("0", "0", "0", "0")),
        (f"buf = mmap(PAGE, {RW}, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0)", ("0", "0", "0", "0")),
        (f'fd = open("/dev/dax0.0", O_RDWR)\nbuf = mmap(512 * PAGE, {RW}, MAP_SHARED, fd, 0)', (NO, "0", "0", "0")),
        (f"{ANONYMOUS}\nmprotect(buf, 16 * PAGE, PROT_READ)", (FAULT, FAULT, FAULT, FAULT)),
        (f"{ANONYMOUS}\nmunmap(buf + 15 * PAGE, PAGE)", (FAULT, FAULT, FAULT, FAULT)),
        # Two mappings that go on where the other ends: one file all of it, up to 6.4.
        (
            f"{ANONYMOUS}\nmmap(PAGE, {RW}, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0, buf + PAGE)",
            ("EINVAL", "0", "0", "0"),
        ),
        # A page on DAX behind others: the rest is not pinned, and it is not told why.
        (
            f'{ANONYMOUS}\nfd = open("/f", O_RDWR)\nmmap(PAGE, {RW}, MAP_SHARED | MAP_FIXED, fd, 0, buf + PAGE)',
            (FAULT, FAULT, FAULT, FAULT),
        ),
    ],
)
def test_which_other_pages_can_be_registered(few: Play, mapping: str, answers: tuple[str, ...]) -> None:
    devices = 'huge_pages = 2\n[[dax]]\nname = "dax0.0"\nsize = "1024 * PAGE"'
    for kernel, answer in zip(KERNELS, answers, strict=True):
        few(
            "P0",
            head=head(kernel, more=devices),
            a=f"""
{mapping}
ring = io_uring_setup(8)
io_uring_register_buffers(ring, buf, 16 * PAGE)      # -> {answer}
""",
        )


def test_arguments(few: Play) -> None:
    """[liburing: test_iovec_size; io_validate_user_buf_range]."""
    few(
        "P0",
        a=f"""
{ANONYMOUS}
io_uring_setup(0)                                                    # -> EINVAL
io_uring_setup(32769)                                                # -> EINVAL
ring = io_uring_setup(32768)
fd = open("/f", O_RDWR)
io_uring_register_buffers(9, buf, PAGE)                              # -> EBADF
io_uring_register_buffers(fd, buf, PAGE)                             # -> EOPNOTSUPP
io_uring_register_buffers(ring, 0, PAGE)                             # -> EFAULT
io_uring_register_buffers(ring, buf, 0)                              # -> EFAULT
io_uring_register_buffers(ring, buf, 0x40000001)                     # -> EFAULT
io_uring_register_buffers(ring, -PAGE, PAGE)                         # -> EOVERFLOW
io_uring_register_buffers_sparse(ring, 0)                            # -> EINVAL
io_uring_register_buffers_sparse(ring, 16385)                        # -> EINVAL
io_uring_unregister_buffers(ring)                                    # -> ENXIO
io_uring_register_buffers_update(ring, 0, buf, PAGE)                 # -> ENXIO
io_uring_register_buffers(ring, 0, 0)                                # -> 0
io_uring_register_buffers(ring, buf, PAGE)                           # -> EBUSY
io_uring_register_buffers_sparse(ring, 1)                            # -> EBUSY
io_uring_read_fixed(ring, fd, 0, 0, 0, 0)                            # -> EFAULT
io_uring_register_buffers_update(ring, 0, buf, PAGE)                 # -> 1
io_uring_register_buffers_update(ring, 1, buf, PAGE)                 # -> EINVAL
io_uring_unregister_buffers(ring)                                    # -> 0
read(ring, 1)                                                        # -> EINVAL
open("/proc/self/fd/3", O_RDWR)                                      # -> ENXIO
""",
    )


# What is moved.


def test_fixed_reads_and_writes_reach_the_pages_that_were_pinned(few: Play) -> None:
    few(
        "P0",
        a=f"""
{ANONYMOUS}
ring = io_uring_setup(1)
io_uring_register_buffers(ring, buf + 100, 2 * PAGE)                 # -> 0
fd = open("/f", O_RDWR)
store(buf + PAGE - 2, b"abcd")
io_uring_write_fixed(ring, fd, buf + PAGE - 2, 4, 10, 0)             # -> 4
pread(fd, 4, 10)                                                     # -> b"abcd"
io_uring_read_fixed(ring, fd, buf + 100, 4, 10, 0)                   # -> 4
load(buf + 100, 4)                                                   # -> b"abcd"
io_uring_read_fixed(ring, fd, buf + 99, 4, 10, 0)                    # -> EFAULT
io_uring_read_fixed(ring, fd, buf + 100, 2 * PAGE + 1, 0, 0)         # -> EFAULT
io_uring_read_fixed(ring, fd, buf + 100, 4, 10, 1)                   # -> EFAULT
io_uring_read_fixed(ring, fd, buf + 100, 4, -2, 0)                   # -> EINVAL
io_uring_read_fixed(ring, 99, buf + 100, 4, 0, 0)                    # -> EBADF
io_uring_read_fixed(ring, fd, buf + 100, 4, 16 * PAGE, 0)            # -> 0
lseek(fd, 12)
io_uring_read_fixed(ring, fd, buf + 200, 2, -1, 0)                   # -> 2
load(buf + 200, 2)                                                   # -> b"cd"
read(fd, 1)                                                          # -> b"\\0"
munmap(buf, 16 * PAGE)
io_uring_write_fixed(ring, fd, buf + 200, 2, 0, 0)                   # -> 2
pread(fd, 2, 0)                                                      # -> b"cd"
only = open("/f", O_RDONLY)
io_uring_write_fixed(ring, only, buf + 200, 2, 0, 0)                 # -> EBADF
""",
    )


def test_through_a_pipe(few: Play) -> None:
    """[liburing: test_shmem]."""
    few(
        "P0",
        a=f"""
{ANONYMOUS}
ring = io_uring_setup(8)
io_uring_register_buffers(ring, buf, PAGE)                           # -> 0
store(buf, b"eeee")
r = pipe()
io_uring_write_fixed(ring, pipe_w, buf, 4, 0, 0)                     # -> 4
store(buf, b"0000")
io_uring_read_fixed(ring, r, buf, 4, 0, 0)                           # -> 4
load(buf, 4)                                                         # -> b"eeee"
""",
    )


@pytest.mark.parametrize(("kernel", "left"), [("6.12", 0), ("6.18", 0)])
def test_a_request_keeps_its_buffer(few: Play, kernel: str, left: int) -> None:
    """Who unregisters waits for it up to 6.12; then it lets go of the pages itself."""
    waits = kernel == "6.12"
    played = few(
        "P0",
        head=head(kernel),
        a=f"""
{ANONYMOUS}
ring = io_uring_setup(8)
io_uring_register_buffers(ring, buf, PAGE)
r = pipe()
pid = fork("b")
label("there")
io_uring_read_fixed(ring, r, buf, 4, 0, 0)                           # -> 4
load(buf, 4)                                                         # -> b"late"
pause()
""",
        details={"b": 'start = "fork"'},
        b=f"""
wait_for("there")
sleep(1)
{"" if waits else "io_uring_unregister_buffers(ring)   # -> 0"}
write(pipe_w, b"late")
{"io_uring_unregister_buffers(ring)   # -> 0" if waits else "io_uring_unregister_buffers(ring)   # -> ENXIO"}
pause()
""",
    )
    assert [pinned(one) for one in played.schedules] == [left] * len(played.schedules)


def test_who_waits_for_requests_can_be_interrupted(few: Play) -> None:
    """The table stays as it was, and has no places for others meanwhile."""
    fork = 'start = "fork"'
    few(
        "P0",
        head=head("6.12"),
        a=f"""
{ANONYMOUS}
ring = io_uring_setup(8)
io_uring_register_buffers(ring, buf, PAGE)
r = pipe()
fork("b")
fork("c")
label("there")
io_uring_read_fixed(ring, r, buf, 4, 0, 0)                           # -> 4
io_uring_write_fixed(ring, pipe_w, buf, 4, 0, 0)                     # -> 4
""",
        b="""
wait_for("there")
sleep(1)
io_uring_unregister_buffers(ring)                                    # -> EINTR
""",
        c="""
wait_for("there")
sleep(2)
io_uring_write_fixed(ring, pipe_w, buf, 4, 0, 0)                     # -> EFAULT
io_uring_unregister_buffers(ring)                                    # -> ENXIO
io_uring_register_buffers(ring, buf, PAGE)                           # -> EBUSY
io_uring_register_buffers_update(ring, 0, buf, PAGE)                 # -> EINVAL
kill("b", SIGUSR1)
sleep(1)
write(pipe_w, b"late")
""",
        details={"b": f'{fork}\n[process.on_signal]\nSIGUSR1 = "getpid()"', "c": fork},
    )


# How long.


@pytest.mark.parametrize(
    ("ends", "left"),
    [
        ("", 16),
        ("munmap(buf, 16 * PAGE)", 16),
        ("io_uring_unregister_buffers(ring)", 0),
        ("close(ring)", 0),
        ("more = dup(ring)\nclose(ring)", 16),
        ("more = dup(ring)\nclose(ring)\nclose(more)", 0),
        ("io_uring_register_buffers_update(ring, 0, buf, PAGE)", 1),
        ("io_uring_register_buffers_update(ring, 0, 0, 0)", 0),
        ("io_uring_register_buffers_update(ring, 0, 8, PAGE)", 16),
        ('exec("b")', 0),
        ('fcntl(ring, F_SETFD, 0)\nexec("b")', 16),
        ('fork("b")\nclose(ring)', 16),
    ],
)
def test_how_long_a_buffer_is_pinned(few: Play, ends: str, left: int) -> None:
    """Until it is unregistered or nobody has the ring open any more, which execve(2) closes."""
    played = few(
        "P0",
        a=f"{ANONYMOUS}\nring = io_uring_setup(8)\nio_uring_register_buffers(ring, buf, 16 * PAGE)\n{ends}\npause()",
        **({"b": "pause()", "details": {"b": 'start = "fork"'}} if '"b"' in ends else {}),
    )
    assert [pinned(one) for one in played.schedules] == [left] * len(played.schedules)


def test_a_ring_is_taken_down_after_the_last_close_has_returned() -> None:
    """So a change that follows the close may still fail because of them [io_ring_exit_work]."""
    text = f"""
name = "late"
{FILE}
[[process]]
name = "a"
program = '''
fd = open("/f", O_RDWR)
buf = mmap(PAGE, {RW}, MAP_SHARED, fd, 0)
ring = io_uring_setup(1)
io_uring_register_buffers(ring, buf, PAGE)
close(ring)
ftruncate(fd, 0)                                # -> 0
'''
"""
    assert broken(text, "P2") == {"O7"}
    assert broken(text.replace("close(ring)", "io_uring_unregister_buffers(ring)"), "P2") == set()


def broken(text: str, policy: str) -> set[str]:
    """Return the rules that some schedule of a scenario violates; all are explored, if none does."""
    scenario = parse_scenario(text, "test.toml")
    subject = Subject(scenario, Settings.of(scenario, policy=policy))
    explored = explore(subject.build, always=subject.always, check=subject.check)
    assert explored.complete or explored.failures
    return {failure.broken.rule for failure in explored.failures}


def test_a_child_registers_its_own_memory_with_the_ring_it_has(few: Play) -> None:
    played = few(
        "P0",
        details={"a": "uid = 1000", "b": 'start = "fork"\nuid = 1000'},
        a="""
ring = io_uring_setup(8)
fork("b")
pause()
""",
        b=f"""
{ANONYMOUS}
store(buf, b"mine")
io_uring_register_buffers(ring, buf, PAGE)                           # -> 0
fd = open("/f", O_RDWR)
io_uring_write_fixed(ring, fd, buf, 4, 0, 0)                         # -> 4
pread(fd, 4, 0)                                                      # -> b"mine"
exit(0)
""",
    )
    for one in played.schedules:
        assert pinned(one) == 1
        assert {mm.address: mm.pinned_vm for mm in of_kind(one, Mm)}["mm:100.1"] == 1


# What counts.

LIMITED = {"a": "uid = 1000", "b": "uid = 1000", "c": "uid = 1001"}


@pytest.mark.parametrize(("entries", "pages"), [(1, 2), (8, 2), (64, 2), (128, 4), (4096, 101), (4097, 201)])
def test_pages_of_a_ring(entries: int, pages: int) -> None:
    """As the kernel of this machine counts them [meas 6.18]."""
    assert ring_pages(entries, 4096) == pages


@pytest.mark.parametrize(
    ("kernel", "rings"),
    [("6.1", 0), ("6.12", 0), ("6.18", 2), ("7.2", 0)],
)
def test_pages_count_for_a_user(few: Play, kernel: str, rings: int) -> None:
    """32K, 16K, 16K and 16K of 64K, a ring each [meas]."""
    third, fourth = ("0", "ENOMEM") if not rings else ("EBADF", "EBADF")
    setup = "ok" if not rings else "ENOMEM"
    played = few(
        "P0",
        head=head(kernel),
        details=LIMITED,
        a=f"""
{ANONYMOUS}
one = io_uring_setup(4)
io_uring_register_buffers(one, buf, 8 * PAGE)                        # -> 0
two = io_uring_setup(4)
io_uring_register_buffers(two, buf, 4 * PAGE)                        # -> 0
three = io_uring_setup(4)                                            # -> {setup}
io_uring_register_buffers(three, buf, 4 * PAGE)                      # -> {third}
four = io_uring_setup(4)                                             # -> {setup}
io_uring_register_buffers(four, buf, 4 * PAGE)                       # -> {fourth}
pause()
""",
    )
    for one in played.schedules:
        assert locked(one) == {1000: 16}
        assert [mm.pinned_vm for mm in of_kind(one, Mm)] == [12 if rings else 16]


@pytest.mark.parametrize(("kernel", "shown"), [("6.1", 256), ("6.12", 256), ("6.18", 256), ("7.2", 0)])
def test_nobody_counts_for_root(few: Play, kernel: str, shown: int) -> None:
    """CAP_IPC_LOCK passes, and 7.2 does not even show the pages [meas]."""
    played = few(
        "P0",
        head=head(kernel),
        a=f"""
buf = mmap(256 * PAGE, {RW}, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
ring = io_uring_setup(4)
io_uring_register_buffers(ring, buf, 256 * PAGE)                     # -> 0
pause()
""",
    )
    for one in played.schedules:
        assert locked(one) == {}
        assert [mm.pinned_vm for mm in of_kind(one, Mm)] == [shown]


def test_processes_of_a_user_share_what_may_be_locked(few: Play) -> None:
    few(
        "P0",
        details=LIMITED,
        a=f"""
{ANONYMOUS}
ring = io_uring_setup(4)
io_uring_register_buffers(ring, buf, 10 * PAGE)                      # -> 0
label("done")
pause()
""",
        b=f"""
wait_for("done")
{ANONYMOUS}
ring = io_uring_setup(4)
io_uring_register_buffers(ring, buf, 10 * PAGE)                      # -> ENOMEM
io_uring_register_buffers(ring, buf, 2 * PAGE)                       # -> 0
""",
        c=f"""
wait_for("done")
{ANONYMOUS}
ring = io_uring_setup(4)
io_uring_register_buffers(ring, buf, 14 * PAGE)                      # -> 0
""",
    )


def test_a_ring_counts_for_who_made_it_and_by_the_limit_of_who_asks(few: Play) -> None:
    played = few(
        "P0",
        details={"a": 'uid = 1000\nmemlock = "64 * PAGE"'},
        a=f"""
{ANONYMOUS}
ring = io_uring_setup(1)
setrlimit(RLIMIT_MEMLOCK, 8 * PAGE)
io_uring_register_buffers(ring, buf, 7 * PAGE)                       # -> ENOMEM
io_uring_register_buffers(ring, buf, 6 * PAGE)                       # -> 0
setrlimit(RLIMIT_MEMLOCK, 0)
io_uring_setup(1)                                                    # -> ENOMEM
pause()
""",
    )
    for one in played.schedules:
        assert locked(one) == {1000: 8}


def test_a_ring_that_root_made_counts_for_nobody(few: Play) -> None:
    played = few(
        "P0",
        a=f"""
{ANONYMOUS}
ring = io_uring_setup(1)
setuid(1000)
setrlimit(RLIMIT_MEMLOCK, 0)
io_uring_register_buffers(ring, buf, 16 * PAGE)                      # -> 0
pause()
""",
    )
    assert [locked(one) for one in played.schedules] == [{}] * len(played.schedules)


def test_verbs_and_io_uring_have_counts_of_their_own(few: Play) -> None:
    """But what io_uring shows as pinned is there when verbs look [code: ib_umem_get]."""
    few(
        "P0",
        head=head("6.12"),
        details=LIMITED,
        a=f"""
{ANONYMOUS}
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
ibv_reg_mr(pd, buf, 12 * PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> ok
one = io_uring_setup(4)
io_uring_register_buffers(one, buf, 4 * PAGE)                        # -> 0
two = io_uring_setup(4)
io_uring_register_buffers(two, buf, 10 * PAGE)                       # -> 0
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)                    # -> ENOMEM
""",
    )


@pytest.mark.parametrize(("kernel", "answers"), [("6.1", (NO, NO)), *((each, ("ENOMEM",) * 2) for each in KERNELS[1:])])
def test_a_page_of_device_dax_counts_as_a_whole(few: Play, kernel: str, answers: tuple[str, str]) -> None:
    """A device that is mapped in units of 2 MiB has pages of 2 MiB [meas]."""
    few(
        "P0",
        head=head(kernel, more='[[dax]]\nname = "dax0.0"\nsize = "1024 * PAGE"'),
        details=LIMITED,
        a=f"""
fd = open("/dev/dax0.0", O_RDWR)
buf = mmap(512 * PAGE, {RW}, MAP_SHARED, fd, 0)
ring = io_uring_setup(4)
io_uring_register_buffers(ring, buf, 8 * PAGE)                       # -> {answers[0]}
io_uring_register_buffers(ring, buf, 512 * PAGE)                     # -> {answers[1]}
""",
    )


def test_a_huge_page_counts_once_for_all_buffers_of_a_table(few: Play) -> None:
    played = few(
        "P0",
        head=head("6.12", more="huge_pages = 3\nhuge_page_size = 32768"),
        details=LIMITED,
        a=f"""
buf = mmap(16 * PAGE, {RW}, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0)
ring = io_uring_setup(4)
io_uring_register_buffers_sparse(ring, 3)
io_uring_register_buffers_update(ring, 0, buf + PAGE, PAGE)          # -> 1
label("one")
io_uring_register_buffers_update(ring, 1, buf + 2 * PAGE, 7 * PAGE)  # -> 1
more = io_uring_setup(4)
io_uring_register_buffers(more, buf, PAGE)                           # -> ENOMEM
io_uring_register_buffers_update(ring, 0, 0, 0)                      # -> 1
io_uring_register_buffers(more, buf, PAGE)                           # -> 0
pause()
""",
    )
    for one in played.schedules:
        assert locked(one) == {1000: 16}


def test_what_could_not_be_registered_counts_for_nothing(few: Play) -> None:
    played = few(
        "P0",
        details=LIMITED,
        a=f"""
{ANONYMOUS}
mprotect(buf + 8 * PAGE, PAGE, PROT_READ)
ring = io_uring_setup(4)
io_uring_register_buffers(ring, buf, 9 * PAGE)                       # -> EFAULT
io_uring_register_buffers(ring, buf, 8 * PAGE)                       # -> 0
io_uring_unregister_buffers(ring)                                    # -> 0
mprotect(buf + 8 * PAGE, PAGE, {RW})
io_uring_register_buffers(ring, buf, 15 * PAGE)                      # -> ENOMEM
close(ring)
pause()
""",
    )
    for one in played.schedules:
        assert (locked(one), pinned(one), [mm.pinned_vm for mm in of_kind(one, Mm)]) == ({}, 0, [0])


# What policies have to say.


def test_io_uring_says_of_no_pin_which_file_owns_it(few: Play) -> None:
    """H23: a policy that keeps leases by the files that own pins finds none."""
    played = few(
        "P1",
        a=f"""
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, {RW}, MAP_SHARED, fd, 0)
ring = io_uring_setup(1)
io_uring_register_buffers(ring, buf, 4 * PAGE)                       # -> 0
pause()
""",
    )
    (pmem,) = of_kind(played, Pmem)
    assert sorted(pmem.pins) == [0, 1, 2, 3]
    assert not any(pin.has_owner_file for pins in pmem.pins.values() for pin in pins)
    assert {pin.owner for pins in pmem.pins.values() for pin in pins} == {"buffer:100.1.1"}


@dataclass(frozen=True, slots=True)
class OwnersOnly(Policy):
    """Pins need an open file that owns them, and their use another user than 1000."""

    name: ClassVar[str] = "OWNERS"
    errnos: ClassVar[dict[str, frozenset[str]]] = {"io_uring_register_buffers": frozenset({"EXDEV"})}
    refuses: bool = True

    def longterm_gate(self, request: PinRequest) -> Answer:
        return Fail(errno.EXDEV) if self.refuses and not request.has_owner_file else Proceed()

    def use_gate(self, caller: Caller, registration: RegistrationView, view: LayoutView) -> Answer:
        return Fail(errno.EACCES) if caller.uid == 1000 else Proceed()


def test_a_policy_can_refuse_who_says_of_no_file_that_it_owns_the_pins(few: Play) -> None:
    few(
        OwnersOnly(),
        a=f"""
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, {RW}, MAP_SHARED, fd, 0)
ring = io_uring_setup(1)
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)                    # -> ok
io_uring_register_buffers(ring, buf, PAGE)                           # -> EXDEV
""",
    )


def test_a_policy_is_asked_about_each_use(few: Play) -> None:
    few(
        OwnersOnly(refuses=False),
        a=f"""
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, {RW}, MAP_SHARED, fd, 0)
ring = io_uring_setup(1)
io_uring_register_buffers(ring, buf, PAGE)                           # -> 0
io_uring_write_fixed(ring, fd, buf, 1, 0, 0)                         # -> 1
setuid(1000)
io_uring_write_fixed(ring, fd, buf, 1, 0, 0)                         # -> EACCES
io_uring_unregister_buffers(ring)                                    # -> 0
""",
    )


REVOKED = f"""
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, {RW}, MAP_SHARED, fd, 0)
ring = io_uring_setup(1)
io_uring_register_buffers(ring, buf, PAGE)                           # -> 0
"""


@dataclass(frozen=True, slots=True)
class Revoking(Policy):
    """A change takes pins back from their devices."""

    name: ClassVar[str] = "REVOKING"
    unpin: bool = True

    def change_gate(self, change: Change, view: LayoutView) -> Decision:
        if view.pins is None:
            return Scan()
        if self.unpin and view.pins:
            taken = dict.fromkeys(RegistrationView(pin.owner, pin.context) for pin in view.pins)
            return Revoke(tuple(taken))
        return Proceed()


def test_a_buffer_that_was_taken_back_moves_nothing(few: Play) -> None:
    played = few(
        Revoking(),
        head='[[file]]\npath = "/f"\nsize = "4 * PAGE"\n[[file]]\npath = "/g"\nsize = "PAGE"\n',
        a=f"""
{REVOKED}
ftruncate(fd, 0)                                                     # -> 0
other = open("/g", O_RDWR)
io_uring_write_fixed(ring, other, buf, 4, 0, 0)                      # -> EFAULT
io_uring_unregister_buffers(ring)                                    # -> 0
io_uring_unregister_buffers(ring)                                    # -> ENXIO
pause()
""",
    )
    for one in played.schedules:
        assert (pinned(one), [mm.pinned_vm for mm in of_kind(one, Mm)]) == (0, [0])


def test_a_buffer_may_be_taken_back_while_it_is_registered() -> None:
    """In some schedule; then it is not registered, ENXIO, and nothing is pinned or counted."""
    text = f"""
name = "early"
{FILE}
[[process]]
name = "a"
program = '''
fd = open("/f", O_RDWR)
buf = mmap(PAGE, {RW}, MAP_SHARED, fd, 0)
ring = io_uring_setup(1)
label("ready")
io_uring_register_buffers(ring, buf, PAGE)
pause()
'''
[[process]]
name = "b"
program = '''
fd = open("/f", O_RDWR)
wait_for("ready")
fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE)
'''
"""
    blueprint = Blueprint(parse_scenario(text, "early.toml"), Proposal.of(Revoking()))
    ends: set[tuple[bool, int, int]] = set()

    def check(engine: SteppedEngine) -> None:
        ring, memory, mm = (engine.actors[name] for name in ("io_uring:100.1", "pmem:pmem0", "mm:100.1"))
        assert isinstance(ring, Ring)
        assert isinstance(memory, Pmem)
        assert isinstance(mm, Mm)
        ends.add((ring.table is not None, len(memory.pins), mm.pinned_vm))

    assert explore(blueprint.build, check=check).complete
    assert ends == {(True, 1, 1), (True, 0, 1), (False, 0, 0)}


@pytest.mark.parametrize("unregistered", ["", "io_uring_unregister_buffers(ring)"])
def test_who_takes_a_buffer_back_waits_for_requests(few: Play, unregistered: str) -> None:
    """Also for those of a buffer that has left the table, whose pages are let go of when they are complete."""
    fork = 'start = "fork"'
    played = few(
        Revoking(),
        a=f"""
{REVOKED}
r = pipe()
fork("b")
fork("c")
label("there")
io_uring_read_fixed(ring, r, buf, 4, 0, 0)                           # -> 4
pause()
""",
        b=f"""
wait_for("there")
sleep(1)
{unregistered}
ftruncate(fd, 0)                                                     # -> blocks
pause()
""",
        c="""
wait_for("there")
sleep(2)
write(pipe_w, b"late")
pause()
""",
        details={"b": fork, "c": fork},
    )
    assert [pinned(one) for one in played.schedules] == [0] * len(played.schedules)


def test_a_ring_that_gets_no_descriptor_counts_for_nothing(few: Play) -> None:
    played = few(
        "P0",
        details=LIMITED,
        a="""
setrlimit(RLIMIT_NOFILE, 4)
io_uring_setup(1)                                                    # -> ok
io_uring_setup(1)                                                    # -> EMFILE
pause()
""",
    )
    for one in played.schedules:
        assert locked(one) == {1000: 2}
