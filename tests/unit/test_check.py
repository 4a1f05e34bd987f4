"""``longpin check`` and ``longpin new``: what is said of a scenario of which nothing is run, and one to begin with."""

import json
import re
from pathlib import Path

import pytest
from command_line import Done, longpin
from quality.json_output import valid

from longpin import api
from longpin.config.advice import remarks
from longpin.config.hazard import shipped_hazards
from longpin.config.loader import load_scenario, parse_scenario, shipped_scenarios

WORKER = """
[[process]]
name = "a"
program = '''
sigprocmask(SIG_BLOCK, SIGUSR1)
{}
'''
"""


def said(text: str) -> list[str]:
    """Return what is said of a scenario, without the file."""
    return [str(one).removeprefix("x.toml:") for one in remarks(parse_scenario(text, "x.toml"))]


def of_program(*lines: str, more: str = "") -> list[str]:
    return said('name = "x"\n' + WORKER.format("\n".join(lines)) + more)


@pytest.mark.parametrize("name", [*shipped_scenarios(), *shipped_hazards()])
def test_nothing_is_to_be_said_of_what_is_shipped(name: str) -> None:
    assert api.check(name) == []


def test_a_label_nobody_waits_for() -> None:
    assert of_program('label("x")') == ['7: process.a: warning: nobody waits for the label "x"']
    assert of_program('label("x")', more="[[process]]\nname = 'b'\nprogram = 'wait_for(\"x\")'") == []


def test_a_label_that_only_the_waiting_program_sets_later() -> None:
    told = ['7: process.a: warning: the label "x" is set by nobody else, and only after this']
    assert of_program('wait_for("x")', 'label("x")') == told
    assert of_program('label("x")', 'wait_for("x")') == []
    assert of_program('wait_for("x")', more="on_signal.SIGUSR2 = 'label(\"x\")'") == [
        "9: process.a.on_signal.SIGUSR2: warning: nobody sends SIGUSR2"
    ]


@pytest.mark.parametrize(
    ("line", "signal", "sent"),
    [
        ("getpid()", "SIGUSR1", False),
        ('kill("a", SIGUSR1)', "SIGUSR1", True),
        ('kill("a", SIGUSR2)', "SIGUSR1", False),
        ('signo = getpid()\nkill("a", signo)', "SIGUSR1", True),
        ("fcntl(3, F_SETSIG, SIGUSR1)", "SIGUSR1", True),
        ("fcntl(3, F_SETSIG, SIGUSR1)", "SIGIO", False),
        ("fcntl(3, F_SETLEASE, F_RDLCK)", "SIGIO", True),
        ("fcntl(3, F_SETLEASE, F_RDLCK)", "SIGUSR1", False),
        ("fcntl(3, F_SETDELEG, F_RDLCK)", "SIGIO", True),
        ("fcntl(3, F_GETLEASE)", "SIGIO", False),
        ("mmap(PAGE, PROT_READ, MAP_SHARED | MAP_DIRECT, 3, 0)", "SIGIO", True),
        ("mmap(PAGE, PROT_READ, MAP_SHARED, 3, 0)", "SIGIO", False),
        ("mmap(PAGE, PROT_READ, MAP_SHARED, 3, 0)", "SIGBUS", True),
        ("getpid()", "SIGSEGV", False),
        ("load(0, 1)", "SIGSEGV", True),
        ('fork("c")', "SIGCHLD", True),
        ("getpid()", "SIGCHLD", False),
    ],
)
def test_a_handler_of_a_signal_that_nobody_sends(line: str, signal: str, sent: bool) -> None:
    child = "[[process]]\nname = 'c'\nstart = 'fork'\nprogram = ''\n" if "fork" in line else ""
    policy = 'policy = "P4"\n' if "MAP_DIRECT" in line else ""
    text = f'{policy}name = "x"\n' + WORKER.format(line) + f"on_signal.{signal} = 'getpid()'\n" + child
    told = [one for one in said(text) if "sends" in one]
    rows = 2 + policy.count("\n") + line.count("\n")
    assert told == ([] if sent else [f"{7 + rows}: process.a.on_signal.{signal}: warning: nobody sends {signal}"])


def test_what_no_call_names() -> None:
    tables = (
        "[[file]]\npath = '/d/used'\n[[file]]\npath = '/d/other'\n[[dax]]\nname = 'dax0'\n"
        "[[video]]\nname = 'video0'\n[[device]]\nname = 'rxe0'\n[[device]]\nname = 'rxe1'\n"
    )
    told = said(f'name = "x"\n{tables}' + WORKER.format("open('/d/../d/used', O_RDWR)\nibv_open_device('rxe1')"))
    assert told == [
        "4: file./d/other: warning: no call names /d/other",
        "6: dax.dax0: warning: no call names /dev/dax0",
        "8: video.video0: warning: no call names /dev/video0",
        "10: device.rxe0: warning: nobody opens this device",
    ]


def test_what_roles_leave_out_under_one_policy_is_not_remarked() -> None:
    scenario = load_scenario("H8-write-that-copies")
    assert scenario.dialect
    extra = scenario.text.replace("[[file]]", "[[file]]\npath = '/never'\n[[file]]", 1)
    assert said(extra) == []


BAD = 'name = "bad"\nholds = ["O1"]\n[[process]]\nname = "p"\nprogram = \'\'\'\nclose(3)  # -> 0\nlabel("x")\n\'\'\'\n'
WARNINGS = [
    "bad.toml:6: process.p: warning: what this line expects is not judged: O7 is not in holds",
    'bad.toml:7: process.p: warning: nobody waits for the label "x"',
]


def checked(folder: Path, *words: str) -> Done:
    (folder / "bad.toml").write_text(BAD)
    (folder / "worse.toml").write_text('name = "worse"\n[[process]]\nname = "p"\nprogram = "clos(3)"\n')
    return longpin(folder, "check", *words)


def test_the_command(tmp_path: Path) -> None:
    done = checked(tmp_path, "bad.toml")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [*WARNINGS, "1 file: 0 errors, 2 warnings"]
    assert checked(tmp_path, "bad.toml", "--strict").returncode == 1
    assert checked(tmp_path, "pin-refused", "--strict").returncode == 0
    done = checked(tmp_path, "bad.toml", "worse.toml", "nowhere.toml")
    assert done.returncode == 2
    *lines, last = done.stdout.splitlines()
    assert lines[:2] == WARNINGS
    assert re.match(r"worse.toml:4:\d+: process.p.program: expected .*close", lines[2])
    assert lines[3].startswith("nowhere.toml:1: ")
    assert last == "3 files: 2 errors, 2 warnings"


def test_json(tmp_path: Path) -> None:
    done = checked(tmp_path, "bad.toml", "worse.toml", "--json")
    found = valid("check", done.stdout)
    assert (found["errors"], found["warnings"]) == (1, 2)
    assert found["files"][0] == {"file": "bad.toml", "scenario": "bad", "errors": [], "warnings": WARNINGS}
    assert found["files"][1]["scenario"] is None


def test_a_policy_that_cannot_speak_the_roles_is_told(tmp_path: Path) -> None:
    done = checked(tmp_path, "H8-write-that-copies", "bad.toml", "--policy", "P3")
    assert done.returncode == 0
    done = checked(tmp_path, "bad.toml", "--policy", "P99")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1


def test_a_new_scenario_is_whole(tmp_path: Path) -> None:
    done = longpin(tmp_path, "new", "mine")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "longpin check mine.toml\nlongpin run mine.toml\nlongpin explore mine.toml\n"
    for line in done.stdout.splitlines():
        assert longpin(tmp_path, *line.split()[1:]).returncode == 0, line
    assert longpin(tmp_path, "check", "mine.toml", "--strict", "--json").returncode == 0
    text = (tmp_path / "mine.toml").read_text()
    assert "@" not in text
    assert load_scenario(str(tmp_path / "mine.toml")).name == "mine"
    violated = longpin(tmp_path, "run", "mine.toml", "--policy", "P1", "--json")
    assert (violated.returncode, json.loads(violated.stdout)["failure"]["rule"]) == (1, "O3")


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("mine")
    done = longpin(tmp_path, "new", "mine.toml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "longpin: mine.toml: it is there already, and is left as it is\n"
    assert (tmp_path / "mine.toml").read_text() == "mine"


@pytest.mark.parametrize("name", ["", "a b", "a/", "é", "x\n", "a" * 64, "nowhere/mine", 'x"y'])
def test_a_name_that_is_none(name: str, tmp_path: Path) -> None:
    done = longpin(tmp_path, "new", name)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert list(tmp_path.iterdir()) == []
