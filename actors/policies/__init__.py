"""The proposals, one file each, and how a run names one."""

import re
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

OWN: dict[str, type[Policy]] = {}
"""The policies that were given as a class in a file, by ``FILE.py:CLASS``, entered by who loads them."""

DEFAULT_PRESET = "intended"

_IN_A_FILE = re.compile(r"(?P<name>.+?\.py:[^:,]+)(?::(?P<preset>[^,]*))?(?P<rest>,.*)?", re.DOTALL)
"""The first ``.py:`` ends the file, in whose name anything else may stand."""


def name_in_file(text: str) -> str:
    """Return ``FILE.py:CLASS`` if the policy that a text names is a class in a file, and otherwise nothing."""
    match = _IN_A_FILE.match(text)
    return "" if match is None else match["name"]


def name_in_expectations(text: str) -> str:
    """Return how expectations name a policy: a class in a file without the folder of the file, others as they are."""
    folder, slash, _ = name_in_file(text).rpartition("/")
    return text.removeprefix(folder + slash)


def split_name(text: str) -> tuple[str, str | None, list[str]]:
    """Return the name, the preset if there is one, and the rest of ``NAME[:preset][,PARAMETER=VALUE...]``, at commas.

    NAME is ``P5``, or ``FILE.py:CLASS``.
    """
    if match := _IN_A_FILE.fullmatch(text):
        return match["name"], match["preset"], match["rest"].split(",")[1:] if match["rest"] else []
    head, *rest = text.split(",")
    name, colon, preset = head.partition(":")
    return name.strip(), preset.strip() if colon else None, rest


def find_policy(text: str) -> tuple[type[Policy], str]:
    """Read ``NAME[:preset]``, where NAME is a policy's name or alias in any case, or ``FILE.py:CLASS``.

    Nothing is loaded: a class in a file is found if it was given before.

    Raises:
        ValueError: one sentence that says what was expected.

    """
    word, preset, rest = split_name(text)
    policy = OWN.get(word)
    for its in POLICIES.values():
        if not rest and word.casefold() in (its.name.casefold(), its.alias.casefold()):
            policy = its
    if policy is None:
        known = ", ".join(f"{policy.name} ({policy.alias})" for policy in POLICIES.values())
        given = "; a class in a file is given with --policy, and nowhere else" if name_in_file(text) else ""
        raise ValueError(f"expected a policy, one of {known}{given}, found {word!r}")
    chosen = DEFAULT_PRESET if preset is None else preset.casefold()
    if chosen not in policy.presets:
        raise ValueError(f"expected a preset of {policy.name} ({', '.join(policy.presets)}), found {preset!r}")
    return policy, chosen


def constants(parameter: str = "") -> dict[str, int]:
    """Return the names that policies add to those a program may use, all or those of one call's parameter."""
    names: dict[str, int] = {}
    for policy in (*POLICIES.values(), *OWN.values()):
        for where, added in policy.constants.items():
            if parameter in ("", where):
                names |= added
    return names
