"""A schedule in which messages to one actor commute as their footprints declare.

Two handlers may commute in the state of their actor and still order what they send: with one outbox for the actor,
what the first sends arrives first. Calling them independent all the same would lose schedules. So here the outbox
belongs to the *activation*, one handled arrival, and is a process of its own. An activation waits until what an
earlier one of the same actor sent has arrived, if their footprints conflict or the earlier arrival happened before
the later one. Otherwise the two could have been handled the other way round, and what they send arrives in any order.

That alone would let two activations mix what they send where somebody sees it, and orders at several actors contradict
each other, as no outbox shows it. So two arrivals at one actor are in conflict as well if something that the one sends
is in conflict with something that the other sends (:mod:`longpin.runner.exploration.places`). What a handler sends
depends only on what happened before, since messages that commute change nothing of it; so it belongs to the event as
its footprint does, and what is independent can still be exchanged: optimal reduction needs nothing else. No trace is
told apart that was one before. Of two such messages one arrives first, in every schedule, and by the outbox that says
which of the two arrivals came first; and the reverse.

Every order of arrivals that threads can show is a schedule here. The reverse does not hold in full: one step is seen
ahead, not more. If the messages themselves commute, and only what comes of *them* is in conflict, orders may contradict
each other farther on. So :meth:`ActivationPath.decisions` looks for an order of arrivals that an outbox for each actor
allows and that nobody can tell from this schedule; if there is none, what the schedule shows cannot happen, and it is
no failure.

The words of :mod:`longpin.runner.exploration.path` hold. The place of an event is its receiver with its footprint and
with the places of what its handler sends.
"""

from longpin.messages.envelope import Address
from longpin.runner.engines.engine import InternalError
from longpin.runner.exploration.footprints import FootprintError, OrderComparison
from longpin.runner.exploration.keys import PlaceKey, ProcessKey, known_place, place_key
from longpin.runner.exploration.path import NOBODY
from longpin.runner.exploration.placing import Placing
from longpin.runner.exploration.realize import Arrival, realize
from longpin.runner.exploration.table import ALARM_ACTOR, KEEP_ALARM, WORLD_ACTOR, Spawned, Table

ASTRAY = "messages do not commute as they declare: a schedule that must exist does not (verify finds out which)"


class Activation:
    """What one handled arrival sent."""

    __slots__ = ("actor", "after", "arrived", "before", "event", "last", "name", "sends")

    def __init__(
        self,
        name: int,
        actor: int,
        sends: tuple[int, ...],
        event: int = NOBODY,
        before: int = 0,
        after: "tuple[Activation, ...]" = (),
    ) -> None:
        self.name = name
        self.actor = actor
        self.sends = sends
        self.event = event
        """The arrival."""
        self.before = before
        """The bit set of events that happened before what it sends arrives."""
        self.after = after
        """Earlier activations of the actor that come first and of which something had not arrived then."""
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
        self.comparison = OrderComparison(table) if verify else None
        self.process: list[int] = []
        self.place: list[int] = []
        self.clock: list[int] = []
        self.races: list[list[int]] = []
        self.ghost: list[bool] = []
        self.failure: Exception | None = None
        self.marked: list[tuple[int, frozenset[str]]] = []
        self.local: list[int] = []
        self._places = Placing(table, self.local)
        self.conflicts = self._places.conflicts
        self.message: list[int] = []
        """By event: the message that arrived."""
        self._names: dict[tuple[int, int], int] = {}
        """A message by the activation that sent it and its number there; it names the activation it starts."""
        self._at: list[int] = []
        """By place: the bit set of the arrivals there, and by plain place."""
        self._sent: list[int] = []
        """By actor: the bit set of the arrivals whose handlers sent something."""
        self._active: dict[int, Activation] = {}
        """The activations that sent something, by name."""
        self._by_event: dict[int, Activation] = {}
        self._open: dict[int, Activation] = {}
        """Those of which something has not arrived."""
        self._tick = self._tick_origin = self._last_tick = NOBODY
        self._undo: list[tuple[int, int, int, tuple[Spawned, ...], Activation | None, int, int, int]] = []
        self._grow()
        self._activate(Activation(WORLD_ACTOR, WORLD_ACTOR, table.told))
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

    def all_ready(self) -> list[int]:
        """Return every process that has a next event."""
        found: dict[int, int] = {}
        while (process := self.ready(found)) != NOBODY:
            found[process] = 0
        return list(found)

    def pending(self) -> list[int]:
        """Return every process that has a next event, now or after others of its actor."""
        ready = self.all_ready()
        return ready + [name for name in self._open if name not in ready]

    def actor_of(self, process: int) -> int:
        """Return whose messages a process lets arrive."""
        return ALARM_ACTOR if process == ALARM_ACTOR else self._active[process].actor

    def next_place(self, process: int) -> int:
        """Return the place of a ready process's next event."""
        message, places = self.next_message(process), self._places
        plain, state = places.plain_of(message), self.local[self.table.receiver[message]]
        if state == NOBODY:
            return plain
        step = self.table.step(state, message)
        return places.place_of(message, plain, step.sends, step.state)

    def next_message(self, process: int) -> int:
        """Return the message of a ready process's next event."""
        if process == ALARM_ACTOR:
            return self._tick
        activation = self._active[process]
        return activation.sends[activation.arrived]

    def push(self, process: int) -> None:
        """Let the next event of a ready process happen.

        Raises:
            InternalError: the message is for an actor that does not exist.
            FootprintError: it does not commute with another that could arrive now, though both declare it; or there
                is no such event, though by what was declared there must be.

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
            try:
                sender = self._active[process]
                message = sender.sends[sender.arrived]
            except LookupError:
                raise FootprintError(ASTRAY) from None
            name, last = self._name(process, sender.arrived), sender.last
            before = sender.before | self._clock_of(last)
            for earlier in sender.after:
                before |= self.clock[earlier.last]
        places = self._places
        receiver, plain = table.receiver[message], places.plain_of(message)
        state = self.local[receiver]
        if state == NOBODY:
            raise InternalError(f"{table.addresses[receiver]} does not exist: {table.envelopes[message]}")
        step = table.steps[state].get(message) or table.step(state, message)
        place = places.place_of(message, plain, step.sends, step.state)
        self._at += [0] * (len(self.conflicts) - len(self._at))
        races, rivals = list[int](), 0
        for other in places.rivals[plain]:
            rivals |= self._at[other]
        for other in places.quarrels[place]:
            rivals |= self._at[other]
        while rivals := rivals & ~before:
            races.append(latest := rivals.bit_length() - 1)
            before |= self.clock[latest]
        clock = before | 1 << event
        if self.comparison is not None:
            self._verify(process, plain, message, before)
        if sender is not None:
            sender.arrived += 1
            sender.last = event
            if sender.done:
                del self._open[process]
        self._grow()
        self.clock.append(clock)
        if step.sends:
            self._activate(self._activation(name, receiver, step.sends, event, clock))
            self._sent[receiver] |= 1 << event
        if step.marks:
            self.marked.append((event, step.marks))
        self._undo.append((process, receiver, state, step.spawned, sender, last, tick, tick_origin))
        self.process.append(process)
        self.message.append(message)
        self.place.append(place)
        self.races.append(races)
        self._at[plain] |= 1 << event
        if place != plain:
            self._at[place] |= 1 << event
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
        place, plain = self.place[-1], self._places.plain[self.place[-1]]
        self._at[plain] ^= 1 << event
        if place != plain:
            self._at[place] ^= 1 << event
        for values in (self.process, self.message, self.place, self.races, self.ghost):
            values.pop()
        if self.marked and self.marked[-1][0] == event:
            self.marked.pop()
        for created in spawned:
            self.local[created.actor] = NOBODY
        if (sent := self._by_event.pop(event, None)) is not None:
            del self._active[sent.name]
            del self._open[sent.name]
            self._sent[receiver] ^= 1 << event
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

    def decisions(self, event: int | None = None) -> tuple[Address, ...] | None:
        """Return whose messages arrive in a real order of arrivals that shows the same; None: there is none.

        What happened after a failure, or beside it, is left out; so is what happened after ``event``, or beside it.

        Raises:
            UntoldError: it takes too long to find out.

        """
        if event is None and self.failure is not None and self.clock:
            event = len(self.clock) - 1
        wanted = (1 << len(self.clock)) - 1 if event is None else self.clock[event]
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

    def _verify(self, process: int, place: int, message: int, before: int) -> None:
        """Compare what is about to arrive with what else could arrive now, or arrived and could have come after it."""
        assert self.comparison is not None
        receiver, conflicts = self.table.receiver[message], self.conflicts
        for name, other in self._open.items():
            if name != process and all(earlier.done for earlier in other.after):
                rival = other.sends[other.arrived]
                rival_place = self._places.plain_of(rival)  # may be a new one, and add to conflicts
                if self.table.receiver[rival] == receiver and not conflicts[place] >> rival_place & 1:
                    self.comparison.compare(self.local[receiver], message, rival)
        for event in reversed(range(len(self._undo))):
            _, actor, state, *_ = self._undo[event]
            if actor == receiver:
                if before >> event & 1:
                    break
                self.comparison.compare(state, message, self.message[event])

    def _clock_of(self, event: int) -> int:
        return 0 if event == NOBODY else self.clock[event]

    def _name(self, activation: int, number: int) -> int:
        """Return the name of a message; 0 and 1 are those of the world and the alarm."""
        return self._names.setdefault((activation, number), len(self._names) + 2)

    def key(self, process: int) -> ProcessKey:
        """Return what every searcher calls a process: who began, and which of what each sent comes next."""
        chain: tuple[int, ...] = ()
        names = list(self._names)
        while process > ALARM_ACTOR:
            process, number = names[process - 2]
            chain = (number, *chain)
        return process, *chain

    def known(self, key: ProcessKey) -> int:
        """Return the number of a process."""
        assert not isinstance(key, str)
        name, *chain = key
        for number in chain:
            name = self._name(name, number)
        return name

    def place_key(self, place: int) -> PlaceKey:
        """Return what every searcher calls a place."""
        return place_key(self._places, place, self.table.addresses)

    def known_place(self, key: PlaceKey) -> int:
        """Return the number of a place."""
        place = known_place(self._places, key, self.table.number)
        self._grow()
        return place

    def _activation(self, name: int, actor: int, sends: tuple[int, ...], event: int, clock: int) -> Activation:
        """Return the activation that an arrival begins; those of the actor that happened before it come first."""
        before, after = clock, []
        earlier_ones = self._sent[actor] & clock
        while earlier_ones:
            latest = earlier_ones.bit_length() - 1
            earlier = self._by_event[latest]
            if earlier.done:
                before |= self.clock[earlier.last]
            else:
                after.append(earlier)
            # Whatever comes before that one it waits for itself.
            earlier_ones &= ~self.clock[latest]
        return Activation(name, actor, sends, event, before, tuple(after))

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
            self._sent.append(0)
