"""What a run changes, arrival by arrival, read off the actors: files, blocks, leases, regions, and who is charged.

A fact is a thing and its state in words. An arrival changes nobody but its receiver, so only that is looked at again.
"""

from collections.abc import Hashable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from longpin.actors.base import Actor
from longpin.actors.fs.inode import Inode
from longpin.actors.mm.memory import FrameMemory
from longpin.actors.mm.mm import Mm
from longpin.actors.mm.pmem import Pmem
from longpin.actors.policies.views import NO_STATE, LeaseView
from longpin.actors.process.users import Users
from longpin.actors.rdma.objects import Region
from longpin.actors.rdma.uverbs import UverbsContext
from longpin.messages.envelope import Address, Envelope
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.report.sentences import spans

MOST_BLOCKS = 256
"""Blocks of a memory that are looked at, the lowest that belong to somebody, and as many that are pinned."""

MOST_CONTENT = 24
"""Bytes of a block that are shown."""


class StateChange(NamedTuple):
    """A thing has another state now."""

    subject: str
    before: str
    """Empty: it was not there."""
    after: str
    """Never empty: what is not there any more is gone."""


class ArrivalChange(NamedTuple):
    """What an arrival changed."""

    arrival: int
    actor: Address
    """Whose state it is."""
    change: StateChange


class _Block(NamedTuple):
    """What a block is, so that neighbours that are alike are equal."""

    owners: tuple[tuple[Address, int], ...]
    """Files, and how much further its page is than the block."""
    pinned_by: tuple[Address, ...]


class _Place(NamedTuple):
    """A block, as a thing that has a state."""

    memory: Address
    number: int


_FREE = _Block((), ())

Facts = Mapping[Hashable, str | _Block]


class Onlooker:
    """Looks at a stepped world after each arrival; :attr:`found` is what has changed so far."""

    def __init__(self, engine: SteppedEngine) -> None:
        self.found: list[ArrivalChange] = []
        self._engine = engine
        self._seen: dict[Address, Facts] = {address: dict(_facts(actor)) for address, actor in engine.actors.items()}

    def arrived(self, number: int, envelope: Envelope) -> None:
        """Look at who got something, as :class:`~longpin.runner.engines.stepped.ArrivalObserver` says."""
        address = envelope.dst
        before, after = self._seen.get(address, {}), dict(_facts(self._engine.actors[address]))
        if before != after:
            self.found += [ArrivalChange(number, address, change) for change in _changes(before, after)]
            self._seen[address] = after


def _changes(before: Facts, after: Facts) -> Iterator[StateChange]:
    """Yield what differs; blocks that were alike and are alike now are told as one."""
    blocks: dict[tuple[Address, _Block, _Block], list[int]] = {}
    for thing in {**before, **after}:
        was, now = before.get(thing, ""), after.get(thing, "")
        if was == now:
            continue
        if isinstance(thing, _Place):
            pair = was if isinstance(was, _Block) else _FREE, now if isinstance(now, _Block) else _FREE
            blocks.setdefault((thing.memory, *pair), []).append(thing.number)
        else:
            yield StateChange(str(thing), str(was), str(now) or "gone")
    for (memory, was, now), numbers in blocks.items():
        yield StateChange(f"{spans(numbers)} of {memory}", _block_words(was, numbers), _block_words(now, numbers))


def _block_words(block: _Block, numbers: list[int]) -> str:
    owners = [
        f"{spans(number + further for number in numbers).replace('block', 'page', 1)} of {inode}"
        for inode, further in block.owners
    ]
    pins = [f"pinned by {', '.join(block.pinned_by)}"] if block.pinned_by else []
    return ", ".join([" and ".join(owners) or "free", *pins])


def _facts(actor: Actor) -> Iterator[tuple[Hashable, str | _Block]]:
    """Yield what there is to be said of an actor."""
    match actor:
        case Inode():
            yield from _inode(actor)
        case FrameMemory():
            yield from _memory(actor)
        case UverbsContext():
            for thing in actor.objects.values():
                if isinstance(thing, Region):
                    yield thing.owner, "taken back from the device" if thing.revoked else "registered"
        case Mm():
            if actor.pinned_vm:
                yield f"pinned_vm of {actor.address}", f"{actor.pinned_vm} page{'s' * (actor.pinned_vm != 1)}"
        case Users():
            for uid, pages in sorted(actor.locked_vm.items()):
                yield f"locked_vm of user {uid}", f"{pages} page{'s' * (pages != 1)}"
        case _:
            pass


def _inode(inode: Inode) -> Iterator[tuple[str, str]]:
    seen = inode.view()
    yield f"size of {inode.address}", f"{seen.size} bytes"
    if not seen.nlink:
        yield f"name of {inode.address}", "none any more"
    if seen.state != NO_STATE:
        yield f"what the policy remembers of {inode.address}", str(seen.state)
    for lease in seen.leases:
        yield lease.address, _lease(lease, inode.address)


def _lease(lease: LeaseView, inode: Address) -> str:
    marks = ("exclusive", "unbreakable", "breaking", "overdue", "zombie")
    words = [mark for mark in marks if getattr(lease, mark)]
    return ", ".join([f"{'layout lease' if lease.layout else 'lease'} on {inode}", *words])


def _memory(memory: FrameMemory) -> Iterator[tuple[Hashable, str | _Block]]:
    owned = memory.owners if isinstance(memory, Pmem) else ()
    numbers = dict.fromkeys((*islice(owned, MOST_BLOCKS), *islice(memory.pins, MOST_BLOCKS)))
    for number in sorted(numbers):
        pins = tuple(dict.fromkeys(pin.owner for pin in memory.pins.get(number, ())))
        if isinstance(memory, Pmem):
            owners = tuple((owner.inode, owner.page - number) for owner in memory.owners.of(number))
            yield _Place(memory.address, number), _Block(owners, pins)
        else:
            name = f"block {number} of {memory.address}"
            yield name, f"{memory.owner_of(number)}, pinned by {', '.join(pins)}"
    for number, content in islice(sorted(memory.contents.items()), MOST_BLOCKS):
        shown = content.rstrip(b"\0")
        more = " …" if len(shown) > MOST_CONTENT else ""
        if shown:
            yield f"content of block {number} of {memory.address}", f"{shown[:MOST_CONTENT]!r}{more}"
