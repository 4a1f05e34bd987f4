"""Local transitions, each computed once: what one actor does with one message, in one of its states.

An actor touches nothing but its own state, and a handler runs to its end, so a step of a world is a function of the
receiver's state and the message. Exploration asks for the same step many times, in worlds that differ elsewhere. Here
states and messages are numbered, and the answer for (state, message) is kept; handlers run only for pairs never seen.

An actor cannot be copied, for its conversations are generators. One that stands in the wanted state is used if there is
one; otherwise the actor is made again and fed the messages that led there, *alone*: the rest of the world is not run.

Two states of an actor have one number if their canonical forms are equal (``canonical.py``). A
state without a canonical form is told from all others by how it was reached, which is always right, only slower.
"""

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from longpin.actors.base import Actor
from longpin.actors.conversation import Call, Sleeping, Step, Task
from longpin.actors.locks import Hold
from longpin.messages.envelope import WORLD, Address, Envelope, Footprint, Message
from longpin.runner.engines.engine import ALARM, EngineBase, InternalError
from longpin.runner.exploration.canonical import OpaqueError, canonical
from longpin.runner.exploration.replay import Always, Marks
from longpin.runner.exploration.result import NO_MARKS, Abandoned, PropertyViolation
from longpin.runner.exploration.touches import touches

WORLD_ACTOR, ALARM_ACTOR = 0, 1
"""The numbers of the two senders that are no actors."""

IDLE_ACTORS = 4096
"""How many actors are kept in the state they are in."""

KEEP_ALARM = -1
DROP_ALARM = -2


class Spawned(NamedTuple):
    """An actor that a step created."""

    actor: int
    state: int
    sends: tuple[int, ...]
    """What it sent while it was made."""


class ComputedStep(NamedTuple):
    """What came of one message in one state; of one that fails nothing else is kept."""

    state: int
    """The state after it."""
    sends: tuple[int, ...]
    """The numbers of the messages sent, in order."""
    spawned: tuple[Spawned, ...]
    alarm: int
    """The tick that was set, KEEP_ALARM or DROP_ALARM."""
    failure: Exception | None
    marks: frozenset[str] = NO_MARKS
    """What is to be seen in it."""


class Origin(NamedTuple):
    """How an actor was made."""

    kind: type[Actor]
    address: Address
    args: tuple[Any, ...]
    form: Hashable
    """The canonical form of ``args`` then; they must not have changed when the actor is made again."""


class WorldRecorder:
    """What ``build`` is given: it takes note of what is asked for."""

    def __init__(self) -> None:
        self.spawned: list[tuple[type[Actor], Address, tuple[Any, ...]]] = []
        self.told: list[Envelope] = []

    def spawn(self, kind: type[Actor], address: Address, *args: Any) -> None:
        """Create ``kind(engine, address, *args)``."""
        self.spawned.append((kind, address, args))

    def tell(self, dst: Address, body: Message) -> None:
        """Send a message from outside."""
        self.told.append(EngineBase.first(dst, body))


class Cell(EngineBase):
    """The engine of one actor on its own: it collects what the actor asks for."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.actor: Actor | None = None
        self.posted: list[Envelope] = []
        self.wanted: list[tuple[type[Actor], Address, tuple[Any, ...]]] = []
        self.deadline: list[float | None] = []
        self.error: Exception | None = None

    def create_inbox(self, actor: Actor) -> Any:
        """Nothing is put there."""

    def start_loop(self, actor: Actor, loop: Callable[[], None]) -> None:
        """No loop is needed."""

    def started(self, actor: Actor) -> None:
        """No thread is started."""

    def post(self, _actor: Actor, envelope: Envelope) -> None:
        """Collect it."""
        self.posted.append(envelope)

    def spawn(self, kind: type[Actor], address: Address, *args: Any) -> None:
        """Collect it."""
        self.wanted.append((kind, address, args))

    def set_alarm(self, _actor: Actor, deadline: float | None) -> None:
        """Collect it."""
        self.deadline.append(deadline)

    def failed(self, _actor: Actor, error: Exception) -> None:
        """Keep the first."""
        self.error = self.error or error


class Table:
    """The states, messages and steps of the actors that ``build`` creates: those that were asked for."""

    def __init__(
        self,
        build: Callable[[Any], object],
        *,
        seed: int = 0,
        always: Always | None = None,
        marks: Marks | None = None,
    ) -> None:
        self.seed = seed
        self.always = always
        self.marks = marks
        self.addresses: list[Address] = [WORLD, ALARM]
        self.actors: dict[Address, int] = {WORLD: WORLD_ACTOR, ALARM: ALARM_ACTOR}
        self.envelopes: list[Envelope] = []
        self.receiver: list[int] = []
        """The number of each message's receiver."""
        self.steps: list[dict[int, ComputedStep]] = []
        """By state, then by message."""
        self.calls: list[dict[int, tuple[Address, int]]] = []
        """For each state the requests its suspended conversations answer, by the number they are suspended under."""
        self.touches: list[dict[int, Footprint | None]] = []
        """For each state what its suspended conversations touch when they go on."""
        self.awaits: list[tuple[tuple[int, int], ...]] = []
        """For each state whose answers its suspended conversations wait for: the number, and an actor; -1: anybody."""
        self.owner: list[int] = []
        """By state: the number of the actor."""
        self.log: list[tuple[int, int, ComputedStep]] = []
        """The steps computed, with the state and the message of each."""
        self.alarm_owner: Address | None = None
        self.computed = 0
        """How many steps there are."""
        self.opaque = 0
        """States that have no canonical form."""
        self._messages: dict[Hashable, int] = {}
        self._states: dict[Hashable, int] = {}
        self._history: list[tuple[int, int] | Origin] = []
        self._idle: dict[int, Cell] = {}
        world = WorldRecorder()
        build(world)
        self.first = tuple(self._spawn(world.spawned))
        self.told = tuple(map(self.message, world.told))

    def number(self, address: Address) -> int:
        """Return the number of an actor, a new one if it was not heard of."""
        number = self.actors.setdefault(address, len(self.addresses))
        if number == len(self.addresses):
            self.addresses.append(address)
        return number

    def message(self, envelope: Envelope) -> int:
        """Return the number of a message."""
        form = canonical(tuple(envelope))
        number = self._messages.setdefault(form, len(self.envelopes))
        if number == len(self.envelopes):
            self.envelopes.append(envelope)
            self.receiver.append(self.number(envelope.dst))
        return number

    def step(self, state: int, message: int) -> ComputedStep:
        """Return what ``message`` does in ``state``."""
        known = self.steps[state].get(message)
        return self._compute(state, message) if known is None else known

    def actor(self, state: int) -> Actor:
        """Return an actor in ``state``, to look at."""
        if (cell := self._idle.get(state)) is None:
            cell = self._idle[state] = self._make(state)
        assert cell.actor is not None
        return cell.actor

    def form(self, state: int) -> Hashable:
        """Return what two states have in common that differ at most in the order of keys in dicts.

        Raises:
            OpaqueError: the state has no canonical form.

        """
        return canonical(self.actor(state), ordered=False)

    def _compute(self, state: int, message: int) -> ComputedStep:
        cell = self._idle.pop(state, None) or self._make(state)
        self.computed += 1
        self._feed(cell, message)
        alarm = KEEP_ALARM
        assert cell.actor is not None
        if self.always is not None and cell.error is None:
            try:
                self.always(cell.actor, self.envelopes[message])
            except (PropertyViolation, AssertionError, Abandoned) as violation:
                cell.error = violation
        if cell.error is not None:
            return self._enter(state, message, ComputedStep(state, (), (), KEEP_ALARM, cell.error))
        if cell.deadline:
            if self.alarm_owner not in (None, cell.actor.address):
                raise InternalError(f"{cell.actor.address} sets the alarm of {self.alarm_owner}: a world has one clock")
            self.alarm_owner = cell.actor.address
            deadline = cell.deadline[-1]
            alarm = DROP_ALARM if deadline is None else self.message(EngineBase.tick(cell.actor, deadline))
        marks = NO_MARKS if self.marks is None else self.marks(cell.actor, self.envelopes[message])
        after = self._state(cell, (state, message))
        sends, spawned = tuple(map(self.message, cell.posted)), tuple(self._spawn(cell.wanted))
        return self._enter(state, message, ComputedStep(after, sends, spawned, alarm, None, marks))

    def _enter(self, state: int, message: int, step: ComputedStep) -> ComputedStep:
        self.steps[state][message] = step
        self.log.append((state, message, step))
        return step

    def _awaited(self, actor: Actor, task: Task) -> tuple[int, int]:
        """Return under which number a conversation waits, and whose answer; -1: nobody says whose."""
        effect = task.waits_for
        if isinstance(effect, Call):
            return task.number, self.number(effect.dst)
        if isinstance(effect, Step):
            return task.number, self.number(actor.run_queues[task.src + task.lane])
        return task.number, -1

    def _feed(self, cell: Cell, message: int) -> None:
        cell.posted.clear()
        cell.wanted.clear()
        cell.deadline.clear()
        assert cell.actor is not None
        cell.actor.on_receive(self.envelopes[message])

    def _make(self, state: int) -> Cell:
        """Return an actor in ``state``, made again and fed what it received."""
        messages = []
        while not isinstance(came := self._history[state], Origin):
            state, message = came
            messages.append(message)
        if came.form != _form_of(came.args):
            raise InternalError(f"what {came.address} was created with has changed: it is shared with another actor")
        cell = self._new(came)
        for message in reversed(messages):
            self._feed(cell, message)
        return cell

    def _new(self, origin: Origin) -> Cell:
        cell = Cell(self.seed)
        cell.actor = origin.kind(cell, origin.address, *origin.args)
        return cell

    def _spawn(self, wanted: list[tuple[type[Actor], Address, tuple[Any, ...]]]) -> list[Spawned]:
        spawned = []
        for kind, address, args in wanted:
            origin = Origin(kind, address, args, _form_of(args))
            cell = self._new(origin)
            sends = tuple(map(self.message, cell.posted))
            spawned.append(Spawned(self.number(address), self._state(cell, origin), sends))
        return spawned

    def _state(self, cell: Cell, came: tuple[int, int] | Origin) -> int:
        """Return the number of the state an actor is in, and keep the actor for the next step from there."""
        assert cell.actor is not None
        form: Hashable
        try:
            form = canonical(cell.actor), cell.randoms.get(cell.actor.address, 0)
        except OpaqueError:
            self.opaque += 1
            form = self.opaque
        number = self._states.setdefault(form, len(self._history))
        if number == len(self._history):
            self._history.append(came)
            self.owner.append(self.number(cell.actor.address))
            self.steps.append({})
            tasks = list(cell.actor.all_suspended())
            self.calls.append({task.number: (task.src, task.call) for task in tasks if task.call})
            self.touches.append({task.number: touches(task) for task in tasks})
            self.awaits.append(tuple(self._awaited(cell.actor, task) for task in tasks if not _waits_for_itself(task)))
        if number not in self._idle:
            if len(self._idle) >= IDLE_ACTORS:
                del self._idle[next(iter(self._idle))]
            self._idle[number] = cell
        return number


def _waits_for_itself(task: Task) -> bool:
    """Return whether only its own actor makes a conversation go on."""
    return isinstance(task.waits_for, (Sleeping, Hold))


def _form_of(args: tuple[Any, ...]) -> Hashable:
    try:
        return canonical(args)
    except OpaqueError:
        return None
