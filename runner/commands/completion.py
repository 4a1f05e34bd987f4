"""What a shell offers after TAB where click does not know it: names of scenarios and hazards, policies and presets."""

import click
from click.shell_completion import CompletionItem


def complete_scenario(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the names of what is shipped, and files."""
    from longpin.config.hazard import shipped_hazards
    from longpin.config.loader import shipped_scenarios

    names = [name for name in (*shipped_scenarios(), *shipped_hazards()) if name.startswith(incomplete)]
    return [*map(CompletionItem, names), CompletionItem(incomplete, type="file")]


def complete_policy(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the policies, those with a preset once their name is written, and files: one of one's own is in a file."""
    from longpin.actors.policies import POLICIES

    names = [*POLICIES, *(f"{name}:{preset}" for name, policy in POLICIES.items() for preset in policy.presets)]
    return [
        *(CompletionItem(name) for name in names if name.startswith(incomplete)),
        CompletionItem(incomplete, type="file"),
    ]
