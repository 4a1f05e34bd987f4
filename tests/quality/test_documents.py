"""Every command in the README and the docs is run, and the picture in the README is what the command prints.

docs/policies.md names tests and scenarios for what a proposal says: they exist, and no sentence that runs is without.
"""

import re
import shlex
import subprocess
import sys
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest
from command_line import Done, longpin

from longpin.actors.policies import POLICIES

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LONG = {"hazards.md"}
"""A minute or more; what its commands explore is explored by ``tests/scenario/test_hazards.py`` as well."""
LONGER = [pytest.mark.heavy, pytest.mark.timeout(3600)]
"""A minute is the least for each command that makes a failure smaller."""


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)


def files(document: Path) -> dict[str, str]:
    """Return the scenarios of a document by the names they give themselves, and Python that begins with one."""
    found = {}
    for toml in blocks(document, "toml"):
        if name := re.search(r'^name = "([\w-]+)"', toml):
            found[f"{name[1]}.toml"] = toml
    for code in blocks(document, "python"):
        if name := re.match(r"# ([\w-]+\.py)\n", code):
            found[name[1]] = code
    return found


def commands(document: Path) -> list[tuple[str, int]]:
    """Return each longpin command of a document's shell blocks with the exit status its comment states."""
    found = []
    for line in "".join(blocks(document, "sh")).splitlines():
        if line.startswith("longpin "):
            stated = re.search(r"# exit (\d)", line)
            found.append((line, int(stated[1]) if stated else 0))
    return found


@cache
def known(document: Path) -> set[tuple[str, int]]:
    """Return the commands of the documents before this one that depend on nothing but what is shipped."""
    before = DOCUMENTS[: DOCUMENTS.index(document)]
    found = (command for other in before if other.name not in LONG for command in commands(other))
    on_files = re.compile(r" (?!tests/)\S+\.(toml|trace|py)")
    return {(bare(command), status) for command, status in found if not on_files.search(command)}


def bare(command: str) -> str:
    """Return a command without the comment behind it."""
    return command.partition("#")[0].rstrip()


def run(command: str, folder: Path) -> Done:
    return longpin(folder, *shlex.split(command, comments=True)[1:], COLUMNS="100", NO_COLOR="1")


@pytest.mark.parametrize(
    "document",
    [pytest.param(path, marks=LONGER if path.name in LONG else [], id=path.name) for path in DOCUMENTS],
)
def test_every_command_runs_as_the_document_says(document: Path, tmp_path: Path) -> None:
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    for name, text in files(document).items():
        (tmp_path / name).write_text(text)
    for command, status in commands(document):
        if (bare(command), status) in known(document):
            continue
        done = run(command, tmp_path)
        assert done.returncode == status, f"{command}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_python_in_a_document_runs(document: Path, tmp_path: Path) -> None:
    code = "".join(code for code in blocks(document, "python") if code not in files(document).values())
    if "import" in code:  # others are programs of scenarios
        (tmp_path / "example.py").write_text(code)
        done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_the_picture_is_what_is_printed(tmp_path: Path) -> None:
    (picture,) = blocks(ROOT / "README.md", "text")
    assert run("longpin run", tmp_path).stdout.rstrip() == picture.rstrip()


def test_the_drawing_is_what_is_drawn(tmp_path: Path) -> None:
    drawn = run("longpin show --as svg", tmp_path).stdout
    assert (ROOT / "docs" / "default-run.svg").read_text() == drawn, "longpin show --as svg -o docs/default-run.svg"
    assert "](docs/default-run.svg)" in (ROOT / "README.md").read_text()


def test_the_two_commands_are_those_that_decide() -> None:
    readme = (ROOT / "README.md").read_text()
    ci = (ROOT / ".ci" / "run").read_text()
    for command in ("./bootstrap run", "./bootstrap test"):
        assert readme.count(f"\n{command}") == 1
        assert command.replace(".", r"\.", 1) in ci


def test_links_lead_somewhere() -> None:
    for document in [*DOCUMENTS, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "tests" / "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


POLICY_TABLES = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")
EVERY_SENTENCE = [*POLICIES]
"""The proposals: the table of each says of each sentence what holds it."""


def section(name: str) -> str:
    """Return what docs/policies.md says of a proposal."""
    found: list[str] = re.findall(rf"^## {name} .*?(?=^## )", POLICY_TABLES, re.MULTILINE | re.DOTALL)
    return found[0]


def evidence(text: str) -> tuple[set[str], set[str]]:
    """Return the tests, and the scenarios, that a text names."""
    quoted = set(re.findall(r"`([\w./-]+)`", text))
    tests = {word for word in quoted if re.fullmatch(r"test_\w+", word)}
    return tests, {word for word in quoted if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", word)}


def test_tests_and_scenarios_of_the_policy_tables_exist() -> None:
    written = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    tests, scenarios = evidence(POLICY_TABLES.partition("## Your own proposal")[0])
    assert tests - set(re.findall(r"^def (test_\w+)\(", written, re.MULTILINE)) == set()
    aliases = {policy.alias for policy in POLICIES.values()}
    assert scenarios - {path.stem for path in (ROOT / "config" / "scenarios").glob("*.toml")} - aliases == set()
    for path in re.findall(r"`(tests/[\w./]+)`", POLICY_TABLES):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("name", EVERY_SENTENCE)
def test_a_sentence_of_a_policy_that_runs_names_what_holds_it(name: str) -> None:
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \|$", section(name), re.MULTILINE)
    assert len(rows) >= 10
    for sentence, _, state in rows:
        says = re.match(r"runs|said|missing|not to be seen", state)
        assert says, f"{name}: {sentence}: {state}"
        assert says[0] != "runs" or any(evidence(state)), f"{name}: {sentence}: {state}"


@pytest.mark.parametrize("name", EVERY_SENTENCE)
def test_every_parameter_of_a_policy_stands_beside_the_sentence_it_is_for(name: str) -> None:
    for parameter in fields(POLICIES[name]):
        assert f"`{parameter.name}`" in section(name), parameter.name


def test_what_is_listed_as_heavy_is_a_test() -> None:
    listed = [line for line in (ROOT / "tests" / "heavy.txt").read_text().splitlines() if not line.startswith("#")]
    for line in listed:
        path, _, name = line.partition("[")[0].partition("::")
        assert f"def {name}(" in (ROOT / "tests" / path).read_text(), line
