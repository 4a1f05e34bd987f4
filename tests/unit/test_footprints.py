"""Which footprints conflict: what comparing every part with every other says, in time that large ones allow."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from longpin.messages.envelope import Footprint, Part
from longpin.messages.mm.memory import FrameRun, ScanBusy
from longpin.messages.mm.pmem import BlockRun, FreeBlocks
from longpin.runner.exploration.footprints import conflict

PARTS = st.frozensets(st.lists(st.sampled_from(["owner", "pins", 0, 1]), max_size=3).map(tuple), max_size=3)
FOOTPRINTS = st.builds(Footprint, PARTS, PARTS, PARTS)


def meet(some: frozenset[Part], others: frozenset[Part]) -> bool:
    return any(one[: len(other)] == other[: len(one)] for one, other in product(some, others))


@given(FOOTPRINTS, FOOTPRINTS)
def test_two_conflict_if_one_changes_what_the_other_touches(one: Footprint, other: Footprint) -> None:
    expected = any(
        meet(a.writes, b.reads | b.writes | b.adds) or meet(a.adds, b.reads) for a, b in ((one, other), (other, one))
    )
    assert conflict(one, other) is expected


def test_messages_about_all_blocks_of_a_large_file() -> None:
    blocks, others = BlockRun(0, 0, 100_000), BlockRun(0, 100_000, 100_000)
    one, other = FreeBlocks("inode:/f", (blocks,)), FreeBlocks("inode:/g", (others,))
    assert not conflict(one.footprint(), other.footprint())
    assert not conflict(one.footprint(), ScanBusy((FrameRun(100_000, 100_000),)).footprint())
    assert conflict(one.footprint(), FreeBlocks("inode:/g", (others, BlockRun(100_000, 99_999, 1))).footprint())
