"""The states of the world that were seen: by a fingerprint of 128 bits, or whole.

A fingerprint and what is kept beside it take some 50 bytes a state, in arrays; a whole state takes some 200. Two states
with one fingerprint would be taken for one, and what only the second leads to would not be seen. Fingerprints are
BLAKE2b digests (RFC 7693), so the probability that any two of *n* states have the same is below n^2 / 2^129.
"""

from abc import ABC, abstractmethod
from array import array
from hashlib import blake2b
from struct import Struct

from longpin.runner.exploration.nodes import Global

FINGERPRINT_BITS = 128

_HALVES = Struct("=QQ")

_FIRST_SLOTS = 1 << 10


def wrong_match_probability(states: int) -> float:
    """Return a bound of the probability that any two of so many states have one fingerprint."""
    return states * states / 2.0 ** (FINGERPRINT_BITS + 1)


class Seen(ABC):
    """Numbers states of the world in the order in which they were seen, and keeps where each came from."""

    def __init__(self) -> None:
        self.before = array("I")
        """By state: the one it was reached from; the first has itself."""
        self.depth = array("I")
        """By state: how many arrivals it took to reach it."""
        self._way = array("I")
        self._ways: list[tuple[int, ...]] = []
        self._numbers: dict[tuple[int, ...], int] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.before)

    @abstractmethod
    def find(self, state: Global) -> int:
        """Return the number of a state, -1 if it was not seen."""

    @abstractmethod
    def _enter(self, state: Global) -> None:
        """Give a state the next number."""

    def add(self, state: Global, before: int, way: tuple[int, ...]) -> int:
        """Return the number of a state not seen yet.

        Args:
            state: the state.
            before: the number of the one it was reached from; its own if it is the first.
            way: who was let go from there.

        """
        number = len(self.before)
        self._enter(state)
        self.before.append(before)
        self.depth.append(len(way) + (self.depth[before] if number else 0))
        if (known := self._numbers.get(way)) is None:
            known = self._numbers[way] = len(self._ways)
            self._ways.append(way)
        self._way.append(known)
        return number

    def way(self, number: int) -> list[int]:
        """Return who was let go from the start to a state."""
        parts = [self._ways[self._way[number]]]
        while number:
            number = self.before[number]
            parts.append(self._ways[self._way[number]])
        return [process for part in reversed(parts) for process in part]


class SeenByFingerprint(Seen):
    """Keeps a fingerprint of each state, in a table with open addressing."""

    def __init__(self) -> None:
        super().__init__()
        self._low = array("Q")
        self._high = array("Q")
        self._slots = array("I", bytes(4 * _FIRST_SLOTS))
        """By the low bits of a fingerprint, or after that: 1 more than the number of the state, 0 for none."""
        self._mask = _FIRST_SLOTS - 1
        self._sought: Global | None = None
        self._place: tuple[int, int, int] = (0, 0, 0)
        """For the state last sought in vain: both halves of its fingerprint, and the slot where it belongs."""

    def find(self, state: Global) -> int:
        """Return the number of a state, -1 if it was not seen."""
        low, high = _HALVES.unpack(blake2b(packed(state), digest_size=FINGERPRINT_BITS // 8).digest())
        slots, mask = self._slots, self._mask
        slot = low & mask
        while number := slots[slot]:
            if self._low[number - 1] == low and self._high[number - 1] == high:
                return int(number) - 1
            slot = slot + 1 & mask
        self._sought, self._place = state, (low, high, slot)
        return -1

    def _enter(self, state: Global) -> None:
        if self._sought is not state and self.find(state) >= 0:
            raise ValueError("the state was seen")
        self._sought = None
        low, high, slot = self._place
        self._low.append(low)
        self._high.append(high)
        self._slots[slot] = len(self._low)
        if len(self._low) * 3 > len(self._slots) * 2:
            self._grow()

    def _grow(self) -> None:
        slots = self._slots = array("I", bytes(8 * len(self._slots)))
        mask = self._mask = len(slots) - 1
        for number, low in enumerate(self._low, 1):
            slot = low & mask
            while slots[slot]:
                slot = slot + 1 & mask
            slots[slot] = number


class SeenWhole(Seen):
    """Keeps each state itself."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[bytes, int] = {}

    def find(self, state: Global) -> int:
        """Return the number of a state, -1 if it was not seen."""
        return self._known.get(packed(state), -1)

    def _enter(self, state: Global) -> None:
        self._known[packed(state)] = len(self._known)


def packed(state: Global) -> bytes:
    """Return the bytes of a state; actors that were never heard of count as absent."""
    return array("I", state).tobytes().rstrip(b"\0")
