"""O4: an administrator can find everybody who could drop a pin that is in the way [semantics 3]."""

from collections.abc import Iterable, Iterator
from typing import ClassVar

from longpin.actors.base import Actor
from longpin.actors.fs.inode import Inode
from longpin.actors.mm.pmem import Pmem
from longpin.actors.process.facts import HoldersRead
from longpin.actors.process.holders import able_to_unpin, listed
from longpin.actors.process.process import Process
from longpin.messages.envelope import Address, Envelope
from longpin.messages.mm.memory import Pin
from longpin.runner.judging.invariants.base import Actors, Finding, Invariant
from longpin.runner.judging.invariants.holding import pins_of, shown_of
from longpin.runner.judging.waiting import WaitForGraph


class Attribution(Invariant):
    """Who can drop a long-term pin that a change fails or waits for is among those whom the policy lists.

    It is judged where somebody looks: where an administrator's program lists who holds a file, of what it has read; and
    in a quiet world, of the pins that calls wait for.
    """

    rule: ClassVar[str] = "O4"
    summary: ClassVar[str] = (
        "attribution: of every pin that is in the way an administrator can find all processes able to drop it"
    )
    source: ClassVar[str] = "semantics 2.9, 3; Kara 2019-08-14 [K2], Weiny 2019-08-09 [V2-13 to V2-18]"

    def after(self, actor: Actor, envelope: Envelope) -> Iterable[Finding]:
        """Look at what the program of a process has just read."""
        if not isinstance(actor, Process) or not actor.facts:
            return ()
        return [found for fact in actor.facts if isinstance(fact, HoldersRead) for found in self._read(fact)]

    def _read(self, read: HoldersRead) -> Iterator[Finding]:
        first = {(pin.owner, able): pin for pin, able in reversed(read.pins)}
        for (_, able), pin in reversed(first.items()):
            yield from self._compare(read.inode, pin, able, read.listed)

    def quiet(self, actors: Actors) -> Iterator[Finding]:
        """Look at the pins that calls wait for."""
        for waiting in WaitForGraph(actors, self.policy).waiting():
            memory = actors.get(waiting.target)
            if waiting.kind not in ("pin", "spin") or not isinstance(memory, Pmem):
                continue
            pins = tuple(pin for pin in memory.pins.get(waiting.number, ()) if pin.longterm)
            shown = shown_of(actors)
            for inode in {owner.inode: None for owner in memory.owners.of(waiting.number)}:
                file = actors[inode]
                assert isinstance(file, Inode)
                entries = self.policy.admin_list(file.layout_view(pins_of(file, actors)))
                for pin in pins:
                    yield from self._compare(inode, pin, able_to_unpin(pin, shown), listed(entries, shown))

    def _compare(
        self, inode: Address, pin: Pin, able: Iterable[tuple[int, str]], found: tuple[int, ...]
    ) -> Iterator[Finding]:
        numbers = ", ".join(map(str, found))
        whom = "nobody" if not found else f"process{'es' * (len(found) > 1)} {numbers}"
        for number, name in able:
            if number not in found:
                yield self.found(
                    f"{name} can drop a pin of {inode} and is not listed",
                    f"page {pin.page} of {inode} is pinned by {pin.owner} of {pin.context or pin.process}, which "
                    f"{name} ({number}) can drop; an administrator finds {whom}, and not {name}",
                )
