"""``longpin conform --facts``: the emulated kernels do what four real ones did, and what is asked and told is sound."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from command_line import longpin
from quality.json_output import valid

from longpin.actors.kernel.generation import Version
from longpin.actors.policies.proposal import Proposal
from longpin.config.loader import parse_scenario
from longpin.config.situation import Situations, shipped_situations
from longpin.runner.conform.facts import answers
from longpin.runner.conform.facts.answers import POLICY, PRESET, Answered, answer
from longpin.runner.conform.facts.check import Standing, differing, standing
from longpin.runner.conform.facts.question import KernelQuestion, read_questions

FACTS = Path(__file__).parents[1] / "data" / "kernel_facts.jsonl"
MOST_OUT_OF_SCOPE = 0.05

TRUNCATE = {
    "id": "t",
    "case": "busy-pin",
    "fs": "xfs-dax",
    "op": "ftruncate(0)",
    "kernel": "6.18.15+deb13-amd64",
    "how": "page at 4096",
}
BLOCKS = TRUNCATE | {"observed": "blocks", "errno": None}


@cache
def recorded() -> list[KernelQuestion]:
    return read_questions(FACTS)


def of_case(case: str, kernel: str = "") -> list[KernelQuestion]:
    return [q for q in recorded() if q.case == case and q.kernel in (kernel or q.kernel)]


CASES = list(dict.fromkeys(question.case for question in recorded()))
OFTEN = {"6.1", "6.18"}
"""Two kernels that differ most; all are asked with ``pytest -m heavy``."""


def judge(questions: list[KernelQuestion]) -> None:
    """Ask questions; the answers are those of the kernels."""
    found = [answer(question, shipped_situations()) for question in questions]
    wrong = {str(one.question): one.answer for one in found if standing(one) is Standing.DIFFERS}
    assert wrong == {}
    compared = {one.question.kernel for one in found if standing(one) is Standing.AGREES}
    assert compared == {one.question.kernel for one in found}
    unplayed = {one.out_of_scope for one in found if re.match("no situation|it could not|the call", one.out_of_scope)}
    assert unplayed == set()


@pytest.mark.parametrize("case", CASES)
def test_the_emulated_kernels_do_what_their_versions_did(case: str) -> None:
    asked = of_case(case)
    judge([question for question in asked if question.kernel in OFTEN] or asked)


@pytest.mark.heavy
@pytest.mark.parametrize("case", CASES)
def test_so_do_those_in_between(case: str) -> None:
    if asked := [question for question in of_case(case) if question.kernel not in OFTEN]:
        judge(asked)


def test_little_is_out_of_scope() -> None:
    plays = [shipped_situations().find(question.case, question.fs, question.op) for question in recorded()]
    assert sum(bool(play is None or play.out_of_scope) for play in plays) <= MOST_OUT_OF_SCOPE * len(plays)
    assert len(plays) == 1944


@pytest.mark.parametrize(
    ("field", "value", "kernel", "op"),
    [
        ("evict_waits", False, "6.18", "umount, nothing open"),
        ("clone_waits", False, "6.12", "FICLONE from the pinned file"),
        ("busy_scan_skips_unmapped", False, "6.1", "ftruncate(0), holder has unmapped"),
        ("copies_see_pins", False, "6.1", "fork with the page pinned by uring"),
        ("keeps_cache_from_pins", False, "6.12", "ibv_reg_mr(LOCAL_WRITE|REMOTE_WRITE|REMOTE_READ) ext4 MAP_SHARED"),
        ("delegations", False, "7.2", "unlink of the file"),
        ("rxe_on_demand", False, "6.18", "ON_DEMAND MR over an FS-DAX mapping"),
    ],
)
def test_another_kernel_is_told_from_it(
    field: str, value: bool, kernel: str, op: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake in a kernel's row makes answers differ."""
    monkeypatch.setattr(
        answers, "proposal_of", lambda version: Proposal.make(POLICY, PRESET, {"kernel": version, field: value})
    )
    asked = [question for question in recorded() if question.kernel == kernel and question.op.startswith(op)]
    stands = [standing(answer(question, shipped_situations())) for question in asked]
    assert any(stand in (Standing.DIFFERS, Standing.OUT_OF_SCOPE) for stand in stands)


def test_a_signal_that_ends_a_wait_is_compared() -> None:
    question = next(q for q in of_case("busy-pin", "6.18") if (q.fs, q.op) == ("ext4-dax", "truncate(2) to 0"))
    assert question.recorded is not None
    told = replace(question.recorded, also=dict(question.recorded.also) | {"handled_signal": "dies"})
    answered = answer(replace(question, recorded=told), shipped_situations())
    assert (standing(answered), differing(answered)) == (Standing.DIFFERS, ["handled_signal"])


# Situations are data, and hold no answers.


def every_play(situations: Situations) -> Iterator[tuple[str, Any]]:
    """Yield each situation on each file system, with one of the words that may stand in each hole of its op."""
    for kind in situations.all:
        for fs in kind.fs or situations.fs:
            words = situations._words_of(kind, fs)
            ops = [kind.op]
            for hole, table in words.items():
                ops = [op.replace(f"{{{hole}}}", word) for op in ops for word in list(table)[:1] or ["4096"]]
            for op in ops:
                yield f"{kind.case}, {fs}: {op}", situations.find(kind.case, fs, op)


def test_every_situation_is_a_scenario_wherever_it_is_asked() -> None:
    asked = {(question.case, question.fs) for question in recorded()}
    played = 0
    for name, play in every_play(shipped_situations()):
        case, fs = name.split(":")[0].split(", ")
        if play is not None and (case, fs) in asked:
            for run in play.runs:
                played += 1
                parse_scenario(run.scenario, name)
                assert set(run.marks.values()) >= set(re.findall(r"\{\w+ (\w+)\}", json.dumps(run.also))), name
    assert played > 300


def test_no_situation_names_a_kernel() -> None:
    folder = Path(answers.__file__).parents[3] / "config" / "situations"
    files = list(folder.glob("*.toml"))
    assert len(files) > 10
    for path in files:
        assert not re.search(r"\b(6\.1|6\.12|6\.18|7\.2)\b", path.read_text()), path


def leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict):
        for key, its in tree.items():
            yield from leaves(its) if key not in ("of", "is") else ()
    elif isinstance(tree, list):
        for its in tree:
            yield from leaves(its)
    else:
        yield tree


def test_what_is_written_down_comes_out_of_a_run() -> None:
    """Each observation has a form of a call, or is one of several things that a call may come to."""
    for kind in shipped_situations().all:
        text = json.dumps(kind.observed)
        assert kind.out_of_scope or '"of"' in text or re.search(r"\{\w+ \w+", text), kind.op


# The command.


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, *rows: dict[str, Any]) -> None:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_an_answer_a_question_is_written() -> None:
    unknown, other = TRUNCATE | {"id": "u", "op": "dance"}, TRUNCATE | {"id": "o", "kernel": "5.10"}
    fails = TRUNCATE | {"id": "f", "fs": "ext4-dax", "op": "FICLONE onto the pinned file"}
    write("q.jsonl", TRUNCATE, unknown, other, fails)
    done = longpin(Path(), "conform", "--facts", "q.jsonl", "--answers", "a.jsonl")
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.startswith("nothing could be compared: 4 of 4 questions, emulated P0:intended, ")
    said = [json.loads(line) for line in Path("a.jsonl").read_text().splitlines()]
    assert said == [
        {"id": "t", "observed": "blocks", "errno": None},
        {"id": "u", "out_of_scope": "no situation for busy-pin on xfs-dax: dance"},
        {"id": "o", "out_of_scope": "there is no generation of Linux 5.10, but of 5.4, 6.1, 6.12, 6.18, 7.2"},
        {"id": "f", "observed": "returns at once: -1", "errno": "EOPNOTSUPP"},
    ]


@pytest.mark.parametrize(
    ("rows", "verdict", "status"),
    [
        ([BLOCKS], "holds", 0),
        ([BLOCKS, TRUNCATE | {"id": "2"}], "undetermined", 3),
        ([BLOCKS | {"observed": "returns at once: 0"}], "violated", 1),
        ([BLOCKS | {"errno": "EBUSY"}], "violated", 1),
        ([BLOCKS | {"state": "D"}], "violated", 1),
        ([TRUNCATE], "undetermined", 3),
    ],
)
def test_what_is_recorded_in_the_questions_is_compared(rows: list[dict[str, Any]], verdict: str, status: int) -> None:
    write("q.jsonl", *rows)
    done = longpin(Path(), "conform", "--facts", "q.jsonl", "--json")
    assert done.returncode == status
    found = valid("conform", done.stdout)
    assert (found["verdict"], found["mode"]) == (verdict, "facts")
    assert found["facts"]["cases"]["busy-pin"]["questions"] == found["programs"] == len(rows)
    assert [one["id"] for one in found["facts"]["differences"]] == (["t"] if verdict == "violated" else [])
    if found["failure"] is not None:
        again = shlex.split(found["failure"]["replay"])
        assert again[again.index("|") + 1 :] == ["longpin", "conform", "--facts", "-"]
        Path("again.jsonl").write_text(again[2] + "\n")
        assert longpin(Path(), "conform", "--facts", "again.jsonl").returncode == 1


def test_what_is_recorded_elsewhere_is_joined_by_what_was_asked() -> None:
    write("q.jsonl", TRUNCATE, TRUNCATE | {"id": "2", "how": "otherwise"})
    write("r.jsonl", {key: value for key, value in BLOCKS.items() if key != "id"})
    done = longpin(Path(), "conform", "--facts", "q.jsonl", "--recorded", "r.jsonl")
    assert done.returncode == 3
    assert [line.split() for line in done.stdout.splitlines()[2:4]] == [
        ["case", "questions", "agree", "differ", "out", "of", "scope", "not", "compared"],
        ["busy-pin", "2", "1", "0", "0", "1"],
    ]


def test_a_difference_is_shown_beside_what_the_kernel_did() -> None:
    write("q.jsonl", BLOCKS | {"observed": {"r": 0}, "errno": "EBUSY"})
    done = longpin(Path(), "conform", "--facts", "q.jsonl")
    assert done.returncode == 1
    assert done.stdout.startswith("the kernels differ: 1 of 1 questions")
    assert '  the kernel: {"r": 0}, EBUSY\n  emulated:   "blocks"\n' in done.stdout


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "q.jsonl:2: expected a JSON object, found an error"),
        ("[1]", "q.jsonl:2: expected a JSON object, found [1]"),
        ('{"case": "x"}', "q.jsonl:2: fs: expected text, found none"),
        (json.dumps(TRUNCATE | {"id": "2", "op": 3}), "q.jsonl:2: op: expected text, found 3"),
        (json.dumps(TRUNCATE | {"id": "2", "kernel": [1]}), "q.jsonl:2: kernel: expected text, found [1]"),
        (json.dumps(BLOCKS | {"id": "2", "errno": 5}), "q.jsonl:2: errno: expected text or null, found 5"),
        (json.dumps(BLOCKS | {"id": "2", "observed": None}), "q.jsonl:2: observed: expected what was seen, found null"),
        (json.dumps(TRUNCATE), "q.jsonl:2: expected an id of its own, found that of line 1"),
    ],
)
def test_a_bad_line_is_one_line_with_its_place(line: str, said: str) -> None:
    Path("q.jsonl").write_text(json.dumps(TRUNCATE) + "\n" + line + "\n")
    done = longpin(Path(), "conform", "--facts", "q.jsonl", "--answers", "a.jsonl")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"longpin: {said}")
    assert len(done.stderr.splitlines()) == 1
    assert not Path("a.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--facts", "nowhere"], "nowhere: expected a readable file, found an error (No such file or directory)"),
        (["--facts", "empty"], "empty: expected a question a line, found none"),
        (
            ["--facts", "q.jsonl", "--answers", "q.jsonl"],
            "--answers: q.jsonl is what is read, and would be",
        ),
        (["--facts", "q.jsonl", "--live"], "expected one of --recorded FILE, --live, --races and --facts FILE"),
        (["--facts", "q.jsonl", "--policy", "P5"], "--policy does not go with --facts"),
        (["--answers", "a.jsonl", "--live"], "--answers needs --facts"),
    ],
)
def test_bad_use_is_one_line(words: list[str], said: str) -> None:
    write("q.jsonl", TRUNCATE)
    Path("empty").write_text("\n")
    done = longpin(Path(), "conform", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"longpin: {said}")
    assert len(done.stderr.splitlines()) == 1


def test_answers_that_cannot_be_written_are_told_at_the_end() -> None:
    write("q.jsonl", BLOCKS)
    done = longpin(Path(), "conform", "--facts", "q.jsonl", "--answers", "nowhere/a.jsonl")
    assert done.returncode == 2
    assert "the kernels agree: 1 of 1 questions" in done.stdout
    assert done.stderr == "longpin: nowhere/a.jsonl: cannot be written: No such file or directory\n"


def test_every_version_is_asked_by_its_release() -> None:
    for version in Version:
        if version is not Version.IDEAL:
            release = f"{version.value}.3-4-amd64"
            assert KernelQuestion("", "c", "f", "o", release).version is version
    assert KernelQuestion("", "c", "f", "o", "6.120.1").version is None
    assert KernelQuestion("", "c", "f", "o", "mainline").version is None


def test_a_setup_that_fails_is_no_answer() -> None:
    situations = Situations(
        {
            "here": {
                "fs": {"xfs-dax": dict(shipped_situations().fs["xfs-dax"])},
                "text": {"machine": "", "file_size": "PAGE"},
                "situation": [
                    {
                        "case": "c",
                        "op": "o",
                        "process": {"p": 'open("/nowhere", O_RDONLY)\ngetpid()    # [call]'},
                        "observed": "{word call}",
                    }
                ],
            }
        }
    )
    found: Answered = answer(KernelQuestion("", "c", "xfs-dax", "o", "6.18"), situations)
    assert found.answer is None
    assert found.out_of_scope == 'it could not be set up: open("/nowhere", O_RDONLY) failed with ENOENT'


def test_an_interrupt_tells_what_is_known_and_writes_no_half(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(questions: list[KernelQuestion], situations: Situations) -> Iterator[Answered]:
        yield answer(questions[0], situations)
        raise KeyboardInterrupt

    monkeypatch.setattr("longpin.runner.commands.facts.ask", interrupted)
    write("q.jsonl", BLOCKS, BLOCKS | {"id": "2"})
    done = longpin(Path(), "conform", "--facts", "q.jsonl")
    assert done.returncode == 3
    assert done.stdout.startswith("interrupted: no difference so far: 1 of 2 questions")
    done = longpin(Path(), "conform", "--facts", "q.jsonl", "--answers", "a.jsonl")
    assert done.returncode == 2
    assert done.stderr == "longpin: a.jsonl: not written, as not all questions were answered\n"
    assert not Path("a.jsonl").exists()
