"""What an exploration found, in values whose text is what gets printed."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from longpin.messages.envelope import Address
from longpin.runner.events import FailureFound
from longpin.runner.own_policy.checks import PolicyError
from longpin.runner.result import Verdict

POLICY_SITE = "the policy"
"""The site of what a policy in a file did that no policy may: it breaks no rule, and is no bug of longpin either."""

NO_MARKS: frozenset[str] = frozenset()


class PropertyViolation(Exception):
    """What must hold does not: raised by a handler, by ``always``, or by the ``check`` of a world at rest."""

    def __init__(self, what: str, rule: str = "", site: str = "") -> None:
        super().__init__(what)
        self.rule = rule
        """The rule that does not hold, if it has a name."""
        self.site = site
        """What it is about, in words that are the same for every schedule that shows it."""


class Inconclusive(Exception):
    """Raised by ``check``: this world came to rest before what is to be judged could happen."""

    def __init__(self, why: str, marks: frozenset[str] = NO_MARKS) -> None:
        super().__init__(why)
        self.marks = marks
        """What is to be seen in it all the same."""


class Abandoned(Exception):
    """Raised by ``always``: nothing is wanted of what follows this arrival. Only matching states can leave it out."""


class BrokenRule(NamedTuple):
    """What is wrong with a schedule."""

    what: str
    rule: str = ""
    site: str = ""

    @classmethod
    def by(cls, error: BaseException) -> "BrokenRule":
        """Return what an exception says, with its kind unless it is a violation."""
        if isinstance(error, PropertyViolation):
            return cls(str(error), error.rule, error.site)
        if isinstance(error, PolicyError):
            return cls(str(error), site=POLICY_SITE)
        return cls(f"{type(error).__name__}: {error}")


Key = tuple[str, str, str]
"""What two schedules have in common that show the same failure."""


def key_of(broken: BrokenRule) -> Key:
    """Return the rule and the site; what has neither is told by its text, in which no address of an object counts."""
    told = broken.rule or broken.site
    return (broken.rule, broken.site, "" if told else re.sub(" at 0x[0-9a-f]+", "", broken.what))


def same(one: BrokenRule | None, other: BrokenRule | None) -> bool:
    """Return whether two runs show the same failure, or none."""
    return one is other or (one is not None and other is not None and key_of(one) == key_of(other))


class Reason(StrEnum):
    """Why an exploration ended."""

    COMPLETE = "every schedule was explored"
    VIOLATED = "a schedule that breaks it was found"
    EXECUTIONS = "the number of executions allowed is spent"
    STATES = "the number of states allowed is spent"
    SECONDS = "the time allowed is spent"
    MEMORY = "the memory allowed is spent"
    ENDLESS = "a schedule has more than 5,000 arrivals, and may never end: only matching states can come to an end"
    UNTOLD = "it takes too long to tell whether some schedules can happen: with --no-footprints all can"
    INTERRUPTED = "it was interrupted"


class Method(StrEnum):
    """How schedules are told apart."""

    DPOR = "dpor"
    STATES = "states"
    NAIVE = "naive"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Failure:
    """A schedule that breaks what must hold."""

    broken: BrokenRule
    decisions: tuple[Address, ...]
    """Whose oldest message arrives, arrival by arrival: :func:`longpin.runner.exploration.replay` follows it."""

    @property
    def what(self) -> str:
        """Return what is wrong, in words."""
        return self.broken.what

    def found(self) -> FailureFound:
        """Return the event of finding it."""
        return FailureFound(self.broken.rule, self.broken.site, self.broken.what, self.decisions)


@dataclass(slots=True)
class Exploration:
    """The result of an exploration."""

    method: Method
    """The method that was used; never AUTO."""
    executions: int = 0
    """Schedules run to their end, those in ``blocked`` not counted. Matching counts the ends it came to."""
    blocked: int = 0
    """Executions given up half-way because they could only repeat another one."""
    states: int = 0
    """Different states of the whole world, if states were matched."""
    wrong_match: float = 0.0
    """If states were matched by fingerprints: a bound of the probability that two were taken for one; 0 otherwise."""
    interchangeable: tuple[tuple[Address, ...], ...] = ()
    """Groups of actors that were found to be interchangeable: of states that differ in who is who, one was explored."""
    events: int = 0
    """Arrivals executed or looked up."""
    impossible: int = 0
    """With footprints: what handlers raised, and worlds at rest, that no real order of arrivals shows; no failures."""
    untold: int = 0
    """With footprints: schedules of which it takes too long to tell whether a real order of arrivals shows them."""
    reason: Reason = Reason.COMPLETE
    failures: list[Failure] = field(default_factory=list)
    """The first one found; empty if there is none."""
    inconclusive: str = ""
    """What the first world at rest that could not be judged waits for; empty if all could."""
    marks: set[str] = field(default_factory=set)
    """What ``marks`` and ``check`` said is to be seen in some schedule that can really happen."""
    missing: list[str] = field(default_factory=list)
    """The marks that were wanted and that no schedule explored showed."""
    unshown: list[str] = field(default_factory=list)
    """Those of which some schedule must show each, and none explored did: what is complete is violated by that."""
    witnesses: dict[str, tuple[Address, ...]] = field(default_factory=dict)
    """The decisions of the first schedule that showed each of the others."""
    not_kept: str = ""
    """Why the checkpoint does not hold what was explored, one line; empty if it does, or if there is none."""
    seconds: float = 0.0
    estimate: float = 0.0
    """A guess at how many executions there are, from random walks and the branches found by a pilot run.

    0: nothing is left to guess, or there turned out to be more.
    """
    why: str = ""
    """Why this method, if it was chosen by a pilot run."""

    @property
    def complete(self) -> bool:
        """Return whether nothing is left to explore."""
        return self.reason is Reason.COMPLETE

    @property
    def verdict(self) -> Verdict:
        """Return the verdict: incomplete is never a pass, and neither is one that lacks a mark that was wanted.

        That something was to be shown and no schedule does is a violation, which only a complete exploration finds.
        """
        if self.failures or (self.unshown and self.complete):
            return Verdict.VIOLATED
        whole = self.complete and not (self.inconclusive or self.missing)
        return Verdict.HOLDS if whole else Verdict.UNDETERMINED
