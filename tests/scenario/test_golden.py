"""What every shipped scenario does under every policy and preset: verdict, rules violated, each call's outcome.

The tables are ``tests/data/golden/P0.json`` and so on, one a policy. ``python tests/scenario/test_golden.py`` shows how
this tree differs from them, and with ``--write`` makes them anew: read the difference before you commit it.
"""

import difflib
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from longpin.actors.policies import POLICIES
from longpin.config.loader import load_scenario, shipped_scenarios
from longpin.runner.result import CallResult
from longpin.runner.run import Settings, run

TABLES = Path(__file__).parents[1] / "data" / "golden"
SHIPPED = sorted(shipped_scenarios())
CHOICES = [f"{name}:{preset}" for name, policy in POLICIES.items() for preset in policy.presets]

Table = dict[str, dict[str, Any]]
"""What each scenario does, by scenario and by preset."""


@cache
def recorded(policy: str) -> Table:
    table: Table = json.loads((TABLES / f"{policy}.json").read_text(encoding="utf-8"))
    return table


def _shown(call: CallResult) -> str:
    result = "never returns" if call.ret is None else call.errno or str(call.ret)
    return f"{call.process} {call.line}: {call.call} -> {'blocks, ' if call.blocked else ''}{result}"


@cache
def outcome(name: str, choice: str) -> dict[str, Any]:
    """Run a shipped scenario under a policy, first in, first out."""
    scenario = load_scenario(name)
    policy, preset = choice.split(":")
    own = (policy, preset) == (scenario.policy.name, scenario.policy.preset)
    changes: dict[str, Any] = {} if own else {"policy": policy, "preset": preset, "parameters": {}}
    result = run(scenario, Settings.of(scenario, **changes))
    return {
        "verdict": str(result.verdict),
        "violated": sorted({violation.rule for violation in result.violations}),
        "calls": [_shown(call) for call in result.calls],
    }


def outcomes(policy: str) -> Table:
    """Return the table of a policy as this tree has it."""
    presets = POLICIES[policy].presets
    return {name: {preset: outcome(name, f"{policy}:{preset}") for preset in presets} for name in SHIPPED}


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("name", SHIPPED)
def test_a_scenario_does_what_the_table_says(name: str, choice: str) -> None:
    policy, preset = choice.split(":")
    assert outcome(name, choice) == recorded(policy)[name][preset]


def test_the_tables_have_no_scenario_or_policy_that_is_gone() -> None:
    assert sorted(path.stem for path in TABLES.iterdir()) == sorted(POLICIES)
    for policy in POLICIES:
        assert list(recorded(policy)) == SHIPPED
        assert all(list(presets) == list(POLICIES[policy].presets) for presets in recorded(policy).values())


@pytest.mark.parametrize("name", SHIPPED)
def test_a_scenario_meets_its_expectations_under_every_policy(name: str) -> None:
    """Lines say what each policy does; where rules O1 and O3 are the point they are violated, O7 never is."""
    for choice in CHOICES:
        assert "O7" not in outcome(name, choice)["violated"], choice


def main(arguments: list[str]) -> int:
    """Show how this tree differs from the tables, or write them."""
    lines: list[str] = []
    for policy in POLICIES:
        table = TABLES / f"{policy}.json"
        new = json.dumps(outcomes(policy), indent=1, ensure_ascii=False) + "\n"
        old = table.read_text(encoding="utf-8") if table.exists() else ""
        if "--write" in arguments:
            table.write_text(new, encoding="utf-8")
        else:
            lines += difflib.unified_diff(old.splitlines(), new.splitlines(), table.name, "this tree", lineterm="")
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
