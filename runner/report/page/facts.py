"""What there is to be said of an actor: facts, each a thing and its state in words.

:func:`page_facts` are those about files, blocks, leases, regions, and who is charged; :func:`all_facts` are these and
what processes, open files, memory maps, labels and locks are up to.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from longpin.actors.base import Actor, ActorPart
from longpin.actors.constants import signal_name
from longpin.actors.fs.directory import Directory
from longpin.actors.fs.file import OpenFileDescription
from longpin.actors.fs.inode import Inode
from longpin.actors.fs.lease import Lease
from longpin.actors.locks import Lock
from longpin.actors.mm.memory import FrameMemory
from longpin.actors.mm.mm import Mm
from longpin.actors.mm.pmem import Pmem
from longpin.actors.policies.views import NO_STATE, LeaseView
from longpin.actors.process.labels import Labels
from longpin.actors.process.process import Process
from longpin.actors.process.users import Users
from longpin.actors.rdma.objects import Region
from longpin.actors.rdma.uverbs import UverbsContext
from longpin.messages.envelope import Address

MOST_BLOCKS = 256
"""Blocks of a memory that are looked at, the lowest that belong to somebody, and as many that are pinned."""

MOST_CONTENT = 24
"""Bytes of a block that are shown."""


class BlockFact(NamedTuple):
    """What a block is, so that neighbours that are alike are equal."""

    owners: tuple[tuple[Address, int], ...]
    """Files, and how much further its page is than the block."""
    pinned_by: tuple[Address, ...]


class BlockPlace(NamedTuple):
    """A block, as a thing that has a state."""

    memory: Address
    number: int


FREE = BlockFact((), ())

Facts = Mapping[Hashable, str | BlockFact]


Look = Callable[[Actor], Iterator[tuple[Hashable, str | BlockFact]]]
"""Yields what there is to be said of an actor."""


def page_facts(actor: Actor) -> Iterator[tuple[Hashable, str | BlockFact]]:
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
            if actor.locked_vm:
                yield f"locked_vm of {actor.address}", f"{actor.locked_vm} page{'s' * (actor.locked_vm != 1)}"
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


def _memory(memory: FrameMemory) -> Iterator[tuple[Hashable, str | BlockFact]]:
    owned = memory.owners if isinstance(memory, Pmem) else ()
    numbers = dict.fromkeys((*islice(owned, MOST_BLOCKS), *islice(memory.pins, MOST_BLOCKS)))
    for number in sorted(numbers):
        pins = tuple(dict.fromkeys(pin.owner for pin in memory.pins.get(number, ())))
        if isinstance(memory, Pmem):
            owners = tuple((owner.inode, owner.page - number) for owner in memory.owners.of(number))
            yield BlockPlace(memory.address, number), BlockFact(owners, pins)
        else:
            name = f"block {number} of {memory.address}"
            yield name, f"{memory.owner_of(number)}, pinned by {', '.join(pins)}"
    for number, content in islice(sorted(memory.contents.items()), MOST_BLOCKS):
        shown = content.rstrip(b"\0")
        more = " …" if len(shown) > MOST_CONTENT else ""
        if shown:
            yield f"content of block {number} of {memory.address}", f"{shown[:MOST_CONTENT]!r}{more}"


def all_facts(actor: Actor) -> Iterator[tuple[Hashable, str | BlockFact]]:
    """Yield more of what there is to be said of an actor."""
    yield from page_facts(actor)
    match actor:
        case Process():
            yield from _process(actor)
        case OpenFileDescription():
            yield from _description(actor)
        case Mm():
            yield from _memory_map(actor)
        case Labels():
            for name, value in actor.values.items():
                yield f"label {name!r}", f"set, {value}"
        case Lease():
            if actor.timers:
                yield f"break time of {actor.address}", f"running ({', '.join(actor.timers)})"
        case Directory():
            for path, inode in actor.names.items():
                yield f"name {path}", inode
        case _:
            pass
    yield from _locks(actor)


def _process(process: Process) -> Iterator[tuple[str, str]]:
    for fd, file in process.fds.items():
        close = ", closed on exec" if fd in process.close_on_exec else ""
        yield f"descriptor {fd} of {process.name}", f"{file.ofd}{close}"
    for file in process.received:
        yield f"{file.ofd} on its way to {process.name}", "sent"
    for who, signals in (
        (process.name, process.pending.signals),
        *((f"thread {thread.tid} of {process.name}", thread.pending.signals) for thread in process.threads),
    ):
        if signals:
            yield f"pending signals of {who}", ", ".join(signal_name(signal.signo) for signal in signals)
    for thread in process.threads:
        if blocked := thread.mask.blocked:
            whose = process.name if thread.tid == process.pid else f"thread {thread.tid} of {process.name}"
            yield f"blocked signals of {whose}", ", ".join(map(signal_name, sorted(blocked)))
    if process.exiting:
        yield f"process {process.name}", "dead" if process.dead else "exiting"


def _description(file: OpenFileDescription) -> Iterator[tuple[str, str]]:
    pins = f", {file.pin_references} of them pins" if file.pin_references else ""
    count = f"{file.references}{pins}" if file.references else "none"
    yield f"references of {file.address}", f"{count}, released" if file.released else count
    if file.position:
        yield f"position of {file.address}", f"{file.position}"
    if file.owner.number:
        signo = f" by {signal_name(file.owner.signo)}" if file.owner.signo else ""
        yield f"who {file.address} tells", f"{file.owner.process or f'group {-file.owner.number}'}{signo}"


def _memory_map(mm: Mm) -> Iterator[tuple[str, str]]:
    for mapping in mm.space.mappings:
        what = mapping.file.backing or "anonymous memory"
        first = f" from page {mapping.first_page}" if mapping.first_page and mapping.file.backing else ""
        yield f"{mapping.start:#x}-{mapping.end:#x} of {mm.address}", f"mapping of {what}{first}"
    if mm.locked_vm:
        yield f"locked_vm of {mm.address}", f"{mm.locked_vm} page{'s' * (mm.locked_vm != 1)}"


def _locks(actor: Actor) -> Iterator[tuple[str, str]]:
    """Yield who holds the locks of an actor and of its parts, and who waits for them."""
    found: dict[str, Lock] = {}
    parts = [part for part in vars(actor).values() if isinstance(part, ActorPart)]
    for holder in (actor, *parts):
        found |= {value.name: value for value in vars(holder).values() if isinstance(value, Lock)}
    for name, lock in found.items():
        holds = [f"{hold.task.src if hold.task else 'fork'}{' (shared)' * hold.shared}" for hold in lock.holds]
        waits = [hold.task.src for hold in lock.waiters if hold.task]
        if holds:
            yield name, f"held by {', '.join(holds)}" + (f"; {', '.join(waits)} waits" if waits else "")
