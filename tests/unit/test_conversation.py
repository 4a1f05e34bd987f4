"""Conversations: signals against every kind of wait, wake-ups on their way, errors of callees [2.3.3]."""

from collections.abc import Callable
from typing import Any

import pytest

from longpin.actors.base import Actor, handles
from longpin.actors.conversation import (
    Call,
    Conversation,
    KernelError,
    Wait,
    WaitQueue,
    WaitsFor,
    outcome,
    single,
)
from longpin.messages.clock import CancelTimer, TimerExpired
from longpin.messages.envelope import Done
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.oracles import ORACLES

Play = Callable[..., Any]

USR1 = "on_signal.SIGUSR1 = 'getpid()'"


class Sleeper(Actor):
    """Sleeps until it is woken and ``open`` is set, as the kernel's waits test their condition again."""

    def __init__(self, engine: SteppedEngine, address: str, wait: Wait) -> None:
        super().__init__(engine, address)
        self.wait = wait
        self.queue = WaitQueue()
        self.open = False

    @handles(CancelTimer)
    def sleep(self, _request: CancelTimer, _src: str) -> Conversation[Done]:
        while not self.open:
            yield self.queue.sleep(WaitsFor("signal", self.address, "the door"), self.wait)
        return Done(7)

    @handles(TimerExpired)
    def knock(self, request: TimerExpired, _src: str) -> None:
        self.open = request.name == "open"
        self.queue.wake_all(self)


class Caller(Actor):
    """Calls the sleeper, and is told of signals by name."""

    def __init__(self, engine: SteppedEngine, address: str) -> None:
        super().__init__(engine, address)
        self.ended: list[object] = []
        self.task = self.start_task(self.call())

    def call(self) -> Conversation[None]:
        error = yield from outcome(self.ask())
        self.ended.append(error.errno if error else "answered")

    def ask(self) -> Conversation[None]:
        reply = yield Call("sleeper", CancelTimer("x"))
        assert reply.value == 7

    @handles(TimerExpired)
    def signalled(self, request: TimerExpired, _src: str) -> None:
        if request.name != "start":
            self.interrupt(self.task, fatal=request.name == "fatal")


EINTR = 4


def call(wait: Wait, *events: tuple[str, str]) -> list[object]:
    """Run the call with these events, each arriving when all before it is done; return how it ended."""
    engine = SteppedEngine(ORACLES["fifo"](0))
    engine.spawn(Sleeper, "sleeper", wait)
    engine.spawn(Caller, "caller")
    engine.tell("caller", TimerExpired("start"))
    assert engine.run()
    for dst, name in events:
        engine.tell(dst, TimerExpired(name))
        assert engine.run()
    caller = engine.actors["caller"]
    assert isinstance(caller, Caller)
    return caller.ended


@pytest.mark.parametrize(
    ("wait", "signal", "ended"),
    [
        (Wait.INTERRUPTIBLE, "plain", [EINTR]),
        (Wait.INTERRUPTIBLE, "fatal", [EINTR]),
        (Wait.KILLABLE, "plain", []),
        (Wait.KILLABLE, "fatal", [EINTR]),
        (Wait.UNINTERRUPTIBLE, "plain", []),
        (Wait.UNINTERRUPTIBLE, "fatal", []),
    ],
)
def test_which_signal_ends_which_sleep(wait: Wait, signal: str, ended: list[object]) -> None:
    assert call(wait, ("caller", signal)) == ended
    if not ended:
        assert call(wait, ("caller", signal), ("sleeper", "open")) == ["answered"]


def test_a_pending_signal_ends_the_next_sleep_before_it_begins() -> None:
    """The sleeper is woken in vain after the signal: with a plain one pending it must not sleep again."""
    assert call(Wait.KILLABLE, ("caller", "plain"), ("sleeper", "in vain")) == []
    assert call(Wait.KILLABLE, ("caller", "plain"), ("sleeper", "in vain"), ("caller", "fatal")) == [EINTR]


@pytest.mark.parametrize(("knock", "ended"), [("open", ["answered"]), ("in vain", [EINTR])])
def test_a_wake_up_on_its_way_is_not_lost_to_a_signal(knock: str, ended: list[object]) -> None:
    """Who has been woken tests its condition first; only if that is still false does the signal count."""
    engine = SteppedEngine(ORACLES["fifo"](0))
    engine.spawn(Sleeper, "sleeper", Wait.INTERRUPTIBLE)
    engine.spawn(Caller, "caller")
    engine.tell("caller", TimerExpired("start"))
    assert engine.run()
    sleeper, caller = engine.actors["sleeper"], engine.actors["caller"]
    assert isinstance(caller, Caller)
    # By hand: the door is knocked at, and the signal's news reaches the sleeper before its own wake-up does.
    engine.tell("sleeper", TimerExpired(knock))
    knocking = engine.world.outbox.popleft()
    engine.ready.clear()
    sleeper.on_receive(knocking)
    caller.interrupt(caller.task, fatal=False)
    news = caller.outbox.popleft()
    sleeper.on_receive(news)
    engine.ready[:] = [actor for actor in (sleeper, caller) if actor.outbox]
    assert engine.run()
    assert caller.ended == ended


def test_a_signal_for_a_call_that_has_ended_is_left_alone() -> None:
    assert call(Wait.INTERRUPTIBLE, ("sleeper", "open"), ("caller", "fatal")) == ["answered"]


def test_outcome_turns_an_error_into_a_value() -> None:
    class Failing(Call):
        def begin(self, actor: Actor, task: object) -> KernelError:
            return KernelError(22)

    run = outcome(single(Failing("nobody", CancelTimer("x"))))
    run.send(None)
    with pytest.raises(StopIteration) as stop:
        run.throw(KernelError(22))
    assert stop.value.value.errno == 22


WAITS = {
    "a lease": 'open("/leased", O_WRONLY)',
    "a pin": 'truncate("/pinned", 0)',
    "a label": 'wait_for("never")',
    "a descriptor": "recv_fd()",
    "a completion": "ibv_get_cq_event(cq)",
    "time": "sleep(1000)",
    "a signal": "pause()",
}


@pytest.mark.parametrize("kill", ["SIGUSR1", "SIGKILL"])
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_signal_ends_every_interruptible_wait(play: Play, wait: str, kill: str) -> None:
    head = "".join(f'[[file]]\npath = "/{name}"\nsize = "PAGE"\n' for name in ("leased", "pinned"))
    run = play(
        "P1",
        head=head,
        details={"a": USR1},
        holder="""
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
leased = open("/leased", O_RDONLY)
fcntl(leased, F_SETLEASE, F_RDLCK)             # -> 0
pinned = open("/pinned", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, pinned, 0)
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
sigaction(SIGIO, SIG_IGN)
label("ready")
sleep(40)
label("done")
""",
        a=f"""
ctx = ibv_open_device("rxe0")
cq = ibv_create_cq(ctx)
wait_for("ready")
{wait}                                         # -> blocks, EINTR
""",
        other=f"""
wait_for("ready")
sleep(10)
kill("a", {kill})                              # -> 0
wait_for("done")
label("never")
""",
    )
    assert (run.returned("a") if kill == "SIGUSR1" else run.ended("a")) == 10.0


def test_a_signal_does_not_end_the_wait_for_a_lock(play: Play) -> None:
    """read(2) behind the iolock of a waiting truncate: state D, so the signal waits too [2.5 step 4]."""
    run = play(
        "P1",
        details={"reader": USR1},
        holder="""
ctx = ibv_open_device("rxe0")
pd = ibv_alloc_pd(ctx)
fd = open("/f", O_RDWR)
buf = mmap(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
mr = ibv_reg_mr(pd, buf, PAGE, IBV_ACCESS_LOCAL_WRITE)
label("pinned")
sleep(10)
ibv_dereg_mr(mr)
""",
        truncater="""
wait_for("pinned")
truncate("/f", 0)                              # -> blocks, 0
""",
        reader="""
fd = open("/f", O_RDONLY)
wait_for("pinned")
sleep(1)
read(fd, 3)                                    # -> b'' (after the truncate)
""",
        killer="""
wait_for("pinned")
sleep(5)
kill("reader", SIGUSR1)
""",
    )
    assert run.returned("reader") == 10.0


def test_an_earlier_sleeps_timer_does_not_end_a_later_one(play: Play) -> None:
    """Signal and expiry come together, so the expiry may arrive when the next sleep has begun."""
    run = play(
        "P1",
        details={"a": USR1},
        seeds=range(200),
        a="""
sleep(10)
sleep(100)
""",
        b="""
sleep(10)
kill("a", SIGUSR1)
""",
    )
    for schedule in run.schedules:
        _, second = (call for call in schedule.result.calls if call.process == "a" and call.call == "sleep")
        assert schedule.returned("a") == (10.0 if second.errno else 110.0)
