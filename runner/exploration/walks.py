"""From a state of the world to those after it: what a process does that takes part in matching states.

A walk is the arrival of one message and, after it, all arrivals that need no choice (``states.py``). It is made of
numbers alone: handlers are run by the process that holds the table (``replica.py``). A walk that comes to a step that
is not known waits, and others go on.

States are sent as integers that mean the same everywhere: the tick and 1 of the alarm, and then for each other actor,
in their order, the number of its state and 1 (0: it does not exist), how many messages its outbox holds, and the number
of each and 1.
"""

from array import array
from typing import Any, NamedTuple

from longpin.runner.engines.engine import InternalError
from longpin.runner.exploration.budget import memory_used
from longpin.runner.exploration.nodes import ABSENT, Global, Nodes
from longpin.runner.exploration.persistent import PersistentSets
from longpin.runner.exploration.replica import MissingStepError, News, Replica
from longpin.runner.exploration.result import Abandoned
from longpin.runner.exploration.table import ALARM_ACTOR, KEEP_ALARM, WORLD_ACTOR, ComputedStep, Spawned

CHAIN_AT_MOST = 1_000
"""Arrivals in a walk: actors that never rest make an endless one."""

ABANDONED, FAILED, CAME = range(3)
"""What came of a walk: its first step is left out, or fails; or it came to a state."""

Told = Any
"""A state as it is sent: an array of unsigned integers."""


NOTHING: Told = array("I")
"""In the place of a state: where the world starts."""


def parts_of(told: Told) -> tuple[int, list[tuple[int, tuple[int, ...]]]]:
    """Return the alarm's tick and 1, and for each other actor its state, -1 for none, and its outbox."""
    tick, *values = told
    parts, place = [], 0
    while place < len(values):
        begin = place + 2
        end = begin + values[place + 1]
        parts.append((values[place] - 1, tuple([sent - 1 for sent in values[begin:end]])))
        place = end
    return tick, parts


class Task(NamedTuple):
    """A state to walk from."""

    number: int
    """By which the answer names it."""
    state: Told
    others: bool
    """Walk from it by those who are not in the persistent set, not by those who are."""


class Outcome(NamedTuple):
    """What came of one walk."""

    kind: int
    process: int
    """Who was let go first."""
    state: Told
    """Where it came to."""
    chain: tuple[int, ...]
    """Who was let go, in order."""


class Answer(NamedTuple):
    """What came of the walks from one state."""

    number: int
    ready: int
    """How many could be let go there; 0: the world is at rest."""
    outcomes: tuple[Outcome, ...]
    """In the order of the addresses of those who were let go first."""
    whole: bool
    """That were all of them."""


class Question(NamedTuple):
    """What a walker is asked."""

    news: News
    tasks: tuple[Task, ...] = ()
    refresh: bool = False
    """Choose persistent sets by what is known now, and say whether one chosen before was wrong."""
    begin: bool = False
    """Forget which were chosen."""


class Reply(NamedTuple):
    """What a walker answers."""

    answers: tuple[Answer, ...]
    missing: tuple[tuple[int, int], ...]
    """The steps, by state and message, that walks under way wait for."""
    arrivals: int
    marks: frozenset[str]
    """What is to be seen in a step that was taken, if it was not told before."""
    changed: bool
    memory: int
    """Bytes that the walker's process has resident."""


class FrozenSets(PersistentSets):
    """Persistent sets by what was known at one moment, so that it does not matter who is asked, and when."""

    def refresh(self) -> bool:
        """Go by what is known now; return whether an answer that was given is another one then."""
        changed = False
        for question, answer in self._asked.items():
            if (now := self._prospect(*question)) != answer:
                self._asked[question] = now
                changed = True
        self._known = self.table.computed
        return changed


class Walk:
    """A walk under way."""

    __slots__ = ("chain", "met", "process", "state")

    def __init__(self, state: Global, process: int | None) -> None:
        self.state = state
        self.process = process
        """Who is to be let go first; None: only what needs no choice is to happen."""
        self.chain: list[int] = []
        self.met: set[Global] = {state}


class _Open(NamedTuple):
    """A state of which not all walks have ended."""

    task: Task
    walks: list[Walk | Outcome]
    ready: int
    whole: bool


class Walker:
    """Walks from states."""

    def __init__(self, told: tuple[int, ...], first: tuple[Spawned, ...], *, racy: bool) -> None:
        self.racy = racy
        self.live = Replica(told, first)
        self.frozen = Replica(told, first)
        """What persistent sets are chosen by."""
        self.frozen.receiver, self.frozen.addresses = self.live.receiver, self.live.addresses
        self._later: list[News] = []
        """What ``frozen`` has not heard."""
        self.nodes = Nodes(self.live)
        self.sets = FrozenSets(self.frozen, self.nodes, racy=racy)
        self._packed: list[bytes] = []
        self._open: list[_Open] = []
        self._arrivals = 0
        self._marks: set[str] = set()
        self._told_marks: frozenset[str] = frozenset()

    def handle(self, question: Question) -> Reply:
        """Answer what can be answered.

        Raises:
            InternalError: a message is for an actor that does not exist, or a second actor would have an address.

        """
        self.live.hear(question.news)
        self._later.append(question.news)
        self.frozen.make_room(question.news.states)
        changed = self._refresh(begin=question.begin) if question.refresh else False
        self._open += [self._begin(task) for task in question.tasks]
        answers, missing, still = [], dict[tuple[int, int], None](), []
        for begun in self._open:
            ended = True
            for place, walk in enumerate(begun.walks):
                if isinstance(walk, Walk):
                    try:
                        begun.walks[place] = self._walk(walk)
                    except MissingStepError as lacking:
                        missing[lacking.step] = None
                        ended = False
            if ended:
                outcomes = tuple(walk for walk in begun.walks if isinstance(walk, Outcome))
                answers.append(Answer(begun.task.number, begun.ready, outcomes, begun.whole))
            else:
                still.append(begun)
        self._open = still
        marks = frozenset(self._marks) - self._told_marks
        self._told_marks |= marks
        arrivals, self._arrivals = self._arrivals, 0
        return Reply(tuple(answers), tuple(missing), arrivals, marks, changed, memory_used())

    def _refresh(self, *, begin: bool) -> bool:
        for news in self._later:
            self.frozen.hear_steps(news)
        self._later.clear()
        if begin:
            self.sets.begin()
            self._open.clear()
            return False
        return self.sets.refresh()

    def _begin(self, task: Task) -> _Open:
        if not len(task.state):
            return _Open(task, [Walk(self._start(), None)], 0, whole=True)
        state = self._numbers(task.state)
        processes = self._processes(state)
        chosen = self.sets.choose(state, processes)
        if task.others:
            walking = [process for process in processes if process not in chosen]
        else:
            walking = processes if len(chosen) == 1 else chosen
        walking.sort(key=self.live.addresses.__getitem__)
        walks: list[Walk | Outcome] = [Walk(state, process) for process in walking]
        return _Open(task, walks, len(processes), len(walking) == len(processes))

    def _walk(self, walk: Walk) -> Outcome:
        """Go on to the end of a walk.

        Raises:
            MissingStepError: a step is not known; it goes on there when it is.

        """
        chain, met = walk.chain, walk.met
        if not chain and walk.process is not None:
            after, failure = self._step(walk.state, walk.process)
            if failure is not None:
                kind = ABANDONED if isinstance(failure, Abandoned) else FAILED
                return Outcome(kind, walk.process, array("I"), (walk.process,))
            walk.state = after
            chain.append(walk.process)
            met.clear()
            met.add(after)
        while len(chain) < CHAIN_AT_MOST:
            chosen = self.sets.choose(walk.state, self._processes(walk.state))
            if len(chosen) != 1:
                break
            after, failure = self._step(walk.state, chosen[0])
            if failure is not None or after in met:
                break
            met.add(after)
            chain.append(chosen[0])
            walk.state = after
        return Outcome(CAME, chain[0] if chain else WORLD_ACTOR, self._told(walk.state), tuple(chain))

    def _start(self) -> Global:
        live, number = self.live, self.nodes.number
        state: list[int] = [ABSENT] * len(live.addresses)
        state[WORLD_ACTOR] = number(-1, live.told)
        for created in live.first:
            state[created.actor] = number(created.state, created.sends)
        return tuple(state)

    def _processes(self, state: Global) -> list[int]:
        head = self.nodes.head
        found = [actor for actor, node in enumerate(state) if actor != ALARM_ACTOR and head[node] >= 0]
        if state[ALARM_ACTOR] and (self.racy or not found):
            found.append(ALARM_ACTOR)
        return found

    def _step(self, state: Global, process: int) -> tuple[Global, Exception | None]:
        """Return the state after the next arrival from ``process``, or what is raised in it."""
        nodes, after = self.nodes, list(state)
        if process == ALARM_ACTOR:
            message = state[ALARM_ACTOR] - 1
            after[ALARM_ACTOR] = ABSENT
        else:
            message = nodes.head[state[process]]
            after[process] = nodes.rest[state[process]]
        receiver = self.live.receiver[message]
        node = after[receiver] if receiver < len(after) else ABSENT
        after[receiver], step = nodes.taken[node].get(message) or self._take(node, message)
        self._arrivals += 1
        if step is None:
            return tuple(after), None
        if step.alarm != KEEP_ALARM:
            after[ALARM_ACTOR] = max(step.alarm + 1, ABSENT)
        after += [ABSENT] * (len(self.live.addresses) - len(after))
        for created in step.spawned:
            if after[created.actor] != ABSENT:
                raise InternalError(f"a second actor would have the address {self.live.addresses[created.actor]}")
            after[created.actor] = nodes.number(created.state, created.sends)
        return tuple(after), step.failure

    def _take(self, node: int, message: int) -> tuple[int, ComputedStep | None]:
        """Work out what a node does with a message."""
        live, nodes = self.live, self.nodes
        if node == ABSENT:
            raise InternalError(f"{live.addresses[live.receiver[message]]} does not exist")
        step = live.step(nodes.state[node], message)
        self._marks |= step.marks
        special = step.alarm != KEEP_ALARM or step.spawned or step.failure is not None
        taken = nodes.number(step.state, nodes.outbox[node] + step.sends), step if special else None
        nodes.taken[node][message] = taken
        return taken

    def _numbers(self, told: Told) -> Global:
        """Return a state that was sent."""
        tick, parts = parts_of(told)
        number = self.nodes.number
        nodes = [number(state, outbox) if state >= 0 or outbox else ABSENT for state, outbox in parts]
        nodes += [ABSENT] * (len(self.live.addresses) - 1 - len(nodes))
        return *nodes[:ALARM_ACTOR], tick, *nodes[ALARM_ACTOR:]

    def _told(self, state: Global) -> Told:
        """Return a state as it is sent; those at its end who do not exist are left out."""
        nodes, packed = self.nodes, self._packed
        for node in range(len(packed), len(nodes.state)):
            outbox = nodes.outbox[node]
            packed.append(array("I", (nodes.state[node] + 1, len(outbox), *[sent + 1 for sent in outbox])).tobytes())
        told = array("I", [state[ALARM_ACTOR]])
        told.frombytes(b"".join([packed[node] for actor, node in enumerate(state) if actor != ALARM_ACTOR]))
        while len(told) > 1 and not told[-1] and not told[-2]:
            del told[-2:]
        return told
