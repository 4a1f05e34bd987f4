"""The plugin of pytest: scenarios and worlds as tests, in processes of their own, and runs that ask for nothing."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from command_line import longpin

from longpin import api, pytest_plugin
from longpin.runner.conclusions import Explored
from longpin.runner.exploration import Exploration, Method, Reason
from longpin.runner.subject import Subject
from longpin.runner.suite.outcome import was_interrupted

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "docs" / "pytest-sample"
POLICIES = ROOT / "docs" / "policies.md"
HANGS = (SAMPLE / "scenarios" / "never-answered.toml").read_text()
ENVIRONMENT = {**os.environ, "COLUMNS": "100"}
DOCUMENT = (ROOT / "docs" / "pytest.md").read_text()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a scenario that holds and one that does not, and a test beside them."""
    folder = tmp_path / "project"
    (folder / "scenarios").mkdir(parents=True)
    (folder / "scenarios" / "hangs.toml").write_text(HANGS)
    (folder / "scenarios" / "hangs.expected.toml").write_text("no scenario")
    shutil.copy(SAMPLE / "scenarios" / "answered.toml", folder / "scenarios")
    (folder / "test_plain.py").write_text("def test_plain():\n    pass\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


def run(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pytest", "--no-header", "-p", "no:cov", "-p", "no:hypothesispytest", *words]
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)


RUN_EACH = """
import json, sys, pytest
for words in json.loads(sys.argv[1]):
    print("=" * 7, int(pytest.main(words)), flush=True)
"""


def run_each(folder: Path, *runs: list[str]) -> list["subprocess.CompletedProcess[str]"]:
    """Make several runs in one process, which saves most of what a process costs."""
    words = json.dumps([["--no-header", "-p", "no:cov", "-p", "no:hypothesispytest", *words] for words in runs])
    command = [sys.executable, "-c", RUN_EACH, words]
    done = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
    )
    *parts, last = re.split(r"^={7} (\d)\n", done.stdout, flags=re.MULTILINE)
    assert last == ""
    texts = zip(parts[::2], parts[1::2], strict=True)
    return [subprocess.CompletedProcess(command, int(status), text, "") for text, status in texts]


def outcomes(done: "subprocess.CompletedProcess[str]") -> dict[str, str]:
    """Return how each test ended, as ``-rA`` lists them."""
    found = re.findall(r"^(PASSED|FAILED|XFAIL|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return {name: outcome for outcome, name in found}


def test_the_sample_project_does_what_the_document_shows(tmp_path: Path) -> None:
    folder = tmp_path / "sample"
    shutil.copytree(SAMPLE, folder, ignore=shutil.ignore_patterns(".pytest_cache", "__pycache__"))
    shown = re.findall(r"^```console\n\$ pytest([^\n]*)\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    more: tuple[list[str], ...] = (["-rA", "--junit-xml", "j.xml"], [], [])
    ended = run_each(folder, *([*shlex.split(words), *its] for (words, _), its in zip(shown, more, strict=True)))
    for (_, told), done in zip(shown, ended, strict=True):
        assert done.returncode == int("violated" in told)
        for line in told.splitlines():
            pattern = re.sub(r"(\\ )+", " +", re.escape(line)).replace("…", ".*")
            assert re.search(pattern, done.stdout), line
    assert "8 passed, 1 skipped, 1 xfailed" in ended[0].stdout
    assert outcomes(ended[0])["scenarios/answered.toml::explore-P9:intended"] == "PASSED"
    assert re.search(r"SKIPPED \[1\] .*: samples prove nothing: 200 runs", ended[0].stdout)
    cases = {(case.get("classname"), case.get("name")): case for case in ET.parse(folder / "j.xml").iter("testcase")}
    (found,) = cases["scenarios.answered.toml", "explore-P5:intended"].iter("property")
    assert (found.get("name"), found.get("value")) == (
        "observation",
        "Observation answered P5:intended holds - 0/72 schedules lazy",
    )


def test_the_document_has_the_configuration_of_the_sample() -> None:
    (told,) = re.findall(r"^```toml\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert told == (SAMPLE / "pyproject.toml").read_text()
    assert len(told.splitlines()) == 5
    assert set(tomllib.loads(told)["tool"]["pytest"]["ini_options"]) < set(re.findall(r"longpin_\w+", DOCUMENT))


def test_a_failure_shows_its_story_and_the_line_that_replays_it(project: Path) -> None:
    done = run(project, "-rA", "--longpin", "scenarios", "--longpin-shrink", "1")
    assert done.returncode == 1
    assert outcomes(done) == {
        "test_plain.py::test_plain": "PASSED",
        "scenarios/answered.toml::explore-P5:intended": "PASSED",
        "scenarios/hangs.toml::explore-P1:intended": "FAILED",
    }
    story = (
        done.stdout.partition("_ hangs.toml: explore-P1:intended _")[2].partition("\n_____")[0].partition("\n====")[0]
    )
    *_, observation, again = story.rstrip().splitlines()
    assert "never returns" in story
    assert observation == "Observation never-answered P1:intended violated O3 1/1 schedules lazy"
    program, *words = again.split()
    assert program == "longpin"
    replayed = longpin(project, *words)
    assert (replayed.returncode, replayed.stdout.splitlines()[-2:]) == (
        1,
        [observation.replace("schedules", "run"), again],
    )
    assert "O3: hangs for ever" in done.stdout.splitlines()[-2], "the summary says what"

    again_failed = run(project, "-rA", "--longpin", "scenarios", "--longpin-shrink", "1", "--lf")
    assert outcomes(again_failed) == {"scenarios/hangs.toml::explore-P1:intended": "FAILED"}
    assert "1 failed" in again_failed.stdout
    assert again in again_failed.stdout


@pytest.mark.heavy
def test_workers_share_the_scenarios_and_what_they_keep(project: Path) -> None:
    words = ["-rA", "--longpin", "scenarios", "-n2"]
    first, second = run(project, *words), run(project, *words, "--lf")
    assert len(outcomes(first)) == 3
    assert outcomes(second) == {"scenarios/hangs.toml::explore-P1:intended": "FAILED"}
    (again,) = re.findall(r"^longpin replay .*", first.stdout, re.MULTILINE)
    assert again in second.stdout


def test_only_what_is_asked_for_under_every_policy_that_is(project: Path) -> None:
    listed = ["--collect-only", "-q"]
    asked = [*listed, "--longpin", "scenarios/hangs.toml", "test_plain.py", "--longpin-policy", "P1"]
    of_ini = "longpin_paths = scenarios\nlongpin_search = stress\n"
    (project / "pytest.ini").write_text(f"[pytest]\n{of_ini}testpaths = test_plain.py\n")
    both, by_ini, named = run_each(
        project,
        [*asked, "--longpin-policy", "own", "--longpin-timers", "both", "--longpin-search", "explore"],
        [*listed, "-k", "stress-P5 or plain"],
        [*listed, "test_plain.py"],
    )
    hangs = "scenarios/hangs.toml::explore-P1:intended"
    assert both.stdout.splitlines()[:4] == ["test_plain.py::test_plain", f"{hangs}-lazy", f"{hangs}-racy", ""]
    assert by_ini.stdout.splitlines()[:3] == [
        "test_plain.py::test_plain",
        "scenarios/answered.toml::stress-P5:intended",
        "",
    ]
    assert named.stdout.splitlines()[:2] == ["test_plain.py::test_plain", ""]


@pytest.mark.heavy
def test_a_policy_of_ones_own_is_named_from_where_the_configuration_is(project: Path) -> None:
    written = re.findall(r"^```python\n(# busy\.py\n.*?)^```", POLICIES.read_text(), re.MULTILINE | re.DOTALL)
    (project / "policies").mkdir()
    (project / "policies" / "busy.py").write_text(written[0])
    (project / "pytest.ini").write_text("[pytest]\nlongpin_policies = policies/busy.py:Busy\n")
    done = run(project / "scenarios", "-rA", "--longpin", "hangs.toml", "hangs.toml")
    assert outcomes(done) == {"hangs.toml::explore-busy.py:Busy:intended": "PASSED"}
    assert "Observation never-answered ../policies/busy.py:Busy:intended holds - 0/" in done.stdout


def test_what_is_undetermined_is_no_pass(project: Path) -> None:
    words = ["-rA", "--longpin", "scenarios/answered.toml", "-k", "answered"]
    failed, skipped, sampled = run_each(
        project,
        [*words, "--longpin-seconds", "0"],
        [*words, "--longpin-seconds", "0", "--longpin-undetermined", "skip"],
        [*words, "--longpin-search", "stress", "--longpin-runs", "7"],
    )
    assert outcomes(failed) == {"scenarios/answered.toml::explore-P5:intended": "FAILED"}
    assert "undetermined: the time allowed is spent" in failed.stdout
    assert (skipped.returncode, outcomes(skipped)) == (0, {})
    told = "undetermined: the time allowed is spent: Observation answered P5:intended undetermined - 0/"
    assert told in skipped.stdout
    assert (sampled.returncode, outcomes(sampled)) == (0, {})
    told = "samples prove nothing: Observation answered P5:intended undetermined - 0/7 samples lazy"
    assert told in sampled.stdout


def test_mistakes_are_told_in_lines(project: Path) -> None:
    (project / "scenarios" / "bad.toml").write_text('name = "bad"\n[[process]]\nname = "p"\nprogram = "clos(3)"\n')
    (project / "scenarios" / "warned.toml").write_text(
        'name = "w"\n[[process]]\nname = "p"\nprogram = "label(\'x\')"\n'
    )
    words = ["--longpin", "scenarios", "--collect-only"]
    ignored, warned = run_each(project, [*words, "-W", "ignore::longpin.testing.ScenarioWarning"], words)
    assert ignored.returncode == 2
    assert re.search(r"^scenarios/bad.toml:4:\d+: process.p.program: expected ", ignored.stdout, re.MULTILINE)
    assert "Traceback" not in ignored.stdout
    told = 'warned.toml:4: process.p: warning: nobody waits for the label "x"'
    assert told not in ignored.stdout
    assert told in warned.stdout


SENSELESS = (
    (["--longpin", "nowhere"], "longpin_paths: there is no nowhere"),
    (["--longpin-policy", "P99"], "--policy: expected"),
    (["--longpin-search", "all"], "longpin_search: expected explore or stress, found 'all'"),
    (["--longpin-runs", "1.5"], "longpin_runs: expected a number, found '1.5'"),
    (["--longpin-seconds", "-1"], "longpin_seconds: expected a number, found '-1'"),
)


def test_what_makes_no_sense_is_one_line(project: Path) -> None:
    ended = run_each(project, *(["--longpin", "scenarios", *words] for words, _ in SENSELESS))
    for done, (_, told) in zip(ended, SENSELESS, strict=True):
        assert done.returncode == 4
        assert told in done.stdout
        assert done.stdout.strip().count("\n") == 0


ASKS = """
import sys

def test_nothing_of_longpin_is_imported_but_the_plugin():
    found = {name for name in sys.modules if name.startswith("longpin")}
    assert found == {"longpin", "longpin.pytest_plugin"}
"""


def test_a_run_that_does_not_ask_is_as_before(project: Path) -> None:
    (project / "test_plain.py").write_text(ASKS)
    done = run(project, "-v", ".")
    assert done.returncode == 0, done.stdout
    assert re.findall(r"^\S+::\S+", done.stdout, re.MULTILINE) == [
        "test_plain.py::test_nothing_of_longpin_is_imported_but_the_plugin",
    ]
    hooks = {name for name in vars(pytest_plugin) if name.startswith("pytest_")}
    assert hooks == {"pytest_addoption", "pytest_configure", "pytest_unconfigure"}


def test_an_interrupted_search_is_told_from_one_that_is_over() -> None:
    scenario = api.load("pin-refused")
    subject = Subject(scenario, api.settings_of(scenario))
    ended = {reason: was_interrupted(Explored(subject, Exploration(Method.DPOR, reason=reason))) for reason in Reason}
    assert [reason for reason, interrupted in ended.items() if interrupted] == [Reason.INTERRUPTED]
