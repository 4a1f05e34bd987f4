"""Processes: signals and their permissions, handlers, restarts, fork, exit [1.1, 2.3.5]."""

from collections.abc import Callable
from typing import Any

Play = Callable[..., Any]

USR1 = "on_signal.SIGUSR1 = 'getpid()'"


def test_kill_and_its_permission(play: Play) -> None:
    details = {"root": "capabilities = []", "user": "uid = 1000", "target": "uid = 1000\n" + USR1}
    run = play(
        "P1",
        details=details,
        root="""
wait_for("ready")
kill("target", SIGUSR1)            # -> EPERM (uid 0, but no CAP_KILL)
kill(4711, SIGUSR1)                # -> ESRCH
kill("target", 65)                 # -> EINVAL
label("tried")
wait_for("user done")
""",
        user="""
wait_for("tried")
kill("root", 0)                    # -> EPERM
kill("target", 0)                  # -> 0
kill("target", SIGUSR1)            # -> 0 (the same uid)
label("user done")
""",
        target="""
label("ready")
pause()                            # -> EINTR
""",
    )
    assert run.taken("target") == ["SIGUSR1: its handler runs"]


def test_root_by_uid_may_be_signalled_of_a_break(play: Play) -> None:
    """send_sigio trusts the taker's uid 0 without CAP_KILL; another user's signal is dropped silently [2.3.5]."""
    opener = """
wait_for("leased")
open("/f", O_RDWR | O_NONBLOCK)    # -> EAGAIN
label("tried")
"""
    holder = """
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETOWN, 102)           # -> 0
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
label("leased")
wait_for("tried")
"""
    for uid, told in ((0, 1), (1000, 0), (5, 1)):
        details = {
            "holder": f"uid = {uid}\ncapabilities = ['CAP_LEASE']",
            "target": "uid = 5\non_signal.SIGIO = 'getpid()'",
        }
        run = play("P1", details=details, holder=holder, opener=opener, target="sleep(1)")
        assert len(run.taken("target")) == told, uid


def test_default_ignored_and_handled_signals(play: Play) -> None:
    run = play(
        "P1",
        details={"a": USR1},
        a="""
kill("a", SIGCHLD)                 # -> 0
sigaction(SIGTERM, SIG_IGN)        # -> 0
kill("a", SIGTERM)                 # -> 0
kill("a", SIGUSR1)                 # -> 0
sigaction(SIGUSR1, SIG_DFL)        # -> 0
kill("a", SIGUSR1)                 # -> 0
getpid()
""",
    )
    assert [text.partition(": ")[2] for text in run.taken("a")] == [
        "it is ignored",
        "it is ignored",
        "its handler runs",
        "it kills",
    ]
    assert run.result.calls[-1].call == "kill", "nothing runs after death"


def test_sigaction_refuses_what_it_cannot_do(play: Play) -> None:
    play(
        "P1",
        a="""
sigaction(SIGKILL, SIG_IGN)        # -> EINVAL
sigaction(SIGIO, SIG_IGN)          # -> 0
""",
    )


def test_a_handler_is_not_interrupted_by_its_own_signal(play: Play) -> None:
    run = play(
        "P1",
        details={
            "a": """on_signal.SIGUSR1 = '''
label("in handler")
sleep(5)                           # -> 0
'''"""
        },
        a="""
kill("a", SIGUSR1)
getpid()
""",
        b="""
wait_for("in handler")
kill("a", SIGUSR1)
kill("a", SIGUSR1)
""",
    )
    assert run.taken("a") == ["SIGUSR1: its handler runs"] * 2, "one is pending, the other is merged with it"
    assert run.returned("a") == 10.0


def test_restart_by_sa_restart(play: Play) -> None:
    play(
        "P1",
        details={"a": USR1, "b": USR1},
        a="""
sigaction(SIGUSR1, SIG_HANDLER, SA_RESTART)
label("ready")
wait_for("later")                  # -> 0 (made again)
sleep(100)                         # -> 0
""",
        b="""
label("ready2")
wait_for("later")                  # -> EINTR
wait_for("killed a")
sigaction(SIGUSR1, SIG_HANDLER, SA_RESTART)
kill("b", SIGUSR1)                 # -> 0
sleep(1)                           # -> 0
""",
        c="""
wait_for("ready")
wait_for("ready2")
sleep(1)
kill("a", SIGUSR1)
kill("b", SIGUSR1)
label("killed a")
sleep(1)
label("later")
""",
    )


def test_pause_and_sleep_are_never_restarted(play: Play) -> None:
    play(
        "P1",
        details={"a": USR1},
        a="""
sigaction(SIGUSR1, SIG_HANDLER, SA_RESTART)
pause()                            # -> EINTR
sleep(50)                          # -> EINTR
sleep(0)                           # -> 0
""",
        b="""
for i in range(2):
    sleep(1)
    kill("a", SIGUSR1)
""",
    )


def test_fork_copies_and_exit_ends(play: Play) -> None:
    run = play(
        "P1",
        details={"child": "start = 'fork'"},
        a="""
fd = open("/f", O_RDWR)
fork("child")                      # -> 10001
fork("child")                      # -> 10002
close(fd)                          # -> 0
exit(3)
getpid()
""",
        child="""
write(fd, "child")                 # -> 5 (its own copy of the descriptor)
close(fd)                          # -> 0
close(fd)                          # -> EBADF
""",
    )
    assert [call.call for call in run.result.calls if call.process == "a"][-1] == "exit"


def test_bad_descriptors(play: Play) -> None:
    play(
        "P1",
        a="""
close(3)                           # -> EBADF
dup(3)                             # -> EBADF
dup2(3, 4)                         # -> EBADF
read(3, 1)                         # -> EBADF
write(3, "x")                      # -> EBADF
lseek(3, 0)                        # -> EBADF
ftruncate(3, 0)                    # -> EBADF
fcntl(3, F_GETLEASE)               # -> EBADF
fd = open("/f", O_RDWR)            # -> 3
dup2(fd, -1)                       # -> EBADF
read(fd, -1)                       # -> EFAULT (no buffer is so large)
dev = ibv_open_device("rxe0")
read(dev, 1)                       # -> EINVAL
lseek(dev, 0)                      # -> ESPIPE
""",
    )


def test_exit_closes_everything_before_it_releases_anything(play: Play) -> None:
    """A dying process never waits for itself: the mapped file's release finds the device's descriptor closed [1.1]."""
    run = play(
        "P1",
        a="""
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
label("pinned")
sleep(3)
""",
        b="""
wait_for("pinned")
truncate("/f", 0)                  # -> blocks, 0
""",
    )
    assert run.returned("b") == 3.0
