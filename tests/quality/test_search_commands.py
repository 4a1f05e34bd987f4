"""The commands explore and stress, as somebody types them: verdicts, exit status, kept failures, interrupts."""

import json
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from children import heed_sigint
from command_line import Done, longpin

from longpin.runner.exploration.frontier import Grain

LONGPIN = Path(sys.executable).with_name("longpin")
SLOW = ["explore", "two-pins-one-truncate", "--method", "dpor", "--workers", "2"]
"""Far more schedules than a test can wait for."""


def found(done: Done) -> dict[str, object]:
    assert done.stdout.isascii()
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def by(done: Done) -> str:
    """Return who found a failure."""
    return str(json.loads(done.stdout)["found"]["by"])


def test_a_proof_states_its_bounds(tmp_path: Path) -> None:
    done = longpin(tmp_path, "explore", "layout-lease-ignored", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert "holds: every schedule was explored" in done.stdout
    assert "timers lazy, random numbers of seed 0" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ([], "states were compared by fingerprints of 128 bits: two were taken for one with a probability below 1e-33"),
        (["--whole-states"], "states were compared as a whole"),
    ],
)
def test_a_proof_says_how_states_were_compared(tmp_path: Path, option: list[str], said: str) -> None:
    done = longpin(tmp_path, "explore", "two-pins-one-truncate", "--method", "states", *option)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


def test_memory_that_is_spent_is_never_a_pass(tmp_path: Path) -> None:
    done = longpin(tmp_path, "explore", "lease-shared", "--method", "states", "--max-memory", "1m")
    assert done.returncode == 3, done.stderr
    assert "undetermined: the memory allowed is spent" in done.stdout
    assert longpin(tmp_path, "explore", "lease-shared", "--max-memory", "1").returncode == 2


@pytest.mark.parametrize("verb", ["explore", "stress"])
def test_the_last_line_replays_what_was_found(tmp_path: Path, verb: str) -> None:
    done = longpin(tmp_path, verb, "layout-lease-answered", "--timers", "racy", "--workers", "1")
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("violated: ")
    again = shlex.split(done.stdout.splitlines()[-1])
    assert again[:2] == ["longpin", "replay"]
    replayed = longpin(tmp_path, *again[1:])
    assert replayed.returncode == 1
    assert "violated: O7" in replayed.stdout


def test_a_kept_failure_is_tried_first(tmp_path: Path) -> None:
    """Whatever finds it: the second command runs nothing else, and says who found it."""
    first = longpin(tmp_path, "stress", "truncate-waits", "--strategy", "pos", "--json", "--workers", "1")
    kept = sorted(path.name for path in (tmp_path / "longpin-failures").iterdir())
    second = longpin(tmp_path, "explore", "truncate-waits", "--json", "--workers", "1")
    assert first.returncode == second.returncode == 1
    assert by(first) == by(second)
    assert by(second).startswith("pos")
    assert sorted(path.name for path in (tmp_path / "longpin-failures").iterdir()) == kept
    other = longpin(tmp_path, "explore", "truncate-waits", "--policy", "P5", "--json", "--workers", "1")
    assert other.returncode == 0, "another configuration has no failure kept"


def test_totals_do_not_depend_on_the_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In several parts."""
    monkeypatch.setattr("longpin.runner.exploration.shared.GRAIN", Grain(1_000, 0))
    monkeypatch.setattr("longpin.runner.exploration.shared.HEAD_START", 0.0)
    ends = [
        found(longpin(tmp_path, "explore", "lease-shared", "--method", "dpor", "--workers", workers, "--json"))
        for workers in ("1", "2")
    ]
    assert ends[0]["verdict"] == "holds"
    assert all(end.pop("seconds") for end in ends)
    assert ends[0] == ends[1]


def test_incomplete_is_never_a_pass(tmp_path: Path) -> None:
    junit = tmp_path / "report.xml"
    done = longpin(
        tmp_path, "explore", "lease-shared", "--max-executions", "3", "--workers", "1", "--junit", str(junit)
    )
    assert done.returncode == 3
    assert "undetermined: the number of executions allowed is spent" in done.stdout
    suite = ET.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("errors"), suite.get("failures")) == ("1", "1", "0")
    sampled = longpin(tmp_path, "stress", "lease-shared", "--runs", "14", "--workers", "1", "--json")
    assert sampled.returncode == 3
    assert found(sampled)["runs"] == 14


def test_threads_are_stressed_too(tmp_path: Path) -> None:
    done = longpin(tmp_path, "stress", "truncate-waits", "--engine", "threads", "--runs", "3", "--json")
    assert done.returncode == 1, done.stderr
    replayed = longpin(tmp_path, *shlex.split(json.loads(done.stdout)["failure"]["replay"])[1:])
    assert replayed.returncode == 1


@pytest.mark.parametrize("words", [SLOW, ["stress", "two-pins-one-truncate", "--for", "1h", "--workers", "2"]])
def test_an_interrupt_ends_with_what_is_known(tmp_path: Path, words: list[str]) -> None:
    checkpoint = ["--checkpoint", "done"] if words is SLOW else []
    with subprocess.Popen(
        [str(LONGPIN), *words, *checkpoint, "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed_sigint,
    ) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while process.poll() is None and len(children.read_text().split()) < 2:
            with suppress(subprocess.TimeoutExpired):  # until its workers are there
                process.wait(0.02)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate()
    assert process.returncode == 3, stderr
    end = json.loads(stdout)
    assert end["verdict"] == "undetermined"
    assert end["reason"] == "it was interrupted"
    assert not stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["explore", "nowhere"], "nowhere"),
        (["explore", "--method", "states", "--workers", "2"], "--method states is done in one process"),
        (["explore", "--for", "soon"], "not a time"),
        (["explore", "--dask", "tcp://127.0.0.1:1"], "no dask scheduler at tcp://127.0.0.1:1"),
        (["explore", "--checkpoint", "/dev/null/x"], "Not a directory"),
        (["stress", "--engine", "threads", "--strategy", "pct"], "--strategy is for the stepped engine"),
        (["stress", "--time-scale", "0.1"], "--time-scale is for --engine threads"),
        (["stress", "--strategy", "luck"], "luck"),
        (["stress", "--runs", "0"], "0"),
        (["stress", "truncate-waits", "--failures", "/dev/null/x"], "--failures: nothing can be written in /dev/null"),
        (["stress", "truncate-waits", "--failures", "/dev/null"], "--failures: nothing can be written in /dev/null"),
        (["explore", "truncate-waits", "--failures", "/proc"], "--failures: nothing can be written in /proc"),
        (["explore", "truncate-waits", "--failures", "/sys/x"], "--failures: nothing can be written in /sys"),
        (["explore", "truncate-waits", "--failures", __file__], f"nothing can be written in {__file__}: Not a dir"),
        (["explore", "truncate-waits", "--failures", f"{__file__}/x"], f"nothing can be written in {__file__}: Not"),
        (["explore", "truncate-waits", "--failures", "x" * 300], "File name too long"),
        (["stress", "truncate-waits", "--junit", "/dev/null/x"], "--junit: /dev/null/x cannot be written"),
        (["stress", "truncate-waits", "--junit", "/proc/x"], "--junit: nothing can be written in /proc"),
        (["stress", "truncate-waits", "--junit", "x" * 300], "File name too long"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, words: list[str], line: str) -> None:
    done = longpin(tmp_path, *words)
    assert done.returncode == 2
    assert line in done.stderr
    assert "violated" not in done.stderr  # what can be told before a search is not told after it
    assert "Traceback" not in done.stderr
    assert not done.stdout
    assert not list(tmp_path.iterdir())
