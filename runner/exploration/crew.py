"""Who walks from states: this process, or others that it starts and tells which steps it has computed."""

import signal
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, Self

from longpin.runner.engines.engine import InternalError
from longpin.runner.exploration.persistent import GROWTH
from longpin.runner.exploration.replica import Chronicle, Heard
from longpin.runner.exploration.table import Spawned, Table
from longpin.runner.exploration.walks import Answer, Question, Reply, Task, Walker
from longpin.runner.pool import LOOK_AFTER, PoolError, process_context

AT_ONCE = 16
"""States from which a walker is asked to walk at most before it answers."""


class Member:
    """A process that walks."""

    def __init__(self, process: Any, connection: Connection) -> None:
        self.process = process
        self.connection = connection
        self.heard = Heard()
        self.asked = 0
        """Tasks it has not answered."""
        self.memory = 0
        self.busy = False

    def send(self, question: Question) -> None:
        """Ask it."""
        self.asked += len(question.tasks)
        self.busy = True
        with _lost():
            self.connection.send(question)

    def receive(self) -> Reply:
        """Return its answer."""
        with _lost():
            reply = self.connection.recv()
        if isinstance(reply, InternalError):
            raise reply
        assert isinstance(reply, Reply)
        self.busy = False
        self.asked -= len(reply.answers)
        self.memory = reply.memory
        return reply


class _lost:  # noqa: N801 - reads as what it is for
    """Turn the end of a process into a PoolError."""

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, (EOFError, ConnectionError)):
            raise PoolError("a worker process ended unexpectedly: it was killed or ran out of memory") from None


class Crew:
    """The walkers of one exploration; a context, for processes to be ended."""

    def __init__(
        self, table: Table, workers: int, *, racy: bool, due: Callable[[], bool], tell: Callable[[Reply], object]
    ) -> None:
        self.table = table
        self.workers = workers
        self.racy = racy
        self.due = due
        """Whether it is time to start other processes."""
        self.tell = tell
        """Is told every reply, and may raise what ends the search."""
        self.members: list[Member] = []
        self._chronicle = Chronicle(table)
        self._walker = Walker(table.told, table.first, racy=racy)
        self._heard = Heard()
        self._frozen = Heard()
        """What persistent sets are chosen by."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.members:
            member.connection.close()
        for member in self.members:
            member.process.terminate()
            member.process.join()

    @property
    def memory(self) -> int:
        """The bytes that the other processes have resident."""
        return sum(member.memory for member in self.members)

    @property
    def learned(self) -> bool:
        """Whether so many steps are new that persistent sets should be chosen by them."""
        return len(self._chronicle.steps) > self._frozen.steps + self._frozen.steps // GROWTH

    def begin(self) -> None:
        """Begin a pass: choose persistent sets by what is known now."""
        self._refresh(begin=True)

    def refresh(self) -> bool:
        """Choose by what is known now; return whether a set that was chosen before is wrong by that."""
        return self._refresh(begin=False)

    def _refresh(self, *, begin: bool) -> bool:
        self._frozen = self._chronicle.now()
        changed = [self._here(refresh=True, begin=begin).changed]
        for member in self.members:
            self._send(member, refresh=True, begin=begin)
        changed += [self._received(member).changed for member in self.members]
        return any(changed)

    def ask(self, tasks: Sequence[Task]) -> list[Answer]:
        """Return the answers, by the tasks' numbers.

        Raises:
            InternalError: as ``explore``.
            PoolError: a process was lost.

        """
        if self.workers > 1 and not self.members and self.due():
            self._start()
        waiting = deque(tasks)
        answers = self._elsewhere(waiting) if self.members else self._all_here(waiting)
        return sorted(answers, key=lambda answer: answer.number)

    def _all_here(self, waiting: deque[Task]) -> list[Answer]:
        answers: list[Answer] = []
        while waiting:
            reply = self._here(_next(waiting, AT_ONCE))
            answers += reply.answers
            while reply.missing:
                self._compute(reply)
                reply = self._here()
                answers += reply.answers
        return answers

    def _elsewhere(self, waiting: deque[Task]) -> list[Answer]:
        answers: list[Answer] = []
        for member in self.members:
            self._give(member, waiting)
        while busy := {member.connection: member for member in self.members if member.busy}:
            for connection in wait(list(busy), LOOK_AFTER):
                member = busy[connection]  # type: ignore[index]
                reply = self._received(member)
                answers += reply.answers
                self._compute(reply)
                self._give(member, waiting)
        return answers

    def _give(self, member: Member, waiting: deque[Task]) -> None:
        """Let a process go on, with further tasks if it has few."""
        fair = -(-len(waiting) // (2 * len(self.members)))
        tasks = _next(waiting, max(0, min(AT_ONCE - member.asked, fair)))
        if tasks or member.asked:
            self._send(member, tasks)

    def _compute(self, reply: Reply) -> None:
        for state, message in reply.missing:
            self._chronicle.compute(state, message)

    def _here(self, tasks: tuple[Task, ...] = (), *, refresh: bool = False, begin: bool = False) -> Reply:
        now = self._chronicle.now()
        question = Question(self._chronicle.news(self._heard, now), tasks, refresh, begin)
        self._heard = now
        reply = self._walker.handle(question)
        self.tell(reply)
        return reply

    def _send(
        self, member: Member, tasks: tuple[Task, ...] = (), *, refresh: bool = False, begin: bool = False
    ) -> None:
        now = self._chronicle.now()
        question = Question(self._chronicle.news(member.heard, now), tasks, refresh, begin)
        member.heard = now
        member.send(question)

    def _received(self, member: Member) -> Reply:
        reply = member.receive()
        self.tell(reply)
        return reply

    def _start(self) -> None:
        """Start processes, which begin with what persistent sets are chosen by."""
        context, copies = process_context()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for _ in range(self.workers):
                ours, theirs = context.Pipe()
                others = [member.connection for member in self.members] + [ours] if copies else []
                arguments = (theirs, others, self.table.told, self.table.first, self.racy)
                process = context.Process(target=serve, args=arguments, daemon=True)
                process.start()
                theirs.close()
                self.members.append(Member(process, ours))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for member in self.members:
            member.send(Question(self._chronicle.news(Heard(), self._frozen), refresh=True, begin=True))
            member.heard = self._frozen
        for member in self.members:
            self._received(member)


def _next(waiting: deque[Task], most: int) -> tuple[Task, ...]:
    return tuple(waiting.popleft() for _ in range(min(most, len(waiting))))


def serve(
    connection: Connection,
    others: Sequence[Connection],
    told: tuple[int, ...],
    first: tuple[Spawned, ...],
    racy: bool,
) -> None:
    """Answer questions until nobody asks any more.

    ``others``: connections that this process has if it started as a copy; who asks must be the only one to hold them.
    """
    for other in others:
        other.close()
    walker = Walker(told, first, racy=racy)
    with suppress(EOFError, ConnectionError):
        while True:
            question = connection.recv()
            try:
                connection.send(walker.handle(question))
            except InternalError as error:
                connection.send(InternalError(str(error)))
