"""exec of another program of the scenario: what stays and what goes."""

from collections.abc import Callable
from typing import Any

Play = Callable[..., Any]

FORK = 'start = "fork"'


def test_descriptors_stay_without_those_that_close_on_exec(play: Play) -> None:
    play(
        "P1",
        details={"b": FORK},
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
gone = open("/f", O_RDONLY | O_CLOEXEC)
copy = dup(gone)
me = getpid()
exec("b")                          # -> hangs
""",
        b="""
fcntl(fd, F_GETLEASE)              # -> F_RDLCK
read(gone, 1)                      # -> EBADF
read(copy, 1)                      # -> b"\\x00"
kill(me, 0)                        # -> 0
getpid()                           # -> 100
""",
    )


def test_a_lease_whose_only_descriptor_closes_on_exec_is_gone(play: Play) -> None:
    play(
        "P1",
        details={"b": FORK},
        a='fd = open("/f", O_RDONLY | O_CLOEXEC)\nfcntl(fd, F_SETLEASE, F_RDLCK)\nexec("b")\n',
        b='open("/f", O_WRONLY | O_NONBLOCK)  # -> ok\n',
    )


def test_memory_is_left_behind(play: Play) -> None:
    play(
        "P1",
        details={"b": FORK + "\non_signal.SIGSEGV = 'label(\"fault\")'"},
        a='fd = open("/f", O_RDWR)\nm = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)\nload(m, 1)  # -> ok\nexec("b")\n',
        b="load(m, 1)  # -> EFAULT\n",
    )


def test_a_mapping_that_kept_a_lease_takes_it_along(play: Play) -> None:
    play(
        "P1",
        details={"a": "on_signal.SIGIO = 'label(\"told\")'", "b": FORK},
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
m = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)
close(fd)
open("/f", O_WRONLY | O_NONBLOCK)  # -> EAGAIN
exec("b")
""",
        b='open("/f", O_WRONLY | O_NONBLOCK)  # -> ok\n',
    )


def test_handlers_go_and_those_of_the_new_program_come(play: Play) -> None:
    run = play(
        "P1",
        details={
            "a": "on_signal.SIGUSR1 = 'label(\"old\")'\non_signal.SIGUSR2 = 'label(\"old\")'",
            "b": FORK + "\non_signal.SIGUSR2 = 'label(\"new\")'",
        },
        a='me = getpid()\nkill(me, SIGUSR2)\nexec("b")\n',
        b='kill(me, SIGUSR2)\nwait_for("new")\nkill(me, SIGUSR1)\nlabel("never")\n',
    )
    assert run.taken("a") == ["SIGUSR2: its handler runs", "SIGUSR2: its handler runs", "SIGUSR1: it kills"]


def test_ignored_and_blocked_signals_stay(play: Play) -> None:
    play(
        "P1",
        details={"b": FORK},
        a='me = getpid()\nsigaction(SIGUSR1, SIG_IGN)\nsigprocmask(SIG_BLOCK, SIGTERM)\nkill(me, SIGTERM)\nexec("b")\n',
        b="kill(me, SIGUSR1)  # -> 0\nsigtimedwait()  # -> SIGTERM\nsigtimedwait()  # -> EAGAIN\n",
    )


def test_pins_outlive_exec_and_stay_charged_to_the_memory_left_behind(play: Play) -> None:
    play(
        "P1",
        details={"a": "uid = 1000\nmemlock = 4096", "b": FORK},
        a="""
fd = open("/f", O_RDWR)
m = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
mr = ibv_reg_mr(pd, m, PAGE, IBV_ACCESS_LOCAL_WRITE)  # -> ok
ibv_reg_mr(pd, m, PAGE, IBV_ACCESS_LOCAL_WRITE)  # -> ENOMEM
exec("b")
""",
        b="""
n = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ibv_reg_mr(pd, n, PAGE, IBV_ACCESS_LOCAL_WRITE)  # -> ok
ibv_dereg_mr(mr)                   # -> 0
""",
    )


def test_a_handler_that_was_left_by_exec_is_returned_to_by_nobody(play: Play) -> None:
    """The frames on the stack go with it, so what the new program's handlers find is not overwritten afterwards."""
    play(
        "P1",
        a='kill("a", SIGUSR1)',
        details={"a": "on_signal.SIGUSR1 = 'exec(\"b\")'", "b": "start = \"fork\"\non_signal.SIGUSR2 = 'getpid()'"},
        b="""
kill("a", SIGUSR2)                       # -> 0
label("seen", si_signo)
wait_for("seen")                         # -> 12
""",
    )
