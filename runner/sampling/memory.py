"""A world that remembers what handlers do: the stepped engine's arrivals, over the steps that exploration keeps.

A handler is a function of its actor's state and the message, and after some hundred schedules hardly a pair of these
is new. So a step is looked up (``exploration/table.py``), no actor is made, and no handler runs. An oracle
sees the same senders in the same order as in :class:`~longpin.runner.engines.stepped.SteppedEngine` and so takes the
same decisions: which of the two runs a schedule changes nothing but the time it takes.

What cannot be remembered, or not with the order it happened in, raises :class:`UnrememberableError`, and the stepped
engine does that run.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, cast

from longpin.actors.base import Actor
from longpin.messages.envelope import Address, Envelope
from longpin.runner.engines.engine import InternalError
from longpin.runner.exploration.budget import Budget, OutOfBudgetError
from longpin.runner.exploration.explorer import Build
from longpin.runner.exploration.replay import Always, Marks
from longpin.runner.exploration.table import (
    ALARM_ACTOR,
    DROP_ALARM,
    KEEP_ALARM,
    WORLD_ACTOR,
    Cell,
    Origin,
    Spawned,
    Table,
)
from longpin.runner.oracles.base import Oracle

MOST_STATES = 20_000
"""States of actors kept; then a memory is full."""

FIRST_LOOK = 1_000
"""Steps computed before it is first asked whether remembering is worth it, and again at every doubling."""

WORTH_IT = 10
"""Arrivals there must have been for each step computed, in the long run: computing takes that many times as long as
running a handler. At the first look it is a fifth of that, as everything was new."""

NO_STATE = -1


class UnrememberableError(Exception):
    """This world does something that is no function of an actor's state and a message, or whose order is lost."""


class WatchedCell(Cell):
    """A cell that also notes what a step does not keep."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.asked_random = False
        self.posted_before_alarm = 0

    def set_alarm(self, actor: Actor, deadline: float | None) -> None:
        """Note how much had been sent before."""
        super().set_alarm(actor, deadline)
        self.posted_before_alarm = len(self.posted)

    def choose_random(self, actor: Address, count: int, bound: int) -> int:
        """Note it: random numbers differ from seed to seed."""
        self.asked_random = True
        return super().choose_random(actor, count, bound)


class WatchedTable(Table):
    """A table that says of the last step computed what the step does not keep."""

    asked_random = False
    """An actor asked for a random number, ever."""
    alarm_first = False
    """The last step set the alarm before it sent anything."""

    def _new(self, origin: Origin) -> Cell:
        cell = WatchedCell(self.seed)
        cell.actor = origin.kind(cell, origin.address, *origin.args)
        self.asked_random = self.asked_random or cell.asked_random
        return cell

    def _feed(self, cell: Cell, message: int) -> None:
        super()._feed(cell, message)
        assert isinstance(cell, WatchedCell)
        self.asked_random = self.asked_random or cell.asked_random
        self.alarm_first = bool(cell.deadline) and not cell.posted_before_alarm


class More(NamedTuple):
    """What a step does besides changing a state and sending."""

    alarm: int
    alarm_first: bool
    """The alarm was set before anything was sent."""
    spawned: tuple[Spawned, ...]
    failure: Exception | None
    marks: frozenset[str]


class ReadyStep(NamedTuple):
    """A step, ready to be taken."""

    state: int
    numbers: tuple[int, ...]
    envelopes: tuple[Envelope, ...]
    more: More | None


class Sender:
    """What an oracle sees of an actor."""

    __slots__ = ("address", "numbers", "outbox", "state")

    def __init__(self, address: Address) -> None:
        self.address = address
        self.outbox: deque[Envelope] = deque()
        self.numbers: deque[int] = deque()
        """The table's numbers of what is in the outbox."""
        self.state = NO_STATE


class RememberedEnd(NamedTuple):
    """How a remembered run ended."""

    quiet: bool
    failure: Exception | None
    states: tuple[int, ...]
    """The state of each actor, by its number in the table."""
    marks: frozenset[str]
    """What is to be seen in its steps."""


class StepMemory:
    """Runs worlds, each step from memory if it was taken before.

    Raises:
        UnrememberableError: the world cannot be remembered.

    """

    def __init__(
        self,
        build: Build,
        always: Always | None,
        marks: Marks | None,
        *,
        racy: bool,
        most_bytes: int | None = None,
    ) -> None:
        self.racy = racy
        self._budget = Budget(memory=most_bytes)
        self.table = WatchedTable(build, always=always, marks=marks)
        self.arrivals = 0
        """In all runs that have ended."""
        self.computed = 0
        """Steps that were not in memory."""
        self._look = FIRST_LOOK
        self._seen: set[str] = set()
        """What is to be seen in the steps of the run under way."""
        self._moves: list[dict[int, ReadyStep]] = [{} for _ in self.table.steps]
        """By state, then by message."""
        self._need(not any(first.sends for first in self.table.first), "an actor sends while it is made")

    @property
    def full(self) -> bool:
        """Return whether it is time to begin with another memory."""
        return len(self.table.steps) >= MOST_STATES

    def run(self, oracle: Oracle, most: int, arrived: list[Envelope]) -> RememberedEnd:
        """Do what :meth:`longpin.runner.engines.stepped.SteppedEngine.run` does, and note in ``arrived`` who went.

        Raises:
            InternalError: the actors share state, or send to somebody who does not exist.
            UnrememberableError: the stepped engine has to do it.

        """
        table, moves, choose = self.table, self._moves, oracle.next_arrival
        receiver_of = table.receiver
        senders: list[Sender] = []
        ready: list[Sender] = []
        self._seen.clear()
        self._enlarge(senders)
        world, alarm = senders[WORLD_ACTOR], senders[ALARM_ACTOR]
        for actor, state, _ in table.first:
            senders[actor].state = state
        if table.told:
            world.numbers.extend(table.told)
            world.outbox.extend([table.envelopes[number] for number in table.told])
            ready.append(world)
        ready_actors = cast("Sequence[Actor]", ready)  # a Sender has all that an oracle may look at
        failure: Exception | None = None
        while failure is None and (ready or alarm.numbers):
            if not ready:
                ready.append(alarm)
            index = choose(ready_actors)
            if index is None or len(arrived) == most:
                break
            sender = ready.pop(index)
            arrived.append(sender.outbox.popleft())
            number = sender.numbers.popleft()
            if sender.numbers:
                ready.append(sender)
            receiver = senders[receiver_of[number]]
            state = receiver.state
            if state == NO_STATE:
                raise InternalError(f"{receiver.address} does not exist: {table.envelopes[number]}")
            if (move := moves[state].get(number)) is None:
                move = self._compute(state, number, self.arrivals + len(arrived))
                self._enlarge(senders)
            receiver.state = move.state
            if move.more is not None:
                failure = self._take_more(move, receiver, senders, ready)
            elif move.numbers:
                if not receiver.numbers:
                    ready.append(receiver)
                receiver.numbers.extend(move.numbers)
                receiver.outbox.extend(move.envelopes)
        self.arrivals += len(arrived)
        quiet = failure is None and not ready and not alarm.numbers
        return RememberedEnd(quiet, failure, tuple([sender.state for sender in senders]), frozenset(self._seen))

    def _take_more(
        self, move: ReadyStep, receiver: Sender, senders: list[Sender], ready: list[Sender]
    ) -> Exception | None:
        """Send, set the alarm and create actors, in the order in which the handler did, where it can be told."""
        assert move.more is not None
        more = move.more
        self._seen |= more.marks
        if more.alarm != KEEP_ALARM and more.alarm_first:
            self._set_alarm(more.alarm, senders[ALARM_ACTOR], ready)
        if move.numbers:
            if not receiver.numbers:
                ready.append(receiver)
            receiver.numbers.extend(move.numbers)
            receiver.outbox.extend(move.envelopes)
        if more.alarm != KEEP_ALARM and not more.alarm_first:
            self._set_alarm(more.alarm, senders[ALARM_ACTOR], ready)
        for actor, state, _ in more.spawned:
            self._need(senders[actor].state == NO_STATE, "two actors have one address")
            senders[actor].state = state
        return more.failure

    def _set_alarm(self, number: int, alarm: Sender, ready: list[Sender]) -> None:
        if alarm.numbers and self.racy:
            ready.remove(alarm)
        alarm.numbers.clear()
        alarm.outbox.clear()
        if number != DROP_ALARM:
            alarm.numbers.append(number)
            alarm.outbox.append(self.table.envelopes[number])
            if self.racy:
                ready.append(alarm)

    def _compute(self, state: int, number: int, arrivals: int) -> ReadyStep:
        """Return a step that is not in memory, and keep it."""
        table, moves = self.table, self._moves
        try:
            self._budget.check()
        except OutOfBudgetError:
            raise UnrememberableError("its states are too large to be kept") from None
        self.computed += 1
        if self.computed == self._look:
            wanted = min(WORTH_IT, WORTH_IT * self.computed / (5 * FIRST_LOOK))
            self._need(arrivals >= wanted * self.computed, "nearly every step is new")
            self._look *= 2
        step = table.step(state, number)
        self._need(not any(spawned.sends for spawned in step.spawned), "an actor sends while it is made")
        self._need(not table.asked_random, "an actor asks for random numbers")
        self._need(not table.opaque, "an actor holds what has no canonical form")
        more = None
        if step.alarm != KEEP_ALARM or step.spawned or step.failure is not None or step.marks:
            more = More(step.alarm, table.alarm_first, step.spawned, step.failure, step.marks)
        move = ReadyStep(step.state, step.sends, tuple([table.envelopes[sent] for sent in step.sends]), more)
        moves.extend({} for _ in range(len(moves), len(table.steps)))
        moves[state][number] = move
        return move

    def _enlarge(self, senders: list[Sender]) -> None:
        """Make room for actors heard of for the first time."""
        senders.extend(map(Sender, self.table.addresses[len(senders) :]))

    @staticmethod
    def _need(condition: bool, otherwise: str) -> None:
        if not condition:
            raise UnrememberableError(otherwise)
