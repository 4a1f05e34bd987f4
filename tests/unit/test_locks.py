"""Locks of an actor: shared and exclusive, first come first served, handed over, dropped and taken again [1.6]."""

from longpin.actors.base import Actor, handles
from longpin.actors.conversation import Conversation, Step
from longpin.actors.locks import Holds, Lock
from longpin.messages.clock import CancelTimer
from longpin.messages.envelope import DONE, Awake, Done, Envelope
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.oracles import ORACLES


class Library(Actor):
    """Runs one conversation for each message: its name says how it takes the lock."""

    def __init__(self, engine: SteppedEngine, address: str) -> None:
        super().__init__(engine, address)
        self.lock = Lock(self, "the lock")
        self.log: list[str] = []

    @handles(CancelTimer)
    def visit(self, request: CancelTimer, _src: str) -> Conversation[Done]:
        """Take the lock, stay for two steps, and say so."""
        name = request.name
        with (yield self.lock.exclusive() if name.startswith("x") else self.lock.shared()) as hold:
            self.log.append(f"{name} in")
            yield Step()
            if name.endswith("!"):
                hold.drop()
                self.log.append(f"{name} dropped")
                yield hold.retake()
                self.log.append(f"{name} again")
            yield Step()
            self.log.append(f"{name} out")
        return DONE


def visits(*names: str) -> list[str]:
    engine = SteppedEngine(ORACLES["fifo"](0))
    engine.spawn(Library, "library")
    for name in names:
        engine.tell("library", CancelTimer(name))
    assert engine.run()
    library = engine.actors["library"]
    assert isinstance(library, Library)
    assert not library.lock.holds
    assert not library.lock.waiters
    return library.log


def test_exclusive_holds_follow_each_other_in_order() -> None:
    assert visits("x1", "x2", "x3") == ["x1 in", "x1 out", "x2 in", "x2 out", "x3 in", "x3 out"]


def test_shared_holds_overlap() -> None:
    assert visits("s1", "s2")[:2] == ["s1 in", "s2 in"]


def test_exclusive_waits_for_every_shared_hold() -> None:
    log = visits("s1", "s2", "x1")
    assert log.index("x1 in") > max(log.index("s1 out"), log.index("s2 out"))


def test_a_shared_request_does_not_overtake_a_waiting_exclusive_one() -> None:
    log = visits("s1", "x1", "s2")
    assert log == ["s1 in", "s1 out", "x1 in", "x1 out", "s2 in", "s2 out"]


def test_all_shared_waiters_at_the_head_get_in_together() -> None:
    log = visits("x1", "s1", "s2", "x2", "s3")
    assert log[:4] == ["x1 in", "x1 out", "s1 in", "s2 in"]
    assert log[-4:] == ["x2 in", "x2 out", "s3 in", "s3 out"]


def test_who_drops_the_lock_queues_behind_those_who_wait() -> None:
    log = visits("x1!", "x2")
    assert log == ["x1! in", "x1! dropped", "x2 in", "x2 out", "x1! again", "x1! out"]


def test_who_drops_a_lock_nobody_wants_has_it_again_at_once() -> None:
    assert visits("x1!") == ["x1! in", "x1! dropped", "x1! again", "x1! out"]


class Archive(Library):
    """Wakes the next visitor by a message."""

    def __init__(self, engine: SteppedEngine, address: str) -> None:
        super().__init__(engine, address)
        self.lock = Lock(self, "the lock", by_message=True)
        self.second = Lock(self, "the second lock", by_message=True)
        self.woken = 0

    def on_receive(self, message: Envelope) -> None:
        self.woken += isinstance(message.body, Awake)
        self.log.append("arrival")
        super().on_receive(message)

    @handles(CancelTimer)
    def visit(self, request: CancelTimer, _src: str) -> Conversation[Done]:
        """Take both locks, one after the other, and leave at once; or stay for a step."""
        holds = Holds()
        for lock in (self.lock, self.second):
            hold = lock.exclusive()
            yield hold
            holds.add(hold)
        with holds:
            self.log.append(f"{request.name} in")
            if request.name.endswith("+"):
                yield Step()
            self.log.append(f"{request.name} out")
        return DONE


def archive(*names: str) -> tuple[SteppedEngine, Archive]:
    engine = SteppedEngine(ORACLES["fifo"](0))
    engine.spawn(Archive, "archive")
    for name in names:
        engine.tell("archive", CancelTimer(name))
    actor = engine.actors["archive"]
    assert isinstance(actor, Archive)
    return engine, actor


def test_who_is_woken_by_a_message_goes_on_in_an_arrival_of_its_own() -> None:
    engine, actor = archive("a+", "b", "c")
    assert engine.run()
    assert [line for line in actor.log if line != "arrival"] == ["a+ in", "a+ out", "b in", "b out", "c in", "c out"]
    for name in ("b in", "c in"):
        assert actor.log[actor.log.index(name) - 1] == "arrival"
    assert not actor.lock.holds
    assert not actor.second.holds


def test_a_discarded_conversation_wakes_nobody() -> None:
    _engine, actor = archive("a+", "b")
    for envelope in (Envelope("world", "archive", CancelTimer(name), 0) for name in ("a+", "b")):
        actor.on_receive(envelope)
    task = actor.lock.holds[0].task
    assert task is not None
    before = len(actor.outbox)
    task.generator.close()
    assert len(actor.outbox) == before
    assert len(actor.lock.waiters) == 1


class Reading(Library):
    """Everybody who takes the lock exclusively can be killed while he waits for it."""

    @handles(CancelTimer)
    def visit(self, request: CancelTimer, _src: str) -> Conversation[Done]:
        """Take the lock, and stay until others have come."""
        name = request.name
        with (yield self.lock.exclusive(killable=True) if name.startswith("x") else self.lock.shared()):
            self.log.append(f"{name} in")
            for _ in range(9):
                yield Step()
        return DONE


def killed_in_line(*names: str, fatal: bool = True) -> list[str]:
    """Return who got the lock: the first has it, and whose name ends in ``-`` has a signal while he waits for it."""
    engine = SteppedEngine(ORACLES["fifo"](0))
    engine.spawn(Reading, "library")
    library = engine.actors["library"]
    assert isinstance(library, Reading)
    for name in names:
        engine.tell("library", CancelTimer(name))
    while len(library.lock.waiters) < len(names) - 1:
        assert not engine.run(engine.arrivals + 1)
    waiting = [hold.task for hold in library.lock.waiters]
    for name, task in zip(names[1:], waiting, strict=True):
        if name.endswith("-"):
            library.interrupt(task, fatal=fatal)
    engine.tell("library", CancelTimer("last"))
    assert engine.run()
    assert not library.lock.holds
    assert not library.lock.waiters
    return library.log


def test_a_deadly_signal_ends_a_wait_that_is_killable() -> None:
    assert killed_in_line("x1", "x2-", "x3") == ["x1 in", "x3 in", "last in"]


def test_another_signal_does_not() -> None:
    assert killed_in_line("x1", "x2-", "x3", fatal=False) == ["x1 in", "x2- in", "x3 in", "last in"]


def test_who_shares_a_lock_is_not_killed() -> None:
    assert killed_in_line("x1", "s2-", "x3") == ["x1 in", "s2- in", "x3 in", "last in"]


def test_who_stood_behind_the_killed_gets_in_beside_who_shares_it() -> None:
    log = killed_in_line("s1", "x1-", "s2")
    assert log == ["s1 in", "s2 in", "last in"]
