"""Replays leave no file open, however they end: who calls ``replay`` in a loop has a limited number of descriptors."""

import gc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from longpin.config.loader import load_scenario
from longpin.messages.trace import TraceError, TraceReader
from longpin.runner.result import Verdict
from longpin.runner.run import replay, run
from longpin.runner.settings import Settings


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    scenario = load_scenario("pin-refused")
    run(scenario, Settings.of(scenario), tmp_path / "x.trace")
    return tmp_path / "x.trace"


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """What is closed is closed by whoever opened it, not when a cycle happens to be collected."""
    gc.disable()
    yield
    gc.enable()


def open_files() -> list[str]:
    found = []
    for descriptor in list(Path("/proc/self/fd").iterdir()):
        with suppress(OSError):  # that of the listing itself is closed
            found.append(str(descriptor.readlink()))
    return sorted(found)


def test_a_replay_that_is_stopped_closes_the_trace(trace: Path) -> None:
    before = open_files()
    for until in (0, 5, 5, None):
        result = replay(trace, until)
        assert open_files() == before
    assert result.verdict is Verdict.HOLDS


@pytest.mark.parametrize(("name", "verdict"), [("pin-refused", Verdict.HOLDS), ("truncate-waits", Verdict.VIOLATED)])
def test_one_that_is_stopped_where_nothing_can_happen_any_more_was_not_cut_off(
    name: str, verdict: Verdict, tmp_path: Path
) -> None:
    """The verdict of the whole run; one arrival less proves nothing."""
    scenario = load_scenario(name)
    path = tmp_path / "t"
    made = run(scenario, Settings.of(scenario), path)
    whole = replay(path, made.arrivals)
    assert (whole.verdict, whole.reason, whole.violations) == (verdict, made.reason, made.violations)
    assert replay(path, made.arrivals - 1).verdict is Verdict.UNDETERMINED


def test_a_replay_that_diverges_or_fails_closes_the_trace(trace: Path) -> None:
    before, whole = open_files(), trace.read_bytes()
    offsets = [offset for offset, _ in TraceReader(trace)]
    trace.write_bytes(whole[: offsets[9]] + whole[offsets[10] :])
    with pytest.raises(TraceError, match="damaged") as damaged:
        replay(trace)
    assert open_files() == before
    trace.write_bytes(whole[: offsets[9] + 1])
    assert replay(trace).verdict is Verdict.UNDETERMINED
    assert open_files() == before
    del damaged
