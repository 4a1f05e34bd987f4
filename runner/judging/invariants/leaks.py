"""O6: nothing is left when all processes are gone [semantics 3]."""

from collections.abc import Iterator
from typing import ClassVar

from longpin.actors.fs.file import OpenFileDescription
from longpin.actors.fs.inode import Inode
from longpin.actors.mm.huge_pages import HugePages
from longpin.actors.mm.memory import FrameMemory
from longpin.actors.mm.mm import Mm
from longpin.actors.mm.page_cache import PageCache
from longpin.actors.mm.pmem import Pmem
from longpin.actors.mm.ram import Ram
from longpin.actors.process.process import Process
from longpin.actors.process.users import Users
from longpin.runner.judging.invariants.base import Actors, Finding, Invariant


class NoLeaks(Invariant):
    """All processes gone: nothing is open, leased, mapped, pinned or charged, and no page or block is left over."""

    rule: ClassVar[str] = "O6"
    summary: ClassVar[str] = "no leaks: with all processes gone there are no leases, pins, references or charged pages"
    source: ClassVar[str] = "semantics 3, 1.1 to 1.10"

    def quiet(self, actors: Actors) -> Iterator[Finding]:
        """Look at every actor, if every process is dead."""
        if not all(actor.dead for actor in actors.values() if isinstance(actor, Process)):
            return
        for actor in actors.values():
            match actor:
                case OpenFileDescription() if not actor.released:
                    what = f"{actor.address} has {actor.references} references and was not released"
                    yield self._leak("an open file description", what)
                case Inode():
                    yield from self._look_at_inode(actor)
                case FrameMemory():
                    for pins in actor.pins.values():
                        for pin in pins:
                            yield self._leak("a pin", f"{pin.owner} still pins block {pin.block} of {actor.address}")
                    if isinstance(actor, Pmem) and actor.maps:
                        blocks = ", ".join(map(str, sorted(actor.maps)))
                        yield self._leak(
                            "a reference", f"page table entries count for block {blocks} of {actor.address}"
                        )
                    if isinstance(actor, Ram) and (left := _left_in(actor, actors)):
                        yield self._leak("memory", f"{left} pages of {actor.address} are not free")
                    if isinstance(actor, HugePages) and actor.reserved:
                        yield self._leak("a promise", f"{actor.reserved} of {actor.address} are promised")
                case Mm():
                    if actor.pinned_vm:
                        yield self._leak("a charge", f"{actor.address} is charged with {actor.pinned_vm} pinned pages")
                    if locked := actor.locked_vm:
                        yield self._leak("a charge", f"{actor.address} is charged with {locked} locked pages")
                case Users():
                    for uid, pages in sorted(actor.locked_vm.items()):
                        yield self._leak("a charge", f"user {uid} is charged with {pages} locked pages")
                case _:
                    pass

    def _look_at_inode(self, inode: Inode) -> Iterator[Finding]:
        seen = inode.view()
        for lease in seen.leases:
            yield self._leak("a lease", f"{lease.address} is on the list of {inode.address}")
        for mapping in seen.mappings:
            yield self._leak("a mapping", f"{mapping.mm} maps {inode.address}")
        if seen.nlink == 0 and seen.extents:
            blocks = sum(extent.length for extent in seen.extents)
            what = f"{inode.address} has no name and no user and owns {blocks} blocks"
            yield self._leak("blocks", what)

    def _leak(self, kind: str, what: str) -> Finding:
        return self.found(f"{kind} is left", f"all processes are gone, but {what}")


def _left_in(memory: Ram, actors: Actors) -> int:
    """Return how many pages somebody should have given back; a file that has a name keeps its own."""
    if isinstance(memory, PageCache):
        inode = actors[memory.inode]
        assert isinstance(inode, Inode)
        if inode.view().nlink:
            return sum(not maps for maps in memory.maps.values())
    return sum(maps > 0 for maps in memory.maps.values())
