"""``longpin run --all``: does every shipped scenario end as its file says, on its own kernel and on every other?

And is every sentence of what four kernels were seen to do shown by one of them?
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import longpin
from quality.json_output import valid

from longpin.actors.kernel.generation import Version
from longpin.config.loader import load_scenario, parse_scenario, shipped_scenarios
from longpin.config.problems import ScenarioError
from longpin.config.schema import Scenario
from longpin.runner import api, shipped
from longpin.runner.result import Verdict
from longpin.runner.run import INTERRUPTED, run
from longpin.runner.usage import UsageError

ROOT = Path(__file__).resolve().parents[2]

WAITS = """
name = "waits"
policy = "P1:intended"
{keys}
[[file]]
path = "/pmem/data"
size = "PAGE"
[[process]]
name = "app"
program = '''
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
fd = open("/pmem/data", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
truncate("/pmem/data", PAGE)
{line}
'''
"""
"""On every Linux it waits for its own pin; where only what changes is looked at it does not."""

Ship = Callable[..., None]


@pytest.fixture
def ship(monkeypatch: pytest.MonkeyPatch) -> Ship:
    """Return a function that takes the place of the shipped scenarios."""

    def replace(*texts: str) -> None:
        made = {scenario.name: scenario for scenario in (parse_scenario(text, "x.toml") for text in texts)}

        def load(name: str) -> Scenario:
            return made[name]

        monkeypatch.setattr(shipped, "shipped_scenarios", lambda: list(made))
        monkeypatch.setattr(shipped, "load_scenario", load)

    return replace


@pytest.mark.parametrize("kernel", [None, *map(str, Version)])
def test_every_shipped_scenario_ends_as_its_file_says(kernel: str | None) -> None:
    ran = api.run_all(kernel)
    assert [(one.name, one.expected, one.violated) for one in ran.runs if not one.as_expected] == []
    assert ran.verdict is Verdict.HOLDS
    assert [one.name for one in ran.runs] == shipped_scenarios()
    assert sum(bool(one.violated) for one in ran.runs) > 5  # not all of them are harmless


@pytest.mark.parametrize(
    ("keys", "kernel", "status", "told"),
    [
        ("", "6.18", 1, "  waits: expected no violation, found O3: O3 violated"),
        ("", "ideal", 0, ""),
        ('violates = ["O3"]', "6.18", 0, ""),
        ('violates = ["O3"]', "ideal", 1, "  waits: expected O3, found no violation: nothing can happen any more"),
        ('violates = ["O1"]', "6.18", 1, "  waits: expected O1, found O3: O3 violated"),
        ('violates = ["O3"]\nviolates_on = { ideal = [] }', "ideal", 0, ""),
        ('violates_on = { "6.18" = ["O3"] }', "6.18", 0, ""),
        ('violates_on = { "6.18" = ["O3"] }', "6.1", 1, "  waits: expected no violation, found O3: O3 violated"),
        ('violates = ["O3"]\nunreached = true', "6.18", 1, "  waits: expected O3, found O3: O3 violated"),
    ],
)
def test_what_is_not_as_the_file_says_is_told(
    ship: Ship, tmp_path: Path, keys: str, kernel: str, status: int, told: str
) -> None:
    ship(WAITS.format(keys=keys, line=""))
    done = longpin(tmp_path, "run", "--all", "--kernel", kernel)
    assert done.returncode == status
    assert told in done.stdout
    lines = done.stdout.splitlines()
    if status:
        assert lines[-1].startswith("longpin run waits --policy P1:intended")
        assert lines[-2] == f"Observation shipped {kernel} violated - 1/1 scenarios -"
    else:
        assert lines[-1] == f"Observation shipped {kernel} holds - 0/1 scenarios -"
    found = valid("run-all", longpin(tmp_path, "run", "--all", "--kernel", kernel, "--json").stdout)
    assert found["scenarios"][0]["expected"] is (status == 0)
    assert found["not_as_expected"] == status


def test_lines_that_are_not_reached_must_be_announced(ship: Ship) -> None:
    line = "pause()\ngetpid()    # -> 100"
    ship(WAITS.format(keys="", line=line), WAITS.format(keys="unreached = true", line=line).replace("waits", "says"))
    ran = api.run_all("ideal")
    assert [one.as_expected for one in ran.runs] == [False, True]
    assert ran.runs[0].result.unreached


def test_ctrl_c_leaves_the_rest_undetermined(ship: Ship, monkeypatch: pytest.MonkeyPatch) -> None:
    ship(WAITS.format(keys="", line=""), WAITS.format(keys="", line="").replace("waits", "other"))

    def interrupted(scenario: Scenario, settings: Any) -> Any:
        result = run(scenario, settings)
        if scenario.name == "other":
            result.verdict, result.reason = Verdict.UNDETERMINED, f"{INTERRUPTED} after arrival 3"
        return result

    monkeypatch.setattr(shipped, "run", interrupted)
    ran = api.run_all("ideal")
    assert (len(ran.runs), ran.wanted, ran.undetermined, ran.verdict) == (1, 2, 1, Verdict.UNDETERMINED)


def test_it_says_which_one_is_next() -> None:
    seen: list[tuple[int, float, str]] = []
    api.run_all(show=lambda done, of, name: seen.append((done, of, name)))
    names = shipped_scenarios()
    assert seen == [(done, len(names), name) for done, name in enumerate(names)]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--all", "stray-dma"], "longpin: --all runs every shipped scenario as it is: with it there are --kernel and"),
        (["--all", "--policy", "P1"], "longpin: --all runs every shipped scenario as it is"),
        (["--all", "--seed", "2"], "longpin: --all runs every shipped scenario as it is"),
        (["--all", "--engine", "threads"], "longpin: --all runs every shipped scenario as it is"),
        (["--all", "--kernel", "6.3"], "longpin: --kernel: kernel: expected one of ideal, 5.4, 6.1, 6.12, 6.18, 7.2"),
        (["stray-dma", "--kernel", "6.1", "--policy", "P1"], "longpin: --kernel is for the scenario's own policy"),
        (["stray-dma", "--kernel", "6.1", "--engine", "host"], "longpin: --kernel: the host engine has the kernel of"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, words: list[str], told: str) -> None:
    done = longpin(tmp_path, "run", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(told)


@pytest.mark.parametrize(("kernel", "rules"), [("6.12", "O1,O2"), ("7.2", "O3")])
def test_one_scenario_runs_on_another_kernel(tmp_path: Path, kernel: str, rules: str) -> None:
    done = longpin(tmp_path, "run", "stray-dma", "--kernel", kernel)
    *_, observation, again = done.stdout.splitlines()
    assert observation == f"Observation stray-dma P1:as_posted,kernel={kernel} violated {rules} 1/1 run lazy"
    assert longpin(tmp_path, *again.split()[1:]).stdout == done.stdout


def test_a_kernel_that_is_given_takes_the_place_of_what_the_scenario_changes_in_its_own() -> None:
    text = WAITS.format(keys="[machine]\nkernel = '6.18,whole_file_scan=false'", line="")
    settings = api.settings_of(parse_scenario(text, "x.toml"))
    assert settings.policy_name == "P1:intended,kernel=6.18,whole_file_scan=false"
    assert settings.on_kernel(shipped.kernel_of("6.12")).policy_name == "P1:intended,kernel=6.12"


def test_no_such_kernel() -> None:
    with pytest.raises(UsageError, match="expected one of"):
        api.run_all("7.9")


def test_mistakes_in_what_is_expected() -> None:
    keys = 'violates = ["O4"]\nviolates_on = { "6.19" = [], "6.1" = ["O1", "O9"] }'
    with pytest.raises(ScenarioError) as error:
        parse_scenario(WAITS.format(keys=keys, line=""), "x.toml")
    rules = "one of the rules that must hold, O1, O1', O2, O3, O6, O7"
    kernels = "one of the kernels ideal, 5.4, 6.1, 6.12, 6.18, 7.2"
    assert [str(problem) for problem in error.value.problems] == [
        f"x.toml:4: violates[0]: expected {rules}, found 'O4'",
        f"x.toml:5: violates_on.6.19: expected {kernels}, found '6.19' (did you mean 6.1?)",
        f"x.toml:5: violates_on.6.1[1]: expected {rules}, found 'O9'",
    ]


# What was measured.

MEASURED = re.findall(
    r"^\| (?!---)(.+?) \| (.+?) \|$",
    (ROOT / "docs" / "conformance.md").read_text().partition("## What was measured")[2].partition("\n## ")[0],
    re.MULTILINE,
)
ROWS = [(sentence, where) for sentence, where in MEASURED if where != "scenario"]


@pytest.mark.parametrize(("sentence", "where"), ROWS, ids=[sentence[:40] for sentence, _ in ROWS])
def test_every_sentence_of_what_was_measured_is_shown_by_what_is_shipped(sentence: str, where: str) -> None:
    """By scenarios whose lines or rules say something; by a test, where a pinner has no scenario of its own."""
    named = re.findall(r"`([^`]+)`", where)
    if not named:
        assert where.startswith("not modelled: "), sentence
    for name in named:
        if name.startswith("tests/"):
            assert (ROOT / name).is_file(), name
            continue
        scenario = load_scenario(name)
        expects = [op for spec in scenario.processes for op in spec.program.operations() if op.expectations]
        assert expects or scenario.violates or scenario.violates_on, name


def test_every_scenario_about_linux_is_named_there() -> None:
    named = {name for _, where in ROWS for name in re.findall(r"`([^`]+)`", where)}
    assert {name for name in shipped_scenarios() if name.startswith("linux-")} <= named
    assert sum("not modelled" in where for _, where in ROWS) == 1


@pytest.mark.parametrize("name", [name for name in shipped_scenarios() if name.startswith("linux-")])
def test_what_is_said_of_linux_is_said_of_all_that_were_measured(name: str) -> None:
    """Each of the four kernels is asked something by every such scenario."""
    scenario = load_scenario(name)
    said = [
        line
        for spec in scenario.processes
        for op in spec.program.operations()
        for line in op.expectations
        if line.policy == "P0"
    ]
    for kernel in ("6.1", "6.12", "6.18", "7.2"):
        assert any(not line.kernels or kernel in line.kernels for line in said), kernel
