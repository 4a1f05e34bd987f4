"""Ordinary leases are what they are on Linux under every policy, where no layout is leased."""

from dataclasses import replace
from pathlib import Path

import pytest

from longpin.actors.policies import POLICIES
from longpin.actors.policies.proposal import Proposal
from longpin.runner.conform.check import Agreement, check_one
from longpin.runner.conform.emulated import PROPOSAL, EmulatedRunner
from longpin.runner.conform.program import load_programs

CHOICES = [(name, preset) for name, policy in POLICIES.items() for preset in policy.presets]
ASK_FOR_LAYOUTS = {"alone/F_LAYOUT-and-other-lock-types", "alone/bad-type"}
"""Programs that find the numbers of layout leases invalid, which they are not everywhere."""


def differ(recorded: Path, name: str, preset: str, every: int) -> list[str]:
    """Return the programs about which a policy, on the kernel that was recorded, and that kernel differ."""
    proposal = replace(Proposal.make(name, preset, {}), kernel=PROPOSAL.kernel, generation=PROPOSAL.generation)
    first = CHOICES.index((name, preset)) % every
    runner = EmulatedRunner("stepped", proposal)
    programs = [program for program in load_programs(recorded) if program.id not in ASK_FOR_LAYOUTS]
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
