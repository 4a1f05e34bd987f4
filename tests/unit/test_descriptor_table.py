"""RLIMIT_NOFILE is 1024: descriptors 0 to 2 are taken, 3 to 1023 are a program's [1.2]."""

from collections.abc import Callable
from typing import Any

import pytest

from longpin.actors.fs.pipe import Pipe
from longpin.actors.process.process_state import MOST_FDS
from longpin.actors.rdma.uverbs import UverbsContext

Play = Callable[..., Any]

FULL = f"fd = open('/f', O_RDWR)\nfor i in range({MOST_FDS - 4}):\n    dup(fd)\n"


def kinds(run: Any, kind: type) -> int:
    return sum(isinstance(actor, kind) for actor in run.engine.actors.values())


def test_a_full_table_leaves_nothing_behind(play: Play) -> None:
    run = play(
        "P1",
        seeds=(),
        a=FULL
        + """
dup(fd)                            # -> EMFILE
dup(99999)                         # -> EBADF
open("/f", O_RDONLY)               # -> EMFILE
open("/new", O_RDWR | O_CREAT)     # -> EMFILE
stat("/new")                       # -> ENOENT (nothing was made)
open("/none", O_RDONLY)            # -> EMFILE (before the look-up)
open("", O_RDONLY)                 # -> ENOENT (after the path was read)
open("/f", O_CREAT | O_DIRECTORY)  # -> EINVAL
open("/proc/self/fd/99999", O_RDONLY)  # -> EMFILE
open("/", O_TMPFILE | O_RDWR)      # -> EMFILE
pipe()                             # -> EMFILE
ibv_open_device("rxe0")            # -> EMFILE
ibv_open_device("none")            # -> ENODEV
dup2(fd, 1023)                     # -> 1023 (what was there is closed)
dup2(fd, 1024)                     # -> EBADF
fork("child")
label("forked")
wait_for("looked")
close(1023)                        # -> 0
pipe()                             # -> EMFILE (it needs two)
open("/f", O_RDONLY)               # -> 1023 (none is lost)
close(1023)
close(500)
pipe()                             # -> 500
close(500)
open("/f", O_RDONLY)               # -> 500 (the lowest that is free)
""",
        child="""
open("/f", O_RDONLY)               # -> EMFILE
close(700)                         # -> 0
open("/f", O_RDONLY)               # -> 700
label("looked")
""",
        details={"child": "start = 'fork'"},
    )
    assert kinds(run, UverbsContext) == 0
    assert kinds(run, Pipe) == 1
    assert len(run.engine.actors["directory"].inodes) == 1


def test_a_limit_below_what_is_open(play: Play) -> None:
    play(
        "P1",
        seeds=(),
        a="""
fd = open("/f", O_RDWR)
setrlimit(RLIMIT_NOFILE, 3)
dup2(fd, 3)                        # -> 3 (nothing is asked for)
dup2(fd, 4)                        # -> EBADF
dup(fd)                            # -> EMFILE
set_lease_break_time(1)            # -> EMFILE (it opens a file)
fork("child")
wait_for("looked")
setuid(1000)
set_lease_break_time(1)            # -> EMFILE
close(fd)
open("/f", O_RDWR)                 # -> EMFILE
""",
        child="""
open("/f", O_RDONLY)               # -> EMFILE
label("looked")
""",
        details={"child": "start = 'fork'"},
    )


def test_a_lease_is_not_broken_by_an_open_without_a_descriptor(play: Play) -> None:
    play(
        "P1",
        seeds=(),
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
label("leased")
wait_for("tried")
fcntl(fd, F_GETLEASE)              # -> F_RDLCK
""",
        b='wait_for("leased")\nfd = open("/f", O_RDONLY)\n'
        + FULL.partition("\n")[2]
        + 'open("/f", O_RDWR)  # -> EMFILE\nlabel("tried")\n',
    )


@pytest.mark.parametrize("flags", ["", "MSG_DONTWAIT"])
def test_what_is_received_without_room_is_lost(play: Play, flags: str) -> None:
    """As with MSG_CTRUNC of recvmsg(2): the message is gone, and with it the reference."""
    run = play(
        "P1",
        seeds=(),
        a="""
r = pipe()
send_fd("b", pipe_w)
send_fd("b", r)
close(pipe_w)
label("sent")
read(r, 1)                         # -> blocks, b""
""",
        b=FULL
        + f"""
wait_for("sent")
sleep(1)
recv_fd({flags})                   # -> EMFILE (the write end is closed)
close(77)
recv_fd({flags})                   # -> 77 (the other one)
recv_fd(MSG_DONTWAIT)              # -> EAGAIN
""",
    )
    assert run.returned("a") == 1
