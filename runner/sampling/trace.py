"""Mazurkiewicz traces: what two schedules have in common that differ only in the order of unrelated arrivals.

Two arrivals are unrelated if they are at different receivers and neither led to the other. So a trace is told by the
order of arrivals at each receiver. Each arrival is identified by its sender alone: what one actor sends to another
arrives in the order in which it was sent, so the sender's k-th place in the list is its k-th message to this receiver,
and what that message is follows, handlers being functions, from what the sender had received before it was sent. The
alarm is a sender like any other: which tick it is follows from what the clock has received.

A. Mazurkiewicz, "Trace theory", Petri Nets: Applications and Relationships to Other Models of Concurrency, LNCS 255,
1987.
"""

import hashlib
from array import array
from collections import defaultdict
from collections.abc import Iterable

import msgpack  # type: ignore[import-untyped]  # msgpack ships no annotations

from longpin.messages.envelope import Address, Envelope

NO_TRACE = 0
"""Stands for the trace of a run that did not come to rest: it has none, as where it was cut is no order of arrivals."""

MOST_TRACES = 1 << 24
"""Different traces told apart; the table then takes 320 MiB, and 480 MiB while it grows to that size."""

FIRST_SLOTS = 1 << 12

MOST_STRATEGIES = 15
"""The bits of an entry's mask, without the one that says whether the trace was seen again."""

AGAIN = 1 << MOST_STRATEGIES


def trace_number(arrivals: Iterable[Envelope]) -> int:
    """Return the trace of a schedule as a 64-bit number, never :data:`NO_TRACE`.

    The number is a hash: among n traces two share one with a probability of n² / 2⁶⁵, 3 in a million for 10 million.
    """
    received: defaultdict[Address, list[Address]] = defaultdict(list)
    for envelope in arrivals:
        received[envelope.dst].append(envelope.src)
    form = msgpack.packb(sorted(received.items()), unicode_errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(form, digest_size=8).digest(), "little") or 1


class Traces:
    """The traces seen so far, who saw each, and how many were seen exactly once.

    A hash table with open addressing in two arrays, 10 bytes a slot, at most half full: 20 to 40 bytes a trace where
    a dict takes more than 100. It stops counting when it holds :data:`MOST_TRACES`.
    """

    def __init__(self, most: int = MOST_TRACES) -> None:
        self.most = most
        self.distinct = 0
        self.once = 0
        """Traces that exactly one of the runs counted had."""
        self.counted = 0
        """Runs whose trace was looked at."""
        self.full = False
        """A trace that might be new was not looked at: there are at least :attr:`distinct`."""
        self._mask = FIRST_SLOTS - 1
        self._numbers = array("Q", bytes(8 * FIRST_SLOTS))
        self._seen_by = array("H", bytes(2 * FIRST_SLOTS))

    def add(self, number: int, strategy: int) -> bool:
        """Count a trace that a run of ``strategy`` had; return whether no run of that strategy had it before."""
        if self.full or (self.distinct == self.most and not self._numbers[self._slot(number)]):
            self.full = True
            return False
        self.counted += 1
        slot = self._slot(number)
        before = self._seen_by[slot]
        if not before:
            self._numbers[slot] = number
            self._seen_by[slot] = 1 << strategy
            self.distinct += 1
            self.once += 1
            if 2 * self.distinct > len(self._numbers):
                self._grow()
            return True
        self._seen_by[slot] = before | 1 << strategy | AGAIN
        self.once -= not before & AGAIN
        return not before >> strategy & 1

    def _slot(self, number: int) -> int:
        """Return where a trace is, or where it would be."""
        mask, numbers = self._mask, self._numbers
        slot = number & mask
        while (there := numbers[slot]) and there != number:
            slot = slot + 1 & mask
        return slot

    def _grow(self) -> None:
        """Double the slots; the numbers are hashes already."""
        numbers, seen_by = self._numbers, self._seen_by
        slots = 2 * len(numbers)
        self._mask = slots - 1
        self._numbers = array("Q", bytes(8 * slots))
        self._seen_by = array("H", bytes(2 * slots))
        for number, seen in zip(numbers, seen_by, strict=True):
            if number:
                slot = self._slot(number)
                self._numbers[slot] = number
                self._seen_by[slot] = seen
