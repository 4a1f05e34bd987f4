"""The lines that say what their call must do: which of them a verdict needs, and which a run has judged.

A line that nobody reached was not judged, so it cannot have been met. What has been judged is told by *marks*, as the
searches take them: what is to be seen in one step of one actor, or in a world at rest.
"""

from collections.abc import Iterable, Iterator

from longpin.actors.base import Actor
from longpin.actors.process.process import Process
from longpin.actors.process.program import Op
from longpin.config.schema import EXPECTATIONS_RULE, Scenario
from longpin.runner.judging.invariants.base import Actors
from longpin.runner.judging.invariants.errnos import applicable, decided
from longpin.runner.result import ExpectedLine

NOTHING: frozenset[str] = frozenset()


class ExpectedLines:
    """The lines of a scenario whose expectation counts under a policy and that must be reached.

    There are none where O7 is not asked: nobody judges them then.
    """

    def __init__(self, scenario: Scenario, policy_name: str) -> None:
        self._policy_name = policy_name
        self._by_mark: dict[str, ExpectedLine] = {}
        for spec in scenario.processes if EXPECTATIONS_RULE in scenario.holds else ():
            for program in (spec.program, *(handler for _, handler in spec.on_signal)):
                for op in program.operations():
                    wanted = applicable(op.expectations, policy_name)
                    if wanted is not None and not wanted.optional:
                        self._by_mark[op.place] = ExpectedLine(op.line, spec.name, op.text)

    @property
    def marks(self) -> list[str]:
        """The marks of all lines."""
        return list(self._by_mark)

    def mark(self, op: Op) -> str:
        """Return the mark of a call's line, empty if nobody needs it."""
        return op.place if op.place in self._by_mark else ""

    def judged(self, actor: Actor) -> frozenset[str]:
        """Return the marks of the calls in an actor that have just returned, or never will."""
        if not self._by_mark or not isinstance(actor, Process) or not actor.facts:
            return NOTHING
        return self._marks(record.op for record in decided(actor, self._policy_name))

    def hanging(self, actors: Actors) -> frozenset[str]:
        """Return the marks of the calls that never returned in a world in which nothing can happen any more."""
        if not self._by_mark:
            return NOTHING
        return self._marks(
            record.op for actor in actors.values() if isinstance(actor, Process) for record in actor.calls()
        )

    def unreached(self, marks: Iterable[str]) -> list[ExpectedLine]:
        """Return the lines that were not judged, in the order of the file."""
        seen = set(marks)
        return sorted(line for mark, line in self._by_mark.items() if mark not in seen)

    def _marks(self, ops: Iterator[Op]) -> frozenset[str]:
        return frozenset(filter(None, map(self.mark, ops)))


def unreached_reason(lines: list[ExpectedLine]) -> str:
    """Return why nothing is known of expectations on lines that nobody reached; empty if there is none."""
    if not lines:
        return ""
    if len(lines) == 1:
        return "1 line that expects something was never reached, so it was not judged"
    return f"{len(lines)} lines that expect something were never reached, so they were not judged"
