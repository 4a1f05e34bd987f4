"""The free blocks of a pmem set, lowest first [1.7], without a record for each of them."""

from bisect import insort
from collections.abc import Iterable, Iterator


class FreeSpace:
    """The free blocks: all from ``rest`` on, and ``holes`` below it.

    A set of a million blocks of which few were ever used costs what those few cost. Which blocks are free decides both
    fields, so two histories that leave the same blocks free leave the same state.
    """

    __slots__ = ("blocks", "holes", "rest")

    def __init__(self, blocks: int, used: Iterable[int]) -> None:
        taken = set(used)
        self.blocks = blocks
        """How many blocks the set has, free or not."""
        self.rest = max(taken, default=-1) + 1
        """The first block above all that are used."""
        self.holes = [block for block in range(self.rest) if block not in taken]
        """The free blocks below ``rest``, in order. Invariant: the block before ``rest`` is not among them."""

    def __iter__(self) -> Iterator[int]:
        yield from self.holes
        yield from range(self.rest, self.blocks)

    def take_lowest(self) -> int | None:
        """Take the lowest free block; None if there is none."""
        if self.holes:
            return self.holes.pop(0)
        if self.rest == self.blocks:
            return None
        self.rest += 1
        return self.rest - 1

    def add(self, block: int) -> None:
        """Take back a block that is used."""
        insort(self.holes, block)
        while self.holes and self.holes[-1] == self.rest - 1:
            self.rest = self.holes.pop()
