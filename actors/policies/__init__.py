"""The proposals, one file each, and how a run names one."""

from importlib import import_module
from pkgutil import iter_modules

from longpin.actors.policies.base import Policy


def _defined() -> list[type[Policy]]:
    """Return the policies of the modules in this folder, by name."""
    found = {}
    for module in iter_modules(__path__):
        if module.name != "proposal":  # it imports this package
            for value in vars(import_module(f"{__name__}.{module.name}")).values():
                if isinstance(value, type) and issubclass(value, Policy) and value.name:
                    found[value.name] = value
    return [found[name] for name in sorted(found, key=lambda name: (len(name), name))]


POLICIES: dict[str, type[Policy]] = {policy.name: policy for policy in _defined()}
"""Every policy by its name in the specification."""

DEFAULT_PRESET = "intended"


def find_policy(text: str) -> tuple[type[Policy], str]:
    """Read ``NAME[:preset]``, where NAME is a policy's name or alias in any case.

    Raises:
        ValueError: one sentence that says what was expected.

    """
    word, colon, preset = text.partition(":")
    for policy in POLICIES.values():
        if word.casefold() in (policy.name.casefold(), policy.alias.casefold()):
            chosen = preset.casefold() if colon else DEFAULT_PRESET
            if chosen not in policy.presets:
                raise ValueError(f"expected a preset of {policy.name} ({', '.join(policy.presets)}), found {preset!r}")
            return policy, chosen
    known = ", ".join(f"{policy.name} ({policy.alias})" for policy in POLICIES.values())
    raise ValueError(f"expected a policy, one of {known}, found {word!r}")


def constants(parameter: str = "") -> dict[str, int]:
    """Return the names that policies add to those a program may use, all or those of one call's parameter."""
    names: dict[str, int] = {}
    for policy in POLICIES.values():
        for where, added in policy.constants.items():
            if parameter in ("", where):
                names |= added
    return names
