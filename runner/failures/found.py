"""A failure: a scenario, how it was run, what broke, and the order of arrivals that shows it."""

import dataclasses
import hashlib
import json

from longpin.config.schema import Scenario
from longpin.messages.envelope import Address
from longpin.messages.trace import text_sha256
from longpin.runner.exploration.result import BrokenRule
from longpin.runner.settings import Settings
from longpin.runner.subject import Subject


@dataclasses.dataclass(frozen=True, slots=True)
class FoundFailure:
    """A schedule of a scenario that breaks a rule."""

    scenario: Scenario
    settings: Settings
    """Policy, preset, parameters and timers; the seed is that of the run, and of the actors' random numbers."""
    broken: BrokenRule
    decisions: tuple[Address, ...]
    """Whose oldest message arrives, arrival by arrival, up to the one after which the rule does not hold."""
    by: str
    """Who found it: a strategy and its run, or ``explore`` and its method."""

    @property
    def seed(self) -> int:
        """Return the seed it was found with."""
        return self.settings.seed

    def subject(self) -> Subject:
        """Return the scenario as the searches take it."""
        return Subject(self.scenario, self.settings)


def configuration_hash(scenario: Scenario, settings: Settings) -> str:
    """Return what a schedule is a schedule of: a SHA-256 over scenario, policy, preset, parameters and timers, in hex.

    Of a policy in a file the text of the file is a part of it.

    Every parameter of the policy counts, also those left at the preset's value: a preset that changes is another
    configuration.
    """
    parameters = settings.make_proposal().parameters
    what = [text_sha256(scenario.text), settings.policy, settings.preset, parameters, settings.timers]
    if settings.source is not None:
        what.append(settings.source.sha256)
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
