"""Virtual time: timers and their order, and the two readings of when one may fire."""

from collections.abc import Callable
from typing import Any

from longpin.actors.base import Actor, handles
from longpin.actors.clock import Clock
from longpin.messages.clock import CLOCK, ArmTimer, CancelTimer, TimerExpired
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.oracles import ORACLES

Play = Callable[..., Any]


class Owner(Actor):
    """Arms what it is told to and notes what expires, with the time."""

    def __init__(self, engine: SteppedEngine, address: str) -> None:
        super().__init__(engine, address)
        self.expired: list[tuple[str, float]] = []

    @handles(ArmTimer)
    def arm(self, request: ArmTimer, _src: str) -> None:
        self.send(CLOCK, request)

    @handles(CancelTimer)
    def cancel(self, request: CancelTimer, _src: str) -> None:
        self.send(CLOCK, request)

    @handles(TimerExpired)
    def expire(self, timer: TimerExpired, _src: str) -> None:
        clock = self.engine.actors[CLOCK]  # type: ignore[attr-defined]
        self.expired.append((timer.name, clock.now))


def expiries(*requests: ArmTimer | CancelTimer) -> list[tuple[str, float]]:
    engine = SteppedEngine(ORACLES["fifo"](0))
    engine.spawn(Clock, CLOCK)
    engine.spawn(Owner, "owner")
    for request in requests:
        engine.tell("owner", request)
    assert engine.run()
    owner = engine.actors["owner"]
    assert isinstance(owner, Owner)
    return owner.expired


def test_timers_expire_in_the_order_of_their_deadlines() -> None:
    assert expiries(ArmTimer("late", 9.0), ArmTimer("early", 2.5)) == [("early", 2.5), ("late", 9.0)]


def test_equal_deadlines_expire_in_the_order_in_which_they_were_armed() -> None:
    assert expiries(*(ArmTimer(name, 5.0) for name in "cab")) == [("c", 5.0), ("a", 5.0), ("b", 5.0)]


def test_arming_again_replaces_and_cancelling_removes() -> None:
    assert expiries(ArmTimer("x", 1.0), ArmTimer("y", 3.0), ArmTimer("x", 4.0)) == [("y", 3.0), ("x", 4.0)]
    assert expiries(ArmTimer("x", 1.0), ArmTimer("y", 3.0), CancelTimer("x"), CancelTimer("z")) == [("y", 3.0)]


def test_time_moves_only_when_nothing_else_can_happen_unless_timers_are_racy(play: Play) -> None:
    """The holder answers at once. Lazily it is always in time; if timers race, some schedule takes the lease first."""
    programs = {
        "a": """
fd = open("/f", O_RDONLY)
fcntl(fd, F_SETLEASE, F_RDLCK)     # -> 0
label("leased")
pause()
""",
        "b": """
wait_for("leased")
open("/f", O_WRONLY)               # -> ok
""",
    }
    details = {"a": "on_signal.SIGIO = 'fcntl(fd, F_SETLEASE, F_UNLCK)'"}

    def unlocks(*, racy: bool) -> set[str | None]:
        run = play("P1", details=details, racy=racy, seeds=range(60), **programs)
        return {call.errno for schedule in run.schedules for call in schedule.result.calls if call.call == "fcntl"}

    assert unlocks(racy=False) == {None}
    assert unlocks(racy=True) == {None, "EAGAIN"}
