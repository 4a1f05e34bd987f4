"""Explorations that are killed or interrupted: what is done is kept, nothing is done twice, nobody is left behind."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path as FilePath
from typing import Any
from zlib import crc32

import pytest
from children import heed_sigint
from model import schedules

from longpin.messages.frames import Frames
from longpin.runner.events import Event
from longpin.runner.exploration import (
    CheckpointError,
    Exploration,
    PropertyViolation,
    Reason,
    budget,
    checkpoint,
    explore,
    shared,
)
from longpin.runner.exploration.frontier import Grain

TESTS = FilePath(__file__).parents[1]

SCRIPT = """
import json, os, signal, sys
sys.path.insert(0, sys.argv[1])
from functools import partial
from quality.test_checkpoint import program
from longpin.runner.exploration import checkpoint, explore, shared
from longpin.runner.exploration.frontier import Grain

file, workers, dies_at, half, interrupts = sys.argv[2], *map(int, sys.argv[3:])
writes = 0


def write(self, record):
    global writes
    writes += 1
    frame, self._crc = checkpoint._frame(record, self._crc)
    if writes == dies_at:
        self._file.write(frame[: len(frame) // 2] if half else frame)
        os.kill(os.getpid(), signal.SIGKILL)
    self._file.write(frame)
    if interrupts and writes == 2:  # of a leaf: there are more
        os.killpg(0, signal.SIGINT)


if __name__ == "__main__":
    shared.GRAIN, shared.HEAD_START = Grain(400, 0), 0.0
    checkpoint.Checkpoint._write = write
    result = explore(partial(program, 4), method="dpor", workers=workers, footprints=False, checkpoint=file,
                     identity="s1")
    print(json.dumps([result.executions, result.reason.name]))
"""


def program(clients: int, world: Any) -> None:
    schedules.s1(clients)(world)


def run(script: FilePath, file: FilePath, workers: int, *, at: int = 0, half: int = 0, interrupts: int = 0) -> Any:
    """Run the script. Its workers hold its standard output too, so this returns when the last has ended."""
    command = [sys.executable, str(script), str(TESTS), str(file), *map(str, (workers, at, half, interrupts))]
    return subprocess.run(
        command, capture_output=True, text=True, start_new_session=True, preexec_fn=heed_sigint, check=False
    )


@pytest.fixture
def script(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> FilePath:
    monkeypatch.setattr(shared, "GRAIN", Grain(400, 0))
    file = tmp_path / "script.py"
    file.write_text(SCRIPT)
    return file


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Exploration, bytes]:
    """Return an exploration that was never interrupted, and its checkpoint."""
    file = tmp_path_factory.mktemp("whole") / "file"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared, "GRAIN", Grain(400, 0))
        return resumed(file), file.read_bytes()


@pytest.fixture
def finished(whole: tuple[Exploration, bytes], script: FilePath, tmp_path: FilePath) -> FilePath:
    """Return the checkpoint of a whole exploration."""
    file = tmp_path / "file"
    file.write_bytes(whole[1])
    return file


def resumed(file: FilePath, workers: int = 1, **options: Any) -> Exploration:
    given: dict[str, Any] = {"identity": "s1", "footprints": False} | options
    return explore(partial(program, 4), method="dpor", workers=workers, checkpoint=file, **given)


def totals(result: Exploration) -> tuple[object, ...]:
    return result.executions, result.blocked, result.events, result.reason, result.failures


@pytest.mark.parametrize(
    ("workers", "at", "half"), [(1, 1, 1), (1, 2, 0), (2, 3, 1), (1, 7, 1), (2, 7, 0), (1, 20, 1), (1, 31, 1)]
)
def test_a_killed_exploration_goes_on(
    tmp_path: FilePath, script: FilePath, whole: tuple[Exploration, bytes], workers: int, at: int, half: int
) -> None:
    file = tmp_path / "file"
    killed = run(script, file, workers, at=at, half=half)
    assert killed.returncode == -9
    result = resumed(file, 3 - workers)
    assert totals(result) == totals(whole[0])
    assert (result.executions, result.reason) == (2520, Reason.COMPLETE)
    assert file.read_bytes() == whole[1]


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_ends_cleanly_and_the_rest_is_done_later(
    tmp_path: FilePath, script: FilePath, whole: tuple[Exploration, bytes], workers: int
) -> None:
    """The signal reaches the whole process group, as from a terminal."""
    file = tmp_path / "file"
    found = run(script, file, workers, interrupts=1)
    assert (found.returncode, found.stderr) == (0, "")
    executions, reason = json.loads(found.stdout)
    assert reason == "INTERRUPTED"
    assert 0 < executions < 2520
    assert totals(resumed(file)) == totals(whole[0])


def test_what_is_finished_is_known_at_once(finished: FilePath, whole: tuple[Exploration, bytes]) -> None:
    first, before = whole

    told: list[Event] = []
    again = resumed(finished, observers=[told.append])
    assert len(told) == 1  # at the end
    assert totals(first) == totals(again)
    assert first.estimate == again.estimate
    assert before == finished.read_bytes()


def took_turns(world: Any) -> None:
    if world.actors["ledger"].served == "ABABABAB":
        raise PropertyViolation("they took turns")


def ledger(world: Any) -> None:
    schedules.s7(4)[0](world)


def test_a_failure_is_kept_too(tmp_path: FilePath, script: FilePath) -> None:
    found = [
        explore(ledger, check=took_turns, checkpoint=tmp_path / "file", max_executions=most) for most in (3, 70, 70)
    ]
    assert found[0].reason is Reason.EXECUTIONS
    assert found[1].failures[0].what == "they took turns"
    assert totals(found[1]) == totals(found[2])


def test_damage_costs_only_time(finished: FilePath, whole: tuple[Exploration, bytes]) -> None:
    file, content = finished, whole[1]
    for place in range(len(content) // 8, len(content), len(content) // 8):
        file.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        assert totals(resumed(file)) == totals(whole[0])
        assert file.read_bytes() == content


@pytest.mark.parametrize("options", [{"identity": "s2"}, {"footprints": True}, {"racy": True}, {"seed": 1}])
def test_a_checkpoint_of_something_else_is_refused(finished: FilePath, options: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="a checkpoint of something else: ") as refused:
        resumed(finished, **options)
    assert "\n" not in str(refused.value)


def test_another_file_is_refused(tmp_path: FilePath, script: FilePath) -> None:
    file = tmp_path / "file"
    for content in (b"x", b"not a checkpoint at all", b"\x89LPCP\r\n\x1a", b"\x89LPCP\r\n\x1arubbish"):
        file.write_bytes(content)
        with pytest.raises(CheckpointError):
            resumed(file)
        assert file.read_bytes() == content


LEAF = (1, 0, 0, 0, 0, "", False, 1.0, None, (), (), ((), ()), ())
"""A report of one execution, with nothing left."""


@pytest.mark.parametrize(
    "record",
    [
        5,
        ("leaf", 1),
        ("end",),
        ("end", "NOWHERE", (1, 2, 3, 4), "", [], ()),
        ("end", "VIOLATED", (1, 2, 3, 4), "", [("what", "rule", "site", ("nobody",))], ()),
        ("leaf", "x", *LEAF[1:]),
        ("leaf", *LEAF[:8], ("what", "rule", "site", ("nobody",)), *LEAF[9:]),
        ("leaf", *LEAF[:9], ((5, (1,), (1,), (b"x",)),), *LEAF[10:]),
        ("leaf", *LEAF[:10], (((), ((99, 99, ()),)),), *LEAF[11:]),
    ],
)
def test_a_forged_checkpoint_is_refused(record: Any, finished: FilePath) -> None:
    """Its checksums are right, and what it says makes no sense."""
    file = finished
    content = file.read_bytes()
    with file.open("rb") as opened:
        frames = Frames(opened, len(checkpoint.MAGIC), crc32(checkpoint.MAGIC), checkpoint.LARGEST)
        assert frames.take() is not None
        frame, _ = checkpoint._frame(record, frames.crc)
        file.write_bytes(content[: frames.offset] + frame)
    with pytest.raises(CheckpointError, match="holds what no exploration of this has written") as refused:
        resumed(file)
    assert "\n" not in str(refused.value)


def test_two_explorations_do_not_write_one_checkpoint(
    tmp_path: FilePath, script: FilePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "TELL_EVERY", 0.0)  # a quick machine would be done before
    refused: list[Event] = []

    def watch(event: Event) -> None:
        if not refused:  # once more they are told when it is over
            with pytest.raises(CheckpointError, match="another exploration"):
                resumed(tmp_path / "file")
            refused.append(event)
            raise KeyboardInterrupt

    explore_slowly = partial(resumed, tmp_path / "file", observers=[watch])
    assert explore_slowly().reason is Reason.INTERRUPTED
    assert refused
