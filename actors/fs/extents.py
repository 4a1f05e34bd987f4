"""The extent map of a file: which block each page has, and what that holds. It knows no actor and sends nothing [1.6].

A page without a block is a hole. Pages that follow each other, whose blocks do too and are in the same state, are one
extent: the map of a large file costs its extents, not its pages. Everything is answered in the order of pages. There
may be extents beyond the end of the file, where FALLOC_FL_KEEP_SIZE put them.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from longpin.actors.kernel.file_system import NO_CHANGE, ChangeKind, LayoutOperation
from longpin.actors.kernel.machine import MOST_SIZE
from longpin.actors.runs import RunMap, ValueRun

END = MOST_SIZE
"""No file has a page with so great a number, however small pages are: a range up to it has no end."""


class State(StrEnum):
    """What the blocks of an extent hold."""

    WRITTEN = "written"
    UNWRITTEN = "unwritten"
    """Preallocated: the pages read as zeros, whatever the blocks hold, until something is written there."""


class Extent(NamedTuple):
    """Pages that follow each other, and their blocks, which do too."""

    page: int
    """The first."""
    block: int
    """That of the first page."""
    length: int
    """Pages."""
    state: State = State.WRITTEN
    shared: bool = False
    """Blocks of it may be another file's too: they were when the file was cloned, or when it was last looked up."""

    @property
    def last(self) -> int:
        """The last page."""
        return self.page + self.length - 1


class Location(NamedTuple):
    """Where a page lies."""

    block: int
    state: State
    shared: bool


def extents_of(pages: Mapping[int, int]) -> Iterator[Extent]:
    """Yield an extent for each page that has a block, all of them written."""
    for page, block in pages.items():
        yield Extent(page, block, 1)


_O = LayoutOperation
_FILLS = {_O.WRITE, _O.ALLOCATE, _O.ZERO_RANGE, _O.UNSHARE_RANGE}
_FREES = {_O.TRUNCATE, _O.PUNCH_HOLE, _O.COLLAPSE_RANGE}
_COPIES = {_O.WRITE, _O.ZERO_RANGE, _O.UNSHARE_RANGE}
"""Operations after which no page of the range has a block of another file."""
_CONVERTS = {_O.WRITE: State.UNWRITTEN, _O.ZERO_RANGE: State.WRITTEN}
"""Operations that turn extents in a state into the other one."""


class ExtentMap(RunMap[Location]):
    """Pages and their blocks. Invariant: no block is that of two pages, unless both are shared."""

    __slots__ = ()

    def __init__(self, extents: Iterable[Extent] = ()) -> None:
        super().__init__(ValueRun(e.page, e.length, Location(e.block, e.state, e.shared)) for e in extents)

    @staticmethod
    def after(value: Location, distance: int) -> Location:
        """Return where the page so far behind one lies, if both are of one extent."""
        return Location(value.block + distance, value.state, value.shared)

    @property
    def extents(self) -> tuple[Extent, ...]:
        """All of them."""
        return tuple(map(_extent, self.runs))

    def lookup(self, page: int) -> int | None:
        """Return the block of a page, whatever it holds; None: it is a hole."""
        place = self.get(page)
        return None if place is None else place.block

    def data(self, page: int) -> int | None:
        """Return the block that has the data of a page; None: it reads as zeros."""
        place = self.get(page)
        return None if place is None or place.state is State.UNWRITTEN else place.block

    @property
    def any_shared(self) -> bool:
        """Whether an extent may have blocks of another file too."""
        return any(run.value.shared for run in self._runs)

    def extents_in(self, first: int, last: int = END) -> list[Extent]:
        """Return the extents of pages ``first`` to ``last``, cut to them."""
        return [_extent(run) for run in self.within(first, last)]

    def holes_in(self, first: int, last: int) -> list[tuple[int, int]]:
        """Return the holes among pages ``first`` to ``last``, each by its first page and its last."""
        return self.gaps(first, last)

    def allocate(self, extent: Extent) -> None:
        """Fill a hole.

        Raises:
            ValueError: a page of it has a block.

        """
        if there := self.extents_in(extent.page, extent.last):
            raise ValueError(f"page {there[0].page} has block {there[0].block}")
        self.assign(extent.page, extent.length, Location(extent.block, extent.state, extent.shared))

    def mark(self, first: int, last: int, *, state: State | None = None, shared: bool | None = None) -> None:
        """Note that the extents of pages ``first`` to ``last`` are in another state, or shared, or not shared."""
        for run in self.within(first, last):
            place = run.value
            place = place if state is None else place._replace(state=state)
            place = place if shared is None else place._replace(shared=shared)
            self.assign(run.first, run.length, place)

    def punch(self, first: int, last: int = END) -> list[Extent]:
        """Make holes of pages ``first`` to ``last``; return what was there."""
        return [_extent(run) for run in self.remove(first, last)]

    def shift(self, first: int, distance: int) -> list[Extent]:
        """Make the blocks of ``first`` and all pages behind it those of the pages ``distance`` further on.

        Returns:
            Where they were.

        Raises:
            ValueError: a page before ``first`` would lose its block, or a page be below 0.

        """
        if distance < 0 and (first + distance < 0 or self.within(first + distance, first - 1)):
            raise ValueError(f"no room for a shift of page {first} by {distance}")
        moved = self.remove(first, END)
        for run in moved:
            self.assign(run.first + distance, run.length, run.value)
        return [_extent(run) for run in moved]

    def classify(self, operation: LayoutOperation, first: int, last: int = END) -> ChangeKind:
        """Return what an operation on pages ``first`` to ``last`` would do to the map as it is now; perhaps nothing.

        A page that is only part of what an operation frees keeps its block and does not belong to the range.
        """
        kinds = NO_CHANGE
        there = self._touching(first, last)
        shared = any(run.value.shared for run in there)
        if operation in _FILLS and self.gaps(first, last):
            kinds |= ChangeKind.ADDITIVE
        if (operation in _FREES and there) or (operation in _COPIES and shared):
            kinds |= ChangeKind.SUBTRACTIVE
        if operation in _COPIES and shared:
            kinds |= ChangeKind.ADDITIVE
        if any(run.value.state is _CONVERTS.get(operation) and not run.value.shared for run in there):
            kinds |= ChangeKind.CONVERTING
        if operation is _O.CLONE_FROM and there:
            kinds |= ChangeKind.SHARING
        if operation is _O.CLONE_TO and first <= last:
            kinds |= ChangeKind.SHARING | ChangeKind.ADDITIVE | (ChangeKind.SUBTRACTIVE if there else NO_CHANGE)
        behind = {_O.COLLAPSE_RANGE: last + 1, _O.INSERT_RANGE: first}.get(operation)
        if behind is not None and first <= last and self.within(behind, END):
            kinds |= ChangeKind.MOVING
        return kinds


def _extent(run: ValueRun[Location]) -> Extent:
    return Extent(run.first, run.value.block, run.length, run.value.state, run.value.shared)
