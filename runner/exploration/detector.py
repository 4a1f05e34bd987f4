"""The determinism detector: every execution twice, the second compared with the first.

After shuttle's ``uncontrolled_nondeterminism.rs`` and trio's ``test_scheduler_determinism.py``. An actor may depend on
nothing but its messages; one that looks at a clock, at an object's identity or at what another world left behind makes
replays diverge and lets a search miss schedules or report ones that do not exist. What is the same twice may still be
different in another process: the order of a set of strings, for one, depends on PYTHONHASHSEED.
"""

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any, ClassVar, NamedTuple

from longpin.actors.base import Actor
from longpin.messages.codec import CodecError, Encoder, decode
from longpin.messages.envelope import Address, Envelope
from longpin.runner.engines.engine import InternalError
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.exploration.canonical import OpaqueError, canonical
from longpin.runner.oracles.base import Oracle
from longpin.runner.oracles.replay import shown

LIKELY_CAUSES = (
    "An actor uses something that is not in its messages and not in its own state. Likely causes: a clock; id() or "
    "hash() of an object, or a text that holds an object's address; the order of a set of objects; a counter, a cache "
    "or a list that outlives the world, such as a module's global, a class attribute or an argument that several "
    "worlds share; random numbers that Actor.random did not give; a file, a thread or another process."
)

MOST_ARRIVALS = 1_000_000
"""Arrivals after which :func:`check_determinism` lets an execution be; as many are compared."""


class NondeterminismError(Exception):
    """The same decisions led to something else the second time."""

    def __init__(self, number: int, first: str, second: str) -> None:
        super().__init__(f"arrival {number}: the first time {first}; the second time {second}. {LIKELY_CAUSES}")
        self.number = number
        """The arrival that was about to be chosen, from 1."""
        self.first = first
        self.second = second


Told = bytes | str
"""A message: its encoding, or its repr if it has none."""


class Choice(NamedTuple):
    """One choice of an arrival."""

    ready: tuple[tuple[Address, Told], ...]
    """Who was ready, and the oldest message of each."""
    decision: int | None


class Number(NamedTuple):
    """One random number."""

    actor: Address
    ordinal: int
    bound: int
    number: int


class Detector:
    """Wraps an oracle: odd executions are recorded, even ones follow the record and are compared with it.

    The worlds of both must be alive at the same time, or the second gets the memory of the first, and with it the
    identities of its objects.
    """

    name: ClassVar[str] = "detector"

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self._recording = False
        self._record: list[Choice | Number] = []
        self._place = 0
        """How much of the record the second execution has repeated."""
        self._arrivals = 0
        self._encoder = Encoder()
        self._kept: list[Envelope] = []
        """Messages whose repr may hold the address of an object, which must not be used again."""

    def new_execution(self) -> None:
        """Begin to record, or to compare.

        Raises:
            NondeterminismError: the second execution, which was the last one, ended too early.

        """
        if not self._recording:
            self.expect_end()
            self._record.clear()
            self._kept.clear()
            self.oracle.new_execution()
        self._recording = not self._recording
        self._place = self._arrivals = 0

    def expect_end(self) -> None:
        """Make sure that the second execution has done all that the first did; nothing to do after a first one.

        Raises:
            NondeterminismError: it has not.

        """
        if not self._recording and self._place < len(self._record):
            raise NondeterminismError(self._arrivals + 1, _said(self._record[self._place]), "it was over")

    def next_arrival(self, ready: Sequence[Actor]) -> int | None:
        """Ask the oracle, or do what it said the first time.

        Raises:
            NondeterminismError: others are ready, or they have something else to say.

        """
        self._arrivals += 1
        now = tuple((actor.address, self._told(actor.outbox[0])) for actor in ready)
        if self._recording:
            decision = self.oracle.next_arrival(ready)
            self._record.append(Choice(now, decision))
            return decision
        before = self._next()
        if not isinstance(before, Choice):
            raise NondeterminismError(self._arrivals, _said(before), _said(Choice(now, None)))
        if before.ready != now:
            raise NondeterminismError(self._arrivals, *_difference(before.ready, now))
        return before.decision

    def next_random(self, actor: Address, count: int, bound: int) -> int:
        """Ask the oracle, or return what it said the first time.

        Raises:
            NondeterminismError: the first time another number was asked for here, or none.

        """
        if self._recording:
            number = self.oracle.next_random(actor, count, bound)
            self._record.append(Number(actor, count, bound, number))
            return number
        before = self._next()
        if not isinstance(before, Number) or before[:3] != (actor, count, bound):
            raise NondeterminismError(self._arrivals, _said(before), _said(Number(actor, count, bound, 0)))
        return before.number

    def _next(self) -> Choice | Number | None:
        """Return what the first execution did next, None if it had ended."""
        if self._place == len(self._record):
            return None
        self._place += 1
        return self._record[self._place - 1]

    def _told(self, envelope: Envelope) -> Told:
        try:
            return self._encoder.encode(0, envelope)
        except TypeError:
            self._kept.append(envelope)
            return repr(envelope)


def _said(what: Choice | Number | None) -> str:
    match what:
        case None:
            return "it was over"
        case Number():
            return f"{what.actor} asked for its random number {what.ordinal}, below {what.bound}"
        case Choice():
            return f"the next message of {', '.join(address for address, _ in what.ready)} could arrive"


def _difference(before: tuple[tuple[Address, Told], ...], now: tuple[tuple[Address, Told], ...]) -> tuple[str, str]:
    """Return the first difference of two sequences of ready actors, in words for either side."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(before, now, strict=False))
    place = sum(1 for _ in same)
    return _entry(before, place), _entry(now, place)


def _entry(ready: tuple[tuple[Address, Told], ...], place: int) -> str:
    if place == len(ready):
        return f"nobody but {', '.join(address for address, _ in ready)} had sent anything"
    told = ready[place][1]
    if isinstance(told, str):
        return told
    try:
        return shown(decode(told)[1])
    except CodecError as error:
        return f"{ready[place][0]} sent a message that no trace could hold ({error})"


def check_determinism(
    build: Callable[[Any], object],
    oracle: Oracle,
    *,
    racy: bool = False,
    seed: int = 0,
    most: int = MOST_ARRIVALS,
) -> None:
    """Build a world twice, let ``oracle`` run the first and its decisions the second, and compare.

    Compared are, at every arrival, who is ready and with what message, the random numbers asked for, the exception that
    ends a run if one does, and at the end the state of every actor that has a canonical form.

    Args:
        build: creates the actors and sends the first messages.
        oracle: chooses the order; one execution of it is used.
        racy: timers may fire at any time.
        seed: what the engine derives random numbers from if no oracle is asked.
        most: arrivals after which a run that is not quiet is let be.

    Raises:
        NondeterminismError: the two differ.

    """
    detector = Detector(oracle)
    # Both worlds stay alive to the end: see Detector.
    first, ended = _run(build, detector, racy, seed, most)
    states = _states(first)
    second, ended_again = _run(build, detector, racy, seed, most)
    if ended != ended_again:
        raise NondeterminismError(second.arrivals, ended or "no handler failed", ended_again or "no handler failed")
    detector.expect_end()
    states_again = _states(second)
    for address in states | states_again:
        if states.get(address) != states_again.get(address):
            what = f"{address} came to rest in one state"
            raise NondeterminismError(second.arrivals, what, "in another, although all messages were the same")


def _run(
    build: Callable[[Any], object], detector: Detector, racy: bool, seed: int, most: int
) -> tuple[SteppedEngine, str]:
    """Run a world; return it, and what ended it if a handler failed."""
    engine = SteppedEngine(detector, racy=racy, seed=seed)
    build(engine)
    try:
        engine.run(most)
    except InternalError as error:
        # A difference found while a handler asked for a random number reaches us as that handler's failure.
        if isinstance(error.__cause__, NondeterminismError):
            raise error.__cause__ from None
        return engine, str(error)
    return engine, ""


def _states(engine: SteppedEngine) -> dict[Address, object]:
    """Return the state of each actor; of one without a canonical form only that it is there."""
    states: dict[Address, object] = {}
    for address, actor in engine.actors.items():
        try:
            states[address] = canonical(actor)
        except OpaqueError:
            states[address] = "opaque"
    return states
