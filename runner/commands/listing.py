"""``longpin list``: what there is to run, each with its source and a sentence."""

from collections.abc import Mapping, Sequence
from typing import Any

from longpin.actors.parameters import expected_value
from longpin.actors.policies import POLICIES
from longpin.actors.policies.base import Policy
from longpin.actors.policies.proposal import proposal_parameters
from longpin.config.hazard import load_hazard, shipped_hazards
from longpin.config.loader import load_scenario, shipped_scenarios
from longpin.runner.given_policy import load_policy
from longpin.runner.judging.invariants import INVARIANTS
from longpin.runner.own_policy.source import register
from longpin.runner.usage import UsageError

Entry = Mapping[str, Any]
"""``name``, ``source`` and ``summary``; a policy has ``policy_sha256``, of its file if it is a class in one, ``alias``,
``presets``, ``kernels`` and ``parameters`` besides."""


def scenarios() -> list[Entry]:
    """Return the scenarios that come with the package.

    Raises:
        ScenarioError: one of them has a mistake.

    """
    loaded = [(name, load_scenario(name)) for name in shipped_scenarios()]
    return [{"name": name, "source": scenario.source, "summary": scenario.summary} for name, scenario in loaded]


def hazards() -> list[Entry]:
    """Return the hazards: scenarios too, which ``longpin matrix`` explores under every policy."""
    loaded = [load_hazard(name).scenario for name in shipped_hazards()]
    return [{"name": scenario.name, "source": scenario.source, "summary": scenario.summary} for scenario in loaded]


def policies() -> list[Entry]:
    """Return the proposals, with the presets of each, and what ``--policy`` can set and how."""
    return [_policy(policy) for policy in POLICIES.values()]


def own_policy(name: str) -> list[Entry]:
    """Return the policy that is this class in a file, which is loaded.

    Raises:
        UsageError: it is none, or the file cannot be used.

    """
    source = load_policy(name)
    if source is None or source.name != name:
        raise UsageError("{}: ", "policy", why=f"expected FILE.py:CLASS alone, found {name!r}")
    return [_policy(register(source), source.sha256)]


def _policy(policy: type[Policy], sha256: str | None = None) -> Entry:
    return {
        "name": policy.name,
        "policy_sha256": sha256,
        "alias": policy.alias,
        "presets": list(policy.presets),
        "kernels": {preset: str(version) for preset, version in policy.kernels.items()},
        "parameters": {name: expected_value(kind) for name, kind in proposal_parameters(policy).items()},
        "source": policy.source,
        "summary": policy.summary,
    }


def rules() -> list[Entry]:
    """Return the rules a run is judged by."""
    return [{"name": rule.rule, "source": rule.source, "summary": rule.summary} for rule in INVARIANTS.values()]


LISTS = {"scenarios": scenarios, "hazards": hazards, "policies": policies, "rules": rules}
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
