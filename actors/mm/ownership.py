"""Which pages of which files the blocks of a pmem set are: what XFS keeps in its reverse map and its reference counts.

A block that two files share has two owners [1.6, 1.7].
"""

from typing import NamedTuple

from longpin.actors.runs import RunMap
from longpin.messages.envelope import Address


class Owner(NamedTuple):
    """A page of a file."""

    inode: Address
    page: int

    def __str__(self) -> str:
        return f"page {self.page} of {self.inode}"


class Ownership(RunMap[tuple[Owner, ...]]):
    """The owners of each block that has one, sorted; how many they are is its reference count."""

    __slots__ = ()

    @staticmethod
    def after(value: tuple[Owner, ...], distance: int) -> tuple[Owner, ...]:
        """Return the owners of the block so far behind one, if those follow each other too."""
        return tuple(owner._replace(page=owner.page + distance) for owner in value)

    def of(self, block: int) -> tuple[Owner, ...]:
        """Return the owners of a block; none: it is free."""
        return self.get(block) or ()

    def add(self, block: int, length: int, owner: Owner) -> None:
        """Make blocks pages of a file, of which ``owner`` is the first, beside what they are already."""
        last = block + length - 1
        free = self.gaps(block, last)
        for run in self.within(block, last):
            more = self.after((owner,), run.first - block)
            self.assign(run.first, run.length, tuple(sorted({*run.value, *more})))
        for first, end in free:
            self.assign(first, end - first + 1, self.after((owner,), first - block))

    def drop(self, block: int, length: int, owner: Owner) -> list[tuple[int, int]]:
        """Take blocks from a file, of which they are ``owner`` and the pages behind it.

        Returns:
            Those that nobody owns any more, as runs: the first block and how many.

        Raises:
            ValueError: a block is no such page.

        """
        freed = []
        for run in self.within(block, block + length - 1):
            (gone,) = self.after((owner,), run.first - block)
            if gone not in run.value:
                raise ValueError(f"block {run.first} is not {gone}")
            if left := tuple(other for other in run.value if other != gone):
                self.assign(run.first, run.length, left)
            else:
                self.remove(run.first, run.last)
                freed.append((run.first, run.length))
        return freed

    def shared(self, block: int, length: int) -> list[tuple[int, int]]:
        """Return the blocks that have several owners, as runs: the first block and how many."""
        return [(run.first, run.length) for run in self.within(block, block + length - 1) if len(run.value) > 1]
