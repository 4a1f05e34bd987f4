"""Wakeup trees: which schedules must still be explored from one point, no two of them equivalent.

A *weak initial* of a sequence is a process that may move first in a schedule equivalent to one that begins with the
sequence: the first event it has there needs none of the others, or it has none there and is in conflict with none.
"""

from typing import Any, NamedTuple, Protocol


class Branch(NamedTuple):
    """A process that moves, and what moves after it."""

    process: int
    place: int
    branches: "list[Branch]"

    @property
    def leaf(self) -> bool:
        """Whether the tree says nothing of what comes after it."""
        return not self.branches


class Events(Protocol):
    """The events of a schedule, by index."""

    process: list[int]
    place: list[int]
    clock: list[int]
    conflicts: list[int]


class Sequence:
    """A wakeup sequence: events, and which of them happened before which."""

    __slots__ = ("clocks", "conflicts", "inside", "keys", "places", "processes")

    def __init__(self, path: Events, events: list[int]) -> None:
        self.conflicts = path.conflicts
        self.keys = [1 << event for event in events]
        """The bit of each event in clocks."""
        self.processes = [path.process[event] for event in events]
        self.places = [path.place[event] for event in events]
        self.clocks = [path.clock[event] for event in events]
        self.inside = sum(self.keys)

    def append(self, process: int, place: int, clock: int, event: int) -> None:
        """Add the event that comes last."""
        self.processes.append(process)
        self.places.append(place)
        self.clocks.append(clock)
        self.keys.append(1 << event)
        self.inside |= 1 << event

    def moves(self, process: int, latest: int) -> bool:
        """Return whether a process moves in it for the first time no later than event ``latest`` of the schedule."""
        return process in self.processes and self.keys[self.processes.index(process)] <= 1 << latest

    def may_begin_with(self, process: int, place: int) -> bool:
        """Return whether a process, whose next event is at ``place``, is a weak initial."""
        if process in self.processes:
            first = self.processes.index(process)
            return self.clocks[first] & self.inside == self.keys[first]
        conflicts = self.conflicts[place]
        return not any(conflicts >> other & 1 for other in self.places)

    def insert(self, branches: list[Branch]) -> None:
        """Add the sequence to a tree, unless a branch leads to an equivalent schedule.

        ``branches`` is changed; so is the sequence.
        """
        found = self.find(branches)
        if found is None:
            return
        _, branches = found
        for process, place in zip(self.processes, self.places, strict=True):
            below: list[Branch] = []
            branches.append(Branch(process, place, below))
            branches = below

    def find(self, branches: list[Any]) -> tuple[Any, list[Any]] | None:
        """Follow the sequence in a tree, as far as equivalent schedules have a branch there.

        Return the branch after which it needs one of its own, None for the root, and the branches there are; or None
        if it needs none. The sequence is shortened to what is left of it.
        """
        last: Any = None
        while self.processes:
            for branch in branches:
                if self.may_begin_with(branch.process, branch.place):
                    break
            else:
                return last, branches
            if branch.leaf:
                return None
            if branch.process in self.processes:
                self._remove(self.processes.index(branch.process))
            last, branches = branch, branch.branches
        return None

    def relative(self) -> list[int]:
        """Return for each event which others of the sequence, by index, happened before it, and itself."""
        keys = list(enumerate(self.keys))
        return [sum(1 << index for index, key in keys if clock & key) for clock in self.clocks]

    def _remove(self, index: int) -> None:
        self.inside ^= self.keys[index]
        for values in (self.keys, self.processes, self.places, self.clocks):
            del values[index]
