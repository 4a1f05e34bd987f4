"""The kernel of this machine as a runner: the recorded answers, calls that sleep, and what is left behind (nothing)."""

import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest
from children import heed_sigint
from conformance.conftest import RECORDED

from longpin.runner.conform import stage
from longpin.runner.conform.check import Agreement, check_one
from longpin.runner.conform.emulated import EmulatedRunner
from longpin.runner.conform.generate import generate
from longpin.runner.conform.host import HostRunner
from longpin.runner.conform.ops import F_GETLEASE, F_SETLEASE
from longpin.runner.conform.outcome import OpResult, compare
from longpin.runner.conform.program import ConformOp, ConformProgram, Unsupported, load_programs, make_op
from longpin.runner.conform.unsupported import why_not
from longpin.runner.machine import abilities, place, proc_files
from longpin.runner.machine.orders import Order
from longpin.runner.machine.place import machine_to_ourselves
from longpin.runner.machine.proc_files import LEASE_BREAK_TIME, file_system, leases
from longpin.runner.machine.processes import Agent, HostError

OPEN = make_op("A", "open", {"path": "f", "flags": "O_RDWR", "as": "a"})
CREATE = make_op("*", "create", path="f")
LEASE = make_op("A", "setlease", fd="a", type="WR")
BREAK = make_op("B", "open", {"path": "f", "flags": "O_WRONLY", "as": "b"})


def run(host: HostRunner, *ops: ConformOp) -> tuple[OpResult, ...]:
    program = ConformProgram("test", ops)
    if reason := why_not(host.abilities, program):
        pytest.skip(reason)
    return host.run(program).results


def in_folder(folder: Path) -> list[int]:
    """Return the processes that work in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if str((entry / "cwd").readlink()).startswith(str(folder)):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def break_time_at_rest() -> str:
    """Return lease-break-time while no run on this machine uses it."""
    with machine_to_ourselves():
        return LEASE_BREAK_TIME.read_text()


def recorded_programs(path: Path, *, timed: bool) -> list[ConformProgram]:
    return [program for program in load_programs(path) if program.timed == timed]


@contextmanager
def disturbing(host: HostRunner, monkeypatch: pytest.MonkeyPatch, times: int) -> Iterator[list[str]]:
    """Have somebody who knows of no lock set lease-break-time in the middle of so many programs."""
    if host.abilities.break_time:
        pytest.skip(host.abilities.break_time)
    before, order, done = break_time_at_rest(), Agent.order, list[str]()

    def disturbed(agent: Agent, call: str, args: dict[str, Any], *fds: Any) -> None:
        if args.get("name") == "fcntl" and args["args"][1] == F_SETLEASE and len(done) < times:
            LEASE_BREAK_TIME.write_text("44")
            done.append(agent.name)
        order(agent, call, args, *fds)

    with monkeypatch.context() as patch:
        patch.setattr(Agent, "order", disturbed)
        try:
            yield done
        finally:
            with machine_to_ourselves():
                LEASE_BREAK_TIME.write_text(before)


@pytest.mark.parametrize("ops", [(), (make_op("*", "sysctl", lease_break_time=33),)], ids=["default", "set"])
def test_a_program_is_run_again_if_somebody_sets_lease_break_time(
    host: HostRunner, monkeypatch: pytest.MonkeyPatch, ops: tuple[ConformOp, ...]
) -> None:
    with disturbing(host, monkeypatch, 2) as done:
        assert run(host, *ops, CREATE, OPEN, LEASE)[-1].ret == 0
    assert len(done) == 2


def test_a_program_that_is_disturbed_every_time_is_skipped(host: HostRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    with disturbing(host, monkeypatch, 100) as done:
        verdict = check_one(ConformProgram("x", (CREATE, OPEN, LEASE, BREAK)), host, EmulatedRunner("stepped"))
        assert break_time_at_rest() == "44\n"  # it is somebody else's, and stays
    assert verdict.agreement is Agreement.SKIPPED
    assert verdict.reason.endswith("somebody else set fs.lease-break-time while it ran, 3 times")
    assert len(done) == 3


@pytest.mark.parametrize("name", ["kernel_leases", "kernel_leases_random"])
def test_this_kernel_answers_as_recorded(host: HostRunner, recorded: dict[str, Path], name: str) -> None:
    for program in recorded_programs(recorded[name], timed=False):
        if why_not(host.abilities, program):
            continue
        assert program.result is not None
        assert not [str(d) for d in compare(program.result, host.run(program))], program.id


@pytest.mark.parametrize("part", [pytest.param(9, id="some"), pytest.param(1, id="all", marks=pytest.mark.heavy)])
def test_this_kernel_answers_on_signals_and_arguments_as_recorded(
    host: HostRunner, recorded: dict[str, Path], part: int
) -> None:
    for program in recorded_programs(recorded["kernel_signals"], timed=False)[::part]:
        if why_not(host.abilities, program):
            continue
        assert program.result is not None
        assert not [str(d) for d in compare(program.result, host.run(program))], program.id


@pytest.mark.heavy
@pytest.mark.parametrize("name", RECORDED)
def test_this_kernel_lets_time_run_out_as_recorded(host: HostRunner, recorded: dict[str, Path], name: str) -> None:
    for program in recorded_programs(recorded[name], timed=True):
        if why_not(host.abilities, program):
            continue
        assert program.result is not None
        assert not [str(d) for d in compare(program.result, host.run(program))], program.id


@pytest.mark.heavy
def test_a_random_program_is_answered_alike_twice(host: HostRunner) -> None:
    ran = 0
    for program in (generate(11, index) for index in range(60)):
        if program.timed or why_not(host.abilities, program):
            continue
        assert not [str(d) for d in compare(host.run(program), host.run(program))], program.id
        ran += 1
    assert ran > 30


def test_a_call_that_sleeps_is_seen_to_sleep_and_to_return(host: HostRunner) -> None:
    *_, blocked, unlocked = run(host, CREATE, OPEN, LEASE, BREAK, make_op("A", "setlease", fd="a", type="UN"))
    assert blocked.blocked
    assert blocked.ret is None
    assert blocked.wait_channel in ("__break_lease", None)
    assert {proc: [signal.sig for signal in read] for proc, read in blocked.signals.items()} == {"A": ["SIGIO"]}
    assert [(call.step, call.proc, call.ret) for call in unlocked.unblocked] == [(3, "B", 3)]
    assert not unlocked.locks


def test_other_sleeps_than_leases_are_seen(host: HostRunner) -> None:
    pipe = make_op("A", "pipe", r="r", w="w")
    fork = make_op("A", "fork", {"as": "B"})
    *_, read, write = run(host, pipe, fork, make_op("B", "read", fd="r"), make_op("A", "write", fd="w"))
    assert read.blocked
    assert [(call.proc, call.ret) for call in write.unblocked] == [("B", 1)]


def test_a_lease_time_of_zero_is_a_sleep_too(host: HostRunner) -> None:
    zero = make_op("*", "sysctl", lease_break_time=0)
    *_, blocked, interrupted = run(host, CREATE, zero, OPEN, LEASE, BREAK, make_op("*", "interrupt", proc="B"))
    assert blocked.blocked
    assert [(call.ret, call.errno) for call in interrupted.unblocked] == [(-1, "EINTR")]


def test_exec_keeps_descriptors_and_their_numbers(host: HostRunner) -> None:
    again = make_op("A", "open", {"path": "f", "flags": "O_RDONLY", "as": "b"})
    results = run(host, CREATE, OPEN, LEASE, make_op("A", "exec"), make_op("A", "getlease", fd="a"), again)
    assert [result.ret for result in results] == [0, 3, 0, 0, "WR", None]
    assert results[-1].blocked


def test_skipped_ops_say_why(host: HostRunner) -> None:
    results = run(
        host,
        CREATE,
        OPEN,
        make_op("A", "close", fd="a"),
        make_op("A", "getlease", fd="a"),
        make_op("*", "kill", proc="A"),
        make_op("A", "getpid"),
        make_op("*", "interrupt", proc="A"),
    )
    assert [result.skipped for result in results[3:]] == ["no fd a", None, "proc gone", "proc gone"]


def test_a_process_that_dies_in_a_call(host: HostRunner) -> None:
    empty = make_op("*", "create", path="f", size=0)
    ops = (empty, OPEN, make_op("A", "mmap", fd="a", prot="w", touch=1), make_op("A", "getpid"))
    died, gone = run(host, *ops)[2:]
    assert (died.ret, died.errno, died.killed) == (None, None, {"A": str(int(signal.SIGBUS))})
    assert gone.skipped == "proc gone"
    assert check_one(ConformProgram("x", ops), host, EmulatedRunner()).agreement is Agreement.AGREES


def test_an_agent_that_ends_by_itself_is_no_answer(host: HostRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "order_for", lambda *_: Order("no such call", {}))
    with pytest.raises(HostError, match="process A ends by itself, with status 1"):
        run(host, CREATE, make_op("A", "getpid"))
    monkeypatch.undo()
    assert run(host, CREATE, OPEN)[1].ret == 3


def test_nothing_is_left_of_a_program(host: HostRunner) -> None:
    before = break_time_at_rest()
    folder = host._folder
    run(
        host, make_op("*", "sysctl", lease_break_time=33), CREATE, OPEN, make_op("A", "fork", {"as": "C"}), LEASE, BREAK
    )
    assert break_time_at_rest() == before
    assert list(folder.iterdir()) == []
    assert in_folder(folder) == []


def test_an_agent_that_does_nothing_is_given_up(host: HostRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    order, reply = Agent.order, Agent.reply

    def stopped(agent: Agent, call: str, args: dict[str, Any], *fds: Any) -> None:
        if args.get("name") == "fcntl" and args["args"][1] == F_GETLEASE:
            os.kill(agent.pid, signal.SIGSTOP)
            # Only now: on a machine with much to do the ops before may take long.
            monkeypatch.setattr(Agent, "reply", lambda self, _deadline: reply(self, time.monotonic() + 0.5))
        order(agent, call, args, *fds)

    monkeypatch.setattr(Agent, "order", stopped)
    with pytest.raises(HostError, match=r"process A neither answers nor sleeps in its call \(state T"):
        run(host, CREATE, OPEN, make_op("A", "getlease", fd="a"))
    assert in_folder(host._folder) == []


def test_without_the_zygote_there_is_one_line_and_nothing_is_left() -> None:
    with HostRunner() as host:
        zygote = host._zygote._process
        zygote.kill()
        zygote.wait()
        if not host.abilities.leases:
            with pytest.raises(HostError, match="the process that starts the others"):
                host.run(ConformProgram("x", (CREATE, OPEN)))
    assert not host._folder.exists()


def wait_for_end(handle: int) -> None:
    """Wait until a process, given by a pidfd, has ended; how long that takes is for the test's timeout to say."""
    ended = select.poll()
    ended.register(handle, select.POLLIN)
    try:
        assert ended.poll()
    finally:
        os.close(handle)


INTERRUPTED = textwrap.dedent("""
    import os, time
    from longpin.runner.conform import stage
    from longpin.runner.conform.host import HostRunner
    from longpin.runner.machine.place import machine_to_ourselves
    from longpin.runner.conform.program import ConformProgram, make_op

    def sleep(seconds, real=time.sleep):
        if seconds > 5:
            print(host._folder, host._zygote._process.pid, flush=True)
        real(seconds)

    stage.time.sleep = sleep
    ops = [make_op("*", "sysctl", lease_break_time=33)] if os.geteuid() == 0 else []
    ops += [
        make_op("*", "create", path="f"),
        make_op("A", "open", {"path": "f", "flags": "O_RDWR", "as": "a"}),
        make_op("A", "fork", {"as": "C"}),
        make_op("A", "setlease", fd="a", type="WR"),
        make_op("B", "open", {"path": "f", "flags": "O_WRONLY", "as": "b"}),
        make_op("*", "sleep", ms=100_000),
    ]
    with HostRunner() as host:
        host.run(ConformProgram("x", tuple(ops)))
""")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_an_interrupted_run(host: HostRunner, number: signal.Signals) -> None:
    before = break_time_at_rest()
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed_sigint,
    ) as child:
        assert child.stdout is not None
        folder, zygote = child.stdout.readline().split()
        path = Path(os.fsdecode(folder))
        handle = os.pidfd_open(int(zygote))
        assert len(in_folder(path)) == 3
        assert any(True for _ in leases())
        child.send_signal(number)
        wait_for_end(handle)
        child.communicate()
    assert not path.exists()
    assert in_folder(path) == []
    assert break_time_at_rest() == before


KILLED_AT_THE_START = textwrap.dedent("""
    import os, sys
    from pathlib import Path
    from longpin.config.loader import load_scenario
    from longpin.runner.machine import processes
    from longpin.runner.conform.host import HostRunner
    from longpin.runner.machine.processes import Zygote
    from longpin.runner.host.machine import Machine

    def ask(self, order, fds=None, real=Zygote._ask):
        if order["call"] == "folder":
            print(self._process.pid, flush=True)
            processes.message_waits = lambda *_: os.kill(os.getpid(), int(sys.argv[2]))
        return real(self, order, fds)

    Zygote._ask = ask
    place = Path(sys.argv[1])
    HostRunner(place) if sys.argv[3] == "conform" else Machine(load_scenario("lease-retaken"), place)
""")


@pytest.mark.parametrize("engine", ["conform", "host"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_runner_killed_before_it_knows_its_folder_leaves_none(
    number: signal.Signals, engine: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", KILLED_AT_THE_START, str(tmp_path), str(int(number)), engine]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        zygote = int(child.stdout.readline())
        with suppress(ProcessLookupError):  # it has ended already
            wait_for_end(os.pidfd_open(zygote))
        assert child.wait() == -number
    assert list(tmp_path.iterdir()) == []


def test_a_folder_goes_though_its_programs_made_it_unreadable(tmp_path: Path) -> None:
    folder, outside = tmp_path / "made", tmp_path / "outside"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "f").touch()
    outside.mkdir(mode=0o500)
    (folder / "link").symlink_to(outside)
    for path in (folder / "a" / "b", folder / "a", folder):
        path.chmod(0)
    script = "import sys\nfrom longpin.runner.machine.agent import remove\nremove(sys.argv[1])"
    # Permission bits bind no root that has its capabilities.
    bound = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    if bound and not shutil.which("setpriv"):
        pytest.skip("without setpriv(1) root cannot be bound")
    subprocess.run([*bound, sys.executable, "-c", script, str(folder)], check=True)
    assert list(tmp_path.iterdir()) == [outside]
    assert outside.stat().st_mode & 0o777 == 0o500


def test_whoever_has_to_wait_for_another_run_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    with machine_to_ourselves():
        monkeypatch.setattr(place, "_SILENT", 0.0)
        monkeypatch.setattr(place, "_BUSY", 0.1)
        with pytest.raises(HostError, match="another run uses"), machine_to_ourselves(told.append):
            pass
    assert told == ["waiting for another run that uses fs.lease-break-time"]


class Pieces:
    """A file in /proc that somebody changes between two reads: asked for more, it has its last line once more."""

    def __init__(self, lines: list[str]) -> None:
        self.pieces = ["".join(lines).encode(), lines[-1].encode()]

    def open(self, *_args: object, **_options: object) -> "Pieces":
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, _size: int = -1) -> bytes:
        return self.pieces.pop(0)


def test_a_short_list_of_locks_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"{number}: LEASE  ACTIVE    READ  {number} fe:00:7 0 EOF\n" for number in (1, 2)]
    monkeypatch.setattr(proc_files, "LOCKS", Pieces(lines))
    assert [lease.pid for lease in leases()] == [1, 2]


def test_two_runners_take_turns(host: HostRunner) -> None:
    with HostRunner() as other:
        for index in range(3):
            for runner in (host, other):
                assert run(runner, CREATE, OPEN, LEASE, BREAK)[-1].blocked, index


def test_what_the_host_cannot_do_is_said_program_by_program(host: HostRunner) -> None:
    plain = ConformProgram("plain", (CREATE, OPEN, LEASE))
    chown = ConformProgram("chown", (CREATE, make_op("A", "chown", path="f", uid=1)))
    timed = ConformProgram("timed", (make_op("*", "sysctl", lease_break_time=1),))
    usual = ConformProgram("usual", (make_op("*", "sysctl", lease_break_time=45),))
    hidden = ConformProgram("hidden", (CREATE, make_op("A", "chmod", path="f", mode=0)))
    insert = ConformProgram("insert", (CREATE, OPEN, make_op("A", "fallocate", fd="a", mode="INSERT")))
    lower, raise_ = (make_op("A", "setrlimit", resource="RLIMIT_NOFILE", limit=limit) for limit in (10, 11))
    lowered = ConformProgram("lowered", (lower, make_op("B", "setrlimit", resource="RLIMIT_NOFILE", limit=11)))
    raised = ConformProgram("raised", (lower, raise_))
    inherited = ConformProgram(
        "inherited", (lower, make_op("A", "fork", {"as": "B"}), ConformOp("B", "setrlimit", raise_.args))
    )
    killing = ConformProgram("killing", (make_op("A", "kill", pid="B", sig="SIGHUP"),))
    everything = {"plain", "chown", "timed", "usual", "hidden", "insert", "lowered", "raised", "inherited", "killing"}
    for missing, refused in (
        ({"leases": "no leases"}, everything),
        ({"limits": "needs a right"}, {"raised", "inherited"}),
        ({"signals": "unknown machine"}, {"killing"}),
        ({"root": "needs root"}, {"chown", "hidden"}),
        ({"break_time": "cannot be written"}, {"timed"}),
        ({"fallocate": frozenset({"ALLOC"})}, {"insert"}),
    ):
        full: dict[str, Any] = dict.fromkeys(("leases", "root", "break_time", "limits", "signals"), "")
        full["fallocate"] = frozenset({"INSERT"})
        able = replace(host.abilities, **(full | missing))
        programs = (plain, chown, timed, usual, hidden, insert, lowered, raised, inherited, killing)
        assert {program.id for program in programs if why_not(able, program)} == refused


def test_disabled_leases_are_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disabled = tmp_path / "leases-enable"
    disabled.write_text("0\n")
    monkeypatch.setattr(abilities, "LEASES_ENABLE", disabled)
    with HostRunner() as host:
        assert host.abilities.leases == "leases are disabled: fs.leases-enable is 0"
        with pytest.raises(Unsupported, match=r"fs\.leases-enable is 0"):
            host.run(ConformProgram("x", (CREATE,)))


def test_too_few_descriptors_are_one_line(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, limits[1]))
    try:
        with pytest.raises(HostError, match=r"at least 600 descriptors are needed, 100 are allowed \(ulimit -n\)"):
            HostRunner(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert list(tmp_path.iterdir()) == []


def test_an_interpreter_that_cannot_be_started_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(HostError, match="/nowhere/python cannot be started: No such file"):
        HostRunner()


def test_the_file_system_is_named() -> None:
    assert file_system(Path("/proc/self")) == "proc"
