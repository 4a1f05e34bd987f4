"""The trace that a run was asked for: what can be written of it is, and the verdict does not depend on it.

A trace that is there already is put aside when the new one is begun, removed when the new one is whole, and put back
when that cannot be written; a process that is killed leaves both. What was written of a trace that could not be
finished is kept beside it, for on threads nothing else tells of that run.
"""

import contextlib
import os
import stat
from itertools import count
from pathlib import Path
from typing import Self

from longpin.messages.trace import Header, TraceError, TraceWriter
from longpin.runner.files import resolved

ASIDE = ".old"
"""What the name of a trace that was put aside ends in."""

PARTIAL = ".partial"
"""What the name of a trace ends in that could not be finished, and whose place another one has."""


class TraceFile:
    """Takes the arrivals of a run; what cannot be written is told by :attr:`not_kept`, and nothing is raised.

    As a context manager it ends the trace without a footer if the block raised; what was put aside then stays there.
    """

    def __init__(self, path: str | os.PathLike[str], header: Header) -> None:
        self.not_kept = ""
        """What could not be kept and why, one line; empty if nothing was lost so far."""
        self._path = Path(path)
        self._aside: Path | None = None
        """Where the trace is that was here before."""
        self._writer: TraceWriter | None = None
        self._ours = False
        """A regular file that is here now was made by this run."""
        try:
            if self._path.is_symlink():
                self._path = resolved(self._path)
            there = self._path.is_file()
            before = self._path.stat() if there else None
            if there:
                self._put_aside()
            self._ours = not os.path.lexists(self._path)
            self._writer = TraceWriter(self._path, header)
        except TraceError as error:
            self._lost(str(error), begun=False)
        except OSError as error:
            self._lost(f"{path}: cannot be written: {error.strerror}", begun=False)
        else:
            if before is not None:
                with contextlib.suppress(OSError):
                    self._path.chmod(stat.S_IMODE(before.st_mode))
                    os.chown(self._path, before.st_uid, before.st_gid)

    @property
    def arrivals(self) -> int | None:
        """How many arrivals were appended; None if nothing is written any more."""
        return None if self._writer is None else self._writer.arrivals

    def append(self, payload: bytes) -> None:
        """Add the payload of the next arrival."""
        if self._writer is not None:
            try:
                self._writer.append(payload)
            except TraceError as error:
                self._lost(str(error))

    def flush(self) -> None:
        """Hand everything appended so far to the operating system."""
        if self._writer is not None:
            try:
                self._writer.flush()
            except TraceError as error:
                self._lost(str(error))

    def close(self, *, complete: bool) -> None:
        """End the trace, with its footer if the run came to its end; the one that was put aside goes."""
        if self._writer is None:
            return
        try:
            self._writer.close(complete)
        except TraceError as error:
            self._lost(str(error))
            return
        self._writer = None
        if self._aside is not None:
            with contextlib.suppress(OSError):
                self._aside.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close(complete=True)
        elif self._writer is not None:
            with contextlib.suppress(TraceError):
                self._writer.close(complete=False)

    def _put_aside(self) -> None:
        """Give the trace that is here another name, which nothing has."""
        aside = _free_name(self._path, ASIDE)
        try:
            self._path.rename(aside)
        except OSError as error:
            raise OSError(error.errno, f"what is there cannot be put aside ({error.strerror})") from None
        self._aside = aside

    def _lost(self, reason: str, *, begun: bool = True) -> None:
        """Give up writing, and put back what was here before."""
        if self._writer is not None:
            with contextlib.suppress(TraceError):
                self._writer.close(complete=False)
        self._writer = None
        self.not_kept = reason
        if self._ours:
            self._leave(begun=begun)
        if self._aside is not None:
            try:
                self._aside.rename(self._path)
                self.not_kept += "; the trace that was there before is there again"
            except OSError:
                self.not_kept += f"; the trace that was there before is {self._aside}"

    def _leave(self, *, begun: bool) -> None:
        """Make room for what was here before; where there was nothing, what was written stays if it says anything."""
        with contextlib.suppress(OSError):
            if not begun:
                self._path.unlink(missing_ok=True)  # not even its header is whole
            elif self._aside is not None:
                partial = self._path.rename(_free_name(self._path, PARTIAL))
                self.not_kept += f"; what was written of this run is {partial}"
            else:
                self.not_kept += "; what was written of this run replays"


def _free_name(path: Path, ending: str) -> Path:
    """Return a name beside ``path`` that nothing has."""
    names = (path.with_name(f"{path.name}{ending}{'' if number == 0 else f'.{number}'}") for number in count())
    return next(name for name in names if not os.path.lexists(name))
