"""What is said of a scenario that does not ask for it: rules whose findings are warnings then."""

from collections.abc import Iterable

from longpin.actors.base import Actor
from longpin.actors.policies.proposal import Proposal
from longpin.config.schema import Scenario
from longpin.messages.envelope import Envelope
from longpin.runner.judging.invariants import INVARIANTS
from longpin.runner.result import SEEN

NOTHING: frozenset[str] = frozenset()


class Advice:
    """The rules that warn where a scenario leaves them out; what they find is told by marks."""

    def __init__(self, scenario: Scenario, proposal: Proposal) -> None:
        self._rules = [kind(proposal) for rule, kind in INVARIANTS.items() if kind.warns and rule not in scenario.holds]

    def marks(self, actor: Actor, envelope: Envelope) -> frozenset[str]:
        """Return the marks of what is wrong in a step of an actor."""
        found = [finding for rule in self._rules for finding in rule.after(actor, envelope)]
        if not found:
            return NOTHING
        return frozenset(f"{SEEN}{finding.rule} was not asked for: {finding.detail}" for finding in found)

    @staticmethod
    def warnings(marks: Iterable[str]) -> list[str]:
        """Return the warnings among marks, in one order."""
        return sorted(mark for mark in marks if mark.startswith(SEEN))
