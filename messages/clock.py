"""Virtual time: timers, and the tick that is all a world learns of time.

None of these has a footprint: each may move the one alarm, and timers that expire together do so in the order in which
they were armed.
"""

from longpin.messages.envelope import Message, message

CLOCK = "clock"
"""The address of the clock."""


@message
class ArmTimer(Message):
    """Ask the clock for a ``TimerExpired``; a timer of the same owner and name is replaced."""

    name: str
    delay: float
    """Seconds of virtual time from the arrival of this message, greater than 0."""


@message
class CancelTimer(Message):
    """The timer is not wanted any more; its ``TimerExpired`` may already be on the way."""

    name: str


@message
class Tick(Message):
    """Virtual time has reached ``now``: from the engine to the clock."""

    now: float
    """Seconds since the start of the world."""


@message
class TimerExpired(Message):
    """A timer's time has come."""

    name: str
