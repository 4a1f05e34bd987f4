"""Wakeup trees: which schedules must still be explored from one point, no two of them equivalent.

A *weak initial* of a sequence is a process that may move first in a schedule equivalent to one that begins with the
sequence: the first event it has there needs none of the others, or it has none there and is in conflict with none.
"""

from typing import NamedTuple, Protocol


class Branch(NamedTuple):
    """A process that moves, and what moves after it."""

    process: int
    place: int
    branches: "list[Branch]"


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
        while self.processes:
            for branch in branches:
                if self.may_begin_with(branch.process, branch.place):
                    break
            else:
                for process, place in zip(self.processes, self.places, strict=True):
                    below: list[Branch] = []
                    branches.append(Branch(process, place, below))
                    branches = below
                return
            if not branch.branches:
                return
            if branch.process in self.processes:
                self._remove(self.processes.index(branch.process))
            branches = branch.branches

    def _remove(self, index: int) -> None:
        self.inside ^= self.keys[index]
        for values in (self.keys, self.processes, self.places, self.clocks):
            del values[index]
