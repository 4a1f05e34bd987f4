"""fcntl(2): numbers of descriptors, status flags, and whom a description signals; measured on Linux 6.18."""

from collections.abc import Callable
from typing import Any

import pytest

Play = Callable[..., Any]


def test_a_duplicate_has_the_lowest_free_number_from_one_on(play: Play) -> None:
    play(
        "P0",
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_DUPFD, 0)                # -> 4
fcntl(fd, F_DUPFD, 10)               # -> 10
fcntl(fd, F_DUPFD_CLOEXEC, 10)       # -> 11
fcntl(10, F_GETFD)                   # -> 0
fcntl(11, F_GETFD)                   # -> FD_CLOEXEC
fcntl(fd, F_DUPFD, 1024)             # -> EINVAL
fcntl(fd, F_DUPFD, -1)               # -> EINVAL
fcntl(99, F_DUPFD, -1)               # -> EBADF
setrlimit(RLIMIT_NOFILE, 6)
fcntl(fd, F_DUPFD, 6)                # -> EINVAL
fcntl(fd, F_DUPFD, 5)                # -> 5
fcntl(fd, F_DUPFD, 3)                # -> EMFILE
dup(fd)                              # -> EMFILE
close(4)
open("/f", O_RDONLY | O_CREAT | O_EXCL)  # -> EEXIST (the number is free again)
dup(fd)                              # -> 4
""",
    )


def test_a_duplicate_shares_lease_and_position(play: Play) -> None:
    play(
        "P0",
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)
copy = fcntl(fd, F_DUPFD, 20)        # -> 20
lseek(fd, 5)
close(fd)
fcntl(copy, F_GETLEASE)              # -> F_RDLCK
read(copy, 0)                        # -> b""
fcntl(copy, F_SETLEASE, F_UNLCK)     # -> 0
""",
    )


def test_close_on_exec_is_of_the_number(play: Play) -> None:
    """dup2 and F_DUPFD make numbers that stay; only the lowest bit counts."""
    play(
        "P0",
        details={"next": 'start = "fork"'},
        a="""
fd = open("/f", O_RDONLY | O_CLOEXEC)
fcntl(fd, F_GETFD)                   # -> 1
kept = dup(fd)
fcntl(kept, F_GETFD)                 # -> 0
fcntl(kept, F_SETFD, 3)              # -> 0
fcntl(kept, F_GETFD)                 # -> 1
fcntl(kept, F_SETFD, 2)              # -> 0
fcntl(kept, F_GETFD)                 # -> 0
fcntl(99, F_SETFD, 1)                # -> EBADF
exec("next")
""",
        next="""
close(fd)                            # -> EBADF
close(kept)                          # -> 0
""",
    )


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        ("O_RDONLY", "0o100000"),
        ("O_RDWR | O_CREAT | O_TRUNC | O_NONBLOCK | O_CLOEXEC", "0o104002"),
        ("O_WRONLY | O_APPEND", "0o102001"),
        ("O_ACCMODE", "0o100003"),
        ("O_PATH | O_CLOEXEC", "0o10000000"),
    ],
)
def test_what_was_opened_can_be_asked(play: Play, flags: str, shown: str) -> None:
    """Flags that only open(2) looks at are gone, and files may be large."""
    play("P0", a=f'fd = open("/f", {flags})\nfcntl(fd, F_GETFL)   # -> {shown}\n')


def test_a_lease_is_a_flag(play: Play) -> None:
    """Measured: O_ASYNC, 0o20000, from F_SETLEASE to F_UNLCK; F_SETFL does not change it."""
    play(
        "P0",
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)
fcntl(fd, F_GETFL)                   # -> 0o120000
fcntl(fd, F_SETFL, 0)
fcntl(fd, F_GETFL)                   # -> 0o120000
fcntl(fd, F_SETLEASE, F_UNLCK)
fcntl(fd, F_GETFL)                   # -> 0o100000
""",
    )


def test_other_kinds_of_files_too(play: Play) -> None:
    play(
        "P0",
        a="""
d = open("/", O_RDONLY | O_DIRECTORY)
fcntl(d, F_GETFL)                    # -> 0o300000
t = open("/", O_TMPFILE | O_RDWR)
fcntl(t, F_GETFL)                    # -> 0o20300002
r = pipe()
fcntl(r, F_GETFL)                    # -> 0
fcntl(pipe_w, F_GETFL)               # -> 1
fcntl(r, F_SETFL, O_NONBLOCK)        # -> 0
read(r, 1)                           # -> EAGAIN
fcntl(r, F_SETFL, 0)                 # -> 0
fcntl(pipe_w, F_GETFL)               # -> 1
write(pipe_w, "x")
read(r, 1)                           # -> b"x"
""",
    )


def test_only_status_flags_change_and_for_all_who_share(play: Play) -> None:
    play(
        "P0",
        a="""
fd = open("/f", O_RDWR)
copy = dup(fd)
flags = fcntl(fd, F_GETFL)
fcntl(fd, F_SETFL, flags | O_APPEND) # -> 0
fcntl(copy, F_GETFL)                 # -> 0o102002
write(copy, "end")                   # -> 3
pwrite(copy, "end", 0)               # -> 3
stat("/f")                           # -> 16390
fcntl(copy, F_SETFL, 0)              # -> 0
fcntl(fd, F_GETFL)                   # -> 0o100002
pwrite(fd, "end", 0)                 # -> 3
stat("/f")                           # -> 16390
p = open("/f", O_PATH)
fcntl(p, F_SETFL, 0)                 # -> EBADF
fcntl(p, F_DUPFD, 0)                 # -> ok
fcntl(p, F_SETFD, FD_CLOEXEC)        # -> 0
fcntl(p, F_GETOWN_EX)                # -> EBADF
fcntl(p, F_SETLEASE, F_RDLCK)        # -> EBADF
""",
    )


def test_an_owner_has_a_type(play: Play) -> None:
    play(
        "P0",
        a="""
me = getpid()
fd = open("/f", O_RDONLY)
fcntl(fd, F_GETOWN_EX)               # -> 0
label("type", owner_type)
wait_for("type")                     # -> F_OWNER_TID
fcntl(fd, F_SETOWN_EX, F_OWNER_PGRP, me)  # -> 0
fcntl(fd, F_GETOWN)                  # -> -100
fcntl(fd, F_GETOWN_EX)               # -> 100
label("type", owner_type)
wait_for("type")                     # -> F_OWNER_PGRP
fcntl(fd, F_SETOWN_EX, F_OWNER_TID, me)   # -> 0
fcntl(fd, F_GETOWN)                  # -> 100
fcntl(fd, F_SETOWN_EX, F_OWNER_PID, me)   # -> 0
fcntl(fd, F_GETOWN_EX)               # -> 100
label("type", owner_type)
wait_for("type")                     # -> F_OWNER_PID
bad = fcntl(99, F_GETFL)             # -> EBADF
fcntl(fd, F_SETOWN_EX, bad, me)      # -> EINVAL
fcntl(fd, F_SETOWN_EX, F_OWNER_PID, 9999)  # -> ESRCH
fcntl(fd, F_SETOWN_EX, F_OWNER_PID, -100)  # -> ESRCH (a group is told by its type)
fcntl(fd, F_SETOWN_EX, F_OWNER_TID, 0)     # -> 0
fcntl(fd, F_GETOWN_EX)               # -> 0
fcntl(fd, F_SETOWN, 0)               # -> 0
fcntl(fd, F_GETOWN_EX)               # -> 0
label("type", owner_type)
wait_for("type")                     # -> F_OWNER_PID
""",
    )


@pytest.mark.parametrize("owner", ["F_OWNER_TID", "F_OWNER_PID", "F_OWNER_PGRP"])
def test_each_kind_of_owner_is_told(play: Play, owner: str) -> None:
    play(
        "P0",
        other='sigprocmask(SIG_BLOCK, SIGRTMIN + 2)\nlabel("blocked")\nsigtimedwait(1)   # -> SIGRTMIN + 2\n',
        a=f"""
wait_for("blocked")
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETSIG, SIGRTMIN + 2)
fcntl(fd, F_SETOWN_EX, {owner}, 100) # -> 0
fcntl(fd, F_SETLEASE, F_RDLCK)
open("/f", O_WRONLY | O_NONBLOCK)    # -> EAGAIN
fcntl(fd, F_SETLEASE, F_UNLCK)       # -> 0
fcntl(fd, F_GETOWN_EX)               # -> 0
label("type", owner_type)
wait_for("type")                     # -> F_OWNER_PID
""",
    )
