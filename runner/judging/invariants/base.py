"""What every rule is: a judgement of one actor right after an arrival, and of all actors when the world is quiet.

A rule keeps nothing between two looks, and what it finds after an arrival follows from the receiver's state and the
message alone. So it means the same to a run, which looks at every arrival, and to an exploration, which looks at each
step of an actor once, in however many schedules it occurs.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar, NamedTuple

from longpin.actors.base import Actor
from longpin.actors.policies.proposal import Proposal
from longpin.messages.envelope import Address, Envelope

Actors = Mapping[Address, Actor]


class Finding(NamedTuple):
    """A rule that does not hold."""

    rule: str
    site: str
    """What it is about, without what differs between two schedules that show the same: numbers of blocks, arrivals."""
    detail: str


class Means(NamedTuple):
    """How somebody came by the memory that it accesses, in words of findings."""

    through: str
    took: str
    """What it did."""


_MEANS = {"m2p": Means("its frame table", "learned")}
"""By the kind of what the access goes through."""


def means_of(region: Address) -> Means:
    """Return how a device came by memory: by a pin, or by what it was told once."""
    return _MEANS.get(region.partition(":")[0], Means("its pin", "pinned"))


class Invariant:
    """One rule under one policy."""

    rule: ClassVar[str]
    """Its name in the specification."""
    summary: ClassVar[str]
    source: ClassVar[str]
    warns: ClassVar[bool] = False
    """Where a scenario does not ask for it, what it finds after an arrival is a warning."""

    def __init__(self, proposal: Proposal) -> None:
        self.policy = proposal.policy
        self.policy_name = proposal.name

    def after(self, actor: Actor, envelope: Envelope) -> Iterable[Finding]:
        """Look at ``actor``, which has just handled ``envelope``."""
        return ()

    def quiet(self, actors: Actors) -> Iterable[Finding]:
        """Look at a world in which nothing can happen any more."""
        return ()

    def found(self, site: str, detail: str) -> Finding:
        """Return a finding of this rule."""
        return Finding(self.rule, site, detail)
