"""Online chain partitioning: elements that are revealed one by one, put into few chains of ordered ones.

Agarwal, Garg, "Efficient dependency tracking for relevant events in shared-memory systems", PODC 2005: a partial order
of width w that grows upwards is covered by at most w(w+1)/2 chains. The chains are kept in groups, the i-th of which
holds at most i chains, and the last elements of the chains of one group are never comparable:

1. A new element goes to the first group in which it is above the last element of a chain, or in which a chain can
   still begin.
2. If that is group i > 1, its other chains change places with those of group i - 1.
"""

from collections.abc import Iterable
from typing import NamedTuple


class Element(NamedTuple):
    """An element that is in a chain."""

    chain: int
    clock: list[int]
    """How many elements of each chain are not above this one, itself counted."""

    def at_or_below(self, clock: list[int]) -> bool:
        """Return whether ``clock`` counts this element."""
        return self.chain < len(clock) and self.clock[self.chain] <= clock[self.chain]


class Chains:
    """A partition that grows; chains are numbered from 0 in the order in which they began."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        """How many elements each chain has."""
        self._groups: list[list[int]] = []

    def insert(self, below: Iterable[Element]) -> Element:
        """Put an element above those in ``below``, and above all that is below them, into a chain."""
        clock: list[int] = []
        for element in below:
            if not element.at_or_below(clock):
                other = element.clock
                if len(clock) < len(other):
                    clock, other = other, clock
                clock = [*map(max, clock, other), *clock[len(other) :]]
        chain = self._chain_of(clock)
        self.lengths[chain] += 1
        clock.extend([0] * (chain + 1 - len(clock)))
        clock[chain] = self.lengths[chain]
        return Element(chain, clock)

    def _chain_of(self, clock: list[int]) -> int:
        """Return the chain in which an element belongs that is above what ``clock`` counts."""
        lengths, known, groups = self.lengths, len(clock), self._groups
        place = 0
        while True:
            if place == len(groups):
                groups.append([])
            group = groups[place]
            for chain in group:
                # The last element of a chain is below the new one iff all elements of the chain are.
                if chain < known and clock[chain] == lengths[chain]:
                    break
            else:
                if len(group) > place:
                    place += 1
                    continue
                chain = len(lengths)
                lengths.append(0)
                group.append(chain)
            if place:
                groups[place - 1], groups[place] = [c for c in group if c != chain], [*groups[place - 1], chain]
            return chain
