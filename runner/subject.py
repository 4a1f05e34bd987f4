"""A scenario as the searches take it: how its worlds are built, and what must hold in them."""

from longpin.actors.base import Actor
from longpin.config.loader import parse_scenario
from longpin.config.schema import Scenario
from longpin.messages.envelope import Envelope
from longpin.runner.exploration.result import Inconclusive, PropertyViolation
from longpin.runner.invariants.base import Finding
from longpin.runner.judge import Rules, unplayed
from longpin.runner.settings import Settings
from longpin.runner.stepped import SteppedEngine
from longpin.runner.world import Blueprint, WorldEngine


class Subject:
    """``build``, ``always`` and ``check`` of a scenario under a policy; it can be sent to another process."""

    def __init__(self, scenario: Scenario, settings: Settings) -> None:
        self.scenario = scenario
        self.settings = settings
        policy = settings.make_policy()
        self.rules = Rules(scenario, policy, settings.preset)
        self.blueprint = Blueprint(scenario, policy)

    def __reduce__(self) -> tuple[object, ...]:
        return _subject, (self.scenario.text, self.scenario.name, self.settings)

    def build(self, world: WorldEngine) -> None:
        """Create the actors and send the messages that start the processes."""
        self.blueprint.build(world)

    def always(self, actor: Actor, envelope: Envelope) -> None:
        """Look at an actor that has just handled ``envelope``.

        Raises:
            PropertyViolation: a rule does not hold.

        """
        self.report(self.rules.after(actor, envelope))

    def check(self, engine: SteppedEngine) -> None:
        """Look at a world in which nothing can happen any more.

        Raises:
            PropertyViolation: a rule does not hold.
            Inconclusive: the scenario was not played to its end.

        """
        self.check_rules(engine)
        if why := unplayed(self.rules.waiting(engine.actors)):
            raise Inconclusive(why)

    def check_rules(self, engine: SteppedEngine) -> None:
        """Look at a quiet world, whether the scenario was played to its end or not.

        Raises:
            PropertyViolation: a rule does not hold.

        """
        self.report(self.rules.quiet(engine.actors))

    def report(self, findings: list[Finding]) -> None:
        """Raise the first finding.

        Raises:
            PropertyViolation: there is one.

        """
        if findings:
            raise PropertyViolation(findings[0].detail, findings[0].rule, findings[0].site)


def _subject(text: str, name: str, settings: Settings) -> Subject:
    return Subject(parse_scenario(text, name), settings)
