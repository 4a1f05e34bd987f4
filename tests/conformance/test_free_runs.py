"""Free runs: the runner in C makes a scenario's calls on the kernel of this machine, and says what came of them."""

import os
import platform
import select
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conformance.by_hand import scenario

from longpin.config.problems import ScenarioError
from longpin.config.schema import Scenario
from longpin.runner.machine.processes import HostError
from longpin.runner.races import build, offers
from longpin.runner.races.build import compiled_runner
from longpin.runner.races.encode import encode
from longpin.runner.races.free import FreeKernel, FreeRuns
from longpin.runner.races.offers import refuse
from longpin.runner.races.outcome import NEVER, CallOutcome, EndKind, ProcessOutcome, RaceOutcome


def _why_not() -> str:
    try:
        build.find_compiler()
    except HostError as error:
        return str(error)
    return "" if platform.machine() in build.MACHINES else f"no free runs on {platform.machine()}"


pytestmark = pytest.mark.skipif(bool(_why_not()), reason=_why_not() or "it can be compiled")

Play = Callable[..., FreeRuns]


@pytest.fixture(scope="module")
def kernel() -> Iterator[FreeKernel]:
    try:
        with FreeKernel() as found:
            yield found
    except HostError as error:
        pytest.skip(str(error))


@pytest.fixture
def play(kernel: FreeKernel) -> Play:
    def play(runs: int = 8, files: tuple[str, ...] = ("/f",), **programs: str) -> FreeRuns:
        return kernel.run(scenario(files, **programs), "by-hand.toml", runs, seed=1)

    return play


def only(runs: FreeRuns) -> RaceOutcome:
    """Return the outcome of all runs, which must be one."""
    assert len(runs.outcomes) == 1, "\n\n".join(outcome.describe() for outcome in runs.outcomes)
    assert not runs.lost
    return next(iter(runs.outcomes))


def process(outcome: RaceOutcome, name: str) -> ProcessOutcome:
    return next(process for process in outcome.processes if process.name == name)


def results(calls: tuple[CallOutcome, ...]) -> list[str]:
    return [call.result for call in calls]


def main_results(outcome: RaceOutcome, name: str = "p") -> list[str]:
    return results(process(outcome, name).calls)


def handled(outcome: RaceOutcome, name: str = "p") -> list[tuple[int, int, list[str]]]:
    return [(h.signo, h.si_fd, results(h.calls)) for h in process(outcome, name).handlers]


# Calls.


def test_every_call_on_files_returns_what_the_kernel_says(play: Play) -> None:
    outcome = only(
        play(
            p="""
            a = open("/f", O_RDWR)
            open("/none", O_RDONLY)
            b = dup(a)
            dup2(a, 9)
            write(a, b"hello")
            lseek(a, 1)
            read(a, 3)
            close(b)
            close(b)
            open("/f", O_RDONLY)
            ftruncate(a, 100)
            stat("/f")
            truncate("/f", 7)
            link("/f", "/g")
            link("/f", "/g")
            rename("/g", "/h")
            stat("/g")
            unlink("/h")
            mkdir("/d")
            open("/d", O_WRONLY)
            chmod("/f", 0o600)
            utimes("/f")
            access("/f")
            fallocate(a, 0, 0, 4096)
            fsync(a)
            flock(a, LOCK_EX)
            r = pipe()
            write(pipe_w, "xy")
            read(r, 5)
            execve("/f")
            open("/proc/self/fd/3", O_RDONLY)
            open("/../../f", O_RDONLY)
            getpid()
            """
        )
    )
    assert main_results(outcome) == [
        "3", "ENOENT", "4", "9", "5", "1", "b'ell'", "0", "EBADF", "4", "0", "100", "0", "0", "EEXIST", "0", "ENOENT",
        "0", "0", "EISDIR", "0", "0", "0", "0", "0", "0", "5", "2", "b'xy'", "EACCES", "7", "8", "100",
    ]  # fmt: skip
    assert str(process(outcome, "p").end) == "exits with 0"


def test_leases_and_their_owners(play: Play) -> None:
    outcome = only(
        play(
            p="""
            a = open("/f", O_RDONLY)
            fcntl(a, F_SETLEASE, F_RDLCK)
            fcntl(a, F_GETLEASE)
            fcntl(a, F_GETSIG)
            fcntl(a, F_SETSIG, SIGUSR1)
            fcntl(a, F_GETOWN)
            fcntl(a, F_SETOWN, -100)
            fcntl(a, F_GETOWN)
            fcntl(a, F_SETOWN, 12345)
            fcntl(a, F_SETOWN, 1)
            fcntl(a, F_SETOWN, -1)
            fcntl(99, F_SETOWN, 12345)
            fcntl(a, F_SETLEASE, 4294967298)
            fcntl(a, F_SETLEASE, F_UNLCK)
            fcntl(a, F_SETLEASE, 16)
            """
        )
    )
    assert main_results(outcome) == [
        "3", "0", "0", "0", "0", "100", "0", "-100", "ESRCH", "ESRCH", "ESRCH", "EBADF", "0", "EAGAIN", "EINVAL",
    ]  # fmt: skip


def test_loops_are_written_out_and_their_variables_stay(play: Play) -> None:
    outcome = only(
        play(
            p="""
            a = open("/f", O_RDWR)
            for i in range(2):
                for j in range(3):
                    lseek(a, i * 10 + j)
                lseek(a, j - i)
            for i in range(0):
                close(a)
            lseek(a, 100 * i | 1)
            """
        )
    )
    assert main_results(outcome) == ["3", "0", "1", "2", "2", "10", "11", "12", "1", "101"]


def test_data_of_one_call_goes_to_another_and_is_no_number(play: Play) -> None:
    outcome = only(
        play(
            p="""
            a = open("/f", O_RDWR)
            write(a, "abc")
            lseek(a, 0)
            x = read(a, 2)
            write(a, x)
            lseek(a, x)
            lseek(a, 0)
            read(a, 4)
            write(a, a)
            read(a, -1)
            """
        )
    )
    # The file has 8192 bytes: what remains after 4 is read as the most that one read moves allows.
    assert main_results(outcome)[:9] == ["3", "3", "0", "b'ab'", "2", "EINVAL", "0", "b'abab'", "EINVAL"]
    assert len(main_results(outcome)[9]) > 8188


def test_descriptors_travel_and_those_of_the_dead_do_not(play: Play) -> None:
    outcome = only(
        play(
            p="""
            recv_fd(MSG_DONTWAIT)
            a = open("/f", O_RDONLY)
            label("mine")
            b = recv_fd()
            fcntl(b, F_GETLEASE)
            send_fd("q", 77)
            close(b)
            label("done")
            """,
            q="""
            wait_for("mine")
            x = open("/f", O_RDONLY)
            fcntl(x, F_SETLEASE, F_RDLCK)
            send_fd("p", x)
            close(x)
            wait_for("done")
            r = pipe()
            read(r, 0)
            fork("c_child")
            waitpid(-1, 0)
            send_fd("c_child", r)
            """,
            c_child="""
            send_fd(100 * 1000, r)
            recv_fd(MSG_DONTWAIT)
            """,
        )
    )
    assert main_results(outcome) == ["EAGAIN", "3", "0", "4", "0", "EBADF", "0", "0"]
    assert main_results(outcome, "q")[-4:] == ["b''", "10101", "10101", "EPIPE"]
    assert main_results(outcome, "c_child") == ["EPIPE", "EAGAIN"]


def test_limits_are_the_kernels(play: Play) -> None:
    outcome = only(
        play(
            p="""
            a = open("/f", O_RDONLY)
            setrlimit(RLIMIT_NOFILE, 5)
            dup(a)
            dup(a)
            fork("c_child")
            waitpid(-1, 0)
            setrlimit(RLIMIT_NOFILE, 900)
            dup(a)
            setrlimit(RLIMIT_SIGPENDING, 0)
            sigprocmask(SIG_BLOCK, 40)
            fcntl(a, F_SETSIG, 40)
            fcntl(a, F_SETLEASE, F_RDLCK)
            open("/f", O_WRONLY | O_NONBLOCK)
            """,
            p__SIGIO="access('/f')",
            c_child="recv_fd(MSG_DONTWAIT)\ndup(a)",
        )
    )
    assert main_results(outcome) == [
        "3", "0", "4", "EMFILE", "10001", "10001", "0", "5", "0", "0", "0", "0", "EAGAIN",
    ]  # fmt: skip
    assert main_results(outcome, "c_child") == ["EAGAIN", "EMFILE"]
    assert handled(outcome) == [(29, -1, ["0"])], "without room for a real-time signal it is a plain SIGIO"


# Signals.


def test_a_call_and_the_store_of_its_result_are_one_step_to_a_handler(play: Play) -> None:
    """The signal is pending when sigprocmask returns, so its handler runs before the next instruction."""
    outcome = only(
        play(
            runs=40,
            p="""
            sigprocmask(SIG_BLOCK, SIGUSR1, SIGUSR2)
            kill("p", SIGUSR1)
            kill("p", SIGUSR2)
            r = sigprocmask(SIG_UNBLOCK, SIGUSR1, SIGUSR2)
            """,
            p__SIGUSR2="exit(7 + r)",
            p__SIGUSR1="exit(17 + r)",
        )
    )
    assert str(process(outcome, "p").end) == "exits with 7", "SIGUSR2 lies on top, and sees the result too"
    assert main_results(outcome) == ["0", "0", "0", "0"]


def test_what_a_handler_assigns_is_not_undone_by_the_call_it_interrupted(play: Play) -> None:
    outcome = only(
        play(
            runs=40,
            p="""
            sigprocmask(SIG_BLOCK, SIGUSR1)
            kill("p", SIGUSR1)
            r = sigprocmask(SIG_UNBLOCK, SIGUSR1)
            exit(r)
            """,
            p__SIGUSR1='r = open("/f", O_RDONLY)',
        )
    )
    assert str(process(outcome, "p").end) == "exits with 3"


def test_arguments_are_those_of_the_moment_at_which_the_call_begins(play: Play) -> None:
    """In free runs the signal comes anywhere; the descriptor is never one that the handler has closed before."""
    runs = play(
        runs=200,
        p="""
        a = open("/f", O_RDONLY)
        label("up")
        for i in range(40):
            fcntl(a, F_GETLEASE)
        """,
        p__SIGUSR1='b = open("/f", O_RDONLY)\nclose(a)\na = dup(b)\nclose(b)',
        q='wait_for("up")\nkill("p", SIGUSR1)',
    )
    for outcome in runs.outcomes:
        assert "EBADF" not in main_results(outcome), outcome.describe()
    assert any(handled(outcome) for outcome in runs.outcomes)


def test_a_call_that_is_made_again_keeps_its_arguments(play: Play) -> None:
    runs = play(
        runs=24,
        p="""
            sigaction(SIGUSR1, SIG_HANDLER, SA_RESTART)
            a = open("/f", O_RDONLY)
            wait_for("locked")
            label("up")
            flock(a, LOCK_EX)
            """,
        p__SIGUSR1='a = open("/g", O_RDONLY)\nlabel("handled")',
        q="""
            b = open("/f", O_RDONLY)
            flock(b, LOCK_EX)
            label("locked")
            wait_for("up")
            kill("p", SIGUSR1)
            wait_for("handled")
            pause()
            """,
        files=("/f", "/g"),
    )
    # Where the signal came before the call, /g is locked. Where it came during the call, /f is waited for again.
    assert EndKind.ASLEEP in {process(outcome, "p").end.kind for outcome in runs.outcomes}


def test_handlers_nest_and_each_has_its_own_siginfo(play: Play) -> None:
    outcome = only(
        play(
            p="""
            a = open("/f", O_RDONLY)
            fcntl(a, F_SETSIG, SIGUSR1)
            fcntl(a, F_SETLEASE, F_RDLCK)
            open("/f", O_WRONLY | O_NONBLOCK)
            exit(si_signo)
            """,
            p__SIGUSR1='kill("p", SIGUSR2)\nlseek(a, si_fd * 100 + si_signo)',
            p__SIGUSR2="lseek(a, si_signo - si_fd)",
        )
    )
    assert handled(outcome) == [(10, 3, ["0", "310"]), (12, -1, ["13"])]
    assert str(process(outcome, "p").end) == "exits with 10"


def test_what_is_dequeued_last_runs_first_and_the_first_decides_about_a_restart(play: Play) -> None:
    programs = {
        "p": """
            sigaction(SIGUSR1, SIG_HANDLER, FLAGS)
            sigaction(SIGIO, SIG_HANDLER)
            a = open("/f", O_RDONLY)
            b = open("/f", O_RDONLY)
            fcntl(a, F_SETSIG, SIGUSR1)
            fcntl(b, F_SETSIG, SIGIO)
            fcntl(a, F_SETLEASE, F_RDLCK)
            fcntl(b, F_SETLEASE, F_RDLCK)
            truncate("/f", 0)
            """,
        "p__SIGUSR1": "fcntl(a, F_SETLEASE, F_UNLCK)",
        "p__SIGIO": "fcntl(b, F_SETLEASE, F_UNLCK)",
    }
    for flags, result in (("SA_RESTART", "0"), ("0", "EINTR")):
        outcome = only(play(**programs | {"p": programs["p"].replace("FLAGS", flags)}))
        assert main_results(outcome)[-1] == result
        assert [(signo, fd) for signo, fd, _ in handled(outcome)] == [(29, 4), (10, 3)]


@pytest.mark.parametrize(("flags", "result"), [("0", "EINTR"), ("SA_RESTART", "5")])
def test_a_wait_for_a_label_is_a_sleep_that_a_signal_ends(play: Play, flags: str, result: str) -> None:
    runs = play(
        runs=24,
        p=f'sigaction(SIGUSR1, SIG_HANDLER, {flags})\nlabel("up")\nx = wait_for("later")\nexit(x)',
        p__SIGUSR1='label("handled")',
        q='wait_for("up")\nkill("p", SIGUSR1)\nwait_for("handled")\nlabel("later", 5)',
    )
    assert result in {main_results(outcome)[2] for outcome in runs.outcomes}
    for outcome in runs.outcomes:
        x = main_results(outcome)[2]
        assert str(process(outcome, "p").end) == f"exits with {255 if x == 'EINTR' else 5}"
        assert x == "5" or flags == "0"


def test_waits_for_signals(play: Play) -> None:
    outcome = only(
        play(
            p="""
            sigprocmask(SIG_BLOCK, SIGUSR1, SIGUSR2, 0, 40)
            sigprocmask(SIG_BLOCK, 65)
            sigprocmask(7, SIGIO)
            sigtimedwait()
            kill("p", SIGUSR2)
            kill("p", 40)
            kill("p", 40)
            sigtimedwait(3)
            sigwaitinfo()
            exit_later = sigtimedwait(0)
            sigtimedwait()
            lseek(si_fd, si_signo)
            kill("p", SIGUSR1)
            ppoll(1, 0)
            ppoll(0, SIGUSR1)
            sleep(0)
            sleep(-1)
            kill("p", SIGUSR2)
            sigsuspend(SIGUSR1)
            pause()
            """,
            p__SIGUSR1="getpid()",
            p__SIGUSR2="getpid()\ngetpid()",
        )
    )
    assert main_results(outcome) == [
        "0", "EINVAL", "EINVAL", "EAGAIN", "0", "0", "0", "12", "40", "40", "EAGAIN", "EBADF", "0", "EINTR", "0", "0",
        "EINVAL", "0", "EINTR", NEVER,
    ]  # fmt: skip
    assert handled(outcome) == [(10, -1, ["100"]), (12, -1, ["100", "100"])]
    assert process(outcome, "p").end.kind is EndKind.ASLEEP


def test_a_signal_that_kills_and_one_that_stops(play: Play) -> None:
    outcome = only(play(p='kill("p", SIGTERM)\ngetpid()', q='kill("q", SIGSTOP)\ngetpid()', r='kill("r", 28)'))
    assert str(process(outcome, "p").end) == "is killed by SIGTERM"
    assert str(process(outcome, "q").end) == "is stopped"
    assert str(process(outcome, "r").end) == "exits with 0"
    assert main_results(outcome) == main_results(outcome, "q") == [], "whether kill returned, nobody can see"


def test_a_stopped_process_goes_on(play: Play) -> None:
    outcome = only(
        play(
            p='label("up")\npause()',
            q="""
            n = fork("c_child")
            waitpid(n, WUNTRACED)
            kill(n, SIGCONT)
            waitpid(n, 0)
            exit(wait_status)
            """,
            c_child='kill("c_child", SIGSTOP)\nexit(3)',
        )
    )
    assert main_results(outcome, "q")[:4] == ["10101", "10101", "0", "10101"]
    assert str(process(outcome, "c_child").end) == "exits with 3"
    assert process(outcome, "p").end.kind is EndKind.ASLEEP


def test_a_signal_comes_between_two_calls(play: Play) -> None:
    """The handler closes the descriptor between the lease and the question about it: seldom, but Linux does it."""
    programs = {
        "h": 'a = open("/f", O_RDONLY)\nfcntl(a, F_SETLEASE, F_RDLCK)\nfcntl(a, F_GETLEASE)',
        "h__SIGIO": "close(a)",
        "b": 'open("/f", O_WRONLY)',
    }
    seen: set[str] = set()
    for _ in range(10):
        seen |= {main_results(outcome, "h")[-1] for outcome in play(runs=200, **programs).outcomes}
        if "EBADF" in seen:
            break
    assert "EBADF" in seen
    assert seen <= {"EBADF", "0", "2"}


# Processes.


def test_a_child_has_copies_and_its_parent_hears_of_its_end(play: Play) -> None:
    outcome = only(
        play(
            p="""
            a = open("/f", O_RDONLY)
            n = fork("c_child")
            waitpid(-1, 0)
            lseek(a, wait_status)
            waitpid(-1, 0)
            kill(n, 0)
            m = fork("c_child")
            waitpid(m, 0)
            lseek(a, 0)
            """,
            p__17="getpid()",
            c_child="lseek(a, n + 5)\na = getpid()\nfork('c_grandchild')\nwaitpid(-1, 0)\nexit(a)",
            c_grandchild="kill(0, 0)",
        )
    )
    assert main_results(outcome)[1] == "10001"
    assert main_results(outcome)[3] == str(10001 % 256 << 8)
    assert main_results(outcome)[4:7] == ["ECHILD", "ESRCH", "10002"]
    assert {process.name for process in outcome.processes} == {"p", "c_child", "c_child.2", "c_grandchild"}
    assert [process.pid for process in outcome.processes] == [100, 10001, 10002, 1000101, 1000201]
    assert [signo for signo, _, _ in handled(outcome)] == [17, 17]


def test_a_zombie_has_a_number(play: Play) -> None:
    outcome = only(
        play(
            p="""
            sigprocmask(SIG_BLOCK, 17)
            a = open("/f", O_RDONLY)
            n = fork("c_child")
            sigsuspend()
            kill(n, 0)
            kill("c_child", 0)
            fcntl(a, F_SETOWN, n)
            fcntl(a, F_GETOWN)
            waitpid(n, 0)
            kill(n, 0)
            fcntl(a, F_SETOWN, n)
            """,
            p__17="getpid()",
            c_child='kill("c_child", SIGTERM)',
        )
    )
    assert main_results(outcome)[2:] == ["10001", "EINTR", "0", "0", "0", "10001", "10001", "ESRCH", "ESRCH"]
    assert str(process(outcome, "c_child").end) == "is killed by SIGTERM"


def test_a_group_is_signalled_and_a_handler_may_fork(play: Play) -> None:
    runs = play(
        p='n = fork("c_child")\nwait_for("up")\nkill(0, SIGUSR1)\nwaitpid(10001, 0)\nwaitpid(10002, 0)',
        p__SIGUSR1='fork("c_other")',
        c_child='label("up")\npause()',
        c_child__SIGUSR1="exit(4)",
        c_other="sigtimedwait()",
        q="kill(-10001, 0)\nkill(-101, SIGTERM)",
    )
    for outcome in runs.outcomes:
        assert str(process(outcome, "q").end) == "is killed by SIGTERM"
        assert main_results(outcome, "q") == ["ESRCH"]
        assert main_results(outcome)[2:] == ["0", "10001", "10002"]
        assert str(process(outcome, "c_child").end) == "exits with 4"
        assert main_results(outcome, "c_other") == ["EAGAIN"]


def test_what_killing_the_sleepers_sets_off_is_not_part_of_a_run(play: Play) -> None:
    """The first one that is killed lets go of its lease, which wakes the others."""
    outcome = only(
        play(
            runs=60,
            p="""
            sigprocmask(SIG_BLOCK, SIGIO)
            a = open("/f", O_RDONLY)
            fcntl(a, F_SETLEASE, F_RDLCK)
            label("leased")
            pause()
            """,
            q='wait_for("leased")\nopen("/f", O_WRONLY)\nfork("c_child")\ngetpid()',
            r='wait_for("leased")\ntruncate("/f", 0)\ngetpid()',
            c_child="pause()",
        )
    )
    assert main_results(outcome, "q") == main_results(outcome, "r") == ["0", NEVER]
    assert [str(process.end) for process in outcome.processes] == ["sleeps for ever"] * 3


# What is not done.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("set_lease_break_time(3)", "expected one of open, close, "),
        ("set_lease_break_time(3)\nexec('p')", "expected another call, found exec"),
        ("kill(-1, SIGTERM)", "expected another process or group"),
        ("kill(4294967295, SIGTERM)", "expected another process or group"),
        ("fcntl(3, 0)", "expected another command of fcntl"),
        ("sigaction(SIGIO, SIG_IGN, 4)", "expected flags among SA_RESTART"),
        ("setrlimit(0, 1)", "expected RLIMIT_NOFILE, RLIMIT_MEMLOCK or RLIMIT_SIGPENDING"),
        ('chmod("/proc/self/fd/1", 0)', "expected a descriptor from 3 to 1023"),
        ('open("/a\\0b", O_RDONLY)', "expected a path without NUL"),
        ('label("x", "text")', "expected a number"),
        ('x = read(3, 1)\nlabel("x", x)', "expected a number as the value of a label"),
        ("x = getpid()\nopen(x, O_RDONLY)", "expected a path, written out, found the variable x"),
        ('execve("/f")\nwrite(3, "#!/bin/sh")', "data without the bytes # and 0x7f"),
        ('fork("nobody")', "expected the name of a process"),
        ("for i in range(1001):\n    getpid()", "at most 1000 calls in a program, found 1001"),
        ('open("/f/below", O_RDONLY)', "expected files, none below another"),
    ],
)
def test_what_cannot_run_free_is_refused_before_anything_runs(text: str, expected: str) -> None:
    with pytest.raises(ScenarioError, match=r"which cannot run free on the kernel") as caught:
        refuse(scenario(p=text), "x.toml")
    assert expected in str(caught.value)
    assert str(caught.value).startswith("x.toml:")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = fork('c_none')\nclose(x)\ny = close(77)\nkill(y, 0)", "kill(-1, ...)"),
        ("x = getpid()\nfcntl(3, x)", "a command of fcntl"),
        ("x = getpid()\nsetrlimit(x, 3)", "a resource of setrlimit"),
        ("x = getpid()\nsigaction(10, SIG_IGN, x)", "a flag of sigaction"),
    ],
)
def test_what_turns_out_not_to_be_done_only_in_a_run_ends_it(play: Play, text: str, reason: str) -> None:
    with pytest.raises(HostError, match=r"the runner in C does not do this") as caught:
        play(p=text, c_none="exit(0)")
    assert reason in str(caught.value)


def test_a_key_that_the_runner_is_not_told_of_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offers, "_KEYS", offers._KEYS - {"sigpending"})
    made = scenario(p="getpid()")
    refuse(made, "x.toml")
    other = replace(made, processes=(replace(made.processes[0], sigpending=5),))
    with pytest.raises(ScenarioError, match=r"process\.p: expected nothing but .*, found sigpending"):
        refuse(other, "x.toml")


def test_a_process_may_start_with_room_for_fewer_signals(kernel: FreeKernel) -> None:
    made = scenario(
        p="""
        sigprocmask(SIG_BLOCK, 40)
        a = open("/f", O_RDONLY)
        fcntl(a, F_SETSIG, 40)
        fcntl(a, F_SETLEASE, F_RDLCK)
        open("/f", O_WRONLY | O_NONBLOCK)
        """,
        p__SIGIO="getpid()",
    )
    made = replace(made, processes=(replace(made.processes[0], sigpending=0),))
    assert handled(only(kernel.run(made, "x.toml", 4))) == [(29, -1, ["100"])]


def test_handlers_without_end_are_bounded(play: Play) -> None:
    with pytest.raises(HostError, match=r"more (signals|calls) than a process may"):
        play(runs=1, p='kill("p", SIGUSR1)', p__SIGUSR1='kill("p", SIGUSR1)')


@pytest.mark.parametrize("orders", [b"", b"2 1", b"1 -1", b"1 1 1 1 5:/", b"1 1 1 1 1:/ 1:x 0 0 1 1 4:boom", b"\xff"])
def test_bad_orders_are_refused(tmp_path: Path, orders: bytes) -> None:
    done = subprocess.run([compiled_runner(tmp_path)], input=orders, capture_output=True, timeout=20)
    assert done.returncode == 2
    assert done.stderr.startswith(b"races: ")
    assert len(done.stderr.splitlines()) == 1


# The runner itself.


def test_it_is_compiled_once_without_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, "-Werror"))
    first = compiled_runner(tmp_path)
    made = first.stat().st_mtime_ns
    assert first.parent == tmp_path / "cache" / "longpin"
    assert compiled_runner(tmp_path) == first
    assert first.stat().st_mtime_ns == made
    assert list(first.parent.iterdir()) == [first]


def test_a_cache_folder_of_others_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "longpin").mkdir()
    (tmp_path / "longpin").chmod(0o777)
    spare = tmp_path / "spare"
    spare.mkdir()
    assert compiled_runner(spare).parent == spare
    assert not list((tmp_path / "longpin").iterdir())


def test_a_broken_file_in_the_cache_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = compiled_runner(tmp_path)
    made.write_bytes(b"cut")
    assert compiled_runner(tmp_path) == made
    assert made.stat().st_size > 1000


def test_without_a_compiler_or_on_another_machine_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="no C compiler: expected one of cc, gcc, clang in PATH"):
        compiled_runner(tmp_path)
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(HostError, match="the runner in C is for Linux on x86_64 and aarch64, not riscv64"):
        compiled_runner(tmp_path)


def test_a_compiler_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho 'x.c:1: error: no' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(HostError, match=f"{compiler} cannot compile the runner: x.c:1: error: no"):
        compiled_runner(tmp_path)


UNENDING = textwrap.dedent("""
    import contextlib
    import signal
    import sys
    from pathlib import Path
    from conformance.by_hand import scenario
    from longpin.runner.races import free

    signal.signal(signal.SIGINT, signal.default_int_handler)
    # No lease here can run out, so others need not wait until this is over.
    free.machine_to_ourselves = lambda: contextlib.nullcontext(-1)
    programs = {"p": 'fork("c_child")\\nlabel("up")\\npause()', "c_child": "pause()", "q": 'wait_for("up")\\npause()'}
    with free.FreeKernel(Path(sys.argv[1])) as kernel:
        kernel.run(scenario(**programs), "x.toml", 1000000)
""")


@pytest.mark.parametrize(
    "victim", ["python, by SIGINT", "python, by SIGTERM", "python, by SIGKILL", "guardian", "coordinator"]
)
def test_nothing_is_left_whoever_is_killed(tmp_path: Path, victim: str) -> None:
    command = [sys.executable, "-c", UNENDING, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as python:
        try:
            guardian, coordinator = wait_for_runner(python.pid)
            wait_until(lambda: processes_in(tmp_path) > 2)
            handles = [os.pidfd_open(pid) for pid in (guardian, coordinator)]
            match victim:
                case "python, by SIGINT":
                    python.send_signal(signal.SIGINT)
                case "python, by SIGTERM":
                    python.terminate()
                case "python, by SIGKILL":
                    python.kill()
                case "guardian":
                    os.kill(guardian, signal.SIGKILL)
                case _:
                    os.kill(coordinator, signal.SIGKILL)
            for handle in handles:
                ended = select.poll()
                ended.register(handle, select.POLLIN)
                assert ended.poll(30_000)
                os.close(handle)
            python.wait(30)
        finally:
            python.kill()
    wait_until(lambda: not processes_in(tmp_path))
    wait_until(lambda: not list(tmp_path.iterdir()))


def wait_until(done: Callable[[], bool]) -> None:
    """Wait for what another process does; there is nothing to wait on but that."""
    for _ in range(12_000):
        if done():
            return
        select.select([], [], [], 0.01)
    raise AssertionError("it does not happen")


def children(parent: int) -> list[int]:
    """Return the processes of the runner that another has started."""
    try:
        found = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return [int(pid) for pid in found if Path(f"/proc/{pid}/comm").read_text().startswith("races-")]
    except OSError:
        return []


def wait_for_runner(python: int) -> tuple[int, int]:
    """Return guardian and coordinator: the runner that is only asked whether it starts has no child."""
    found: list[tuple[int, int]] = []

    def seen() -> bool:
        found.extend((guardian, child) for guardian in children(python) for child in children(guardian))
        return bool(found)

    wait_until(seen)
    return found[0]


def processes_in(folder: Path) -> int:
    """Return how many processes have a folder, or one below it, as their current one."""
    found = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found += str((entry / "cwd").readlink()).startswith(str(folder))
            except OSError:
                continue
    return found


def test_everything_in_the_folder_is_removed_and_nothing_leads_out_of_it(tmp_path: Path) -> None:
    with FreeKernel(tmp_path) as kernel:
        runs = kernel.run(
            scenario(
                p='mkdir("/d")\nopen("/d/../../../x", O_RDWR | O_CREAT)\nopen("//y", O_RDWR | O_CREAT)\nchmod("/d", 0)'
            ),
            "x.toml",
            4,
        )
        assert main_results(only(runs)) == ["0", "3", "4", "0"]
    assert not list(tmp_path.iterdir())
    assert not (tmp_path.parent / "x").exists()


def test_the_wheel_has_the_sources() -> None:
    names = {path.name for path in build.source_files()}
    assert {"runner.c", "process.c", "calls.c", "scenario.c", "entry.S", "races.h"} <= names


def test_data_of_a_scenario_is_data(kernel: FreeKernel) -> None:
    """Names and texts of every kind arrive as they are."""
    made: Scenario = scenario(("/f\u00e9 '\"%s$(x)",), p='open("/f\u00e9 \'\\"%s$(x)", O_RDONLY)\nstat("/ 1 2 3:x")')
    assert main_results(only(kernel.run(made, "x.toml", 4))) == ["3", "ENOENT"]
    assert encode(made).data.count(b"/") == 0
    assert shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
