"""Pipes [1.11]."""

from collections.abc import Callable
from typing import Any

import pytest

Play = Callable[..., Any]


def test_bytes_come_out_in_order(play: Play) -> None:
    play(
        "P1",
        a="""
r = pipe()                         # -> 3
write(pipe_w, b"abc")              # -> 3
write(pipe_w, "de")                # -> 2
read(r, 4)                         # -> b"abcd"
read(r, 4)                         # -> b"e"
read(pipe_w, 1)                    # -> EBADF
write(r, b"x")                     # -> EBADF
lseek(r, 0)                        # -> ESPIPE
ftruncate(pipe_w, 0)               # -> EINVAL
fsync(r)                           # -> EINVAL
fcntl(r, F_GETLEASE)               # -> F_UNLCK
fcntl(r, F_SETLEASE, F_RDLCK)      # -> EINVAL
close(pipe_w)
read(r, 1)                         # -> b""
""",
    )


def test_nobody_to_read(play: Play) -> None:
    play("P1", a='r = pipe()\nclose(r)\nwrite(pipe_w, b"x")  # -> EPIPE\n')


def test_a_reader_waits_and_a_close_ends_the_wait(play: Play) -> None:
    play(
        "P1",
        a='r = pipe()\nfork("b")\nclose(pipe_w)\nread(r, 9)  # -> b"x"\nread(r, 9)  # -> b""\nlabel("end")\n',
        b='close(r)\nsleep(1)\nwrite(pipe_w, b"x")  # -> 1\nsleep(1)\n',
        details={"b": 'start = "fork"'},
    )


def test_a_full_pipe_makes_its_writer_wait(play: Play) -> None:
    piece = "x" * 4096
    play(
        "P1",
        a=f"""
r = pipe()
fork("b")
for i in range(16):
    write(pipe_w, "{piece}")
write(pipe_w, b"y")                # -> blocks, 1
""",
        b="sleep(1)\nread(r, 4096)  # -> ok\npause()\n",
        details={"b": 'start = "fork"'},
        seeds=range(2),
    )


def test_a_signal_ends_a_read_unless_it_is_restarted(play: Play) -> None:
    for flags, expected in (("", "EINTR"), (", SA_RESTART", 'b"x"')):
        play(
            "P1",
            details={"a": "on_signal.SIGUSR1 = 'label(\"told\")'", "b": 'start = "fork"'},
            a=f'sigaction(SIGUSR1, SIG_HANDLER{flags})\nr = pipe()\nfork("b")\nread(r, 1)  # -> blocks, {expected}\n',
            b='sleep(1)\nkill("a", SIGUSR1)\nwait_for("told")\nwrite(pipe_w, b"x")\n',
        )


def test_opened_again_it_does_not_wait_for_the_other_end(play: Play) -> None:
    play(
        "P1",
        a="""
r = pipe()
close(pipe_w)
w = open("/proc/self/fd/3", O_WRONLY)  # -> 4
write(w, b"z")                     # -> 1
read(r, 1)                         # -> b"z"
close(r)
open("/proc/self/fd/4", O_WRONLY)  # -> 3
write(w, b"z")                     # -> EPIPE
r = open("/proc/self/fd/4", O_RDONLY)  # -> 5
write(w, b"z")                     # -> 1
read(r, 1)                         # -> b"z"
""",
    )


def test_nothing_to_read_or_write_is_there_at_once(play: Play) -> None:
    play(
        "P1",
        a="""
r = pipe()
read(r, 0)                         # -> b""
close(r)
write(pipe_w, b"")                 # -> 0
write(pipe_w, b"x")                # -> EPIPE
""",
    )


def test_without_waiting(play: Play) -> None:
    piece = "x" * 4096
    play(
        "P1",
        a=f"""
r = pipe()
rn = open("/proc/self/fd/3", O_RDONLY | O_NONBLOCK)
wn = open("/proc/self/fd/4", O_WRONLY | O_NONBLOCK)
read(rn, 1)                        # -> EAGAIN
for i in range(15):
    write(wn, b"{piece}")          # -> 4096
write(wn, b"{piece * 2}")          # -> 4096 (as much as there is room for)
write(wn, b"y")                    # -> EAGAIN
write(wn, b"")                     # -> 0
read(rn, 4096)                     # -> ok
read(r, 61440)                     # -> ok
read(rn, 1)                        # -> EAGAIN
close(pipe_w)
close(wn)
read(rn, 1)                        # -> b""
""",
        seeds=range(2),
    )


def test_up_to_4096_bytes_are_written_at_once_or_not_at_all(play: Play) -> None:
    play(
        "P1",
        a=f"""
r = pipe()
fork("b")
write(pipe_w, b"{"x" * 65530}")
write(pipe_w, b"0123456789")       # -> blocks, 10
""",
        b="""
sleep(1)
read(r, 1)                         # -> b"x" (room for seven)
wn = open("/proc/self/fd/4", O_WRONLY | O_NONBLOCK)
write(wn, b"abcdefg")              # -> 7
read(r, 65529)                     # -> ok
read(r, 20)                        # -> ok
sleep(1)
""",
        details={"b": 'start = "fork"'},
        seeds=range(2),
    )


@pytest.mark.parametrize("ends", ['kill("a", SIGUSR1)', "close(r)"])
def test_what_was_written_before_it_ended_is_the_result(play: Play, ends: str) -> None:
    play(
        "P1",
        details={"a": "on_signal.SIGUSR1 = 'getpid()'", "b": 'start = "fork"'},
        a=f"""
r = pipe()
fork("b")
close(r)
write(pipe_w, b"{"x" * 65000}")    # -> 65000
write(pipe_w, b"{"y" * 60000}")    # -> blocks, 536
""",
        b=f"sleep(1)\n{ends}\nsleep(1)\n",
        seeds=range(2),
    )
