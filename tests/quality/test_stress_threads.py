"""Sampling by the operating system: what fails on threads replays, and what is counted is what was recorded.

``pytest -m heavy tests/quality/test_stress_threads.py`` makes some hundred runs of every scenario.
"""

import re
from pathlib import Path

import pytest

from longpin.config.loader import load_scenario, shipped_scenarios
from longpin.messages.envelope import Envelope
from longpin.runner.engines.engine import InternalError
from longpin.runner.exploration import PropertyViolation, explore
from longpin.runner.exploration import replay as carry_out
from longpin.runner.result import Verdict
from longpin.runner.run import replay
from longpin.runner.sampling import CampaignReason, threads
from longpin.runner.sampling.tally import Batch
from longpin.runner.sampling.threads import THREADS, Recorder, stress_threads
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject


@pytest.mark.parametrize("name", ["stray-dma", "truncate-waits"])
def test_a_failure_on_threads_replays(name: str, tmp_path: Path) -> None:
    scenario = load_scenario(name)
    settings = Settings.of(scenario, timers="lazy")
    found = stress_threads(scenario, settings, seed=7)
    (failure,) = found.failures
    assert (found.verdict, found.reason, failure.strategy, failure.run) == (
        Verdict.VIOLATED,
        CampaignReason.VIOLATED,
        THREADS,
        1,
    )
    path = tmp_path / "failure.trace"
    path.write_bytes(failure.trace)
    result = replay(path)
    assert result.verdict is Verdict.VIOLATED
    assert (result.violations[0].rule, result.violations[0].site) == (failure.broken.rule, failure.broken.site)
    assert (result.engine, result.seed) == ("threads", failure.seed)
    subject = Subject(scenario, settings)
    with pytest.raises(PropertyViolation, match=re.escape(failure.what)):
        subject.check(carry_out(subject.build, failure.decisions, racy=True, always=subject.always))


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("layout-lease-answered", 10),
        *[pytest.param(name, 300, marks=pytest.mark.heavy) for name in shipped_scenarios()],
    ],
)
def test_threads_show_no_more_traces_than_there_are(name: str, runs: int) -> None:
    scenario = load_scenario(name)
    settings = Settings.of(scenario)
    found = stress_threads(scenario, settings, runs=runs, first_failure=False)
    executions = explore(Subject(scenario, settings).build, method="dpor", footprints=False, racy=True).executions
    assert found.runs == runs
    assert found.distinct <= executions
    assert found.endless == 0
    assert found.counted + found.by_strategy[0].broken >= runs


def test_runs_on_threads_are_shared_by_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "HEAD_START", 0.0)
    here: list[int] = []
    make_runs = Recorder.make_runs

    def watched(self: Recorder, first: int, count: int, until: float | None, *, first_failure: bool) -> Batch:
        here.append(count)
        return make_runs(self, first, count, until, first_failure=first_failure)

    monkeypatch.setattr(Recorder, "make_runs", watched)
    scenario = load_scenario("truncate-waits")
    found = stress_threads(scenario, Settings.of(scenario), seed=3, runs=8, first_failure=False, workers=2)
    assert (found.runs, found.by_strategy[0].broken, found.failures[0].seed) == (8, 8, 3)
    assert found.reason is CampaignReason.RUNS
    assert sum(here) < 8, "others made some"
    path = tmp_path / "failure.trace"
    path.write_bytes(found.failures[0].trace)
    assert replay(path).verdict is Verdict.VIOLATED
    with pytest.raises(ValueError, match="at least 1"):
        stress_threads(scenario, Settings.of(scenario), workers=0)


def test_an_arrival_the_stepped_engine_does_not_show_is_noticed() -> None:
    scenario = load_scenario("pin-refused")
    recorder = Recorder(Subject(scenario, Settings.of(scenario, engine="threads")))
    log, quiet = recorder.record(0)
    assert quiet
    assert recorder.follow(log, 0, quiet=True).arrived == log
    with pytest.raises(InternalError, match="did something that the stepped engine does not do"):
        recorder.follow(log[:-1], 0, quiet=True)
    changed = [*log[:-1], Envelope(log[-1].src, log[-1].dst, log[0].body)]
    with pytest.raises(InternalError, match="did something that the stepped engine does not do"):
        recorder.follow(changed, 0, quiet=True)
