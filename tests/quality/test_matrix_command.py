"""``longpin matrix`` as it is used: exit statuses, JSON, bad input, and a run that is killed."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from quality.json_output import valid

from longpin.runner.commands import cli

OWN = """\
from dataclasses import dataclass

from longpin.actors.policies.wait import WaitForIdle


@dataclass(frozen=True, slots=True)
class Mine(WaitForIdle):
    pass
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def matrix(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["matrix", "--workers", "1", *arguments])


def cells(*arguments: str) -> list[Any]:
    found: list[Any] = valid("matrix", matrix(*arguments, "--json").stdout)["cells"]
    return found


def test_a_grid_with_its_bounds(folder: Path) -> None:
    result = matrix("--hazard", "U1", "--policy", "P0", "--policy", "P5:intended")
    assert result.exit_code == 0, result.output
    assert "U1-device-writes  none  shown" in result.output
    assert "6 of 6 cells: " in result.output
    assert (folder / "longpin-matrix" / "rows").is_dir()


def test_json_has_the_same_keys_for_cells_and_for_vectors() -> None:
    table = valid("matrix", matrix("--hazard", "U1", "--policy", "P4", "--json").stdout)
    vectors = valid("matrix", matrix("--hazard", "U1", "--vectors", "P4", "--timers", "lazy", "--json").stdout)
    assert table.keys() == vectors.keys()
    assert {cell["expected"] for cell in table["cells"]} == {True}
    (clause,) = vectors["vectors"]["use_clauses"]
    assert (clause["clause"], clause["rule"]) == ("lease_direct", "U1")
    assert vectors["vectors"]["survive"] == vectors["vectors"]["vectors"]


def test_a_counterexample_replays() -> None:
    found = cells("--hazard", "U1", "--policy", "P5:intended", "--timers", "lazy")
    result = CliRunner().invoke(cli.main, ["replay", found[0]["trace"]])
    assert result.exit_code == 0, result.output
    assert "U1" in result.output


def test_parameters_and_kernels_are_columns_of_which_nothing_is_expected() -> None:
    found = cells("--hazard", "U1", "--policy", "P5:intended,pins_left=wait", "--timers", "racy")
    assert [(cell["preset"], cell["wanted"], cell["expected"]) for cell in found] == [
        ("intended,pins_left=wait", None, None)
    ]
    found = cells("--hazard", "U1", "--policy", "P5:intended", "--kernel", "6.18,idle_needs_unmapped=false")
    assert {cell["preset"] for cell in found} == {"intended,kernel=6.18,idle_needs_unmapped=false"}


def test_a_policy_in_a_file(folder: Path) -> None:
    (folder / "mine.py").write_text(OWN)
    found = cells("--hazard", "U2", "--policy", "P1", "--policy", "mine.py:Mine", "--timers", "lazy")
    own = found[-1]
    assert (own["policy"], own["verdict"], own["wanted"], own["expected"]) == ("mine.py:Mine", "violated", None, None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--hazard", "H99"], "--hazard: expected one of "),
        (["--policy", "P77"], "--policy: expected a policy"),
        (["--policy", "missing.py:Mine"], "missing.py"),
        (["--kernel", "3.1"], "--kernel: "),
        (["--out", "/proc/nothing"], "--out: nothing can be written"),
        (["--vectors", "P5", "--policy", "P1"], "--vectors is about every setting of one policy"),
        (["--vectors", "P5:intended,lease_check=any_lease"], "--vectors: expected a policy"),
        (["--for", "soon"], "'soon' is not a time"),
    ],
)
def test_bad_input_is_told_in_a_line(words: list[str], said: str) -> None:
    result = matrix(*words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not result.stdout


def test_what_is_not_reached_is_undetermined() -> None:
    result = matrix("--hazard", "U3", "--policy", "P5:d1", "--timers", "lazy", "--for", "0", "--json")
    (cell,) = valid("matrix", result.stdout)["cells"]
    assert (cell["verdict"], result.exit_code) == ("undetermined", 3)
    assert "time allowed" in cell["what"]


def damaged(text: str, place: str) -> str:
    """Return a row with one thing that it cannot have."""
    row = json.loads(text)
    if place == "nested":
        return "[" * 100_000
    if place == "cells":
        row["row"]["cells"].pop()
    else:
        row["row"]["cells"][0]["trace"] = "../../elsewhere.trace"
    return json.dumps(row)


ONCE = ("--hazard", "U1", "--policy", "P1", "--timers", "lazy")


@pytest.mark.parametrize("place", ["nested", "cells", "trace"])
def test_a_row_that_is_damaged_is_done_again(folder: Path, place: str) -> None:
    whole = cells(*ONCE)
    (row,) = (folder / "longpin-matrix" / "rows").iterdir()
    row.write_text(damaged(row.read_text(), place))
    again = valid("matrix", matrix(*ONCE, "--json").stdout)
    assert (again["resumed_rows"], again["cells"]) == (0, whole)


@pytest.mark.parametrize("left", [0, 100, -1])
def test_a_counterexample_that_is_damaged_is_made_again(folder: Path, left: int) -> None:
    trace = Path(cells(*ONCE)[0]["trace"])
    whole = trace.read_bytes()
    trace.write_bytes(whole[:left])
    assert valid("matrix", matrix(*ONCE, "--json").stdout)["resumed_rows"] == 0
    assert trace.read_bytes() == whole


def command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "longpin", "matrix", "--out", str(folder), "--hazard", "U1", "--hazard", "U3", *words]


def until_a_row_is_kept(process: "subprocess.Popen[bytes]", rows: Path) -> None:
    while process.poll() is None and not (rows.is_dir() and any(rows.glob("*.json"))):
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.02)


def test_a_run_that_is_killed_goes_on(folder: Path) -> None:
    """SIGKILL after the first row is kept: the table is that of a run that was not disturbed."""
    words = ["--policy", "P5", "--timers", "lazy", "--workers", "2", "--json"]
    with subprocess.Popen(command(folder / "out", *words), stdout=subprocess.PIPE, start_new_session=True) as killed:
        rows = folder / "out" / "rows"
        until_a_row_is_kept(killed, rows)
        os.killpg(killed.pid, signal.SIGKILL)
    again, whole = (
        json.loads(subprocess.run(command(folder / out, *words), stdout=subprocess.PIPE, check=True).stdout)
        for out in ("out", "other")
    )
    assert again["resumed_rows"] >= 1
    assert whole["resumed_rows"] == 0

    def table(found: Any) -> list[Any]:
        return [{**cell, "trace": Path(cell["trace"]).name if cell["trace"] else None} for cell in found["cells"]]

    assert table(again) == table(whole)


def test_ctrl_c_ends_it_with_what_is_known(folder: Path) -> None:
    """Wherever it comes: a row that was under way is not kept."""
    words = ["--policy", "P5", "--timers", "lazy", "--workers", "1", "--json"]
    with subprocess.Popen(command(folder / "out", *words), stdout=subprocess.PIPE, start_new_session=True) as ended:
        rows = folder / "out" / "rows"
        until_a_row_is_kept(ended, rows)
        os.killpg(ended.pid, signal.SIGINT)
        assert ended.stdout is not None
        found = json.loads(ended.stdout.read())
    assert (found["interrupted"], ended.returncode) == (True, 3)
    assert "interrupted" in found["reason"]
    assert {cell["hazard"] for cell in found["cells"]} == {"U1-device-writes"}
    assert len(list(rows.glob("*.json"))) == 1
