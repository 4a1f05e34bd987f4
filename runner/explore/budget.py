"""How long an exploration may go on, and who is told how far it is."""

import time
from collections.abc import Callable

from longpin.runner.explore.result import Exploration, Reason

LOOK_EVERY = 256
"""Units of work between two looks at the watch."""

Progress = Callable[[Exploration], None]


class Budget:
    """Executions and seconds that are left."""

    def __init__(
        self, executions: int | None = None, seconds: float | None = None, progress: Progress | None = None
    ) -> None:
        self.executions = executions
        self.progress = progress
        self.started = time.monotonic()
        self.until = None if seconds is None else self.started + seconds
        self._looks = 0

    def spent(self, result: Exploration) -> Reason | None:
        """Return why to stop, None to go on; called once for each execution or state."""
        if self.executions is not None and result.executions >= self.executions:
            return Reason.EXECUTIONS
        self._looks += 1
        if self._looks % LOOK_EVERY:
            return None
        now = time.monotonic()
        result.seconds = now - self.started
        if self.progress is not None:
            self.progress(result)
        return Reason.SECONDS if self.until is not None and now >= self.until else None
