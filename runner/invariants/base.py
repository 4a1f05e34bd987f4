"""What every rule is: an observer that collects violations."""

from typing import ClassVar

from longpin.actors.policies.base import Policy
from longpin.messages.envelope import Envelope
from longpin.runner.chronicle import Chronicle
from longpin.runner.result import Violation
from longpin.runner.stepped import SteppedEngine


class Invariant:
    """One rule over one run."""

    rule: ClassVar[str]
    """Its name in the specification."""
    summary: ClassVar[str]
    source: ClassVar[str]

    def __init__(self, engine: SteppedEngine, chronicle: Chronicle, policy: Policy, preset: str) -> None:
        self.engine = engine
        self.chronicle = chronicle
        self.policy = policy
        self.preset = preset
        self.violations: list[Violation] = []

    def arrived(self, number: int, envelope: Envelope) -> None:
        """Look at an arrival after it was handled and entered in the chronicle."""

    def quiet(self) -> None:
        """Look at a world in which nothing can happen any more."""

    def violate(self, arrival: int, detail: str) -> None:
        """Note a violation."""
        self.violations.append(Violation(self.rule, arrival, detail))
