"""Uses: what some schedule must show. How lines say it, and what each verb makes of it [semantics 3.1]."""

import json
from pathlib import Path
from typing import Any

import pytest

from longpin.config.loader import load_scenario, parse_scenario
from longpin.config.problems import ScenarioError
from longpin.config.schema import Scenario
from longpin.runner import api, traces
from longpin.runner.conclusions import Explored
from longpin.runner.report import as_json
from longpin.runner.report.junit import JunitReport
from longpin.runner.result import UseState, Verdict

SHIPPED = "uses-of-a-registration"

HEAD = 'name = "test"\nshows = ["U1"]\npolicy = "P1"\n'

RACE = (
    HEAD
    + """
[[process]]
name = "a"
program = '''
open("/x", O_RDWR | O_CREAT | O_EXCL)  # U1 -> ok
'''
[[process]]
name = "b"
program = '''
open("/x", O_RDWR | O_CREAT | O_EXCL)  # U1 -> {wanted}
'''
"""
)
"""One of the two makes the file; which, the schedule says."""


def race(wanted: str) -> Scenario:
    return parse_scenario(RACE.replace("{wanted}", wanted), "race.toml")


def states(conclusion: Any) -> dict[str, UseState]:
    return {one.use: one.state for one in conclusion.uses}


def refusal(text: str) -> str:
    with pytest.raises(ScenarioError) as raised:
        parse_scenario(text, "f.toml")
    return str(raised.value)


def program(line: str, shows: str = '"U1"') -> str:
    return f"name = \"x\"\nshows = [{shows}]\n[[process]]\nname = \"a\"\nprogram = '''\n{line}\n'''\n"


def test_a_part_of_a_comment_says_what_a_use_takes_and_expects_nothing() -> None:
    scenario = parse_scenario(program('open("/x", O_RDWR)  # P1 -> ok; U1 -> ENOENT; -> ok', '"U1"'), "f.toml")
    (op,) = scenario.processes[0].program.operations()
    assert [(wanted.policy, wanted.outcomes) for wanted in op.expectations] == [("P1", ("ok",)), (None, ("ok",))]
    assert [(use, wanted.outcomes) for use, wanted in op.uses] == [("U1", ("ENOENT",))]
    assert op.text == 'open("/x", O_RDWR)'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (program("getpid()", '"U9"'), "f.toml:2: shows[0]: expected one of the uses U1, U2, U3, found 'U9'"),
        (
            program("getpid()"),
            "f.toml:2: shows[0]: expected a line that says what it takes, such as # U1 -> ok, found none",
        ),
        (program("getpid()  # U1 -> optional"), "expected an outcome that the use takes, found 'optional'"),
        (program("getpid()  # U1 -> 3, optional"), "expected an outcome that the use takes, found 'optional'"),
        (program("getpid()  # U1 -> 3; U1 -> 4"), "expected one part for each use, found a second one for U1"),
        (program("getpid()  # U1 P5 -> 3"), "expected ->, found 'P5'"),
        (program("getpid()  # U1 -> "), "found the end"),
        (program("exit()  # U1 -> 3"), "expected an expectation of a call that may return"),
    ],
)
def test_what_says_nothing_clear_is_refused(text: str, says: str) -> None:
    assert says in refusal(text)


def test_a_use_that_nobody_asks_for_is_warned_of() -> None:
    scenario = parse_scenario(program("getpid()  # U1 -> 3; U2 -> 100"), "f.toml")
    assert scenario.warnings == ("f.toml:6: warning: what U2 takes is not looked at: U2 is not in shows",)


def test_a_run_shows_a_use_or_leaves_it_open() -> None:
    shown, open_ = api.run(race("EEXIST")), api.run(race("ok"))
    assert (shown.verdict, states(shown)) == (Verdict.HOLDS, {"U1": UseState.SHOWN})
    assert (open_.verdict, states(open_)) == (Verdict.UNDETERMINED, {"U1": UseState.UNKNOWN})
    assert open_.reason == "U1 is not shown in this run; longpin explore says whether some schedule does"


def test_every_line_must_come_to_it_in_one_schedule() -> None:
    """Each of the two opens succeeds in some schedule, and both in none."""
    explored = api.explore(race("ok"), method="dpor")
    assert explored.exploration is not None
    assert explored.exploration.executions == 2
    assert states(explored) == {"U1": UseState.NOWHERE}
    assert (explored.verdict, explored.verdict.exit_code) == (Verdict.VIOLATED, 1)
    assert states(api.stress(race("ok"), runs=30)) == {"U1": UseState.UNKNOWN}


def test_an_exploration_that_is_cut_short_says_nothing_of_what_it_has_not_seen() -> None:
    explored = api.explore(race("ok"), method="dpor", max_executions=1)
    assert (explored.verdict, states(explored)) == (Verdict.UNDETERMINED, {"U1": UseState.UNKNOWN})


def test_a_call_that_never_returns_can_be_what_a_use_takes() -> None:
    scenario = parse_scenario(program("pause()  # U1 -> hangs"), "f.toml")
    assert states(api.run(scenario)) == {"U1": UseState.SHOWN}


def test_a_violated_rule_leaves_uses_open_and_is_told_first() -> None:
    scenario = parse_scenario(program("getpid()  # -> 3; U1 -> 4"), "f.toml")
    assert api.run(scenario).verdict is Verdict.VIOLATED
    explored = api.explore(scenario)
    assert explored.kept is not None
    assert states(explored) == {"U1": UseState.UNKNOWN}


def explored(tmp_path: Path, policy: str | None = None, **how: Any) -> Explored:
    return api.explore(load_scenario(SHIPPED), policy, failures=tmp_path, **how)


@pytest.mark.parametrize(
    ("policy", "missing"),
    [
        ("P0", {"U1", "U2", "U3"}),
        ("P2", {"U2"}),
        ("P4", set[str]()),
        ("P5", set[str]()),
        ("P6", {"U2"}),
        ("P8", set[str]()),
        ("P9", set[str]()),
        ("P10", set[str]()),
    ],
)
def test_what_each_policy_is_of_use_for(tmp_path: Path, policy: str, missing: set[str]) -> None:
    """Without uses the policy that refuses everything would be the best: no rule is violated under it."""
    found = explored(tmp_path, policy)
    assert found.kept is None, "no rule is violated"
    assert {use for use, state in states(found).items() if state is UseState.NOWHERE} == missing
    assert found.verdict is (Verdict.VIOLATED if missing else Verdict.HOLDS)
    for use in found.uses:
        assert bool(use.trace) == (use.state is UseState.SHOWN)
        if use.trace:
            assert states(traces.replay(use.trace))[use.use] is UseState.SHOWN


def test_all_ways_to_explore_agree_and_name_the_same_schedules(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    ways: list[dict[str, Any]] = [
        {"method": "dpor"},
        {"method": "dpor", "footprints": False},
        {"method": "states"},
        {"method": "dpor", "workers": 2},
        {"method": "dpor", "checkpoint": checkpoint},
        {"method": "dpor", "checkpoint": checkpoint},
    ]
    found = [explored(tmp_path / str(number), "P9", **way) for number, way in enumerate(ways)]
    assert {tuple(states(one).items()) for one in found} == {
        (("U1", UseState.SHOWN), ("U2", UseState.SHOWN), ("U3", UseState.SHOWN))
    }
    schedules = [one.exploration.witnesses for one in found if one.exploration is not None]
    assert schedules[3] == schedules[4] == schedules[5]
    refuted = [explored(tmp_path, "P0", **way) for way in ways[:4]]
    assert {one.verdict for one in refuted} == {Verdict.VIOLATED}


def test_a_campaign_shows_what_one_of_its_runs_shows(tmp_path: Path) -> None:
    stressed = api.stress(load_scenario(SHIPPED), runs=20, failures=tmp_path)
    assert (stressed.verdict, set(states(stressed).values())) == (Verdict.UNDETERMINED, {UseState.SHOWN})


def test_reports_tell_of_uses(tmp_path: Path) -> None:
    found = explored(tmp_path, "P0")
    told = as_json.as_object(found)
    assert told["uses"][0] == {
        "use": "U1",
        "sentence": "a registration and its I/O can succeed",
        "state": "shown by no schedule",
        "trace": None,
    }
    assert (told["verdict"], told["failure"]) == ("violated", None)
    assert told["reason"] == "every schedule was explored, but U1, U2, U3 are not shown by any of them"
    json.dumps(told)
    junit = tmp_path / "junit.xml"
    JunitReport(junit).show(found)
    assert 'failures="1"' in junit.read_text()
    assert (
        "U2, somebody can change the layout of a file that a well-behaved holder has: shown by no" in junit.read_text()
    )
