"""The decisions of a schedule under another policy: followed as far as they go, and then first in, first out.

A *decision* names the sender whose oldest message arrives. It can be followed if that actor has something to send,
whatever that is: an address depends on no schedule and on no policy, a message on both. With a number among what is
enabled a decision would mean somebody else as soon as one actor more has something to send.

A policy may have the kernel take a step more for the same call, such as a turn in a run queue before it remembers
something. That is no decision of anybody's, so if the sender has nothing to send yet, the kernel first goes on with
what it is at. No process does: that another one goes on is what decisions are about.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, NamedTuple

from longpin.actors.base import Actor
from longpin.messages.codec import decode
from longpin.messages.envelope import Address
from longpin.messages.trace import TraceReader
from longpin.runner.engines.engine import ALARM
from longpin.runner.exploration.result import BrokenRule, Failure
from longpin.runner.oracles.base import derived_random
from longpin.runner.result import Result
from longpin.runner.run import run
from longpin.runner.subject import Subject

PROCESS = "process:"
RUN_QUEUE = "run_queue:"
"""What the addresses of processes begin with, and those of the queues in which they, or the kernel, wait for a turn."""


class AsFarAs:
    """Follows decisions up to the first that cannot be, and lets go first from then on who has waited longest.

    Time moves then only when nothing else can happen, whatever the timers: every other choice would be a decision.

    Args:
        decisions: whose oldest message arrives, arrival by arrival; no more of them are asked for than are needed.
        seed: of the actors' random numbers in the run that is followed.
        skipping: leave out a decision that cannot be followed, and go on with those after it.

    """

    name: ClassVar[str] = "decisions"

    def __init__(self, decisions: Iterable[Address], seed: int = 0, *, skipping: bool = False) -> None:
        self.seed = seed
        self.skipping = skipping
        self.followed = 0
        """The number of the last decision that could be followed, from 1; 0: none could."""
        self.until = 0
        """The number of the arrival that it was; there may be arrivals between of which there is no decision."""
        self._decisions = iter(decisions)
        self._decision: Address | None = None
        """The next one."""
        self._read = 0
        self._arrivals = 0
        self.left = False
        """There are no more decisions, or the next one cannot be followed."""
        self._last: tuple[Address, ...] = ()
        """Who may be at it: the receiver of the last message, and its sender."""

    def new_execution(self) -> None:
        """One object is one execution."""

    def next_arrival(self, ready: Sequence[Actor]) -> int:
        """Choose."""
        self._arrivals += 1
        places = {actor.address: place for place, actor in enumerate(ready)}
        index = self._decided(places)
        if index is None:
            index = next((place for address, place in places.items() if address != ALARM), 0)
        envelope = ready[index].outbox[0]
        self._last = (envelope.dst, envelope.src)
        return index

    def _decided(self, places: Mapping[Address, int]) -> int | None:
        """Return who goes by the next decision, or before it; None: there is none, or it cannot be followed."""
        while not self.left:
            if self._decision is None:
                self._decision = next(self._decisions, None)
                self._read += 1
            if self._decision is None:
                break
            if self._decision in places:
                address, self._decision = self._decision, None
                self.followed, self.until = self._read, self._arrivals
                return places[address]
            for address in self._last:
                if address in places and not _decides(address):
                    return places[address]
            self._decision, self.left = None, not self.skipping
        self.left = True
        return None

    def next_random(self, actor: Address, count: int, bound: int) -> int:
        """Return the number the run had that is followed."""
        return derived_random(self.seed, actor, count, bound)


def _decides(address: Address) -> bool:
    """Return whether an actor is none of the kernel's: a process, whose turn it is, or time."""
    return address == ALARM or address.removeprefix(RUN_QUEUE).startswith(PROCESS)


class Elsewhere(NamedTuple):
    """A run that followed decisions of another policy's."""

    result: Result
    """What it shows, up to where nothing can happen any more."""
    decisions: tuple[Address, ...]
    """Its own, to the end."""
    followed: int
    """The number of the last decision that could be followed, from 1."""
    skipped: bool
    """Those that could not be were left out; else the first of them was the end."""
    trace: bytes
    """It, whole, as a file holds it."""

    @property
    def failure(self) -> Failure | None:
        """Return the first rule that is violated, with the decisions up to there; None: none is."""
        if not self.result.violations:
            return None
        first = self.result.violations[0]
        return Failure(BrokenRule(first.detail, first.rule, first.site), self.decisions[: first.arrival])


def follow_elsewhere(subject: Subject, decisions: Sequence[Address]) -> Elsewhere:
    """Follow decisions that were made under another policy; return a run in which a rule is violated, if one is.

    They are followed up to the first that cannot be. If no rule is violated then, they are followed once more, without
    those that cannot be: where policies have dialects of their own, a program makes a call less than it made there.

    Args:
        subject: the same scenario, under the policy that is asked about.
        decisions: whose oldest message arrives, arrival by arrival.

    Raises:
        InternalError: a handler raised; its exception is the cause.

    """
    made = _follow(subject, decisions, skipping=False)
    if made.result.violations or made.followed == len(decisions):
        return made
    again = _follow(subject, decisions, skipping=True)
    return again if again.result.violations else made


def _follow(subject: Subject, decisions: Sequence[Address], *, skipping: bool) -> Elsewhere:
    written = io.BytesIO()
    oracle = AsFarAs(decisions, subject.settings.seed, skipping=skipping)
    result = run(subject.scenario, subject.settings, written, oracle)
    its = tuple(decode(payload)[1].src for _, payload in TraceReader(written))
    return Elsewhere(result, its, oracle.followed, skipping, written.getvalue())
