"""What must hold in a scenario, and who says whether it did."""

from collections.abc import Iterable

from longpin.actors.base import Actor
from longpin.actors.policies.proposal import Proposal
from longpin.config.schema import Scenario
from longpin.messages.envelope import Envelope
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.events import Observer
from longpin.runner.judging.advice import Advice
from longpin.runner.judging.chronicle import Chronicle
from longpin.runner.judging.expected import ExpectedLines, unreached_reason
from longpin.runner.judging.invariants import INVARIANTS
from longpin.runner.judging.invariants.base import Actors, Finding
from longpin.runner.judging.uses import Uses
from longpin.runner.judging.waiting import WaitForGraph, Waiting
from longpin.runner.result import Judged, Result, UseState, Verdict, Violation, unshown_reason
from longpin.runner.settings import Settings


class Rules:
    """The rules a scenario names, under a policy."""

    def __init__(self, scenario: Scenario, proposal: Proposal) -> None:
        self.policy = proposal.policy
        self.policy_name = proposal.name
        self.lines = ExpectedLines(scenario, self.policy_name)
        self.advice = Advice(scenario, proposal)
        self.uses = Uses(scenario)
        self.judged = Judged.of(scenario)
        self.invariants = [INVARIANTS[rule](proposal) for rule in scenario.holds]

    def after(self, actor: Actor, envelope: Envelope) -> list[Finding]:
        """Return what is wrong with an actor that has just handled ``envelope``, or with what it did."""
        return [finding for invariant in self.invariants for finding in invariant.after(actor, envelope)]

    def marks(self, actor: Actor, envelope: Envelope) -> frozenset[str]:
        """Return what is to be seen in a step of an actor: lines that were judged, and what is to be warned of."""
        return self.lines.judged(actor) | self.advice.marks(actor, envelope)

    def quiet(self, actors: Actors) -> list[Finding]:
        """Return what is wrong with a world in which nothing can happen any more."""
        return [finding for invariant in self.invariants for finding in invariant.quiet(actors)]

    def waiting(self, actors: Actors) -> list[Waiting]:
        """Return every process that waits in a quiet world, whether that is a violation or not."""
        return WaitForGraph(actors, self.policy).waiting()


def unplayed(waiting: list[Waiting]) -> str:
    """Return why the scenario was not played to its end: a process waits for a label that nobody sets any more."""
    labels = [wait for wait in waiting if wait.kind == "label"]
    return f"the scenario was not played to its end: {labels[0]}" if labels else ""


class Judge:
    """Watches a stepped world and says whether what must hold in it did."""

    def __init__(
        self,
        scenario: Scenario,
        settings: Settings,
        engine: SteppedEngine,
        proposal: Proposal,
        observers: Iterable[Observer] = (),
    ) -> None:
        self.scenario = scenario
        self.settings = settings
        self.engine = engine
        self.rules = Rules(scenario, proposal)
        self.chronicle = Chronicle(engine, observers)
        self.violations: list[Violation] = []
        self.reached: set[str] = set()
        """The marks of the lines that were judged, and of what is to be warned of."""
        engine.observers.extend((self.chronicle, self))

    def arrived(self, number: int, envelope: Envelope) -> None:
        """Look at an arrival after it was handled."""
        actor = self.engine.actors[envelope.dst]
        self._note(number, self.rules.after(actor, envelope))
        self.reached |= self.rules.marks(actor, envelope)

    def _note(self, number: int, findings: list[Finding]) -> None:
        self.violations += [Violation(found.rule, number, found.detail, found.site) for found in findings]

    def result(self, verdict: Verdict | None, reason: str) -> Result:
        """Return the result; without a verdict the world is quiet, and the rules decide.

        A scenario whose processes wait for a label that nobody sets any more was not played to its end, and a line that
        expects something and was not reached was not judged: undetermined.
        """
        waiting = []
        if verdict is None:
            actors = self.engine.actors
            self._note(self.engine.arrivals, self.rules.quiet(actors))
            self.reached |= self.rules.lines.hanging(actors) | self.rules.uses.at_rest(actors)
            waiting = self.rules.waiting(actors)
        unreached = self.rules.lines.unreached(self.reached)
        uses = self.rules.uses.states(self.reached, UseState.UNKNOWN)
        unshown = unshown_reason(uses, "in this run; longpin explore says whether some schedule does")
        if verdict is None and (why := unplayed(waiting) or unreached_reason(unreached) or unshown):
            verdict, reason = Verdict.UNDETERMINED, why
        if verdict is None:
            verdict, reason = Verdict.HOLDS, f"{reason}; {self.rules.judged.hold()}"
        violations = sorted(self.violations, key=lambda violation: (violation.arrival, violation.rule))
        if violations and verdict is not Verdict.DIVERGED:
            rules = ", ".join(dict.fromkeys(violation.rule for violation in violations))
            verdict, reason = Verdict.VIOLATED, f"{rules} violated"
        settings = self.settings
        return Result(
            verdict,
            reason,
            self.scenario.name,
            self.rules.policy_name,
            settings.engine,
            settings.oracle if settings.engine == "stepped" else "",
            settings.timers,
            settings.seed,
            self.engine.arrivals,
            violations=violations,
            calls=self.chronicle.results(),
            events=self.chronicle.events,
            processes=self.chronicle.processes(),
            summary=self.scenario.summary,
            source=self.scenario.source,
            policy_sha256=settings.policy_sha256,
            waiting=[str(wait) for wait in waiting],
            judged=self.rules.judged,
            unreached=unreached,
            uses=uses,
            warnings=[*self.scenario.warnings, *self.rules.advice.warnings(self.reached)],
        )
