"""Threads: what they share and what each has for itself, how one ends and how all do [1.1.1, 1.12]."""

from collections.abc import Callable
from typing import Any

import pytest

from longpin.actors.process.process import Process
from longpin.config.loader import parse_scenario
from longpin.config.problems import ScenarioError
from longpin.runner.exploration import Exploration, Method, explore
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

Play = Callable[..., Any]

THREAD = 'start = "thread"'


def explored(policy: str = "P0", *, method: Method = Method.DPOR, verify: bool = False, **programs: str) -> Exploration:
    """Explore processes; those whose names begin with ``t`` are threads, with ``c`` children."""
    text = f'name = "test"\npolicy = "{policy}"\n[[file]]\npath = "/f"\nsize = "PAGE"\n'
    for name, program in programs.items():
        start = {"t": THREAD, "c": 'start = "fork"'}.get(name[0], "")
        text += f"[[process]]\nname = \"{name}\"\nprogram = '''{program}'''\n{start}\n"
    scenario = parse_scenario(text, "test.toml")
    subject = Subject(scenario, Settings.of(scenario))
    return explore(subject.build, check=subject.check, always=subject.always, method=method, verify=verify)


def holds(exploration: Exploration) -> bool:
    return exploration.complete and not exploration.failures


# What they share.


def test_threads_have_descriptors_and_memory_in_common_and_variables_of_their_own(play: Play) -> None:
    run = play(
        "P0",
        details={"t": THREAD},
        a="""
fd = open("/f", O_RDWR)              # -> 3
t = clone("t")                       # -> 10001
own = gettid()                       # -> 100
pthread_join(t)                      # -> 0
read(4, 3)                           # -> b"new"
buf = wait_for("buf")
load(buf, 3)                         # -> b"new"
munmap(buf, PAGE)                    # -> 0
close(fd)                            # -> 0
label("fd", fd)
wait_for("fd")                       # -> 3
""",
        t="""
getpid()                             # -> 100
gettid()                             # -> 10001
copy = open("/f", O_RDWR)            # -> 4
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
store(buf, "new")                    # -> 0
label("buf", buf)
fd = dup(copy)                       # -> 5
""",
    )
    process = run.engine.actors["process:100"]
    assert isinstance(process, Process)
    assert process.dead
    assert "copy" not in process.leader.variables


def test_a_descriptor_number_is_taken_while_the_open_waits(play: Play) -> None:
    """Measured: the number of an open that waits for a lease is nobody else's, and dup2 onto it is EBUSY."""
    play(
        "P0",
        details={"t": THREAD},
        holder="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETSIG, SIGURG)
fcntl(fd, F_SETLEASE, F_RDLCK)
label("leased")
sleep(60)
""",
        a="""
wait_for("leased")
clone("t")
sleep(1)
dup(0)                               # -> EBADF
r = pipe()                           # -> 4
dup2(r, 3)                           # -> EBUSY
dup2(r, 6)                           # -> 6
sleep(60)
dup2(r, 3)                           # -> 3
""",
        t='open("/f", O_WRONLY)              # -> blocks, 3\nsleep(90)\n',
    )


def test_a_file_that_another_thread_closes_stays_while_a_call_uses_it(play: Play) -> None:
    """The lease goes with the call that reads, not with the close."""
    play(
        "P0",
        details={"t": THREAD},
        a="""
r = pipe()
clone("t")
read(r, 4)                           # -> blocks, b"last"
close(r)                             # -> EBADF
""",
        t="""
sleep(1)
close(r)                             # -> 0
write(pipe_w, "last")                # -> 4
""",
    )


def test_the_last_user_releases_what_was_closed(play: Play) -> None:
    run = play(
        "P0",
        details={"t": THREAD},
        a="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)
fcntl(fd, F_SETSIG, SIGURG)
clone("t")
flock(fd, LOCK_EX)                   # -> blocks, 0
sleep(1)
""",
        t="""
sleep(1)
close(fd)                            # -> 0
label("closed")
sleep(2)
""",
        b="""
o = open("/f", O_RDONLY)
flock(o, LOCK_EX)                    # -> 0
wait_for("closed")
fcntl(o, F_SETLEASE, F_WRLCK)        # -> EAGAIN (the other description is open still)
close(o)
""",
        seeds=range(0),
    )
    assert run.result.verdict == "holds"


# Signals.

BLOCKED = 'sigprocmask(SIG_BLOCK, SIGUSR1)\nlabel("blocked")\n'


@pytest.mark.parametrize("first_blocks", [False, True])
def test_a_signal_finds_a_thread_that_does_not_block_it(play: Play, first_blocks: bool) -> None:
    blocks, takes = BLOCKED + "sleep(1)   # -> 0\n", 'wait_for("blocked")\nlabel("waits")\npause()   # -> EINTR\n'
    first, second = (blocks, takes) if first_blocks else (takes, blocks)
    play(
        "P0",
        details={"t": THREAD, "a": "on_signal.SIGUSR1 = 'label(\"taken\")'"},
        a=f'clone("t")\n{first}exit(0)\n',
        t=second,
        b='wait_for("waits")\nsleep(0.5)\nkill("a", SIGUSR1)\n',
    )


def test_a_signal_for_a_thread_is_pending_there_alone(play: Play) -> None:
    play(
        "P0",
        details={"t": THREAD},
        a="""
sigprocmask(SIG_BLOCK, SIGUSR1, SIGRTMIN + 1)
t = clone("t")
tgkill(100, t, SIGUSR1)              # -> 0
tgkill("a", t, SIGRTMIN + 1)         # -> 0
sigtimedwait()                       # -> EAGAIN
label("sent")
tgkill(100, 100, SIGUSR1)            # -> 0
sigtimedwait()                       # -> SIGUSR1
tgkill(100, 9999, 0)                 # -> ESRCH
tgkill(100, 9999, 70)                # -> ESRCH
tgkill(100, t, 70)                   # -> EINVAL
tgkill(t, t, 0)                      # -> ESRCH (that is no process)
tgkill(100, 0, 0)                    # -> EINVAL
kill(t, 0)                           # -> 0 (its process)
label("over")
pthread_join(t)                      # -> 0
""",
        t="""
wait_for("sent")
sigtimedwait()                       # -> SIGUSR1
sigtimedwait()                       # -> SIGRTMIN + 1
sigtimedwait()                       # -> EAGAIN
wait_for("over")
""",
    )


def test_the_signal_of_a_fault_is_its_own_threads(play: Play) -> None:
    play(
        "P0",
        details={"t": THREAD, "a": "on_signal.SIGSEGV = 'gettid()   # -> 10001'"},
        a='t = clone("t")\npthread_join(t)   # -> 0\n',
        t="load(0, 1)                           # -> EFAULT\n",
    )


def test_a_thread_that_blocks_a_signal_leaves_it_to_another() -> None:
    """Whichever of the two it found first, one takes it: none is lost."""
    result = explored(
        a='sigprocmask(SIG_BLOCK, SIGUSR1)\nt = clone("t1")\nkill(100, SIGUSR1)\nsigtimedwait(1)   # -> ok\n',
        t1="sigprocmask(SIG_BLOCK, SIGUSR2)\n",
    )
    assert holds(result)


def test_all_threads_stop_at_once(play: Play) -> None:
    """A thread stops whatever it does; the parent is told once all have, and calls go on after it."""
    play(
        "P0",
        details={"t": THREAD, "c": 'start = "fork"'},
        p="""
child = fork("c")
wait_for("up")
sleep(1)
kill(child, SIGSTOP)                 # -> 0
waitpid(child, WUNTRACED)            # -> ok
sleep(5)
kill(child, SIGCONT)
waitpid(child, WCONTINUED)           # -> ok
waitpid(child)                       # -> ok
label("status", wait_status)
wait_for("status")                   # -> 768
""",
        c='clone("t")\nlabel("up")\nsleep(3)   # -> 0\nsleep(10)\n',
        t="sleep(2)   # -> 0\nsleep(7)\nexit(3)\n",
    )


# Ends.


def test_the_end_of_a_thread_is_its_own(play: Play) -> None:
    play(
        "P0",
        details={"t": THREAD, "u": THREAD},
        a="""
t = clone("t")
u = clone("u")
pthread_join(t)                      # -> 0
pthread_join(t)                      # -> ESRCH
pthread_join(100)                    # -> EDEADLK
pthread_join(12345)                  # -> ESRCH
label("go")
pthread_join(u)                      # -> 0
""",
        t="pthread_exit()\nclose(99)   # -> optional, 0\n",
        u='wait_for("go")\n',
    )


def test_exit_ends_all(play: Play) -> None:
    play(
        "P0",
        details={"t": THREAD, "c": 'start = "fork"'},
        p='child = fork("c")\nwaitpid(child)   # -> ok\nlabel("s", wait_status)\nwait_for("s")   # -> 1792\n',
        c='clone("t")\npause()   # -> hangs\n',
        t="exit(7)\n",
    )


def test_so_does_the_last_line_of_the_first_thread(play: Play) -> None:
    run = play("P0", details={"t": THREAD}, a='clone("t")\nsleep(1)\n', t="pause()   # -> hangs\n")
    assert run.ended("a") == 1


def test_a_process_lives_until_its_last_thread_ends(play: Play) -> None:
    """The first thread can end before the others: its number stays, and finds them."""
    play(
        "P0",
        details={"t": THREAD, "c": 'start = "fork"'},
        p="""
child = fork("c")
wait_for("alone")
waitpid(child, WNOHANG)              # -> 0
kill(child, SIGRTMIN + 5)            # -> 0
waitpid(child)                       # -> ok
label("s", wait_status)
wait_for("s")                        # -> 0
""",
        c='sigprocmask(SIG_BLOCK, SIGRTMIN + 5)\nclone("t")\npthread_exit()\n',
        t='pthread_join(10001)   # -> 0\nlabel("alone")\nsigwaitinfo()   # -> SIGRTMIN + 5\npthread_exit()\n',
    )


def test_a_deadly_signal_ends_all(play: Play) -> None:
    run = play(
        "P0",
        details={"t": THREAD},
        a='clone("t")\nlabel("up")\npause()   # -> hangs\n',
        t="sigprocmask(SIG_BLOCK, SIGTERM)\npause()   # -> hangs\n",
        b='wait_for("up")\nsleep(1)\nkill("a", SIGTERM)\n',
    )
    process = run.engine.actors["process:100"]
    assert (process.dead, process.killed) == (True, 15)


def test_a_program_that_is_executed_has_the_process_for_itself(play: Play) -> None:
    """The thread that executes it has the process's number from then on, and nobody its own."""
    play(
        "P0",
        details={"t": THREAD, "u": THREAD, "c": 'start = "fork"'},
        a='clone("t")\nu = clone("u")\npause()   # -> hangs\n',
        t='exec("c")\n',
        u="sleep(1000)   # -> hangs\n",
        c="""
gettid()                             # -> 100
tgkill(100, 10001, 0)                # -> ESRCH
pthread_join(u)                      # -> ESRCH
""",
    )


def test_a_thread_that_cannot_be_killed_keeps_the_descriptors(play: Play) -> None:
    """Up to 6.12 it waits for a lock that is not free again, so the exit of the process is not over."""
    play(
        "P1:intended,kernel=6.12",
        violates=["O3"],
        details={"t": THREAD},
        pinner="""
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)   # -> ok
label("pinned")
pause()
""",
        a="""
wait_for("pinned")
fd = open("/f", O_RDWR)
flock(fd, LOCK_EX)                   # -> 0
sleep(0.5)
clone("t")
sleep(1)
exit(0)
""",
        t='chmod("/f", 0o600)                   # -> hangs (for the lock of the truncate)\n',
        c='wait_for("pinned")\ntruncate("/f", 0)   # -> hangs\n',
        b='sleep(2)\no = open("/f", O_RDONLY)\nflock(o, LOCK_EX | LOCK_NB)   # -> EAGAIN\n',
    )


# Leases.


def test_a_lease_taken_by_a_thread_tells_the_process_while_the_thread_lives(play: Play) -> None:
    """Measured: F_GETOWN says 0, the signal comes all the same; once the thread is gone nobody is told."""
    play(
        "P0",
        details={"t": THREAD},
        a="""
sigprocmask(SIG_BLOCK, SIGUSR1)
t = clone("t")
fd = wait_for("leased")
fcntl(fd, F_GETOWN)                  # -> 0
fcntl(fd, F_GETOWN_EX)               # -> 0
label("type", owner_type)
wait_for("type")                     # -> F_OWNER_PID
label("looked")
sigtimedwait(1)                      # -> SIGUSR1
fcntl(fd, F_SETLEASE, F_UNLCK)       # -> 0
label("again")
fd = wait_for("leased again")
pthread_join(t)
sleep(1)
label("gone")
wait_for("broken")
sigtimedwait(50)                     # -> EAGAIN
""",
        t="""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETSIG, SIGUSR1)
fcntl(fd, F_SETLEASE, F_RDLCK)       # -> 0
label("leased", fd)
wait_for("again")
fcntl(fd, F_SETSIG, SIGUSR1)
fcntl(fd, F_SETLEASE, F_RDLCK)       # -> 0
label("leased again", fd)
""",
        b="""
wait_for("looked")
open("/f", O_WRONLY | O_NONBLOCK)    # -> EAGAIN
wait_for("gone")
open("/f", O_WRONLY | O_NONBLOCK)    # -> EAGAIN
label("broken")
""",
    )


@pytest.mark.parametrize(("signal", "queued"), [("SIGURG", "SIGURG"), ("SIGRTMIN + 2", "SIGRTMIN + 2")])
def test_a_break_is_told_to_a_thread_alone(play: Play, signal: str, queued: str) -> None:
    """F_OWNER_TID: a library has a thread for it that blocks all signals; the process is never interrupted."""
    play(
        "P0",
        details={"t": THREAD},
        a=f"""
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETSIG, {signal})
t = clone("t")
fcntl(fd, F_SETOWN_EX, F_OWNER_TID, t)  # -> 0
fcntl(fd, F_GETOWN)                  # -> 10001
fcntl(fd, F_GETOWN_EX)               # -> 10001
fcntl(fd, F_SETLEASE, F_RDLCK)
label("leased")
sleep(2)                             # -> 0
pthread_join(t)
sleep(1)
fcntl(fd, F_GETOWN)                  # -> 0
fcntl(fd, F_SETOWN_EX, F_OWNER_TID, t)  # -> ESRCH
""",
        t=f"sigprocmask(SIG_BLOCK, {signal})\nsigtimedwait(2)   # -> {queued}\n",
        b='wait_for("leased")\nsleep(1)\nopen("/f", O_WRONLY | O_NONBLOCK)   # -> EAGAIN\n',
    )


# Rights.


def test_the_user_is_the_processs_and_the_fsuid_the_threads(play: Play) -> None:
    play(
        "P0",
        head='[[file]]\npath = "/f"\nsize = "PAGE"\nmode = 0o600\n',
        details={"t": THREAD, "u": THREAD},
        a="""
t = clone("t")
pthread_join(t)
open("/f", O_RDONLY)                 # -> ok
clone("u")
setuid(1000)                         # -> 0
label("changed")
sleep(1)
""",
        t='setfsuid(1000)   # -> 0\nopen("/f", O_RDONLY)   # -> EACCES\n',
        u='wait_for("changed")\nopen("/f", O_RDONLY)   # -> EACCES\n',
    )


# Every schedule.

RACES: dict[str, dict[str, Any]] = {
    "who joins and who looks for the number": {
        "a": 't = clone("t1")\npthread_join(t)   # -> 0\ntgkill(100, t, 0)\n',
        "t1": "getpid()\n",
    },
    "two threads end the process": {"a": 'clone("t1")\nexit(1)\n', "t1": "exit(2)\n"},
    "a program is executed while the process ends": {
        "a": 'clone("t1")\nexit(1)\n',
        "t1": 'exec("c1")\n',
        "c1": "gettid()   # -> optional, 100\n",
    },
    "a close under a read": {
        "a": 'fd = open("/f", O_RDONLY)\nclone("t1")\nread(fd, 1)\n',
        "t1": "close(fd)   # -> 0\n",
    },
    "a signal for one of two": {
        "a": 'sigprocmask(SIG_BLOCK, SIGUSR1)\nclone("t1")\nsigtimedwait()\n',
        "t1": "kill(100, SIGUSR1)\nsigtimedwait()\n",
    },
}


@pytest.mark.parametrize("name", RACES)
def test_two_searches_see_the_same_and_footprints_are_true(name: str) -> None:
    by_trace, by_state = explored(verify=True, **RACES[name]), explored(method=Method.STATES, **RACES[name])
    assert holds(by_trace), by_trace.failures
    assert holds(by_state), by_state.failures
    assert by_trace.executions > 1


# Scenario files.


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("program = 'clone(\"x\")'", "expected a process with start = \"thread\", found 'x'"),
        ("program = 'pause()'", "process.t.start: expected a thread that some program makes, found no clone('t')"),
        ("program = 'fork(\"t\")'", "expected a process with start = \"fork\", found 't'"),
        ('program = \'clone("t")\nkill("t", 0)\'', "expected the name of a process, found 't'"),
        ("program = 'clone(\"t\")'", ""),
    ],
)
def test_what_a_scenario_may_say_of_threads(more: str, message: str) -> None:
    more = more.replace("'", "'''") if "program" in more else more
    text = f'name = "x"\n[[process]]\nname = "a"\n{more}\n[[process]]\nname = "t"\n{THREAD}\nprogram = "pause()"\n'
    if not message:
        parse_scenario(text, "x.toml")
        text += "uid = 5\n"
        message = (
            'process.t.uid: expected no such key with start = "thread": a thread has what its process has, found uid'
        )
    with pytest.raises(ScenarioError) as told:
        parse_scenario(text, "x.toml")
    assert message in str(told.value)
