"""The proposals, one file each, and how a run names one."""

from enum import Enum
from typing import Any

from longpin.actors.policies.base import Policy
from longpin.actors.policies.layout_lease_v1 import LayoutLeaseV1
from longpin.actors.policies.parameters import expected_value, fits, parameter_types, read_value, write_value
from longpin.actors.policies.reject import Reject
from longpin.actors.policies.wait import WaitForIdle

POLICIES: dict[str, type[Policy]] = {policy.name: policy for policy in (Reject, WaitForIdle, LayoutLeaseV1)}
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


def read_policy(text: str) -> tuple[type[Policy], str, dict[str, bool | int | float | str]]:
    """Read ``NAME[:preset][,PARAMETER=VALUE...]``, as ``--policy`` takes it and :func:`policy_name` writes it.

    Return the policy, the preset, and the parameters that are given.

    Raises:
        ValueError: one sentence that says what was expected.

    """
    head, *given = text.split(",")
    name, _, preset = head.partition(":")
    if "=" in preset:
        raise ValueError(f"expected parameters after a comma, as in {name},{preset.strip()}, found {head!r}")
    policy, preset = find_policy(head.strip())
    types = parameter_types(policy)
    parameters: dict[str, bool | int | float | str] = {}
    for part in given:
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals or name not in types:
            expected = f"a parameter of {policy.name} ({', '.join(types)}), as NAME=VALUE"
            raise ValueError(f"expected {expected}, found {part.strip()!r}")
        if name in parameters:
            raise ValueError(f"expected {name} once, found it twice")
        try:
            parameters[name] = read_value(value, types[name])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return policy, preset, parameters


def policy_name(policy: Policy, preset: str) -> str:
    """Return what a policy is called wherever it is named: ``P5:intended``, with all that differs from the preset.

    :func:`read_policy` reads it: ``P5:intended,evict_waits=false,lease_check=active_only``.
    """
    usual = _with(type(policy), policy.presets.get(preset.casefold(), {}))
    changed = [name for name in sorted(parameter_types(type(policy))) if getattr(policy, name) != getattr(usual, name)]
    values = [f"{name}={write_value(getattr(policy, name))}" for name in changed]
    return ",".join([f"{policy.name}:{preset.casefold()}", *values])


def make_policy(name: str, preset: str, parameters: dict[str, Any]) -> Policy:
    """Return the policy with its preset's parameters, and ``parameters`` in place of those they name.

    Enum parameters may be given as their values.

    Raises:
        ValueError: no such policy or preset, or a value that a parameter does not take.
        TypeError: no such parameter.

    """
    policy, preset = find_policy(f"{name}:{preset}")
    types = parameter_types(policy)
    for key, value in parameters.items():
        if key not in types:
            raise TypeError(f"expected a parameter of {policy.name} ({', '.join(types)}), found {key!r}")
        if not fits(value, types[key]):
            raise ValueError(f"{key}: expected {expected_value(types[key])}, found {value!r}")
    return _with(policy, policy.presets[preset] | parameters)


def _with(policy: type[Policy], chosen: dict[str, Any]) -> Policy:
    types = parameter_types(policy)
    enums = {name: kind for name, kind in types.items() if isinstance(kind, type) and issubclass(kind, Enum)}
    values: dict[str, Any] = {key: enums[key](value) if key in enums else value for key, value in chosen.items()}
    return policy(**values)
