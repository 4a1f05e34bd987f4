"""Which files a process maps where, as its own calls have it: what rule O5 asks of who is signalled.

The memory map knows as well, and decides. But a rule looks at one actor at a time, and nobody else changes the mappings
of a process.
"""

from collections.abc import Iterable
from typing import NamedTuple

from longpin.messages.process.process import File


class MappedRange(NamedTuple):
    """Addresses at which a file is mapped."""

    start: int
    end: int
    file: File


class MappedFiles:
    """The mappings of regular files."""

    __slots__ = ("ranges",)

    def __init__(self, ranges: Iterable[MappedRange] = ()) -> None:
        self.ranges = tuple(sorted(ranges))

    def add(self, start: int, end: int, file: File) -> None:
        """Note a new mapping, in place of what was there; of what is no regular file that nothing is there."""
        self.remove(start, end)
        if file.kind == "file":
            self.ranges = tuple(sorted((*self.ranges, MappedRange(start, end, file))))

    def remove(self, start: int, end: int) -> None:
        """Note that nothing is mapped at some addresses any more."""
        kept: list[MappedRange] = []
        for one in self.ranges:
            before, after = one._replace(end=min(one.end, start)), one._replace(start=max(one.start, end))
            kept += [part for part in (before, after) if part.start < part.end]
        self.ranges = tuple(kept)

    def move(self, start: int, end: int, to: int, to_end: int, *, stays: bool) -> None:
        """Note what mremap(2) has made of a mapping; with MREMAP_DONTUNMAP the old addresses stay mapped."""
        file = next((one.file for one in self.ranges if one.start <= start < one.end), None)
        if not stays:
            self.remove(start, end)
        if file is not None:
            self.add(to, to_end, file)

    def clear(self) -> None:
        """Note that all is gone."""
        self.ranges = ()

    @property
    def files(self) -> tuple[File, ...]:
        """What is mapped."""
        return tuple(one.file for one in self.ranges)
