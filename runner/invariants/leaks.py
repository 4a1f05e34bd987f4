"""O6: nothing is left when all processes are gone [semantics 3]."""

from typing import ClassVar

from longpin.actors.file import OpenFileDescription
from longpin.actors.inode import Inode
from longpin.actors.pmem import Pmem
from longpin.actors.process import Process
from longpin.runner.invariants.base import Invariant


class NoLeaks(Invariant):
    """All processes gone: no descriptions, leases, mappings, pins or charges; evicted files own no blocks."""

    rule: ClassVar[str] = "O6"
    summary: ClassVar[str] = "no leaks: with all processes gone there are no leases, pins, references or charged pages"
    source: ClassVar[str] = "semantics 3, 1.1 to 1.10"

    def quiet(self) -> None:
        """Look at every actor, if every process is dead."""
        actors = self.engine.actors.values()
        if not all(actor.dead for actor in actors if isinstance(actor, Process)):
            return
        for actor in actors:
            match actor:
                case OpenFileDescription() if not actor.released:
                    self._leak(f"{actor.address} has {actor.references} references and was not released")
                case Inode():
                    self._look_at_inode(actor)
                case Pmem():
                    for pins in actor.pins.values():
                        for pin in pins:
                            self._leak(f"{pin.owner} still pins block {pin.block} of {actor.address}")
                case Process() if charged := sum(space.pinned_vm for space in actor.spaces):
                    self._leak(f"{actor.name} is charged with {charged} pinned pages")
                case _:
                    pass

    def _look_at_inode(self, inode: Inode) -> None:
        for lease in inode.leases:
            self._leak(f"{lease.address} is on the list of {inode.address}")
        for process, _ in inode.mappings:
            self._leak(f"{process} maps {inode.address}")
        if inode.nlink == 0 and inode.pages:
            self._leak(f"{inode.address} has no name and no user and owns {len(inode.pages)} blocks")

    def _leak(self, what: str) -> None:
        self.violate(self.engine.arrivals, f"all processes are gone, but {what}")
