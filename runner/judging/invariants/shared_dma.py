"""O1': no device writes to what another file has too [semantics 3]."""

from collections.abc import Iterable
from typing import ClassVar

from longpin.actors.base import Actor
from longpin.actors.mm.ownership import Owner
from longpin.actors.mm.pmem import Pmem
from longpin.messages.envelope import Envelope
from longpin.messages.mm.memory import Dma
from longpin.runner.judging.invariants.base import Finding, Invariant, means_of


class NoSharedDma(Invariant):
    """At every write of a device the block is nobody's but the page's it was pinned as; a read harms no snapshot."""

    rule: ClassVar[str] = "O1'"
    summary: ClassVar[str] = "no snapshot corruption: a device writes to a block only while no other file shares it"
    source: ClassVar[str] = "semantics 3; Chinner 2019-02-06 [S3]"

    def after(self, actor: Actor, envelope: Envelope) -> Iterable[Finding]:
        """Look who else owns what was written."""
        access = envelope.body
        if not isinstance(access, Dma) or access.data is None or not isinstance(actor, Pmem):
            return ()
        pinned_as = Owner(access.inode, access.page)
        owners = actor.owners.of(access.number)
        others = [owner for owner in owners if owner != pinned_as]
        if pinned_as not in owners or not others:
            return ()
        means = means_of(access.region)
        whose = " and ".join(dict.fromkeys(owner.inode for owner in others))
        return (
            self.found(
                f"writes {access.inode} through {means.through}, shared with {whose}",
                f"the device writes block {access.number} of {actor.address} through {access.region}, which "
                f"{means.took} it as {pinned_as}; it is {' and '.join(map(str, others))} too, which changes with it",
            ),
        )
