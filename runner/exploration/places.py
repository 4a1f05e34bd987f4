"""Where messages arrive, as far as conflicts go.

A *plain* place is a receiver with a footprint. A *place* is that with a *block*: the plain places of all that the
handler sends. Two arrivals at one actor are in conflict if one changes what the other touches, or if they *quarrel*:
something that the one sends is in conflict with something that the other sends. For with one outbox for its actor a
block leaves it whole, in the order in which the arrivals came; so who sees the order of two of these messages sees the
order of the arrivals, and of all else that they send.

Conflicts are between places, not between arrivals: what is said of two of them holds in every schedule.
"""

from collections.abc import Iterable

from longpin.messages.envelope import Footprint
from longpin.runner.exploration.footprints import conflict

Block = tuple[int, ...]
"""Plain places, each once, sorted."""


def bits(numbers: int) -> list[int]:
    """Return what is in a bit set."""
    found = []
    while numbers:
        lowest = numbers & -numbers
        found.append(lowest.bit_length() - 1)
        numbers ^= lowest
    return found


class Places:
    """Numbers of places, and which of them are in conflict."""

    def __init__(self) -> None:
        self.conflicts: list[int] = []
        """By place: the bit set of the places it is in conflict with."""
        self.plain: list[int] = []
        """By place: its plain place."""
        self.rivals: list[list[int]] = []
        """By plain place: the plain places it is in conflict with."""
        self.quarrels: list[list[int]] = []
        """By place: the places it quarrels with, beside those of which the plain places are in conflict."""
        self.parts: list[tuple[int, Footprint | None, Block]] = []
        """By place: receiver, footprint and block."""
        self._numbers: dict[tuple[int, Block], int] = {}
        self._plain_numbers: dict[tuple[int, Footprint | None], int] = {}
        self._family: list[int] = []
        """By plain place: the bit set of all places with it, itself included."""
        self._at: dict[int, list[int]] = {}
        """By receiver: its plain places."""
        self._blocks: dict[int, list[int]] = {}
        """By receiver: its places with a block."""

    def number(self, receiver: int, footprint: Footprint | None) -> int:
        """Return the number of a plain place."""
        if (place := self._plain_numbers.get((receiver, footprint))) is None:
            place = self._new(receiver, footprint, ())
            self._plain_numbers[receiver, footprint] = place
            self._family[place] = 1 << place
            peers = self._at.setdefault(receiver, [])
            peers.append(place)
            for peer in peers:
                if conflict(footprint, self.parts[peer][1]):
                    for one, other in {(place, peer), (peer, place)}:
                        self.rivals[one].append(other)
                    self._oppose(1 << place, self._family[peer])
        return place

    def with_block(self, plain: int, block: Block) -> int:
        """Return the number of the place with a plain place and a block."""
        if not block:
            return plain
        if (place := self._numbers.get((plain, block))) is None:
            receiver, footprint, _ = self.parts[plain]
            place = self._numbers[plain, block] = self._new(receiver, footprint, block)
            self.plain[place] = plain
            self._family[plain] |= 1 << place
            for rival in self.rivals[plain]:
                self._oppose(1 << place, self._family[rival])
            peers = self._blocks.setdefault(receiver, [])
            peers.append(place)
            for peer in peers:
                if not self.conflicts[place] >> peer & 1 and self._quarrel(block, self.parts[peer][2]):
                    for one, other in {(place, peer), (peer, place)}:
                        self.quarrels[one].append(other)
                    self._oppose(1 << place, 1 << peer)
        return place

    def _quarrel(self, one: Block, other: Block) -> bool:
        return any(self.conflicts[sent] >> rival & 1 for sent in one for rival in other)

    def _oppose(self, some: int, others: int) -> None:
        """Note that all places of one bit set are in conflict with all of another."""
        for one, two in ((some, others), (others, some)):
            for place in bits(one):
                self.conflicts[place] |= two

    def _new(self, receiver: int, footprint: Footprint | None, block: Block) -> int:
        self.conflicts.append(0)
        self.rivals.append([])
        self.quarrels.append([])
        self.parts.append((receiver, footprint, block))
        self._family.append(0)
        self.plain.append(len(self.plain))
        return len(self.plain) - 1


def block_of(places: Iterable[int]) -> Block:
    """Return the block of messages that arrive at these plain places."""
    return tuple(sorted(set(places)))
