"""Who notices that a lease is overdue, and what a failed open and a dying process leave [1.1, 2.3.4, 2.5]."""

from collections.abc import Callable
from typing import Any

import pytest

from longpin.actors.process.process import Process

Play = Callable[..., Any]

NOTICE = [
    "ftruncate(fd, 100)",
    'truncate("/f", 100)',
    'open("/f", O_RDONLY | O_TRUNC | O_NONBLOCK)',
    'open("/f", O_RDONLY | O_NONBLOCK)',
    'open("/proc/self/fd/3", O_WRONLY | O_NONBLOCK)',
    'chmod("/f", 0o600)',
    'chmod("/proc/self/fd/3", 0o600)',
    'chown("/f", 0)',
    'utimes("/f")',
    'setxattr("/f")',
    'link("/f", "/new")',
    'rename("/f", "/new")',
    'rename("/other", "/f")',
    'unlink("/f")',
    'execve("/f")',
    "fcntl(fd, F_GETLEASE)",
    "fcntl(fd, F_SETLEASE, F_RDLCK)",
]
DO_NOT = [
    "fallocate(fd, 0, 0, PAGE)",
    'write(fd, "x")',
    "read(fd, 1)",
    "mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)",
    "fsync(fd)",
    "dup(fd)",
    "flock(fd, LOCK_EX)",
    'stat("/f")',
    'access("/f")',
    'open("/f", O_PATH)',
    'rename("/f", "/f")',
    'link("/f", "/other")',
    "ftruncate(fd, -1)",
]

HEAD = """
[machine]
lease_break_time = 1
[[file]]
path = "/f"
size = "PAGE"
mode = 0o777
[[file]]
path = "/other"
"""


@pytest.mark.parametrize(("call", "noticed"), [*((call, True) for call in NOTICE), *((call, False) for call in DO_NOT)])
def test_who_notices_an_overdue_lease(play: Play, call: str, noticed: bool) -> None:
    """It is off the list then, so F_UNLCK finds nothing [measured on Linux 6.18]."""
    play(
        "P1",
        head=HEAD,
        a=f"""
sigprocmask(SIG_BLOCK, SIGIO)
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_WRLCK)     # -> 0
open("/f", O_WRONLY | O_NONBLOCK)  # -> EAGAIN
sleep(2)
{call}
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> {"EAGAIN" if noticed else "0"}
""",
    )


def test_who_may_not_change_a_mode_notices_the_lease(play: Play) -> None:
    """chmod and chown are refused after the look at the leases, utimes and setxattr before [code: notify_change]."""
    for call, errno, noticed in (
        ('chmod("/f", 0o600)', "EPERM", True),
        ('chown("/f", 1000)', "EPERM", True),
        ('utimes("/f")', "EACCES", False),
        ('setxattr("/f")', "EACCES", False),
    ):
        play(
            "P1",
            head=HEAD.replace("0o777", "0o644"),
            seeds=range(2),
            a=f"""
sigprocmask(SIG_BLOCK, SIGIO)
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_WRLCK)     # -> 0
open("/f", O_WRONLY | O_NONBLOCK)  # -> EAGAIN
sleep(2)
label("overdue")
wait_for("tried")
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> {"EAGAIN" if noticed else "0"}
""",
            b=f'wait_for("overdue")\nsetfsuid(1000)\n{call}  # -> {errno}\nlabel("tried")\n',
        )


PINNED = """
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_LAYOUT)    # -> 0
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
"""


@pytest.mark.parametrize("change", ['rename("/f", "/g")', "ftruncate(fd, PAGE)", 'chmod("/f", 0)', 'link("/f", "/g")'])
def test_a_layout_lease_that_is_overdue_goes_as_well(play: Play, change: str) -> None:
    """The breaker was killed, so nobody else looks; a pin asked for afterwards has no lease [4.5]."""
    play(
        "P5:as_posted",
        head='[machine]\nlease_break_time = 45\n[[file]]\npath = "/f"\nsize = "2 * PAGE"\n',
        details={
            "a": f"""on_signal.SIGIO = '''
label("told")
sleep(60)
{change}                           # -> 0
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)  # -> EPERM
exit()
'''"""
        },
        a=PINNED + 'label("leased")\npause()\n',
        truncater='wait_for("leased")\ntruncate("/f", PAGE)\n',
        killer='wait_for("told")\nkill("truncater", SIGTERM)\n',
    )


def test_a_failed_open_lets_go_of_an_unlinked_file(play: Play) -> None:
    """It was the last user: its blocks are freed with it [2.5]."""
    play(
        "P5",
        head='[[file]]\npath = "/f"\nsize = "PAGE"\n',
        details={"d": "on_signal.SIGIO = 'getpid()'"},
        a=PINNED
        + """
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)  # -> ok
fcntl(fd, F_SETLEASE, F_UNLCK)
munmap(buf, PAGE)
close(fd)
label("pinned")
sleep(10)
ibv_dereg_mr(mr)
""",
        d="""
wait_for("pinned")
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
label("leased")
pause()
unlink("/f")                       # -> 0
close(fd)
""",
        b='wait_for("leased")\nopen("/f", O_RDWR | O_TRUNC)  # -> blocks, ETXTBSY\n',
    )


@pytest.mark.parametrize("let_go", ["munmap(buf, PAGE)", "close(fd)"])
def test_a_dying_process_releases_nothing_while_it_holds_something(play: Play, let_go: str) -> None:
    """It is the last user of the pinned file and waits for the pin, so its reference to the device must be gone."""
    run = play(
        "P1",
        head='[[file]]\npath = "/f"\nsize = "PAGE"\n',
        a=f"""
fd = open("/f", O_RDWR)
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
send_fd("b", ctx)
unlink("/f")
{let_go}
label("sent")
""",
        b="""
wait_for("sent")
got = recv_fd()
sleep(1)
close(got)                         # -> 0
""",
    )
    for played in run.schedules:
        assert all(actor.dead for actor in played.engine.actors.values() if isinstance(actor, Process))
