"""A trace that cannot be written: the verdict is told all the same, and nothing that was there before is lost."""

import contextlib
import os
import shlex
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from quality.json_output import valid
from quality.test_kill import LONG, kill_a_run

from longpin.messages.trace import TraceReader
from longpin.runner.commands import cli
from longpin.runner.result import Verdict
from longpin.runner.run import replay

LONGPIN = Path(sys.executable).with_name("longpin")
ENGINES = ["stepped", "threads"]
FULL = Path("/dev/full")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def longpin(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments, env={"COLUMNS": "120"})


def limited(blocks: int, *words: str) -> subprocess.CompletedProcess[str]:
    """Run in a process that may write files of at most so many blocks of 512 bytes."""
    command = ["sh", "-c", f'ulimit -f {blocks}; exec "$0" "$@"', str(LONGPIN), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def names() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("scenario", ["layout-lease-ignored", "truncate-waits"])
@pytest.mark.parametrize(
    ("trace", "why"), [("nowhere/t", "No such file or directory"), ("/dev/null/t", "Not a directory")]
)
def test_one_that_cannot_even_be_begun(engine: str, scenario: str, trace: str, why: str) -> None:
    plain = longpin("run", scenario, "--engine", engine)
    done = longpin("run", scenario, "--engine", engine, "--trace", trace)
    assert done.exit_code == 2
    assert done.stderr == f"longpin: {trace}: cannot be written: {why}\n"
    verdict = next(line for line in plain.stdout.splitlines() if line.startswith(("holds", "violated")))
    assert verdict in done.stdout.splitlines()
    assert "longpin replay" not in done.stdout
    found = valid("run", longpin("run", scenario, "--engine", engine, "--trace", trace, "--json").stdout)
    assert found["not_kept"] == f"{trace}: cannot be written: {why}"
    assert found["verdict"] in ("holds", "violated")
    assert names() == []


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("trace", "why"), [("loop", "Too many levels of symbolic links"), ("x" * 300, "File name too long")]
)
def test_a_name_that_leads_nowhere(engine: str, trace: str, why: str) -> None:
    Path("loop").symlink_to("loop")
    done = longpin("run", "--engine", engine, "--trace", trace)
    assert (done.exit_code, done.stderr) == (2, f"longpin: {trace}: cannot be written: {why}\n")
    assert "\nholds: " in done.stdout
    assert names() == ["loop"]
    shown = longpin("show", "lease-shared", "--as", "c", "-o", trace)
    assert (shown.exit_code, shown.stderr) == (2, f"longpin: {trace}: cannot be written: {why}\n")


@pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_device_that_is_full_stays_a_device(engine: str) -> None:
    done = longpin("run", "--engine", engine, "--trace", str(FULL))
    assert (done.exit_code, done.stderr) == (2, "longpin: /dev/full: cannot be written: No space left on device\n")
    assert "\nholds: " in done.stdout
    assert FULL.is_char_device()


@pytest.mark.parametrize("engine", ENGINES)
def test_one_that_gets_too_large(engine: str) -> None:
    """What was written of it replays as far as it goes."""
    done = limited(8, "run", "--engine", engine, "--trace", "t")
    assert done.returncode == 2
    assert "\nholds: " in done.stdout
    assert done.stderr == "longpin: t: cannot be written: File too large; what was written of this run replays\n"
    assert names() == ["t"]
    result = replay("t")
    assert result.verdict is Verdict.UNDETERMINED
    assert result.arrivals > 0


@pytest.mark.parametrize("engine", ENGINES)
def test_a_trace_that_is_there_is_not_lost(engine: str) -> None:
    assert longpin("run", "truncate-waits", "--trace", "t").exit_code == 1
    before = Path("t").read_bytes()
    done = limited(8, "run", "--engine", engine, "--trace", "t")
    assert done.returncode == 2
    assert "\nholds: " in done.stdout
    assert done.stderr == (
        "longpin: t: cannot be written: File too large; what was written of this run is t.partial; "
        "the trace that was there before is there again\n"
    )
    assert names() == ["t", "t.partial"]
    assert Path("t").read_bytes() == before
    assert replay("t.partial").arrivals > 0
    assert limited(0, "run", "--engine", "stepped", "--trace", "t").returncode == 2
    assert Path("t").read_bytes() == before
    assert names() == ["t", "t.partial"], "one without a whole header is nothing"


def test_what_cannot_be_put_aside_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert longpin("run", "truncate-waits", "--trace", "t").exit_code == 1
    before = Path("t").read_bytes()

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", denied)
        done = longpin("run", "--trace", "t")
    assert done.exit_code == 2
    assert done.stderr == "longpin: t: cannot be written: what is there cannot be put aside (Permission denied)\n"
    assert Path("t").read_bytes() == before
    assert names() == ["t"]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_trace_that_could_be_written_replaces_the_old_one(engine: str) -> None:
    Path("real").write_bytes(b"whatever")
    Path("real").chmod(0o640)
    Path("link").symlink_to("real")
    Path("real.old").write_bytes(b"somebody's")
    done = longpin("run", "--engine", engine, "--trace", "link")
    assert (done.exit_code, done.stderr) == (0, "")
    assert names() == ["link", "real", "real.old"]
    assert Path("link").is_symlink()
    assert Path("real.old").read_bytes() == b"somebody's"
    assert stat.S_IMODE(Path("real").stat().st_mode) == 0o640
    assert replay("real").verdict is Verdict.HOLDS


@pytest.mark.parametrize("engine", ENGINES)
def test_a_killed_run_leaves_both(engine: str) -> None:
    assert longpin("run", "truncate-waits", "--trace", "t").exit_code == 1
    before = Path("t").read_bytes()
    Path("t.old").write_bytes(b"somebody's")
    # It is seen to be there as soon as it is longer than the old one was.
    kill_a_run(engine, len(before) + 100_000, Path("t"))
    assert Path("t.old").read_bytes() == b"somebody's"
    assert Path("t.old.1").read_bytes() == before
    assert not TraceReader("t").complete
    result = replay("t")
    assert (result.verdict, result.arrivals > 0) == (Verdict.UNDETERMINED, True)
    assert longpin("run", "--trace", "t").exit_code == 0
    assert names() == ["t", "t.old", "t.old.1"]


def test_a_pipe_gets_a_trace() -> None:
    os.mkfifo("pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(Path("pipe").read_bytes()))
    reader.start()
    done = longpin("run", "--trace", "pipe")
    reader.join(30)
    assert done.exit_code == 0
    assert longpin("run", "--trace", "file").exit_code == 0
    assert read == [Path("file").read_bytes()]
    assert Path("pipe").is_fifo()


def test_a_run_on_threads_leaves_nothing_when_it_is_ended(tmp_path: Path) -> None:
    """What it records for its judgement has no name."""
    place = tmp_path / "temporary"
    place.mkdir()
    command = [str(LONGPIN), "run", str(LONG), "--engine", "threads", "--trace", "t"]
    with subprocess.Popen(command, env={**os.environ, "TMPDIR": str(place)}, stdout=subprocess.DEVNULL) as process:
        while not Path("t").exists() or Path("t").stat().st_size < 100_000:
            assert process.poll() is None
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.001)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == -signal.SIGTERM
    assert list(place.iterdir()) == []


def test_the_line_that_repeats_a_violation_does_not_name_a_trace_that_is_not_there() -> None:
    done = longpin("run", "truncate-waits", "--trace", "nowhere/t")
    again = shlex.split(done.stdout.splitlines()[-1])
    assert again[:3] == ["longpin", "run", "truncate-waits"]
    assert longpin(*again[1:]).exit_code == 1
    found = valid("run", longpin("run", "truncate-waits", "--trace", "nowhere/t", "--json").stdout)
    assert (found["failure"]["trace"], found["failure"]["replay"]) == (None, shlex.join(again))


# Other things that are kept while something goes on.


def test_an_exploration_goes_on_without_its_checkpoint() -> None:
    words = ["explore", "close-fork-kill", "--method", "dpor", "--workers", "1"]
    whole = valid("explore", longpin(*words, "--json").stdout)
    done = limited(4, *words, "--checkpoint", "c", "--json")
    found = valid("explore", done.stdout)
    assert done.returncode == 2
    assert done.stderr == "longpin: c: cannot be written: File too large\n"
    assert found["not_kept"] == "c: cannot be written: File too large"
    assert (found["verdict"], found["executions"]) == (whole["verdict"], whole["executions"])


def test_a_comparison_goes_on_without_its_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked without a kernel: what is recorded stands for it."""
    from longpin.runner.commands.comparing import Run
    from longpin.runner.conform.emulated import EmulatedRunner
    from longpin.runner.conform.program import ConformProgram, load_programs

    programs = load_programs(Path(__file__).parents[1] / "data" / "kernel_leases.jsonl")[:3]
    monkeypatch.setattr("longpin.runner.commands.conform.say", pytest.fail)

    class Recorded:
        def run(self, program: ConformProgram) -> object:
            return program.result

    def keep(_program: ConformProgram) -> None:
        raise OSError(28, "No space left on device", "kernel.jsonl")

    run = Run(Recorded(), EmulatedRunner("stepped"), keep)  # type: ignore[arg-type]
    run.go(programs, 3)
    assert (run.tally.agree, run.not_kept) == (3, "kernel.jsonl: cannot be written: No space left on device")
    assert run.judgement is Verdict.HOLDS
