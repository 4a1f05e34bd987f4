"""What ``--json`` prints has one schema a verb: every verb, every verdict, the same keys."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from quality.json_output import valid

from longpin.messages.trace import TraceReader, TraceWriter
from longpin.runner.commands import cli
from longpin.runner.report.as_json import VERBS, schema

ROOT = Path(__file__).resolve().parents[2]

HANGS = """\
name = "hangs"
policy = "P1"
[[file]]
path = "/f"
size = "PAGE"
[[process]]
name = "app"
program = '''
ctx = ibv_open_device("rxe0")
pd  = ibv_alloc_pd(ctx)
fd  = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr  = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
truncate("/f", 0)
'''
"""
LOST = 'name = "lost"\n[[process]]\nname = "p"\nprogram = "recv_fd()\\nclose(99)  # -> EBADF"\n'
UNPLAYED = (
    'name = "unplayed"\n[[process]]\nname = "p"\nprogram = "exit()\\nlabel(\'x\')"\n'
    '[[process]]\nname = "q"\nprogram = "wait_for(\'x\')"\n'
)
NARROWED = HANGS.replace('"P1"', '"P1"\nholds = ["O1"]').replace("truncate(", "close(99)  # -> 0\ntruncate(")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in (("hangs", HANGS), ("lost", LOST), ("unplayed", UNPLAYED), ("narrowed", NARROWED)):
        Path(f"{name}.toml").write_text(text)
    return tmp_path


def longpin(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(cli.main, arguments, input=text)


def shown(*words: str) -> Any:
    """Return what a verb prints, after a comparison with its schema."""
    return valid(words[0], longpin(*words, "--json").stdout)


STATUS = {"holds": 0, "violated": 1, "diverged": 2, "undetermined": 3}

COMMANDS: dict[str, list[tuple[str, str]]] = {
    "run": [
        ("", "holds"),
        ("--engine threads --trace t", "holds"),
        ("layout-lease-ignored --oracle random --seed 18446744073709551615 --timers racy", "holds"),
        ("hangs.toml", "violated"),
        ("hangs.toml --trace t", "violated"),
        ("hangs.toml --engine threads", "violated"),
        ("lost.toml", "undetermined"),
        ("unplayed.toml", "undetermined"),
        ("narrowed.toml", "holds"),
        ("hangs.toml --policy P1:intended,evict_waits=false", "violated"),
    ],
    "replay": [
        ("good", "holds"),
        ("good --until 7", "undetermined"),
        ("bad", "violated"),
        ("bad --until 100", "violated"),
        ("lost", "undetermined"),
        ("threads", "holds"),
        ("other", "diverged"),
        ("cut", "undetermined"),
        ("good --policy P5", "holds"),
        ("good --policy P1", "violated"),
        ("bad --policy P5", "holds"),
        ("lost --policy P1", "undetermined"),
        ("threads --policy P2", "holds"),
        ("other --policy P5", "diverged"),
        ("cut --policy P5", "holds"),
    ],
    "explore": [
        ("layout-lease-ignored", "holds"),
        ("layout-lease-ignored --method states", "holds"),
        ("lease-shared --max-executions 3", "undetermined"),
        ("two-pins-one-truncate --max-executions 3 --method states", "undetermined"),
        ("lost.toml", "undetermined"),
        ("unplayed.toml", "undetermined"),
        ("narrowed.toml", "holds"),
        ("hangs.toml", "violated"),
        ("hangs.toml", "violated"),
        ("hangs.toml --method states --failures elsewhere", "violated"),
    ],
    "stress": [
        ("lease-shared --runs 7", "undetermined"),
        ("lease-shared --runs 2 --engine threads", "undetermined"),
        ("lost.toml --runs 7", "undetermined"),
        ("unplayed.toml --runs 7", "undetermined"),
        ("narrowed.toml --runs 7", "undetermined"),
        ("hangs.toml --runs 7", "violated"),
        ("hangs.toml --runs 7", "violated"),
        ("hangs.toml --runs 7 --all --failures elsewhere", "violated"),
        ("hangs.toml --runs 2 --engine threads --failures elsewhere", "violated"),
    ],
}
"""Twice the same: the second time a kept failure is tried first."""


def make_traces() -> None:
    for name, words in (
        ("good", []),
        ("bad", ["hangs.toml"]),
        ("lost", ["lost.toml"]),
        ("threads", ["--engine", "threads"]),
    ):
        longpin("run", *words, "--trace", name)
    reader = TraceReader("good")
    payloads = [payload for _, payload in reader]
    other = dataclasses.replace(reader.header, policy="P1", parameters={})
    for name, header, left in (("other", other, payloads), ("cut", reader.header, payloads[:20])):
        with TraceWriter(name, header) as writer:
            for payload in left:
                writer.append(payload)
            writer.close(complete=name == "other")


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_verdict_has_the_same_keys(verb: str) -> None:
    if verb == "replay":
        make_traces()
    keys, verdicts, failures = set(), set(), set()
    search = [] if verb in ("run", "replay") else ["--workers", "1"]
    for line, verdict in COMMANDS[verb]:
        words = line.split()
        more = [] if {"states", "threads"} & set(words) else search
        done = longpin(verb, *words, *more, "--json")
        found = valid(verb, done.stdout)
        assert (found["verdict"], done.exit_code) == (verdict, STATUS[verdict]), line
        keys.add(tuple(sorted(found)))
        verdicts.add(verdict)
        if found["failure"] is not None:
            failures.add(tuple(sorted(found["failure"])))
    assert len(keys) == len(failures) == 1
    assert verdicts == set(schema(verb)["properties"]["verdict"]["enum"])


@pytest.mark.parametrize(
    "words",
    [
        ["run", "nowhere"],
        ["replay", "nowhere"],
        ["explore", "nowhere"],
        ["stress", "hangs.toml", "--policy", "P99"],
        ["conform", "--recorded", "nowhere"],
    ],
)
def test_bad_input_prints_nothing(words: list[str]) -> None:
    done = longpin(*words, "--json")
    assert (done.exit_code, done.stdout) == (2, "")


@pytest.mark.parametrize("what", ["scenarios", "policies", "rules"])
def test_lists(what: str) -> None:
    found = valid("list", _one_line(longpin("list", what, "--json").stdout))
    assert found


def _one_line(text: str) -> str:
    return json.dumps(json.loads(text)) + "\n"


# The same thing has the same name, and says the same.


def test_a_failure_is_told_in_the_same_words_by_every_verb() -> None:
    """Except for what a single run does not know."""
    run = shown("run", "hangs.toml", "--trace", "t")["failure"]
    replay = shown("replay", "t")["failure"]
    explored, sampled = (shown(verb, "hangs.toml", "--workers", "1")["failure"] for verb in ("explore", "stress"))
    assert run == replay
    for key in ("rule", "site", "sentence"):
        assert run[key] == explored[key] == sampled[key]
    assert explored == sampled, "the second of them shows what the first has kept"
    assert (run["before"], run["after"], run["scenario"]) == (None, None, None)
    assert run["replay"] == "longpin replay t"
    assert explored["after"]["operations"] <= explored["before"]["operations"]
    assert explored["replay"] == f"longpin replay {explored['trace']}"
    assert 'policy = "P1:intended"' in explored["scenario"]


def test_what_is_asked_and_what_is_not() -> None:
    for verb in ("run", "explore", "stress"):
        found = shown(verb, "narrowed.toml")
        assert (found["rules"], found["not_asked"], found["not_observed"]) == (
            ["O1"],
            ["O1'", "O2", "O3", "O6", "O7"],
            [],
        )
        (warning,) = found["warnings"]
        assert warning.startswith("narrowed.toml:15: process.app: warning: ")
        (line,) = shown(verb, "lost.toml")["unreached"]
        assert line == {"line": 4, "process": "p", "text": "close(99)"}


def test_two_runs_print_the_same() -> None:
    """There is no time of day in what a run prints, so it can be compared with what it printed before."""
    assert longpin("run", "--json").stdout == longpin("run", "--json").stdout


@pytest.mark.parametrize("verb", ["explore", "stress"])
def test_what_cannot_be_kept_is_said(verb: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    first = longpin(verb, "hangs.toml", "--failures", str(kept), "--json")
    (record,) = kept.glob("*.json")
    for path in kept.iterdir():
        path.unlink()
    (kept / record.with_suffix(".trace").name).mkdir()
    done = longpin(verb, "hangs.toml", "--failures", str(kept), "--json")
    found = valid(verb, done.stdout)
    assert (done.exit_code, found["verdict"]) == (2, "violated")
    assert found["not_kept"] in done.stderr
    assert (found["failure"]["trace"], found["failure"]["replay"], found["found"]["kept"]) == (None, None, None)
    assert found["failure"]["scenario"] == json.loads(first.stdout)["failure"]["scenario"]


class Unwritable:
    """Lets files of some endings not be written."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch

    def __call__(self, *endings: str) -> None:
        from longpin.runner import files

        real = files.write_atomically

        def write(path: Path, write: Any) -> None:
            if path.suffix in endings:
                raise OSError(28, "No space left on device", str(path))
            real(path, write)

        for module in ("files", "failures.store", "failures.keep"):
            self._patch.setattr(f"longpin.runner.{module}.write_atomically", write)


@pytest.fixture
def unwritable(monkeypatch: pytest.MonkeyPatch) -> Unwritable:
    return Unwritable(monkeypatch)


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        (["explore", "lease-shared", "--max-executions", "3"], "undetermined"),
        (["explore", "pin-refused"], "holds"),
        (["explore", "hangs.toml"], "violated"),
        (["stress", "pin-refused", "--runs", "2"], "undetermined"),
        (["stress", "hangs.toml"], "violated"),
    ],
)
def test_a_report_that_cannot_be_written_is_a_part_of_what_is_printed(
    words: list[str], verdict: str, unwritable: Unwritable
) -> None:
    unwritable(".xml")
    for more in ([], ["--json"]):
        done = longpin(*words, "--workers", "1", "--junit", "r.xml", *more)
        assert (done.exit_code, done.stderr) == (2, "longpin: r.xml: cannot be written: No space left on device\n")
        assert verdict in done.stdout
    found = valid(words[0], done.stdout)
    assert (found["verdict"], found["not_kept"]) == (verdict, "r.xml: cannot be written: No space left on device")


def test_all_that_could_not_be_kept_is_told(unwritable: Unwritable, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "c")

    monkeypatch.setattr("longpin.runner.exploration.checkpoint.Checkpoint._write", full)
    unwritable(".xml", ".trace")
    words = ["explore", "hangs.toml", "--method", "dpor", "--workers", "1", "--checkpoint", "c", "--junit", "r.xml"]
    done = longpin(*words, "--json")
    found = valid("explore", done.stdout)
    lost = found["not_kept"].split("; ")
    assert [line.partition(": ")[0].rpartition(".")[2] for line in lost] == ["c", "trace", "xml"]
    assert (done.exit_code, done.stderr) == (2, f"longpin: {found['not_kept']}\n")


# Kernels that are compared.


@pytest.fixture
def programs() -> list[dict[str, Any]]:
    lines = (ROOT / "tests" / "data" / "kernel_leases.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines[:5]]


def conform(programs: list[dict[str, Any]], *more: str) -> tuple[Any, int]:
    text = "".join(json.dumps(program) + "\n" for program in programs)
    done = longpin("conform", "--recorded", "-", "--json", *more, text=text)
    return valid("conform", done.stdout), done.exit_code


def test_conform(programs: list[dict[str, Any]]) -> None:
    agreed, status = conform(programs, "--engine", "threads")
    assert (agreed["verdict"], status, agreed["agree"]) == ("holds", 0, 5)
    bare = [{**program, "result": None} for program in programs]
    skipped, status = conform(bare)
    assert (skipped["verdict"], status) == ("undetermined", 3)
    programs[0]["result"][-1]["ret"] = 77
    differ, status = conform(programs, "--difference", "kept")
    assert (differ["verdict"], status) == ("violated", 1)
    failure = differ["failure"]
    assert failure["trace"] == "kept"
    assert failure["replay"] == "longpin conform --recorded kept"
    assert failure["site"].startswith("ret of ")
    assert failure["before"]["operations"] == len(programs[0]["program"])
    assert {tuple(sorted(found)) for found in (agreed, skipped, differ)} == {tuple(sorted(agreed))}
    other = shown("explore", "hangs.toml")["failure"]
    assert sorted(failure) == sorted(other)
    assert sorted(failure["before"]) == sorted(other["before"])


# The schemas themselves.


@pytest.mark.parametrize("verb", VERBS)
def test_a_schema_is_one_and_leaves_nothing_open(verb: str) -> None:
    whole = schema(verb)
    Draft202012Validator.check_schema(whole)
    assert whole["$schema"] == "https://json-schema.org/draft/2020-12/schema"

    def look(part: Any, where: str) -> None:
        if not isinstance(part, dict):
            return
        if "properties" in part and "type" in part and where[-3:] not in ("/if", "hen", "lse"):
            assert part["additionalProperties"] is False, where
            assert part["required"] == list(part["properties"]), where
            for name, its in part["properties"].items():
                assert its.get("description") or "$ref" in its, f"{where}/{name} is not explained"
        for key, its in part.items():
            for inner in its if isinstance(its, list) else [its]:
                if key != "if":
                    look(inner, f"{where}/{key}")

    look(whole, verb)


def test_what_schemas_share_is_the_same_in_all() -> None:
    shared: dict[str, Any] = {}
    for verb in VERBS:
        for name, part in schema(verb)["$defs"].items():
            assert shared.setdefault(name, part) == part, f"{name} of {verb}"
    assert {"failure", "size", "expected_line", "found"} <= set(shared)


def test_the_schema_finds_what_is_missing_or_too_much() -> None:
    found = shown("explore", "hangs.toml")
    validator = Draft202012Validator(schema("explore"))
    assert validator.is_valid(found)
    for key in found:
        assert not validator.is_valid({name: value for name, value in found.items() if name != key}), key
    assert not validator.is_valid({**found, "more": 1})
    assert not validator.is_valid({**found, "failure": None})
    assert not validator.is_valid({**found, "verdict": "holds"})
    assert not validator.is_valid({**found, "failure": {**found["failure"], "more": 1}})


# The document.


def test_the_document_explains_every_key() -> None:
    text = (ROOT / "docs" / "json.md").read_text()
    for verb in VERBS:
        whole = schema(verb)
        parts = [whole, *whole["$defs"].values()]
        for key in {name for part in parts for name in part.get("properties", ())}:
            assert f"`{key}`" in text, f"{key} of {verb}"


def schema_of(command: str) -> str:
    """Return the name of the schema of what a command prints."""
    return "run-all" if "--all" in command.split() else command.split()[0]


def test_the_examples_are_what_is_printed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "json.md").read_text()
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    for toml in re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        name = re.search(r'^name = "([\w-]+)"', toml)
        assert name
        Path(f"{name[1]}.toml").write_text(toml)
    examples = re.findall(
        r"^```sh\nlongpin (.*?)(?:  +#.*?)?\n```\n+(?:```json\n(.*?)^```)?", text, re.MULTILINE | re.DOTALL
    )
    assert {schema_of(command) for command, _ in examples} == set(VERBS)
    for command, example in examples:
        if not example:  # what another one needs
            longpin(*command.split())
            continue
        # The name of a kept failure ends with a hash of all that it depends on, the data of kernels too.
        texts = (re.sub(r"-[0-9a-f]{8}\.", "-0.", text) for text in (longpin(*command.split()).stdout, example))
        printed, told = (json.loads(text) for text in texts)
        valid(schema_of(command), json.dumps(told) + "\n")
        for found in (printed, told):
            if isinstance(found, dict):
                found.pop("seconds", None)
        assert printed == told, command
