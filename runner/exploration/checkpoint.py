"""A file that keeps what an exploration has finished, so that another run goes on there.

The file is the eight bytes of :data:`MAGIC` and frames (:mod:`longpin.messages.frames`). The first payload is the head:
what is explored, and how. Then comes a report for each leaf, in the order of the leaves' numbers, and, when nothing is
left to explore, the result. Each frame is written with one write(2). A process that is killed while it writes leaves
a part of a frame, which the next run cuts off, as it does with a damaged frame and all behind it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path as FilePath
from typing import Any, NamedTuple
from zlib import crc32

import msgpack  # type: ignore[import-untyped]  # msgpack ships no annotations

from longpin.messages.frames import DamagedError, Frames
from longpin.runner.exploration.frontier import LeafReport

MAGIC = b"\x89LPCP\r\n\x1a"
"""As that of a trace: a byte no text has, a name, and a line end and an end of file that a transfer would change."""

FORMAT = 7
"""Changes when a report does."""

LARGEST = 64 << 20
"""Bytes of a frame, at most."""

_written: set[Any] = set()
"""The files that this process writes. Processes that start as copies of it must not hold their locks longer."""


def _let_go() -> None:
    for file in _written:
        file.close()
    _written.clear()


os.register_at_fork(after_in_child=_let_go)


class CheckpointError(Exception):
    """A file is no checkpoint, or one of something else; the text is one line."""


@contextmanager
def blamed(name: str, *more: type[Exception]) -> Iterator[None]:
    """Take what goes wrong with what a checkpoint holds for the file's fault: its checksums can be forged.

    ``more``: exceptions that come of it besides those of values of the wrong shape.

    Raises:
        CheckpointError: something went wrong.

    """
    kinds: tuple[type[Exception], ...] = (TypeError, ValueError, LookupError, AttributeError, *more)
    try:
        yield
    except kinds as error:
        raise CheckpointError(f"{name}: it holds what no exploration of this has written: {error}") from None


class Head(NamedTuple):
    """What is explored, and how: a checkpoint goes on only with the same."""

    longpin: str
    """The version."""
    identity: str
    """What is explored, in the caller's words or as a hash."""
    racy: bool
    footprints: bool
    seed: int
    grain: tuple[int, ...]
    """How large leaves are."""


class Checkpoint:
    """A file that is open for more reports."""

    def __init__(self, file: Any, crc: int, reports: list[LeafReport], end: tuple[Any, ...] | None) -> None:
        self._file = file
        self.name = str(file.name)
        self._crc = crc
        self.reports = reports
        """Those that were in the file."""
        self.end = end
        """The result, if nothing is left to explore."""

    def append(self, report: LeafReport) -> None:
        """Add what came of the next leaf."""
        self._write(("leaf", *report))

    def finish(self, end: tuple[Any, ...]) -> None:
        """Add the result."""
        self._write(("end", *end))

    def _write(self, record: tuple[Any, ...]) -> None:
        frame, self._crc = _frame(record, self._crc)
        _write_whole(self._file, frame)


@contextmanager
def open_checkpoint(path: str | os.PathLike[str], head: Head) -> Iterator[Checkpoint]:
    """Open a checkpoint, or create it.

    Raises:
        CheckpointError: the file is something else, or a checkpoint of something else.
        OSError: it cannot be read or written.

    """
    where = FilePath(path)
    if where.exists() and not where.is_file():
        raise CheckpointError(f"{where}: not a file that can be a checkpoint")
    with open(where, "r+b", buffering=0, opener=_create) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CheckpointError(f"{where}: another exploration is writing it") from None
        if not os.fstat(file.fileno()).st_size:
            _write_whole(file, _start(head))
        found = _read(where, head)
        file.truncate(found.offset)
        file.seek(found.offset)
        _written.add(file)
        try:
            yield Checkpoint(file, found.crc, found.reports, found.end)
        finally:
            _written.discard(file)


def _start(head: Head) -> bytes:
    frame, _ = _frame((FORMAT, *head), crc32(MAGIC))
    return MAGIC + frame


def _create(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, 0o666)


def _write_whole(file: Any, data: bytes) -> None:
    """Write all of ``data`` at the end of a file, or nothing: a full disk may take a part of it."""
    start = file.tell()
    left = memoryview(data)
    try:
        while left:
            left = left[file.write(left) :]
    except OSError as error:
        file.truncate(start)
        raise OSError(error.errno, error.strerror, file.name) from None


def _frame(record: tuple[Any, ...], crc: int) -> tuple[bytes, int]:
    payload = msgpack.packb(record)
    crc = crc32(payload, crc)
    return msgpack.packb((crc, payload)), crc


class _Found(NamedTuple):
    """What is in a file."""

    reports: list[LeafReport]
    end: tuple[Any, ...] | None
    offset: int
    """Where the sound frames end."""
    crc: int
    """The checksum of the last of them."""


def _read(where: FilePath, head: Head) -> _Found:
    reports: list[LeafReport] = []
    end = None
    with where.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise CheckpointError(f"{where}: not a checkpoint")
        frames = Frames(file, len(MAGIC), crc32(MAGIC), LARGEST)
        try:
            _compare(where, frames.take(), head)
        except DamagedError as error:
            raise CheckpointError(f"{where}: damaged at byte {len(MAGIC)}: {error}") from None
        crc = frames.crc
        while (payload := _next(frames)) is not None:
            crc = frames.crc
            with blamed(str(where)):
                kind, *fields = msgpack.unpackb(payload, use_list=False)
                if kind == "end":
                    end = tuple(fields)
                else:
                    reports.append(LeafReport(*fields))
        return _Found(reports, end, frames.offset, crc)


def _next(frames: Frames) -> bytes | None:
    """Return the next payload; what is behind a damaged one is lost, and explored again."""
    try:
        return frames.take()
    except DamagedError:
        return None


def _compare(where: FilePath, payload: bytes | None, head: Head) -> None:
    found = () if payload is None else msgpack.unpackb(payload, use_list=False)
    if found[:1] != (FORMAT,) or len(found) != 1 + len(head):
        raise CheckpointError(f"{where}: a checkpoint of another version of longpin")
    for name, theirs, ours in zip(head._fields, found[1:], head, strict=True):
        if theirs != ours:
            raise CheckpointError(f"{where}: a checkpoint of something else: {name} is {theirs!r} there, {ours!r} here")
