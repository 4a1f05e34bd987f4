"""What every shipped scenario does under every policy and preset: verdict, rules violated, each call's outcome.

The table is ``tests/data/golden.json``. ``python tests/scenario/test_golden.py`` shows how this tree differs from it,
and with ``--write`` makes it the new table: read the difference before you commit it.
"""

import difflib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from longpin.actors.policies import POLICIES
from longpin.config.loader import load_scenario, shipped_scenarios
from longpin.runner.result import CallResult
from longpin.runner.run import Settings, run

TABLE = Path(__file__).parents[1] / "data" / "golden.json"
SHIPPED = sorted(shipped_scenarios())
CHOICES = [f"{name}:{preset}" for name, policy in POLICIES.items() for preset in policy.presets]


def _shown(call: CallResult) -> str:
    result = "never returns" if call.ret is None else call.errno or str(call.ret)
    return f"{call.process} {call.line}: {call.call} -> {'blocks, ' if call.blocked else ''}{result}"


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


def outcomes() -> dict[str, dict[str, Any]]:
    """Return the whole table as this tree has it."""
    return {name: {choice: outcome(name, choice) for choice in CHOICES} for name in SHIPPED}


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("name", SHIPPED)
def test_a_scenario_does_what_the_table_says(name: str, choice: str) -> None:
    recorded = json.loads(TABLE.read_text(encoding="utf-8"))
    assert outcome(name, choice) == recorded[name][choice]


def test_the_table_has_no_scenario_or_policy_that_is_gone() -> None:
    recorded = json.loads(TABLE.read_text(encoding="utf-8"))
    assert list(recorded) == SHIPPED
    assert all(list(choices) == CHOICES for choices in recorded.values())


@pytest.mark.parametrize("name", SHIPPED)
def test_a_scenario_meets_its_expectations_under_every_policy(name: str) -> None:
    """Lines say what each policy does; where rules O1 and O3 are the point they are violated, O7 never is."""
    for choice in CHOICES:
        assert "O7" not in outcome(name, choice)["violated"], choice


def main(arguments: list[str]) -> int:
    """Show how this tree differs from the table, or write the table."""
    new = json.dumps(outcomes(), indent=1, ensure_ascii=False) + "\n"
    old = TABLE.read_text(encoding="utf-8") if TABLE.exists() else ""
    if "--write" in arguments:
        TABLE.write_text(new, encoding="utf-8")
        return 0
    difference = difflib.unified_diff(old.splitlines(), new.splitlines(), "golden.json", "this tree", lineterm="")
    lines = list(difference)
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
