"""One schedule under way: arrivals that can be taken back, and which of them happened before which.

This is the arrival model of :mod:`longpin.runner.engines.stepped` over numbered states (``table.py``):
every actor has an outbox, and an event is the arrival of the oldest message of one of them. Taking an event back
restores two numbers and the ends of two lists, so a search never runs a prefix twice.

Words that the searches use:

* a *process* is what has a next event: an outbox;
* an event's *place* says what it conflicts with: ``conflicts[place]`` is the bit set of the places that do. Here the
  place is the receiver, and conflicts with itself only;
* an event's *clock* is the bit set of the events that happened before it, and itself. These are the arrivals of what
  the same outbox sent before, the arrival in which it was sent, earlier arrivals at conflicting places, and all that
  happened before those;
* a *race* of an event is an earlier one, in conflict, that happened before it for no other reason: the two could have
  come the other way round.

A lazy alarm goes off when nothing else can happen, so all events happened before it. A racy one is a process like any
other, with one difference: an arrival at the clock can withdraw its tick. The tick that did not come is remembered as
a *ghost* race of that arrival, because no event stands for it.
"""

from longpin.messages.envelope import Address
from longpin.runner.engines.engine import InternalError
from longpin.runner.exploration.keys import PlaceKey, ProcessKey
from longpin.runner.exploration.table import ALARM_ACTOR, KEEP_ALARM, WORLD_ACTOR, Table

NOBODY = -1
"""The state of an actor that does not exist, the tick of an alarm that is not set, the event before the first."""


class Path:
    """A schedule that starts where the world starts and is extended and shortened at its end."""

    def __init__(self, table: Table, *, racy: bool = False) -> None:
        self.table = table
        self.racy = racy
        self.process: list[int] = []
        """By event: whose message arrived."""
        self.place: list[int] = []
        self.clock: list[int] = []
        self.races: list[list[int]] = []
        self.ghost: list[bool] = []
        """By event: it withdrew a tick that could have come instead."""
        self.conflicts: list[int] = []
        self.failure: Exception | None = None
        """What the last event's handler raised."""
        self.marked: list[tuple[int, frozenset[str]]] = []
        """The events in which something is to be seen, with what that is."""
        self.local: list[int] = []
        """The state of each actor."""
        self._undo: list[tuple[int, ...]] = []
        self._sent: list[list[int]] = []
        self._origin: list[list[int]] = []
        """By actor: the event in which each message it sent was sent."""
        self._arrived: list[int] = []
        self._by: list[int] = []
        """By actor: the last event that was an arrival of a message it sent."""
        self._at: list[int] = []
        """By actor: the last event that was an arrival at it."""
        self._ready = 0
        """The bit set of actors whose outbox is not empty."""
        self._tick = self._tick_origin = NOBODY
        self._first = sum(1 << created.actor for created in table.first) | 1 << WORLD_ACTOR | 1 << ALARM_ACTOR
        """The bit set of those that are there from the start: every table gives them the same numbers."""
        self._grow()
        for actor, state, sends in table.first:
            self._create(actor, state, sends, NOBODY)
        if table.told:  # a world in which nothing can happen is one, too
            self._append(WORLD_ACTOR, table.told, NOBODY)

    def ready(self, besides: dict[int, int]) -> int:
        """Return a process that has a next event and is not among ``besides``, NOBODY if there is none."""
        ready = self._ready
        if self._tick != NOBODY and (self.racy or not ready):
            ready |= 1 << ALARM_ACTOR
        for process in besides:
            ready &= ~(1 << process)
        if (first := ready & self._first) or not ready:
            return first.bit_length() - 1
        # The numbers of the others depend on what the table was asked before; the choice must not.
        others = [process for process in range(ready.bit_length()) if ready >> process & 1]
        return max(others, key=self.table.addresses.__getitem__)

    def all_ready(self) -> list[int]:
        """Return every process that has a next event."""
        found: dict[int, int] = {}
        while (process := self.ready(found)) != NOBODY:
            found[process] = 0
        return list(found)

    def pending(self) -> list[int]:
        """Return every process that has a next event, now or later."""
        return self.all_ready()

    def actor_of(self, process: int) -> int:
        """Return whose messages a process lets arrive."""
        return process

    def next_place(self, process: int) -> int:
        """Return the place of a ready process's next event."""
        return self.table.receiver[self.next_message(process)]

    def next_message(self, process: int) -> int:
        """Return the message of a ready process's next event."""
        return self._tick if process == ALARM_ACTOR else self._sent[process][self._arrived[process]]

    def push(self, process: int) -> None:
        """Let the next event of a ready process happen.

        Raises:
            InternalError: the message is for an actor that does not exist.

        """
        clock, by, event = self.clock, self._by, len(self.clock)
        tick, tick_origin = self._tick, self._tick_origin
        if process == ALARM_ACTOR:
            message, origin = tick, tick_origin
            self._tick = NOBODY
        else:
            arrived = self._arrived[process]
            message, origin = self._sent[process][arrived], self._origin[process][arrived]
            self._arrived[process] = arrived = arrived + 1
            if arrived == len(self._sent[process]):
                self._ready &= ~(1 << process)
        receiver = self.table.receiver[message]
        before = 0 if origin == NOBODY else clock[origin]
        if (last := by[process]) != NOBODY:
            before |= clock[last]
        if process == ALARM_ACTOR and not self.racy:
            before = (1 << event) - 1
        previous = self._at[receiver]
        races: list[int] = []
        if previous != NOBODY:
            if not before >> previous & 1:
                races.append(previous)
            before |= clock[previous]
        clock.append(before | 1 << event)
        self.process.append(process)
        self.place.append(receiver)
        self.races.append(races)
        state = self.local[receiver]
        if state == NOBODY:
            raise InternalError(f"{self.table.addresses[receiver]} does not exist: {self.table.envelopes[message]}")
        # What push changes and pop puts back, in the order in which pop unpacks it.
        sent = len(self._sent[receiver])
        self._undo.append((process, receiver, state, sent, last, previous, tick, tick_origin))
        step = self.table.steps[state].get(message) or self.table.step(state, message)
        self.local[receiver] = step.state
        by[process] = self._at[receiver] = event
        if step.sends:
            self._append(receiver, step.sends, event)
        if step.marks:
            self.marked.append((event, step.marks))
        for created in step.spawned:
            self._create(*created, event)
        if step.alarm != KEEP_ALARM:
            self._tick, self._tick_origin = max(step.alarm, NOBODY), event
        self.ghost.append(self.racy and tick != NOBODY and step.alarm != KEEP_ALARM and process != ALARM_ACTOR)
        self.failure = step.failure

    def pop(self) -> None:
        """Take the last event back."""
        process, receiver, state, sent, by, at, self._tick, self._tick_origin = self._undo.pop()
        self.clock.pop()
        self.process.pop()
        self.place.pop()
        self.races.pop()
        self.ghost.pop()
        if self.marked and self.marked[-1][0] == len(self.clock):
            self.marked.pop()
        for created in self.table.step(state, self._message_of(process)).spawned:
            self._remove(created.actor)
        self.local[receiver] = state
        del self._sent[receiver][sent:]
        del self._origin[receiver][sent:]
        self._by[process] = by
        self._at[receiver] = at
        if process != ALARM_ACTOR:
            self._arrived[process] -= 1
            self._ready |= 1 << process
        if self._arrived[receiver] == sent:
            self._ready &= ~(1 << receiver)
        self.failure = None

    def decisions(self, _event: int | None = None) -> tuple[Address, ...]:
        """Return who was let go, arrival by arrival: an order that really shows every event."""
        return tuple(self.table.addresses[process] for process in self.process)

    def key(self, process: int) -> ProcessKey:
        """Return what every searcher calls a process."""
        return self.table.addresses[process]

    def known(self, key: ProcessKey) -> int:
        """Return the number of a process."""
        assert isinstance(key, str)
        number = self.table.number(key)
        self._grow()
        return number

    def place_key(self, place: int) -> PlaceKey:
        """Return what every searcher calls a place."""
        return self.table.addresses[place], None, ()

    def known_place(self, key: PlaceKey) -> int:
        """Return the number of a place."""
        return self.known(key[0])

    def _message_of(self, process: int) -> int:
        """Return the message of the event that is being taken back."""
        return self._tick if process == ALARM_ACTOR else self._sent[process][self._arrived[process] - 1]

    def _append(self, actor: int, sends: tuple[int, ...], event: int) -> None:
        self._sent[actor] += sends
        self._origin[actor] += (event,) * len(sends)
        self._ready |= 1 << actor
        if len(self.table.addresses) > len(self.local):
            self._grow()

    def _create(self, actor: int, state: int, sends: tuple[int, ...], event: int) -> None:
        self._grow()
        if self.local[actor] != NOBODY:
            raise InternalError(f"a second actor would have the address {self.table.addresses[actor]}")
        self.local[actor] = state
        if sends:
            self._append(actor, sends, event)

    def _remove(self, actor: int) -> None:
        self.local[actor] = NOBODY
        self._sent[actor].clear()
        self._origin[actor].clear()
        self._ready &= ~(1 << actor)

    def _grow(self) -> None:
        """Make room for actors heard of for the first time."""
        for actor in range(len(self.local), len(self.table.addresses)):
            self.local.append(NOBODY)
            self._sent.append([])
            self._origin.append([])
            self._arrived.append(0)
            self._by.append(NOBODY)
            self._at.append(NOBODY)
            self.conflicts.append(1 << actor)
