"""What keeps the layout of a file for a registration: descriptions it holds, and inodes that gave it a lease [1.5]."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from longpin.actors.conversation import Call, Conversation
from longpin.messages.envelope import Address
from longpin.messages.fs.file import Put, Ref, Release
from longpin.messages.fs.inode import AskPin, Deregistered
from longpin.messages.fs.mapping import PinRequest


@dataclass(slots=True)
class Holds:
    """What one registration has got hold of while its pages are pinned; each once, in the order of the pages."""

    ofds: list[Address] = field(default_factory=list)
    """Open file descriptions on which it has a reference."""
    inodes: list[Address] = field(default_factory=list)
    """Inodes that want to know of its end."""


def ask_pin(inode: Address, request: PinRequest, holds: Holds) -> Conversation[Address]:
    """Ask the inode whether a page may be pinned, and take hold of what the pin must hold; return its description.

    Raises:
        KernelError: what the policy says.

    """
    allowed = yield Call(inode, AskPin(request))
    if allowed.attached and inode not in holds.inodes:
        holds.inodes.append(inode)
    hold: Address = allowed.hold
    if hold and hold not in holds.ofds:
        yield Call(hold, Ref(pin=True))
        holds.ofds.append(hold)
    return hold


def let_go(
    registration: Address, context: Address, ofds: Iterable[Address], inodes: Iterable[Address]
) -> Conversation[None]:
    """Let go of what a registration held, after its pages: leases must not go before the pins they stand for."""
    for inode in inodes:
        yield Call(inode, Deregistered(registration, context))
    for ofd in ofds:
        if (yield Call(ofd, Put(pin=True))).last:
            yield Call(ofd, Release(exiting=False))
