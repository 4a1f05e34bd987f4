"""Worlds leave nothing behind: no threads, no entries in pykka's registry, no open files, no temporary files.

One after another and side by side, and also when one fails, is interrupted, or diverges.
"""

import gc
import itertools
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pykka
import pytest

from longpin.actors.base import Actor, handles
from longpin.actors.fs.inode import Inode
from longpin.config.loader import load_scenario, shipped_scenarios
from longpin.messages.envelope import Awake, Envelope
from longpin.messages.fs.inode import Open
from longpin.messages.trace import TraceError, TraceReader, TraceWriter
from longpin.runner.engines.engine import InternalError
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.engines.threads import ThreadsEngine, TooManyThreadsError
from longpin.runner.engines.world import Blueprint
from longpin.runner.oracles.fifo import Fifo
from longpin.runner.result import Result, Verdict
from longpin.runner.run import Settings, replay, run
from longpin.runner.trace_file import TraceFile

NAMES = shipped_scenarios()
MANY = pytest.mark.parametrize("names", [NAMES[::4], pytest.param(NAMES, marks=pytest.mark.heavy, id="all")])
ENGINES = ["stepped", "threads"]


def run_one(name: str, engine: str, trace: Path | None = None) -> Result:
    scenario = load_scenario(name)
    return run(scenario, Settings.of(scenario, engine=engine, time_scale=0.0001), trace)


def belongings(folder: Path) -> dict[str, Any]:
    """Return what a process has that a world could have left."""
    gc.collect()
    return {
        "threads": {thread.name for thread in threading.enumerate()},
        "actors": pykka.ActorRegistry.get_all(),
        "files": {
            str(descriptor.readlink())
            for descriptor in Path("/proc/self/fd").iterdir()
            if descriptor.exists()  # that of the folder itself is closed by now
        },
        "temporary": sorted(folder.iterdir()),
    }


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test whose worlds left something behind."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before = belongings(folder)
    yield
    assert belongings(folder) == before


@MANY
def test_one_after_another(names: list[str]) -> None:
    first = {name: run_one(name, "stepped") for name in names}
    for name in reversed(names):
        # On threads a break time may pass before a busy machine lets the holder answer: any verdict but one, which
        # only a scenario has whose point is in some schedules, if a line was not reached or a use not shown.
        done = run_one(name, "threads")
        assert done.verdict in (Verdict.HOLDS, Verdict.VIOLATED) or done.unreached or done.uses
        assert run_one(name, "stepped") == first[name]


@MANY
def test_side_by_side(names: list[str], tmp_path: Path) -> None:
    alone = {name: run_one(name, "stepped") for name in names}
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            (name, engine, tmp_path / f"{number}")
            for number, (name, engine) in enumerate(itertools.product(names, ENGINES))
        ]
        futures = [pool.submit(run_one, *job) for job in jobs]
        results = [future.result() for future in futures]
    for (name, engine, trace), result in zip(jobs, results, strict=True):
        assert engine == "threads" or result == alone[name]
        again = replay(trace)
        assert (again.hash, again.calls, again.verdict) == (result.hash, result.calls, result.verdict)


class Turns(Fifo):
    """Stops after every fifth arrival."""

    count = 0

    def next_arrival(self, ready: Sequence[Actor]) -> int | None:  # type: ignore[override]
        self.count += 1
        return None if self.count % 6 == 0 else super().next_arrival(ready)


def test_worlds_that_take_turns() -> None:
    scenario = load_scenario("lease-shared")
    blueprint = Blueprint(scenario, Settings.of(scenario).make_proposal())
    seen: list[list[Envelope]] = [[], [], []]
    worlds = [SteppedEngine(Turns()), SteppedEngine(Turns()), SteppedEngine(Fifo())]
    for engine, arrivals in zip(worlds, seen, strict=True):
        engine.record = lambda _, envelope, arrivals=arrivals: arrivals.append(envelope)
        blueprint.build(engine)
    turns = 0
    while [engine.run() for engine in worlds[:2]] != [True, True]:
        turns += 1
    assert worlds[2].run()
    assert turns > 5
    assert seen[0] == seen[1] == seen[2]


class Failing(Actor):
    """Has a bug."""

    @handles(Awake)
    def awake(self, _body: Awake, _src: str) -> None:
        raise ZeroDivisionError("planted")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_world_that_fails(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: object, _request: Open, _src: str) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setitem(Inode.handlers, Open, fail)
    with pytest.raises(InternalError, match=r"^inode:/pmem/data: ZeroDivisionError: planted$"):
        run_one("layout-lease-answered", engine, tmp_path / "trace")
    monkeypatch.undo()
    reader = TraceReader(tmp_path / "trace")
    assert list(reader)
    assert not reader.complete


def test_a_failing_world_on_threads_alone() -> None:
    arrived: list[Envelope] = []
    engine = ThreadsEngine(lambda _, envelope: arrived.append(envelope), lambda: None)
    with closing(engine):
        engine.spawn(Failing, "failing")
        engine.tell("failing", Awake())
        with pytest.raises(InternalError):
            engine.run()
    assert len(arrived) == 1


@pytest.mark.usefixtures("sigint")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_world_that_is_interrupted(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append = TraceWriter.append
    asked: list[int] = []

    def interrupt(self: TraceWriter, payload: bytes) -> None:
        append(self, payload)
        if self.arrivals == 30 and not asked:
            asked.append(30)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(TraceWriter, "append", interrupt)
    result = run_one("layout-lease-answered", engine, tmp_path / "trace")
    assert result.verdict is Verdict.UNDETERMINED
    assert result.reason.startswith("interrupted after arrival ")
    monkeypatch.undo()
    assert replay(tmp_path / "trace").arrivals == result.arrivals


@pytest.mark.parametrize("threads", [3, 10], ids=["while it is built", "in a handler"])
def test_a_system_that_allows_no_more_threads(threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start, started = threading.Thread.start, list[threading.Thread]()

    def limited(self: threading.Thread) -> None:
        if len(started) == threads:
            raise RuntimeError("can't start new thread")
        started.append(self)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(TooManyThreadsError, match=f"as there are actors: {threads} could be started"):
        run_one("layout-lease-answered", "threads", tmp_path / "trace")
    assert not any(thread.is_alive() for thread in started)
    assert not pykka.ActorRegistry.get_all()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("trace", "why"), [("nowhere/trace", "No such file or directory"), ("/dev/full", "No space left on device")]
)
def test_a_trace_that_cannot_be_written(engine: str, trace: str, why: str, tmp_path: Path) -> None:
    result = run_one("layout-lease-answered", engine, tmp_path / trace)
    assert why in result.not_kept
    assert result.verdict in (Verdict.HOLDS, Verdict.VIOLATED)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_disk_that_becomes_full(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append = TraceFile.append

    def fail(self: TraceFile, payload: bytes) -> None:
        if self.arrivals == 30:
            monkeypatch.setattr(TraceWriter, "append", full)
        append(self, payload)
        monkeypatch.undo() if self.arrivals is None else None

    def full(_self: TraceWriter, _payload: bytes) -> None:
        raise TraceError("planted")

    monkeypatch.setattr(TraceFile, "append", fail)
    result = run_one("layout-lease-answered", engine, tmp_path / "trace")
    assert result.not_kept == "planted; what was written of this run replays"
    assert result.verdict in (Verdict.HOLDS, Verdict.VIOLATED)
    assert (replay(tmp_path / "trace").verdict, replay(tmp_path / "trace").arrivals) == (Verdict.UNDETERMINED, 30)


def test_a_replay_that_diverges(tmp_path: Path) -> None:
    run_one("layout-lease-answered", "stepped", tmp_path / "trace")
    reader = TraceReader(tmp_path / "trace")
    payloads = [payload for _, payload in reader]
    with TraceWriter(tmp_path / "other", reader.header) as writer:
        for payload in payloads[:10] + payloads[11:]:
            writer.append(payload)
    result = replay(tmp_path / "other")
    assert result.verdict is Verdict.DIVERGED
    assert "arrival 11" in result.reason
