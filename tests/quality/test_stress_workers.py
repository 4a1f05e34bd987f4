"""Sampling in several processes: the same result, a clean end, and errors in one line.

``pytest -m heavy tests/quality/test_stress_workers.py`` compares more scenarios, strategies and numbers of workers.
"""

import dataclasses
import os
import signal
import subprocess
import sys
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import pytest
from children import heed_sigint

from longpin.config.loader import load_scenario, shipped_scenarios
from longpin.runner.pool import PoolError, open_executor
from longpin.runner.sampling import Campaign, stress
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject


def subject_of(name: str) -> Subject:
    scenario = load_scenario(name)
    return Subject(scenario, Settings.of(scenario))


def campaign(name: str, executor: Executor | None = None, **options: Any) -> Campaign:
    """Return a campaign without the one thing that differs from one to the next."""
    subject = subject_of(name)
    found = stress(subject.build, check=subject.check, always=subject.always, executor=executor, **options)
    return dataclasses.replace(found, seconds=0.0)


WORTH_COMPARING: list[tuple[str, dict[str, Any]]] = [
    ("layout-lease-answered", {"runs": 600}),
    ("layout-lease-as-written", {"runs": 600, "racy": True, "seed": 9}),  # its first failure is its seventh run
    ("layout-lease-as-written", {"runs": 600, "racy": True, "first_failure": False, "seed": 11}),
    ("layout-lease-answered", {"runs": 300, "strategies": ["random", "delay"], "racy": True, "first_failure": False}),
]


@pytest.mark.parametrize("workers", [3, pytest.param(2, marks=pytest.mark.heavy)])
def test_the_result_does_not_depend_on_the_number_of_workers(workers: int) -> None:
    one = [campaign(name, **options) for name, options in WORTH_COMPARING]
    with open_executor(workers) as executor:
        for (name, options), expected in zip(WORTH_COMPARING, one, strict=True):
            assert campaign(name, executor, workers=workers, **options) == expected
    assert [len(found.failures) for found in one] == [0, 1, 1, 2]
    assert one[0].runs == 600
    assert sum(row.broken for row in one[3].by_strategy) > 1
    assert 1 < one[1].runs == one[1].failures[0].run < 600


@pytest.mark.heavy
@pytest.mark.parametrize("racy", [False, True])
@pytest.mark.parametrize("name", shipped_scenarios())
def test_no_scenario_depends_on_the_number_of_workers(name: str, racy: bool) -> None:
    all_options: tuple[dict[str, Any], ...] = (
        {"racy": racy, "runs": 2_000},
        {"racy": racy, "runs": 2_000, "first_failure": False},
    )
    for options in all_options:
        one = campaign(name, **options)
        for workers in (2, 3):
            assert campaign(name, workers=workers, **options) == one


@pytest.mark.heavy
def test_the_first_failure_is_the_first_in_the_order_of_the_runs() -> None:
    """Whatever the sizes of the batches are: each run is made alone here, and its failure compared."""
    together = campaign("layout-lease-as-written", racy=True, seed=9)
    assert together.runs > 1
    alone = {
        seed: campaign("layout-lease-as-written", racy=True, seed=seed, runs=1) for seed in range(9, 9 + together.runs)
    }
    failing = [seed for seed, found in alone.items() if found.failures]
    assert failing == [together.failures[0].seed]
    assert alone[failing[-1]].failures[0].decisions == together.failures[0].decisions
    assert len({name for found in alone.values() for name, row in _ran(found)}) == min(7, together.runs)


def _ran(found: Campaign) -> list[tuple[str, int]]:
    return [(row.name, row.runs) for row in found.by_strategy if row.runs]


def test_any_executor_will_do() -> None:
    expected = campaign("pin-refused", runs=200)
    with ThreadPoolExecutor(1) as executor:
        assert campaign("pin-refused", executor, runs=200) == expected


def test_what_cannot_be_sent_is_named() -> None:
    subject = subject_of("pin-refused")
    with pytest.raises(PoolError, match="what is to be run cannot be sent to other processes") as refused:
        stress(subject.build, check=lambda _: None, workers=2)
    assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match="0 workers"):
        stress(subject.build, workers=0)


INTERRUPTED = """
import sys
from longpin.config.loader import load_scenario
from longpin.runner.settings import Settings
from longpin.runner.sampling import campaign, stress
from longpin.runner.subject import Subject

campaign.HEAD_START = 0.0

def watch(event):
    print(event.runs, flush=True)

if __name__ == "__main__":
    scenario = load_scenario("lease-shared")
    subject = Subject(scenario, Settings.of(scenario))
    found = stress(subject.build, check=subject.check, runs=None, workers=int(sys.argv[1]), observers=[watch])
    print(found.reason.value, found.runs, found.counted, sum(row.runs for row in found.by_strategy), flush=True)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_ends_with_what_is_known(workers: int) -> None:
    command = [sys.executable, "-c", INTERRUPTED, str(workers)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0, preexec_fn=heed_sigint
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while int(process.stdout.readline()) < 1_000:
            pass
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
        # The output ends when nobody is left who could write.
        last = process.stdout.read().splitlines()[-1]
        assert process.wait() == 0
        assert process.stderr.read() == ""
        reason, *counts = last.rsplit(" ", 3)
        assert reason == "it was interrupted"
        assert int(counts[0]) > 0
        assert len(set(counts)) == 1
