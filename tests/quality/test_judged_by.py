"""A verdict names the rules it was judged by, and says nothing of those that nobody asked for."""

import shlex
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from longpin.config.loader import parse_scenario
from longpin.config.schema import ALL_RULES
from longpin.messages.trace import TraceReader
from longpin.runner.commands import cli

HANGS = """\
name = "narrowed"
policy = "P1"
holds = ["O1"]
[[file]]
path = "/f"
size = "PAGE"
[[process]]
name = "a"
program = '''
fd = open("/f", O_RDWR)
a = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
mr = ibv_reg_mr(pd, a, PAGE, IBV_ACCESS_LOCAL_WRITE)   # -> ok
truncate("/f", 0)                                      # -> 0
'''
"""
"""A truncate that hangs for ever, and an expectation that is not met."""
NOT_ASKED = "(O1', O2, O3, O6, O7 were not asked)"
WARNING = (
    "narrowed.toml:14: process.a: warning: what this line expects is not judged: O7 is not in holds (2 lines in all)\n"
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("narrowed.toml").write_text(HANGS)
    return tmp_path


def longpin(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments, env={"COLUMNS": "120"})


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["run", "narrowed.toml"], 0, f"holds: nothing can happen any more; O1 holds {NOT_ASKED}\n"),
        (
            ["run", "narrowed.toml", "--engine", "threads"],
            0,
            f"holds: nothing can happen any more; O1 holds {NOT_ASKED}\n",
        ),
        (
            ["explore", "narrowed.toml", "--workers", "1"],
            0,
            f"O1 holds in all of 1 schedule (Mazurkiewicz traces) {NOT_ASKED}\n",
        ),
        (["explore", "narrowed.toml", "--method", "states"], 0, f"of them at rest) {NOT_ASKED}\n"),
        (["stress", "narrowed.toml", "--runs", "2"], 3, f"O1 held in 2 runs, 1 distinct trace {NOT_ASKED}\n"),
    ],
)
def test_a_narrowed_scenario(words: list[str], status: int, said: str) -> None:
    result = longpin(*words)
    assert result.exit_code == status
    assert said in result.stdout
    assert "every rule" not in result.stdout
    assert result.stderr == WARNING


def test_a_replay_says_the_same() -> None:
    made = longpin("run", "narrowed.toml", "--trace", "t.trace")
    again = longpin("replay", "t.trace")
    assert (again.exit_code, again.stdout) == (0, made.stdout)
    assert again.stderr == WARNING.replace("narrowed.toml", "narrowed")
    stopped = longpin("replay", "t.trace", "--until", "5")
    assert f"\njudged by: O1 {NOT_ASKED}\n" in stopped.stdout


def test_where_every_rule_is_asked_every_rule_is_named() -> None:
    assert "holds: nothing can happen any more; O1, O1', O2, O3, O6, O7 hold\n" in longpin("run").stdout
    assert "O1, O1', O2, O3, O6, O7 hold in all of" in longpin("explore", "--workers", "1").stdout


@pytest.mark.parametrize("verb", ["run", "explore", "stress"])
def test_a_violation_names_them_too(verb: str) -> None:
    Path("narrowed.toml").write_text(HANGS.replace('["O1"]', '["O1", "O3"]'))
    result = longpin(verb, "narrowed.toml")
    assert result.exit_code == 1
    assert "\njudged by: O1, O3 (O1', O2, O6, O7 were not asked)\n" in result.stdout


def test_what_remains_of_a_scenario_expects_nothing_that_nobody_judges() -> None:
    Path("narrowed.toml").write_text(HANGS.replace('["O1"]', '["O3"]'))
    result = longpin("explore", "narrowed.toml", "--workers", "1")
    (trace,) = Path("longpin-failures").glob("*.trace")
    text = TraceReader(trace).header.scenario
    assert "->" not in text
    assert parse_scenario(text, "x").warnings == ()
    assert longpin(*shlex.split(result.stdout.splitlines()[-1])[1:]).stderr == ""


@pytest.mark.parametrize("verb", ["explore", "stress"])
@pytest.mark.parametrize("rules", ['["O1"]', '["O3"]'])
def test_junit_names_them(verb: str, rules: str) -> None:
    Path("narrowed.toml").write_text(HANGS.replace('["O1"]', rules))
    longpin(verb, "narrowed.toml", "--runs" if verb == "stress" else "--workers", "2", "--junit", "junit.xml")
    suite = ET.parse("junit.xml").getroot()
    found = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert found["rules"] == rules.strip('[]"')
    assert found["not_asked"] == ("O1', O2, O3, O6, O7" if rules == '["O1"]' else "O1, O1', O2, O6, O7")
    assert found["policy"] == "P1:intended"
    assert str(found["warnings"]) + "\n" == WARNING


def test_holds_must_name_a_rule() -> None:
    Path("narrowed.toml").write_text(HANGS.replace('["O1"]', "[]"))
    result = longpin("run", "narrowed.toml")
    assert result.exit_code == 2
    assert (
        result.stderr
        == f"narrowed.toml:3: holds: expected at least one of the rules {', '.join(ALL_RULES)}, found none\n"
    )


def test_no_warning_where_nothing_is_expected_or_everything_is_judged() -> None:
    assert parse_scenario(HANGS.replace("# ->", "#"), "x").warnings == ()
    assert parse_scenario(HANGS.replace('["O1"]', '["O1", "O7"]'), "x").warnings == ()
    one = parse_scenario(HANGS.replace("# -> ok", ""), "x").warnings
    assert one == ("x:15: process.a: warning: what this line expects is not judged: O7 is not in holds",)
