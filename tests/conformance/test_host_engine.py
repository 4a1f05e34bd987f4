"""``run --engine host``: scenarios in real processes on the kernel of this machine."""

import os
import select
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner
from quality.json_output import valid

from longpin import api
from longpin.config.loader import load_scenario, parse_scenario
from longpin.config.problems import ScenarioError
from longpin.config.schema import Scenario
from longpin.runner.commands.cli import main
from longpin.runner.events import CallEntered, CallReturned, Event, ProcessExited, RunEvent, SignalDelivered, SleepBegun
from longpin.runner.host.machine import Machine, Pace, pace_of
from longpin.runner.host.run import run_on_host
from longpin.runner.host.world import World
from longpin.runner.machine.place import machine_to_ourselves
from longpin.runner.machine.proc_files import LEASE_BREAK_TIME
from longpin.runner.machine.processes import HostError
from longpin.runner.report.sentences import sentence
from longpin.runner.result import CallResult, Result, Verdict
from longpin.runner.run import Settings
from longpin.runner.run import run as run_emulated

root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def scenario(head: str = "", **programs: str) -> Scenario:
    """Return a scenario of programs by process name; ``name__KEY`` is another key of a process's table."""
    parts = ['name = "test"', "[machine]\nlease_break_time = 1" if "[machine]" not in head else "", head]
    parts.append('[[file]]\npath = "/f"\nsize = "2 * PAGE"')
    for name, program in programs.items():
        if "__" not in name:
            parts.append(f"[[process]]\nname = \"{name}\"\nprogram = '''{program}'''")
            parts += [text for key, text in programs.items() if key.startswith(f"{name}__")]
    return parse_scenario("\n".join(parts), "test.toml")


def run(head: str = "", **programs: str) -> Result:
    return run_on_host(scenario(head, **programs), "test.toml")


def calls(result: Result, process: str) -> list[CallResult]:
    return [call for call in result.calls if call.process == process]


def returns(result: Result, process: str) -> list[int | str | None]:
    return [call.errno or call.ret for call in calls(result, process)]


def ends(result: Result, process: str | None = None) -> list[str]:
    ended = (event for event in result.events if isinstance(event, ProcessExited))
    return [sentence(event) for event in ended if process in (None, event.process.name)]


def test_a_shipped_scenario_does_the_same_here_and_in_the_emulator() -> None:
    loaded = load_scenario("lease-shared")
    here, emulated = run_on_host(loaded, "x.toml"), run_emulated(loaded, Settings.of(loaded))
    assert here.verdict is emulated.verdict is Verdict.HOLDS
    assert here.reason.endswith("O3, O7 hold (O1, O1', O2, O6 cannot be observed on a real kernel)")
    for process in ("taker", "child", "writer"):
        assert calls(here, process) == calls(emulated, process)
    assert here.processes == emulated.processes
    told = [sentence(event) for event in here.events if isinstance(event, SignalDelivered)]
    assert told == ["SIGIO (si_fd 3): its handler runs"]


def test_observers_see_the_events_of_real_processes_and_notices_are_warnings() -> None:
    seen: list[Event] = []
    notices: list[str] = []
    result = api.run(
        scenario(a='fd = open("/f", O_RDWR)\nclose(fd)', b="exit(3)"),
        engine="host",
        observers=[seen.append],
        notice=notices.append,
    )
    assert seen == list(result.events)
    assert result.warnings[len(result.warnings) - len(notices) :] == notices
    made = [event for event in result.events if isinstance(event, CallEntered)]
    assert [(event.process.name, event.op.call) for event in made] == [
        (call.process, call.call) for call in result.calls
    ]
    ended = {event.process.name: event.status for event in result.events if isinstance(event, ProcessExited)}
    assert ended == {"a": 0, "b": 3}


def test_an_unmet_expectation_is_a_violation_and_one_of_a_policy_is_not() -> None:
    result = run(a='fd = open("/f", O_RDWR)  # -> EACCES\nclose(fd)  # P5 -> EBADF\nclose(fd)  # -> EBADF\n')
    assert [(v.rule, v.detail) for v in result.violations] == [
        ("O7", 'line 10, a: fd = open("/f", O_RDWR): expected EACCES, found 3, did not sleep')
    ]
    assert result.verdict is Verdict.VIOLATED


@pytest.mark.parametrize("outcome", ["0", "hangs", "blocks, 0"])
def test_what_a_call_returns_that_stops_its_process_is_not_known_before_it_goes_on(outcome: str) -> None:
    """The emulator knows, and says 0; here it is undetermined, so that the two never contradict each other."""
    result = run(a=f"kill(100, SIGSTOP)  # -> {outcome}\n")
    assert (result.verdict, [line.text for line in result.unreached]) == (
        Verdict.UNDETERMINED,
        ["kill(100, SIGSTOP)"],
    )


def test_a_stop_is_no_wait_of_the_call() -> None:
    result = run(a='label("x")\nkill(100, SIGSTOP)  # -> 0', b='wait_for("x")\nsleep(1)\nkill("a", SIGCONT)')
    assert (result.verdict, [call.blocked for call in calls(result, "a")]) == (Verdict.HOLDS, [False, False])


@root
def test_a_call_that_never_returns_is_named_with_the_holder_of_the_lease() -> None:
    result = run(
        "[machine]\nlease_break_time = 0",
        holder='fd = open("/f", O_RDWR)\nfcntl(fd, F_SETLEASE, F_WRLCK)\nlabel("leased")\npause()',
        holder__on='on_signal.SIGIO = "pause()"',
        breaker='wait_for("leased")\nopen("/f", O_RDONLY)  # -> hangs',
    )
    [violation] = result.violations
    assert violation.rule == "O3"
    assert 'breaker in line 18, open("/f", O_RDONLY): it sleeps in __break_lease' in violation.detail
    assert "LEASE BREAKING READ on /f, taken by holder (100)" in violation.detail
    assert calls(result, "breaker")[-1].blocked
    assert len(result.waiting) == 2


def test_a_lease_break_that_can_still_run_out_is_waited_for() -> None:
    result = run(
        holder='fd = open("/f", O_RDWR)\nfcntl(fd, F_SETLEASE, F_WRLCK)\nlabel("leased")\npause()',
        holder__on='on_signal.SIGIO = "pause()"',
        breaker='wait_for("leased")\nopen("/f", O_WRONLY)  # -> blocks, 3',
    )
    assert result.verdict is Verdict.HOLDS
    assert max(event.time for event in result.events) >= 0.9


READER = 'r = pipe()\nfork("child")\nlabel("ready")\nread(r, 1)'
KILLER = 'wait_for("ready")\nkill("a", SIGUSR1)\nwait_for("handled")\nwrite(pipe_w, "x")'


@pytest.mark.parametrize(("flags", "value"), [("", "EINTR"), (", SA_RESTART", "b'x'")])
def test_a_signal_ends_a_call_or_it_is_restarted(flags: str, value: str) -> None:
    result = run(
        a=f"sigaction(SIGUSR1, SIG_HANDLER{flags})\n{READER}",
        a__on="on_signal.SIGUSR1 = 'label(\"handled\")'",
        child=KILLER,
        child__start='start = "fork"',
    )
    assert result.verdict is Verdict.HOLDS
    [read] = [call for call in calls(result, "a") if call.call == "read"]
    assert read.blocked
    assert (read.errno or read.ret) == value
    order = [
        "handled" if isinstance(event, SignalDelivered) else event.op.call
        for event in result.events
        if isinstance(event, SignalDelivered | CallReturned)
    ]
    assert (order.index("handled") < order.index("read")) == bool(flags)


def test_a_signal_without_a_handler_kills_and_an_ignored_one_does_not() -> None:
    result = run(
        a='sigaction(SIGUSR1, SIG_IGN)\nlabel("ready")\npause()',
        b='wait_for("ready")\nsleep(1)\nkill("a", SIGUSR1)\nkill("a", SIGTERM)',
    )
    assert ends(result, "a") == ["is killed by a signal"]
    assert returns(result, "a")[-1] is None


def test_blocked_signals_are_taken_one_at_a_time() -> None:
    result = run(
        a="sigprocmask(SIG_BLOCK, SIGTERM)\nsigtimedwait()\nme = getpid()\nkill(me, SIGTERM)\n"
        "sigtimedwait()\nclose(si_fd)"
    )
    assert returns(result, "a") == [0, "EAGAIN", 100, 0, 15, "EBADF"]


def test_descriptors_travel_by_fork_exec_and_socket() -> None:
    result = run(
        a='fd = open("/f", O_RDWR)\ngone = open("/f", O_RDONLY | O_CLOEXEC)\nfork("b")\nexec("c")',
        b='wait_for("there")\nsend_fd("d", fd)\nsend_fd("nobody", fd)',
        b__start='start = "fork"',
        c='fcntl(fd, F_GETLEASE)  # -> F_UNLCK\nclose(gone)  # -> EBADF\nlabel("there")',
        c__start='start = "fork"',
        d='got = recv_fd()\nwrite(got, "abc")\nlseek(got, 0)\nread(got, 3)',
        nobody="exit(0)",
    )
    assert result.verdict is Verdict.HOLDS
    assert returns(result, "d") == [3, 3, 0, "b'abc'"]
    assert returns(result, "b") == [0, 0, "EPIPE"]


def test_a_file_is_mapped_shared_and_its_end_is_fatal() -> None:
    result = run(
        a='fd = open("/f", O_RDWR)\nm = mmap(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)\n'
        'store(m + PAGE, "hi")\nlseek(fd, PAGE)\nread(fd, 2)  # -> b"hi"\nload(m + PAGE, 2)  # -> b"hi"\n'
        "ftruncate(fd, PAGE)\nload(m + PAGE, 1)\nclose(fd)"
    )
    assert not result.violations
    assert ends(result) == ["is killed by a signal"]
    assert returns(result, "a")[-1] is None


@root
def test_users_and_capabilities_are_those_of_the_scenario() -> None:
    lease = 'fd = open("/f", O_RDONLY)\nfcntl(fd, F_SETLEASE, F_RDLCK)\nfcntl(fd, F_SETLEASE, F_UNLCK)\n'
    result = run(
        plain=f"{lease}fork('heir')",
        plain__uid="uid = 1000",
        heir="chown('/f', 1000)",
        heir__start='start = "fork"',
        able=f'{lease}fork("same")',
        able__uid='uid = 1001\ncapabilities = ["CAP_LEASE"]',
        same="fd2 = open('/f', O_RDONLY)\nfcntl(fd2, F_SETLEASE, F_RDLCK)",
        same__start='start = "fork"',
    )
    assert returns(result, "plain")[:2] == [3, "EACCES"]
    assert returns(result, "heir") == ["EPERM"]
    assert returns(result, "able")[:3] == [3, 0, 0]
    assert returns(result, "same") == [4, 0]


def test_no_path_leads_out_of_the_folder_and_no_signal_to_another_process(tmp_path: Path) -> None:
    outside = tmp_path / "victim"
    outside.write_text("x")
    pid = os.getpid()
    result = run(
        a=f'unlink("/../../..{outside}")\nchmod("/proc/self/fd/0", 0)\nkill({pid}, SIGKILL)\nkill(-{pid}, SIGKILL)\n'
        f'fd = open("/f", O_RDWR)\nfcntl(fd, F_SETOWN, {pid})\nfcntl(fd, F_SETOWN, -{pid})\nfcntl(fd, F_SETOWN, 100)\n'
        "fcntl(fd, F_GETOWN)"
    )
    assert returns(result, "a") == ["ENOENT", "ENOENT", "ESRCH", "ESRCH", 3, "ESRCH", "ESRCH", 0, 100]
    assert outside.exists()


def test_what_only_the_emulator_has_is_refused_before_anything_runs() -> None:
    text = 'ibv_open_device("rxe0")\nfd = open("/f", O_RDWR)\nfcntl(fd, F_SETLEASE, F_LAYOUT)\nibv_alloc_pd(fd)'
    with pytest.raises(ScenarioError) as caught:
        run_on_host(scenario(a=text, a__on='on_signal.SIGBUS = "pause()"'), "my.toml")
    assert str(caught.value).splitlines() == [
        "my.toml:10: process.a.program: expected a call the host engine can make, found ibv_open_device",
        "my.toml:13: process.a.program: expected a call the host engine can make, found ibv_alloc_pd",
        "my.toml:14: process.a.on_signal: expected a signal that can be put off, found SIGBUS",
    ]


def test_no_signal_goes_to_everybody() -> None:
    with pytest.raises(ScenarioError, match="a process or a group of the scenario, found -1"):
        run(a="kill(-1, SIGTERM)")
    with pytest.raises(HostError, match="every process of this machine"):
        run(a="all = close(99)\nkill(all, SIGTERM)")


def test_nobody_leaves_by_way_of_a_descriptor() -> None:
    with pytest.raises(ScenarioError, match=r"my.toml:10: .* without \.\. behind a name in /proc/self/fd"):
        run_on_host(scenario(a='stat("/proc/self/fd/3/../../etc")'), "my.toml")


def test_the_memory_of_the_process_that_makes_the_calls_stays() -> None:
    with pytest.raises(HostError, match="munmap of memory that is not the program's own"):
        run(a='fd = open("/f", O_RDWR)\nbuf = mmap(PAGE, PROT_READ, MAP_SHARED, fd, 0)\nmunmap(PAGE, buf)')


def test_nothing_a_scenario_writes_is_ever_executed() -> None:
    with pytest.raises(ScenarioError, match="data without the bytes # and 0x7f"):
        run(a='fd = open("/f", O_RDWR)\nwrite(fd, "#!/bin/sh")\nexecve("/f")')


def test_a_layout_lease_is_an_answer_of_the_kernel() -> None:
    assert returns(run(a='fd = open("/f", O_RDWR)\nfcntl(fd, F_SETLEASE, F_LAYOUT)'), "a") == [3, "EINVAL"]


def test_a_line_that_is_not_reached_leaves_the_verdict_undetermined() -> None:
    """Killed by SIGIO, which it does not handle; of the lines of a named policy none is needed."""
    holder = """
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_WRLCK)   # -> 0
label("leased")
pause()
fcntl(fd, F_SETLEASE, F_UNLCK)   # -> 0
close(fd)                        # P5 -> 0
close(fd)                        # -> optional, EBADF
"""
    result = run(holder=holder, opener='\nwait_for("leased")\nopen("/f", O_RDONLY)  # -> ok\n')
    assert [line.text for line in result.unreached] == ["fcntl(fd, F_SETLEASE, F_UNLCK)"]
    assert result.verdict is Verdict.UNDETERMINED
    assert result.reason.startswith("1 line that expects something was never reached")


def test_a_scenario_of_whose_rules_none_can_be_observed_is_undetermined() -> None:
    machine = "[machine]\nlease_break_time = 1"
    result = run(f"""holds = ["O1", "O1'", "O2", "O6"]\n{machine}""", a="getpid()")
    assert result.verdict is Verdict.UNDETERMINED
    unobserved = "O1, O1', O2, O6 cannot be observed"
    assert result.reason.startswith(f"nothing was judged: no rule (O3, O7 were not asked; {unobserved}")
    assert run(f'holds = ["O3"]\n{machine}', a="getpid()").verdict is Verdict.HOLDS


def test_a_run_that_waits_for_a_label_was_not_played_to_its_end() -> None:
    result = run(a='wait_for("x")', b='kill("b", SIGKILL)\nlabel("x")')
    assert result.verdict is Verdict.UNDETERMINED
    assert result.reason.startswith('the scenario was not played to its end: a in line 10, wait_for("x")')


@pytest.mark.parametrize(
    ("seconds", "now", "why_not", "pace"),
    [
        (5, 45, "", Pace(5, 1.0, "")),
        (0, 45, "", Pace(0, 1.0, "")),
        (45, 45, "no root", Pace(45, 1.0, "")),
        (90, 45, "no root", Pace(45, 0.5, "lease-break-time stays 45 s (no root), and sleeps are scaled to it")),
    ],
)
def test_the_pace_follows_the_lease_break_time(seconds: float, now: int, why_not: str, pace: Pace) -> None:
    assert pace_of(seconds, now, why_not) == pace


def test_a_long_lease_break_time_is_shortened_and_said_so() -> None:
    assert pace_of(40, 45, "") == Pace(
        1, 0.025, "lease-break-time is shortened from 40 s to 1 s, and sleeps by the same factor"
    )
    assert pace_of(0.5, 45, "").notice.startswith("lease-break-time is lengthened from 0.5 s to 1 s")
    with pytest.raises(HostError, match="needs a lease-break-time of 0 s, not 45 s: no root"):
        pace_of(0, 45, "no root")


def test_the_command_prints_the_same_json_and_refuses_what_has_no_meaning() -> None:
    shown = CliRunner().invoke(main, ["run", "lease-shared", "--engine", "host", "--json"])
    assert shown.exit_code == 0
    result = valid("run", shown.stdout)
    assert (result["engine"], result["seed"], result["hash"], result["verdict"]) == ("host", None, None, "holds")
    assert (result["rules"], result["not_observed"]) == (["O3", "O7"], ["O1", "O1'", "O2", "O6"])
    assert any("lease-break-time" in warning for warning in result["warnings"])
    assert result["policy"] == f"host:{os.uname().release}"
    assert "lease-break-time" in shown.stderr
    assert (
        "their order is the operating system's"
        in CliRunner().invoke(main, ["run", "lease-shared", "--engine", "host"]).stdout
    )
    for option in (["--trace", "x"], ["--policy", "P1"], ["--seed", "3"], ["--oracle", "fifo"], ["--timers", "lazy"]):
        refused = CliRunner().invoke(main, ["run", "lease-shared", "--engine", "host", *option])
        assert refused.exit_code == 2
        assert len(refused.stderr.splitlines()) == 1


UNENDING = textwrap.dedent("""
    from longpin.config.loader import parse_scenario
    from longpin.runner.events import SleepBegun
    from longpin.runner.host.machine import Machine
    from longpin.runner.host.world import World

    scenario = parse_scenario('''
    name = "x"
    [machine]
    lease_break_time = 3
    [[file]]
    path = "/f"
    [[process]]
    name = "a"
    program = "sleep(50)"
    ''', "x.toml")
    with Machine(scenario) as machine:
        world = World(scenario, machine)
        note = world.note

        def noted(event):
            note(event)
            if isinstance(event, SleepBegun):
                agent = world.situations[0].process.agent
                print(machine.folder, agent.pid, machine.zygote._process.pid, flush=True)

        world.note = noted
        world.run(scenario)
""")


@root
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_run_that_was_killed(number: signal.Signals) -> None:
    with machine_to_ourselves():
        before = LEASE_BREAK_TIME.read_text()
    with subprocess.Popen([sys.executable, "-c", UNENDING], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        folder, agent, zygote = os.fsdecode(child.stdout.readline()).split()
        handles = [os.pidfd_open(int(pid)) for pid in (agent, zygote)]
        assert LEASE_BREAK_TIME.read_text() == "3\n"
        child.send_signal(number)
        for handle in handles:
            ended = select.poll()
            ended.register(handle, select.POLLIN)
            assert ended.poll(30_000)
            os.close(handle)
        child.communicate()
    assert not Path(folder).parent.exists()
    with machine_to_ourselves():
        assert LEASE_BREAK_TIME.read_text() == before


@root
@pytest.mark.parametrize("times", [1, 100])
def test_somebody_else_who_sets_lease_break_time_is_noticed(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with machine_to_ourselves():
        before = LEASE_BREAK_TIME.read_text()
    done = 0
    note = World.note

    def noted(world: World, event: RunEvent) -> None:
        nonlocal done
        note(world, event)
        # Not when "b" sleeps, for "a" may set it after that.
        if isinstance(event, SleepBegun) and event.process.name == "a" and done < times:
            LEASE_BREAK_TIME.write_text("7")
            done += 1

    monkeypatch.setattr(World, "note", noted)
    try:
        result = run(
            a='fd = open("/f", O_RDONLY)\nset_lease_break_time(2)\nfcntl(fd, F_SETLEASE, F_RDLCK)\nlabel("x")\npause()',
            a__x='on_signal.SIGIO = "fcntl(fd, F_SETLEASE, F_UNLCK)"',
            b='wait_for("x")\nopen("/f", O_WRONLY)  # -> blocks, ok\n',
        )
    finally:
        with machine_to_ourselves():
            after = LEASE_BREAK_TIME.read_text()
            LEASE_BREAK_TIME.write_text(before)
    if times == 1:
        assert result.verdict is Verdict.HOLDS
    else:
        assert done >= 3
        assert result.verdict is Verdict.UNDETERMINED
        assert result.reason == "somebody else set fs.lease-break-time while it ran, 3 times"
        assert not result.violations
        assert after == "7\n"


def test_a_machine_leaves_nothing_behind(tmp_path: Path) -> None:
    with Machine(scenario(a="pause()"), tmp_path) as machine:
        assert (machine.folder / "f").stat().st_size == 8192
    assert list(tmp_path.iterdir()) == []


@root
def test_a_limit_on_descriptors_is_the_programs_alone() -> None:
    """What the engine needs descriptors for, it can still do: fork, exec, and sending one."""
    result = run(
        a="""
fd = open("/f", O_RDWR)
setrlimit(RLIMIT_NOFILE, 3)        # -> 0
dup2(fd, 3)                        # -> 3
dup(fd)                            # -> EMFILE
set_lease_break_time(1)            # -> EMFILE
send_fd("b", fd)                   # -> 0
send_fd("a", fd)                   # -> 0
recv_fd()                          # -> EMFILE
child = fork("c")                  # -> ok
waitpid(child)                     # -> ok
setuid(1000)
setrlimit(RLIMIT_NOFILE, 4)        # -> EPERM
setrlimit(RLIMIT_NOFILE, 2)        # -> 0
setrlimit(RLIMIT_NOFILE, 3)        # -> EPERM
""",
        b="recv_fd()  # -> 3\n",
        c="open('/f', O_RDONLY)  # -> EMFILE\nclose(3)\nexec('d')\n",
        c__start="start = 'fork'",
        d="open('/f', O_RDONLY)  # -> EMFILE\nexec('e')\n",
        d__start="start = 'fork'",
        e="pipe()  # -> EMFILE\nsetrlimit(RLIMIT_NOFILE, 1048577)  # -> EPERM\n",
        e__start="start = 'fork'",
    )
    assert result.verdict is Verdict.HOLDS, result.violations
