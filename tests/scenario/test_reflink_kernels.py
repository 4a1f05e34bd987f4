"""The scenarios about shared blocks on every kernel: what each does is measured, or read from its source [2.5]."""

import pytest

from longpin.actors.kernel.generation import Version
from longpin.config.loader import load_scenario
from longpin.runner.run import run
from longpin.runner.settings import Settings

SPINS = ["O3"]
EXPECTED = {
    "reflink-moves-data": {"5.4": [], "6.1": SPINS, "6.12": SPINS, "6.18": SPINS, "7.2": SPINS, "ideal": ["O1"]},
    "cow-under-a-pin": {"5.4": [], "6.1": [], "6.12": ["O1"], "6.18": ["O1"], "7.2": ["O1"], "ideal": ["O1"]},
    "snapshot-corrupted": {
        "5.4": [],
        "6.1": ["O1'", "O2"],
        "6.12": ["O1'", "O2"],
        "6.18": SPINS,
        "7.2": SPINS,
        "ideal": ["O1'", "O2"],
    },
}


@pytest.mark.parametrize("kernel", [str(version) for version in Version])
@pytest.mark.parametrize("name", EXPECTED)
def test_what_a_kernel_does(name: str, kernel: str) -> None:
    scenario = load_scenario(name)
    result = run(scenario, Settings.of(scenario, policy="P1", preset="intended", parameters={"kernel": kernel}))
    assert sorted({violation.rule for violation in result.violations}) == EXPECTED[name][kernel]
    assert not result.unreached or "O3" in EXPECTED[name][kernel]
