"""Ordinary leases are what they are on Linux under every policy, where no layout is leased."""

import json
from pathlib import Path
from typing import Any

import pytest

from longpin.actors.policies import POLICIES
from longpin.runner.conform.check import Agreement, check_one
from longpin.runner.conform.emulated import EmulatedRunner, make_proposal
from longpin.runner.conform.ordinary import asks_for_layout
from longpin.runner.conform.program import load_programs, parse_program

CHOICES = [(name, preset) for name, policy in POLICIES.items() for preset in policy.presets]


def differ(recorded: Path, name: str, preset: str, every: int) -> list[str]:
    """Return the programs about which a policy, on the kernel that was recorded, and that kernel differ."""
    proposal = make_proposal(name, preset, {})
    first = CHOICES.index((name, preset)) % every
    runner = EmulatedRunner("stepped", proposal)
    programs = [program for program in load_programs(recorded) if not asks_for_layout(program, proposal.policy)]
    verdicts = [check_one(program, None, runner) for program in programs[first::every]]
    assert verdicts
    return [verdict.program.id for verdict in verdicts if verdict.agreement is not Agreement.AGREES]


@pytest.mark.parametrize(("name", "preset"), CHOICES)
def test_ordinary_leases_are_untouched(recorded: dict[str, Path], name: str, preset: str) -> None:
    """By one program in ten, others for each policy."""
    assert not differ(recorded["kernel_leases"], name, preset, 10)


@pytest.mark.heavy
@pytest.mark.parametrize("data", ["kernel_leases", "kernel_leases_random"])
@pytest.mark.parametrize(("name", "preset"), CHOICES)
def test_all_recorded_leases_are_untouched(recorded: dict[str, Path], name: str, preset: str, data: str) -> None:
    assert not differ(recorded[data], name, preset, 1)


@pytest.mark.parametrize(
    ("op", "policy", "asks"),
    [
        (["A", "setlease", {"fd": "x", "type": 16}], "P5", True),
        (["A", "setlease", {"fd": "x", "type": 16}], "P4", False),
        (["A", "setlease", {"fd": "x", "type": -1}], "P6", True),
        (["A", "setlease", {"fd": "x", "type": "RD"}], "P6", False),
        (["A", "map", {"page": 8, "pages": 1, "prot": "rw", "flags": "MAP_SHARED_VALIDATE|MAP_UNKNOWN"}], "P4", True),
        (["A", "map", {"page": 8, "pages": 1, "prot": "rw", "flags": "MAP_SHARED_VALIDATE|MAP_UNKNOWN"}], "P5", False),
        (["A", "map", {"page": 8, "pages": 1, "prot": "rw", "flags": "MAP_SHARED_VALIDATE"}], "P4", False),
    ],
)
def test_what_asks_for_a_layout_depends_on_the_policy(op: list[Any], policy: str, asks: bool) -> None:
    line = json.dumps({"program": [["A", "open", {"path": "f", "flags": "O_RDWR", "as": "x"}], op]})
    assert asks_for_layout(parse_program(line), make_proposal(policy, "intended", {}).policy) is asks
