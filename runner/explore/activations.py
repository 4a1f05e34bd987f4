"""A schedule in which messages to one actor commute as their footprints declare.

Two handlers may commute in the state of their actor and still order what they send: with one outbox for the actor,
what the first sends arrives first. Calling them independent all the same would lose schedules. So here the outbox
belongs to the *activation*, one handled arrival, and is a process of its own. An activation waits until what an
earlier one of the same actor sent has arrived, if their footprints conflict or the earlier arrival happened before
the later one. Otherwise the two could have been handled the other way round, and what they send arrives in any order.

Every order of arrivals that threads can show is a schedule here. The reverse does not hold in full: two activations
may mix what they send, and orders at several actors may contradict each other. So :meth:`ActivationPath.decisions`
looks for an order of arrivals that an outbox for each actor allows and that nobody can tell from this schedule; if
there is none, what the schedule shows cannot happen, and it is no failure.

The words of :mod:`longpin.runner.explore.path` hold. The place of an event is its receiver with its footprint.
"""

from longpin.messages.envelope import Address, Footprint
from longpin.runner.engine import InternalError
from longpin.runner.explore.footprints import Comparison, body_footprint, conflict
from longpin.runner.explore.path import NOBODY
from longpin.runner.explore.realize import Arrival, realize
from longpin.runner.explore.table import ALARM_ACTOR, KEEP_ALARM, WORLD_ACTOR, Spawned, Table


class Activation:
    """What one handled arrival sent."""

    __slots__ = ("actor", "after", "arrived", "event", "last", "name", "sends")

    def __init__(self, name: int, actor: int, sends: tuple[int, ...], event: int, after: "list[Activation]") -> None:
        self.name = name
        self.actor = actor
        self.sends = sends
        self.event = event
        """The arrival."""
        self.after = after
        """Earlier activations of the actor that sent something and come first."""
        self.arrived = 0
        self.last = NOBODY
        """The last event that was an arrival of something it sent."""

    @property
    def done(self) -> bool:
        """Return whether all that it sent has arrived."""
        return self.arrived == len(self.sends)


class ActivationPath:
    """A schedule that starts where the world starts and is extended and shortened at its end."""

    def __init__(self, table: Table, *, racy: bool = False, verify: bool = False) -> None:
        self.table = table
        self.racy = racy
        self.comparison = Comparison(table) if verify else None
        self.process: list[int] = []
        self.place: list[int] = []
        self.clock: list[int] = []
        self.races: list[list[int]] = []
        self.ghost: list[bool] = []
        self.conflicts: list[int] = []
        self.failure: Exception | None = None
        self.local: list[int] = []
        self.message: list[int] = []
        """By event: the message that arrived."""
        self._names: dict[tuple[int, int], int] = {}
        """A message by the activation that sent it and its number there; it names the activation it starts."""
        self._places: dict[tuple[int, Footprint | None], int] = {}
        self._asked: dict[tuple[int, Address, int], Footprint | None] = {}
        """The footprint of each request, by receiver, sender and number."""
        self._at: list[list[int]] = []
        """By actor: the arrivals at it."""
        self._active: dict[int, Activation] = {}
        """The activations that sent something, by name."""
        self._by_event: dict[int, Activation] = {}
        self._open: dict[int, Activation] = {}
        """Those of which something has not arrived."""
        self._tick = self._tick_origin = self._last_tick = NOBODY
        self._undo: list[tuple[int, int, int, tuple[Spawned, ...], Activation | None, int, int, int]] = []
        self._grow()
        self._activate(Activation(WORLD_ACTOR, WORLD_ACTOR, table.told, NOBODY, []))
        for created in table.first:
            self._create(created, NOBODY)

    def ready(self, besides: dict[int, int]) -> int:
        """Return a process that has a next event and is not among ``besides``, NOBODY if there is none."""
        quiet = True
        for name, activation in self._open.items():
            if all(earlier.done for earlier in activation.after):
                quiet = False
                if name not in besides:
                    return name
        if self._tick != NOBODY and (self.racy or quiet) and ALARM_ACTOR not in besides:
            return ALARM_ACTOR
        return NOBODY

    def next_place(self, process: int) -> int:
        """Return the place of a ready process's next event."""
        if process == ALARM_ACTOR:
            return self._place(self._tick)
        activation = self._active[process]
        return self._place(activation.sends[activation.arrived])

    def push(self, process: int) -> None:
        """Let the next event of a ready process happen.

        Raises:
            InternalError: the message is for an actor that does not exist.
            FootprintError: it does not commute with another that could arrive now, though both declare it.

        """
        event, table = len(self.clock), self.table
        tick, tick_origin, last_tick = self._tick, self._tick_origin, self._last_tick
        sender = None
        if process == ALARM_ACTOR:
            message, name = tick, self._name(ALARM_ACTOR, self.process.count(ALARM_ACTOR))
            before = self._clock_of(tick_origin) | self._clock_of(last_tick) if self.racy else (1 << event) - 1
            self._tick, self._last_tick = NOBODY, event
            last = NOBODY
        else:
            sender = self._active[process]
            message, name, last = sender.sends[sender.arrived], self._name(process, sender.arrived), sender.last
            before = self._clock_of(sender.event)
            for earlier in (sender, *sender.after):
                before |= self._clock_of(earlier.last)
        receiver, place = table.receiver[message], self._place(message)
        state = self.local[receiver]
        if state == NOBODY:
            raise InternalError(f"{table.addresses[receiver]} does not exist: {table.envelopes[message]}")
        if self.comparison is not None:
            self._verify(process, place, receiver, message)
        if sender is not None:
            sender.arrived += 1
            sender.last = event
            if sender.done:
                del self._open[process]
        races, conflicts = [], self.conflicts[place]
        for other in reversed(self._at[receiver]):
            if conflicts >> self.place[other] & 1:
                if not before >> other & 1:
                    races.append(other)
                before |= self.clock[other]
        clock = before | 1 << event
        envelope = table.envelopes[message]
        if envelope.call > 0:
            self._asked[receiver, envelope.src, envelope.call] = body_footprint(table, message)
        step = table.steps[state].get(message) or table.step(state, message)
        self._grow()
        if step.sends:
            earlier_ones = [
                self._by_event[other]
                for other in self._at[receiver]
                if other in self._by_event and (conflicts >> self.place[other] & 1 or clock >> other & 1)
            ]
            self._activate(Activation(name, receiver, step.sends, event, earlier_ones))
        self._undo.append((process, receiver, state, step.spawned, sender, last, tick, tick_origin))
        self.process.append(process)
        self.message.append(message)
        self.place.append(place)
        self.clock.append(clock)
        self.races.append(races)
        self._at[receiver].append(event)
        self.local[receiver] = step.state
        for created in step.spawned:
            self._create(created, event)
        if step.alarm != KEEP_ALARM:
            self._tick, self._tick_origin = max(step.alarm, NOBODY), event
        self.ghost.append(self.racy and tick != NOBODY and step.alarm != KEEP_ALARM and process != ALARM_ACTOR)
        self.failure = step.failure

    def pop(self) -> None:
        """Take the last event back."""
        process, receiver, state, spawned, sender, last, self._tick, self._tick_origin = self._undo.pop()
        self.clock.pop()
        event = len(self.clock)
        for values in (self.process, self.message, self.place, self.races, self.ghost, self._at[receiver]):
            values.pop()
        for created in spawned:
            self.local[created.actor] = NOBODY
        if (sent := self._by_event.pop(event, None)) is not None:
            del self._active[sent.name]
            del self._open[sent.name]
        self.local[receiver] = state
        if sender is None:
            self._last_tick = next(
                (other for other in reversed(range(event)) if self.process[other] == ALARM_ACTOR), NOBODY
            )
        else:
            sender.arrived -= 1
            sender.last = last
            self._open[process] = sender
        self.failure = None

    def decisions(self) -> tuple[Address, ...] | None:
        """Return whose messages arrive in a real order of arrivals that shows the same; None: there is none.

        What happened after a failure, or beside it, is left out.
        """
        wanted = self.clock[-1] if self.failure is not None and self.clock else (1 << len(self.clock)) - 1
        arrivals = [
            Arrival(
                ALARM_ACTOR if process == ALARM_ACTOR else self._active[process].actor,
                self.clock[event],
                [NOBODY] * len(self._by_event[event].sends) if event in self._by_event else [],
            )
            for event, process in enumerate(self.process)
        ]
        first: dict[int, list[int]] = {}
        for activation in self._active.values():
            if activation.event == NOBODY:
                first[activation.actor] = [NOBODY] * len(activation.sends)
        counts: dict[int, int] = {}
        for event, process in enumerate(self.process):
            if process != ALARM_ACTOR:
                number = counts[process] = counts.get(process, -1) + 1
                activation = self._active[process]
                sends = first[activation.actor] if activation.event == NOBODY else arrivals[activation.event].sends
                sends[number] = event
        receivers = [self.table.receiver[message] for message in self.message]
        order = realize(arrivals, receivers, first, wanted, lazy=not self.racy)
        if order is None:
            return None
        return tuple(self.table.addresses[arrivals[event].sender] for event in order)

    def _verify(self, process: int, place: int, receiver: int, message: int) -> None:
        assert self.comparison is not None
        for name, other in self._open.items():
            if name != process and all(earlier.done for earlier in other.after):
                rival = other.sends[other.arrived]
                rival_place = self._place(rival)  # may be a new one, and add to conflicts
                if self.table.receiver[rival] == receiver and not self.conflicts[place] >> rival_place & 1:
                    self.comparison.compare(self.local[receiver], message, rival)

    def _clock_of(self, event: int) -> int:
        return 0 if event == NOBODY else self.clock[event]

    def _name(self, activation: int, number: int) -> int:
        """Return the name of a message; 0 and 1 are those of the world and the alarm."""
        return self._names.setdefault((activation, number), len(self._names) + 2)

    def _place(self, message: int) -> int:
        table, envelope = self.table, self.table.envelopes[message]
        receiver = table.receiver[message]
        if envelope.call >= 0:
            footprint = body_footprint(table, message)
        else:
            request = table.calls[self.local[receiver]].get(-envelope.call)
            footprint = None if request is None else self._asked.get((receiver, *request))
        if (place := self._places.get((receiver, footprint))) is None:
            place = self._places[receiver, footprint] = len(self.conflicts)
            self.conflicts.append(0)
            for (actor, other), number in self._places.items():
                if actor == receiver and conflict(footprint, other):
                    self.conflicts[place] |= 1 << number
                    self.conflicts[number] |= 1 << place
        return place

    def _activate(self, activation: Activation) -> None:
        if activation.sends:
            self._active[activation.name] = self._open[activation.name] = activation
            if activation.event != NOBODY:
                self._by_event[activation.event] = activation

    def _create(self, created: Spawned, event: int) -> None:
        if self.local[created.actor] != NOBODY:
            raise InternalError(f"a second actor would have the address {self.table.addresses[created.actor]}")
        if created.sends:
            raise InternalError(
                f"{self.table.addresses[created.actor]} sends before it receives: footprints cannot say"
            )
        self.local[created.actor] = created.state

    def _grow(self) -> None:
        for _ in range(len(self.local), len(self.table.addresses)):
            self.local.append(NOBODY)
            self._at.append([])
