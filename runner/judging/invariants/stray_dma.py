"""O1: no device access to memory that was given away [semantics 3]."""

from collections.abc import Iterable
from typing import ClassVar

from longpin.actors.base import Actor
from longpin.actors.mm.memory import FrameMemory
from longpin.messages.envelope import Envelope
from longpin.messages.mm.memory import Dma
from longpin.runner.judging.invariants.base import Finding, Invariant, means_of


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
        assert isinstance(actor, FrameMemory)
        if actor.is_still(access):
            return ()
        now = actor.owner_of(access.number)
        whose = " and ".join(dict.fromkeys(part.rpartition(" of ")[2] for part in now.split(" and ")))
        owned = "a free block" if now == "free" else f"now of {whose}"
        means = means_of(access.region)
        verb = "reads" if access.data is None else "writes"
        site = f"{verb} {access.inode or 'anonymous memory'} through {means.through}, {owned}"
        pinned_as = f"page {access.page} of {access.inode}" if access.inode else "anonymous memory"
        return (
            self.found(
                site,
                f"the device {verb} block {access.number} of {actor.address} through {access.region}, which "
                f"{means.took} it as {pinned_as}; it is {now} now "
                f"(generation {actor.generation(access.number)}, {means.took} at {access.generation})",
            ),
        )
