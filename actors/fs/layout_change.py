"""What a call would do to the layout of a file: which pages, and what becomes of them. It knows no actor [1.6]."""

from typing import NamedTuple

from longpin.actors.fs.extents import END, ExtentMap
from longpin.actors.kernel.file_system import NO_CHANGE, ChangeKind, FileSystem, LayoutOperation
from longpin.actors.policies.views import Change, Range
from longpin.messages.process.caller import Caller

SHIFTS = (LayoutOperation.COLLAPSE_RANGE, LayoutOperation.INSERT_RANGE)
"""Operations that move every block behind their range."""


class Wanted(NamedTuple):
    """What a call is about to do, in bytes."""

    operation: LayoutOperation
    start: int
    """The first byte; of truncate the new size."""
    end: int
    """The byte behind the last; of truncate nobody asks."""
    caller: Caller
    keep_size: bool = False


def change_of(wanted: Wanted, extents: ExtentMap, size: int, page_size: int, file_system: FileSystem) -> Change:
    """Return what a call would do to a file of ``size`` bytes, as a policy is shown it."""
    operation = wanted.operation
    if operation is LayoutOperation.TRUNCATE:
        pages = Range(min(wanted.start, size) // page_size, END)
    else:
        last = END if operation in SHIFTS else (wanted.end - 1) // page_size
        copies_tail = wanted.start > size and _zeroed(extents, size, page_size)
        pages = Range((size if copies_tail else wanted.start) // page_size, last)
    kinds = _of_blocks(wanted, extents, size, page_size) | _of_size(wanted, size)
    kinds |= file_system.kinds.get(operation, NO_CHANGE)
    return Change(operation, kinds, pages, wanted.caller, file_system.asks[operation])


def _of_blocks(wanted: Wanted, extents: ExtentMap, size: int, page_size: int) -> ChangeKind:
    operation = wanted.operation
    whole = -(-wanted.start // page_size)  # pages that are partly in the range are zeroed there, and stay
    if operation is LayoutOperation.TRUNCATE:
        if wanted.start > size:  # then what is allocated behind the end stays
            return _zeroed(extents, size, page_size)
        return extents.classify(operation, whole) | _zeroed(extents, wanted.start, page_size)
    if operation is LayoutOperation.PUNCH_HOLE:
        edges = _zeroed(extents, wanted.start, page_size) | _zeroed(extents, wanted.end, page_size)
        return extents.classify(operation, whole, wanted.end // page_size - 1) | edges
    zeroes_tail = wanted.start > size or operation is LayoutOperation.COLLAPSE_RANGE
    tail = _zeroed(extents, size, page_size) if zeroes_tail else NO_CHANGE
    return tail | extents.classify(operation, wanted.start // page_size, -(-wanted.end // page_size) - 1)


def _zeroed(extents: ExtentMap, edge: int, page_size: int) -> ChangeKind:
    """Return what it does to zero a page up to a byte in it, or from there on: one that is shared is copied [H22]."""
    page, inside = divmod(edge, page_size)
    place = extents.get(page) if inside else None
    copied = place is not None and place.shared
    return ChangeKind.SUBTRACTIVE | ChangeKind.ADDITIVE if copied else NO_CHANGE


def _of_size(wanted: Wanted, size: int) -> ChangeKind:
    length = wanted.end - wanted.start
    match wanted.operation:
        case LayoutOperation.TRUNCATE:
            new_size = wanted.start
        case LayoutOperation.COLLAPSE_RANGE:
            new_size = size - length
        case LayoutOperation.INSERT_RANGE:
            new_size = size + length
        case _:
            new_size = size if wanted.keep_size else max(size, wanted.end)
    if new_size == size:
        return NO_CHANGE
    return ChangeKind.EXTENDING if new_size > size else ChangeKind.SHRINKING
