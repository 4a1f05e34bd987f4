"""The administrator's view: /proc/locks, /proc/PID/file_pins, who is listed as a holder, and who is killed [2.9]."""

from collections.abc import Callable
from typing import Any

from unit.programs import CONTEXT, DEVICE, REGISTER, leases, pinned

Play = Callable[..., Any]

TAKE = "fcntl(fd, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)                   # -> 0\n"
HOLDER = DEVICE + TAKE + REGISTER
PEER = 'start = "fork"'


def test_proc_locks_shows_who_took_a_lease_dead_or_alive(play: Play) -> None:
    play(
        "P0",
        head='[[file]]\npath = "/f"\nsize = "PAGE"\n[[file]]\npath = "/a"\nsize = "PAGE"\nuid = 7\n',
        details={"child": PEER},
        a="""
proc_locks()                                                    # -> b""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)                                  # -> 0
other = open("/a", O_RDWR)
fcntl(other, F_SETLEASE, F_WRLCK)                               # -> 0
fork("child")
label("forked")
""",
        child="""
wait_for("asked")
sleep(1)
open("/f", O_WRONLY | O_NONBLOCK)                               # -> EAGAIN
proc_locks()  # -> b"1: LEASE  ACTIVE    WRITE 100 /a 0 EOF\\n2: LEASE  BREAKING  UNLCK 100 /f 0 EOF\\n"
rename("/f", "/b")                                              # -> 0
unlink("/a")                                                    # -> 0
proc_locks()  # -> b"1: LEASE  ACTIVE    WRITE 100 /a (deleted) 0 EOF\\n2: LEASE  BREAKING  UNLCK 100 /b 0 EOF\\n"
""",
        b="""
wait_for("forked")
proc_locks()  # -> b"1: LEASE  ACTIVE    WRITE 100 /a 0 EOF\\n2: LEASE  ACTIVE    READ 100 /f 0 EOF\\n"
label("asked")
""",
    )


def test_file_pins_shows_a_file_under_each_descriptor_of_the_device_that_pinned_it(play: Play) -> None:
    play(
        "P6",
        head='[[file]]\npath = "/f"\nsize = "4 * PAGE"\n[[file]]\npath = "/g"\nsize = "PAGE"\n',
        details={"child": PEER},
        a=HOLDER
        + """
file_pins("a")  # -> b"3: /dev/infiniband/uverbs0\\n   /f\\n"
g = open("/g", O_RDWR)
fcntl(g, F_SETLEASE, F_LAYOUT | F_EXCLUSIVE)                    # -> 0
map = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, g, 0)
ibv_reg_mr(pd, map, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> ok
dup(ctx)                                                        # -> 6
close(fd)
munmap(buf, 4 * PAGE)
file_pins("a")  # -> b"3: /dev/infiniband/uverbs0\\n   /f\\n   /g\\n6: /dev/infiniband/uverbs0\\n   /f\\n   /g\\n"
fork("child")
ibv_dereg_mr(mr)                                                # -> 0
label("deregistered")
pause()
""",
        child="pause()",
        b="""
wait_for("deregistered")
file_pins("child")  # -> b"3: /dev/infiniband/uverbs0\\n   /g\\n6: /dev/infiniband/uverbs0\\n   /g\\n"
file_pins("b")                                                  # -> b""
file_pins(999)                                                  # -> ESRCH
""",
    )


def test_file_pins_is_there_where_the_policy_has_it_and_shown_to_who_may_trace(play: Play) -> None:
    play("P5", a='file_pins("a")                                    # -> ENOENT\n')
    play(
        "P6",
        details={"b": "uid = 7"},
        a='wait_for("seen")\n',
        b='file_pins("a")                                       # -> EACCES\nlabel("seen")\n',
    )


def test_who_has_the_device_open_holds_the_pins_under_p6(play: Play) -> None:
    run = play(
        "P6",
        details={"child": PEER},
        a=HOLDER + 'fork("child")\nsend_fd("friend", ctx)\nlabel("shared")\npause()\n',
        child='close(fd)\nmunmap(buf, 4 * PAGE)\nlabel("closed")\npause()\n',
        friend='ctx = recv_fd()\nlabel("received")\npause()\n',
        admin="""
wait_for("shared")
wait_for("closed")
wait_for("received")
truncate("/f", 0)                                               # -> ETXTBSY
list_holders("/f")                                              # -> 3
kill_holders("/f", 0)                                           # -> 3 (nobody is hurt)
kill_holders("/f", SIGKILL)                                     # -> 3
sleep(1)
list_holders("/f")                                              # -> 0
truncate("/f", 0)                                               # -> 0
""",
    )
    assert pinned(run) == 0
    assert leases(run) == ()


def test_the_base_lists_who_took_a_lease_and_nobody_for_a_pin(play: Play) -> None:
    play(
        "P1",
        a=DEVICE + REGISTER + 'label("pinned")\npause()\n',
        admin='wait_for("pinned")\nlist_holders("/f")       # -> 0\nkill_holders("/f", SIGKILL)       # -> 0\n',
    )
    play(
        "P5",
        a=DEVICE + "fcntl(fd, F_SETLEASE, F_LAYOUT)            # -> 0\n" + REGISTER + 'send_fd("b", ctx)\npause()\n',
        b='recv_fd()\nlabel("received")\npause()\n',
        admin="""
wait_for("received")
list_holders("/f")                                              # -> 1 (who took the lease)
kill_holders("/f", SIGKILL)                                     # -> 1
sleep(1)
list_holders("/f")                                              # -> 0 (nobody: the other process has the pins)
truncate("/f", 0)                                               # -> ETXTBSY
""",
    )


def test_the_numbers_of_the_holders_are_a_variable_and_who_kills_spares_itself(play: Play) -> None:
    run = play(
        "P5",
        a=DEVICE
        + """fcntl(fd, F_SETLEASE, F_LAYOUT)                   # -> 0
list_holders("/f")                                              # -> 1
kill_holders("/f", SIGKILL)                                     # -> 0
label("numbers", holder_pids)
""",
        b='wait_for("numbers")                                  # -> b"100"\n',
    )
    assert leases(run) == ()


def test_who_may_not_kill_or_look_is_told_or_sees_less(play: Play) -> None:
    play(
        "P6",
        details={"b": "uid = 7"},
        head='[[file]]\npath = "/f"\nsize = "4 * PAGE"\n[[file]]\npath = "/g"\nsize = "PAGE"\nuid = 7\n',
        a=HOLDER + 'label("pinned")\nwait_for("seen")\n',
        b="""
wait_for("pinned")
list_holders("/f")                                              # -> 0 (/proc/PID/fd of others is not for it)
g = open("/g", O_RDONLY)
fcntl(g, F_SETLEASE, F_RDLCK)                                   # -> 0
list_holders("/g")                                              # -> 1 (itself)
list_holders("/")                                               # -> EINVAL
kill_holders("/nowhere", 9)                                     # -> ENOENT
label("seen")
""",
    )
    play(
        "P5",
        details={"b": 'uid = 7\ncapabilities = ["CAP_SYS_PTRACE"]'},
        a=DEVICE + "fcntl(fd, F_SETLEASE, F_LAYOUT)   # -> 0\n" + 'label("leased")\nwait_for("seen")\n',
        b='wait_for("leased")\nkill_holders("/f", SIGKILL)         # -> EPERM\nlabel("seen")\n',
    )


def test_a_descriptor_on_its_way_in_a_socket_is_listed_nowhere(play: Play) -> None:
    play(
        "P6",
        a=HOLDER + 'send_fd("b", ctx)\nlabel("sent")\n',
        b='wait_for("tried")\n',
        admin="""
wait_for("sent")
sleep(1)
truncate("/f", 0)                                               # -> ETXTBSY (the pins are there)
list_holders("/f")                                              # -> 0
label("tried")
""",
    )


def test_a_file_that_is_not_on_dax_has_no_pins_in_the_way(play: Play) -> None:
    play(
        "P6",
        head='[[tmpfs]]\nmount = "/tmp"\n',
        a=CONTEXT
        + """
fd = open("/tmp/x", O_RDWR | O_CREAT)
ftruncate(fd, PAGE)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)               # -> ok
list_holders("/tmp/x")                                          # -> 0
file_pins("a")                                                  # -> b""
""",
    )
