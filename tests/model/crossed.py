"""Orders at two actors that contradict each other: with footprints alone both could seem to happen."""

from typing import Any

from model import schedules

from longpin.actors.base import Actor, Engine, handles
from longpin.messages.envelope import Address, Message, message


class Forwarder(Actor):
    """Tells the ledger, and keeps nothing: what it receives commutes."""

    @handles(schedules.OpenInode)
    def forward(self, _open: schedules.OpenInode, src: Address) -> None:
        self.send("ledger", WriteLog(f"{src}{self.address}"))


class Both(Actor):
    """Tells two forwarders, one after the other."""

    def __init__(self, engine: Engine, address: Address, first: Address, second: Address) -> None:
        super().__init__(engine, address)
        self.order = (first, second)

    @handles(schedules.StartClient)
    def begin(self, _begin: schedules.StartClient, _src: Address) -> None:
        for forwarder in self.order:
            self.send(forwarder, schedules.OpenInode())


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
    for forwarder, first in (("q", "p"), ("r", "s")):
        world.spawn(Forwarder, forwarder)
        world.spawn(Both, first, *(("q", "r") if first == "p" else ("r", "q")))
        world.tell(first, schedules.StartClient())
    world.spawn(Log, "ledger")
