"""The extent map against a model that holds a place for every page: lookup, ranges, changes and what they are [1.6]."""

from itertools import product
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from longpin.actors.fs.extents import ExtentMap
from longpin.actors.kernel.file_system import ChangeKind, LayoutOperation

PAGES = 12
"""The model's file has so many at the most."""
PAGE = st.integers(0, PAGES - 1)
BLOCKS = st.dictionaries(PAGE, st.integers(100, 999))


class Range(NamedTuple):
    first: int
    last: int


RANGES = st.builds(Range, PAGE, st.integers(-1, PAGES - 1))
"""Some of them empty, as the whole pages of a short punch are."""

Model = list[int | None]


def model_of(extents: ExtentMap) -> Model:
    return [extents.pages.get(page) for page in range(2 * PAGES)]


class AgainstAModel(RuleBasedStateMachine):
    """Whatever is done to the map, it is as a list that has a place for every page."""

    @initialize(blocks=BLOCKS)
    def begin(self, blocks: dict[int, int]) -> None:
        blocks = {page: number for number, page in enumerate(blocks)}
        self.next_block = len(blocks)
        self.extents = ExtentMap(blocks)
        self.model: Model = [blocks.get(page) for page in range(2 * PAGES)]
        self.given = list(blocks.values())
        """The blocks in the order in which the pages got them."""

    @rule(page=PAGE)
    def allocate(self, page: int) -> None:
        if self.model[page] is not None:
            with pytest.raises(ValueError, match=f"page {page} has block"):
                self.extents.allocate(page, self.next_block)
            return
        self.extents.allocate(page, self.next_block)
        self.model[page] = self.next_block
        self.given.append(self.next_block)
        self.next_block += 1

    @rule(pages=RANGES)
    def punch(self, pages: Range) -> None:
        freed = [block for block in self.model[pages.first : pages.last + 1] if block is not None]
        assert self.extents.punch(*pages) == tuple(freed)
        for page in range(pages.first, pages.last + 1):
            self.model[page] = None
        self.given = [block for block in self.given if block not in freed]

    @rule(first=PAGE)
    def punch_to_the_end(self, first: int) -> None:
        freed = [block for block in self.model[first:] if block is not None]
        assert self.extents.punch(first) == tuple(freed)
        self.model[first:] = [None] * (2 * PAGES - first)
        self.given = [block for block in self.given if block not in freed]

    @precondition(lambda self: self.model[PAGES:] == [None] * PAGES)
    @rule(first=PAGE, distance=st.integers(1, 3))
    def insert(self, first: int, distance: int) -> None:
        moved = [block for block in self.given if block in self.model[first:]]
        assert self.extents.shift(first, distance) == tuple(moved)
        self.model[first:first] = [None] * distance
        del self.model[2 * PAGES :]
        self.given = [block for block in self.given if block not in moved] + moved

    @rule(first=PAGE, distance=st.integers(1, 3))
    def collapse(self, first: int, distance: int) -> None:
        """What stands where the others go must be gone already."""
        if first < distance or any(block is not None for block in self.model[first - distance : first]):
            with pytest.raises(ValueError, match="no room"):
                self.extents.shift(first, -distance)
            return
        moved = [block for block in self.given if block in self.model[first:]]
        assert self.extents.shift(first, -distance) == tuple(moved)
        del self.model[first - distance : first]
        self.model += [None] * distance
        self.given = [block for block in self.given if block not in moved] + moved

    @invariant()
    def the_same_pages(self) -> None:
        assert model_of(self.extents) == self.model
        assert [self.extents.lookup(page) for page in range(2 * PAGES)] == self.model
        assert self.extents.pages_in(0) == [page for page, block in enumerate(self.model) if block is not None]

    @invariant()
    def the_order_of_allocation_is_kept(self) -> None:
        assert list(self.extents.pages.values()) == self.given


TestAgainstAModel = AgainstAModel.TestCase


@given(BLOCKS, RANGES)
def test_the_pages_of_a_range(blocks: dict[int, int], pages: Range) -> None:
    extents = ExtentMap(blocks)
    expected = [page for page in range(pages.first, pages.last + 1) if page in blocks]
    assert extents.pages_in(*pages) == expected
    assert extents.blocks_in(*pages) == tuple(blocks[page] for page in expected)
    assert extents.pages_in(pages.first) == [page for page in range(pages.first, PAGES) if page in blocks]


def carry_out(model: Model, operation: LayoutOperation, pages: Range) -> Model:
    """Return a file after an operation on whole pages; -1 stands for a block that was allocated."""
    before, inside, after = model[: pages.first], model[pages.first : pages.last + 1], model[pages.last + 1 :]
    if operation in (LayoutOperation.WRITE, LayoutOperation.ALLOCATE, LayoutOperation.ZERO_RANGE):
        return [*before, *(-1 if block is None else block for block in inside), *after]
    if operation is LayoutOperation.COLLAPSE_RANGE:
        return [*before, *after, *(None for _ in inside)]
    if operation is LayoutOperation.INSERT_RANGE:
        return [*before, *(None for _ in inside), *inside, *after]
    return [*before, *(None for _ in inside), *after]


FEW = 4
"""In files of so few pages every map and every range is tried."""
MAPS = [{page: page for page in range(FEW) if bits >> page & 1} for bits in range(1 << FEW)]
EVERY_RANGE = [Range(first, last) for first in range(FEW) for last in range(first - 1, FEW)]


@pytest.mark.parametrize("operation", LayoutOperation)
def test_a_change_is_classified_by_what_it_does(operation: LayoutOperation) -> None:
    for blocks, pages in product(MAPS, EVERY_RANGE):
        look_at_change(blocks, operation, pages)


def look_at_change(blocks: dict[int, int], operation: LayoutOperation, pages: Range) -> None:
    extents = ExtentMap(blocks)
    old = model_of(extents)
    new = carry_out(old, operation, pages)
    was = {block: page for page, block in enumerate(old) if block is not None}
    now = {block: page for page, block in enumerate(new) if block is not None}
    expected = ChangeKind(0)
    if -1 in now:
        expected |= ChangeKind.ADDITIVE
    if was.keys() - now.keys():
        expected |= ChangeKind.SUBTRACTIVE
    if any(now[block] != page for block, page in was.items() if block in now):
        expected |= ChangeKind.MOVING
    assert extents.classify(operation, *pages) == expected
    assert model_of(extents) == old, "to classify changes nothing"


def test_the_view_of_the_pages_cannot_be_written() -> None:
    extents = ExtentMap({0: 1})
    with pytest.raises(TypeError):
        extents.pages[0] = 2  # type: ignore[index]


def test_the_map_is_not_the_one_it_was_made_of() -> None:
    blocks = {0: 1}
    ExtentMap(blocks).punch(0)
    assert blocks == {0: 1}
