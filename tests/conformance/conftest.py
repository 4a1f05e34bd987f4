"""What the conformance tests share: the host, where it can be used."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from longpin.runner.conform.host import HostRunner

DATA = Path(__file__).parents[1] / "data"
RECORDED = {"kernel_leases": 169, "kernel_leases_random": 84, "kernel_signals": 532}
"""The files of recorded programs, and how many each has."""


@pytest.fixture(scope="module")
def host() -> Iterator[HostRunner]:
    with HostRunner() as runner:
        if runner.abilities.leases:
            pytest.skip(runner.abilities.leases)
        yield runner


@pytest.fixture
def recorded() -> dict[str, Path]:
    return {name: DATA / f"{name}.jsonl" for name in RECORDED}
