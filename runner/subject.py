"""A scenario as the searches take it: how its worlds are built, what must hold in them, what must be reached."""

from collections.abc import Iterable

from longpin.actors.base import Actor
from longpin.config.loader import in_dialect, parse_scenario
from longpin.config.schema import Scenario
from longpin.messages.envelope import Address, Envelope
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.engines.world import Blueprint, WorldEngine
from longpin.runner.exploration.questions import Log
from longpin.runner.exploration.result import Inconclusive, PropertyViolation
from longpin.runner.judging.invariants.base import Finding
from longpin.runner.judging.judge import Rules, unplayed
from longpin.runner.result import ExpectedLine
from longpin.runner.settings import Settings


class Subject:
    """``build``, ``always``, ``check`` and ``marks`` of a scenario under a policy; it can be sent elsewhere."""

    def __init__(self, scenario: Scenario, settings: Settings, log: Log | None = None) -> None:
        self.settings = settings
        self.log = log
        """Where the questions that the policy is asked are noted; None: nowhere."""
        proposal = settings.make_proposal()
        if log is not None:
            proposal = log.noted(proposal)
        self.scenario = scenario = in_dialect(scenario, settings.policy, settings.preset)
        self.rules = Rules(scenario, proposal)
        self.blueprint = Blueprint(scenario, proposal)

    def __reduce__(self) -> tuple[object, ...]:
        if self.log is not None:
            raise ValueError("questions are noted in one process")
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

    def marks(self, actor: Actor, envelope: Envelope) -> frozenset[str]:
        """Return what is to be seen in a step of an actor: lines that were judged, what is to be warned of."""
        return self.rules.marks(actor, envelope)

    @property
    def interchangeable(self) -> tuple[tuple[Address, ...], ...]:
        """The processes that run the same program from the start, in groups."""
        groups: dict[object, list[Address]] = {}
        for pid, image in self.blueprint.started:
            groups.setdefault(image.nameless, []).append(f"process:{pid}")
        return tuple(tuple(group) for group in groups.values() if len(group) > 1)

    @property
    def wanted(self) -> list[str]:
        """The marks of all lines that must be reached."""
        return self.rules.lines.marks

    @property
    def to_show(self) -> list[str]:
        """The marks of the uses that some schedule must show."""
        return self.rules.uses.marks

    def unreached(self, marks: Iterable[str]) -> list[ExpectedLine]:
        """Return the lines that must be reached and are not among ``marks``."""
        return self.rules.lines.unreached(marks)

    def warnings(self, marks: Iterable[str]) -> list[str]:
        """Return what is to be said of the scenario, and of what was seen in its schedules, each a line."""
        return [*self.scenario.warnings, *self.rules.advice.warnings(marks)]

    def check(self, engine: SteppedEngine) -> frozenset[str]:
        """Look at a world in which nothing can happen any more; return which lines are judged by that.

        Raises:
            PropertyViolation: a rule does not hold.
            Inconclusive: the scenario was not played to its end.

        """
        self.check_rules(engine)
        marks = self.rules.lines.hanging(engine.actors) | self.rules.uses.at_rest(engine.actors)
        if why := unplayed(self.rules.waiting(engine.actors)):
            raise Inconclusive(why, marks)
        return marks

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
    settings.make_proposal()  # a policy in a file may add names that programs use
    return Subject(parse_scenario(text, name), settings)
