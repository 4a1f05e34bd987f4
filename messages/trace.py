"""The trace file: a header that says what ran, and every arrival in order.

The file is a chain of frames (:mod:`longpin.messages.frames`). The payload of the first is the header, a msgpack map;
then comes one payload an arrival, as :class:`~longpin.messages.codec.Encoder` makes it; the last is the footer, the
map ``{"arrivals": n, "hash": hex}``.

A run that was killed leaves a file that ends early, perhaps inside a frame: that is an end, not an error.
"""

import dataclasses
import hashlib
import os
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, Self
from zlib import crc32

import msgpack  # type: ignore[import-untyped]  # msgpack ships no annotations

from longpin.messages.codec import ArrivalHash
from longpin.messages.envelope import Address
from longpin.messages.frames import CHAIN_START, MAGIC, DamagedError, Frames
from longpin.messages.strict import STRUCTURE_ERRORS, make_converter, problems

FORMAT = 4
"""The format this module writes, and the only one it reads: with the actors the messages of a run have changed."""

MAX_HEADER = 4 << 20
"""The largest header payload, in bytes; a scenario's text is most of it."""

MAX_ARRIVAL = 32 << 20
"""The largest payload of an arrival, in bytes: what a scan of 650,000 pinned pages finds, 48 bytes a pin, has 31 MB."""

_MAX_KEYS = 256
"""The most keys a map in the header may have."""

_FLUSH_AT = 64 << 10
"""How many bytes of frames are collected before they are written."""

Scalar = str | int | float | bool | None
"""What a policy's parameter may be."""


class TraceError(Exception):
    """A trace that cannot be read or written: one line, ``x.trace: offset 123: record 7 is damaged (checksum)``."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What ran: enough to run it again."""

    format: int = FORMAT
    """The format of the file."""
    longpin: str
    """The version that wrote it."""
    scenario_name: str
    """The name of a shipped scenario, or the file it was read from."""
    scenario: str
    """The whole text of the scenario."""
    scenario_sha256: str
    """:func:`text_sha256` of the text."""
    policy: str
    """The policy's name."""
    preset: str
    """The preset its parameters started from."""
    parameters: dict[str, Scalar]
    """Every parameter of the policy, as it was."""
    engine: Literal["threads", "stepped"]
    """Who delivered the messages."""
    oracle: str
    """Who chose the order; empty where the operating system did."""
    seed: int
    """The seed of the oracle."""
    timers: Literal["lazy", "racy"]
    """When time moves."""
    policy_sha256: str = ""
    """Of the file that defines the policy, if it is a class in a file; the text is not kept."""
    told: str = ""
    """The scenario before its roles were written out, if ``scenario`` was made of it; else empty."""
    told_decisions: str = ""
    """Of a run of that one: whose oldest message arrives, arrival by arrival, each a line."""


_SELDOM = ("told", "told_decisions")
"""Keys of a header that are left out where they are empty."""


class Told(NamedTuple):
    """A scenario as it was told, in roles, of which another one was made that has none."""

    text: str
    decisions: Sequence[Address]
    """Whose oldest message arrives, arrival by arrival, in a run of it."""


def header_map(header: Header) -> dict[str, Any]:
    """Return the map that a trace begins with."""
    return {key: value for key, value in dataclasses.asdict(header).items() if value or key not in _SELDOM}


def text_sha256(text: str) -> str:
    """Return the SHA-256 of a scenario's text as UTF-8, 64 hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclasses.dataclass(frozen=True, slots=True)
class _Footer:
    arrivals: int
    hash: str


class _MapError(Exception):
    """What is wrong with a header or a footer, without file and offset."""


_converter = make_converter()


def _writer(found: dict[str, Any]) -> str:
    """Return the version of longpin that wrote a header, if it says."""
    version = found.get("longpin")
    return f"longpin {version[:40]!r}" if isinstance(version, str) else "an unnamed version"


def _read_map(kind: type[Any], payload: bytes) -> Any:
    """Return the header or footer in a payload."""
    try:
        # Neither holds an array.
        found = msgpack.unpackb(payload, max_array_len=0, max_map_len=_MAX_KEYS, max_ext_len=0, strict_map_key=True)
        newest = found.get("format") if isinstance(found, dict) else None
        if type(newest) is int and newest > FORMAT:
            raise _MapError(f"format {newest} is newer than this longpin reads ({FORMAT})")
        if type(newest) is int and 0 < newest < FORMAT:
            raise _MapError(f"format {newest} is older than this longpin reads ({FORMAT}); {_writer(found)} wrote it")
        made = _converter.structure(found, kind)
    except STRUCTURE_ERRORS as error:
        path, sentence = problems(error, kind.__name__.strip("_").lower())[0]
        raise _MapError(f"{path}: {sentence}") from None
    except msgpack.UnpackException:
        raise _MapError("not a msgpack map") from None
    if isinstance(made, Header):
        if made.format != FORMAT:
            raise _MapError(f"format {made.format} was never written by any longpin")
        if text_sha256(made.scenario) != made.scenario_sha256:
            raise _MapError("header.scenario: the text does not have the hash in header.scenario_sha256")
    return made


def _name(path: str | os.PathLike[str]) -> str:
    name = os.fspath(path)
    return name if name.isprintable() else repr(name)


class TraceWriter:
    """Writes a trace as the run goes on; what was flushed survives the death of the process.

    Not thread-safe. As a context manager it closes the trace, without a footer if the block raised.

    Args:
        file: a path, which is created or overwritten, or a binary file, which stays open after `close`.
        header: what runs.

    Raises:
        TraceError: by every method, when the file cannot be written, or a payload is larger than `MAX_ARRIVAL`. After
            a failed write nothing more is written.

    """

    def __init__(self, file: str | os.PathLike[str] | BinaryIO, header: Header) -> None:
        self._owned = isinstance(file, str | os.PathLike)
        self._name = _name(file) if isinstance(file, str | os.PathLike) else str(getattr(file, "name", "trace"))
        try:
            payload = msgpack.packb(header_map(header))
            _read_map(Header, payload)  # what is written can be read
        except (_MapError, TypeError, ValueError, OverflowError) as error:
            raise TraceError(f"{self._name}: cannot be written: {error}") from None
        if len(payload) > MAX_HEADER:
            raise TraceError(f"{self._name}: a header of {len(payload)} bytes is too large (at most {MAX_HEADER})")
        self.arrivals = 0
        """How many arrivals were appended."""
        self.hash = ArrivalHash()
        """The hash over them."""
        self._crc = CHAIN_START
        self._frames = bytearray(MAGIC)
        self._pack = msgpack.Packer(buf_size=1024).pack
        self._update = self.hash.update
        self._closed = False
        try:
            if isinstance(file, str | os.PathLike):
                # Unbuffered, because the frames are collected here; closed by `close`.
                file = Path(file).open("wb", buffering=0)  # noqa: SIM115
            self._file: BinaryIO | FileIO = file
        except (OSError, ValueError) as error:
            raise TraceError(f"{self._name}: cannot be written: {_reason(error)}") from None
        self._add(payload)
        self.flush()

    def _add(self, payload: bytes) -> None:
        self._crc = crc = crc32(payload, self._crc)
        self._frames += self._pack((crc, payload))

    def append(self, payload: bytes) -> None:
        """Add the payload of the next arrival."""
        if len(payload) > MAX_ARRIVAL:
            raise TraceError(f"{self._name}: an arrival of {len(payload)} bytes is too large (at most {MAX_ARRIVAL})")
        # _add, written out: this runs for every message.
        self._crc = crc = crc32(payload, self._crc)
        self._frames += self._pack((crc, payload))
        self._update(payload)
        self.arrivals += 1
        if len(self._frames) > _FLUSH_AT:
            self.flush()

    def flush(self) -> None:
        """Hand everything appended so far to the operating system, in whole frames."""
        if self._closed:
            raise TraceError(f"{self._name}: cannot be written: it is closed")
        try:
            left = memoryview(self._frames)
            self._frames = bytearray()
            while left:
                left = left[self._file.write(left) :]
            self._file.flush()
        except BaseException as error:
            self._end()  # the file may end inside a frame, so nothing may follow
            if not isinstance(error, OSError | ValueError):
                raise
            raise TraceError(f"{self._name}: cannot be written: {_reason(error)}") from None

    def close(self, complete: bool = True) -> None:
        """Flush and end the trace, with the footer if the run came to its end. A second call does nothing."""
        if self._closed:
            return
        if complete:
            self._add(msgpack.packb({"arrivals": self.arrivals, "hash": self.hash.hexdigest()}))
        self.flush()
        self._end()

    def _end(self) -> None:
        self._closed = True
        if self._owned:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(complete=kind is None)


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


class TraceReader:
    """Reads a trace, in bounded memory however long it is. No file that it opened stays open between uses.

    Args:
        path: a regular file, or a binary file that can be read and stays open; then one thing is read at a time.

    Raises:
        TraceError: it cannot be read, is not a trace, is of a newer format, or its header is damaged.

    """

    header: Header
    """What ran."""
    complete: bool
    """After reading: the run came to its end, and all of it is here."""
    end: str
    """After reading: how the trace ends, a sentence."""
    arrivals: int
    """How many whole arrivals were read."""

    def __init__(self, path: str | os.PathLike[str] | BinaryIO) -> None:
        self._file = None if isinstance(path, str | os.PathLike) else path
        self._path = Path(path) if isinstance(path, str | os.PathLike) else Path("the recording")
        self.complete, self.end, self.arrivals = False, "the trace has not been read", 0
        with self._open() as file:
            try:
                found = file.read(len(MAGIC))
                if found != MAGIC:
                    short = found and MAGIC.startswith(found)
                    raise self.error(0, "the trace ends inside the header" if short else "not a longpin trace")
                frames = Frames(file, len(MAGIC), CHAIN_START, MAX_HEADER)
                payload = frames.take()
                if payload is None:
                    raise self.error(len(MAGIC), "the trace ends inside the header")
                self.header = _read_map(Header, payload)
            except DamagedError as error:
                raise self.error(len(MAGIC), f"the header is damaged ({error})") from None
            except _MapError as error:
                raise self.error(len(MAGIC), str(error)) from None
            except OSError as error:
                raise self._unreadable(error) from None
        self._first, self._crc = frames.offset, frames.crc

    def __iter__(self) -> Generator[tuple[int, bytes]]:
        """Read the arrivals, each as the offset of its frame and its payload; who stops earlier closes the generator.

        Raises:
            TraceError: a record is damaged, the footer does not match the arrivals, or something follows it.

        """
        self.complete, self.end, self.arrivals = False, "the trace has not been read to its end", 0
        hashed = ArrivalHash()
        with self._open() as file:
            try:
                frames = Frames(file, self._first, self._crc, MAX_ARRIVAL)
                offset = frames.offset
                while (payload := frames.take()) is not None:
                    if _is_map(payload):
                        if _read_map(_Footer, payload) != _Footer(self.arrivals, hashed.hexdigest()):
                            raise self.error(offset, f"the footer does not match the {self.arrivals} records before it")
                        self._nothing_follows(file, frames.offset)
                        self.complete, self.end = True, "complete"
                        return
                    hashed.update(payload)
                    self.arrivals += 1
                    yield offset, payload
                    offset = frames.offset
                where = "inside a record" if frames.cut else "without its footer"
                self.end = f"the trace ends {where} at offset {offset}: {self.arrivals} whole records"
            except (DamagedError, _MapError) as error:
                raise self.error(offset, f"record {self.arrivals + 1} is damaged ({error})") from None
            except OSError as error:
                raise self._unreadable(error) from None

    def error(self, offset: int, text: str) -> TraceError:
        """Return the error that says what is wrong at an offset."""
        return TraceError(f"{_name(self._path)}: offset {offset}: {text}")

    def _unreadable(self, error: Exception) -> TraceError:
        return TraceError(f"{_name(self._path)}: cannot be read: {_reason(error)}")

    def _nothing_follows(self, file: BinaryIO, offset: int) -> None:
        file.seek(offset)
        if file.read(1):
            raise self.error(offset, "data after the footer")

    def _open(self) -> AbstractContextManager[BinaryIO]:
        if self._file is not None:
            self._file.seek(0)
            return nullcontext(self._file)
        try:
            if self._path.exists() and not self._path.is_file():
                raise self._unreadable(ValueError("not a regular file"))  # opening a pipe could wait for ever
            return self._path.open("rb")
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from None


def _is_map(payload: bytes) -> bool:
    """Whether a payload is a msgpack map (fixmap, map 16, map 32): the footer, for an arrival is an array."""
    return payload[:1] in _MAPS


_MAPS = frozenset(bytes([first]) for first in (*range(0x80, 0x90), 0xDE, 0xDF))
