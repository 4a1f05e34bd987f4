"""Conversations: handlers written as generators that suspend on calls, sleeps and locks.

A generator yields an :class:`Effect`; the actor begins it and, if it suspends, resumes the generator when the effect is
done. A system call is a chain of these: the process waits for a reply from the inode, whose conversation sleeps on a
lease, and so on. A signal for the caller travels down that chain (:meth:`longpin.actors.base.Actor.interrupt`).
"""

import errno
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator, Iterable
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

from longpin.messages.envelope import AWAKE, Address, Message

if TYPE_CHECKING:
    from longpin.actors.base import Actor

R = TypeVar("R")


class KernelError(Exception):
    """A call ends with an errno. Raised in a handler it becomes the reply; raised at a ``yield`` it is a callee's."""

    def __init__(self, errno: int) -> None:
        super().__init__(errno)
        self.errno = errno

    @classmethod
    def interrupted(cls) -> "KernelError":
        """Return the error of a sleep that a signal ended."""
        return cls(errno.EINTR)


class Task:
    """One running conversation."""

    __slots__ = (
        "call",
        "fatal",
        "finished",
        "generator",
        "lane",
        "number",
        "request",
        "signal",
        "slept",
        "src",
        "step",
        "waits_for",
    )

    def __init__(
        self,
        generator: "Conversation[Any]",
        src: Address,
        call: int,
        lane: str = "",
        request: Message | None = None,
    ) -> None:
        self.generator = generator
        self.request = request
        """What it answers; None: it was begun by the actor itself."""
        self.src = src
        self.call = call
        """The number under which ``src`` waits for the reply; 0: nobody waits."""
        self.lane = lane
        """Which of the run queues of its actor it stands in: that of a thread; empty: the first one's."""
        self.number = 0
        """The number under which it is suspended."""
        self.waits_for: Effect | None = None
        """What it is suspended on; None while it runs."""
        self.step: Message | None = None
        """What it sent itself last to say what it touches from there on; None: what it answers says it."""
        self.slept = ""
        """What the conversation, or a call it made, last slept on."""
        self.signal = False
        """The caller has a signal pending: the next interruptible sleep ends at once."""
        self.fatal = False
        self.finished = False

    @property
    def sleeps(self) -> bool:
        """Whether it sleeps, or an answer is on its way to it: it is not at a schedule point."""
        return self.waits_for is not None and not isinstance(self.waits_for, Step)


class Effect(ABC):
    """What a conversation yields."""

    __slots__ = ()
    SUSPENDED: ClassVar[object] = object()
    """What :meth:`begin` returns when the conversation is suspended."""

    @abstractmethod
    def begin(self, actor: "Actor", task: Task) -> Any:
        """Do it; return its result, a :class:`KernelError` to raise at the yield, or SUSPENDED."""

    def resume(self, task: Task, body: Message) -> Any:
        """Return the value of the ``yield`` when what it waited for has arrived, or a :class:`KernelError` to raise."""
        return body

    def disturb(self, actor: "Actor", task: Task) -> None:  # noqa: B027 most waits are ended by no signal
        """End the wait if the signal that is pending for ``task`` does."""

    def pending_calls(self) -> Iterable[tuple[Address, int]]:
        """Yield the receivers and numbers of requests not yet answered, to which an interrupt is passed on."""
        return ()


Conversation = Generator[Effect, Any, R]


def outcome(conversation: Conversation[None]) -> Conversation[KernelError | None]:
    """Run a conversation to its end and return its error, for callers that must do something before they raise it.

    A ``finally`` that yields would not do: it would also run when a world is discarded with conversations suspended.
    """
    try:
        yield from conversation
    except KernelError as error:
        return error
    return None


def single(effect: Effect) -> Conversation[None]:
    """Return a conversation that yields one effect."""
    yield effect


class Call(Effect):
    """Send a request and wait for its reply, which is the value of the ``yield``."""

    __slots__ = ("body", "dst", "number")

    def __init__(self, dst: Address, body: Message) -> None:
        self.dst = dst
        self.body = body
        self.number = 0

    def begin(self, actor: "Actor", task: Task) -> Any:
        """Send it."""
        self.number = actor.suspend(task, self)
        actor.post_call(task, self.dst, self.body, self.number)
        return self.SUSPENDED

    def pending_calls(self) -> Iterable[tuple[Address, int]]:
        """Yield the one request."""
        return ((self.dst, self.number),)


class Uninterruptible(Call):
    """A call of which nothing sleeps interruptibly: a signal for the caller is not passed on, it would end nothing."""

    __slots__ = ()

    def begin(self, actor: "Actor", task: Task) -> Any:
        """Send it."""
        self.number = actor.suspend(task, self)
        actor.request(self.dst, self.body, self.number)
        return self.SUSPENDED

    def pending_calls(self) -> Iterable[tuple[Address, int]]:
        """Yield nothing."""
        return ()


class Step(Effect):
    """A schedule point: stand in the caller's run queue, so that others may come in between, and get answers [2.7].

    A message with a footprint says what the conversation touches from there to its next one.
    """

    __slots__ = ("body",)

    def __init__(self, body: Message = AWAKE) -> None:
        self.body = body

    def begin(self, actor: "Actor", task: Task) -> Any:
        """Stand in the queue."""
        if self.body is not AWAKE:
            task.step = self.body
        actor.run_later(task, self.body, actor.suspend(task, self))
        return self.SUSPENDED


class Covers(Effect):
    """From its next suspension on the conversation touches what a message declares; there is no schedule point.

    Its value is what was declared before: None, if that is what the conversation answers.
    """

    __slots__ = ("body",)

    def __init__(self, body: Message | None) -> None:
        self.body = body

    def begin(self, actor: "Actor", task: Task) -> Message | None:
        """Note it."""
        before, task.step = task.step, self.body
        return before


class Widen(Step):
    """A schedule point from which on the conversation touches everything; none if that is so already.

    Its value is None if there was no schedule point: nothing has changed since.
    """

    __slots__ = ()

    def begin(self, actor: "Actor", task: Task) -> Any:
        """Stand in the queue, if what was declared last is less than everything."""
        if task.step is None or task.step.footprint() is None:
            return None
        return super().begin(actor, task)


class Wait(IntEnum):
    """Which signals end a sleep."""

    INTERRUPTIBLE = 0
    KILLABLE = 1
    UNINTERRUPTIBLE = 2


class WaitsFor(NamedTuple):
    """What a sleeper waits for, in a form the hang oracle can follow."""

    kind: str
    """``lease``, ``pin``, ``lock``, ``signal``, ``child``, ``thread``, ``label``, ``descriptor``, ``timer``,
    ``completion`` or ``device``.
    """
    target: Address
    """The lease, the pmem set, the holder of the lock, ... ; may be empty."""
    detail: str
    """A clause that completes "waits for"."""
    number: int = 0
    """The block, for a pin; the call number of the holder, for a lock."""


class WaitQueue:
    """Conversations of one actor that sleep until they are woken, oldest first."""

    __slots__ = ("sleepers",)

    def __init__(self) -> None:
        self.sleepers: deque[Task] = deque()

    def sleep(self, reason: WaitsFor, wait: Wait = Wait.INTERRUPTIBLE) -> "Sleeping":
        """Return the effect of going to sleep here."""
        return Sleeping(self, reason, wait)

    def wake_all(self, actor: "Actor") -> None:
        """Wake every sleeper; each goes on when its wake-up arrives, so others may get in before it."""
        while self.sleepers:
            task = self.sleepers.popleft()
            assert isinstance(task.waits_for, Sleeping)
            task.waits_for.rouse(actor, task)


class Sleeping(Effect):
    """A sleep on a :class:`WaitQueue`; ends with EINTR if a signal that counts is or becomes pending.

    A signal wakes the sleeper, who goes on when that wake-up arrives, and first looks whether what it waited for has
    come about by then, as wait_event_interruptible does: who wakes the whole queue may be faster.
    """

    __slots__ = ("queue", "reason", "roused", "wait")

    def __init__(self, queue: WaitQueue, reason: WaitsFor, wait: Wait) -> None:
        self.queue = queue
        self.reason = reason
        self.wait = wait
        self.roused = False
        """A wake-up is on its way."""

    def interrupted_by(self, task: Task) -> bool:
        """Return whether the signal pending for ``task`` ends this sleep."""
        if self.wait is Wait.INTERRUPTIBLE:
            return task.signal
        return self.wait is Wait.KILLABLE and task.fatal

    def begin(self, actor: "Actor", task: Task) -> Any:
        """Go to sleep; if a signal is pending, for as long as another may get in."""
        actor.suspend(task, self)
        self.queue.sleepers.append(task)
        if self.interrupted_by(task):
            self.rouse(actor, task)
        else:
            task.slept = self.reason.detail
        return self.SUSPENDED

    def disturb(self, actor: "Actor", task: Task) -> None:
        """Wake up for a signal that counts."""
        if self.interrupted_by(task):
            self.rouse(actor, task)

    def rouse(self, actor: "Actor", task: Task) -> None:
        """Send the sleeper its wake-up, if none is on its way."""
        if not self.roused:
            self.roused = True
            actor.wake(task.number)

    def resume(self, task: Task, body: Message) -> Any:
        """Return the error of a sleep whose wake-up has arrived; if there is none, what it waited for may be there."""
        if task not in self.queue.sleepers:
            return body
        self.queue.sleepers.remove(task)
        return KernelError.interrupted()
