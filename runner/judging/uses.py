"""Uses: what some schedule is to show [semantics 3.1]. A rule is about every schedule, a use about one.

Lines of a scenario say what a use takes: ``# U1 -> ok``. A use is shown by a run in which each of these lines has come
to that at least once. It is judged of a world at rest, of what its processes have noted there: so of one schedule as a
whole, and of nothing that orders of one schedule which cannot be told apart could show differently.
"""

from collections.abc import Iterable

from longpin.actors.process.facts import CallRecord
from longpin.actors.process.process import Process
from longpin.actors.process.program import Expectation, Op
from longpin.config.build import operations_of
from longpin.config.schema import USES, Scenario
from longpin.runner.judging.invariants.base import Actors
from longpin.runner.judging.invariants.errnos import unmet
from longpin.runner.result import ShownUse, UseState

_MARK = "use "


class Uses:
    """The uses that a scenario asks for."""

    def __init__(self, scenario: Scenario) -> None:
        self.asked = scenario.shows
        self._lines: dict[str, list[tuple[Op, Expectation]]] = {use: [] for use in scenario.shows}
        for op in operations_of(scenario.processes) if scenario.shows else ():
            for use, wanted in op.uses:
                if use in self._lines:
                    self._lines[use].append((op, wanted))

    @property
    def marks(self) -> list[str]:
        """The marks of all uses."""
        return [f"{_MARK}{use}" for use in self.asked]

    def shown(self, records: Iterable[CallRecord]) -> frozenset[str]:
        """Return the marks of the uses that a run shows which has made these calls, and is over."""
        made: dict[str, list[CallRecord]] = {}
        for record in records:
            if record.op.uses:
                made.setdefault(record.op.place, []).append(record)
        return frozenset(
            f"{_MARK}{use}"
            for use, lines in self._lines.items()
            if all(any(not unmet(wanted, record) for record in made.get(op.place, ())) for op, wanted in lines)
        )

    def at_rest(self, actors: Actors) -> frozenset[str]:
        """Return the marks of the uses that are shown by what has led to a world at rest."""
        return (
            self.shown(record for actor in actors.values() for record in _noted(actor)) if self.asked else frozenset()
        )

    def states(self, marks: Iterable[str], otherwise: UseState) -> list[ShownUse]:
        """Return what is known of each use where these marks were seen; ``otherwise`` of one that was not."""
        seen = set(marks)
        return [
            ShownUse(use, USES[use], UseState.SHOWN if f"{_MARK}{use}" in seen else otherwise) for use in self.asked
        ]


def _noted(actor: object) -> Iterable[CallRecord]:
    """Yield the calls of a process that lines say something of for a use: those that returned, then those under way."""
    if isinstance(actor, Process):
        for op, ret, errno, slept in actor.noted:
            yield CallRecord(op, ret, errno, "something" if slept else "", returned=True)
        yield from actor.calls()


def use_of(mark: str) -> str:
    """Return the use of a mark; empty: it is another one."""
    return mark.removeprefix(_MARK) if mark.startswith(_MARK) else ""
