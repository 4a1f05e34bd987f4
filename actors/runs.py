"""A map from whole numbers to values that is kept as runs: what follows each other costs one record [1.6, 1.7].

Pages have blocks, blocks have owners and generations: for many numbers in a row, each value follows from the one
before. What is kept depends on the values alone, so two histories that end alike leave the same state.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Generic, NamedTuple, TypeVar

V = TypeVar("V")

_FIRST = attrgetter("first")


class ValueRun(NamedTuple, Generic[V]):
    """Numbers that follow each other, whose values do too."""

    first: int
    length: int
    value: V
    """Of the first number."""

    @property
    def last(self) -> int:
        """The last number that belongs to it."""
        return self.first + self.length - 1


class RunMap(Generic[V]):
    """Values of whole numbers, as the longest runs there are.

    Invariant: runs are sorted, do not overlap, and no two of them could be one.
    """

    __slots__ = ("_runs",)

    def __init__(self, runs: Iterable[ValueRun[V]] = ()) -> None:
        self._runs: list[ValueRun[V]] = []
        for run in runs:
            self.assign(run.first, run.length, run.value)

    @staticmethod
    def after(value: V, distance: int) -> V:
        """Return what the number so far behind one has as its value, where both are of one run."""
        return value

    def __len__(self) -> int:
        return sum(run.length for run in self._runs)

    def __iter__(self) -> Iterator[int]:
        for run in self._runs:
            yield from range(run.first, run.first + run.length)

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.run_of(number) is not None

    @property
    def runs(self) -> tuple[ValueRun[V], ...]:
        """All of them, in order."""
        return tuple(self._runs)

    def run_of(self, number: int) -> ValueRun[V] | None:
        """Return the run that a number belongs to."""
        index = bisect_right(self._runs, number, key=_FIRST) - 1
        return self._runs[index] if index >= 0 and number <= self._runs[index].last else None

    def get(self, number: int) -> V | None:
        """Return the value of a number; None: it has none."""
        run = self.run_of(number)
        return None if run is None else self.after(run.value, number - run.first)

    def within(self, first: int, last: int) -> list[ValueRun[V]]:
        """Return the runs of the numbers ``first`` to ``last``, cut to them, in order."""
        runs = self._touching(first, last)
        return [run if first <= run.first and run.last <= last else self._cut(run, first, last) for run in runs]

    def gaps(self, first: int, last: int) -> list[tuple[int, int]]:
        """Return the ranges, first and last, of the numbers from ``first`` to ``last`` that have no value."""
        found, begin = [], first
        for run in self._touching(first, last):
            if begin < run.first:
                found.append((begin, run.first - 1))
            begin = run.last + 1
        return found + ([(begin, last)] if begin <= last else [])

    def assign(self, first: int, length: int, value: V) -> None:
        """Give ``length`` numbers from ``first`` on values that follow each other, whatever they had."""
        if length > 0:
            self._replace(first, first + length - 1, [ValueRun(first, length, value)])

    def remove(self, first: int, last: int) -> list[ValueRun[V]]:
        """Take the values of ``first`` to ``last`` away, and return their runs."""
        removed = self.within(first, last)
        if removed:
            self._replace(first, last, [])
        return removed

    def _touching(self, first: int, last: int) -> list[ValueRun[V]]:
        begin, end = self._where(first, last)
        return self._runs[begin:end]

    def _where(self, first: int, last: int) -> tuple[int, int]:
        """Return which of the runs have a number from ``first`` to ``last``."""
        if first > last:
            return 0, 0
        runs = self._runs
        begin = bisect_right(runs, first, key=_FIRST)
        if begin and first <= runs[begin - 1].last:
            begin -= 1
        return begin, bisect_right(runs, last, begin, key=_FIRST)

    def _cut(self, run: ValueRun[V], first: int, last: int) -> ValueRun[V]:
        begin, end = max(run.first, first), min(run.last, last)
        return ValueRun(begin, end - begin + 1, self.after(run.value, begin - run.first))

    def _replace(self, first: int, last: int, runs: list[ValueRun[V]]) -> None:
        """Put runs in the place of whatever ``first`` to ``last`` had, and join what can be joined."""
        begin, end = self._where(first, last)
        touched = self._runs[begin:end]
        before = [self._cut(run, run.first, first - 1) for run in touched[:1] if run.first < first]
        behind = [self._cut(run, last + 1, run.last) for run in touched[-1:] if run.last > last]
        begin, end = max(begin - 1, 0), end + 1
        around = self._runs[begin:end]
        left = [run for run in around if run.last < first]
        right = [run for run in around if run.first > last]
        joined: list[ValueRun[V]] = []
        for run in (*left, *before, *runs, *behind, *right):
            if joined and self._follows(joined[-1], run):
                joined[-1] = ValueRun(joined[-1].first, joined[-1].length + run.length, joined[-1].value)
            else:
                joined.append(run)
        self._runs[begin:end] = joined

    def _follows(self, run: ValueRun[V], other: ValueRun[V]) -> bool:
        return run.last + 1 == other.first and self.after(run.value, run.length) == other.value


class Counts(RunMap[int]):
    """How often something has happened to each number; 0 where nothing stands."""

    __slots__ = ()

    def add(self, first: int, last: int) -> None:
        """Count once more for ``first`` to ``last``."""
        counted, new = self.within(first, last), self.gaps(first, last)
        for run in counted:
            self.assign(run.first, run.length, run.value + 1)
        for begin, end in new:
            self.assign(begin, end - begin + 1, 1)
