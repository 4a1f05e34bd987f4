"""What threads did, replay shows: the recorded order, run again on the stepped engine, is the same run.

``run`` judges a run on threads by replaying its trace, so here the comparison is with what the live actors themselves
noted: the calls each process made and what they returned, and the state of files, leases and memory at the end.

``pytest -m heavy tests/quality/test_threads_replay.py`` records each shipped scenario 1,000 times.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from shipped import some_shipped

from longpin.actors.base import Actor
from longpin.actors.fs.file import OpenFileDescription
from longpin.actors.fs.inode import Inode
from longpin.actors.mm.mm import Mm
from longpin.actors.mm.pmem import Pmem
from longpin.actors.process.process import Process
from longpin.config.loader import load_scenario, shipped_scenarios
from longpin.messages.codec import ArrivalHash, Encoder
from longpin.messages.envelope import Envelope
from longpin.messages.trace import TraceReader
from longpin.runner import run as runner
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.engines.threads import ThreadsEngine
from longpin.runner.engines.world import Blueprint
from longpin.runner.oracles.replay import Replay
from longpin.runner.result import Result, Verdict
from longpin.runner.run import Settings, replay, run

FEW, THOUSAND = 10, 1000


def state_of(actor: Actor) -> Any:
    """Return what an actor has come to, without anything that belongs to an engine."""
    match actor:
        case Process():
            calls = [(call.op.text, call.ret, call.errno, call.slept, call.returned) for call in actor.calls()]
            return calls, actor.exiting, actor.dead, actor.fds, actor.leader.variables, actor.mm
        case Mm():
            return actor.space.mappings, actor.space.page_table, actor.pinned_vm
        case OpenFileDescription():
            return actor.references, actor.released, actor.position, vars(actor.owner)
        case Inode():
            return actor.view()
        case Pmem():
            return actor.owners.runs, actor.generations.runs, actor.contents, actor.pins
        case _:
            return type(actor).__name__


def states(actors: Iterable[Actor]) -> dict[str, Any]:
    return {actor.address: state_of(actor) for actor in actors}


class Witness(ThreadsEngine):
    """Looks at the live actors when the world is quiet, and hashes the arrivals on its own."""

    seen: dict[str, Any]
    hash: str

    def __init__(self, *args: Any, **options: Any) -> None:
        self.live: list[Actor] = []
        super().__init__(*args, **options)

    def start_loop(self, actor: Actor, loop: Callable[[], None]) -> None:
        self.live.append(actor)
        super().start_loop(actor, loop)

    def run(self, deadline: float | None = None, most: int | None = None) -> bool:
        hashed, encoder, record = ArrivalHash(), Encoder(), self.record

        def also(number: int, envelope: Envelope) -> None:
            hashed.update(encoder.encode(number, envelope))
            record(number, envelope)

        self.record = also
        quiet = super().run(deadline, most)
        Witness.seen = states(self.live)
        Witness.hash = hashed.hexdigest()
        return quiet


def replayed_states(trace: Path, settings: Settings, name: str) -> dict[str, Any]:
    """Follow a trace and return what the actors have come to."""
    scenario = load_scenario(name)
    engine = SteppedEngine(Replay((payload for _, payload in TraceReader(trace)), settings.seed), racy=True)
    Blueprint(scenario, settings.make_proposal()).build(engine)
    assert engine.run()
    return states(engine.actors.values())


def record_and_compare(name: str, runs: int, trace: Path, monkeypatch: pytest.MonkeyPatch) -> list[Result]:
    """Record a scenario on threads ``runs`` times, each time comparing live run and replay."""
    monkeypatch.setattr(runner, "ThreadsEngine", Witness)
    scenario = load_scenario(name)
    settings = Settings.of(scenario, engine="threads", time_scale=0.0001)
    results = []
    for _ in range(runs):
        live = run(scenario, settings, trace)
        reader = TraceReader(trace)
        payloads = list(reader)
        assert reader.header.engine == "threads"
        assert reader.complete
        again = replay(trace)
        assert again == live
        assert again.hash == Witness.hash
        assert again.arrivals == len(payloads)
        shows = load_scenario(name).shows  # which one run need not do
        assert again.verdict in (Verdict.HOLDS, Verdict.VIOLATED) or again.unreached or shows
        assert replayed_states(trace, settings, name) == Witness.seen
        results.append(live)
    return results


@pytest.mark.parametrize("name", some_shipped(3))
def test_replay_shows_what_the_threads_did(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = record_and_compare(name, FEW, tmp_path / "trace", monkeypatch)
    assert all(result.calls for result in results)


def test_threads_run_in_more_than_one_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes: set[str] = set()
    while len(hashes) < 2:  # a scheduler that never varied would run into the time limit
        hashes |= {result.hash for result in record_and_compare("lease-shared", 5, tmp_path / "trace", monkeypatch)}
    assert len(hashes) >= 2


@pytest.mark.heavy
@pytest.mark.parametrize("name", shipped_scenarios())
def test_a_thousand_recorded_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = record_and_compare(name, THOUSAND, tmp_path / "trace", monkeypatch)
    assert len({result.hash for result in results}) >= 2
