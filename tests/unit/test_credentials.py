"""setuid, setfsuid, process groups, and signals that are blocked."""

from collections.abc import Callable
from typing import Any

import pytest

Play = Callable[..., Any]

OWNED = '[[file]]\npath = "/f"\nuid = 1000\nmode = 0o600\n[[file]]\npath = "/root"\nmode = 0o600\n'


def test_root_may_become_anybody_and_nobody_else_may(play: Play) -> None:
    play(
        "P1",
        head=OWNED,
        a="""
open("/f", O_RDONLY)               # -> ok
setuid(1000)                       # -> 0
open("/root", O_RDONLY)            # -> EACCES
setuid(0)                          # -> EPERM
setuid(1000)                       # -> 0
chown("/f", 0)                     # -> EPERM
set_lease_break_time(1)            # -> EACCES
""",
    )


def test_whoever_stops_being_root_loses_the_right_to_lease_and_to_kill(play: Play) -> None:
    play(
        "P1",
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
setuid(1000)
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> EACCES
kill("b", SIGUSR1)                 # -> EPERM
kill("b", 0)                       # -> EPERM
kill("c", 0)                       # -> 0
""",
        b="pause()",
        c="pause()",
        details={"c": "uid = 1000"},
    )


def test_the_filesystem_uid_opens_files_and_cap_lease_stays(play: Play) -> None:
    play(
        "P1",
        head=OWNED,
        a="""
setfsuid(1000)                     # -> 0
open("/root", O_RDONLY)            # -> EACCES
fd = open("/f", O_RDONLY)          # -> ok
setfsuid(2000)                     # -> 1000
open("/f", O_RDONLY)               # -> EACCES
access("/root", R_OK)              # -> 0 (with the real uid)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
setfsuid(0)                        # -> 2000
open("/root", O_RDONLY)            # -> ok
""",
    )


def test_without_root_the_filesystem_uid_stays(play: Play) -> None:
    play("P1", details={"a": "uid = 1000"}, a="setfsuid(0)  # -> 1000\nsetfsuid(0)  # -> 1000\n")


def test_a_child_has_the_rights_its_parent_had(play: Play) -> None:
    play(
        "P1",
        head=OWNED,
        details={"b": 'start = "fork"\nuid = 0'},
        a='setuid(1000)\nfork("b")\n',
        b='open("/root", O_RDONLY)  # -> EACCES\nopen("/f", O_RDONLY)  # -> ok\n',
    )


def test_a_process_group_is_told_of_a_break(play: Play) -> None:
    run = play(
        "P1",
        details={
            "a": "on_signal.SIGIO = 'label(\"a\")'",
            "b": 'start = "fork"\non_signal.SIGIO = \'label("b")\'',
        },
        a="""
fd = open("/f", O_RDONLY)
me = getpid()
fcntl(fd, F_SETOWN, 0 - me)        # -> 0
fcntl(fd, F_GETOWN)                # -> -100
fcntl(fd, F_SETOWN, 4711)          # -> ESRCH
fcntl(fd, F_SETOWN, 0 - 4711)      # -> ESRCH
fcntl(fd, F_SETOWN, 0 - me)        # -> 0
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
fork("b")
wait_for("ready")
fcntl(fd, F_SETSIG, SIGIO)
open("/f", O_WRONLY | O_NONBLOCK)  # -> EAGAIN
wait_for("a")
wait_for("b")
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> 0
""",
        b='label("ready")\nwait_for("b")\nclose(fd)\n',
    )
    assert run.taken("a") == run.taken("b") == ["SIGIO (si_fd 3): its handler runs"]


@pytest.mark.parametrize("signal", ["SIGUSR1", "SIGIO", "SIGTERM"])
def test_a_blocked_signal_waits(play: Play, signal: str) -> None:
    run = play(
        "P1",
        a=f"""
me = getpid()
sigprocmask(SIG_BLOCK, {signal})   # -> 0
kill(me, {signal})                 # -> 0
label("alive")
sigprocmask(SIG_UNBLOCK, {signal})
label("never")
""",
    )
    assert run.taken("a") == [f"{signal}: it kills"]
    assert [call.call for call in run.result.calls][-1] == "sigprocmask"


def test_sigtimedwait_takes_the_lowest_number_first_with_its_descriptor(play: Play) -> None:
    play(
        "P1",
        a="""
sigtimedwait()                     # -> EAGAIN
sigprocmask(SIG_BLOCK, SIGIO)
sigprocmask(SIG_BLOCK, SIGUSR1)
sigprocmask(SIG_BLOCK, SIGKILL)    # -> 0 (to no effect)
sigprocmask(7, SIGIO)              # -> EINVAL
sigprocmask(SIG_BLOCK, 65)         # -> EINVAL
me = getpid()
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETSIG, SIGIO)
fcntl(fd, F_SETLEASE, F_RDLCK)
open("/f", O_WRONLY | O_NONBLOCK)  # -> EAGAIN
kill(me, SIGUSR1)
kill(me, SIGUSR1)
sigtimedwait()                     # -> SIGUSR1
close(si_fd)                       # -> EBADF
sigtimedwait()                     # -> SIGIO
close(si_fd)                       # -> 0
sigtimedwait()                     # -> EAGAIN
""",
    )


def test_lease_break_time_counts_for_breaks_that_begin_later(play: Play) -> None:
    run = play(
        "P1",
        details={"a": "on_signal.SIGIO = 'label(\"told\")'"},
        a="""
fd = open("/f", O_RDONLY)
set_lease_break_time(7)            # -> 0
set_lease_break_time(1 + 0x7fffffff)  # -> EINVAL
fcntl(fd, F_SETLEASE, F_RDLCK)
label("leased")
pause()
pause()
""",
        b='wait_for("leased")\nopen("/f", O_WRONLY)  # -> blocks, ok\n',
        c='wait_for("told")\nset_lease_break_time(1)\n',
    )
    assert run.returned("b") == 7
