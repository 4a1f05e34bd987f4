"""The numbers of a table without its actors: what a process that walks through states needs to know of steps.

One process has the table, runs handlers, and numbers what comes of them (``table.py``); others hold replicas. So a
number means the same everywhere, and each step is computed once. A replica that lacks a step asks for it.
"""

from typing import NamedTuple

from longpin.messages.envelope import Address
from longpin.runner.exploration.result import Abandoned
from longpin.runner.exploration.table import ComputedStep, Spawned, Table


class MissingStepError(Exception):
    """A replica does not know what a message does in a state."""

    def __init__(self, state: int, message: int) -> None:
        super().__init__(state, message)
        self.step = state, message


class StepFailed(Exception):
    """Something that a handler raised, in a process that has no handlers."""


class News(NamedTuple):
    """What a table knows, from some point on."""

    addresses: tuple[Address, ...]
    receivers: tuple[int, ...]
    """By message."""
    steps: tuple[tuple[int, int, ComputedStep], ...]
    """A state, a message, and what came of it."""
    states: int
    """How many there are in all."""


class Heard(NamedTuple):
    """How much of a table somebody knows."""

    addresses: int = 0
    receivers: int = 0
    steps: int = 0


class Chronicle:
    """A table, and the order in which its steps became known."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.steps = [
            (state, message, _without_actors(step))
            for state, steps in enumerate(table.steps)
            for message, step in steps.items()
        ]
        self._logged = {(state, message) for state, message, _ in self.steps}

    def compute(self, state: int, message: int) -> None:
        """Let a step be known; nothing to do if it is.

        Raises:
            InternalError: as :meth:`Table.step`.

        """
        step = self.table.step(state, message)
        if (state, message) not in self._logged:
            self._logged.add((state, message))
            self.steps.append((state, message, _without_actors(step)))

    def now(self) -> Heard:
        """Return how much there is to know."""
        return Heard(len(self.table.addresses), len(self.table.receiver), len(self.steps))

    def news(self, heard: Heard, now: Heard) -> News:
        """Return what became known between two moments."""
        addresses = tuple(self.table.addresses[heard.addresses : now.addresses])
        receivers = tuple(self.table.receiver[heard.receivers : now.receivers])
        return News(addresses, receivers, tuple(self.steps[heard.steps : now.steps]), len(self.table.steps))


def _without_actors(step: ComputedStep) -> ComputedStep:
    if step.failure is None:
        return step
    return step._replace(failure=Abandoned() if isinstance(step.failure, Abandoned) else StepFailed())


class Replica:
    """What is known of a table."""

    def __init__(self, told: tuple[int, ...], first: tuple[Spawned, ...]) -> None:
        self.told = told
        self.first = first
        self.addresses: list[Address] = []
        self.receiver: list[int] = []
        self.steps: list[dict[int, ComputedStep]] = []
        self.computed = 0

    def hear(self, news: News) -> None:
        """Take news over."""
        self.addresses += news.addresses
        self.receiver += news.receivers
        self.hear_steps(news)

    def hear_steps(self, news: News) -> None:
        """Take over what news say of steps."""
        self.make_room(news.states)
        for state, message, step in news.steps:
            self.steps[state][message] = step
        self.computed += len(news.steps)

    def make_room(self, states: int) -> None:
        """Know that there are so many states."""
        self.steps += [{} for _ in range(states - len(self.steps))]

    def step(self, state: int, message: int) -> ComputedStep:
        """Return what ``message`` does in ``state``.

        Raises:
            MissingStepError: it is not known.

        """
        if (known := self.steps[state].get(message)) is None:
            raise MissingStepError(state, message)
        return known
