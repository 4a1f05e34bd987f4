"""The command line: what it prints, where, and its exit status."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from children import heed_sigint
from click.testing import CliRunner, Result

from longpin.config.loader import shipped_scenarios
from longpin.config.schema import ALL_RULES
from longpin.messages.trace import TraceError, TraceReader
from longpin.runner.commands import cli, options
from longpin.runner.commands.terminal import WIDTH
from longpin.runner.engines.engine import InternalError

HANGS = """\
name = "hangs"
source = "a test"
summary = "truncate waits for a pin"
policy = "P1"

[[file]]
path = "/pmem/data"
size = "PAGE"

[[process]]
name = "app"
program = '''
ctx = ibv_open_device("rxe0")
pd  = ibv_alloc_pd(ctx)
fd  = open("/pmem/data", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr  = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
truncate("/pmem/data", 0)
'''
"""


@pytest.fixture
def hangs(tmp_path: Path) -> str:
    path = tmp_path / "it hangs.toml"
    path.write_text(HANGS)
    return str(path)


def longpin(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(cli.main, arguments, env={"COLUMNS": "100", **environment})


def process(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "longpin.runner.commands.cli", *arguments]
    environment = {**os.environ, "COLUMNS": "100", "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        command, **{"capture_output": True, "text": True, "env": environment, "check": False, **options}
    )


def one_line(result: Result, *words: str) -> None:
    """Check that a command failed with one line on standard error and nothing else."""
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


def test_the_default_scenario_shows_something() -> None:
    result = longpin("run")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.startswith(f"{options.DEFAULT_SCENARIO}: ")
    for shown in ("app (100)", "truncater (101)", "kernel and device", "→ ETXTBSY", "45 s", "\nholds: ", "seed 0"):
        assert shown in result.stdout
    assert "\x1b" not in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100


@pytest.mark.parametrize("columns", ["80", "200"])
def test_columns_are_respected(columns: str) -> None:
    lines = longpin("run", COLUMNS=columns).stdout.splitlines()
    assert max(map(len, lines)) <= int(columns)


@pytest.mark.parametrize("columns", ["", "0", "-5", "x", "9" * 5000, "²"])
def test_columns_that_make_no_sense_are_ignored(columns: str) -> None:
    assert longpin("run", COLUMNS=columns).stdout == longpin("run", COLUMNS=str(WIDTH)).stdout


def test_json_is_one_object_and_nothing_else() -> None:
    result = longpin("run", "--json", "--seed", "5", "--oracle", "random")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.count("\n") == 1
    found = json.loads(result.stdout)
    assert found["verdict"] == "holds"
    assert (found["seed"], found["oracle"], found["engine"], found["timers"]) == (5, "random", "stepped", "lazy")
    assert found["scenario"] == options.DEFAULT_SCENARIO
    assert found["arrivals"] > 50
    assert re.fullmatch("[0-9a-f]{64}", found["hash"])
    assert [call["errno"] for call in found["calls"] if call["call"] == "truncate"] == ["ETXTBSY"]


def test_violated(hangs: str) -> None:
    result = longpin("run", hangs)
    assert result.exit_code == 1
    assert "never returns" in result.stdout
    assert "\nviolated: O3\n" in result.stdout


@pytest.mark.parametrize("options", [[], ["--policy", "wait", "--oracle", "random", "--seed", "3", "--timers", "racy"]])
def test_the_last_line_shows_a_violation_again(hangs: str, options: list[str]) -> None:
    before = longpin("run", hangs, *options)
    program, *arguments = shlex.split(before.stdout.splitlines()[-1])
    assert program == "longpin"
    again = longpin(*arguments)
    assert (again.exit_code, again.stdout) == (1, before.stdout)


def test_the_last_line_replays_a_trace(hangs: str, tmp_path: Path) -> None:
    trace = str(tmp_path / "a trace")
    before = longpin("run", hangs, "--trace", trace)
    program, *arguments = shlex.split(before.stdout.splitlines()[-1])
    assert [program, *arguments] == ["longpin", "replay", trace]
    again = longpin(*arguments)
    assert (again.exit_code, again.stdout) == (1, before.stdout)


def test_threads_say_that_only_a_trace_repeats_them(hangs: str) -> None:
    result = longpin("run", hangs, "--engine", "threads", "--time-scale", "0")
    assert result.exit_code == 1
    assert "engine: threads, seed 0" in result.stdout
    advice, observation, last = result.stdout.splitlines()[-3:]
    assert "operating system" in advice
    assert observation == "Observation hangs P1:intended violated O3 1/1 run -"
    assert shlex.split(last)[-2:] == ["--trace", "longpin.trace"]


def test_a_trace_of_threads_replays(tmp_path: Path) -> None:
    trace = str(tmp_path / "t.trace")
    live = json.loads(longpin("run", "--engine", "threads", "--trace", trace, "--json").stdout)
    again = json.loads(longpin("replay", trace, "--json").stdout)
    assert live | {"recorded": None} == again
    assert live["engine"] == "threads"
    assert live["oracle"] is None


def test_until_stops_and_is_never_a_pass(tmp_path: Path) -> None:
    trace = str(tmp_path / "t.trace")
    assert longpin("run", "--trace", trace).exit_code == 0
    stopped = longpin("replay", trace, "--until", "30", "--json")
    assert stopped.exit_code == 3
    found = json.loads(stopped.stdout)
    assert (found["verdict"], found["arrivals"]) == ("undetermined", 30)
    assert longpin("replay", trace, "--until", "30").stdout.count("never returns") == 0
    assert longpin("replay", trace, "--until", "-1").exit_code == 2


def test_policy_replaces_the_scenarios_own(hangs: str) -> None:
    assert json.loads(longpin("run", hangs, "--json").stdout)["policy"] == "P1:intended"
    rejected = json.loads(longpin("run", hangs, "--policy", "Reject:as_posted", "--json").stdout)
    assert rejected["policy"] == "P0:as_posted"
    assert rejected["verdict"] == "holds"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "no-such"], ["no-such", "expected a file, one of the scenarios"]),
        (["run", "/no/such.toml"], ["/no/such.toml:1: ", "No such file"]),
        (["run", "--policy", "P77"], ["longpin: --policy: ", "'P77'"]),
        (["run", "--policy", "P5:worst"], ["longpin: --policy: ", "as_posted, intended"]),
        (["run", "--engine", "threads", "--oracle", "fifo"], ["longpin: --oracle "]),
        (["run", "--engine", "threads", "--timers", "racy"], ["longpin: --timers "]),
        (["run", "--time-scale", "1"], ["longpin: --time-scale "]),
        (["run", "--engine", "threads", "--time-scale", "nan"], ["longpin: --time-scale: ", "nan"]),
        (["run", "--engine", "threads", "--time-scale", "-1"], ["longpin: --time-scale: "]),
        (["replay", "/no/such/file"], ["longpin: /no/such/file: cannot be read: No such file"]),
        (["replay", __file__], ["longpin: ", "not a longpin trace"]),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], words: list[str]) -> None:
    one_line(longpin(*arguments), *words)


@pytest.mark.parametrize(
    "arguments", [["run", "--engine", "fast"], ["run", "--seed", "x"], ["run", "--seed", "-1"], ["list", "x"], ["fly"]]
)
def test_usage_errors_exit_2(arguments: list[str]) -> None:
    result = longpin(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Traceback" not in result.stderr


def test_every_mistake_of_a_scenario_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(HANGS.replace('size = "PAGE"', 'size = "\\u001b[31m"').replace("truncate(", "trunkate("))
    result = longpin("run", str(path))
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"{path}:") for line in lines)
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["run"], "--trace"),
        (["explore"], "--junit"),
        (["stress"], "--junit"),
        (["conform", "--races"], "--difference"),
        (["show", "--as", "c"], "--output"),
    ],
)
def test_nothing_is_written_over_the_scenario(hangs: str, words: list[str], option: str, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(hangs)
    for file in (hangs, str(link)):
        one_line(longpin(*words, hangs, option, file), f"longpin: {option}: ", "would be overwritten")
        assert Path(hangs).read_text() == HANGS


def test_an_internal_error_is_one_line_and_v_shows_where(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise InternalError("inode:/x: KeyError: 3")

    monkeypatch.setattr("longpin.runner.run.run", broken)
    one_line(longpin("run"), "longpin: internal error (a bug in longpin): inode:/x: KeyError: 3")
    verbose = longpin("run", "-v")
    assert verbose.exit_code == 2
    assert verbose.stderr.startswith("Traceback")


def test_interrupted_before_anything_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("longpin.runner.run.run", interrupted)
    result = longpin("run")
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "longpin: interrupted\n")


@pytest.mark.parametrize(("what", "names"), [("scenarios", shipped_scenarios()), ("rules", list(ALL_RULES))])
def test_lists(what: str, names: list[str]) -> None:
    found = json.loads(longpin("list", what, "--json").stdout)
    assert [entry["name"] for entry in found] == names
    assert all(entry["source"] and entry["summary"] for entry in found)
    table = longpin("list", what)
    assert table.exit_code == 0
    assert all(any(line.startswith(name) for line in table.stdout.splitlines()) for name in names)


def test_list_of_policies() -> None:
    found = {entry["name"]: entry for entry in json.loads(longpin("list", "policies", "--json").stdout)}
    assert found["P5"]["alias"] == "flv1"
    assert found["P5"]["presets"] == ["as_posted", "intended", "lt0", "k1_kill", "k1_invalidate", "d1"]
    assert found["P5"]["parameters"]["lease_check"] == "one of any_lease, own_tgid, active_only"
    assert "lease_check" not in found["P0"]["parameters"]
    assert "flv1" in longpin("list", "policies").stdout


def test_logs_go_to_standard_error_when_asked_for() -> None:
    quiet, informed, debugged = (longpin("run", "--json", *options) for options in ([], ["-v"], ["-vv"]))
    assert quiet.stdout == informed.stdout == debugged.stdout
    assert quiet.stderr == ""
    assert "verdict=holds" in informed.stderr
    assert informed.stderr.count("\n") < debugged.stderr.count("\n")


def test_a_line_is_logged_though_nothing_was_asked_for() -> None:
    """As pykka does where a thread of its own fails; structlog is imported no earlier."""
    script = (
        "import logging, sys; from longpin.runner.commands.logs import configure_logs\n"
        "configure_logs(0); print('structlog' in sys.modules)\n"
        "for at in range(2): logging.getLogger('pykka.x').info('no'); logging.getLogger('pykka').error('line %d', at)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert re.fullmatch(r"[\d:.]+ \[error +\] line 0 *\n[\d:.]+ \[error +\] line 1 *\n", done.stderr)


def test_help_needs_nothing_heavy() -> None:
    script = (
        "import sys, longpin.runner.commands.cli as cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit as end: print(end.code, sorted({'rich', 'pykka', 'structlog'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


# True processes.


def test_a_process_exits_as_the_verdict_says(hangs: str) -> None:
    assert process("run").returncode == 0
    assert process("run", hangs).returncode == 1
    bad = process("run", "no-such")
    assert (bad.returncode, bad.stdout, bad.stderr.count("\n")) == (2, "", 1)


def test_a_reader_that_goes_away_is_no_error(hangs: str) -> None:
    """The pipe has no reader from the start, so the first write fails; the verdict is known all the same."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = process("run", hangs, capture_output=False, stdout=writer, stderr=subprocess.PIPE)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("arguments", [["run"], ["run", "--json"], ["list", "rules"], ["--help"]])
def test_a_full_disk_is_one_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = process(*arguments, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert re.fullmatch("longpin: .*No space left on device\n", done.stderr)


@pytest.mark.parametrize("arguments", [["run", "-v"], ["run", "no-such"], ["run", "lease-retaken", "--engine", "host"]])
@pytest.mark.parametrize("where", ["2>/dev/full", "2>&-"])
def test_a_standard_error_that_takes_nothing_changes_nothing(arguments: list[str], where: str) -> None:
    command = shlex.join([sys.executable, "-m", "longpin", *arguments])
    environment = {**os.environ, "COLUMNS": "100", "PYTHONIOENCODING": "utf-8"}
    words = ["sh", "-c", f"{command} {where}"]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    usual = longpin(*arguments)
    assert done.returncode == usual.exit_code
    assert [*re.findall("^(?:holds|violated).*$", done.stdout, re.MULTILINE)] == re.findall(
        "^(?:holds|violated).*$", usual.stdout, re.MULTILINE
    )


def test_logs_never_go_to_standard_output() -> None:
    command = shlex.join([sys.executable, "-m", "longpin", "run", "--json", "-vv"])
    done = subprocess.run(["sh", "-c", f"{command} 2>&-"], capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["verdict"] == "holds"


def test_a_lack_of_memory_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("longpin.runner.run.run", run)
    done = longpin("run")
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", "longpin: out of memory\n")


def test_a_closed_standard_output_is_one_line() -> None:
    command = shlex.join([sys.executable, "-m", "longpin.runner.commands.cli", "run"])
    done = subprocess.run(["sh", "-c", f"{command} >&-"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "longpin: standard output is closed\n")


def test_an_ascii_terminal_gets_ascii() -> None:
    environment = {**os.environ, "COLUMNS": "100", "PYTHONIOENCODING": "ascii"}
    done = process("run", env=environment)
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "-> ETXTBSY" in done.stdout


def arrivals_in(trace: Path) -> int:
    """Count what was recorded so far."""
    try:
        return sum(1 for _ in TraceReader(trace))
    except TraceError:  # not even the header is whole yet
        return 0


def test_an_interrupted_run_tells_what_it_knows(tmp_path: Path) -> None:
    """A real second takes a thousand of them, so the run is waiting for its clock when the signal comes."""
    trace = tmp_path / "t.trace"
    command = [
        sys.executable,
        "-m",
        "longpin.runner.commands.cli",
        "run",
        "--engine",
        "threads",
        "--time-scale",
        "1000",
        "--json",
    ]
    with subprocess.Popen(
        [*command, "--trace", str(trace)], stdout=subprocess.PIPE, text=True, preexec_fn=heed_sigint
    ) as running:
        try:
            while not (trace.exists() and trace.stat().st_size and arrivals_in(trace) > 40):
                assert running.poll() is None
            running.send_signal(signal.SIGINT)
            output, _ = running.communicate()
        finally:
            running.kill()
    found = json.loads(output)
    assert running.returncode == 3
    assert found["verdict"] == "undetermined"
    assert found["reason"].startswith("interrupted after arrival ")


def test_every_command_has_help() -> None:
    assert isinstance(cli.main, click.Group)
    for name in cli.main.commands:
        result = longpin(name, "--help")
        assert result.exit_code == 0
        assert ("--json" in result.stdout) == (name != "new")
