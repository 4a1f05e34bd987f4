"""How much a run may do before it is given up: a program can signal itself for ever.

A run may have a million arrivals. What large files take page by page is not among them, or nobody could register 1 GiB;
it has a bound of its own, so that a run always ends.
"""

import time
from collections.abc import Sequence

from longpin.messages.envelope import Envelope, Message
from longpin.messages.mm.memory import PinFrames, Store
from longpin.messages.mm.pmem import Allocate, CopyBlock
from longpin.messages.mm.ram import AllocateFrames
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.engines.threads import ThreadsEngine
from longpin.runner.result import CallResult

MOST_ARRIVALS = 1_000_000
"""Arrivals after which a run that is still not quiet is undetermined, those for pages not counted."""

MOST_FOR_PAGES = 8_000_000
"""The arrivals that pages may take beside those: a million pages can be given a block."""

FOR_A_PAGE: dict[type[Message], int] = {PinFrames: 8, Allocate: 6, AllocateFrames: 2, CopyBlock: 8, Store: 2}
"""What comes with each of these, the answers included: pages are faulted in, asked for and pinned, one after the other
if they are holes, else by the hundreds; each page of another file's is copied for itself."""

SECONDS = 60.0
"""Real seconds after which a run on threads that is still not quiet is undetermined; as much again for each million
arrivals that pages take."""


class Allowance:
    """The arrivals of one run."""

    def __init__(self) -> None:
        self.for_pages = 0

    def count(self, envelope: Envelope) -> None:
        """Take note of an arrival."""
        self.for_pages += FOR_A_PAGE.get(type(envelope.body), 0)

    @property
    def arrivals(self) -> int:
        """How many arrivals the run may have, by what has arrived so far."""
        return MOST_ARRIVALS + min(self.for_pages, MOST_FOR_PAGES)

    @property
    def seconds(self) -> float:
        """How many seconds a run on threads may take, by what has arrived so far."""
        return SECONDS * (1 + min(self.for_pages, MOST_FOR_PAGES) / 1e6)


def run_within(engine: SteppedEngine, allowance: Allowance) -> bool:
    """Deliver until nothing can happen any more, the oracle stops, or the allowance is spent; True: the first.

    The engine must have ``allowance`` count each arrival.

    Raises:
        InternalError: an actor failed.

    """
    most = 0
    while most < allowance.arrivals:
        most = allowance.arrivals
        quiet = engine.run(most)
        if quiet or engine.arrivals < most:
            return quiet
    return False


def run_threads_within(engine: ThreadsEngine, allowance: Allowance) -> bool:
    """Watch a world on threads until nothing can happen any more, or the allowance is spent; True: the first.

    The engine must have ``allowance`` count each arrival.

    Raises:
        InternalError: an actor failed.

    """
    started = time.monotonic()
    while engine.arrivals <= allowance.arrivals and time.monotonic() <= started + allowance.seconds:
        if engine.run(started + allowance.seconds, allowance.arrivals):
            return True
    return False


def not_quiet(arrivals: int, calls: Sequence[CallResult]) -> str:
    """Return why a run was given up: after how many arrivals, and which of its calls was the last."""
    last = f"; the last call was {calls[-1].call} in line {calls[-1].line}, by {calls[-1].process}" if calls else ""
    return f"not quiet after {arrivals:,} arrivals{last}"
