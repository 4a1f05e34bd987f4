"""Who wrote the bytes of a block last, as which page of which file, and for whom they are right [1.7].

What a write leaves is right for the page it was made for, if the block was that page: not for the files that share the
block, nor for a file that was given it while a device still had it. What is copied or cloned later is right for those
who get it, if it was for those they got it from.
"""

from typing import NamedTuple

from longpin.actors.mm.ownership import Owner
from longpin.actors.runs import RunMap
from longpin.messages.envelope import Address


class Stamp(NamedTuple):
    """The last write to some bytes."""

    writer: Address
    """An inode: write(2); a memory map: a store of the CPU; a registration: DMA."""
    page: Owner
    """What the writer took the block for."""
    right_for: tuple[Owner, ...]
    """The pages that are meant to have these bytes, sorted."""

    def __str__(self) -> str:
        how = {"inode": "write(2)", "mm": "a store", "mr": "DMA", "vb": "DMA", "m2p": "DMA"}.get(
            self.writer.partition(":")[0], "a write"
        )
        return f"{how} of {self.writer} to {self.page}"


class Stamps:
    """The stamps of all bytes that were written since their block was allocated; the rest is zeros, or was there."""

    __slots__ = ("_blocks",)

    def __init__(self) -> None:
        self._blocks: dict[int, RunMap[Stamp]] = {}

    def write(self, block: int, offset: int, length: int, stamp: Stamp) -> None:
        """Note a write."""
        self._blocks.setdefault(block, RunMap()).assign(offset, length, stamp)

    def read(self, block: int, offset: int, length: int) -> list[Stamp]:
        """Return the stamps of some bytes, in order."""
        stamps = self._blocks.get(block)
        return [] if stamps is None else [run.value for run in stamps.within(offset, offset + length - 1)]

    def forget(self, block: int) -> None:
        """Drop those of a block that is given out."""
        self._blocks.pop(block, None)

    def copy(self, block: int, copy: int, owner: Owner) -> None:
        """Note that a page's bytes were copied to a block of its own."""
        for run in self._blocks[block].runs if block in self._blocks else ():
            right_for = (owner,) if owner in run.value.right_for else ()
            self.write(copy, run.first, run.length, run.value._replace(right_for=right_for))

    def share(self, block: int, source: tuple[Owner, ...], target: Owner) -> None:
        """Note that a page gets the bytes of others."""
        for run in self._blocks[block].runs if block in self._blocks else ():
            before = run.value.right_for
            right_for = before if set(before).isdisjoint(source) else tuple(sorted({*before, target}))
            self.write(block, run.first, run.length, run.value._replace(right_for=right_for))

    def move(self, block: int, old: Owner, new: Owner) -> None:
        """Note that a page of a file is another one now."""
        for run in self._blocks[block].runs if block in self._blocks else ():
            right_for = tuple(sorted(new if owner == old else owner for owner in run.value.right_for))
            self.write(block, run.first, run.length, run.value._replace(right_for=right_for))
