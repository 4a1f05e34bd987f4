"""The scenarios S1 to S7: small programs whose schedules can be counted on paper.

Each function returns what ``explore`` takes. Clients send to servers; what is counted is the orders in which a server
can receive, told apart up to reordering at different receivers.
"""

from collections.abc import Callable
from typing import Any

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.conversation import Call, Conversation
from longpin.messages.envelope import Address, Done, Footprint, Message, message
from longpin.runner.exploration.result import PropertyViolation

Build = Callable[[Any], object]


@message
class StartClient(Message):
    """Start a client."""


@message
class TakeServer(Message):
    """Take the server, or be told that it is taken."""


@message
class GiveServer(Message):
    """Give it back."""


class Lockable(Actor):
    """A server that one client has at a time."""

    def __init__(self, engine: Engine, address: Address) -> None:
        super().__init__(engine, address)
        self.owner = ""

    @handles(TakeServer)
    def acquire(self, _request: TakeServer, src: Address) -> Done:
        """Grant iff free."""
        if self.owner:
            return Done(0)
        self.owner = src
        return Done(1)

    @handles(GiveServer)
    def release(self, _request: GiveServer, src: Address) -> None:
        """Be free, if the owner says so."""
        if self.owner == src:
            self.owner = ""


class Client(Actor):
    """Has a server."""

    def __init__(self, engine: Engine, address: Address, server: Address) -> None:
        super().__init__(engine, address)
        self.server = server


class Sender(Client):
    """Sends both messages and expects nothing."""

    @handles(StartClient)
    def begin(self, _begin: StartClient, _src: Address) -> None:
        """Send."""
        self.send(self.server, TakeServer())
        self.send(self.server, GiveServer())


class Asker(Client):
    """Waits for the answer, and releases what it was granted."""

    @handles(StartClient)
    def begin(self, _begin: StartClient, _src: Address) -> Conversation[None]:
        """Ask."""
        granted = yield Call(self.server, TakeServer())
        if granted.value:
            self.send(self.server, GiveServer())


def started(world: Any, kind: type[Actor], count: int, *servers: Address) -> None:
    for number in range(count):
        world.spawn(kind, f"client:{number}", servers[number % len(servers)])
    for number in range(count):
        world.tell(f"client:{number}", StartClient())


def s1(clients: int) -> Build:
    """(2k)!/2^k traces."""
    return s3(clients, 1)


def s2(clients: int) -> Build:
    """2^(k-1) * k! traces."""

    def build(world: Any) -> None:
        world.spawn(Lockable, "server:0")
        started(world, Asker, clients, "server:0")

    return build


def s3(clients: int, servers: int) -> Build:
    """S1 with client i bound to server i mod m."""

    def build(world: Any) -> None:
        names = [f"server:{number}" for number in range(servers)]
        for name in names:
            world.spawn(Lockable, name)
        started(world, Sender, clients, *names)

    return build


@message
class OpenInode(Message):
    """Open the file; changes nothing that anybody looks at."""

    def footprint(self) -> Footprint:
        return Footprint()


@message
class LeaseInode(Message):
    """A pinner takes a lease."""

    who: int

    def footprint(self) -> Footprint:
        return Footprint(writes=frozenset({("leases", self.who)}))


@message
class PinInode(Message):
    """A pinner pins."""

    who: int

    def footprint(self) -> Footprint:
        return Footprint(writes=frozenset({("pins", self.who)}))


@message
class UnpinInode(Message):
    """A pinner unpins."""

    who: int

    def footprint(self) -> Footprint:
        return Footprint(writes=frozenset({("pins", self.who)}))


@message
class TruncateInode(Message):
    """Fails while there are pins."""

    def footprint(self) -> Footprint:
        return Footprint(reads=frozenset({("leases",), ("pins",)}), writes=frozenset({("size",)}))


class InodeServer(Actor):
    """Leases and pins, as bit sets of who has one."""

    def __init__(self, engine: Engine, address: Address, *, careful: bool) -> None:
        super().__init__(engine, address)
        self.careful = careful
        self.leases = self.pins = 0
        self.size = 1

    @handles(OpenInode)
    def open(self, _request: OpenInode, _src: Address) -> Done:
        return Done()

    @handles(LeaseInode)
    def lease(self, request: LeaseInode, _src: Address) -> Done:
        self.leases |= 1 << request.who
        return Done()

    @handles(PinInode)
    def pin(self, request: PinInode, _src: Address) -> Done:
        self.pins |= 1 << request.who
        return Done()

    @handles(UnpinInode)
    def unpin(self, request: UnpinInode, _src: Address) -> Done:
        self.pins &= ~(1 << request.who)
        return Done()

    @handles(TruncateInode)
    def truncate(self, _request: TruncateInode, _src: Address) -> Done:
        if self.pins:
            if not self.careful:
                raise PropertyViolation("truncated while pinned")
            return Done(1)
        self.size = 0
        return Done()


class Pinner(Client):
    """OPEN, LEASE, PIN, UNPIN, one after the other."""

    @handles(StartClient)
    def begin(self, _begin: StartClient, _src: Address) -> Conversation[None]:
        who = int(self.address.partition(":")[2])
        for request in (OpenInode(), LeaseInode(who), PinInode(who), UnpinInode(who)):
            yield Call(self.server, request)


class Truncater(Client):
    """OPEN, TRUNCATE."""

    def __init__(self, engine: Engine, address: Address, server: Address) -> None:
        super().__init__(engine, address, server)
        self.answer = -1

    @handles(StartClient)
    def begin(self, _begin: StartClient, _src: Address) -> Conversation[None]:
        yield Call(self.server, OpenInode())
        self.answer = (yield Call(self.server, TruncateInode())).value


def s4(pinners: int, *, careful: bool = True) -> Build:
    """(4k+2)!/(24^k * 2) traces, 4^k with footprints; not ``careful``: a truncate while pinned is a violation."""

    def build(world: Any) -> None:
        world.spawn(_Careful if careful else _Careless, "inode")
        started(world, Pinner, pinners, "inode")
        world.spawn(Truncater, "truncater", "inode")
        world.tell("truncater", StartClient())

    return build


class _Careful(InodeServer):
    def __init__(self, engine: Engine, address: Address) -> None:
        super().__init__(engine, address, careful=True)


class _Careless(InodeServer):
    def __init__(self, engine: Engine, address: Address) -> None:
        super().__init__(engine, address, careful=False)


@message
class ServeMe(Message):
    """Be served."""


class Ledger(Actor):
    """Writes down who was served."""

    def __init__(self, engine: Engine, address: Address) -> None:
        super().__init__(engine, address)
        self.served = ""

    @handles(ServeMe)
    def note(self, _request: ServeMe, src: Address) -> Done:
        self.served += src
        return Done()


class Repeater(Actor):
    """Notes a number of times."""

    def __init__(self, engine: Engine, address: Address, times: int) -> None:
        super().__init__(engine, address)
        self.times = times


class Caller(Repeater):
    """Calls, and waits each time."""

    @handles(StartClient)
    def begin(self, _begin: StartClient, _src: Address) -> Conversation[None]:
        for _ in range(self.times):
            yield Call("ledger", ServeMe())


class Teller(Repeater):
    """Sends one-way messages."""

    @handles(StartClient)
    def begin(self, _begin: StartClient, _src: Address) -> None:
        for _ in range(self.times):
            self.send("ledger", ServeMe())


def ledger(kind: type[Repeater], times_a: int, times_b: int) -> Build:
    def build(world: Any) -> None:
        world.spawn(Ledger, "ledger")
        world.spawn(kind, "A", times_a)
        world.spawn(kind, "B", times_b)
        world.tell("A", StartClient())
        world.tell("B", StartClient())

    return build


def s6(calls: int) -> tuple[Build, Callable[[Any], None]]:
    """A makes n synchronous calls, B one; an error iff B is served last: n + 1 traces, one wrong."""

    def check(world: Any) -> None:
        if world.actors["ledger"].served.endswith("B"):
            raise PropertyViolation("B was served last")

    return ledger(Caller, calls, 1), check


def s7(messages: int) -> tuple[Build, Callable[[Any], None]]:
    """A and B send n one-way messages each; an error iff they arrive strictly ABAB...: (2n)!/n!^2 traces, one wrong."""

    def check(world: Any) -> None:
        if world.actors["ledger"].served == "AB" * messages:
            raise PropertyViolation("they took turns")

    return ledger(Teller, messages, messages), check
