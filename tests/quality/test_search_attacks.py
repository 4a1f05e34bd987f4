"""Searches that are given a hard time: full disks, closed descriptors, places nothing can be kept in."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from command_line import longpin

from longpin.runner.exploration.checkpoint import CheckpointError, Head, open_checkpoint
from longpin.runner.report.junit import write_junit
from longpin.runner.result import Verdict

LONGPIN = Path(sys.executable).with_name("longpin")
HEAD = Head("0", "what", racy=False, footprints=True, seed=0, grain=(1, 1))


def test_a_checkpoint_replaces_nothing_but_a_file(tmp_path: Path) -> None:
    """What runs as root could otherwise replace a device."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(CheckpointError, match="not a file"), open_checkpoint(pipe, HEAD):
        pass
    assert pipe.is_fifo()


def test_a_new_checkpoint_belongs_to_the_first(tmp_path: Path) -> None:
    path = tmp_path / "done"
    with open_checkpoint(path, HEAD):
        with pytest.raises(CheckpointError, match="another exploration"), open_checkpoint(path, HEAD):
            pass
        assert [path] == list(tmp_path.iterdir())


def test_a_record_that_does_not_fit_leaves_no_part(tmp_path: Path) -> None:
    path = tmp_path / "done"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with open_checkpoint(path, HEAD) as checkpoint:
        before = path.read_bytes()
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, limits[1]))
        try:
            with pytest.raises(OSError, match="done"):
                checkpoint.finish((bytes(1000),))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before


def test_a_verdict_goes_into_a_pipe_or_replaces_a_file(tmp_path: Path) -> None:
    link, file = tmp_path / "link", tmp_path / "report.xml"
    file.write_text("old")
    link.symlink_to(file)
    write_junit(link, "explore", "name", Verdict.HOLDS, "", 0)
    assert link.is_symlink()
    assert ET.parse(file).getroot().get("failures") == "0"
    assert sorted(tmp_path.iterdir()) == [link, file]
    reader, writer = os.pipe()
    with os.fdopen(reader), os.fdopen(writer, "w"):
        write_junit(Path(f"/dev/fd/{writer}"), "explore", "name", Verdict.HOLDS, "", 0)
        assert os.read(reader, 5) == b"<?xml"


def test_a_failure_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 0; exec "$0" stress truncate-waits --workers 1', LONGPIN],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout.startswith("violated: truncate-waits under P1:intended")
    assert "O3: liveness: " in done.stdout
    assert "longpin replay" not in done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("longpin: longpin-failures/")
    assert line.endswith(": cannot be written: File too large")
    assert not list((tmp_path / "longpin-failures").iterdir())


def test_a_closed_standard_error_changes_nothing(tmp_path: Path) -> None:
    words = ["sh", "-c", 'exec "$0" explore lease-shared --workers 1 2>&-', str(LONGPIN)]
    done = subprocess.run(words, cwd=tmp_path, stdout=subprocess.PIPE, check=False)
    assert done.returncode == 0
    assert b"holds: " in done.stdout


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    """The table of --all is printed before the verdict; the pipe has no reader from the start."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as output:
        done = subprocess.run(
            [LONGPIN, "stress", "truncate-waits", "--all", "--runs", "4"],
            cwd=tmp_path,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "")


def test_a_working_directory_that_is_gone_is_one_line(tmp_path: Path) -> None:
    words = ["sh", "-c", 'mkdir gone; cd gone; rmdir ../gone; exec "$0" stress truncate-waits', str(LONGPIN)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    line = "longpin: --failures: longpin-failures is in a folder that is gone: No such file or directory\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


def test_a_missing_folder_is_told_before_the_search(tmp_path: Path) -> None:
    done = longpin(tmp_path, "explore", "lease-shared", "--junit", "missing/report.xml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("longpin: --junit: missing/report.xml cannot be written")


def test_all_means_all_even_if_one_is_known(tmp_path: Path) -> None:
    words = ("stress", "truncate-waits", "--all", "--runs", "7", "--workers", "1")
    tables = [longpin(tmp_path, *words).stdout.partition("violated")[0] for _ in range(2)]
    assert tables[0] == tables[1]
    assert "O3 in run 1" in tables[0]


def test_what_was_not_verified_is_not_taken_for_verified(tmp_path: Path) -> None:
    words = ("explore", "lease-shared", "--workers", "1", "--checkpoint", "done")
    assert longpin(tmp_path, *words, "--json").returncode == 0
    done = longpin(tmp_path, *words, "--verify")
    assert done.returncode == 2
    assert "a checkpoint of something else" in done.stderr
    other = longpin(tmp_path, "explore", "lease-shared", "--verify", "--method", "states")
    assert other.returncode == 2
    assert "--verify checks the footprints" in other.stderr


def test_a_dask_address_that_is_none_is_one_line(tmp_path: Path) -> None:
    done = longpin(tmp_path, "explore", "lease-shared", "--dask", "nonsense")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no dask scheduler at nonsense" in done.stderr


@pytest.mark.heavy
def test_verified_is_what_was_explored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --verify states are matched after a pilot run that is not the whole; they make use of no footprints."""
    monkeypatch.setattr("longpin.runner.exploration.search.PILOT_EXECUTIONS", 50)
    monkeypatch.setattr("longpin.runner.exploration.search.FEW_EXECUTIONS", 60)
    few = ("explore", "lease-shared", "--workers", "1", "--json")
    methods = [json.loads(longpin(tmp_path, *few, *more).stdout)["method"] for more in ((), ("--verify",))]
    assert methods == ["states", "dpor"]
