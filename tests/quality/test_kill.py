"""A run that is killed leaves a trace that loads and replays to its last whole record.

``pytest -m heavy tests/quality/test_kill.py`` kills 50 runs of each engine.
"""

import random
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from longpin.messages.trace import TraceError, TraceReader
from longpin.runner.result import Verdict
from longpin.runner.run import replay

LONG = Path(__file__).parents[1] / "data" / "long.toml"
"""More than 100,000 arrivals, some 6 MB of trace."""

MOST_BYTES = 400_000
"""Before which size of the trace the kill comes; less than the whole, and quick to replay."""


def kill_a_run(engine: str, size: int, trace: Path) -> None:
    """Start a run and kill it as soon as its trace has ``size`` bytes."""
    main = "from longpin.runner.commands.cli import main; main()"
    command = [sys.executable, "-c", main, "run", str(LONG), "--engine", engine, "--trace", str(trace), "--json"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while not trace.exists() or trace.stat().st_size < size:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(timeout=0.0005)
                pytest.fail(f"the run ended by itself, with {code}")
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


def check_killed(engine: str, seed: int, folder: Path) -> int:
    """Kill a run at a random moment; return how many arrivals its trace has kept."""
    trace = folder / "killed.trace"
    size = random.Random(f"{engine} {seed}").randrange(1, MOST_BYTES)
    kill_a_run(engine, size, trace)
    reader = TraceReader(trace)
    offsets = [offset for offset, _ in reader]
    kept = len(offsets)
    assert not reader.complete
    result = replay(trace)
    assert result.verdict is Verdict.UNDETERMINED
    assert result.reason == reader.end
    assert result.arrivals == kept
    assert max(offsets, default=size) > size - 1000, "what follows the last whole record is less than another one"
    trace.unlink()
    return kept


@pytest.mark.parametrize("engine", ["stepped", "threads"])
def test_a_killed_run_replays_to_its_last_record(engine: str, tmp_path: Path) -> None:
    kept = [check_killed(engine, seed, tmp_path) for seed in range(2)]
    assert min(kept) > 0
    assert len(set(kept)) == len(kept)


@pytest.mark.heavy
@pytest.mark.parametrize("engine", ["stepped", "threads"])
def test_fifty_killed_runs(engine: str, tmp_path: Path) -> None:
    assert len({check_killed(engine, 100 + moment, tmp_path) for moment in range(50)}) > 40


def test_a_run_killed_while_it_writes_its_header(tmp_path: Path) -> None:
    trace = tmp_path / "killed.trace"
    kill_a_run("stepped", 1, trace)
    whole = trace.read_bytes()
    header_end, _ = next(iter(TraceReader(trace)), (len(whole), b""))
    for size in random.Random(0).sample(range(header_end), 20):
        trace.write_bytes(whole[:size])
        with pytest.raises(TraceError, match=r"the trace ends inside the header|not a longpin trace"):
            replay(trace)
