"""The extent map of a file: which block each page has. It knows no actor and sends nothing [1.6].

A page without a block is a hole. Blocks are kept in the order in which the pages got them, which is the order in which
an eviction waits for them; everything that is asked of a range is answered in the order of pages.
"""

from collections.abc import Mapping
from types import MappingProxyType

from longpin.actors.kernel.file_system import ChangeKind, LayoutOperation
from longpin.actors.kernel.machine import MOST_SIZE

END = MOST_SIZE
"""No file has a page with so great a number, however small pages are: a range up to it has no end."""


_FILLS = {LayoutOperation.WRITE, LayoutOperation.ALLOCATE, LayoutOperation.ZERO_RANGE}
_FREES = {LayoutOperation.TRUNCATE, LayoutOperation.PUNCH_HOLE, LayoutOperation.COLLAPSE_RANGE}


class ExtentMap:
    """Pages and their blocks. Invariant: no block is that of two pages."""

    __slots__ = ("_blocks",)

    def __init__(self, blocks: Mapping[int, int] = MappingProxyType({})) -> None:
        self._blocks = dict(blocks)

    @property
    def pages(self) -> Mapping[int, int]:
        """The block of each page that has one, in the order in which they got them; to be looked at only."""
        return MappingProxyType(self._blocks)

    def lookup(self, page: int) -> int | None:
        """Return the block of a page; None: it is a hole."""
        return self._blocks.get(page)

    def pages_in(self, first: int, last: int = END) -> list[int]:
        """Return the pages from ``first`` to ``last`` that have a block, in order."""
        if last - first < len(self._blocks):
            return [page for page in range(first, last + 1) if page in self._blocks]
        return sorted(page for page in self._blocks if first <= page <= last)

    def blocks_in(self, first: int, last: int = END) -> tuple[int, ...]:
        """Return the blocks of pages ``first`` to ``last``, in the order of pages."""
        return tuple(self._blocks[page] for page in self.pages_in(first, last))

    def allocate(self, page: int, block: int) -> None:
        """Give a hole a block.

        Raises:
            ValueError: the page has one.

        """
        if page in self._blocks:
            raise ValueError(f"page {page} has block {self._blocks[page]}")
        self._blocks[page] = block

    def punch(self, first: int, last: int = END) -> tuple[int, ...]:
        """Make holes of pages ``first`` to ``last``; return the blocks they had, in the order of pages."""
        return tuple(self._blocks.pop(page) for page in self.pages_in(first, last))

    def shift(self, first: int, distance: int) -> tuple[int, ...]:
        """Make the blocks of ``first`` and all pages behind it those of the pages ``distance`` further on.

        Returns:
            These blocks, in the order in which the pages got them.

        Raises:
            ValueError: a page before ``first`` would lose its block, or a page be below 0.

        """
        if distance < 0 and (first + distance < 0 or self.pages_in(first + distance, first - 1)):
            raise ValueError(f"no room for a shift of page {first} by {distance}")
        moved = {page + distance: block for page, block in self._blocks.items() if page >= first}
        self._blocks = {page: block for page, block in self._blocks.items() if page < first} | moved
        return tuple(moved.values())

    def classify(self, operation: LayoutOperation, first: int, last: int = END) -> ChangeKind:
        """Return what an operation on pages ``first`` to ``last`` would do to the map as it is now; perhaps nothing.

        A page that is only part of what an operation frees keeps its block and does not belong to the range.
        """
        kinds = ChangeKind(0)
        held = len(self.pages_in(first, last))
        if operation in _FILLS and held <= last - first:
            kinds |= ChangeKind.ADDITIVE
        if operation in _FREES and held:
            kinds |= ChangeKind.SUBTRACTIVE
        behind = {LayoutOperation.COLLAPSE_RANGE: last + 1, LayoutOperation.INSERT_RANGE: first}.get(operation)
        if behind is not None and first <= last and self.pages_in(behind):
            kinds |= ChangeKind.MOVING
        return kinds
