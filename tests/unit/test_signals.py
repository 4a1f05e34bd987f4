"""Signals: when they are taken, in which order, and what becomes of the call they interrupt [1.12].

What is marked "measured" was seen on Linux 6.18 with small C programs running free.
"""

from collections.abc import Callable
from typing import Any

import pytest

from longpin.config.loader import parse_scenario
from longpin.runner.exploration import Exploration, explore
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

Play = Callable[..., Any]

OWN_BREAK = """
a = open("/f", O_RDONLY)
fcntl(a, F_SETSIG, {signo})
fcntl(a, F_SETLEASE, F_RDLCK)
open("/f", O_WRONLY | O_NONBLOCK)    # -> EAGAIN
"""
"""A process that is told of the break of its own lease."""


def handlers(**programs: str) -> str:
    return "\n".join(f"on_signal.{name} = '''\n{program}'''" for name, program in programs.items())


def explored(details: str = "", /, policy: str = "P0", **programs: str) -> Exploration:
    """Explore processes of these programs; ``details`` is more of the first one's table."""
    text = f'name = "test"\npolicy = "{policy}"\n[[file]]\npath = "/f"\nsize = "2 * PAGE"\n'
    for index, (name, program) in enumerate(programs.items()):
        text += f"[[process]]\nname = \"{name}\"\nprogram = '''{program}'''\n{'' if index else details}\n"
    scenario = parse_scenario(text, "test.toml")
    subject = Subject(scenario, Settings.of(scenario))
    return explore(subject.build, check=subject.check, always=subject.always)


# Between two calls.


def test_a_signal_can_come_between_two_calls() -> None:
    """Measured: EBADF in 51 of 2,000 runs."""
    result = explored(
        handlers(SIGIO="close(a)"),
        h="""
a = open("/f", O_RDONLY)
fcntl(a, F_SETLEASE, F_RDLCK)
fcntl(a, F_GETLEASE)            # -> ok
""",
        b='open("/f", O_WRONLY)',
    )
    assert [failure.broken.site for failure in result.failures] == ["fcntl of h: EBADF"]


def test_it_can_come_between_lease_and_pin() -> None:
    result = explored(
        handlers(SIGIO="fcntl(fd, F_SETLEASE, F_UNLCK)"),
        policy="P5:intended",
        app="""
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
fcntl(fd, F_SETLEASE, F_LAYOUT)
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)   # -> ok
""",
        t='fd = open("/f", O_RDWR)\nwrite(fd, "x")',
    )
    assert [failure.broken.site for failure in result.failures] == ["ibv_reg_mr of app: EPERM"]


@pytest.mark.parametrize("last", ["exit(0)", ""])
def test_it_can_come_before_the_end(last: str) -> None:
    """Measured: killed by SIGIO in 3 of 501 runs, after the last line of the program."""
    result = explored(
        h=f"""
a = open("/f", O_RDONLY)
fcntl(a, F_SETLEASE, F_RDLCK)
label("l")
{last}
""",
        v='wait_for("l")\nopen("/f", O_WRONLY)\nkill("h", 0)  # -> ESRCH',
    )
    assert "kill of v: success" in [failure.broken.site for failure in result.failures]


def test_it_can_come_between_the_calls_of_a_handler() -> None:
    result = explored(
        handlers(SIGUSR1="getpid()\naccess('/f')\nfd = open('/f', O_RDONLY)  # -> 0x3", SIGUSR2="dup(0 - 1)\npipe()"),
        a='label("up")\npause()',
        b='wait_for("up")\nkill("a", SIGUSR1)\nkill("a", SIGUSR2)',
    )
    assert [failure.broken.site for failure in result.failures] == ["open of a: success"]


def test_it_can_come_before_a_call_is_made_again() -> None:
    """The handler of the second signal runs after that of the first and before the call is restarted."""
    result = explored(
        handlers(SIGUSR1="getpid()", SIGUSR2="unlink('/f')"),
        a="""
sigaction(SIGUSR1, SIG_HANDLER, SA_RESTART)
sigaction(SIGUSR2, SIG_HANDLER, SA_RESTART)
label("up")
open("/f", O_WRONLY)    # -> ok
""",
        holder='fd = open("/f", O_RDONLY)\nsigaction(SIGIO, SIG_IGN)\nfcntl(fd, F_SETLEASE, F_RDLCK)',
        b='wait_for("up")\nkill("a", SIGUSR1)\nkill("a", SIGUSR2)',
    )
    assert [failure.broken.site for failure in result.failures] == ["open of a: ENOENT"]


def test_a_label_says_nothing_of_the_next_call() -> None:
    """Measured: pause hangs in 30 of 500 runs. sigsuspend with the signal blocked before cannot miss it."""
    holder = """
{block}
a = open("/f", O_RDONLY)
fcntl(a, F_SETLEASE, F_RDLCK)
label("leased")
{wait}                         # -> EINTR
"""
    details = handlers(SIGIO="fcntl(a, F_SETLEASE, F_UNLCK)")
    breaker = 'wait_for("leased")\nopen("/f", O_WRONLY)'
    lost = explored(details, h=holder.format(block="", wait="pause()"), b=breaker)
    assert [failure.broken.site for failure in lost.failures] == ["pause of h: no return"]
    for wait in ("sigsuspend()", "ppoll(60)", "ppoll(None)"):
        kept = explored(details, h=holder.format(block="sigprocmask(SIG_BLOCK, SIGIO)", wait=wait), b=breaker)
        assert (kept.verdict, kept.complete, kept.failures) == ("holds", True, []), wait


# Order, frames, and restarts.


def test_the_first_taken_lies_lowest(play: Play) -> None:
    """Measured: SIGUSR1, the lower number, is taken first, so the handler of SIGIO runs first."""
    run = play(
        "P0",
        details={"p": handlers(SIGUSR1='access("/f")', SIGIO='stat("/f")')},
        p='sigprocmask(SIG_BLOCK, SIGIO, SIGUSR1)\nkill("p", SIGIO)\nkill("p", SIGUSR1)\n'
        "sigprocmask(SIG_UNBLOCK, SIGIO, SIGUSR1)\ngetpid()",
    )
    assert run.taken("p") == ["SIGIO: its handler runs", "SIGUSR1: its handler runs"]
    assert [call.call for call in run.result.calls][-3:] == ["stat", "access", "getpid"]


def test_faults_and_their_like_come_before_all_others(play: Play) -> None:
    run = play(
        "P0",
        details={"p": handlers(SIGUSR1="getpid()", SIGSEGV="getpid()", SIGHUP="getpid()")},
        p="""
sigprocmask(SIG_BLOCK, SIGUSR1, SIGHUP, SIGSEGV)
kill("p", SIGUSR1)
kill("p", SIGHUP)
kill("p", SIGSEGV)
sigprocmask(SIG_SETMASK, 0)
""",
    )
    assert [text.partition(":")[0] for text in run.taken("p")] == ["SIGUSR1", "SIGHUP", "SIGSEGV"], "taken in reverse"


@pytest.mark.parametrize(
    ("restarts", "ends"),
    [("SIGUSR1", "0"), ("SIGIO", "EINTR")],
)
def test_the_first_taken_decides_about_a_restart(play: Play, restarts: str, ends: str) -> None:
    """Measured: with SA_RESTART for the lower number alone the truncate is made again."""
    other = {"SIGUSR1": "SIGIO", "SIGIO": "SIGUSR1"}[restarts]
    play(
        "P0",
        details={
            "p": handlers(SIGUSR1="fcntl(a, F_SETLEASE, F_UNLCK)", SIGIO="fcntl(b, F_SETLEASE, F_UNLCK)"),
        },
        p=f"""
sigaction({restarts}, SIG_HANDLER, SA_RESTART)
sigaction({other}, SIG_HANDLER)
a = open("/f", O_RDONLY)
b = open("/f", O_RDONLY)
fcntl(a, F_SETSIG, SIGUSR1)
fcntl(b, F_SETSIG, SIGIO)
fcntl(a, F_SETLEASE, F_RDLCK)
fcntl(b, F_SETLEASE, F_RDLCK)
truncate("/f", 0)                    # -> {ends}
""",
    )


def test_a_handler_that_returns_puts_the_mask_back(play: Play) -> None:
    run = play(
        "P0",
        details={"p": handlers(SIGUSR1="sigprocmask(SIG_UNBLOCK, SIGUSR1)\nsigprocmask(SIG_BLOCK, SIGUSR2)")},
        p="""
kill("p", SIGUSR1)
sigaction(SIGUSR2, SIG_IGN)
kill("p", SIGUSR2)                   # -> 0
sigtimedwait()                       # -> EAGAIN (it was ignored: not blocked any more)
kill("p", SIGUSR1)                   # -> 0
""",
    )
    assert [text for text in run.taken("p") if "handler" in text] == ["SIGUSR1: its handler runs"] * 2


def test_a_handler_sees_its_own_siginfo_again(play: Play) -> None:
    """si_signo of an outer handler is what it was after an inner one has returned; the program sees the last one's."""
    play(
        "P0",
        details={
            "p": handlers(
                SIGIO="kill('p', SIGUSR1)\nfcntl(a, F_SETSIG, si_signo)\nfcntl(a, F_GETSIG)   # -> SIGIO",
                SIGUSR1="fcntl(a, F_SETSIG, si_signo)\nfcntl(a, F_GETSIG)   # -> SIGUSR1",
            )
        },
        p='a = open("/f", O_RDONLY)\nkill("p", SIGIO)\nfcntl(a, F_SETSIG, si_signo)\nfcntl(a, F_GETSIG)   # -> SIGIO',
    )


def test_a_call_has_returned_before_a_handler_that_does_not_restart_it(play: Play) -> None:
    play(
        "P0",
        details={"p": handlers(SIGUSR1="close(x)   # -> EBADF")},
        p='x = open("/f", O_RDONLY)\nlabel("open")\nx = wait_for("never")   # -> EINTR',
        q='wait_for("open")\nsleep(1)\nkill("p", SIGUSR1)\nsleep(1)\nlabel("never")',
    )


# Ignored, blocked, flushed.


def test_what_is_blocked_is_not_thrown_away(play: Play) -> None:
    """Measured: an ignored and blocked signal stays pending."""
    play(
        "P0",
        p="sigaction(SIGIO, SIG_IGN)\nsigprocmask(SIG_BLOCK, SIGIO)"
        + OWN_BREAK.format(signo=0)
        + "sigtimedwait()   # -> SIGIO",
    )


@pytest.mark.parametrize("signo", ["SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH"])
def test_ignored_by_default(play: Play, signo: str) -> None:
    """Measured: SIGWINCH and the others do nothing; blocked they stay pending, and SIG_DFL flushes them."""
    play(
        "P0",
        p=OWN_BREAK.format(signo=signo)
        + f"""
getpid()                             # -> 100
sigprocmask(SIG_BLOCK, {signo})
kill("p", {signo})
sigtimedwait()                       # -> {signo}
kill("p", {signo})
sigaction({signo}, SIG_DFL)
sigtimedwait()                       # -> EAGAIN
""",
    )


def test_ignoring_flushes_what_is_pending(play: Play) -> None:
    """Measured: after SIG_IGN there is nothing to wait for, and to unblock it then kills nobody."""
    play(
        "P0",
        p="sigprocmask(SIG_BLOCK, SIGIO)"
        + OWN_BREAK.format(signo=0)
        + """
sigaction(SIGIO, SIG_IGN)            # -> 0
sigtimedwait()                       # -> EAGAIN
sigprocmask(SIG_UNBLOCK, SIGIO)      # -> 0
getpid()                             # -> 100
""",
    )


def test_the_mask_as_a_whole(play: Play) -> None:
    play(
        "P0",
        p="""
sigprocmask(SIG_SETMASK, SIGUSR1, SIGUSR2, SIGKILL)   # -> 0
kill("p", SIGUSR2)
kill("p", SIGUSR1)
sigtimedwait()                       # -> SIGUSR1
sigprocmask(SIG_SETMASK, SIGUSR2)    # -> 0
sigprocmask(SIG_BLOCK)               # -> 0
sigtimedwait()                       # -> SIGUSR2
sigprocmask(SIG_BLOCK, 65)           # -> EINVAL
sigprocmask(SIG_BLOCK, 0 - 1)        # -> EINVAL
sigprocmask(7, SIGUSR1)              # -> EINVAL
sigprocmask(SIG_SETMASK, 0)          # -> 0
sigtimedwait()                       # -> EAGAIN
""",
    )


def test_real_time_signals_queue_from_32_on(play: Play) -> None:
    """Measured: two levels of a break with F_SETSIG 32 are two signals; with SIGUSR1 one."""
    for signo, second in ((32, 32), ("SIGRTMIN", "SIGRTMIN"), ("SIGUSR1", "EAGAIN")):
        play(
            "P0",
            p=f"""
sigprocmask(SIG_BLOCK, {signo})
a = open("/f", O_RDWR)
fcntl(a, F_SETSIG, {signo})
fcntl(a, F_SETLEASE, F_WRLCK)
open("/f", O_RDONLY | O_NONBLOCK)
open("/f", O_WRONLY | O_NONBLOCK)
sigtimedwait()                       # -> {signo}
sigtimedwait()                       # -> {second}
sigtimedwait()                       # -> EAGAIN
""",
        )


def test_without_room_a_lease_falls_back_on_sigio(play: Play) -> None:
    """RLIMIT_SIGPENDING: a real-time F_SETSIG becomes plain SIGIO without si_fd; kill(2) loses what it carries."""
    program = """
sigprocmask(SIG_BLOCK, SIGRTMIN, SIGIO)
{limit}
a = open("/f", O_RDONLY)
fcntl(a, F_SETSIG, SIGRTMIN)
fcntl(a, F_SETLEASE, F_RDLCK)
open("/f", O_WRONLY | O_NONBLOCK)
sigtimedwait()                       # -> SIGIO
dup(si_fd)                           # -> EBADF
kill("p", SIGRTMIN)                  # -> 0
kill("p", SIGRTMIN)                  # -> 0
sigtimedwait()                       # -> SIGRTMIN
sigtimedwait()                       # -> EAGAIN
"""
    play("P0", p=program.format(limit="setrlimit(RLIMIT_SIGPENDING, 0)   # -> 0"))
    play("P0", p=program.format(limit=""), details={"p": "sigpending = 0"})


# Death, stop, and going on.


def test_a_deadly_signal_comes_before_a_handler(play: Play) -> None:
    """A signal that kills by default is not queued behind others: the handler of SIGUSR1 never runs."""
    run = play(
        "P0",
        details={"p": handlers(SIGUSR1='label("handled")')},
        p='sigprocmask(SIG_BLOCK, SIGUSR1, SIGTERM)\nkill("p", SIGUSR1)\nkill("p", SIGTERM)\n'
        "sigprocmask(SIG_SETMASK, 0)\ngetpid()",
    )
    assert run.result.calls[-1].call == "sigprocmask"


def test_one_that_dumps_core_kills_too(play: Play) -> None:
    run = play(
        "P0",
        details={"p": handlers(SIGUSR1="getpid()")},
        p='label("up")\npause()   # -> EINTR',
        q='wait_for("up")\nsleep(1)\nkill("p", SIGQUIT)',
    )
    assert run.taken("p") == ["SIGQUIT: it kills"]


@pytest.mark.parametrize("signo", ["SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU"])
def test_a_stopped_process_goes_on_with_sigcont(play: Play, signo: str) -> None:
    """Measured: it stops. A stop does not make a sleep longer, and no call fails because of it."""
    run = play(
        "P0",
        p='label("up")\nsleep(10)   # -> 0\nopen("/f", O_RDONLY)   # -> ok',
        q=f'wait_for("up")\nsleep(3)\nkill("p", {signo})\nsleep(4)\nkill("p", SIGCONT)',
    )
    assert [schedule.returned("p") for schedule in run.schedules] == [10.0] * len(run.schedules)


def test_a_stop_that_lasts_longer_than_the_sleep(play: Play) -> None:
    run = play(
        "P0",
        p='label("up")\nsleep(10)   # -> 0',
        q='wait_for("up")\nsleep(3)\nkill("p", SIGSTOP)\nsleep(20)\nkill("p", SIGCONT)',
    )
    assert run.returned("p") == 23.0


def test_nothing_but_sigkill_reaches_a_stopped_process(play: Play) -> None:
    run = play(
        "P0",
        details={"p": handlers(SIGUSR1="getpid()")},
        p='label("up")\nsleep(10)   # -> EINTR',
        q='wait_for("up")\nsleep(1)\nkill("p", SIGSTOP)\nsleep(1)\nkill("p", SIGUSR1)\nkill("p", SIGTERM)\nsleep(1)\n'
        'kill("p", 0)   # -> 0\nkill("p", SIGKILL)\nsleep(1)\nkill("p", 0)   # -> ESRCH',
    )
    assert "SIGKILL: it kills" in run.taken("p")


def test_sigcont_and_stops_cancel_each_other(play: Play) -> None:
    play(
        "P0",
        p="""
sigprocmask(SIG_BLOCK, SIGTSTP, SIGCONT)
kill("p", SIGTSTP)
kill("p", SIGCONT)
sigtimedwait()                       # -> SIGCONT
sigtimedwait()                       # -> EAGAIN
kill("p", SIGCONT)
kill("p", SIGTTIN)
sigtimedwait()                       # -> EAGAIN
""",
    )


def test_a_stopped_process_is_no_hang(play: Play) -> None:
    run = play("P0", p='kill("p", SIGSTOP)\ngetpid()')
    assert run.result.waiting == ["p in user space: it waits for SIGCONT"]


def test_sigtimedwait_is_not_made_again(play: Play) -> None:
    """It fails with EINTR even after a stop [signal(7)]."""
    play(
        "P0",
        p='sigprocmask(SIG_BLOCK, SIGUSR1)\nlabel("up")\nsigwaitinfo()   # -> EINTR',
        q='wait_for("up")\nsleep(1)\nkill("p", SIGSTOP)\nkill("p", SIGCONT)',
    )


@pytest.mark.parametrize("wait", ["sigsuspend(SIGCONT)", "ppoll(5, SIGCONT)"])
def test_what_a_wait_kept_off_comes_when_a_stop_puts_the_mask_back(play: Play, wait: str) -> None:
    """Measured: SIGCONT is pending behind the wait's mask; its handler runs, and the wait goes on all the same."""
    run = play(
        "P0",
        details={"p": handlers(SIGCONT="getpid()", SIGUSR2="getpid()")},
        p=f'label("up")\n{wait}   # -> blocks, EINTR',
        q='wait_for("up")\nsleep(1)\nkill("p", SIGSTOP)\nsleep(1)\nkill("p", SIGCONT)\nsleep(1)\nkill("p", SIGUSR2)',
    )
    assert run.taken("p") == ["SIGSTOP: it stops the process", "SIGCONT: its handler runs", "SIGUSR2: its handler runs"]
    assert run.returned("p") == 3.0


@pytest.mark.parametrize(("first", "handled"), [(3, 5.0), (9, 11.0)])
def test_the_time_of_a_wait_goes_on_in_a_handler_that_does_not_end_it(play: Play, first: int, handled: float) -> None:
    run = play(
        "P0",
        details={"p": handlers(SIGCONT="sleep(2)")},
        p=f'label("up")\nppoll({first}, SIGCONT)   # -> blocks, 0\nppoll(2)   # -> 0',
        q='wait_for("up")\nsleep(1)\nkill("p", SIGSTOP)\nkill("p", SIGCONT)',
    )
    assert run.returned("p") == handled


# Waiting for signals.


def test_waits_with_a_time(play: Play) -> None:
    details = {"p": handlers(SIGUSR2="getpid()")}
    run = play(
        "P0",
        details=details,
        p="""
sigprocmask(SIG_BLOCK, SIGUSR1, SIGUSR2)
sigtimedwait(2.5)                    # -> blocks, EAGAIN
ppoll(0.25)                          # -> blocks, 0
ppoll(0)                             # -> 0
sigtimedwait(0)                      # -> EAGAIN
sleep(0.25)                          # -> blocks, 0
sleep(0)                             # -> 0
sleep(0 - 1)                         # -> EINVAL
sleep(-0.5)                          # -> EINVAL
ppoll(-1)                            # -> EINVAL
sigtimedwait(-1)                     # -> EINVAL
ppoll(1, 65)                         # -> EINVAL
sigsuspend(65)                       # -> EINVAL
kill("p", SIGUSR2)
sigtimedwait(5)                      # -> SIGUSR2
kill("p", SIGUSR2)
ppoll(5, SIGUSR2)                    # -> blocks, 0
ppoll(0)                             # -> EINTR
""",
    )
    assert run.returned("p") == 8.0


def test_sigwaitinfo_takes_what_comes(play: Play) -> None:
    play(
        "P0",
        p="""
sigprocmask(SIG_BLOCK, SIGUSR1)
label("up")
sigwaitinfo()                        # -> blocks, SIGUSR1
sigtimedwait(9)                      # -> blocks, SIGUSR1
""",
        q='wait_for("up")\nsleep(1)\nkill("p", SIGUSR1)\nsleep(1)\nkill("p", SIGUSR1)',
    )


def test_an_open_signal_ends_the_wait_for_a_blocked_one(play: Play) -> None:
    play(
        "P0",
        details={"p": handlers(SIGUSR2="getpid()")},
        p='sigprocmask(SIG_BLOCK, SIGUSR1)\nlabel("up")\nsigwaitinfo()  # -> blocks, EINTR\nsigtimedwait() # -> EAGAIN',
        q='wait_for("up")\nsleep(1)\nkill("p", SIGUSR2)',
    )


def test_what_is_waited_for_does_not_kill(play: Play) -> None:
    """SIGTERM, blocked and waited for, is taken like any other."""
    play(
        "P0",
        p='sigprocmask(SIG_BLOCK, SIGTERM)\nlabel("up")\nsigtimedwait(60)   # -> blocks, SIGTERM\ngetpid()  # -> 100',
        q='wait_for("up")\nsleep(1)\nkill("p", SIGTERM)',
    )


def test_sigsuspend_blocks_exactly_what_it_is_told(play: Play) -> None:
    run = play(
        "P0",
        details={"p": handlers(SIGUSR1="getpid()", SIGUSR2="getpid()")},
        p='sigprocmask(SIG_BLOCK, SIGUSR1, SIGUSR2)\nlabel("up")\nsigsuspend(SIGUSR1)   # -> blocks, EINTR\n'
        "sigtimedwait()   # -> SIGUSR1 (blocked again, so it is still there)",
        q='wait_for("up")\nsleep(1)\nkill("p", SIGUSR1)\nsleep(1)\nkill("p", SIGUSR2)',
    )
    assert run.taken("p") == ["SIGUSR2: its handler runs"]


# Arguments of kill and owners of descriptors.


def test_kill_of_many(play: Play) -> None:
    play(
        "P0",
        details={"p": "uid = 1000", "q": "uid = 1000\n" + handlers(SIGUSR1="getpid()"), "r": "uid = 1001"},
        p="""
kill(-2147483648, 0)                 # -> ESRCH
kill(-2147483648, 65)                # -> ESRCH (it is looked for before its signal is)
kill(4711, 65)                       # -> ESRCH
kill(-4711, 65)                      # -> ESRCH
kill(-102, 65)                       # -> EINVAL
kill(102, 65)                        # -> EINVAL
kill(-4711, 0)                       # -> ESRCH
kill(0, 0)                           # -> 0 (the own group)
kill(-1, 0)                          # -> 0 (one of the others may be signalled)
kill(-102, 0)                        # -> EPERM
kill(-1, 65)                         # -> EINVAL
""",
        q="sleep(1)",
        r="sleep(1)",
    )
    play("P0", p="kill(-1, 0)    # -> ESRCH (there is nobody else)")


def test_owners_that_are_no_process_or_no_group(play: Play) -> None:
    """Measured: F_SETOWN of minus the number of a process that leads no group succeeds, and reads back 0."""
    play(
        "P0",
        details={"c": 'start = "fork"'},
        p="""
a = open("/f", O_RDONLY)
child = fork("c")
fcntl(a, F_SETOWN, 0 - child)        # -> 0
fcntl(a, F_GETOWN)                   # -> 0
fcntl(a, F_SETOWN, 0 - 2147483648)   # -> EINVAL
fcntl(a, F_SETOWN, 2147483647)       # -> ESRCH
fcntl(a, F_SETOWN, child)            # -> 0
sleep(2)
fcntl(a, F_GETOWN)                   # -> 10001 (a zombie)
kill(child, 0)                       # -> 0
waitpid(child)                       # -> 10001
fcntl(a, F_GETOWN)                   # -> 0
kill(child, 0)                       # -> ESRCH
fcntl(a, F_SETOWN, child)            # -> ESRCH
""",
        c="sleep(1)",
    )


# Their names.


@pytest.mark.parametrize(
    ("key", "signo"),
    [
        ('"SIGRTMIN+3"', "SIGRTMIN + 3"),
        ('"SIGRTMIN + 3"', "37"),
        ('"SIGRTMAX - 1"', "SIGRTMIN + 29"),
        ("SIGRTMAX", "64"),
        ("SIGURG", "SIGURG"),
        ("SIGPOLL", "SIGIO"),
        ("33", "33"),
    ],
)
def test_a_signal_has_its_name_wherever_it_stands(play: Play, key: str, signo: str) -> None:
    """Handlers, masks, F_SETSIG, kill, what a line expects: a real-time signal is SIGRTMIN + n in all of them."""
    play(
        "P0",
        p=f"""
sigaction({signo}, SIG_HANDLER, SA_RESTART)
sigprocmask(SIG_BLOCK, {signo}, SIGUSR1)
a = open("/f", O_RDONLY)
fcntl(a, F_SETSIG, {signo})          # -> 0
fcntl(a, F_GETSIG)                   # -> {signo} (as it was set)
fcntl(a, F_SETLEASE, F_RDLCK)
open("/f", O_WRONLY | O_NONBLOCK)    # -> EAGAIN
kill("p", SIGUSR1)
sigtimedwait(0.5)                    # -> SIGUSR1
sigtimedwait(0.25)                   # -> {signo}
kill("p", {signo})
sigsuspend(SIGUSR1)                  # -> EINTR
""",
        details={"p": f"on_signal.{key} = 'pipe()'"},
    )


def test_time_is_told_in_fractions(play: Play) -> None:
    """A wait of a fraction of a second takes so long, and no more."""
    run = play(
        "P0",
        p="""
sigprocmask(SIG_BLOCK, SIGUSR1)
sleep(0.25)                          # -> 0
sigtimedwait(0.5)                    # -> EAGAIN
ppoll(0.125, SIGUSR1)                # -> 0
""",
    )
    assert run.returned("p") == 0.875
