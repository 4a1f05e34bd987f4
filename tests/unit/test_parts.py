"""Parts: what an actor is composed of answers messages for it, as a handler of its own would."""

from collections import Counter as Counts
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from longpin.actors.base import Actor, ActorPart, handles
from longpin.actors.constants import O_RDWR
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.fs.file import OpenFileDescription
from longpin.actors.fs.inode import FileStart, Inode
from longpin.actors.kernel.machine import Kernel
from longpin.actors.kernel.mount import Mount
from longpin.actors.mm.mm import Mm
from longpin.actors.policies.base import Policy
from longpin.messages.clock import ArmTimer, CancelTimer, TimerExpired
from longpin.messages.envelope import Done
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.exploration.canonical import canonical
from longpin.runner.oracles import ORACLES

KERNEL = Kernel(Policy())


class Counter(ActorPart):
    """Counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    @handles(CancelTimer)
    def count(self, request: CancelTimer, _src: str) -> Done:
        if request.name == "refused":
            raise KernelError(13)
        self.asked += 1
        return Done(self.asked)


class Relay(ActorPart):
    """Asks another actor, as a conversation."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    @handles(ArmTimer)
    def relay(self, request: ArmTimer, _src: str) -> Conversation[Done]:
        reply = yield Call(request.name, CancelTimer(""))
        self.heard.append(reply.value)
        return Done(10 + reply.value)


class Composed(Actor):
    """Has nothing to answer but what its parts answer."""

    parts: ClassVar[Mapping[str, type[ActorPart]]] = {"counter": Counter, "relay": Relay}

    def __init__(self, engine: SteppedEngine, address: str) -> None:
        super().__init__(engine, address)
        self.counter = Counter()
        self.relay = Relay()


class Derived(Composed):
    """Answers one of the messages itself."""

    @handles(CancelTimer)
    def count(self, _request: CancelTimer, _src: str) -> Done:
        return Done(100)


class Asker(Actor):
    """Asks, and keeps the answers."""

    def __init__(self, engine: SteppedEngine, address: str) -> None:
        super().__init__(engine, address)
        self.answers: list[int] = []

    @handles(TimerExpired)
    def ask(self, request: TimerExpired, _src: str) -> Conversation[None]:
        asked = CancelTimer(request.name) if request.name in ("", "refused") else ArmTimer(request.name, 1.0)
        try:
            self.answers.append((yield Call("composed", asked)).value)
        except KernelError as error:
            self.answers.append(-error.errno)


def world(kind: type[Composed]) -> tuple[SteppedEngine, Composed, Asker]:
    engine = SteppedEngine(ORACLES["fifo"](0))
    engine.spawn(kind, "composed")
    engine.spawn(Asker, "asker")
    engine.spawn(Composed, "other")
    composed, asker = engine.actors["composed"], engine.actors["asker"]
    assert isinstance(composed, Composed)
    assert isinstance(asker, Asker)
    return engine, composed, asker


def ask(engine: SteppedEngine, *names: str) -> None:
    for name in names:
        engine.tell("asker", TimerExpired(name))
        assert engine.run()


def test_parts_answer_for_the_actor_and_keep_their_state() -> None:
    engine, composed, asker = world(Composed)
    ask(engine, "", "refused", "", "other")
    assert asker.answers == [1, -13, 2, 11]
    assert (composed.counter.asked, composed.relay.heard) == (2, [1])


def test_a_derived_actor_answers_itself_or_leaves_it_to_the_part() -> None:
    engine, composed, asker = world(Derived)
    ask(engine, "", "other")
    assert asker.answers == [100, 11]
    assert composed.counter.asked == 0


def test_the_state_of_a_part_is_state_of_the_actor() -> None:
    engine, composed, _ = world(Composed)
    before = canonical(composed)
    ask(engine, "refused")
    assert canonical(composed) == before
    ask(engine, "")
    assert canonical(composed) != before


def test_an_actor_answers_what_its_parts_answer_and_no_more() -> None:
    assert Composed.handlers.keys() - Actor.handlers.keys() == {CancelTimer, ArmTimer}


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        (Mm, (KERNEL,)),
        (Inode, (KERNEL, Mount("pmem:pmem0"), FileStart(0, 0o666, 0))),
        (OpenFileDescription, ("inode:/f", "file", O_RDWR)),
    ],
)
def test_every_part_stands_where_its_actor_says_and_no_two_answer_the_same(kind: type[Actor], args: Any) -> None:
    engine = SteppedEngine(ORACLES["fifo"](0))
    engine.spawn(kind, "actor", *args)
    for attribute, part in kind.parts.items():
        assert type(getattr(engine.actors["actor"], attribute)) is part
    answered = Counts(message for part in kind.parts.values() for message in part.handlers)
    assert set(answered.values()) == {1}
    assert not answered.keys() & {message for name in vars(kind) if (message := _answered(kind, name))}


def _answered(kind: type[Actor], name: str) -> object:
    """Return which message a method answers, if it does."""
    return getattr(vars(kind)[name], "_handles", None)
