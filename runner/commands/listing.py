"""``longpin list``: what there is to run, each with its source and a sentence."""

from collections.abc import Mapping, Sequence
from typing import Any

from longpin.actors.parameters import expected_value
from longpin.actors.policies import POLICIES
from longpin.actors.policies.proposal import proposal_parameters
from longpin.config.loader import load_scenario, shipped_scenarios
from longpin.runner.judging.invariants import INVARIANTS

Entry = Mapping[str, Any]
"""``name``, ``source`` and ``summary``; a policy has ``alias``, ``presets``, ``kernels`` and ``parameters`` besides."""


def scenarios() -> list[Entry]:
    """Return the scenarios that come with the package.

    Raises:
        ScenarioError: one of them has a mistake.

    """
    loaded = [(name, load_scenario(name)) for name in shipped_scenarios()]
    return [{"name": name, "source": scenario.source, "summary": scenario.summary} for name, scenario in loaded]


def policies() -> list[Entry]:
    """Return the proposals, with the presets of each, and what ``--policy`` can set and how."""
    return [
        {
            "name": policy.name,
            "alias": policy.alias,
            "presets": list(policy.presets),
            "kernels": {preset: str(version) for preset, version in policy.kernels.items()},
            "parameters": {name: expected_value(kind) for name, kind in proposal_parameters(policy).items()},
            "source": policy.source,
            "summary": policy.summary,
        }
        for policy in POLICIES.values()
    ]


def rules() -> list[Entry]:
    """Return the rules a run is judged by."""
    return [{"name": rule.rule, "source": rule.source, "summary": rule.summary} for rule in INVARIANTS.values()]


LISTS = {"scenarios": scenarios, "policies": policies, "rules": rules}
"""What can be listed."""


def draw_table(entries: Sequence[Entry]) -> Any:
    """Return a rich table of entries."""
    from rich.table import Table
    from rich.text import Text

    from longpin.runner.report.rows import printable

    table = Table(box=None, pad_edge=False, header_style="bold")
    headings = [key for key in ("name", "alias", "presets", "parameters", "summary", "source") if key in entries[0]]
    for heading in headings:
        table.add_column(heading, no_wrap=heading in ("name", "alias"), style="dim" if heading == "source" else None)
    for entry in entries:
        values = (entry[key] for key in headings)
        cells = (value if isinstance(value, str) else ", ".join(value) for value in values)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table
