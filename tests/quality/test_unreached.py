"""A line that expects something and is never reached was not judged: undetermined, and named, whatever runs it."""

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from longpin.config.loader import parse_scenario
from longpin.runner.commands import cli
from longpin.runner.exploration import explore, shared
from longpin.runner.exploration.frontier import Grain
from longpin.runner.result import Verdict
from longpin.runner.run import run
from longpin.runner.sampling import stress
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject

KILLED = """\
name = "killed"
[[file]]
path = "/f"
size = "PAGE"
[[process]]
name = "holder"
program = '''
fd = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_WRLCK)   # -> 0
label("leased")
sleep(300)
fcntl(fd, F_SETLEASE, F_UNLCK)   # -> 0
close(fd)                        # -> 0
'''
[[process]]
name = "opener"
program = '''
wait_for("leased")
open("/f", O_RDONLY)             # -> blocks, ok
'''
"""
"""SIGIO kills the holder while it sleeps: somebody forgot its handler."""
LOST = ["line 12, holder: fcntl(fd, F_SETLEASE, F_UNLCK)", "line 13, holder: close(fd)"]

RACE = """\
name = "race"
[[process]]
name = "killer"
program = '''
kill("victim", SIGTERM)
'''
[[process]]
name = "victim"
program = '''
getpid()
getpid()                         # -> ok
'''
"""
"""Whether the victim gets past its first call depends on the schedule."""

VERBS = [["run"], ["explore", "--workers", "1"], ["stress", "--runs", "14", "--workers", "1"]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def longpin(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments, env={"COLUMNS": "120"})


def subject(text: str, timers: str = "lazy") -> Subject:
    scenario = parse_scenario(text, "test.toml")
    return Subject(scenario, Settings.of(scenario, timers=timers))


def told(text: str) -> list[str]:
    """Return the lines that a report says were not reached."""
    return [line.partition("not reached: ")[2] for line in text.splitlines() if "not reached: " in line]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "words",
    [
        *VERBS,
        ["run", "--engine", "threads"],
        ["explore", "--method", "states"],
        ["explore", "--workers", "1", "--no-footprints"],
        ["explore", "--workers", "2", "--method", "dpor"],
        ["explore", "--checkpoint", "done", "--workers", "1"],
        ["stress", "--engine", "threads", "--runs", "2"],
        ["stress", "--runs", "14", "--all", "--workers", "2"],
    ],
    ids=" ".join,
)
def test_every_verb_names_them(words: list[str]) -> None:
    Path("killed.toml").write_text(KILLED)
    result = longpin(words[0], "killed.toml", *words[1:])
    assert result.exit_code == 3, result.output
    assert told(result.stdout) == LOST
    assert "undetermined: " in result.stdout


@pytest.mark.usefixtures("folder")
def test_a_replay_names_them_and_so_does_one_that_stops() -> None:
    Path("killed.toml").write_text(KILLED)
    made = longpin("run", "killed.toml", "--trace", "t.trace")
    again = longpin("replay", "t.trace")
    assert (again.exit_code, again.stdout) == (3, made.stdout)
    stopped = longpin("replay", "t.trace", "--until", "20")
    assert "undetermined: stopped after arrival 20, as asked" in stopped.stdout
    assert told(stopped.stdout) == [*LOST, 'line 19, opener: open("/f", O_RDONLY)']


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("words", VERBS[:2], ids=" ".join)
@pytest.mark.parametrize("how", ["optional, 0", "P0 -> 0; P1 -> 0", "P5:as_posted -> 0"])
def test_a_line_may_say_that_it_need_not_be_reached(words: list[str], how: str) -> None:
    """By a word, or as an expectation for another policy."""
    how = how if "->" in how else f"-> {how}"
    parts = KILLED.split("sleep(300)\n")
    Path("killed.toml").write_text("sleep(300)\n".join((parts[0], parts[1].replace("-> 0", how))))
    result = longpin(words[0], "killed.toml", *words[1:])
    assert (result.exit_code, told(result.stdout)) == (0, []), result.stdout
    assert "O1, O1', O2, O3, O6, O7 hold" in result.stdout


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("method", ["dpor", "states"])
def test_why_an_exploration_that_is_complete_is_no_proof(method: str) -> None:
    """A label that nobody sets any more: the reason says that this was not judged."""
    waits = "wait_for('x')"
    programs = (
        f'[[process]]\nname = "p"\nprogram = "exit()\\nlabel(\'x\')"\n[[process]]\nname = "q"\nprogram = "{waits}"\n'
    )
    Path("x.toml").write_text(f'name = "x"\n{programs}')
    done = longpin("explore", "x.toml", "--method", method)
    assert done.exit_code == 3
    assert "undetermined: every schedule was explored, but not each one could be judged\n" in done.stdout
    assert "  the scenario was not played to its end: q in line 7, wait_for('x'): " in done.stdout


def test_an_optional_line_that_is_reached_is_judged() -> None:
    text = KILLED.replace("F_WRLCK)   # -> 0", "F_WRLCK)   # -> optional, EAGAIN")
    assert run(parse_scenario(text, "t"), Settings("P5", "intended")).verdict is Verdict.VIOLATED


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_a_violation_stays_one(words: list[str]) -> None:
    Path("killed.toml").write_text(KILLED.replace("-> blocks, ok", "-> EAGAIN"))
    result = longpin(words[0], "killed.toml", *words[1:])
    assert result.exit_code == 1
    again = longpin(*shlex.split(result.stdout.splitlines()[-1])[1:])
    assert again.exit_code == 1


@pytest.mark.parametrize("timers", ["lazy", "racy"])
@pytest.mark.parametrize("method", ["dpor", "states", pytest.param("naive", marks=pytest.mark.heavy)])
@pytest.mark.parametrize("footprints", [True, False])
def test_for_an_exploration_one_schedule_is_enough(method: str, footprints: bool, timers: str) -> None:
    # One by one there are many more schedules of the same length.
    its = subject(RACE.replace("getpid()\ngetpid()", "getpid()") if method == "naive" else RACE, timers)
    options = {"check": its.check, "always": its.always, "marks": its.marks, "wanted": its.wanted}
    ended = [run(its.scenario, Settings.of(its.scenario, oracle="random", seed=seed)).verdict for seed in range(20)]
    assert set(ended) == {Verdict.HOLDS, Verdict.UNDETERMINED}, "it depends on the schedule"
    result = explore(its.build, method=method, footprints=footprints, racy=timers == "racy", **options)  # type: ignore[arg-type]
    assert (result.verdict, result.missing) == (Verdict.HOLDS, [])
    assert stress(its.build, runs=20, **options).missing == []  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [1, 2])
def test_parts_of_an_exploration_tell_what_they_reached(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "GRAIN", Grain(30, 0))
    monkeypatch.setattr(shared, "HEAD_START", 0.0)
    its = subject(RACE)
    result = explore(
        its.build, method="dpor", check=its.check, marks=its.marks, wanted=its.wanted, workers=workers, footprints=False
    )
    assert result.verdict is Verdict.HOLDS


def test_a_call_that_never_returns_is_judged_where_nothing_can_happen_any_more() -> None:
    text = (
        "name = \"hangs\"\n[[process]]\nname = \"p\"\nprogram = '''\nrecv_fd()  # -> hangs\nclose(99)  # P0 -> 0\n'''\n"
    )
    its = subject(text)
    assert run(its.scenario, its.settings).verdict is Verdict.HOLDS
    for method in ("dpor", "states"):
        assert explore(its.build, method=method, check=its.check, marks=its.marks, wanted=its.wanted).complete
        result = explore(its.build, method=method, check=its.check, marks=its.marks, wanted=its.wanted)
        assert (result.verdict, result.missing) == (Verdict.HOLDS, [])


FORKED = """\
name = "forked"
[[process]]
name = "parent"
program = '''
fork("child")
fork("child")
'''
[[process]]
name = "child"
start = "fork"
program = '''
getpid()                          # -> ok
fork("heir")
'''
[[process]]
name = "heir"
start = "fork"
program = '''
exec("other")
'''
[[process]]
name = "other"
start = "fork"
program = '''
close(99)                         # -> EBADF
'''
"""


def test_it_is_enough_that_some_process_reached_a_line() -> None:
    """By fork, twice, and by exec: the line is told as one of the process it is written in."""
    its = subject(FORKED)
    assert its.wanted == ["process.child.program, row 1", "process.other.program, row 1"]
    assert run(its.scenario, its.settings).verdict is Verdict.HOLDS
    lost = run(subject(FORKED.replace('exec("other")', 'exit()\nexec("other")')).scenario, its.settings)
    assert [str(line) for line in lost.unreached] == ["line 26, other: close(99)"]


SAME_LINE = """\
name = "same-line"
[[process]]
name = "p"
program = "close(99) # -> EBADF\\nexit()\\nclose(99) # -> 0"
"""
TWICE = """\
name = "same-line"
process = [{name = "p", program = "close(99) # -> EBADF", on_signal = {SIGIO = "close(99) # -> 0"}}]
"""
"""Two calls with the same text on one line of the file, of which one is made; in one program, and in two."""


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("words", [*VERBS, ["explore", "--method", "states"]], ids=" ".join)
@pytest.mark.parametrize(("text", "line"), [(SAME_LINE, 4), (TWICE, 2)])
def test_calls_on_one_line_of_the_file_are_not_one(words: list[str], text: str, line: int) -> None:
    Path("x.toml").write_text(text)
    result = longpin(words[0], "x.toml", *words[1:])
    assert (result.exit_code, told(result.stdout)) == (3, [f"line {line}, p: close(99)"])


REPLACED = """\
name = "replaced"
[[process]]
name = "p"
program = '''
exec("q")                         # -> hangs
'''
[[process]]
name = "q"
start = "fork"
program = '''
close(99)                         # -> EBADF
'''
"""


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("words", [*VERBS[:2], ["explore", "--method", "states"]], ids=" ".join)
def test_an_exec_that_does_not_return_is_reached(words: list[str]) -> None:
    """As on the host engine and in C."""
    Path("x.toml").write_text(REPLACED)
    assert longpin(words[0], "x.toml", *words[1:]).exit_code == 0
    Path("x.toml").write_text(REPLACED.replace('exec("q")', 'exit()\nexec("q")'))
    result = longpin(words[0], "x.toml", *words[1:])
    assert told(result.stdout) == ['line 6, p: exec("q")', "line 12, q: close(99)"]


@pytest.mark.usefixtures("folder")
def test_many_lines_are_told_in_short() -> None:
    lines = "".join("close(99)  # -> EBADF\n" for _ in range(30))
    Path("x.toml").write_text(f"name = \"x\"\n[[process]]\nname = \"p\"\nprogram = '''\nexit()\n{lines}'''\n")
    result = longpin("run", "x.toml")
    assert "30 lines that expect something were never reached" in result.stdout
    assert told(result.stdout)[-1] == "10 more lines"
    assert len(told(result.stdout)) == 21
