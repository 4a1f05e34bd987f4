"""The calls a program may make, as conversations of the process that makes them: one module a subsystem.

Each module declares its calls beside their implementations (:mod:`longpin.actors.syscalls.declaration`).
"""

from longpin.actors.syscalls import fcntl, files, memory, names, processes, ranges, signals, verbs
from longpin.actors.syscalls.declaration import Syscall

MODULES = (
    files.CALLS,
    fcntl.CALLS,
    names.CALLS,
    processes.CALLS,
    signals.CALLS,
    memory.CALLS,
    ranges.CALLS,
    verbs.CALLS,
)

SYSCALLS: dict[str, Syscall] = {name: call for calls in MODULES for name, call in calls.items()}
"""Every call by its name."""
