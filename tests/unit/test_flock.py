"""flock(2): locks of open file descriptions, beside leases."""

from collections.abc import Callable
from typing import Any

Play = Callable[..., Any]


def test_shared_and_exclusive(play: Play) -> None:
    play(
        "P1",
        a="""
one = open("/f", O_RDONLY)
two = open("/f", O_RDONLY)
flock(one, LOCK_SH)                # -> 0
flock(two, LOCK_SH | LOCK_NB)      # -> 0
flock(one, LOCK_EX | LOCK_NB)      # -> EAGAIN (and the shared one is lost)
flock(two, LOCK_EX | LOCK_NB)      # -> 0
flock(one, LOCK_SH | LOCK_NB)      # -> EAGAIN
flock(two, LOCK_UN)                # -> 0
flock(two, LOCK_UN)                # -> 0
flock(one, LOCK_EX)                # -> 0
flock(one, 3)                      # -> EINVAL
flock(99, LOCK_SH)                 # -> EBADF
""",
    )


def test_every_kind_of_file_has_them(play: Play) -> None:
    play(
        "P1",
        a="""
p = pipe()
flock(p, LOCK_EX)                  # -> 0
flock(pipe_w, LOCK_SH | LOCK_NB)   # -> EAGAIN (two descriptions of one pipe)
close(p)
flock(pipe_w, LOCK_SH | LOCK_NB)   # -> 0
mkdir("/d")
one = open("/d", O_RDONLY)
two = open("/d", O_RDONLY)
other = open("/", O_RDONLY)
flock(one, LOCK_EX)                # -> 0
flock(two, LOCK_SH | LOCK_NB)      # -> EAGAIN
flock(other, LOCK_EX)              # -> 0 (another folder)
close(one)
flock(two, LOCK_EX | LOCK_NB)      # -> 0
dev = ibv_open_device("rxe0")
flock(dev, LOCK_EX)                # -> 0
""",
    )


def test_what_is_asked_for_is_looked_at_first(play: Play) -> None:
    play(
        "P1",
        a="""
fd = open("/f", O_RDWR)
other = open("/f", O_RDWR)
path = open("/f", O_PATH)
nothing = open("/f", O_ACCMODE)    # -> 6 (access mode 3: neither reads nor writes)
flock(fd, LOCK_EX)                 # -> 0
flock(fd, 0)                       # -> EINVAL
flock(fd, LOCK_NB)                 # -> EINVAL
flock(fd, LOCK_SH | LOCK_EX)       # -> EINVAL
flock(fd, LOCK_SH | LOCK_UN)       # -> EINVAL
flock(fd, 16 | LOCK_SH)            # -> EINVAL
flock(fd, LOCK_READ)               # -> EINVAL
flock(99, LOCK_NB)                 # -> EINVAL (before the descriptor)
flock(99, LOCK_SH)                 # -> EBADF
flock(path, LOCK_SH)               # -> EBADF
flock(nothing, LOCK_SH)            # -> EBADF
flock(nothing, LOCK_UN)            # -> 0
flock(99, LOCK_MAND)               # -> 0 (ignored, and so is all else)
flock(other, LOCK_MAND | LOCK_EX)  # -> 0
flock(other, LOCK_MAND | LOCK_READ | LOCK_NB)  # -> 0
flock(other, -1)                   # -> 0
flock(other, LOCK_SH | LOCK_NB)    # -> EAGAIN (nothing was taken)
flock(fd, LOCK_UN | LOCK_NB)       # -> 0
flock(other, 4294967296 + LOCK_EX) # -> 0 (32 bits count)
""",
    )


def test_it_belongs_to_the_description(play: Play) -> None:
    play(
        "P1",
        a="""
one = open("/f", O_RDONLY)
flock(one, LOCK_EX)                # -> 0
copy = dup(one)
flock(copy, LOCK_EX | LOCK_NB)     # -> 0 (the same lock)
close(one)
other = open("/f", O_RDONLY)
flock(other, LOCK_SH | LOCK_NB)    # -> EAGAIN
close(copy)
flock(other, LOCK_SH | LOCK_NB)    # -> 0 (the last close dropped it)
""",
    )


def test_a_waiter_gets_it_in_the_end(play: Play) -> None:
    play(
        "P1",
        a='fd = open("/f", O_RDONLY)\nflock(fd, LOCK_EX)\nlabel("held")\nsleep(1)\nflock(fd, LOCK_UN)\n',
        b='wait_for("held")\nfd = open("/f", O_RDONLY)\nflock(fd, LOCK_EX)  # -> blocks, 0\n',
    )


def test_a_signal_ends_the_wait(play: Play) -> None:
    play(
        "P1",
        details={"b": "on_signal.SIGUSR1 = 'label(\"told\")'"},
        a='fd = open("/f", O_RDONLY)\nflock(fd, LOCK_EX)\nlabel("held")\nsleep(1)\nkill("b", SIGUSR1)\npause()\n',
        b='wait_for("held")\nfd = open("/f", O_RDONLY)\nflock(fd, LOCK_EX)  # -> blocks, EINTR\nkill("a", SIGTERM)\n',
    )


def test_a_deadlock_is_a_hang_and_is_named(play: Play) -> None:
    run = play(
        "P1",
        violates=["O3"],
        a="""
one = open("/f", O_RDONLY)
two = open("/f", O_RDONLY)
flock(one, LOCK_EX)
flock(two, LOCK_EX)                # -> hangs
""",
    )
    assert "a flock(2) lock on inode:/f" in run.details()


def test_leases_and_flocks_do_not_meet(play: Play) -> None:
    play(
        "P1",
        a="""
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_WRLCK)     # -> 0
flock(fd, LOCK_EX)                 # -> 0
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> 0
other = open("/f", O_RDWR)
flock(other, LOCK_EX | LOCK_NB)    # -> EAGAIN
""",
    )
