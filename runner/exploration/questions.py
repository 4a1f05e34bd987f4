"""What a policy and its kernel were asked while a world was explored, and what they answered.

Hooks are functions of their arguments, and nothing else of a policy reaches a world. So a policy that answers every
question alike that was asked during an exploration *is* the same transition system, and what was found out about one
holds of the other. For a schedule the questions of its steps are enough. The same goes for the generation of Linux:
each of its fields that is read is a question.

A policy is noted by a class of its own, made for it: the policy itself, the actors and the search are as they were, and
whoever does not ask for this pays nothing.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from functools import wraps
from typing import Any, NamedTuple

from longpin.actors.kernel.generation import Generation
from longpin.actors.policies.base import Policy
from longpin.actors.policies.proposal import Proposal
from longpin.runner.own_policy.checks import HOOKS

MAPPINGS = ("errnos", "constants")
"""Attributes of a policy of which the kernel and the rules look up one key."""

COLLECTIONS = ("calls", "proc_files")
"""Attributes of which they look whether something is in them."""

VALUES = ("state",)
"""Attributes that are taken as a whole."""

KERNEL = "kernel"
"""The question for a field of the generation of Linux."""


class Question(NamedTuple):
    """Something that a policy was asked."""

    hook: str
    """A hook, an attribute, ``overrides``, or ``kernel``."""
    facts: tuple[Any, ...]
    """What it was shown; of a mapping or a collection nothing, if it was taken as a whole."""

    def ask(self, proposal: Proposal) -> Any:
        """Return what a policy, or its kernel, answers."""
        if self.hook == KERNEL:
            return getattr(proposal.generation, *self.facts)
        policy = proposal.policy
        if self.hook == "overrides":
            return type(policy).overrides(getattr(Policy, *self.facts))
        if self.hook in VALUES or (self.hook in MAPPINGS + COLLECTIONS and not self.facts):
            return getattr(policy, self.hook)
        if self.hook in MAPPINGS:
            return getattr(policy, self.hook).get(*self.facts)
        if self.hook in COLLECTIONS:
            return self.facts[0] in getattr(policy, self.hook)
        *facts, options = self.facts
        return getattr(policy, self.hook)(*facts, **dict(options))


Answers = Mapping[Question, Any]
"""Questions with what was answered."""


def first_difference(answers: Answers, proposal: Proposal) -> Question | None:
    """Return the first question that ``proposal`` answers differently; None: it is the same transition system."""
    return next((question for question, answer in answers.items() if not same(question.ask(proposal), answer)), None)


def same(answer: Any, other: Any) -> bool:
    """Return whether two answers are one: equal, and of one kind, since two kinds of decision can be equal tuples."""
    if type(answer) is not type(other):
        return False
    if isinstance(answer, tuple):
        return len(answer) == len(other) and all(map(same, answer, other))
    return bool(answer == other)


class Log:
    """The questions of a search, in the order in which they were first asked."""

    def __init__(self) -> None:
        self.answers: dict[Question, Any] = {}
        self._lately: dict[Question, None] = {}
        self._asking = False

    def note(self, question: Question, answer: Any) -> Any:
        """Note a question and its answer, unless a hook asks it while it is asked itself; return the answer."""
        if not self._asking:
            self.answers.setdefault(question, answer)
            self._lately[question] = None
        return answer

    def ask(self, question: Question, method: Callable[[], Any]) -> Any:
        """Ask a hook, and note that."""
        if self._asking:
            return method()
        self._asking = True
        try:
            answer = method()
        finally:
            self._asking = False
        return self.note(question, answer)

    def begin(self) -> None:
        """Forget which questions were asked lately, not what was answered."""
        self._lately.clear()

    def lately(self) -> dict[Question, Any]:
        """Return what was asked since :meth:`begin`, with the answers: of a schedule that was carried out, say."""
        return {question: self.answers[question] for question in self._lately}

    def noted(self, proposal: Proposal) -> Proposal:
        """Return a proposal that is the same, and whose questions are noted here."""
        policy = proposal.policy
        noted = _noted_class(type(policy), self)
        values = {field.name: getattr(policy, field.name) for field in fields(policy)}
        generation = _noted_generation(self)(**asdict(proposal.generation))
        return _NotedProposal(noted(**values), proposal.preset, proposal.kernel, generation, proposal.name)


@dataclass(frozen=True, slots=True)
class _NotedProposal(Proposal):
    """A proposal that knows its name: to make one reads every parameter, which is no question of the world."""

    called: str

    @property
    def name(self) -> str:
        return self.called


def _noted_class(kind: type[Policy], log: Log) -> type[Policy]:
    """Return a class whose objects are like those of ``kind``, and note what they are asked."""

    def overrides(hook: Callable[..., Any]) -> bool:
        return bool(log.note(Question("overrides", (hook.__name__,)), kind.overrides(hook)))

    members: dict[str, Any] = {"__slots__": (), "overrides": staticmethod(overrides)}
    members |= {hook: _noted_hook(hook, getattr(kind, hook), log) for hook in HOOKS}
    members |= {name: _NotedMapping(name, getattr(kind, name), log) for name in MAPPINGS}
    members |= {name: _NotedCollection(name, getattr(kind, name), log) for name in COLLECTIONS}
    members |= {name: _NotedValue(name, log) for name in VALUES}
    return type(kind.__name__, (kind,), members)


def _noted_generation(log: Log) -> type[Generation]:
    """Return a class whose objects are generations of Linux that note which field is read."""
    names = frozenset(field.name for field in fields(Generation))

    def read(self: Generation, name: str) -> Any:
        value = object.__getattribute__(self, name)
        return log.note(Question(KERNEL, (name,)), value) if name in names else value

    # There is one, so who tells states apart compares it by what it is, and reads no field for that.
    members = {"__slots__": (), "__getattribute__": read, "__hash__": object.__hash__, "__eq__": object.__eq__}
    return type("NotedGeneration", (Generation,), members)


def _noted_hook(hook: str, method: Callable[..., Any], log: Log) -> Callable[..., Any]:
    @wraps(method)
    def asked(self: Policy, *facts: Any, **options: Any) -> Any:
        question = Question(hook, (*facts, tuple(sorted(options.items()))))
        return log.ask(question, lambda: method(self, *facts, **options))

    return asked


class _NotedMapping(Mapping[str, Any]):
    """A mapping of a policy, whose look-ups are noted."""

    def __init__(self, name: str, mapping: Mapping[str, Any], log: Log) -> None:
        self.name = name
        self.mapping = mapping
        self.log = log

    def get(self, key: str, default: Any = None) -> Any:
        """Look up a key."""
        found = self.log.note(Question(self.name, (key,)), self.mapping.get(key))
        return default if found is None else found

    def __getitem__(self, key: str) -> Any:
        self.get(key)
        return self.mapping[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.log.note(Question(self.name, ()), self.mapping))

    def __len__(self) -> int:
        return len(self.log.note(Question(self.name, ()), self.mapping))


class _NotedCollection(Collection[str]):
    """A collection of a policy; whether something is in it is noted."""

    def __init__(self, name: str, items: Collection[str], log: Log) -> None:
        self.name = name
        self.items = items
        self.log = log

    def __contains__(self, item: object) -> bool:
        return bool(self.log.note(Question(self.name, (item,)), item in self.items))

    def __iter__(self) -> Iterator[str]:
        return iter(self.log.note(Question(self.name, ()), self.items))

    def __len__(self) -> int:
        return len(self.log.note(Question(self.name, ()), self.items))


class _NotedValue:
    """An attribute of a policy that is noted when it is read."""

    def __init__(self, name: str, log: Log) -> None:
        self.name = name
        self.log = log

    def __get__(self, policy: Policy | None, kind: type[Policy]) -> Any:
        base = kind.__mro__[1]
        return self.log.note(Question(self.name, ()), getattr(base, self.name))
