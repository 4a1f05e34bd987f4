"""O1: no device access to memory that was given away [semantics 3]."""

from collections.abc import Iterable
from typing import ClassVar

from longpin.actors.base import Actor
from longpin.actors.mm.ownership import Owner
from longpin.actors.mm.pmem import Pmem
from longpin.messages.envelope import Envelope
from longpin.messages.mm.memory import Dma
from longpin.runner.judging.invariants.base import Finding, Invariant


class NoStrayDma(Invariant):
    """At every device access the block has the generation it was pinned with, and is still that page of that file."""

    rule: ClassVar[str] = "O1"
    summary: ClassVar[str] = (
        "no stray DMA: a device accesses a block only while it is the page of the file it was pinned as"
    )
    source: ClassVar[str] = "semantics 3; Williams 2017-11-29 [S2], Weiny 2019-06-05 [V1-0]"

    def after(self, actor: Actor, envelope: Envelope) -> Iterable[Finding]:
        """Compare the access with who owns the block now."""
        access = envelope.body
        if not isinstance(access, Dma):
            return ()
        assert isinstance(actor, Pmem)
        owners = actor.owners.of(access.number)
        pinned_as = Owner(access.inode, access.page)
        if actor.generation(access.number) == access.generation and pinned_as in owners:
            return ()
        now = actor.owner_of(access.number) or "free"
        verb = "reads" if access.data is None else "writes"
        whose = " and ".join(dict.fromkeys(owner.inode for owner in owners))
        site = f"{verb} {access.inode} through its pin, {f'now of {whose}' if owners else 'a free block'}"
        return (
            self.found(
                site,
                f"the device {verb} block {access.number} of {actor.address} through {access.region}, which pinned it "
                f"as page {access.page} of {access.inode}; it is {now} now "
                f"(generation {actor.generation(access.number)}, pinned at {access.generation})",
            ),
        )
