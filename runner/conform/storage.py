"""How data and extents are written in outcomes, so that two kernels that agree write the same."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from longpin.actors.constants import FIEMAP_EXTENT_SHARED, FIEMAP_EXTENT_UNWRITTEN
from longpin.runner.conform.ops import PAGE

_NAMES = ((FIEMAP_EXTENT_UNWRITTEN, "UNWRITTEN"), (FIEMAP_EXTENT_SHARED, "SHARED"))


def data_text(data: bytes) -> str:
    """Return bytes as text: each letter with how often it follows itself, zeros as ``.``."""
    runs = [(byte, len(list(group))) for byte, group in groupby(data)]
    return " ".join(f"{chr(byte) if 33 <= byte < 127 else '.' if not byte else f'x{byte:02x}'}*{n}" for byte, n in runs)


def extents_text(extents: Iterable[tuple[int, int, int, int]]) -> str:
    """Return logical, physical, length and flags of extents as text, in pages.

    Where they lie is for an allocator to choose, and so is what it can put together.
    """
    pages: list[tuple[int, str]] = []
    for logical, _physical, length, flags in extents:
        shown = " ".join(name for flag, name in _NAMES if flags & flag)
        pages += [(page, shown) for page in range(logical // PAGE, (logical + length) // PAGE)]
    runs: list[list[object]] = []
    for page, shown in pages:
        if runs and runs[-1][1] == page - 1 and runs[-1][2] == shown:
            runs[-1][1] = page
        else:
            runs.append([page, page, shown])
    return ", ".join(f"{first}-{last} {shown}".rstrip() for first, last, shown in runs) or "nothing"


def read_extents(shown: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield the extents that ``fiemap`` of a program has returned."""
    for text in filter(None, shown.decode().split(", ")):
        place, *names = text.split(" ")
        logical, physical, length = map(int, place.split(":"))
        yield logical, physical, length, sum(flag for flag, name in _NAMES if name in names)
