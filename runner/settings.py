"""How to run a scenario: everything that is not in it."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from longpin.actors.parameters import ParameterValue
from longpin.actors.policies.proposal import Proposal, kernel_parameters
from longpin.config.problems import ScenarioError
from longpin.config.schema import Scenario
from longpin.runner.own_policy.source import PolicySource, register


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
    source: PolicySource | None = None
    """The file of the policy; None: it is one of longpin's."""

    @classmethod
    def of(cls, scenario: Scenario, **changes: Any) -> "Settings":
        """Return the scenario's own policy on its machine's kernel, with ``changes``.

        Of another policy or preset the scenario sets nothing, nor its kernel: a name means what it says.

        Raises:
            ScenarioError: no policy is given, and that of the scenario is a class in a file, which it cannot load.

        """
        choice = scenario.policy
        if choice.problem is not None and "policy" not in changes:
            raise ScenarioError([choice.problem])
        own: dict[str, Any] = {"policy": choice.name, "preset": choice.preset, "parameters": dict(choice.parameters)}
        if "policy" in changes or "preset" in changes:
            own["parameters"] = {}
        else:
            own["parameters"] = dict(scenario.machine.kernel) | own["parameters"]
        return cls(**(own | changes))

    def on_kernel(self, kernel: Mapping[str, ParameterValue]) -> "Settings":
        """Return the same policy on another kernel, that :func:`~longpin.actors.policies.proposal.read_kernel` read."""
        its = {name: value for name, value in self.parameters.items() if name not in kernel_parameters()}
        return dataclasses.replace(self, parameters=its | dict(kernel))

    @property
    def policy_name(self) -> str:
        """Return what the policy is called: its name, its preset, and all parameters that differ from the preset's."""
        return self.make_proposal().name

    @property
    def policy_sha256(self) -> str:
        """Return the SHA-256 of the file of the policy, 64 hexadecimal digits; empty if it is one of longpin's."""
        return "" if self.source is None else self.source.sha256

    def make_proposal(self) -> Proposal:
        """Return the policy on its kernel. If it is a class in a file, its name means this text from then on.

        Raises:
            PolicyError: that text is wrong.

        """
        if self.source is not None:
            register(self.source)
        return Proposal.make(self.policy, self.preset, self.parameters)
