"""Threads in random programs: some processes have a second or a third one, which makes calls as all others do.

Left out is what a kernel answers in more than one way: signals that stop, since who sends one to its own process may
return before another thread has stopped it; two threads that wait for one child. Left out is also what the processes on
the host cannot do with several threads: to change users, limits on descriptors, and signals 32 and 33, which are the C
library's own there.
"""

import random
from collections.abc import Iterator
from typing import Protocol

from longpin.runner.conform.program import ConformOp, make_op

_MOST = 3
"""Threads of a program beside the first ones."""
_WEIGHTS = {"thread": 2.0, "gettid": 0.7, "threadexit": 1.0, "tgkill": 3.0, "setownex": 1.5, "exec": 0.12}
SHARE = 0.3
"""How often an op of these comes after another op."""


class ThreadSurroundings(Protocol):
    """What the writer of the program knows."""

    choice: random.Random
    processes: list[str]
    """Those that were not seen to end, threads too."""
    threads: dict[str, str]
    """The process of each thread that is not its first."""

    def add_thread(self, name: str, process: str) -> None:
        """Keep in mind that there is a thread."""

    def bury(self, proc: str) -> None:
        """Keep in mind that a thread has ended, or a process with all that it has."""

    def descriptor_of(self, proc: str) -> str | None:
        """Choose a descriptor of a process; None if it has none."""


class ThreadOps:
    """Chooses the ops on threads of one program."""

    def __init__(self, around: ThreadSurroundings) -> None:
        self._around = around
        self._made = 0

    def some(self, signals: list[str]) -> Iterator[ConformOp]:
        """Yield an op on threads; ``signals`` are those that may be sent to one."""
        around, choice = self._around, self._around.choice
        proc = choice.choice(around.processes)
        op = choice.choices(list(_WEIGHTS), [*_WEIGHTS.values()])[0]
        if op == "thread" or not around.threads:
            if self._made < _MOST:
                yield self._thread(proc)
            return
        thread = choice.choice(list(around.threads))
        match op:
            case "gettid":
                yield make_op(choice.choice((proc, thread)), op)
            case "threadexit":
                around.bury(thread)
                yield make_op(thread, op)
            case "exec":
                process = around.threads[thread]
                for other in [name for name, its in around.threads.items() if its == process]:
                    around.bury(other)
                yield make_op(thread, op)
            case "tgkill":
                process = choice.choices((around.threads[thread], proc, thread), (10, 1, 1))[0]
                whom = choice.choices((thread, process, "nobody"), (8, 3, 0.5))[0]
                yield make_op(proc, op, pid=process, tid=whom, sig=choice.choice([*signals, 0]))
            case "setownex" if (fd := around.descriptor_of(proc)) is not None:
                yield make_op(proc, op, fd=fd, type=choice.choice(("TID", "TID", "PID")), pid=thread)
            case _:
                pass

    def _thread(self, proc: str) -> ConformOp:
        self._made += 1
        name = f"T{self._made}"
        self._around.add_thread(name, self._around.threads.get(proc, proc))
        return make_op(proc, "thread", {"as": name})
