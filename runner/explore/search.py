"""``explore``: from a function that builds a world to what all its schedules do."""

import time
from collections.abc import Callable
from typing import Any

from longpin.messages.envelope import Address
from longpin.runner.engine import InternalError
from longpin.runner.explore import naive
from longpin.runner.explore.budget import Budget, Progress
from longpin.runner.explore.dpor import Dpor
from longpin.runner.explore.path import Path
from longpin.runner.explore.replay import replay
from longpin.runner.explore.result import Exploration, Method, PropertyViolation, Reason
from longpin.runner.explore.states import Global, Matching, Nodes
from longpin.runner.explore.table import Table
from longpin.runner.stepped import SteppedEngine

Build = Callable[[Any], object]
"""Creates actors and tells them to start: ``world.spawn(kind, address, *args)``, ``world.tell(address, message)``."""

Check = Callable[[SteppedEngine], object]
"""Looks at a world that has come to rest; raises PropertyViolation or AssertionError."""

PILOT_EXECUTIONS = 2_000
PILOT_STATES = 5_000


class Explorer:
    """What the methods share: one table of steps, and one judgement of each world at rest."""

    def __init__(self, build: Build, *, check: Check | None, racy: bool, seed: int) -> None:
        self.build = build
        self.check = check
        self.racy = racy
        self.seed = seed
        self.table = Table(build, seed=seed)
        self._judged: dict[tuple[int, ...], str | None] = {}

    def judge_path(self, path: Path) -> str | None:
        """Return what is wrong at the end of a schedule."""
        if path.failure is not None:
            return told(path.failure)
        if self.check is None:
            return None
        return self.judge(tuple(path.local), path.decisions)

    def judge(self, rest: tuple[int, ...], decisions: Callable[[], tuple[Address, ...]]) -> str | None:
        """Return what the check has to say about the states of all actors; it is asked once for each."""
        if rest not in self._judged:
            engine = replay(self.build, decisions(), racy=self.racy, seed=self.seed)
            self._judged[rest] = self._ask(engine)
        return self._judged[rest]

    def _ask(self, engine: SteppedEngine) -> str | None:
        assert self.check is not None
        try:
            self.check(engine)
        except (PropertyViolation, AssertionError) as violation:
            return told(violation)
        return None

    def confirm(self, result: Exploration) -> None:
        """Carry out the decisions of a failure on the stepped engine.

        Raises:
            InternalError: what failed does not fail there.

        """
        for failure in result.failures:
            try:
                engine = replay(self.build, failure.decisions, racy=self.racy, seed=self.seed)
            except InternalError as error:
                if error.__cause__ is not None and told(error.__cause__) == failure.what:
                    continue
                raise
            if self.check is None or self._ask(engine) != failure.what:
                raise InternalError(f"not repeatable: {failure.what}")


def told(error: BaseException) -> str:
    """Return what an exception says, with its kind unless it is a violation."""
    return str(error) if isinstance(error, PropertyViolation) else f"{type(error).__name__}: {error}"
