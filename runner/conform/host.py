"""The kernel of this machine as a runner of programs, in real processes, one op at a time.

Whatever happens, the machine is left as it was: see :class:`longpin.runner.conform.agent.Zygote`.
"""

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from longpin.runner.conform.abilities import HostAbilities, probe
from longpin.runner.conform.outcome import Outcome
from longpin.runner.conform.proc_files import LEASE_BREAK_TIME, file_system
from longpin.runner.conform.processes import RUNS_IF_DISTURBED, DisturbedError, HostError, Zygote
from longpin.runner.conform.program import Program, Unsupported
from longpin.runner.conform.stage import Stage

_BUSY = 600.0
"""Seconds to wait for other runs that use lease-break-time: one of the host engine may take a minute or two."""
_SILENT = 2.0
"""Seconds to wait for them before it is said."""

Tell = Callable[[str], object]
"""Takes a sentence for whoever started the run."""


class HostRunner:
    """The kernel of this machine as a :class:`~longpin.runner.conform.program.Runner`; a context manager.

    Only one program runs at a time on a machine, since lease-break-time belongs to all: others wait their turn.

    Raises:
        HostError: no folder can be made, or no process started.

    """

    def __init__(self, folder: Path | None = None, tell: Tell | None = None) -> None:
        self._tell = tell
        self._zygote = Zygote()
        self._folder = self._zygote.make_folder("longpin-conform-", folder or usual_place())
        try:
            self._folder.chmod(0o777)  # processes that have given up root work in it as well
            self.abilities: HostAbilities = probe(self._folder)
        except OSError as error:
            self.close()
            raise HostError(f"cannot use {self._folder}: {error}") from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process, put back what was changed and remove the files."""
        self._zygote.close()

    def run(self, program: Program) -> Outcome:
        """Run a program, and again if somebody else sets lease-break-time meanwhile.

        Raises:
            Unsupported: this host cannot run it, and why.
            HostError: a process does not do what it must, or another run has the machine.

        """
        if reason := self.abilities.against(program):
            raise Unsupported(reason)
        for _ in range(RUNS_IF_DISTURBED):
            try:
                return self._run_once(program)
            except DisturbedError as error:
                disturbed = error
        raise Unsupported(f"{disturbed}, {RUNS_IF_DISTURBED} times")

    def _run_once(self, program: Program) -> Outcome:
        with machine_to_ourselves(self._tell) as lock:
            folder = Path(tempfile.mkdtemp(dir=self._folder))
            stage = Stage(program, self._zygote, folder, self.abilities, lock)
            try:
                return stage.play()
            except OSError as error:
                raise HostError(f"program {program.id}: {error}") from None
            finally:
                stage.clear()


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

    Gives the descriptor. Whoever gets a copy of it holds the lock as well: the zygote, until it has put things right.
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
