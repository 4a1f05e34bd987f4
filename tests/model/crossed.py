"""Orders at two actors that contradict each other: with footprints alone both could seem to happen."""

from typing import Any

from model import schedules

from longpin.actors.base import Actor, Engine, handles
from longpin.messages.envelope import Address, Footprint, Message, message


@message
class ForwardOpen(Message):
    """Have the ledger told who forwards this, for whom."""

    whom: str

    def footprint(self) -> Footprint:
        return Footprint()


class Forwarder(Actor):
    """Tells the ledger or the next forwarder, and keeps nothing: what it receives commutes."""

    def __init__(self, engine: Engine, address: Address, to: Address) -> None:
        super().__init__(engine, address)
        self.to = to

    @handles(ForwardOpen)
    def forward(self, forward: ForwardOpen, _src: Address) -> None:
        told = WriteLog(f"{forward.whom}{self.address}") if self.to == "ledger" else forward
        self.send(self.to, told)


class Both(Actor):
    """Tells two forwarders, one after the other."""

    def __init__(self, engine: Engine, address: Address, first: Address, second: Address) -> None:
        super().__init__(engine, address)
        self.order = (first, second)

    @handles(schedules.StartClient)
    def begin(self, _begin: schedules.StartClient, _src: Address) -> None:
        for forwarder in self.order:
            self.send(forwarder, ForwardOpen(self.address))


@message
class WriteLog(Message):
    """Something to write down."""

    what: str


class Log(Actor):
    """Writes down what it is told."""

    def __init__(self, engine: Engine, address: Address) -> None:
        super().__init__(engine, address)
        self.told: list[str] = []

    @handles(WriteLog)
    def write(self, told: WriteLog, _src: Address) -> None:
        self.told.append(told.what)


def crossed(world: Any) -> None:
    """p tells q, then r; s tells r, then q. The second message of both cannot overtake the first of the other."""
    _crossed(world, "q", "r")
    _forward(world, "ledger")


def crossed_from_afar(world: Any) -> None:
    """The same with a second forwarder behind each: that its order is seen shows when it is too late."""
    _crossed(world, "before q", "before r")
    _forward(world, "ledger", before=True)


def _crossed(world: Any, *forwarders: Address) -> None:
    for name, order in (("p", forwarders), ("s", forwarders[::-1])):
        world.spawn(Both, name, *order)
        world.tell(name, schedules.StartClient())


def _forward(world: Any, to: Address, *, before: bool = False) -> None:
    for forwarder in ("q", "r"):
        world.spawn(Forwarder, forwarder, to)
        if before:
            world.spawn(Forwarder, f"before {forwarder}", forwarder)
    world.spawn(Log, "ledger")
