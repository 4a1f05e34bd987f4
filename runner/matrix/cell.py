"""A cell of the matrix: one hazard under one proposal, and what is known of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple

from longpin.actors.parameters import ParameterValue
from longpin.actors.policies import POLICIES, find_policy, split_name
from longpin.actors.policies.proposal import KERNEL, Proposal
from longpin.config.hazard import HOLDS
from longpin.runner.given_policy import read_policy
from longpin.runner.own_policy.source import PolicySource
from longpin.runner.settings import Settings


class CellVerdict(StrEnum):
    """What is known of a cell."""

    PROVED = "proved"
    """No schedule breaks a rule; of a use: some schedule shows it. Every schedule was explored."""
    VIOLATED = "violated"
    """A schedule breaks a rule; of a use: none shows it."""
    UNDETERMINED = "undetermined"
    """Not known: the time or the memory was spent, or an expected line was reached by no schedule."""


class How(StrEnum):
    """How a verdict was come by."""

    EXPLORED = "explored"
    INFERRED = "inferred"
    """Another column was explored, and is the same transition system as far as this verdict goes."""
    FOLLOWED = "followed"
    """The counterexample of another column, followed as far as it went, breaks a rule here too."""


class Column(NamedTuple):
    """A proposal, as a column of the matrix."""

    policy: str
    preset: str
    parameters: tuple[tuple[str, ParameterValue], ...] = ()
    """What differs from the preset."""
    source: PolicySource | None = None
    """The file of the policy; None: it is one of longpin's."""

    @property
    def name(self) -> str:
        """What it is called everywhere: ``P5:intended``, with all that differs from the preset."""
        return self.settings("lazy").policy_name

    @property
    def is_documented(self) -> bool:
        """Whether the documents speak of it: it is a preset as it is, of a policy that comes with longpin."""
        return not self.parameters and self.source is None

    def settings(self, timers: Literal["lazy", "racy"], kernel: str = "") -> Settings:
        """Return how it is run: on the kernel of the column, if it names one, else on ``kernel``, if that does."""
        parameters = dict(self.parameters)
        if kernel:
            parameters.setdefault(KERNEL, kernel)
        return Settings(self.policy, self.preset, parameters, timers=timers, source=self.source)

    def on_kernel(self, parameters: Mapping[str, ParameterValue]) -> "Column":
        """Return it on another kernel, where it does not name one itself."""
        return self._replace(parameters=tuple({**parameters, **dict(self.parameters)}.items()))


def all_columns() -> list[Column]:
    """Return every preset of every proposal."""
    return [Column(name, preset) for name, policy in POLICIES.items() for preset in policy.presets]


def columns_of(text: str) -> list[Column]:
    """Return the columns of a policy as ``--policy`` takes it: all of its presets if nothing but its name is given.

    Raises:
        UsageError: there is no such policy, preset or parameter, or its file cannot be used.

    """
    source, name, preset, parameters = read_policy(text)
    if not parameters and split_name(text)[1] is None:
        policy, _ = find_policy(name)
        return [Column(name, each, (), source) for each in policy.presets]
    return [Column(name, preset, tuple(parameters.items()), source)]


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """What is known of a hazard under a proposal."""

    policy: str
    preset: str
    """With what differs from it, if anything does: ``intended,kernel=6.18``."""
    hazard: str
    timers: Literal["lazy", "racy"]
    verdict: CellVerdict
    use: str = ""
    """The use that some schedule is to show, where that is what the row is about."""
    rule: str = ""
    """The rule that is violated, or the use that nothing shows."""
    why: str = ""
    """What is violated, or why it is not determined, in words."""
    wanted: str = ""
    """The verdict that the documents lead one to expect: a rule that is violated, or ``holds``; empty: they do not
    speak of it, as parameters differ from the preset."""
    explained: str = ""
    """Why it is found to be otherwise; empty: nobody says."""
    how: How = How.EXPLORED
    origin: str = ""
    """The other column, where it was not explored itself."""
    executions: int = 0
    """Ends of schedules that were explored."""
    states: int = 0
    trace: str = ""
    """The counterexample, or the schedule that shows a use: a file in the folder of the matrix."""

    @property
    def column(self) -> str:
        """The proposal, as ``--policy`` takes it."""
        return f"{self.policy}:{self.preset}"

    @property
    def found(self) -> str:
        """What was found, as :attr:`wanted` says it; empty if it is not determined."""
        return {CellVerdict.PROVED: HOLDS, CellVerdict.VIOLATED: self.rule}.get(self.verdict, "")

    @property
    def expected(self) -> bool | None:
        """Whether it is as the documents lead one to expect; None: they do not speak of it, or it is not known."""
        return self.found == self.wanted if self.wanted and self.found else None

    @property
    def explored(self) -> bool:
        """Whether it was explored itself."""
        return self.how is How.EXPLORED


def preset_of(proposal: Proposal) -> str:
    """Return the preset of a proposal, with what differs from it."""
    return proposal.name.removeprefix(f"{proposal.policy.name}:")
