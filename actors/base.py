"""The base of every actor, on pykka's ThreadingActor, and what it asks of the engine that runs it.

An actor receives an envelope, changes its own state and sends envelopes; threads, clocks, files and randomness are the
engine's. A handler is a method marked with :func:`handles`. A plain handler returns its reply. A handler that needs
answers from others is a generator, a *conversation* (:mod:`longpin.actors.conversation`), and the actor goes on
receiving while it is suspended. Three of pykka's seams are used: ``_create_actor_inbox`` and ``_start_actor_loop`` are
passed on to the engine, and pykka's loop hands every message to ``on_receive``.

An actor that has much to answer is composed of parts (:class:`ActorPart`), which answer for it.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from types import GeneratorType
from typing import Any, ClassVar, NoReturn, Protocol, Self, TypeVar

import pykka

from longpin.actors.conversation import Conversation, Effect, KernelError, Task
from longpin.actors.unordered import Unordered
from longpin.messages.envelope import AWAKE, DONE, Address, Envelope, Failed, Interrupt, Message


class Engine(Protocol):
    """Who delivers: threads, or one arrival at a time."""

    def create_inbox(self, actor: "Actor") -> Any:
        """Return what pykka shall use as the actor's inbox."""

    def start_loop(self, actor: "Actor", loop: Callable[[], None]) -> None:
        """Begin to deliver to ``actor``; ``loop`` is pykka's own way, a thread."""

    def started(self, actor: "Actor") -> None:
        """Take note that ``actor`` is about to receive, in the thread in which it will."""

    def post(self, actor: "Actor", envelope: Envelope) -> None:
        """Take a message that ``actor`` sends; it will arrive after every earlier one of this actor."""

    def spawn(self, kind: "type[Actor]", address: Address, *args: Any) -> None:
        """Create and start ``kind(engine, address, *args)``."""

    def set_alarm(self, actor: "Actor", deadline: float | None) -> None:
        """Have a ``Tick`` arrive at ``actor`` when virtual time reaches ``deadline`` in seconds; None: no more."""

    def random(self, actor: "Actor", bound: int) -> int:
        """Return a number in ``range(bound)``, the same one when the run is replayed."""

    def failed(self, actor: "Actor", error: Exception) -> None:
        """Take note of an exception that no handler expected: a bug, which ends the run."""


NUMBERS_APART = 16
"""How many conversations of one process an actor has at most before their numbers are another's: then it is seen who
came first, and states are told apart that need not be.
"""

H = TypeVar("H", bound=Callable[..., Any])
Handlers = dict[type[Message], Callable[..., Any]]


def handles(kind: type[Message]) -> Callable[[H], H]:
    """Mark a method ``(self, body, src)`` as the handler of messages of class ``kind``."""

    def mark(method: H) -> H:
        method._handles = kind  # type: ignore[attr-defined]
        return method

    return mark


def _handlers_in(cls: type) -> Handlers:
    """Return the handlers that a class itself defines."""
    return {kind: method for method in vars(cls).values() if (kind := getattr(method, "_handles", None))}


def _ask_part(attribute: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return the handler of an actor that leaves the answer to the part it has as ``attribute``."""

    def handler(actor: "Actor", body: Message, src: Address) -> Any:
        return method(getattr(actor, attribute), body, src)

    return handler


class ActorPart:
    """What an actor is composed of: it has a state of its own, and may answer messages for the actor.

    Its methods are marked with :func:`handles` as an actor's are, and may be conversations. It is given what it needs
    when it is made: other parts, locks, and the actor only to send, to spawn and to be told by its address.
    """

    handlers: ClassVar[Handlers] = {}
    """The handler of each message class, collected from the class and its bases."""

    def __init_subclass__(cls) -> None:
        cls.handlers = cls.handlers | _handlers_in(cls)


class Actor(pykka.ThreadingActor):
    """One actor: an address, an outbox, handlers, and conversations under way."""

    handlers: ClassVar[Handlers] = {}
    """The handler of each message class, collected from the class, its bases and its parts."""
    parts: ClassVar[Mapping[str, type[ActorPart]]] = {}
    """The parts that answer messages, by the attribute that ``__init__`` keeps each in."""
    shown: ClassVar[frozenset[str]] = frozenset()
    """Attributes that only tell those who watch what the last arrival did: no part of the actor's state."""

    def __init_subclass__(cls) -> None:
        cls.handlers = dict(cls.handlers)
        for attribute, part in vars(cls).get("parts", {}).items():
            cls.handlers |= {kind: _ask_part(attribute, method) for kind, method in part.handlers.items()}
        cls.handlers |= _handlers_in(cls)

    def __init__(self, engine: Engine, address: Address) -> None:
        self.engine = engine
        self.address = address
        self.outbox: deque[Envelope] = deque()
        """Sent and not yet arrived, oldest first; used by the stepped engine."""
        self.tasks: Unordered[tuple[Address, int], Task] = Unordered()
        """The conversations that some caller waits for, by caller and its number for the call."""
        self._suspended: Unordered[int, Task] = Unordered()
        self.suspended_now: list[Task] = []
        """The conversations that the last arrival suspended, for those who watch."""
        self._ready: list[tuple[Task, Any]] = []
        self._woken: list[Envelope] = []
        self.run_queues: Unordered[str, Address] = Unordered()
        """Where its conversations stand at a schedule point, by their caller and its thread."""

    @property
    def actor_ref(self) -> pykka.ActorRef[Self]:
        """What pykka knows it by: made, with all that is pykka's, when it is asked for first.

        A thread is started by it. A stepped actor is seldom asked, and without is made in half the time.
        """
        if not hasattr(self, "_actor_ref"):
            super().__init__()
        return self._actor_ref

    def _create_actor_inbox(self) -> Any:  # type: ignore[override]
        return self.engine.create_inbox(self)

    def _start_actor_loop(self) -> None:
        self.engine.start_loop(self, super()._start_actor_loop)

    def on_start(self) -> None:
        """Tell the engine; pykka calls this."""
        self.engine.started(self)

    # Sending.

    def send(self, dst: Address, body: Message) -> None:
        """Send a one-way message."""
        self.engine.post(self, Envelope(self.address, dst, body))

    def spawn(self, kind: "type[Actor]", address: Address, *args: Any) -> None:
        """Create another actor."""
        self.engine.spawn(kind, address, *args)

    def random(self, bound: int) -> int:
        """Return a number in ``range(bound)`` that the schedule's oracle chose."""
        return self.engine.random(self, bound)

    # Receiving.

    def on_receive(self, message: Envelope) -> None:
        """Handle one arrival. An exception here is a bug and is reported to the engine, never to a caller."""
        self.suspended_now.clear()
        try:
            if message.call < 0:
                self._resume(message)
            else:
                self._begin(message)
            while self._ready:
                self._advance(*self._ready.pop(0))
            if self._woken:
                for envelope in self._woken:
                    self.engine.post(self, envelope)
                self._woken.clear()
        except Exception as error:  # noqa: BLE001 - whatever it is, the run must end with it
            self.engine.failed(self, error)

    def _begin(self, message: Envelope) -> None:
        src, _, body, call, _ = message
        handler = self.handlers.get(type(body))
        if handler is None:
            self._unexpected(message)
        try:
            result = handler(self, body, src)
        except KernelError as error:
            result = Failed(error.errno)
        if type(result) is GeneratorType:
            task = Task(result, src, call, request=body)
            if call:
                self.tasks[src, call] = task
            self._advance(task, None)
        elif call:
            self.engine.post(self, Envelope(self.address, src, result or DONE, -call))

    def _resume(self, message: Envelope) -> None:
        _, _, body, call, slept = message
        task = self._suspended.pop(-call, None)
        if task is None:
            self._unexpected(message)
        if slept:
            task.slept = slept
        if type(body) is Failed:
            self._advance(task, KernelError(body.errno))
        elif task.waits_for is None:
            self._advance(task, body)
        else:
            self._advance(task, task.waits_for.resume(task, body))

    def _unexpected(self, message: Envelope) -> NoReturn:
        raise TypeError(f"{self.address} got a message it has no use for: {message}")

    # Conversations.

    def start_task(self, conversation: Conversation[Any], lane: str = "") -> Task:
        """Run a conversation that nobody outside waits for, and return its task; it may have a run queue of its own."""
        task = Task(conversation, self.address, 0, lane)
        self._ready.append((task, None))
        return task

    def _advance(self, task: Task, value: Any) -> None:
        """Run a conversation to its next suspension or its end; a :class:`KernelError` is raised at its ``yield``."""
        task.waits_for = None
        generator = task.generator
        try:
            while value is not Effect.SUSPENDED:
                effect = generator.throw(value) if isinstance(value, KernelError) else generator.send(value)
                value = effect.begin(self, task)
            return
        except StopIteration as stop:
            reply = DONE if stop.value is None else stop.value
        except KernelError as failure:
            reply = Failed(failure.errno)
        task.finished = True
        if task.call:
            del self.tasks[task.src, task.call]
            self.engine.post(self, Envelope(self.address, task.src, reply, -task.call, task.slept))

    def suspend(self, task: Task, effect: Effect) -> int:
        """Suspend ``task`` until a reply with the returned number arrives.

        A number is given again when that has arrived: nothing under way means the conversation before, for an interrupt
        arrives before what is asked after it. It does not tell who came first, unless the callers are of one process.
        """
        number = _least_number(task.src)
        while number in self._suspended:
            number += 1
        self._suspended[number] = task
        self.suspended_now.append(task)
        task.waits_for = effect
        task.number = number
        return number

    def suspended(self, number: int) -> Task | None:
        """Return the conversation suspended under ``number``, for those who watch."""
        return self._suspended.get(number)

    def all_suspended(self) -> Iterator[Task]:
        """Yield all suspended conversations, by their numbers."""
        yield from self._suspended.values()

    def request(self, dst: Address, body: Message, number: int) -> None:
        """Send request ``number``."""
        self.engine.post(self, Envelope(self.address, dst, body, number))

    def post_call(self, task: Task, dst: Address, body: Message, number: int) -> None:
        """Send request ``number`` for ``task``, and the news of its pending signal if it has one."""
        self.engine.post(self, Envelope(self.address, dst, body, number))
        if task.signal:
            self.send(dst, Interrupt(number, task.fatal))

    def make_ready(self, task: Task, value: Any) -> None:
        """Go on with a suspended ``task`` in this activation, after the conversation that is running now."""
        del self._suspended[task.number]
        self._ready.append((task, value))

    def run_later(self, task: Task, body: Message, number: int) -> None:
        """Go on with a ``task`` when the run queue of its caller has answered ``body``, as request ``number``."""
        caller = task.src + task.lane
        if (queue := self.run_queues.get(caller)) is None:
            place = caller if task.src == self.address else f"{self.address} for {caller}"
            self.run_queues[caller] = queue = f"run_queue:{place}"
            self.spawn(RunQueue, queue)
        self.engine.post(self, Envelope(self.address, queue, body, number))

    def wake(self, number: int) -> None:
        """Go on with the conversation suspended under ``number`` when a message to ourselves has arrived.

        It is sent after everything else that this arrival leads to: who wakes a sleeper need not wait until it runs.
        """
        self._woken.append(Envelope(self.address, self.address, AWAKE, -number))

    @handles(Interrupt)
    def caller_interrupted(self, news: Interrupt, src: Address) -> None:
        """Tell the conversation of a call, if it has not ended."""
        self.interrupt(self.tasks.get((src, news.number)), fatal=news.fatal)

    def interrupt(self, task: Task | None, *, fatal: bool) -> None:
        """Tell a conversation that its caller has a signal pending; one that has ended is left alone [2.3.3 step 5]."""
        if task is None or task.finished:
            return
        task.signal = True
        task.fatal = task.fatal or fatal
        effect = task.waits_for
        if effect is not None:
            effect.disturb(self, task)
            for dst, number in effect.pending_calls():
                self.send(dst, Interrupt(number, fatal))


Actor.handlers = _handlers_in(Actor)


@lru_cache(maxsize=4096)
def _least_number(caller: Address) -> int:
    """Return the least number under which a conversation that ``caller`` asked for is suspended.

    Each process has its own, and with it what it has made.
    """
    process = re.search(r":(\d+)", caller)
    return NUMBERS_APART * int(process[1]) + 1 if process else 1


class RunQueue(Actor):
    """Where the conversations that one caller asked an actor for stand at a schedule point, until a CPU runs them.

    In a message to itself the actor would promise to go on before it answers anybody else.
    """

    def on_receive(self, message: Envelope) -> None:
        """Let it go on."""
        self.engine.post(self, Envelope(self.address, message.src, message.body, -message.call))
