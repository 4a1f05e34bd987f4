"""Random programs of actors that ask each other, take locks, sleep, interrupt, arm timers and make children."""

import random
from collections.abc import Callable
from typing import Any

from model.oldest_first import OldestFirst

from longpin.actors.base import Engine, handles
from longpin.actors.clock import Clock
from longpin.actors.conversation import Call, Conversation, KernelError, Step, WaitQueue, WaitsFor
from longpin.actors.locks import Lock
from longpin.messages.clock import CLOCK, ArmTimer, CancelTimer, TimerExpired
from longpin.messages.envelope import Address, Done, Interrupt, Message, message

Deed = tuple[int, str, Address, int]
"""When (the parity of the receiver's sum, 2: always), do what, to whom, with which script."""

Scripts = tuple[tuple[Deed, ...], ...]

SCRIPTS = 3

DEEDS = ("tell", "tell", "ask", "ask", "lock", "step", "spawn", "sleep", "wake", "interrupt")

TIMER_DEEDS = ("arm", "arm", "cancel")


@message
class Talk(Message):
    """Have the receiver do what a script of its says."""

    left: int
    """How deep what this leads to may still be nested."""
    script: int


class Talker(OldestFirst):
    """Does what its scripts say, and sends something already while it is made if it is somebody's child."""

    def __init__(self, engine: Engine, address: Address, scripts: Scripts, first: Deed | None = None) -> None:
        super().__init__(engine, address)
        self.scripts = scripts
        self.sum = 1
        self.children = 0
        self.lock = Lock(self, "lock")
        self.queue = WaitQueue()
        if first is not None:
            self.send(first[2], Talk(0, first[3]))

    @handles(Talk)
    def talk(self, talk: Talk, _src: Address) -> Conversation[Done]:
        self.sum = (self.sum * 3 + talk.script + 1) % 7
        for when, what, whom, script in self.scripts[talk.script] if talk.left else ():
            if when in (2, self.sum % 2):
                yield from self._do(what, whom, Talk(talk.left - 1, script))
        return Done(self.sum)

    def _do(self, what: str, whom: Address, talk: Talk) -> Conversation[None]:
        if what == "tell":
            self.send(whom, talk)
        elif what == "ask":
            self.sum = (self.sum + (yield Call(whom, talk)).value) % 7
        elif what == "lock":
            with (yield self.lock.exclusive()):
                yield Call(whom, talk)
                self.sum = self.sum * 2 % 7
        elif what == "step":
            yield Step()
            self.sum = (self.sum + 1) % 7
        elif what == "spawn":
            self.children += 1
            child = f"{self.address}.{self.children}"
            self.spawn(Talker, child, self.scripts, (2, "tell", whom, talk.script))
            self.send(child, Talk(0, talk.script))
        elif what == "sleep":
            try:
                yield self.queue.sleep(WaitsFor("label", "", "it"))
            except KernelError:
                self.sum = 0
        elif what == "wake":
            self.queue.wake_all(self)
        elif what == "interrupt":
            for task in self.oldest_first():
                for dst, number in task.waits_for.pending_calls() if task.waits_for else ():
                    self.send(dst, Interrupt(number, fatal=False))
        elif what == "arm":
            self.send(CLOCK, ArmTimer("t", 1.0 + talk.script))
        else:
            self.send(CLOCK, CancelTimer("t"))

    @handles(TimerExpired)
    def expired(self, _timer: TimerExpired, src: Address) -> Conversation[Done]:
        return self.talk(Talk(1, 0), src)


def program(seed: int, *, timers: bool) -> Callable[[Any], None]:
    """Return the ``build`` of a random program."""
    rng = random.Random(seed)
    names = [f"a{number}" for number in range(rng.randint(2, 4))]
    deeds = DEEDS + (TIMER_DEEDS if timers else ())
    scripts: dict[str, Scripts] = {
        name: tuple(
            tuple(
                (rng.choice((0, 1, 2, 2)), rng.choice(deeds), rng.choice(names), rng.randrange(SCRIPTS))
                for _ in range(rng.randint(0, 3))
            )
            for _ in range(SCRIPTS)
        )
        for name in names
    }
    told = [(rng.choice(names), Talk(rng.randint(1, 2), rng.randrange(SCRIPTS))) for _ in range(rng.randint(2, 4))]

    def build(world: Any) -> None:
        world.spawn(Clock, CLOCK)
        for name in names:
            world.spawn(Talker, name, scripts[name])
        for name, talk in told:
            world.tell(name, talk)

    return build
