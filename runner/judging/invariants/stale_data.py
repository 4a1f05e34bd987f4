"""O2: nobody reads what is not his: what was freed since, or what another file wrote [semantics 3]."""

from collections.abc import Iterable, Iterator
from typing import ClassVar

from longpin.actors.base import Actor
from longpin.actors.mm.ownership import Owner
from longpin.actors.mm.pmem import Pmem
from longpin.actors.mm.stamps import Stamp
from longpin.actors.mm.zero_page import ZeroPage
from longpin.messages.envelope import Address, Envelope, Message
from longpin.messages.mm.memory import AtomicDma, Dma, Load
from longpin.runner.judging.invariants.base import Finding, Invariant, means_of


class NoStaleData(Invariant):
    """At every read the block is still what it was read as, and what is read was written there for that page."""

    rule: ClassVar[str] = "O2"
    summary: ClassVar[str] = "no stale data: nobody reads what was freed since, or what another file wrote"
    source: ClassVar[str] = "semantics 3, 1.7; Williams 2017-11-29 [S2]"

    def after(self, actor: Actor, envelope: Envelope) -> Iterable[Finding]:
        """Look whose the bytes are that were read."""
        if isinstance(actor, ZeroPage):
            return self._zeros(actor, envelope.body)
        if not isinstance(actor, Pmem):
            return ()
        match envelope.body:
            case (Dma(data=None) | AtomicDma()) as access:
                return self._device(actor, access)
            case Load() as access:
                return self._processor(actor, access, envelope.src)
        return ()

    def _zeros(self, page: ZeroPage, access: Message) -> Iterator[Finding]:
        """Of the page of zeros anything else is what a device has left there."""
        if not isinstance(access, Load) and not (isinstance(access, Dma) and access.data is None):
            return
        if page.contents.get(access.number, b"")[access.offset : access.offset + access.length].strip(b"\0"):
            of = access.inode or "anonymous memory"
            yield self.found(
                f"{of} is read where nothing was written, and has what was written to the page of zeros",
                f"who reads a page of {of} that was never written finds what a device has left in the page of zeros",
            )

    def _device(self, pmem: Pmem, access: Dma) -> Iterator[Finding]:
        page = Owner(access.inode, access.page)
        means = means_of(access.region)
        who = f"the device, through {access.region}, which {means.took} {page}"
        if pmem.generation(access.number) != access.generation:
            yield self.found(
                f"a device reads {access.inode} through {means.through}, which was freed",
                f"{who}, reads block {access.number} of {pmem.address}, which was freed since",
            )
            return
        for stamp in pmem.stamps.read(access.number, access.offset, access.length):
            if page not in stamp.right_for:
                yield self._foreign(f"a device reads {access.inode}", who, pmem, access.number, stamp)

    def _processor(self, pmem: Pmem, access: Load, src: Address) -> Iterator[Finding]:
        inode = access.inode or src
        pages = [owner for owner in pmem.owners.of(access.number) if owner.inode == inode]
        if not pages:
            yield self.found(
                f"{inode} is read, which was freed",
                f"{src} reads block {access.number} of {pmem.address} as one of {inode}, which was freed since",
            )
            return
        who = f"who reads {pages[0]}"
        for stamp in pmem.stamps.read(access.number, access.offset, access.length):
            if set(pages).isdisjoint(stamp.right_for):
                yield self._foreign(f"{inode} is read", who, pmem, access.number, stamp)

    def _foreign(self, site: str, who: str, pmem: Pmem, block: int, stamp: Stamp) -> Finding:
        return self.found(
            f"{site}, and has what was written to {stamp.page.inode}",
            f"{who}, finds in block {block} of {pmem.address} what {stamp} has left there",
        )
