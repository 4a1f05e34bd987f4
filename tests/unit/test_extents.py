"""The extent map against a model that holds a place for every page: lookup, ranges, changes and what they are [1.6]."""

from itertools import product
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from longpin.actors.fs.extents import Extent, ExtentMap, Location, State, extents_of
from longpin.actors.kernel.file_system import ChangeKind, LayoutOperation
from longpin.actors.runs import Counts, RunMap, ValueRun
from longpin.runner.exploration.canonical import canonical

PAGES = 12
"""The model's file has so many at the most."""
PAGE = st.integers(0, PAGES - 1)
STATES = st.sampled_from(State)
PLACES = st.builds(Location, st.integers(100, 999), STATES, st.booleans())
FILES = st.dictionaries(PAGE, PLACES)


class Range(NamedTuple):
    first: int
    last: int

    @property
    def pages(self) -> range:
        return range(self.first, self.last + 1)


RANGES = st.builds(Range, PAGE, st.integers(-1, PAGES - 1))
"""Some of them empty, as the whole pages of a short punch are."""

Model = list[Location | None]


def made_of(file: dict[int, Location]) -> ExtentMap:
    return ExtentMap(Extent(page, place.block, 1, place.state, place.shared) for page, place in file.items())


def model_of(extents: ExtentMap) -> Model:
    return [extents.get(page) for page in range(2 * PAGES)]


def written_out(extents: list[Extent]) -> list[tuple[int, Location]]:
    """Return each page of extents with its place."""
    return [
        (e.page + index, Location(e.block + index, e.state, e.shared)) for e in extents for index in range(e.length)
    ]


class AgainstAModel(RuleBasedStateMachine):
    """Whatever is done to the map, it is as a list that has a place for every page."""

    @initialize(file=FILES)
    def begin(self, file: dict[int, Location]) -> None:
        self.extents = made_of(file)
        self.model: Model = [file.get(page) for page in range(2 * PAGES)]

    def there(self, pages: Range) -> list[tuple[int, Location]]:
        return [(page, place) for page in pages.pages if (place := self.model[page]) is not None]

    @rule(page=PAGE, length=st.integers(1, 4), place=PLACES)
    def allocate(self, page: int, length: int, place: Location) -> None:
        extent = Extent(page, place.block, length, place.state, place.shared)
        if there := self.there(Range(page, extent.last)):
            with pytest.raises(ValueError, match=f"page {there[0][0]} has block {there[0][1].block}"):
                self.extents.allocate(extent)
            return
        self.extents.allocate(extent)
        for index in range(length):
            self.model[page + index] = place._replace(block=place.block + index)

    @rule(pages=RANGES)
    def punch(self, pages: Range) -> None:
        assert written_out(self.extents.punch(*pages)) == self.there(pages)
        for page in pages.pages:
            self.model[page] = None

    @rule(first=PAGE)
    def punch_to_the_end(self, first: int) -> None:
        assert written_out(self.extents.punch(first)) == self.there(Range(first, 2 * PAGES - 1))
        self.model[first:] = [None] * (2 * PAGES - first)

    @rule(pages=RANGES, state=st.none() | STATES, shared=st.none() | st.booleans())
    def mark(self, pages: Range, state: State | None, shared: bool | None) -> None:
        self.extents.mark(*pages, state=state, shared=shared)
        for page, place in self.there(pages):
            self.model[page] = Location(
                place.block, place.state if state is None else state, place.shared if shared is None else shared
            )

    @precondition(lambda self: self.model[PAGES:] == [None] * PAGES)
    @rule(first=PAGE, distance=st.integers(1, 3))
    def insert(self, first: int, distance: int) -> None:
        assert written_out(self.extents.shift(first, distance)) == self.there(Range(first, 2 * PAGES - 1))
        self.model[first:first] = [None] * distance
        del self.model[2 * PAGES :]

    @rule(first=PAGE, distance=st.integers(1, 3))
    def collapse(self, first: int, distance: int) -> None:
        """What stands where the others go must be gone already."""
        if first < distance or any(self.model[first - distance : first]):
            with pytest.raises(ValueError, match="no room"):
                self.extents.shift(first, -distance)
            return
        assert written_out(self.extents.shift(first, -distance)) == self.there(Range(first, 2 * PAGES - 1))
        del self.model[first - distance : first]
        self.model += [None] * distance

    @invariant()
    def the_same_pages(self) -> None:
        assert model_of(self.extents) == self.model
        blocks = [None if place is None else place.block for place in self.model]
        assert [self.extents.lookup(page) for page in range(2 * PAGES)] == blocks
        assert list(self.extents) == [page for page, place in enumerate(self.model) if place is not None]
        data = [place.block if place and place.state is State.WRITTEN else None for place in self.model]
        assert [self.extents.data(page) for page in range(2 * PAGES)] == data

    @invariant()
    def the_fewest_extents_and_no_history(self) -> None:
        """How a map came about cannot be told from it."""
        again = made_of({page: place for page, place in enumerate(self.model) if place is not None})
        assert canonical(self.extents) == canonical(again)
        for one, other in zip(self.extents.extents, self.extents.extents[1:], strict=False):
            assert (one.last + 1, one.block + one.length, one.state, one.shared) != (
                other.page,
                other.block,
                other.state,
                other.shared,
            )


TestAgainstAModel = AgainstAModel.TestCase


@given(FILES, RANGES)
def test_the_extents_and_the_holes_of_a_range(file: dict[int, Location], pages: Range) -> None:
    extents = made_of(file)
    assert written_out(extents.extents_in(*pages)) == [(page, file[page]) for page in pages.pages if page in file]
    holes = [page for first, last in extents.holes_in(*pages) for page in range(first, last + 1)]
    assert holes == [page for page in pages.pages if page not in file]


def carry_out(model: Model, operation: LayoutOperation, pages: Range) -> Model:
    """Return a file after an operation on whole pages; block -1 stands for one that was allocated."""
    before, inside, after = model[: pages.first], model[pages.first : pages.last + 1], model[pages.last + 1 :]
    new = Location(-1, State.UNWRITTEN, shared=False)
    match operation:
        case LayoutOperation.WRITE:
            made = [new if p is None or p.shared else p for p in inside]
            return [*before, *(p._replace(state=State.WRITTEN) for p in made), *after]
        case LayoutOperation.ALLOCATE:
            return [*before, *(new if p is None else p for p in inside), *after]
        case LayoutOperation.ZERO_RANGE:
            made = [new if p is None or p.shared else p for p in inside]
            return [*before, *(p._replace(state=State.UNWRITTEN) for p in made), *after]
        case LayoutOperation.UNSHARE_RANGE:
            return [*before, *(new if p is None or p.shared else p for p in inside), *after]
        case LayoutOperation.COLLAPSE_RANGE:
            return [*before, *after, *(None for _ in inside)]
        case LayoutOperation.INSERT_RANGE:
            return [*before, *(None for _ in inside), *inside, *after]
        case LayoutOperation.CLONE_FROM:
            return [*before, *(p and p._replace(shared=True) for p in inside), *after]
        case LayoutOperation.CLONE_TO:
            return [*before, *(Location(-1, State.WRITTEN, shared=True) for _ in inside), *after]
    return [*before, *(None for _ in inside), *after]


FEW = 3
"""In files of so few pages every map and every range is tried."""
KINDS = (None, *(Location(0, state, shared) for state in State for shared in (False, True)))
MAPS = [
    {page: place._replace(block=page) for page, place in enumerate(places) if place is not None}
    for places in product(KINDS, repeat=FEW)
]
EVERY_RANGE = [Range(first, last) for first in range(FEW) for last in range(first - 1, FEW)]


@pytest.mark.parametrize("operation", LayoutOperation)
def test_a_change_is_classified_by_what_it_does(operation: LayoutOperation) -> None:
    for file, pages in product(MAPS, EVERY_RANGE):
        look_at_change(file, operation, pages)


def look_at_change(file: dict[int, Location], operation: LayoutOperation, pages: Range) -> None:
    extents = made_of(file)
    old = model_of(extents)
    new = carry_out(old, operation, pages)
    was = {place.block: (page, place) for page, place in enumerate(old) if place is not None}
    now = {place.block: (page, place) for page, place in enumerate(new) if place is not None}
    expected = ChangeKind(0)
    if -1 in now:
        expected |= ChangeKind.ADDITIVE
    if was.keys() - now.keys():
        expected |= ChangeKind.SUBTRACTIVE
    stays = was.keys() & now.keys()
    if any(now[block][0] != was[block][0] for block in stays):
        expected |= ChangeKind.MOVING
    if any(now[block][1].state is not was[block][1].state for block in stays):
        expected |= ChangeKind.CONVERTING
    if operation is LayoutOperation.CLONE_TO and pages.pages:
        expected |= ChangeKind.SHARING
    if operation is LayoutOperation.CLONE_FROM and any(page in file for page in pages.pages):
        expected |= ChangeKind.SHARING
    assert extents.classify(operation, *pages) == expected
    assert model_of(extents) == old, "to classify changes nothing"


def test_the_map_is_not_the_one_it_was_made_of() -> None:
    blocks = {0: 1}
    ExtentMap(extents_of(blocks)).punch(0)
    assert blocks == {0: 1}


def test_a_file_of_many_pages_is_few_extents() -> None:
    extents = ExtentMap([Extent(0, 7, 100_000)])
    extents.punch(500, 500)
    extents.mark(70_000, 79_999, state=State.UNWRITTEN)
    assert [(e.page, e.block, e.length) for e in extents.extents] == [
        (0, 7, 500),
        (501, 508, 69_499),
        (70_000, 70_007, 10_000),
        (80_000, 80_007, 20_000),
    ]


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 6))))
def test_how_often_something_has_happened(counted: list[tuple[int, int]]) -> None:
    counts, plain = Counts(), [0] * 24
    for first, length in counted:
        counts.add(first, first + length - 1)
        for number in range(first, first + length):
            plain[number] += 1
    assert [counts.get(number) or 0 for number in range(24)] == plain
    assert canonical(counts) == canonical(
        Counts(ValueRun(number, 1, count) for number, count in enumerate(plain) if count)
    )


def test_the_numbers_of_runs() -> None:
    runs = RunMap([ValueRun(3, 2, "a"), ValueRun(9, 1, "b")])
    assert (len(runs), list(runs), 4 in runs, 5 in runs) == (3, [3, 4, 9], True, False)
