"""How long an exploration may go on, in how much memory, and who is told how far it is."""

import contextlib
import os
import re
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from longpin.runner.exploration.result import Exploration, Reason

LOOK_EVERY = 16
"""Units of work between two looks at the watch."""

TELL_EVERY = 0.1
"""Seconds between two reports of progress."""

ARRIVALS_AT_MOST = 5_000
"""Arrivals in one schedule; one that has more is taken for one that never ends."""

MEMORY_EVERY = 0.01
"""Seconds between two looks at the memory within a schedule: where files are large, one arrival can take 100 MB."""

MEMORY_SHARE = 0.8
"""The part of the memory there is that a search may have: the rest is for what the machine does besides."""

GUESS_SECONDS = 1.0
"""What a guess may take where no time is left."""

PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")

Progress = Callable[[Exploration], None]


class EndlessError(Exception):
    """A schedule goes on and on."""


class OutOfBudgetError(Exception):
    """What is allowed is spent in the middle of a schedule."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def memory_used() -> int:
    """Return the bytes this process has resident: proc_pid_statm(5)."""
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - asked often
        return int(file.read().split()[1]) * PAGE_SIZE


def memory_allowed() -> int:
    """Return the bytes that a search may have resident before the system has none left.

    By what is available (proc_meminfo(5)), memory.max of this process's control groups (cgroups(7), version 2), and
    RLIMIT_AS.
    """
    return int(MEMORY_SHARE * min(_memory_left()))


def _memory_left() -> Iterator[int]:
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    yield memory_used() + int(found[1]) * 1024 if found else os.sysconf("SC_PHYS_PAGES") * PAGE_SIZE
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        yield soft
    with contextlib.suppress(OSError):
        own = re.search(r"^0::/(.*)$", Path("/proc/self/cgroup").read_text(), re.MULTILINE)
        group = Path("/sys/fs/cgroup")
        for part in ("", *own[1].split("/")) if own else ():
            group /= part
            with contextlib.suppress(OSError, ValueError):  # the topmost has none, and another's may be "max"
                yield int((group / "memory.max").read_text())


class Budget:
    """Executions, arrivals, states, seconds and bytes that are left."""

    def __init__(
        self,
        executions: int | None = None,
        seconds: float | None = None,
        progress: Progress | None = None,
        *,
        arrivals: int | None = None,
        states: int | None = None,
        memory: int | None = None,
    ) -> None:
        self.executions = executions
        self.arrivals = arrivals
        """No other schedule begins after so many: the work that is counted where time must not be looked at."""
        self.states = states
        self.memory = memory
        self.progress = progress
        self.started = time.monotonic()
        self.until = None if seconds is None else self.started + seconds
        self._looks = 0
        self._told = self.started
        self._memory_at = self.started

    def spent(self, result: Exploration) -> Reason | None:
        """Return why to stop, None to go on; called once for each execution or state."""
        if self.executions is not None and result.executions >= self.executions:
            return Reason.EXECUTIONS
        if self.arrivals is not None and result.events >= self.arrivals:
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

    def check(self) -> None:
        """Look at the watch, and at the memory now and then, in the middle of a schedule.

        Raises:
            OutOfBudgetError: time or memory is spent.

        """
        if self.until is None and self.memory is None:
            return
        now = time.monotonic()
        if self.until is not None and now >= self.until:
            raise OutOfBudgetError(Reason.SECONDS)
        if self.memory is not None and now >= self._memory_at:
            self._memory_at = now + MEMORY_EVERY
            if memory_used() > self.memory:
                raise OutOfBudgetError(Reason.MEMORY)

    def seconds(self) -> float:
        """Return the seconds since it began."""
        return time.monotonic() - self.started

    def left(self) -> float | None:
        """Return the seconds that are left, None for any number."""
        return None if self.until is None else max(0.0, self.until - time.monotonic())
