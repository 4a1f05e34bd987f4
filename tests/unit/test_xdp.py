"""AF_XDP: what memory a socket can have for packets, for how long, for whom it counts, and what the device does."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from longpin.actors.mm.pmem import Pmem
from longpin.actors.process.users import Users

Play = Callable[..., Any]

OPEN = "s = socket(AF_XDP, SOCK_RAW)\n"
ANONYMOUS = f"""
{OPEN}
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
"""
MAPPED = f"""
{OPEN}
fd = open("/f", O_RDWR)
buf = mmap(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
"""


@pytest.fixture
def few(play: Play) -> Play:
    """Return ``play`` with fewer orders: what is looked at here does not depend on the order."""
    return partial(play, seeds=range(2))


def pinned(played: Any) -> list[int]:
    pmem = played.engine.actors["pmem:pmem0"]
    assert isinstance(pmem, Pmem)
    return sorted(pmem.pins)


def locked(played: Any) -> dict[int, int]:
    users = played.engine.actors["users"]
    assert isinstance(users, Users)
    return users.locked_vm


def test_packets_go_to_chunks(few: Play) -> None:
    few(
        "P0",
        a=f"""
{ANONYMOUS}
xdp_receive(s, 0, "nowhere")                                       # -> 0
xdp_umem_reg(s, buf, 2 * PAGE, 2048)                               # -> 0
xdp_receive(s, 2048 + 256, "packet")                               # -> 6
load(buf + 2048 + 256, 6)                                          # -> b"packet"
xdp_receive(s, 2 * PAGE - 6, "packet")                             # -> 6
xdp_receive(s, 2 * PAGE - 5, "packet")                             # -> 0
xdp_receive(s, 2048 - 5, "packet")                                 # -> 0
xdp_receive(s, 2 * PAGE, "packet")                                 # -> 0
xdp_receive(s, 2 * PAGE, "")                                       # -> 0
load(buf + 2048 - 5, 6)                                            # -> b"\\0\\0\\0\\0\\0\\0"
""",
    )


def test_what_the_kernel_refuses_and_in_which_order(few: Play) -> None:
    few(
        "P0",
        a=f"""
{ANONYMOUS}
xdp_umem_reg(s, buf, PAGE, 1024)                                   # -> EINVAL
xdp_umem_reg(s, buf, 2 * PAGE, 2 * PAGE)                           # -> EINVAL
xdp_umem_reg(s, buf, 3000 * 4, 3000)                               # -> EINVAL
xdp_umem_reg(s, buf + 2048, PAGE, 2048)                            # -> EINVAL
xdp_umem_reg(s, buf, 0, 2048)                                      # -> EINVAL
xdp_umem_reg(s, buf, PAGE + 1, 2048)                               # -> EINVAL
xdp_umem_reg(s, -PAGE, PAGE, 2048)                                 # -> EINVAL
xdp_umem_reg(s, 0, PAGE, 2048)                                     # -> EFAULT
xdp_umem_reg(s, buf + 3 * PAGE, 2 * PAGE, 2048)                    # -> ENOMEM
xdp_umem_reg(s, buf, 2048, 2048)                                   # -> 0
xdp_umem_reg(s, buf, PAGE, 1024)                                   # -> EBUSY
fd = open("/f", O_RDWR)
xdp_umem_reg(fd, buf, PAGE, 2048)                                  # -> ENOTSOCK
xdp_umem_reg(77, buf, PAGE, 2048)                                  # -> EBADF
""",
    )


def test_what_a_socket_is_to_other_calls(few: Play) -> None:
    few(
        "P0",
        a=f"""
{OPEN}
read(s, 1)                                                         # -> ENXIO
write(s, "a")                                                      # -> ENXIO
lseek(s, 0)                                                        # -> ESPIPE
ftruncate(s, 0)                                                    # -> EINVAL
fsync(s)                                                           # -> EINVAL
fallocate(s, 0, 0, 1)                                              # -> ENODEV
fcntl(s, F_SETLEASE, F_RDLCK)                                      # -> EINVAL
""",
    )


@pytest.mark.parametrize(
    ("ends", "left"),
    [
        ("", [0, 1]),
        ("munmap(buf, 4 * PAGE)\nclose(fd)", [0, 1]),
        ("more = dup(s)\nclose(s)", [0, 1]),
        ("more = dup(s)\nclose(s)\nclose(more)", []),
        ("close(s)", []),
        ('pid = fork("child")\nwait_for("has it")\nclose(s)', [0, 1]),
        ('send_fd("child", s)\nclose(s)', [0, 1]),
    ],
)
def test_how_long_memory_is_pinned(few: Play, ends: str, left: list[int]) -> None:
    """From the registration to the last close, whoever has the socket."""
    start = 'start = "fork"\n' if "fork" in ends else ""
    others = {"child": 'label("has it")\npause()'} if "child" in ends else {}
    program = f"{MAPPED}\nxdp_umem_reg(s, buf, 2 * PAGE, PAGE)   # -> 0\n{ends}\npause()"
    played = few("P1", a=program, details={"child": start}, **others)
    assert [pinned(one) for one in played.schedules] == [left] * len(played.schedules)


def test_nothing_is_left_when_the_process_dies(few: Play) -> None:
    details = {"a": 'uid = 1000\ncapabilities = ["CAP_NET_RAW"]\n'}
    played = few("P1", a=f"{MAPPED}\nxdp_umem_reg(s, buf, 2 * PAGE, PAGE)   # -> 0", details=details)
    assert all(not pinned(one) and not locked(one) for one in played.schedules)


def test_all_are_pinned_or_none_is(few: Play) -> None:
    """What was pinned and counted for a registration that fails is given back."""
    details = {"a": 'uid = 1000\ncapabilities = ["CAP_NET_RAW"]\n'}
    played = few("P1", a=f"{MAPPED}\nxdp_umem_reg(s, buf, 5 * PAGE, PAGE)   # -> ENOMEM\npause()", details=details)
    assert all(not pinned(one) and not locked(one) for one in played.schedules)


def test_pages_count_for_the_user_who_registers(few: Play) -> None:
    """Those of all its processes together, ENOBUFS beyond RLIMIT_MEMLOCK; not of one with CAP_IPC_LOCK."""
    limited = 'uid = 1000\nmemlock = 16384\ncapabilities = ["CAP_NET_RAW"]\n'
    free = 'uid = 1000\nmemlock = 0\ncapabilities = ["CAP_IPC_LOCK", "CAP_NET_RAW"]\n'
    played = few(
        "P0",
        details={"a": limited, "b": limited, "c": free},
        a=f"""
{ANONYMOUS}
mlock(buf, 4 * PAGE)                                               # -> 0
xdp_umem_reg(s, buf, 5 * PAGE, PAGE)                               # -> ENOBUFS
xdp_umem_reg(s, buf, 3 * PAGE, PAGE)                               # -> 0
label("three")
pause()
""",
        b=f"""
{ANONYMOUS}
wait_for("three")
xdp_umem_reg(s, buf, 2 * PAGE, PAGE)                               # -> ENOBUFS
xdp_umem_reg(s, buf, PAGE, PAGE)                                   # -> 0
close(s)                                                           # -> 0
label("four")
""",
        c=f"""
{ANONYMOUS}
wait_for("four")
xdp_umem_reg(s, buf, 4 * PAGE, PAGE)                               # -> 0
pause()
""",
    )
    assert [locked(one) for one in played.schedules] == [{1000: 3}] * 3


def test_a_socket_is_made_by_who_may(few: Play) -> None:
    """One that was passed on takes memory of whoever has it."""
    few(
        "P0",
        details={"b": "uid = 1000\n"},
        a=f'{OPEN}\nsend_fd("b", s)\n',
        b="""
socket(AF_XDP, SOCK_RAW)                                           # -> EPERM
s = recv_fd()
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
xdp_umem_reg(s, buf, PAGE, PAGE)                                   # -> 0
xdp_receive(s, 0, "packet")                                        # -> 6
load(buf, 6)                                                       # -> b"packet"
""",
    )


def test_private_pages_of_a_file_on_dax_are_refused_although_they_are_copies(few: Play) -> None:
    """There is no fast walk [meas]. Where anonymous memory comes first, the call says only that not all could be."""
    few(
        "P0",
        a=f"""
{OPEN}
fd = open("/f", O_RDWR)
buf = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
dax = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0, buf + PAGE)
store(dax, "copy")
xdp_umem_reg(s, dax, PAGE, PAGE)                                   # -> EOPNOTSUPP
xdp_umem_reg(s, buf, 2 * PAGE, PAGE)                               # -> ENOMEM
""",
    )


def test_a_truncate_waits_for_the_last_close(play: Play) -> None:
    play(
        "P1",
        a=f"""
{MAPPED}
xdp_umem_reg(s, buf, PAGE, PAGE)                                   # -> 0
label("registered")
xdp_receive(s, 0, "still there")                                   # -> 11
close(s)                                                           # -> 0
""",
        b='wait_for("registered")\ntruncate("/f", 0)               # -> 0\n',
    )
