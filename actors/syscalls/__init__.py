"""The calls a program may make, as conversations of the process that makes them: one module a subsystem.

Each module declares its calls beside their implementations (:mod:`longpin.actors.syscalls.declaration`).
"""

from longpin.actors.syscalls import (
    administration,
    clone3,
    device_removal,
    fcntl,
    files,
    hypervisor,
    imported_verbs,
    io_uring,
    lease_verbs,
    memory,
    memory_windows,
    mounts,
    names,
    pnfs,
    proc_memory,
    processes,
    queue_pairs,
    ranges,
    signals,
    storage,
    threads,
    transfers,
    verbs,
    vfio,
    video,
    work_queues,
    xdp,
)
from longpin.actors.syscalls.declaration import Syscall

_CALLS = (
    files,
    storage,
    fcntl,
    names,
    mounts,
    processes,
    clone3,
    signals,
    threads,
    memory,
    ranges,
    transfers,
    verbs,
    work_queues,
    queue_pairs,
    memory_windows,
    imported_verbs,
    device_removal,
    video,
    vfio,
    xdp,
    io_uring,
    pnfs,
    hypervisor,
    lease_verbs,
    administration,
    proc_memory,
)
MODULES = tuple(module.CALLS for module in _CALLS)

SYSCALLS: dict[str, Syscall] = {name: call for calls in MODULES for name, call in calls.items()}
"""Every call by its name."""
