"""What two policies were asked while the same decisions were followed, and answered differently.

A policy is asked only where Linux would decide, so up to the parting both kernels have been asked the same, in the same
order. What sets them apart is then a question that they answer differently, asked when the one who sends the first
message that differs handled what it had got; unless the programs differ, which say the same in other calls. A field of
the kernel's generation that is read is such a question too. It may be of no consequence: one kernel takes a turn in a
queue to ask its policy something, and gets the answer that goes without saying. Then the first question counts that
both are asked later, in the same words.
"""

import dataclasses
from collections.abc import Generator, Iterable, Mapping
from enum import Enum
from itertools import zip_longest
from typing import Any, NamedTuple

from longpin.actors.constants import ERRNO_NAMES
from longpin.config.schema import Scenario
from longpin.messages.envelope import Address, Envelope
from longpin.runner.engines.engine import InternalError
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.engines.world import Blueprint
from longpin.runner.exploration.questions import COLLECTIONS, KERNEL, MAPPINGS, Log, Question
from longpin.runner.failures.other import AsFarAs
from longpin.runner.own_policy.checks import HOOKS
from longpin.runner.settings import Settings

NOT_ASKED = "is not asked"

Asked = tuple[Question, Any]
"""A question, and the answer."""


class AnsweredApart(NamedTuple):
    """A question that two policies answer differently."""

    arrival: int
    """The number of the arrival at whose handling it was asked, from 1."""
    asker: Address
    """Who handled it."""
    message: str
    """What arrived, for people."""
    hook: str
    """A hook of the policies, an attribute, or a field of the kernel's generation, for people."""
    recorded: str
    """What the policy of the trace answered, for people."""
    other: str
    """What the other one did."""


def question_apart(
    recorded: tuple[Scenario, Settings],
    other: tuple[Scenario, Settings],
    decisions: Iterable[Address],
    alike: int,
    by: set[Address],
) -> AnsweredApart | None:
    """Return a question that sets two runs of the same decisions apart; None: there is none.

    Args:
        recorded: a scenario, and how it was run.
        other: the same one under another policy.
        decisions: those that can be followed under both.
        alike: so many arrivals are alike.
        by: who sends what arrives next, in the one and in the other.

    Raises:
        InternalError: a handler raised; its exception is the cause.

    """
    first, second = _NotedWorld(*recorded), _NotedWorld(*other)
    found, sure = None, False
    for number, decision in enumerate(decisions, 1):
        if number > alike and sure:
            break
        here, there = first.step(decision), second.step(decision)
        at = first.last
        assert at is not None
        apart = None
        if number > alike:
            apart = _same_question_apart(here, there)
        elif at.dst in by:
            apart = _first_apart(here, there)
        if apart is not None:
            found = AnsweredApart(number, at.dst, message_text(at), *apart)
            sure = number > alike or _same_question_apart(here, there) is not None
    return found


class _Notes(Log):
    """Notes every question of a step, also one that was asked before."""

    def __init__(self) -> None:
        super().__init__()
        self.step: list[Asked] = []

    def note(self, question: Question, answer: Any) -> Any:
        """Note a question that no hook asks."""
        if not self._asking:
            self.step.append((question, answer))
        return answer

    def taken(self) -> list[Asked]:
        """Return the questions since the last call."""
        step, self.step = self.step, []
        return step


class _NotedWorld:
    """A world that follows decisions, step by step, and its policy noted."""

    def __init__(self, scenario: Scenario, settings: Settings) -> None:
        self.last: Envelope | None = None
        self._notes = _Notes()
        self._decisions: list[Address] = []
        self._oracle = AsFarAs(self._next(), settings.seed)
        racy = settings.timers == "racy" or settings.engine == "threads"
        self._engine = SteppedEngine(self._oracle, racy=racy, seed=settings.seed)
        self._engine.record = self._arrives
        Blueprint(scenario, self._notes.noted(settings.make_proposal())).build(self._engine)
        self._notes.taken()

    def step(self, decision: Address) -> list[Asked]:
        """Follow a decision; return what the policy was asked up to there, and what it answered.

        Raises:
            InternalError: it cannot be followed, though it could before.

        """
        self._decisions.append(decision)
        wanted = self._oracle.followed + 1
        while self._oracle.followed < wanted:
            quiet = self._engine.run(self._engine.arrivals + 1)
            if self._oracle.followed < wanted and (quiet or self._oracle.left):
                raise InternalError(f"decision {wanted}, {decision}: the schedule is not repeatable")
        return self._notes.taken()

    def _next(self) -> Generator[Address]:
        while True:
            yield self._decisions.pop()

    def _arrives(self, _number: int, envelope: Envelope) -> None:
        self.last = envelope


def _first_apart(here: list[Asked], there: list[Asked]) -> tuple[str, str, str] | None:
    """Return the first question that is answered differently, and both answers."""
    for one, other in zip_longest(here, there):
        if one is None or other is None or _subject(one) != _subject(other):
            asked = one or other
            first, second = (_said(it) if it is not None and it[0] == asked[0] else NOT_ASKED for it in (one, other))
            return question_text(asked[0]), first, second
        if one[1] != other[1]:
            return question_text(one[0]), _said(one), _said(other)
    return None


def _subject(asked: Asked) -> object:
    """Return what a question is about: a hook, whatever it is shown, or one thing that is looked up."""
    question, _ = asked
    return question.hook if question.hook in HOOKS else question


def _same_question_apart(here: list[Asked], there: list[Asked]) -> tuple[str, str, str] | None:
    """Return the first question of consequence that both are asked alike and answer differently, and both answers."""
    answers = dict(there)
    for question, answer in here:
        if question.hook in (*HOOKS, KERNEL) and answers.get(question, answer) != answer:
            return question_text(question), answer_text(answer), answer_text(answers[question])
    return None


def question_text(question: Question) -> str:
    """Return what a policy is asked, for people: a hook, or something that it says of itself."""
    if question.hook == "overrides":
        return str(question.facts[0])
    if question.hook == KERNEL:
        return f"{question.facts[0]} of the kernel"
    if question.hook in MAPPINGS:
        return f"{question.hook} of {question.facts[0]}"
    if question.hook in COLLECTIONS:
        return f"{question.facts[0]} in {question.hook}"
    return question.hook


def _said(asked: Asked) -> str:
    question, answer = asked
    if question.hook == "overrides":
        return "has its own" if answer else "has the base rule, and nobody is sent to ask"
    return answer_text(answer)


def message_text(envelope: Envelope) -> str:
    """Return a message for people: who, to whom, and what it says in plain values."""
    body = envelope.body
    values = {field.name: getattr(body, field.name) for field in dataclasses.fields(body)}
    plain = {name: it for name, it in values.items() if isinstance(it, str | int | float)}
    return f"{envelope.src} {'=>' if envelope.call < 0 else '->'} {envelope.dst}: {_call_text(body, plain)}"


def answer_text(answer: Any) -> str:
    """Return what a policy answered, for people: a decision with what it says beyond its defaults, errnos by name."""
    if isinstance(answer, Enum):
        return str(answer.value)
    if isinstance(answer, Mapping):
        return ", ".join(f"{key}={answer_text(value)}" for key, value in sorted(answer.items())) or "nothing"
    if isinstance(answer, frozenset):
        return ", ".join(sorted(map(answer_text, answer))) or "nothing"
    if isinstance(answer, tuple) and hasattr(answer, "_fields"):
        usual: dict[str, Any] = getattr(answer, "_field_defaults", {})
        values = {name: getattr(answer, name) for name in answer._fields}
        return _call_text(answer, {name: it for name, it in values.items() if name not in usual or usual[name] != it})
    if isinstance(answer, tuple):
        return f"({', '.join(map(answer_text, answer))})"
    if dataclasses.is_dataclass(answer):
        return _call_text(answer, {field.name: getattr(answer, field.name) for field in dataclasses.fields(answer)})
    return "nothing" if answer is None else str(answer)


def _call_text(answer: object, values: Mapping[str, Any]) -> str:
    told = [
        ERRNO_NAMES.get(it, str(it)) if name == "errno" else f"{name}={answer_text(it)}" for name, it in values.items()
    ]
    return f"{type(answer).__name__}({', '.join(told)})" if told else type(answer).__name__
