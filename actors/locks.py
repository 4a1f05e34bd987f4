"""Sleeping locks: what the kernel serialises with a lock is serialised here with one too [1.6].

A lock belongs to one actor and is taken by that actor's conversations::

    with (yield self.iolock.exclusive()) as io:
        ...
        io.drop()               # others may get in
        yield io.retake()

Waiters queue in order, are not interruptible (they would be in state D), and are handed the lock when it is released.
Only who takes it ``killable`` is ended by a deadly signal while he waits [down_write_killable].
Of those that follow each other and share it the order is nobody's business, for they get it together: they stand in the
order of their callers, so that it is the same whoever came first.
Who is handed a lock goes on in the same activation, or, if the lock says so, when a message to itself has arrived: then
what it does is no part of what the releaser does, which footprints can say.
"""

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

from longpin.actors.conversation import Conversation, Effect, KernelError, Task
from longpin.messages.envelope import Address, Message

if TYPE_CHECKING:
    from longpin.actors.base import Actor


class Lock:
    """A read-write semaphore: many shared holds or one exclusive hold, first come, first served."""

    __slots__ = ("actor", "by_message", "holds", "name", "waiters")

    def __init__(self, actor: "Actor", name: str, *, by_message: bool = False) -> None:
        self.actor = actor
        self.name = name
        self.by_message = by_message
        """Who gets the lock is woken by a message."""
        self.holds: list[Hold] = []
        self.waiters: deque[Hold] = deque()
        # Invariant: waiters implies holds; all holds are shared or there is at most one.

    def exclusive(self, *, killable: bool = False) -> "Hold":
        """Return the effect of taking it exclusively; if ``killable``, a deadly signal ends the wait: EINTR."""
        return Hold(self, shared=False, killable=killable)

    def shared(self) -> "Hold":
        """Return the effect of taking it shared."""
        return Hold(self, shared=True)

    def is_free_to_share(self) -> bool:
        """Return whether who wants to share it gets it at once."""
        return not self.waiters and self.admits(self.shared())

    def admits(self, hold: "Hold") -> bool:
        """Return whether those who hold it leave room for ``hold``."""
        return not self.holds or (hold.shared and self.holds[0].shared)

    def hand_over(self) -> None:
        """Give it to the waiters whose turn it is."""
        while self.waiters and self.admits(self.waiters[0]):
            hold = self.waiters.popleft()
            assert hold.task is not None
            hold.take()
            if self.by_message:
                self.actor.wake(hold.task.number)
            else:
                self.actor.make_ready(hold.task, hold)


class Hold(Effect):
    """One hold on a :class:`Lock`: the effect of taking it, its value, and the context in which it is held."""

    __slots__ = ("killable", "lock", "shared", "task")

    def __init__(self, lock: Lock, *, shared: bool, killable: bool = False) -> None:
        self.lock = lock
        self.shared = shared
        self.killable = killable
        """A deadly signal ends the wait, until it is held for the first time."""
        self.task: Task | None = None
        """The conversation that holds it or waits for it."""

    @property
    def held(self) -> bool:
        """Whether the lock has been taken and not been dropped."""
        return self in self.lock.holds

    @property
    def exclusive(self) -> bool:
        """Whether it is held and nobody else holds the lock."""
        return not self.shared and self.held

    def begin(self, actor: "Actor", task: Task) -> Any:
        """Take the lock if nobody is in the way or ahead; else queue."""
        self.task = task
        if not self.lock.waiters and self.lock.admits(self):
            self.take()
            return self
        if self.killable and task.fatal:
            return KernelError.interrupted()
        task.slept = self.lock.name
        actor.suspend(task, self)
        self._queue()
        return self.SUSPENDED

    def _queue(self) -> None:
        waiters = self.lock.waiters
        place = len(waiters)
        while self.shared and place and waiters[place - 1].shared and waiters[place - 1]._caller > self._caller:
            place -= 1
        waiters.insert(place, self)

    def take(self) -> None:
        """Enter it among those who hold the lock, who stand in the order of their callers."""
        self.killable = False
        holds = self.lock.holds
        place = len(holds)
        while place and holds[place - 1]._caller > self._caller:
            place -= 1
        holds.insert(place, self)

    @property
    def _caller(self) -> tuple[Address, int]:
        assert self.task is not None
        return self.task.src, self.task.call

    def resume(self, task: Task, body: Message) -> Any:
        """Return the hold, which the conversation that dropped the lock has handed over; or the end of the wait."""
        return self if self.held else KernelError.interrupted()

    def disturb(self, actor: "Actor", task: Task) -> None:
        """Give up the place in the queue for a deadly signal; who stands behind may have been waiting for it alone."""
        if self.killable and task.fatal and self in self.lock.waiters:
            self.lock.waiters.remove(self)
            actor.wake(task.number)
            self.lock.hand_over()

    def drop(self) -> None:
        """Release the lock and hand it to the waiters whose turn it is."""
        self.lock.holds.remove(self)
        self.lock.hand_over()

    def retake(self) -> Self:
        """Return the effect of taking the lock again after :meth:`drop`."""
        return self

    def upgrade(self) -> Self:
        """Return the effect of holding it exclusively; a shared hold is dropped first, so others may get in."""
        if self.held:
            self.drop()
        self.shared = False
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        # When a world is discarded its conversations are closed, and nobody is to be woken any more.
        if error is not GeneratorExit and self.held:
            self.drop()


class Holds:
    """Holds on several locks, as one context; they are dropped in the opposite order."""

    __slots__ = ("holds",)

    def __init__(self) -> None:
        self.holds: list[Hold] = []

    def add(self, hold: Hold) -> None:
        """Take in a hold that was just taken."""
        self.holds.append(hold)

    def drop(self) -> None:
        """Release them all."""
        while self.holds:
            self.holds.pop().drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not GeneratorExit:
            self.drop()


def take_all(locks: Iterable[Lock]) -> Conversation[Holds]:
    """Take locks exclusively, one after the other; none is a context too."""
    holds = Holds()
    for lock in locks:
        holds.add((yield lock.exclusive()))
    return holds
