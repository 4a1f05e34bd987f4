"""What a lease is told by its inode.

None of these has a footprint: each depends on the one before, and the inode sends one at a time.
"""

from enum import StrEnum

from longpin.messages.envelope import Address, Message, message


class Level(StrEnum):
    """How far a break wants the lease to go, and the name of the timer that enforces it [2.3.3]."""

    DOWNGRADE = "downgrade"
    """To a read lease: somebody opens the file for reading."""
    UNLOCK = "unlock"
    """Away."""


class LeaseCommand(StrEnum):
    """The pairs of commands of fcntl(2), each for a kind of lease of its own."""

    LEASE = "lease"
    """F_SETLEASE, F_GETLEASE."""
    DELEGATION = "delegation"
    """F_SETDELEG, F_GETDELEG."""
    LAYOUT = "layout"
    """F_SETLAYOUT, F_GETLAYOUT."""


MOST_OFFSET = (1 << 63) - 1
"""The end of every file: a range up to there from 0 on is the whole of it [OFFSET_MAX]."""


@message
class Break(Message):
    """Tell the holder and start the break time; the reply says both are done."""

    level: Level
    seconds: float
    """lease_break_time; 0: never expires."""
    signal: bool
    """Somebody is told."""
    to: Address = ""
    """A process; empty: the owner of the description."""
    at_once: bool = False
    """The break time is over already."""
    only_set: bool = False
    """Nobody is told but by the signal that F_SETSIG has named."""
    registration: Address = ""
    """What an asynchronous event is about; empty: there is none."""
    context: Address = ""
    """Who queues it."""


@message
class Extend(Message):
    """Another term begins, of which nobody is told."""

    level: Level
    seconds: float
    """More than 0."""


@message
class RecordFd(Message):
    """A later F_SETLEASE overwrites the recorded descriptor number [2.1 step 9]."""

    fd: int


@message
class Drop(Message):
    """The inode has taken the lease off its list."""
