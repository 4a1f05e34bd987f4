"""Open file descriptions: what dup, fork and SCM_RIGHTS share, when it ends, whom SIGIO reaches [1.3, 2.3.5]."""

import errno
from collections.abc import Callable
from typing import Any

import pytest

from longpin.actors.conversation import KernelError
from longpin.actors.fs.file import OpenFileDescription
from longpin.messages.fs.file import Put, PutDone, Ref
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.oracles import ORACLES

Play = Callable[..., Any]

HANDLER = "on_signal.SIGIO = 'getpid()'"
USR1 = "on_signal.SIGUSR1 = 'getpid()'"

OPENER = """
wait_for("leased")
open("/f", O_RDWR | O_NONBLOCK)    # -> EAGAIN
label("tried")
"""


def test_any_descriptor_of_the_description_ends_the_lease(play: Play) -> None:
    play(
        "P1",
        a="""
fd = open("/f", O_RDONLY)
copy = dup(fd)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
fcntl(copy, F_GETLEASE)            # -> F_RDLCK
fcntl(copy, F_SETLEASE, F_UNLCK)   # -> 0
fcntl(fd, F_GETLEASE)              # -> F_UNLCK
""",
    )


def test_another_open_of_the_file_is_another_description(play: Play) -> None:
    play(
        "P1",
        a="""
fd = open("/f", O_RDONLY)
other = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
fcntl(other, F_GETLEASE)           # -> F_UNLCK
fcntl(other, F_SETLEASE, F_UNLCK)  # -> EAGAIN
""",
    )


def test_the_lease_ends_with_the_last_reference(play: Play) -> None:
    play(
        "P1",
        a="""
fd = open("/f", O_RDONLY)
copy = dup2(fd, 9)                 # -> 9
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
close(fd)                          # -> 0
fcntl(copy, F_GETLEASE)            # -> F_RDLCK
close(copy)                        # -> 0
open("/f", O_WRONLY)               # -> ok
""",
    )


def test_dup2_closes_what_it_replaces(play: Play) -> None:
    play(
        "P1",
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
other = open("/f", O_RDONLY)
dup2(other, fd)                    # -> 3
dup2(other, other)                 # -> 4
dup2(99, 5)                        # -> EBADF
w = open("/f", O_WRONLY)           # -> ok (the lease went with its last descriptor)
""",
    )


def test_a_mapping_alone_keeps_the_lease(play: Play) -> None:
    run = play(
        "P1",
        details={"a": HANDLER},
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
buf = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
close(fd)                          # -> 0
open("/f", O_WRONLY | O_NONBLOCK)  # -> EAGAIN
munmap(buf, PAGE)                  # -> 0
open("/f", O_WRONLY | O_NONBLOCK)  # -> ok
""",
    )
    assert len(run.taken("a")) == 1


def test_a_forked_child_shares_the_lease(play: Play) -> None:
    play(
        "P1",
        details={"child": "start = 'fork'"},
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
fork("child")                      # -> ok
wait_for("unlocked")
fcntl(fd, F_GETLEASE)              # -> F_UNLCK
""",
        child="""
fcntl(fd, F_GETLEASE)              # -> F_RDLCK
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> 0
label("unlocked")
""",
    )


def test_the_lease_outlives_its_taker_and_then_nobody_is_told(play: Play) -> None:
    run = play(
        "P1",
        details={"child": "start = 'fork'\n" + HANDLER},
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
fork("child")
exit(0)
""",
        child="""
sleep(1)
label("leased")
wait_for("tried")
fcntl(fd, F_GETLEASE)              # -> F_UNLCK
sleep(50)
""",
        opener=OPENER,
    )
    assert run.taken("a") == run.taken("child") == []


def test_the_death_of_the_only_holder_ends_the_lease(play: Play) -> None:
    play(
        "P1",
        details={"opener": ""},
        holder="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
label("leased")
pause()                            # -> EINTR (killed)
""",
        opener="""
wait_for("leased")
kill("holder", SIGKILL)            # -> 0
sleep(1)
open("/f", O_RDWR | O_NONBLOCK)    # -> ok
""",
    )


def test_a_descriptor_in_flight_keeps_the_lease(play: Play) -> None:
    run = play(
        "P1",
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
sigaction(SIGIO, SIG_IGN)          # -> 0
send_fd("b", fd)                   # -> 0
close(fd)                          # -> 0
open("/f", O_WRONLY | O_NONBLOCK)  # -> EAGAIN (in flight)
label("sent")
wait_for("received")
open("/f", O_WRONLY | O_NONBLOCK)  # -> EAGAIN (with b)
label("go")
wait_for("closed")
open("/f", O_WRONLY | O_NONBLOCK)  # -> ok
""",
        b="""
wait_for("sent")
fd = recv_fd()                     # -> 3
fcntl(fd, F_GETLEASE)              # -> F_UNLCK (it is breaking)
label("received")
wait_for("go")
close(fd)                          # -> 0
label("closed")
""",
    )
    assert run.taken("b") == []


def test_what_is_in_flight_goes_with_its_receiver(play: Play) -> None:
    play(
        "P1",
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
send_fd("b", fd)                   # -> 0
close(fd)                          # -> 0
label("sent")
sleep(1)
open("/f", O_WRONLY | O_NONBLOCK)  # -> ok
send_fd("b", 3)                    # -> EPIPE
send_fd("a", 99)                   # -> EBADF
""",
        b="""
wait_for("sent")
""",
    )


@pytest.mark.parametrize(
    ("setup", "taken"),
    [
        ("", "SIGIO: its handler runs"),
        ("fcntl(fd, F_SETSIG, SIGIO)", "SIGIO (si_fd 3): its handler runs"),
        ("fcntl(fd, F_SETSIG, SIGUSR1)", "SIGUSR1 (si_fd 3): its handler runs"),
        ("fcntl(fd, F_SETSIG, SIGUSR1)\nfcntl(fd, F_SETSIG, 0)", "SIGIO: its handler runs"),
    ],
)
def test_which_signal_and_whether_it_names_a_descriptor(play: Play, setup: str, taken: str) -> None:
    run = play(
        "P1",
        details={"a": HANDLER + "\n" + USR1},
        opener=OPENER,
        a=f"""
fd = open("/f", O_RDONLY)
{setup}
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
label("leased")
pause()                            # -> EINTR
""",
    )
    assert run.taken("a") == [taken]


def test_si_fd_is_the_number_of_the_last_setlease_even_when_it_is_closed(play: Play) -> None:
    run = play(
        "P1",
        details={"a": HANDLER},
        opener=OPENER,
        a="""
fd = open("/f", O_RDONLY)
copy = dup(fd)
fcntl(fd, F_SETSIG, SIGIO)         # -> 0
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
fcntl(copy, F_SETLEASE, F_RDLCK)   # -> 0
close(copy)                        # -> 0
label("leased")
pause()
""",
    )
    assert run.taken("a") == ["SIGIO (si_fd 4): its handler runs"]


def test_f_unlck_clears_owner_and_signal(play: Play) -> None:
    play(
        "P1",
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETOWN, 100)           # -> 0
fcntl(fd, F_SETSIG, SIGUSR1)       # -> 0
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
fcntl(fd, F_GETOWN)                # -> 100
fcntl(fd, F_GETSIG)                # -> SIGUSR1
fcntl(fd, F_SETLEASE, F_UNLCK)     # -> 0
fcntl(fd, F_GETOWN)                # -> 0
fcntl(fd, F_GETSIG)                # -> 0
fcntl(fd, F_SETSIG, 65)            # -> EINVAL
fcntl(fd, F_SETOWN, 4711)          # -> ESRCH
""",
    )


@pytest.mark.parametrize("order", ["before", "after"])
def test_f_setown_redirects_the_signal(play: Play, order: str) -> None:
    calls = ["fcntl(fd, F_SETOWN, 102)  # -> 0", "fcntl(fd, F_SETLEASE, F_RDLCK)  # -> 0"]
    steps = "\n".join(calls if order == "before" else calls[::-1])
    run = play(
        "P1",
        details={"b": HANDLER},
        opener=OPENER,
        a=f"""
fd = open("/f", O_RDONLY)
{steps}
wait_for("ready")
label("leased")
wait_for("tried")
""",
        b="""
label("ready")
sleep(1)
""",
    )
    assert (run.taken("a"), len(run.taken("b"))) == ([], 1)


def test_a_child_that_changes_the_lease_does_not_become_its_owner(play: Play) -> None:
    run = play(
        "P1",
        details={"a": HANDLER, "child": "start = 'fork'"},
        opener=OPENER,
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
fork("child")
pause()                            # -> EINTR
""",
        child="""
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
label("leased")
wait_for("tried")
""",
    )
    assert (len(run.taken("a")), run.taken("child")) == (1, [])


def test_sigio_kills_a_holder_without_handler(play: Play) -> None:
    run = play(
        "P1",
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
label("leased")
pause()                            # -> EINTR (killed)
""",
        b="""
wait_for("leased")
open("/f", O_WRONLY)               # -> blocks, ok (the lease dies with its holder)
""",
    )
    assert run.taken("a") == ["SIGIO: it kills"]
    assert run.returned("b") == 0.0


def test_the_position_is_the_descriptions(play: Play) -> None:
    play(
        "P1",
        details={"child": "start = 'fork'"},
        head='[[file]]\npath = "/f"',
        a="""
fd = open("/f", O_RDWR)
fork("child")
write(fd, "aa")                    # -> 2
wait_for("written")
read(fd, 9)                        # -> b''
lseek(fd, 0)                       # -> 0
lseek(fd, 3)                       # -> 3
write(fd, "c")                     # -> 1
read(fd, 9)                        # -> b''
lseek(fd, -1)                      # -> EINVAL
""",
        child="""
write(fd, "bb")                    # -> 2
label("written")
""",
    )


def test_appending_writes_at_the_end(play: Play) -> None:
    play(
        "P1",
        head='[[file]]\npath = "/f"',
        a="""
one = open("/f", O_WRONLY | O_APPEND)
two = open("/f", O_RDWR | O_APPEND)
write(one, "ab")                   # -> 2
write(two, "cd")                   # -> 2
write(one, "ef")                   # -> 2
lseek(two, 0)
read(two, 9)                       # -> b'abcdef'
read(one, 9)                       # -> EBADF
ro = open("/f", O_RDONLY)
write(ro, "x")                     # -> EBADF
ftruncate(ro, 0)                   # -> EINVAL
ftruncate(two, -1)                 # -> EINVAL
truncate("/f", -1)                 # -> EINVAL
""",
    )


def test_no_description_survives_its_references(play: Play) -> None:
    run = play(
        "P1",
        details={"child": "start = 'fork'"},
        a="""
fd = open("/f", O_RDWR)
copy = dup(fd)
buf = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
fork("child")
send_fd("b", fd)
close(fd)
""",
        b="""
got = recv_fd()
dup(got)
""",
        child="""
munmap(buf, PAGE)
""",
    )
    descriptions = [actor for actor in run.engine.actors.values() if isinstance(actor, OpenFileDescription)]
    assert [(file.references, file.released) for file in descriptions] == [(0, True)]


def test_two_who_write_through_one_description_do_not_write_over_each_other(play: Play) -> None:
    write = 'write(fd, "ab")                    # -> 2\n'
    details = {"child": "start = 'fork'"}
    run = play(
        "P1",
        details=details,
        head='[[file]]\npath = "/f"',
        seeds=range(60),
        child=write,
        a=f"""
fd = open("/f", O_RDWR)
fork("child")
{write}""",
    )
    for schedule in run.schedules:
        inode = schedule.engine.actors["inode:/f"]
        assert inode.view().size == 4


def test_no_reference_is_taken_on_a_description_that_has_none_left() -> None:
    engine = SteppedEngine(ORACLES["fifo"](0))
    engine.spawn(OpenFileDescription, "file:1", "inode:/f", "file", 0)
    file = engine.actors["file:1"]
    assert isinstance(file, OpenFileDescription)
    file.ref(Ref(), "process:1")
    assert [file.put(Put(), "process:1") for _ in range(2)] == [PutDone(last=False), PutDone(last=True)]
    with pytest.raises(KernelError) as error:
        file.ref(Ref(), "process:1")
    assert error.value.errno == errno.EBADF
