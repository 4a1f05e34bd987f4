"""A wheel in an environment of its own, far from the repository, does what the documents say."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NO_INDEX = re.compile(r"No matching distribution|Could not find a version|Connection|Temporary failure|timed out")

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1800)]


def pip(python: Path | str, *words: str) -> None:
    """Run pip; without an index to install from, there is nothing to be tested here."""
    command = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and NO_INDEX.search(done.stderr):
        pytest.skip(f"no packages can be had: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


class Bare:
    """An environment with nothing in it but the wheel and what that asks for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "somewhere"
        self.folder.mkdir()
        self.venv = folder / "venv"
        wheels = folder / "wheels"
        pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", str(wheels), str(ROOT))
        (self.wheel,) = wheels.glob("*.whl")
        subprocess.run([sys.executable, "-m", "venv", str(self.venv)], check=True)
        self.python = self.venv / "bin" / "python"
        pip(self.python, "install", str(self.wheel))

    def run(self, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a program of the environment in a folder that knows nothing of the repository."""
        path = f"{self.venv / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin"
        env = {"PATH": path, "HOME": str(self.folder), "COLUMNS": "100", **environment}
        program = shutil.which(words[0], path=path)
        assert program, words[0]
        return subprocess.run(
            [program, *words[1:]], cwd=self.folder, env=env, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Bare:
    return Bare(tmp_path_factory.mktemp("bare"))


def test_it_is_the_wheel_that_runs_and_pytest_is_no_part_of_it(bare: Bare) -> None:
    done = bare.run("python", "-c", "import longpin, sys; print(longpin.__file__); import longpin.testing, longpin.api")
    assert done.stdout.startswith(str(bare.venv)), done.stderr
    assert bare.run("python", "-c", "import pytest").returncode == 1
    assert bare.run("python", "-m", "pip", "check").returncode == 0


def test_a_scenario_of_ones_own(bare: Bare) -> None:
    assert bare.run("longpin", "new", "mine").returncode == 0
    for words in (["check", "mine.toml", "--strict"], ["run", "mine.toml"], ["run"], ["explore", "mine.toml"]):
        done = bare.run("longpin", *words)
        assert (done.returncode, done.stderr) == (0, ""), words
    assert done.stdout.splitlines()[-1] == "Observation mine P5:intended holds - 0/72 schedules lazy"
    violated = bare.run("longpin", "explore", "mine.toml", "--policy", "P1", "--shrink", "2")
    observation, again = violated.stdout.splitlines()[-2:]
    assert (violated.returncode, observation.split()[3:5]) == (1, ["violated", "O3"])
    assert bare.run(*again.split()).returncode == 1
    assert json.loads(bare.run("longpin", "run", "--json").stdout)["observation"].startswith("Observation ")
    assert json.loads(bare.run("longpin", "list", "scenarios", "--json").stdout)


def test_versions_completion_and_the_manual_page(bare: Bare) -> None:
    assert "trace format" in bare.run("longpin", "--version").stdout
    assert "complete" in bare.run("longpin", _LONGPIN_COMPLETE="bash_source").stdout
    page = bare.venv / "share" / "man" / "man1" / "longpin.1"
    assert page.read_text() == (ROOT / "docs" / "longpin.1").read_text()
    if shutil.which("man", path="/usr/bin") and (found := bare.run("man", "-w", "longpin")).returncode == 0:
        assert found.stdout.strip() == str(page)


def test_a_folder_of_scenarios_is_a_suite(bare: Bare) -> None:
    pip(bare.python, "install", "pytest", "pytest-xdist")
    shutil.copytree(ROOT / "docs" / "pytest-sample", bare.folder, dirs_exist_ok=True)
    done = bare.run("pytest", "-n", "2", "--junit-xml", "j.xml", "scenarios", "tests")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed, 1 skipped, 1 xfailed" in done.stdout
    assert 'value="Observation answered P9:intended holds - 0/' in (bare.folder / "j.xml").read_text()
