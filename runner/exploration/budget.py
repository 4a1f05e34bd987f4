"""How long an exploration may go on, and who is told how far it is."""

import os
import time
from collections.abc import Callable

from longpin.runner.exploration.result import Exploration, Reason

LOOK_EVERY = 16
"""Units of work between two looks at the watch."""

TELL_EVERY = 0.1
"""Seconds between two reports of progress."""

ARRIVALS_AT_MOST = 5_000
"""Arrivals in one schedule; one that has more is taken for one that never ends."""

PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")

Progress = Callable[[Exploration], None]


class EndlessError(Exception):
    """A schedule goes on and on."""


def memory_used() -> int:
    """Return the bytes this process has resident: proc_pid_statm(5)."""
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - asked often
        return int(file.read().split()[1]) * PAGE_SIZE


class Budget:
    """Executions, states, seconds and bytes that are left."""

    def __init__(
        self,
        executions: int | None = None,
        seconds: float | None = None,
        progress: Progress | None = None,
        *,
        states: int | None = None,
        memory: int | None = None,
    ) -> None:
        self.executions = executions
        self.states = states
        self.memory = memory
        self.progress = progress
        self.started = time.monotonic()
        self.until = None if seconds is None else self.started + seconds
        self._looks = 0
        self._told = self.started

    def spent(self, result: Exploration) -> Reason | None:
        """Return why to stop, None to go on; called once for each execution or state."""
        if self.executions is not None and result.executions >= self.executions:
            return Reason.EXECUTIONS
        if self.states is not None and result.states >= self.states:
            return Reason.STATES
        self._looks += 1
        return None if self._looks % LOOK_EVERY else self.look(result)

    def look(self, result: Exploration) -> Reason | None:
        """Look at the watch: tell how far it is if it is time to, and return why to stop, None to go on."""
        now = time.monotonic()
        result.seconds = now - self.started
        if self.progress is not None and now - self._told >= TELL_EVERY:
            self._told = now
            self.progress(result)
        if self.memory is not None and memory_used() > self.memory:
            return Reason.MEMORY
        return Reason.SECONDS if self.until is not None and now >= self.until else None

    def seconds(self) -> float:
        """Return the seconds since it began."""
        return time.monotonic() - self.started

    def left(self) -> float | None:
        """Return the seconds that are left, None for any number."""
        return None if self.until is None else max(0.0, self.until - time.monotonic())
