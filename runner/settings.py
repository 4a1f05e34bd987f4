"""How to run a scenario: everything that is not in it."""

import dataclasses
from typing import Any, Literal

from longpin.actors.policies import make_policy, policy_name
from longpin.actors.policies.base import Policy
from longpin.config.schema import Scenario


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """How to run a scenario."""

    policy: str
    """The policy's name in the specification."""
    preset: str
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)
    engine: Literal["stepped", "threads"] = "stepped"
    oracle: str = "fifo"
    """Who chooses the order on the stepped engine."""
    seed: int = 0
    timers: Literal["lazy", "racy"] = "lazy"
    time_scale: float = 0.001
    """On threads, the real seconds a virtual second takes."""

    @classmethod
    def of(cls, scenario: Scenario, **changes: Any) -> "Settings":
        """Return the scenario's own policy, with ``changes``; of another policy or preset it sets no parameter."""
        choice = scenario.policy
        own: dict[str, Any] = {"policy": choice.name, "preset": choice.preset, "parameters": dict(choice.parameters)}
        if "policy" in changes or "preset" in changes:
            own["parameters"] = {}
        return cls(**(own | changes))

    @property
    def policy_name(self) -> str:
        """Return what the policy is called: its name, its preset, and all parameters that differ from the preset's."""
        return policy_name(self.make_policy(), self.preset)

    def make_policy(self) -> Policy:
        """Return the policy."""
        return make_policy(self.policy, self.preset, self.parameters)
