"""Where on this machine programs run, and whose turn it is to use what the machine has only once."""

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from longpin.runner.machine.proc_files import LEASE_BREAK_TIME, file_system
from longpin.runner.machine.processes import HostError

_BUSY = 600.0
"""Seconds to wait for other runs that use lease-break-time: one of the host engine may take a minute or two."""
_SILENT = 2.0
"""Seconds to wait for them before it is said."""

Tell = Callable[[str], object]
"""Takes a sentence for the user who started the run."""


def usual_place() -> str:
    """Return where temporary files go, or /var/tmp if those live in memory and /var/tmp does not.

    Leases are the same on tmpfs, but it lacks some modes of fallocate(2).
    """
    usual = tempfile.gettempdir()
    other = Path("/var/tmp")  # noqa: S108
    in_memory = file_system(Path(usual)) in ("tmpfs", "ramfs")
    if in_memory and other.is_dir() and os.access(other, os.W_OK) and file_system(other) not in ("tmpfs", "ramfs"):
        return str(other)
    return usual


@contextlib.contextmanager
def machine_to_ourselves(tell: Tell | None = None) -> Iterator[int]:
    """Hold the machine's lease-break-time: by an flock(2) on its file, which every user can take and no one leaves.

    Gives the descriptor. The zygote gets a copy, and so holds the lock until it has put things right.
    ``tell`` is told if that takes a while.

    Raises:
        HostError: other runs have held it for ten minutes.

    """
    with LEASE_BREAK_TIME.open() as file:
        began, told = time.monotonic(), tell is None
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waited = time.monotonic() - began
                if waited > _BUSY:
                    raise HostError("another run uses fs.lease-break-time") from None
                if waited > _SILENT and tell is not None and not told:
                    told = True
                    tell("waiting for another run that uses fs.lease-break-time")
                time.sleep(0.01)
        yield file.fileno()
