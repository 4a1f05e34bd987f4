"""Races against the kernel of this machine: each of its outcomes is one of the model's, and mistakes are found."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from conformance.conftest import DATA

from longpin.actors.constants import SIGIO
from longpin.actors.conversation import Conversation
from longpin.actors.process.pending import PendingSignals, Siginfo
from longpin.actors.process.signal_mask import Frame
from longpin.actors.process.thread import Thread
from longpin.config.loader import load_scenario
from longpin.runner.commands import cli
from longpin.runner.machine.processes import HostError
from longpin.runner.races.check import RaceEffort, RacingKernel, compare
from longpin.runner.races.free import FreeKernel
from longpin.runner.races.hosted import HostedKernel

RACES = sorted([*DATA.glob("races/*.toml"), *DATA.glob("cases/race-*.toml")])
LONG = {"write-lease-on-read-only", "two-holders-one-writer", "signals-while-breaking"}
"""Those with the most schedules."""


@pytest.fixture(scope="module")
def kernel() -> Iterator[FreeKernel]:
    try:
        with FreeKernel() as found:
            yield found
    except HostError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(
            path, id=path.stem, marks=pytest.mark.heavy if path.stem in LONG or path.parent.name == "cases" else []
        )
        for path in RACES
    ],
)
def test_a_race_that_the_kernel_has_shown(kernel: FreeKernel, path: Path) -> None:
    compared = compare(kernel, load_scenario(str(path)), str(path), RaceEffort(200, 6.0))
    assert compared.free.runs >= 150
    assert compared.free.outcomes
    assert not compared.outside
    if compared.undetermined:
        pytest.skip(f"{len(compared.undetermined)} outcomes were not found in the time allowed")


@pytest.mark.parametrize("name", ["signal-between-calls", "two-handlers"])
def test_a_race_on_the_host_engine(name: str) -> None:
    path = DATA / "races" / f"{name}.toml"
    try:
        compared = compare(HostedKernel("asked for"), load_scenario(str(path)), str(path), RaceEffort(5, 5.0))
    except HostError as error:
        pytest.skip(str(error))
    assert compared.free.outcomes or compared.free.lost
    assert not compared.outside
    assert not compared.undetermined


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize(("count", "seen"), [(3, 4), pytest.param(20, 30, marks=pytest.mark.heavy)])
def test_random_scenarios(count: int, seen: int) -> None:
    """The whole command, on programs that nobody has looked at."""
    command = ["conform", "--races", "--random", str(count), "--seed", "4", "--runs", "100", "--for", "10", "--json"]
    done = CliRunner().invoke(cli.main, command)
    found = json.loads(done.stdout)["races"]
    assert found["outside"] == 0
    assert found["seen"] > seen
    assert found["seen"] <= found["explored"] + found["undetermined"]
    assert found["undetermined"] < found["seen"] / 4  # the machine may have much to do
    lost = any(one["lost"] for one in found["scenarios"])
    assert done.exit_code == (3 if found["undetermined"] or lost else 0)


def differ(kernel: RacingKernel, name: str | Path, runs: int) -> list[str]:
    """Return what the kernel does with a scenario that the model does not allow."""
    path = str(DATA / "races" / f"{name}.toml" if isinstance(name, str) else name)
    return [outcome.describe() for outcome in compare(kernel, load_scenario(path), path, RaceEffort(runs, 20)).outside]


def test_a_model_without_a_point_between_calls_is_found_out(
    kernel: FreeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at_once(thread: Thread, _call: str) -> Conversation[None]:
        frames: list[Frame] | None = None
        while frames is None or frames:
            frames = yield from thread.get_signals()
            yield from thread.run_handlers(frames)

    assert not differ(kernel, "signal-between-calls", 500)
    monkeypatch.setattr(Thread, "in_user_space", at_once)
    assert any("EBADF" in outcome for outcome in differ(kernel, "signal-between-calls", 2000))


@pytest.mark.heavy
def test_a_model_that_takes_SIGIO_first_is_found_out(  # noqa: N802
    kernel: FreeKernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    take = PendingSignals.take

    def sigio_first(pending: PendingSignals, blocked: frozenset[int]) -> Siginfo | None:
        found = [signal for signal in pending.signals if signal.signo == SIGIO and SIGIO not in blocked]
        return take(pending, frozenset(range(65)) - {SIGIO} if found else blocked)

    assert not differ(kernel, "two-handlers", 20)
    monkeypatch.setattr(PendingSignals, "take", sigio_first)
    assert len(differ(kernel, "two-handlers", 20)) == 1
    scenario, small = str(DATA / "races" / "two-handlers.toml"), tmp_path / "small.toml"
    command = ["conform", "--races", scenario, "--runs", "20", "--shrink", "20", "--difference", str(small)]
    told = CliRunner().invoke(cli.main, command)
    assert told.exit_code == 1
    assert told.stdout.splitlines()[-1] == f"longpin conform --races {small} --runs 20 --seed 0"
    assert len(small.read_text()) < len(Path(scenario).read_text())
    assert differ(kernel, small, 20)
