"""The free blocks of a pmem set, lowest first [1.7], without a record for each of them."""

from collections.abc import Iterable, Iterator

from longpin.actors.runs import RunMap, ValueRun


class FreeSpace:
    """The free blocks, as runs.

    A set of a million blocks of which few were ever used costs what those few cost. Which blocks are free decides the
    runs, so two histories that leave the same blocks free leave the same state.
    """

    __slots__ = ("_free", "blocks")

    def __init__(self, blocks: int, used: Iterable[tuple[int, int]] = ()) -> None:
        """Make the free space of so many blocks, of which some runs are used: each its first block and its length."""
        self.blocks = blocks
        """How many blocks the set has, free or not."""
        self._free: RunMap[None] = RunMap([ValueRun(0, blocks, None)])
        for first, length in used:
            self._free.remove(first, first + length - 1)

    def __iter__(self) -> Iterator[int]:
        return iter(self._free)

    def take_lowest(self, most: int = 1) -> tuple[int, int] | None:
        """Take the lowest free block, and up to ``most`` with those behind it; return the first and how many.

        None: there is no free block.
        """
        for run in self._free.runs[:1]:
            length = min(run.length, most)
            self._free.remove(run.first, run.first + length - 1)
            return run.first, length
        return None

    @property
    def count(self) -> int:
        """How many blocks are free."""
        return sum(run.length for run in self._free.runs)

    def add(self, first: int, length: int = 1) -> None:
        """Take back blocks that are used."""
        self._free.assign(first, length, None)
