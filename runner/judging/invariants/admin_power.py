"""O8: to kill all who are listed takes out of the way what they hold [semantics 3]."""

from collections.abc import Iterator
from typing import ClassVar

from longpin.actors.fs.inode import Inode
from longpin.actors.process.facts import HoldersRead
from longpin.actors.process.process import Process
from longpin.runner.judging.invariants.base import Actors, Finding, Invariant
from longpin.runner.judging.invariants.holding import pins_of


class AdminPower(Invariant):
    """When an administrator has killed every process that is listed for a file, what was in the way goes.

    It is judged in a quiet world, in which everybody had the time to die, of each ``kill_holders`` with SIGKILL that
    succeeded: whatever was in the way then must not be in the way now.
    """

    rule: ClassVar[str] = "O8"
    summary: ClassVar[str] = (
        "an administrator's power: once every process listed for a file is killed, what was in the way of a change goes"
    )
    source: ClassVar[str] = "semantics 2.9, 3; Weiny 2019-08-21 [I1], 2019-09-04 [S5]"

    def quiet(self, actors: Actors) -> Iterator[Finding]:
        """Look what is left."""
        for killer in actors.values():
            if isinstance(killer, Process):
                for read in killer.killed_holders:
                    yield from self._left(killer, read, actors)

    def _left(self, killer: Process, read: HoldersRead, actors: Actors) -> Iterator[Finding]:
        inode = actors[read.inode]
        assert isinstance(inode, Inode)
        now = inode.in_the_way(killer.caller, pins_of(inode, actors))
        owners = {pin.owner for pin, _ in read.pins}
        killed = f"{killer.name} has killed all who were listed for {read.inode}"
        whom = f" ({', '.join(map(str, read.listed))})" if read.listed else ", nobody"
        first = {pin.owner: pin for pin in reversed(now.pins)}
        for owner, pin in reversed(first.items()):
            if owner in owners:
                what = f"page {pin.page} is still pinned by {pin.owner} of {pin.context or pin.process}"
                yield self.found(f"a pin of {read.inode} is left", f"{killed}{whom}; {what}")
        for lease in now.leases:
            if lease in read.leases:
                yield self.found(
                    f"a lease on {read.inode} is left", f"{killed}{whom}; {lease} still fails every change"
                )
