"""A policy in a file on the command line: every verb takes it, what is kept asks for the same file."""

import hashlib
import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Done, longpin
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from quality.json_output import valid

from longpin import api
from longpin.actors.policies import OWN
from longpin.messages.trace import TraceReader
from longpin.runner.failures.store import read_record
from longpin.runner.report.as_json import schema

POLICY = """\
import errno
from dataclasses import dataclass
from typing import ClassVar

from longpin.actors.policies.decisions import Fail, Proceed, Scan
from longpin.actors.policies.layout_lease_v1 import LayoutLeaseV1


@dataclass(frozen=True, slots=True)
class Busy(LayoutLeaseV1):
    errnos: ClassVar[dict[str, frozenset[str]]] = {"fcntl": frozenset({"EBUSY"})}

    strict: bool = True

    def unlck_gate(self, lease, caller, view):
        if view.pins is None:
            return Scan()
        return Fail(errno.EBUSY) if view.pins and self.strict else Proceed()
"""
SHA256 = hashlib.sha256(POLICY.encode()).hexdigest()
DATA = Path(__file__).resolve().parents[1] / "data"
STORY = """\
name = "gives-up-early"
policy = "busy.py:Busy"

[[file]]
path = "/f"
size = "PAGE"

[[process]]
name = "app"
program = '''
ctx = ibv_open_device("rxe0")
pd  = ibv_alloc_pd(ctx)
fd  = open("/f", O_RDWR)
fcntl(fd, F_SETLEASE, F_LAYOUT)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr  = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
fcntl(fd, F_SETLEASE, F_UNLCK)        # busy.py:Busy -> EBUSY; P5 -> 0
label("done")
'''

[[process]]
name = "other"
program = '''
wait_for("done")
'''
"""


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    OWN.clear()
    yield
    OWN.clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a, b").mkdir()
    for name in ("busy.py", "a, b/busy.py"):
        (tmp_path / name).write_text(POLICY)
    (tmp_path / "other.py").write_text(POLICY + "# something else\n")
    (tmp_path / "story.toml").write_text(STORY)
    (tmp_path / "broken.toml").write_text(STORY.replace("Busy -> EBUSY", "Busy -> 0"))
    return tmp_path


def fresh(folder: Path, *words: str) -> Done:
    """Run a command as in a process of its own: no policy was loaded before."""
    OWN.clear()
    return longpin(folder, *words, COLUMNS="120", NO_COLOR="1")


def one_line(done: Done) -> str:
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done
    return done.stderr.rstrip()


@pytest.mark.parametrize("given", ["busy.py:Busy", "./a, b/busy.py:Busy:as_posted,lease_check=active_only"])
def test_every_verb_takes_one_and_names_it(folder: Path, given: str) -> None:
    named = given if "," in given.rpartition(":")[2] else f"{given}:intended"
    for words, status in (
        (["run"], 0),
        (["run", "--engine", "threads"], 0),
        (["explore", "--workers", "2"], 0),
        (["explore", "--method", "states"], 0),
        (["stress", "--runs", "20", "--workers", "1"], 3),
        (["stress", "--runs", "2", "--engine", "threads"], 3),
    ):
        done = fresh(folder, words[0], "story.toml", *words[1:], "--policy", given, "--json")
        assert done.returncode == status, done
        found = valid(words[0], done.stdout)
        assert (found["policy"], found["policy_sha256"]) == (named, SHA256)
    shown = fresh(folder, "run", "broken.toml", "--policy", given)
    assert f"\npolicy: {named}: the class Busy" in shown.stdout
    again = fresh(folder, *shlex.split(shown.stdout.splitlines()[-1])[1:])
    assert (again.returncode, again.stdout) == (1, shown.stdout)


def test_a_comparison_follows_one_on_the_kernel_that_is_compared(folder: Path) -> None:
    lines = (DATA / "kernel_leases.jsonl").read_text().splitlines(keepends=True)
    few = [line for line in lines if '"alone/F_LAYOUT' in line or '"alone/O_RDWR/WR"' in line]
    (folder / "few.jsonl").write_text("".join(few))
    search = ("conform", "--recorded", "few.jsonl", "--policy")
    done = fresh(folder, *search, "./a, b/busy.py:Busy,lease_check=active_only", "--json")
    found = valid("conform", done.stdout)
    named = "./a, b/busy.py:Busy:intended,lease_check=active_only,kernel=6.18"
    assert (found["verdict"], found["policy"], found["policy_sha256"]) == ("holds", named, SHA256)
    left_out = f"left out, as it asks {named} for a layout, of which no kernel of today knows"
    assert found["warnings"] == [f"{left_out}: alone/F_LAYOUT-and-other-lock-types"]
    assert (found["programs"], found["programs_wanted"]) == (1, 2)
    refuses = "\n    def read_lease(self, arg):\n        return None if arg == 1 else super().read_lease(arg)\n"
    (folder / "busy.py").write_text(POLICY + refuses)
    done = fresh(folder, *search, "busy.py:Busy")
    assert (done.returncode, "errno is EINVAL, not None" in done.stdout) == (1, True), done
    again = done.stdout.splitlines()[-1]
    assert again.endswith("| longpin conform --recorded - --policy busy.py:Busy:intended,kernel=6.18")
    (folder / "busy.py").write_text(POLICY + "\n    def lease_type(self, lease):\n        return lease.colour\n")
    (folder / "few.jsonl").write_text(next(line for line in lines if '"getlease"' in line))
    wrong = one_line(fresh(folder, *search, "busy.py:Busy"))
    assert wrong.startswith("longpin: busy.py:21: lease_type raised AttributeError: 'LeaseView' object has no")


def test_what_runs_free_is_compared_with_linux_alone(folder: Path) -> None:
    refused = one_line(fresh(folder, "conform", "--races", "--random", "1", "--policy", "busy.py:Busy"))
    assert refused == "longpin: --policy needs --recorded or --live: what runs free is compared with P0, plain Linux"
    assert not OWN


def test_it_is_listed_with_what_can_be_set(folder: Path) -> None:
    shown = fresh(folder, "list", "policies", "--policy", "busy.py:Busy", "--json").stdout
    (found,) = json.loads(shown)
    Draft202012Validator(schema("list")).validate([found])
    assert (found["name"], found["policy_sha256"], found["parameters"]["strict"]) == (
        "busy.py:Busy",
        SHA256,
        "true or false",
    )
    assert "busy.py:Busy" in fresh(folder, "list", "policies", "--policy", "busy.py:Busy").stdout
    for given in ("P5", "busy.py:Busy:intended"):
        refused = one_line(fresh(folder, "list", "policies", "--policy", given))
        assert refused == f"longpin: --policy: expected FILE.py:CLASS alone, found {given!r}"
    refused = one_line(fresh(folder, "list", "rules", "--policy", "busy.py:Busy"))
    assert refused == "longpin: --policy needs `list policies`: rules are the same under every policy"


def test_its_own_parameters_are_set_like_any_others(folder: Path) -> None:
    done = fresh(folder, "run", "story.toml", "--policy", "busy.py:Busy,strict=false", "--json")
    assert json.loads(done.stdout)["policy"] == "busy.py:Busy:intended,strict=false"
    assert json.loads(done.stdout)["verdict"] == "violated"
    wrong = one_line(fresh(folder, "run", "story.toml", "--policy", "busy.py:Busy,strict=7"))
    assert wrong == "longpin: --policy: strict: expected true or false, found '7'"


def test_a_trace_asks_for_its_file(folder: Path) -> None:
    made = fresh(folder, "run", "story.toml", "--policy", "busy.py:Busy,lease_check=any_lease", "--trace", "t.trace")
    header = TraceReader(folder / "t.trace").header
    assert (header.policy, header.preset, header.parameters["lease_check"]) == ("busy.py:Busy", "intended", "any_lease")
    sha256 = header.policy_sha256
    its = f"longpin: t.trace: offset 0: it is of the policy Busy in busy.py (SHA-256 {sha256})"
    wanted = one_line(fresh(folder, "replay", "t.trace"))
    assert wanted == f"{its}; nothing is executed unless the file is given: --policy busy.py:Busy"
    assert not OWN
    for given in ("busy.py:Busy", "a, b/busy.py:Busy"):
        done = fresh(folder, "replay", "t.trace", "--policy", given)
        assert (done.returncode, done.stdout.splitlines()[-1]) == (0, made.stdout.splitlines()[-1])
    differs = one_line(fresh(folder, "replay", "t.trace", "--policy", "other.py:Busy"))
    assert differs.startswith(f"{its}; other.py differs (SHA-256 ")
    for given in ("P5", "busy.py:Busy:intended"):
        refused = one_line(fresh(folder, "replay", "t.trace", "--policy", given))
        assert refused.endswith(f"expected FILE.py:CLASS, as the trace holds the rest, found {given!r}")
    (folder / "busy.py").write_text(POLICY.replace("Busy", "Busier"))
    assert one_line(fresh(folder, "replay", "t.trace", "--policy", "busy.py:Busier")) == f"{its}, not of Busier"
    fresh(folder, "run", "story.toml", "--policy", "P5", "--trace", "p5.trace")
    with pytest.raises(api.TraceError, match="it is of P5, which is no class in a file: leave --policy out"):
        api.replay(folder / "p5.trace", policy=str(folder / "a, b" / "busy.py:Busy"))


def test_a_trace_is_followed_under_it_and_one_of_it_under_another(folder: Path) -> None:
    """Its own file comes first, which is all that is needed to see what was recorded."""
    fresh(folder, "run", "story.toml", "--policy", "P5", "--trace", "p5.trace")
    fresh(folder, "run", "story.toml", "--policy", "busy.py:Busy", "--trace", "t.trace")
    for words, own, other in (
        (("p5.trace", "--policy", "a, b/busy.py:Busy"), "P5:intended", "a, b/busy.py:Busy:intended"),
        (("t.trace", "--policy", "a, b/busy.py:Busy", "--policy", "P5"), "busy.py:Busy:intended", "P5:intended"),
        (("t.trace", "--policy", "busy.py:Busy", "--policy", "other.py:Busy"), "busy.py:Busy:intended", None),
    ):
        found = json.loads(fresh(folder, "replay", *words, "--json").stdout)
        assert found["recorded"]["policy"] == own
        assert found["policy"] == other or other is None
        assert found["failure"] is None or shlex.split(found["failure"]["replay"])[2:] == list(words)
    wrong = one_line(fresh(folder, "replay", "t.trace", "--policy", "other.py:Busy", "--policy", "P5"))
    assert "other.py differs (SHA-256 " in wrong
    refused = one_line(fresh(folder, "replay", "t.trace", *("--policy", "busy.py:Busy") * 3))
    assert refused.endswith("expected at most the file of its own policy and one other, found 3")


def test_a_kept_failure_is_of_this_file_and_shows_itself_with_it(folder: Path) -> None:
    search = ("explore", "broken.toml", "--workers", "1", "--shrink", "2", "--policy", "a, b/busy.py:Busy")
    found = fresh(folder, *search)
    assert found.returncode == 1
    line = found.stdout.splitlines()[-1]
    assert line.endswith(" --policy 'a, b/busy.py:Busy'")
    again = fresh(folder, *shlex.split(line)[1:])
    assert (again.returncode, again.stdout.splitlines()[-1]) == (1, line)
    (path,) = (folder / "longpin-failures").glob("*.json")
    record = read_record(path)
    assert record.policy == "a, b/busy.py:Busy:intended"
    assert record.policy_sha256 == TraceReader(next(folder.glob("*/*.trace"))).header.policy_sha256 != ""
    assert "a failure that was kept before still fails" in fresh(folder, *search, "--json").stdout
    (folder / "a, b" / "busy.py").write_text(POLICY.replace("Fail(errno.EBUSY)", "Proceed()"))
    assert fresh(folder, *search).returncode == 0


def test_a_use_that_is_shown_replays_with_the_file(folder: Path) -> None:
    story = STORY.replace('policy = "busy.py:Busy"', 'shows = ["U1"]')
    (folder / "uses.toml").write_text(story.replace("LOCAL_WRITE)", "LOCAL_WRITE)  # U1 -> ok"))
    done = fresh(folder, "explore", "uses.toml", "--workers", "1", "--policy", "a, b/busy.py:Busy")
    (line,) = (line for line in done.stdout.splitlines() if "U1, " in line)
    again = line.partition("; longpin ")[2]
    assert again.endswith(" --policy 'a, b/busy.py:Busy'")
    assert fresh(folder, *shlex.split(again)).returncode == 0


def test_a_checkpoint_goes_on_with_the_same_file_only(folder: Path) -> None:
    search = ("explore", "story.toml", "--workers", "1", "--policy", "busy.py:Busy", "--checkpoint", "c")
    assert fresh(folder, *search, "--max-executions", "1").returncode == 3
    done = fresh(folder, *search)
    assert done.returncode == 0, done
    assert fresh(folder, *search).returncode == 0
    (folder / "busy.py").write_text((folder / "other.py").read_text())
    refused = one_line(fresh(folder, *search))
    assert refused.startswith("longpin: c: a checkpoint of something else: identity is ")
    assert refused.count("under busy.py:Busy:intended (SHA-256 of the file: ") == 2


def test_a_scenario_loads_no_file(folder: Path) -> None:
    for verb in ("run", "explore", "stress"):
        refused = one_line(fresh(folder, verb, "story.toml"))
        assert refused.startswith("story.toml:2: policy: expected the option --policy with this")
    assert fresh(folder, "run", "story.toml", "--policy", "P5").returncode == 0
    assert fresh(folder, "show", "story.toml", "--as", "c").returncode == 0
    assert not OWN


@pytest.mark.parametrize("verb", ["run", "explore", "stress", "replay", "conform", "list"])
@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ("none.py:Busy", "none.py: no such file"),
        ("busy.py", "expected FILE.py:CLASS, found 'busy.py'"),
        ("busy.py:", "expected FILE.py:CLASS, found 'busy.py:'"),
        ("busy.py:Bus", "busy.py: there is no class Bus in it (did you mean Busy?); it has Busy"),
        ("a, b:Busy", None),
        ("", None),
    ],
)
def test_a_mistake_is_one_line(folder: Path, verb: str, given: str, wrong: str | None) -> None:
    (folder / "t.trace").touch()
    about = {"replay": ["t.trace"], "conform": ["--recorded", str(DATA / "kernel_leases.jsonl")], "list": ["policies"]}
    line = one_line(fresh(folder, verb, *about.get(verb, ["story.toml"]), "--policy", given))
    assert line.startswith("longpin: --policy: ")
    assert wrong is None or line == f"longpin: --policy: {wrong}"


@pytest.mark.parametrize(
    "words",
    [
        ["run"],
        ["run", "--engine", "threads"],
        ["explore", "--workers", "2"],
        ["explore", "--method", "states"],
        ["stress", "--runs", "20", "--workers", "1"],
        ["stress", "--runs", "2", "--engine", "threads"],
    ],
)
def test_what_a_hook_does_wrong_is_its_mistake(folder: Path, words: list[str]) -> None:
    (folder / "busy.py").write_text(POLICY.replace("view.pins and self.strict", "view.pins[0].colour"))
    done = fresh(folder, words[0], "story.toml", *words[1:], "--policy", "busy.py:Busy")
    assert (
        one_line(done)
        == "longpin: busy.py:18: unlck_gate raised AttributeError: 'Pin' object has no attribute 'colour'"
    )
    assert not (folder / "longpin-failures").exists()


@pytest.mark.parametrize("words", [["run"], ["explore", "--workers", "1"]])
def test_an_answer_that_cannot_be_carried_out_is_no_bug_of_longpin(folder: Path, words: list[str]) -> None:
    hold = "\n    def pin_gate(self, request, view):\n        return Allow('nobody')\n"
    (folder / "busy.py").write_text(POLICY.replace("import Fail", "import Allow, Fail") + hold)
    line = one_line(fresh(folder, words[0], "story.toml", *words[1:], "--policy", "busy.py:Busy"))
    assert line.startswith("longpin: busy.py:Busy: what it decided cannot be carried out: nobody does not exist")


def test_in_python(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    result = api.run("story.toml", "busy.py:Busy", trace="t.trace")
    assert (result.policy, result.verdict.value) == ("busy.py:Busy:intended", "holds")
    with pytest.raises(api.TraceError, match="nothing is executed unless the file is given"):
        api.replay("t.trace")
    assert api.replay("t.trace", policy="busy.py:Busy").hash == result.hash
    assert api.judge(result, ["O7"], policy="busy.py:Busy").judged.rules == ("O7",)
    (folder / "busy.py").write_text(POLICY.replace("view.pins and self.strict", "7 // 0"))
    with pytest.raises(api.UsageError, match=r"^policy: none.py: no such file$"):
        api.explore("story.toml", "none.py:Busy")
    with pytest.raises(api.PolicyError, match=r"^busy.py:18: unlck_gate raised ZeroDivisionError"):
        api.explore("story.toml", "busy.py:Busy")
