"""How much work may go into making a failure small."""

import time
from enum import StrEnum
from typing import NamedTuple

from longpin.runner.progress import Shown


class ShrinkEnd(StrEnum):
    """Why no more was tried."""

    SIMPLEST = "nothing simpler was found"
    EXECUTIONS = "the number of executions allowed is spent"
    SECONDS = "the time allowed is spent"
    INTERRUPTED = "it was interrupted"


class Limits(NamedTuple):
    """What may be spent. With ``seconds`` of None the outcome is the same every time."""

    executions: int = 20_000
    seconds: float | None = 60.0


class SpentError(Exception):
    """Nothing is left."""

    def __init__(self, end: ShrinkEnd) -> None:
        super().__init__(end.value)
        self.end = end


class ShrinkEffort:
    """Counts executions and looks at the watch."""

    def __init__(self, limits: Limits, progress: Shown | None = None) -> None:
        self.limits = limits
        self.progress = progress
        self.executions = 0
        self._until = None if limits.seconds is None else time.monotonic() + limits.seconds

    def spend(self, executions: int) -> None:
        """Count executions that were made.

        Raises:
            SpentError: no more are allowed.

        """
        self.executions += executions
        if self.executions >= self.limits.executions:
            raise SpentError(ShrinkEnd.EXECUTIONS)
        if self.left() == 0:
            raise SpentError(ShrinkEnd.SECONDS)

    def left(self) -> float | None:
        """Return the seconds that are left, None for any number."""
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    def tell(self, note: str) -> None:
        """Report how far it is."""
        if self.progress is not None:
            self.progress(self.executions, self.limits.executions, note)
