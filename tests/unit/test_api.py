"""longpin.api: the commands as functions, and the same verdicts as the command line's."""

import ast
import importlib
import inspect
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner
from rich.console import Console

from longpin import api
from longpin.api import events
from longpin.config.problems import ScenarioError
from longpin.config.schema import ALL_RULES, RULES
from longpin.runner import api as home
from longpin.runner import traces
from longpin.runner.commands.cli import main
from longpin.runner.report import Report
from longpin.runner.report.as_json import JsonReport
from longpin.runner.report.console import ConsoleReport
from longpin.runner.report.junit import JunitReport

ROOT = Path(__file__).resolve().parents[2]


def printed(*words: str) -> Any:
    return json.loads(CliRunner().invoke(main, [*words, "--json"]).stdout)


def as_object(conclusion: Any) -> Any:
    file = io.StringIO()
    JsonReport(file).show(conclusion)
    return json.loads(file.getvalue())


def but_for_time(found: Any) -> Any:
    """Leave out what differs from run to run, and the command, which Python has not got."""
    failure = found["failure"]
    return found | {"seconds": None, "failure": failure and failure | {"replay": None}}


@pytest.mark.parametrize(
    ("name", "policy"), [("layout-lease-ignored", "P1:intended,kernel=6.12"), ("stray-dma", "P1"), ("late-pin", None)]
)
def test_a_run_is_that_of_the_command(name: str, policy: str | None) -> None:
    options = [] if policy is None else ["--policy", policy]
    result = api.run(name, policy, oracle="random", seed=3, timers="racy")
    words = ["run", name, *options, "--oracle", "random", "--seed", "3", "--timers", "racy"]
    assert but_for_time(as_object(result)) == but_for_time(printed(*words))


@pytest.mark.parametrize("name", ["lease-shared", "unmapped-pin"])
def test_an_exploration_is_that_of_the_command(name: str, tmp_path: Path) -> None:
    explored = as_object(api.explore(name, failures=tmp_path / "a", shrink=0))
    found = printed("explore", name, "--workers", "1", "--failures", str(tmp_path / "b"), "--shrink", "0")
    here = json.loads(json.dumps(explored).replace(str(tmp_path / "a"), str(tmp_path / "b")))
    assert but_for_time(here) == but_for_time(found)


def test_a_failure_is_kept_where_a_folder_is_named_and_tried_first(tmp_path: Path) -> None:
    seen: list[api.Event] = []
    again: list[api.Event] = []
    lost = api.stress("layout-lease-answered", timers="racy", runs=100, shrink=0, observers=[seen.append])
    assert lost.kept is not None
    assert not lost.kept.written
    assert not list(tmp_path.iterdir())
    assert as_object(lost)["failure"]["replay"] is None
    first = api.stress("layout-lease-answered", timers="racy", runs=100, shrink=0, failures=tmp_path)
    assert first.kept is not None
    assert first.kept.written
    assert api.replay(first.kept.trace).verdict is api.Verdict.VIOLATED
    known = api.explore("layout-lease-answered", timers="racy", failures=tmp_path, shrink=0, observers=[again.append])
    assert known.exploration is None
    assert known.verdict is api.Verdict.VIOLATED
    shown = [*lost.kept.result.events]
    assert any(isinstance(event, events.FailureFound) for event in seen)
    assert any(isinstance(event, events.ShrinkAdvanced) for event in seen)
    assert seen[-len(shown) :] == shown
    assert isinstance(again[0], events.ShrinkAdvanced)
    assert again[1:] == [*first.kept.result.events]


def test_a_scenario_is_a_file_a_name_or_itself(tmp_path: Path) -> None:
    loaded = api.load("lease-shared")
    file = tmp_path / "copy.toml"
    file.write_text(loaded.text)
    assert api.load(loaded) is loaded
    assert api.load(file) == api.load(str(file)) == loaded
    assert (loaded.filename, api.load(file).filename) == ("lease-shared.toml", str(file))
    assert {api.run(one).hash for one in (loaded, file, "lease-shared")} == {api.run(loaded).hash}
    with pytest.raises(ScenarioError, match="no-such"):
        api.run("no-such")


def test_a_trace_is_judged_by_other_rules(tmp_path: Path) -> None:
    trace = tmp_path / "a.trace"
    result = api.run("stray-dma", trace=trace)
    assert result.verdict is api.Verdict.VIOLATED
    violated = {violation.rule for violation in result.violations}
    assert "O1" in violated
    others = [rule for rule in RULES if rule not in violated]
    assert api.judge(trace, ["O1"]).violations == [found for found in result.violations if found.rule == "O1"]
    spared = api.judge(result, others)
    assert not spared.violations
    assert spared.judged.rules == tuple(others)
    assert spared.judged.not_asked == tuple(rule for rule in RULES if rule in violated)
    assert spared.hash == result.hash
    assert api.judge(trace).judged.rules == RULES
    with pytest.raises(api.UsageError, match="there is no O99; there are O1"):
        api.judge(trace, ["O99"])
    with pytest.raises(api.UsageError, match="left no trace"):
        api.judge(api.run("stray-dma"))


@pytest.mark.parametrize(
    ("words", "call", "says"),
    [
        (["run", "--policy", "P99"], lambda: api.run("lease-shared", "P99"), "{}: "),
        (
            ["run", "--engine", "threads", "--oracle", "pct"],
            lambda: api.run("lease-shared", engine="threads", oracle="pct"),
            "{} chooses the order on the stepped engine; on threads the operating system does",
        ),
        (
            ["run", "--time-scale", "1"],
            lambda: api.run("lease-shared", time_scale=1),
            "{} is for ",
        ),
        (
            ["explore", "--method", "states", "--checkpoint", "c"],
            lambda: api.explore("lease-shared", method="states", checkpoint="c"),
            "{} states is done in one process: no ",
        ),
        (
            ["stress", "--engine", "threads", "--strategy", "pct"],
            lambda: api.stress("lease-shared", engine="threads", strategies=["pct"]),
            "{} is for the stepped engine; on threads the operating system decides",
        ),
    ],
)
def test_arguments_that_mean_nothing_are_refused_in_the_words_of_each(words: list[str], call: Any, says: str) -> None:
    with pytest.raises(api.UsageError) as raised:
        call()
    option = words[-2]
    name = {"--strategy": "strategies"}.get(option, option.removeprefix("--").replace("-", "_"))
    if "states" in words:
        option, name = "--method", "method"
    assert str(raised.value).startswith(says.format(name))
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"longpin: {says.format(option)}")
    assert "--" not in str(raised.value)


def test_an_oracle_that_there_is_not_is_refused() -> None:
    with pytest.raises(api.UsageError, match="oracle: there is no dice; there are fifo, "):
        api.run("lease-shared", oracle="dice")
    with pytest.raises(api.UsageError, match="strategies: there is no dice; there are fifo, "):
        api.stress("lease-shared", strategies=["pct", "dice"])


ANY = "lease-shared"
untyped: Any = api
"""The same functions, for what no type checker lets through."""


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: untyped.run(ANY, engine="kernel"), "engine: there is no kernel; there are stepped, threads, host"),
        (lambda: untyped.run(ANY, timers="eager"), "timers: there is no eager; there are lazy, racy"),
        (lambda: untyped.run(ANY, engine=None), "engine: there is no None; "),
        (lambda: untyped.run(ANY, seed="7"), "seed: expected an integer, from 0 to 18446744073709551615, found '7'"),
        (lambda: untyped.run(ANY, seed=-1), "seed: expected an integer, from 0 "),
        (lambda: untyped.run(ANY, oracle=""), "oracle: there is no ; there are fifo, "),
        (lambda: untyped.run(ANY, 5), "policy: expected text, such as 'P1:intended', found 5"),
        (lambda: untyped.run(ANY, trace=3), "trace: expected a file, by its name or open as a binary one, found 3"),
        (lambda: untyped.run(ANY, trace=io.StringIO()), "trace: expected a file, by its name or open as a binary "),
        (lambda: untyped.run(ANY, trace="a\0b"), "trace: no file has a NUL in its name"),
        (lambda: untyped.run(ANY, observers=print), "observers: expected several, as in [watch], found <built-in"),
        (lambda: untyped.run(ANY, observers=[None]), "observers: expected what can be called, found None"),
        (lambda: untyped.run(ANY, notice="no"), "notice: expected what can be called, found 'no'"),
        (lambda: untyped.run(ANY, engine="threads", time_scale="1"), "time_scale: expected seconds, 0 or more, found"),
        (lambda: untyped.explore(ANY, method="naive"), "method: there is no naive; there are auto, dpor, states"),
        (lambda: untyped.explore(ANY, timers="eager"), "timers: there is no eager; there are lazy, racy"),
        (lambda: untyped.explore(ANY, seed=1.5), "seed: expected an integer, from 0 "),
        (lambda: untyped.explore(ANY, max_executions=-1), "max_executions: expected an integer, at least 0, found -1"),
        (lambda: untyped.explore(ANY, seconds=float("nan")), "seconds: expected seconds, 0 or more, found nan"),
        (lambda: untyped.explore(ANY, shrink="1"), "shrink: expected seconds, 0 or more, found '1'"),
        (lambda: untyped.explore(ANY, workers=0), "workers: expected an integer, at least 1, found 0"),
        (lambda: untyped.explore(ANY, observers=[3]), "observers: expected what can be called, found 3"),
        (lambda: untyped.stress(ANY, engine="host"), "engine: there is no host; there are stepped, threads"),
        (lambda: untyped.stress(ANY, timers="eager"), "timers: there is no eager; there are lazy, racy"),
        (lambda: untyped.stress(ANY, runs=-1), "runs: expected an integer, at least 0, found -1"),
        (lambda: untyped.stress(ANY, workers=-1), "workers: expected an integer, at least 1, found -1"),
        (lambda: untyped.stress(ANY, strategies="pct"), "strategies: expected several names, as in ['name'], found 'p"),
        (lambda: untyped.stress(ANY, notice=3), "notice: expected what can be called, found 3"),
        (lambda: untyped.replay(None), "trace: expected a file, by its name or open as a binary one, found None"),
        (lambda: untyped.replay("x.trace", until=-1), "until: expected an integer, at least 0, found -1"),
        (lambda: untyped.replay("x.trace", observers=[3]), "observers: expected what can be called, found 3"),
        (lambda: untyped.judge(None), "recorded: expected a file, by its name or open as a binary one, found None"),
        (lambda: untyped.judge("x.trace", []), f"rules: expected at least one of {', '.join(ALL_RULES)}, found none"),
        (lambda: untyped.judge("x.trace", "O1"), "rules: expected several names, as in ['name'], found 'O1'"),
    ],
)
def test_what_an_argument_cannot_be_is_refused_before_anything_runs(call: Any, says: str) -> None:
    with pytest.raises(api.UsageError) as raised:
        call()
    assert str(raised.value).startswith(says)


def test_a_wrong_observer_leaves_no_trace(tmp_path: Path) -> None:
    with pytest.raises(api.UsageError):
        untyped.run("lease-shared", trace=tmp_path / "x.trace", observers=[None])
    assert not list(tmp_path.iterdir())


def test_what_the_functions_raise_can_be_caught() -> None:
    """Whatever a docstring names beside Python's own."""
    texts = [getattr(api, name).__doc__ for name in api.__all__ if name.islower() and name != "events"]
    named = {word for text in texts for word in re.findall(r"^ +(\w+Error): ", text, re.MULTILINE)}
    assert named == set(api.EXCEPTIONS) | {"UsageError", "OSError"}
    for name in named - {"OSError"}:
        assert issubclass(getattr(api, name), Exception)
    with pytest.raises(api.ScenarioError, match="no-such"):
        api.load("no-such")
    with pytest.raises(AttributeError, match="has no attribute 'NoError'"):
        api.NoError  # type: ignore[attr-defined]  # noqa: B018


def test_every_public_name_is_documented_and_the_page_names_every_function() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    for module in (home, traces):
        own = (
            value for _, value in inspect.getmembers(module, inspect.isfunction) if value.__module__ == module.__name__
        )
        assert {value.__name__ for value in own if not value.__name__.startswith("_")} <= set(api.__all__)
    assert set(api.EXCEPTIONS) <= set(api.__all__)
    for name in api.__all__:
        assert getattr(api, name).__doc__ or name in ("Event", "Observer"), name
    for name in ("load", "run", "run_all", "replay", "replay_under", "judge", "explore", "stress"):
        assert f"`{name}(" in page
    for event in get_args(events.Event):
        assert f"`{event.__name__}`" in page, event


def test_the_command_line_has_no_other_way_to_a_verdict() -> None:
    """What runs and searches scenarios is called by the API only."""
    inner = {"longpin.runner.run", "longpin.runner.searches", "longpin.runner.host.run"}
    for file in ("cli", "search", "ending", "options", "terminal"):
        tree = ast.parse((ROOT / "runner" / "commands" / f"{file}.py").read_text())
        names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not inner & names, file


def test_importing_it_is_cheap() -> None:
    script = "import sys, longpin.api; print(sorted({'rich', 'click', 'msgpack'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_each_form_of_report_shows_each_conclusion(tmp_path: Path) -> None:
    file = io.StringIO()
    console, junit = ConsoleReport(Console(width=100), file), tmp_path / "junit.xml"
    forms: list[Report] = [console, JsonReport(file), JunitReport(junit)]
    run = api.run("truncate-waits")
    api.run("layout-lease-ignored", trace=tmp_path / "x.trace")
    under = api.replay_under(tmp_path / "x.trace", "P1")
    for conclusion in (run, under, api.explore("lease-shared"), api.stress("lease-shared", runs=5)):
        for form in forms:
            form.show(conclusion)
            assert file.getvalue() or form is forms[2]
            file.seek(0)
            file.truncate()
        case = ET.parse(junit).getroot().find("testcase")
        assert case is not None
        assert (case.find("failure") is not None) == (conclusion.verdict is api.Verdict.VIOLATED)
    JunitReport(junit).show(run)
    said = ET.parse(junit).getroot().find("testcase/failure")
    assert said is not None
    observation = "Observation truncate-waits P1:intended violated O3 1/1 run lazy"
    assert said.text == "\n".join([*(f"{one.rule}: {one.detail}" for one in run.violations), observation])


def test_the_module_is_in_the_package() -> None:
    assert importlib.import_module("longpin.api").__file__ == str(ROOT / "src" / "longpin" / "api.py")
    lists = (ROOT / "pyproject.toml").read_text()
    assert lists.count('"src/longpin/api.py"') == lists.count('"src/longpin/__main__.py"') == 2
