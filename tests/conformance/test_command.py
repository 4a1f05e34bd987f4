"""``longpin conform``: exit status, what is printed, and that planted mistakes are found and made small."""

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conformance.conftest import RECORDED
from quality.json_output import valid

from longpin.actors.policies.proposal import Proposal
from longpin.runner.commands.conform import conform
from longpin.runner.commands.terminal import Commands
from longpin.runner.conform import emulated
from longpin.runner.conform.host import HostRunner
from longpin.runner.conform.outcome import OpResult, ProgramOutcome
from longpin.runner.conform.program import ConformOp, ConformProgram, Unsupported, dump_program, load_programs, make_op

MAIN = Commands("longpin", commands={"conform": conform})
LEASE = ConformProgram(
    "lease",
    (
        make_op("*", "create", path="f"),
        make_op("A", "open", {"path": "f", "flags": "O_RDONLY", "as": "a"}),
        make_op("A", "setlease", fd="a", type="RD"),
    ),
)

Spoil = Callable[[ConformOp, OpResult], OpResult]


def invoke(*words: str, text: str | None = None) -> Result:
    return CliRunner().invoke(MAIN, ["conform", *words], prog_name="longpin", input=text)


def run_line(line: str, *more: str) -> Result:
    """Do what a shell does with a line that was printed: a command, or a program that is piped into one."""
    words = shlex.split(line)
    text = None
    if words[0] == "printf":
        assert words[1] == "%s\\n"
        text, words = words[2] + "\n", words[words.index("|") + 1 :]
    assert words[:2] == ["longpin", "conform"]
    return invoke(*words[2:], *more, text=text)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")


def stand_in(monkeypatch: pytest.MonkeyPatch, run: Callable[[ConformProgram], ProgramOutcome]) -> None:
    """Have something else take the place of the emulated kernel."""

    class StandIn:
        def __init__(self, _engine: str, proposal: Proposal) -> None:
            self.proposal = proposal

        def run(self, program: ConformProgram) -> ProgramOutcome:
            return run(program)

    monkeypatch.setattr(emulated, "EmulatedRunner", StandIn)


def spoiled(host: HostRunner, spoil: Spoil) -> Callable[[ConformProgram], ProgramOutcome]:
    """Return a kernel that is this machine's but for one mistake."""

    def run(program: ConformProgram) -> ProgramOutcome:
        real = host.run(program)
        pairs = zip(program.ops, real.results, strict=True)
        return replace(real, results=tuple(spoil(op, result) for op, result in pairs))

    return run


@pytest.mark.parametrize(
    ("name", "engine"),
    [
        *((name, "stepped") for name in RECORDED),
        ("kernel_leases", "threads"),
        *(pytest.param(name, "threads", marks=pytest.mark.heavy) for name in RECORDED if name != "kernel_leases"),
    ],
)
def test_the_recorded_kernel_and_the_emulated_agree(recorded: dict[str, Path], name: str, engine: str) -> None:
    count = RECORDED[name]
    done = invoke("--recorded", str(recorded[name]), "--json", "--engine", engine)
    said = json.loads(done.stdout)
    keys = ("programs", "agree", "differ", "unsupported", "skipped", "first_difference")
    assert [said[key] for key in keys] == [count, count, 0, 0, 0, None]
    assert done.exit_code == 0


def test_a_recorded_difference_is_shown_and_the_last_line_shows_it_again(recorded: dict[str, Path]) -> None:
    program = load_programs(recorded["kernel_leases"])[0]
    assert program.result is not None
    wrong = ProgramOutcome((*program.result.results[:-1], replace(program.result.results[-1], ret="[red]\x1b[31m")))
    Path("wrong.jsonl").write_text(dump_program(replace(program, result=wrong)) + "\n")
    done = invoke("--recorded", "wrong.jsonl")
    assert done.exit_code == 1
    assert "the kernels differ: 1 of 1 programs" in done.stdout
    assert "! 6 A getlease fd=a" in done.stdout
    assert "[red]" in done.stdout
    assert "\x1b" not in done.stdout
    assert [path.name for path in Path().iterdir()] == ["wrong.jsonl"], "nothing is written that was not asked for"
    repeated = run_line(done.stdout.splitlines()[-1])
    assert repeated.exit_code == 1
    assert repeated.stdout.splitlines()[1:] == done.stdout.splitlines()[1:]
    kept = invoke("--recorded", "wrong.jsonl", "--difference", "kept.jsonl")
    assert kept.stdout.splitlines()[-1] == "longpin conform --recorded kept.jsonl"
    again = run_line(kept.stdout.splitlines()[-1])
    assert again.stdout.splitlines()[1:-1] == done.stdout.splitlines()[1:-1]


@pytest.mark.parametrize("place", ["nowhere/x", "/dev/full"])
def test_a_difference_that_cannot_be_written_is_shown_all_the_same(recorded: dict[str, Path], place: str) -> None:
    program = load_programs(recorded["kernel_leases"])[0]
    assert program.result is not None
    wrong = ProgramOutcome((*program.result.results[:-1], replace(program.result.results[-1], ret=77)))
    Path("wrong.jsonl").write_text(dump_program(replace(program, result=wrong)) + "\n")
    done = invoke("--recorded", "wrong.jsonl", "--difference", place)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"longpin: {place}: cannot be written: ")
    assert run_line(done.stdout.splitlines()[-1]).exit_code == 1, "the program is in the line instead"
    said = json.loads(invoke("--recorded", "wrong.jsonl", "--difference", place, "--json").stdout)
    assert said["not_kept"].startswith(f"{place}: ")
    assert said["failure"]["trace"] is None
    assert not Path("nowhere").exists()


def test_a_program_may_come_from_standard_input() -> None:
    done = invoke("--recorded", "-", text=dump_program(LEASE) + "\n\n")
    assert (done.exit_code, "skipped 1" in done.stdout) == (3, True)
    bad = invoke("--recorded", "-", text="{\n")
    assert bad.stderr.startswith("standard input:1: expected a JSON object")


MISTAKES: dict[str, Spoil] = {
    "dup fails": lambda op, result: replace(result, ret=-1, errno="EBADF") if op.op == "dup" else result,
    "a break signals nobody": lambda _, result: replace(result, signals={}),
    "O_NONBLOCK is not looked at": lambda op, result: (
        replace(result, errno="EINTR") if op.op == "open" and result.errno == "EAGAIN" else result
    ),
    "an interrupt wakes nobody": lambda op, result: replace(result, unblocked=()) if op.op == "interrupt" else result,
    "leases of others are not shown": lambda _, result: replace(
        result, locks=tuple(lock for lock in result.locks if lock.proc == "A")
    ),
}


@pytest.mark.heavy
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_found_and_made_small(
    host: HostRunner, monkeypatch: pytest.MonkeyPatch, mistake: str
) -> None:
    stand_in(monkeypatch, spoiled(host, MISTAKES[mistake]))
    done = invoke("--live", "--random", "60", "--seed", "4", "--json")
    said = valid("conform", done.stdout)
    assert done.exit_code == 1
    assert said["differ"] > 0
    assert said["seed"] == 4
    assert said["shrunk"]["to_ops"] <= 5
    assert said["failure"]["after"]["operations"] == said["shrunk"]["to_ops"]
    assert json.loads(run_line(said["failure"]["replay"], "--json").stdout)["differ"] == 1
    assert not list(Path().iterdir()), "nothing is written that was not asked for"


def test_what_the_host_did_is_recorded_and_can_be_compared(host: HostRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, host.run)
    done = invoke("--live", "--random", "5", "--record", "kernel.jsonl")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"the kernels agree: 5 of 5 programs on Linux {host.abilities.kernel}")
    assert "seed 0" in done.stdout
    assert [program.result is not None for program in load_programs(Path("kernel.jsonl"))] == [True] * 5
    assert all(program.kernel == host.abilities.kernel for program in load_programs(Path("kernel.jsonl")))
    assert invoke("--recorded", "kernel.jsonl").exit_code == 0


def test_unsupported_counts_against_the_emulated_kernel(host: HostRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: ConformProgram) -> ProgramOutcome:
        raise Unsupported("no leases yet")

    stand_in(monkeypatch, refuse)
    done = invoke("--live", "--random", "3", "--json")
    said = valid("conform", done.stdout)
    assert (done.exit_code, said["unsupported"], said["agree"]) == (1, 3, 0)
    assert said["unsupported_reasons"] == {"no leases yet": 3}


def test_nothing_compared_is_no_pass() -> None:
    Path("bare.jsonl").write_text(dump_program(LEASE) + "\n")
    done = invoke("--recorded", "bare.jsonl")
    assert done.exit_code == 3
    assert "nothing could be compared" in done.stdout
    assert "skipped 1: no answer is recorded with it" in done.stdout


def test_a_program_that_was_given_and_not_compared_is_no_pass(recorded: dict[str, Path]) -> None:
    programs = load_programs(recorded["kernel_leases"])[:2]
    lines = [dump_program(program) for program in (*programs, LEASE)]
    Path("some.jsonl").write_text("\n".join(lines) + "\n")
    done = invoke("--recorded", "some.jsonl")
    assert done.exit_code == 3
    assert done.stdout.startswith("not every program could be compared: 2 of 3 programs, ")
    said = valid("conform", invoke("--recorded", "some.jsonl", "--json").stdout)
    assert (said["verdict"], said["agree"], said["skipped"]) == ("undetermined", 2, 1)


def test_an_interrupt_ends_with_what_is_known(host: HostRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def interrupted(program: ConformProgram) -> ProgramOutcome:
        asked.append(program)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return host.run(program)

    stand_in(monkeypatch, interrupted)
    done = invoke("--live", "--random", "100", "--json")
    said = valid("conform", done.stdout)
    assert done.exit_code == 3
    assert (said["programs"], said["agree"], said["reason"]) == (2, 2, "interrupted: no difference so far")
    assert said["verdict"] == "undetermined"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "longpin: expected one of --recorded FILE, --live, --races and --facts FILE"),
        (["--live", "--recorded", "x"], "longpin: expected one of --recorded FILE, --live, --races and --facts FILE"),
        (["--recorded", "x", "--random", "3"], "longpin: --random needs --live"),
        (["--recorded", "x", "--record", "y"], "longpin: --record needs --live"),
        (["--live", "--random", "3", "--program", "x"], "longpin: expected either --random or --program"),
        (["--recorded", "nowhere.jsonl"], "longpin: nowhere.jsonl: No such file"),
        (["--recorded", "/dev"], "longpin: /dev: Is a directory"),
        (["--recorded", "empty.jsonl"], "longpin: empty.jsonl: expected a program a line, found none"),
        (["--recorded", "broken.jsonl"], "broken.jsonl:2: expected a JSON object"),
        (["--live", "--random", "1", "--record", "/nowhere/x"], "longpin: /nowhere/x: No such file"),
    ],
)
def test_bad_input_is_one_line(words: list[str], said: str) -> None:
    Path("empty.jsonl").write_text("\n")
    Path("broken.jsonl").write_text(dump_program(LEASE) + "\n{\n")
    done = invoke(*words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout
