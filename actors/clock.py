"""The clock: it owns virtual time. Others learn of time only by the messages it sends."""

from longpin.actors.base import Actor, Engine, handles
from longpin.messages.clock import CLOCK, ArmTimer, CancelTimer, Tick, TimerExpired
from longpin.messages.envelope import Address


class Clock(Actor):
    """Armed timers, and one alarm at the engine for the earliest of them.

    When the alarm goes off is the engine's reading of time: when nothing else can happen (lazy), at any moment after it
    was set (racy), or after a real wait (threads).
    """

    def __init__(self, engine: Engine, address: Address = CLOCK) -> None:
        super().__init__(engine, address)
        self.now = 0.0
        """Seconds of virtual time since the start."""
        self.timers: dict[tuple[Address, str], float] = {}
        """Deadlines by owner and name, in the order in which they were armed."""

    @handles(ArmTimer)
    def arm(self, timer: ArmTimer, src: Address) -> None:
        """Arm a timer."""
        self.timers.pop((src, timer.name), None)
        self.timers[src, timer.name] = self.now + timer.delay
        self._set_alarm()

    @handles(CancelTimer)
    def cancel(self, timer: CancelTimer, src: Address) -> None:
        """Disarm a timer, if it has not expired."""
        self.timers.pop((src, timer.name), None)
        self._set_alarm()

    @handles(Tick)
    def tick(self, tick: Tick, _src: Address) -> None:
        """Move time on, and tell the owners of the timers that are due, earliest first."""
        self.now = tick.now
        due = sorted((deadline, order) for order, deadline in enumerate(self.timers.values()) if deadline <= self.now)
        armed = list(self.timers)
        for _, order in due:
            owner, name = armed[order]
            del self.timers[owner, name]
            self.send(owner, TimerExpired(name))
        self._set_alarm()

    def _set_alarm(self) -> None:
        self.engine.set_alarm(self, min(self.timers.values(), default=None))
