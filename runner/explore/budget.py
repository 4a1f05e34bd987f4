"""How long an exploration may go on, and who is told how far it is."""

import time
from collections.abc import Callable

from longpin.runner.explore.result import Exploration, Reason

LOOK_EVERY = 256
"""Units of work between two looks at the watch."""

ARRIVALS_AT_MOST = 5_000
"""Arrivals in one schedule; one that has more is taken for one that never ends."""

Progress = Callable[[Exploration], None]


class EndlessError(Exception):
    """A schedule goes on and on."""


class Budget:
    """Executions, states and seconds that are left."""

    def __init__(
        self,
        executions: int | None = None,
        seconds: float | None = None,
        progress: Progress | None = None,
        *,
        states: int | None = None,
    ) -> None:
        self.executions = executions
        self.states = states
        self.progress = progress
        self.started = time.monotonic()
        self.until = None if seconds is None else self.started + seconds
        self._looks = 0

    def spent(self, result: Exploration) -> Reason | None:
        """Return why to stop, None to go on; called once for each execution or state."""
        if self.executions is not None and result.executions >= self.executions:
            return Reason.EXECUTIONS
        if self.states is not None and result.states >= self.states:
            return Reason.STATES
        self._looks += 1
        if self._looks % LOOK_EVERY:
            return None
        now = time.monotonic()
        result.seconds = now - self.started
        if self.progress is not None:
            self.progress(result)
        return Reason.SECONDS if self.until is not None and now >= self.until else None

    def left(self) -> float | None:
        """Return the seconds that are left, None for any number."""
        return None if self.until is None else max(0.0, self.until - time.monotonic())
