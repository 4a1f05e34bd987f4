"""Random worlds with what a search must cope with: spawns, nested conversations, locks, sleeps, interrupts, timers.

A message holds the messages that its receiver sends on, so every world comes to rest. What a handler touches its
message declares, or declares nothing.
"""

import random
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from model.oldest_first import OldestFirst

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.clock import Clock
from longpin.actors.conversation import Call, Conversation, Effect, KernelError, Step, Task, WaitQueue, WaitsFor
from longpin.actors.locks import Lock
from longpin.messages.clock import CLOCK, ArmTimer, CancelTimer, TimerExpired
from longpin.messages.envelope import Address, Done, Footprint, Message, Part, message

REGISTERS = 2

Sends = tuple[tuple[int, Address, Message], ...]
"""When (the parity of the register that was written, 2: always), to whom, what."""


def parts(*registers: int) -> frozenset[Part]:
    return frozenset(("register", register) for register in registers)


@message
class StoreValue(Message):
    """Change one register by another one, and send."""

    written: int
    read: int
    sends: Sends = ()

    def footprint(self) -> Footprint:
        return Footprint(parts(self.read), parts(self.written))


@message
class CountUp(Message):
    """Add to a register without a look at it."""

    added: int

    def footprint(self) -> Footprint:
        return Footprint.of(adds=parts(self.added))


@message
class PassOn(Message):
    """Change nothing, and send."""

    sends: Sends = ()

    def footprint(self) -> Footprint:
        return Footprint()


@message
class AskFirst(Message):
    """Ask somebody, then change a register by the answer, and send."""

    written: int
    whom: Address
    body: Message
    sends: Sends = ()

    def footprint(self) -> Footprint:
        return Footprint(frozenset(), parts(self.written))


@message
class AskAlone(Message):
    """The same under a lock, which is handed over in the activation that drops it."""

    written: int
    whom: Address
    body: Message


@message
class AskInTurn(Message):
    """The same under a lock that is handed over by a message."""

    written: int
    whom: Address
    body: Message

    def footprint(self) -> Footprint:
        return Footprint(frozenset(), parts(self.written) | {("turn",)})


@message
class StandBack(Message):
    """Let others get in, then touch a register."""

    written: int

    def footprint(self) -> Footprint:
        return Footprint(frozenset(), parts(self.written))


@message
class Doze(Message):
    """Sleep until somebody rouses, or a signal comes; then change a register."""

    written: int

    def footprint(self) -> Footprint:
        return Footprint(frozenset(), parts(self.written) | {("bed",)})


@message
class Rouse(Message):
    """Wake whoever sleeps."""

    def footprint(self) -> Footprint:
        return Footprint(frozenset(), frozenset({("bed",)}))


@message
class Poke(Message):
    """A signal for all that goes on here."""


@message
class SetTimer(Message):
    """Have a register changed later."""

    delay: int


@message
class DropTimer(Message):
    """Or not."""


@message
class Bear(Message):
    """Create an actor and send it something."""

    body: Message

    def footprint(self) -> Footprint:
        return Footprint(frozenset(), frozenset({("children",)}))


class Worker(OldestFirst):
    """Registers, and whatever else messages need."""

    def __init__(self, engine: Engine, address: Address) -> None:
        super().__init__(engine, address)
        self.registers = [1] * REGISTERS
        self.children = 0
        self.lock = Lock(self, "lock")
        self.turn = Lock(self, "turn", by_message=True)
        self.bed = WaitQueue()

    def change(self, register: int, by: int, sends: Sends = ()) -> Done:
        self.registers[register] = (self.registers[register] * 3 + by) % 7
        for when, whom, body in sends:
            if when in (2, self.registers[register] % 2):
                self.send(whom, body)
        return Done(self.registers[register])

    @handles(StoreValue)
    def on_store(self, store: StoreValue, _src: Address) -> Done:
        return self.change(store.written, self.registers[store.read] + 1, store.sends)

    @handles(CountUp)
    def on_count(self, count: CountUp, _src: Address) -> Done:
        self.registers[count.added] = (self.registers[count.added] + 1) % 7
        return Done()

    @handles(PassOn)
    def on_pass(self, on: PassOn, _src: Address) -> Done:
        for _, whom, body in on.sends:
            self.send(whom, body)
        return Done()

    @handles(AskFirst)
    def on_ask(self, ask: AskFirst, _src: Address) -> Conversation[Done]:
        value = yield from self.answer(ask.whom, ask.body)
        return self.change(ask.written, value, ask.sends)

    @handles(AskAlone)
    def on_ask_alone(self, ask: AskAlone, _src: Address) -> Conversation[Done]:
        with (yield self.lock.exclusive()):
            value = yield from self.answer(ask.whom, ask.body)
            return self.change(ask.written, value)

    @handles(AskInTurn)
    def on_ask_in_turn(self, ask: AskInTurn, _src: Address) -> Conversation[Done]:
        with (yield self.turn.exclusive()):
            value = yield from self.answer(ask.whom, ask.body)
            return self.change(ask.written, value)

    @handles(StandBack)
    def on_stand_back(self, back: StandBack, _src: Address) -> Conversation[Done]:
        yield Step(StoreValue(back.written, back.written))
        return self.change(back.written, 2)

    @handles(Doze)
    def on_doze(self, doze: Doze, _src: Address) -> Conversation[Done]:
        value = yield from self.attempt(self.bed.sleep(WaitsFor("label", "", "somebody")))
        return self.change(doze.written, 6 if value is None else 3)

    @handles(Rouse)
    def on_rouse(self, _rouse: Rouse, _src: Address) -> Done:
        self.bed.wake_all(self)
        return Done()

    @handles(Poke)
    def on_poke(self, _poke: Poke, _src: Address) -> Done:
        # Those of one kind are in conflict; in which order two of different kinds came must not be seen.
        tasks: dict[str, list[Task]] = {"on_ask_in_turn": [], "on_doze": []}
        for task in self.oldest_first():
            tasks.get(getattr(task.generator, "__name__", ""), []).append(task)
        for task in (task for kind in tasks.values() for task in kind):
            self.interrupt(task, fatal=False)
        return Done()

    @handles(SetTimer)
    def on_set_timer(self, timer: SetTimer, _src: Address) -> Done:
        self.send(CLOCK, ArmTimer("t", float(timer.delay)))
        return Done()

    @handles(DropTimer)
    def on_drop_timer(self, _timer: DropTimer, _src: Address) -> Done:
        self.send(CLOCK, CancelTimer("t"))
        return Done()

    @handles(TimerExpired)
    def on_expired(self, _timer: TimerExpired, _src: Address) -> None:
        self.change(0, 4)

    @handles(Bear)
    def on_bear(self, bear: Bear, _src: Address) -> Done:
        self.children += 1
        self.spawn(Worker, f"{self.address}.{self.children}")
        self.send(f"{self.address}.{self.children}", bear.body)
        return Done()

    def answer(self, whom: Address, body: Message) -> Conversation[int]:
        """Return the value that somebody answers; an errno is one, too."""
        found = yield from self.attempt(Call(whom, body))
        return 5 if found is None else found.value

    def attempt(self, effect: Effect) -> Conversation[Any]:
        """Return the value of an effect, None if a signal ended it."""
        try:
            return (yield effect)
        except KernelError:
            return None


KINDS = {
    "store": 4, "count": 1, "pass": 2, "ask": 2, "alone": 1, "turn": 1, "back": 1, "doze": 1, "rouse": 1, "poke": 1,
    "bear": 1,
}  # fmt: skip
TIMERS = {"timer": 2, "drop": 1}
"""Kinds of messages, and how frequent each is."""


class Shape(NamedTuple):
    """What a world may have."""

    timers: bool = True
    depth: int = 2
    told: int = 3
    wide: bool = False
    """Much is passed on, by who commutes, to few."""


def program(seed: int, shape: Shape) -> Callable[[Any], None]:
    """Return the ``build`` of a random world."""
    rng = random.Random(seed)
    names = [f"a{number}" for number in range(rng.randint(2, 3))]
    kinds = KINDS | TIMERS if shape.timers else KINDS

    def sends(depth: int) -> Sends:
        if not depth:
            return ()
        count = rng.choice((1, 2, 2)) if shape.wide else rng.choice((0, 1, 1, 2))
        return tuple((rng.choice((0, 1, 2, 2)), rng.choice(names), body(depth - 1)) for _ in range(count))

    def asked(depth: int) -> Message:
        return body(depth - 1) if depth else StoreValue(rng.randrange(REGISTERS), rng.randrange(REGISTERS))

    def body(depth: int) -> Message:
        register, other = rng.randrange(REGISTERS), rng.randrange(REGISTERS)
        if shape.wide:
            return PassOn(sends(depth)) if depth and rng.random() < 0.7 else StoreValue(register, other, sends(depth))
        match rng.choices(list(kinds), list(kinds.values()))[0]:
            case "store":
                return StoreValue(register, other, sends(depth))
            case "count":
                return CountUp(register)
            case "pass":
                return PassOn(sends(depth))
            case "ask":
                return AskFirst(register, rng.choice(names), asked(depth), sends(depth - 1 if depth else 0))
            case "alone":
                return AskAlone(register, rng.choice(names), asked(depth))
            case "turn":
                return AskInTurn(register, rng.choice(names), asked(depth))
            case "back":
                return StandBack(register)
            case "doze":
                return Doze(register)
            case "rouse":
                return Rouse()
            case "poke":
                return Poke()
            case "timer":
                return SetTimer(rng.randint(1, 2))
            case "drop":
                return DropTimer()
            case _:
                return Bear(asked(depth))

    told = [(rng.choice(names), body(shape.depth)) for _ in range(rng.randint(2, shape.told))]

    def build(world: Any) -> None:
        world.spawn(Clock, CLOCK)
        for name in names:
            world.spawn(Worker, name)
        for number, (name, sent) in enumerate(told):
            world.spawn(Worker, f"teller:{number}")
            world.tell(f"teller:{number}", PassOn(((2, name, sent),)))

    return build


def ending(actors: Iterable[Actor]) -> tuple[tuple[Address, tuple[int, ...]], ...]:
    """Return what a world came to."""
    return tuple(sorted((actor.address, tuple(actor.registers)) for actor in actors if isinstance(actor, Worker)))
