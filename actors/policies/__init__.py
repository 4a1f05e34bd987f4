"""The proposals, one file each, and how a run names one."""

from longpin.actors.policies.base import Policy
from longpin.actors.policies.layout_lease_v1 import LayoutLeaseV1
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
