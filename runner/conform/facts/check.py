"""Many questions, one after the other, and the tally by case."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from longpin.config.situation import Situations
from longpin.runner.conform.facts.answers import Answered, answer
from longpin.runner.conform.facts.question import KernelQuestion


class Standing(StrEnum):
    """How an answer stands beside what a kernel did."""

    AGREES = "agree"
    DIFFERS = "differ"
    OUT_OF_SCOPE = "out of scope"
    NOT_COMPARED = "not compared"
    """Nobody has told what that kernel did."""


def standing(answered: Answered) -> Standing:
    """Return how an answer stands: what was observed and the errno count, and what else both have looked at."""
    recorded, own = answered.question.recorded, answered.answer
    if differing(answered):
        return Standing.DIFFERS
    if own is None:
        return Standing.OUT_OF_SCOPE
    if recorded is None:
        return Standing.NOT_COMPARED
    alike = (own.observed, own.errno) == (recorded.observed, recorded.errno)
    return Standing.AGREES if alike else Standing.DIFFERS


def differing(answered: Answered) -> list[str]:
    """Return the keys of what else both have looked at and seen otherwise."""
    recorded = answered.question.recorded
    if recorded is None:
        return []
    return [key for key, value in answered.also.items() if key in recorded.also and recorded.also[key] != value]


@dataclass(slots=True)
class FactTally:
    """What came of all questions so far."""

    cases: dict[str, Counter[Standing]] = field(default_factory=dict)
    """By case, in the order in which they were met."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Why questions are out of scope."""
    differences: list[Answered] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)

    def add(self, answered: Answered) -> None:
        """Count an answer."""
        found = standing(answered)
        self.cases.setdefault(answered.question.case, Counter())[found] += 1
        self.answers.append(answered)
        if found is Standing.DIFFERS:
            self.differences.append(answered)
        if found is Standing.OUT_OF_SCOPE:
            self.reasons[answered.out_of_scope] += 1

    def count(self, standing: Standing) -> int:
        """Return how many answers stand so."""
        return sum(counts[standing] for counts in self.cases.values())

    @property
    def compared(self) -> int:
        """How many answers could be compared."""
        return self.count(Standing.AGREES) + self.count(Standing.DIFFERS)

    @property
    def programs(self) -> int:
        """How many questions were asked: each is a small program."""
        return len(self.answers)

    @property
    def differ(self) -> int:
        """How many answers are not what the kernel did."""
        return len(self.differences)


def ask(questions: Iterable[KernelQuestion], situations: Situations) -> Iterator[Answered]:
    """KernelAnswer questions, one after the other.

    Raises:
        SituationError: a shipped situation is wrong.
        InternalError: an actor failed.

    """
    for question in questions:
        yield answer(question, situations)
