"""Random programs whose messages say truly, or not, which registers of their receiver they read and write."""

import random
from collections.abc import Callable, Iterable
from typing import Any

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.conversation import Call, Conversation
from longpin.messages.envelope import Address, Done, Footprint, Message, Part, message

REGISTERS = 3


def parts(*registers: int) -> frozenset[Part]:
    return frozenset(("register", register) for register in registers)


@message
class ChangeRegister(Message):
    """Change one register by another one, and send what the script says."""

    script: str
    left: int
    written: int
    read: int

    def footprint(self) -> Footprint:
        return Footprint(parts(self.read), parts(self.written))


@message
class AddToRegister(Message):
    """Add to a register without a look at it."""

    added: int
    amount: int

    def footprint(self) -> Footprint:
        return Footprint.of(adds=parts(self.added))


@message
class AskRegister(Message):
    """Have somebody else change a register, then change one's own by the answer."""

    left: int
    written: int
    whom: Address

    def footprint(self) -> Footprint:
        return Footprint(frozenset(), parts(self.written))


@message
class SkipRegisters(Message):
    """Change nothing."""

    def footprint(self) -> Footprint:
        return Footprint()


@message
class LieOfRegister(Message):
    """Change a register and say nothing of it."""

    value: int

    def footprint(self) -> Footprint:
        return Footprint()


@message
class WorkOnRegisters(Message):
    """Make calls, one after the other."""

    calls: tuple[tuple[Address, Message], ...]


class Registers(Actor):
    """Registers, and scripts of what to send when a register has been changed."""

    def __init__(
        self, engine: Engine, address: Address, scripts: dict[str, tuple[tuple[int, str, Message], ...]]
    ) -> None:
        super().__init__(engine, address)
        self.scripts = scripts
        self.registers = [1] * REGISTERS

    def change(self, register: int, by: int) -> None:
        self.registers[register] = (self.registers[register] * 3 + by) % 7

    @handles(ChangeRegister)
    def on_change(self, change: ChangeRegister, _src: Address) -> Done:
        self.change(change.written, self.registers[change.read] + 1)
        if change.left:
            for when, whom, body in self.scripts[change.script]:
                if when in (2, self.registers[change.written] % 2):
                    self.send(whom, body)
        return Done(self.registers[change.written])

    @handles(AddToRegister)
    def on_add(self, add: AddToRegister, _src: Address) -> Done:
        self.registers[add.added] = (self.registers[add.added] + add.amount) % 7
        return Done()

    @handles(AskRegister)
    def on_ask(self, ask: AskRegister, _src: Address) -> Conversation[Done]:
        answer = yield Call(ask.whom, ChangeRegister("", 0, 0, 1))
        self.change(ask.written, answer.value)
        return Done(self.registers[ask.written])

    @handles(SkipRegisters)
    def on_skip(self, _skip: SkipRegisters, _src: Address) -> Done:
        return Done()

    @handles(LieOfRegister)
    def on_lie(self, lie: LieOfRegister, _src: Address) -> None:
        self.change(0, lie.value)

    @handles(WorkOnRegisters)
    def on_work(self, work: WorkOnRegisters, _src: Address) -> Conversation[None]:
        for whom, body in work.calls:
            yield Call(whom, body)


def program(seed: int, *, lies: bool = False) -> Callable[[Any], None]:
    """Return the ``build`` of a random program."""
    rng = random.Random(seed)
    names = [f"a{number}" for number in range(rng.randint(2, 3))]

    def body(left: int) -> Message:
        if lies and rng.random() < 0.5:
            return LieOfRegister(rng.randrange(7))
        match rng.randrange(7):
            case 0:
                return SkipRegisters()
            case 1:
                return AddToRegister(rng.randrange(REGISTERS), rng.randrange(1, 7))
            case 2:
                return AskRegister(0, rng.randrange(REGISTERS), rng.choice(names))
            case _:
                return ChangeRegister(rng.choice("xy"), left, rng.randrange(REGISTERS), rng.randrange(REGISTERS))

    scripts = {
        name: {
            script: tuple((rng.choice((0, 1, 2, 2)), rng.choice(names), body(0)) for _ in range(rng.randint(0, 2)))
            for script in "xy"
        }
        for name in names
    }
    workers = [
        tuple((rng.choice(names), body(1)) for _ in range(rng.randint(1, 2)))
        for _ in range(rng.choice((0, 0, 1, 2) if not lies else (0,)))
    ]
    told = [(rng.choice(names), body(1)) for _ in range(rng.randint(1, 2) + 2 * lies)]

    def build(world: Any) -> None:
        for name in names:
            world.spawn(Registers, name, scripts[name])
        for number in range(len(workers)):
            world.spawn(Registers, f"worker:{number}", {})
        for name, first in told[:1]:
            world.tell(name, first)
        for number, calls in enumerate(workers):
            world.tell(f"worker:{number}", WorkOnRegisters(calls))
        for number, (name, sent) in enumerate(told[1:]):
            world.spawn(Registers, f"starter:{number}", {"x": ((2, name, sent),)})
            world.tell(f"starter:{number}", ChangeRegister("x", 1, 0, 0))

    return build


def registers(world: Any) -> tuple[tuple[Address, tuple[int, ...]], ...]:
    """Return what a world came to."""
    return registers_of(world.actors.values())


def registers_of(actors: Iterable[Actor]) -> tuple[tuple[Address, tuple[int, ...]], ...]:
    """Return what is in the registers of actors."""
    return tuple(sorted((actor.address, tuple(actor.registers)) for actor in actors if isinstance(actor, Registers)))
