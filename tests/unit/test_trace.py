"""The trace file: what was appended is read back, and every other end of a file has one clear line."""

import io
import os
import tracemalloc
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any
from zlib import crc32

import msgpack  # type: ignore[import-untyped]  # msgpack ships no annotations
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longpin.messages.codec import Encoder, decode
from longpin.messages.envelope import Done, Envelope, Failed
from longpin.messages.frames import CHAIN_START, MAGIC
from longpin.messages.trace import (
    MAX_ARRIVAL,
    MAX_HEADER,
    Header,
    TraceError,
    TraceReader,
    TraceWriter,
    header_map,
    text_sha256,
)

SCENARIO = 'name = "é"\n'

HEADER = Header(
    longpin="0.1.0",
    scenario_name="x.toml",
    scenario=SCENARIO,
    scenario_sha256=text_sha256(SCENARIO),
    policy="P5",
    preset="intended",
    parameters={"seconds": 45.0, "check": "any", "strict": True, "limit": None, "count": 3},
    engine="stepped",
    oracle="random",
    seed=7,
    timers="lazy",
)

GOLDEN = (
    "894c50494e0d0a1a"  # the magic
    # the header
    "92ce380075efc501298da6666f726d617404a76c6f6e6770696ea5302e312e30ad7363656e6172696f5f6e616d65a6782e746f6d6ca873"
    "63656e6172696fac6e616d65203d2022c3a9220aaf7363656e6172696f5f736861323536d9403432313636646230643164326436626261"
    "3765666662303731643139653837383235363635306437646466336338383062633039333039643361313034653835a6706f6c696379a2"
    "5035a6707265736574a8696e74656e646564aa706172616d657465727385a77365636f6e6473cb4046800000000000a5636865636ba361"
    "6e79a6737472696374c3a56c696d6974c0a5636f756e7403a6656e67696e65a773746570706564a66f7261636c65a672616e646f6da473"
    "65656407a674696d657273a46c617a79ad706f6c6963795f736861323536a0"
    # an arrival
    "92ced2bda482c41c9701a970726f636573733a31a666696c653a3101a0a4446f6e659101"
    # another
    "92ced3923bc3c41c9702a970726f636573733a32a666696c653a3102a0a4446f6e659104"
    # the footer
    "92ce3b2ab330c45282a86172726976616c7302a468617368d9406261656536376235626335643939333635323431373134623766366638"
    "3530623235643962356565376632636239303835373137363438643561373739383966"
)


def frames(*payloads: bytes) -> bytes:
    """Make a file by hand, the chain of checksums right, whatever the payloads are."""
    crc, file = CHAIN_START, MAGIC
    for payload in payloads:
        crc = crc32(payload, crc)
        file += msgpack.packb((crc, payload))
    return file


def header_payload(**changes: Any) -> bytes:
    payload: bytes = msgpack.packb({**header_map(HEADER), **changes})
    return payload


def arrivals(count: int) -> list[bytes]:
    encoder = Encoder()
    return [encoder.encode(n, Envelope(f"process:{n}", "file:1", Done(n * n), n)) for n in range(1, count + 1)]


def written(payloads: list[bytes], complete: bool = True) -> bytes:
    file = io.BytesIO()
    writer = TraceWriter(file, HEADER)
    for payload in payloads:
        writer.append(payload)
    writer.close(complete)
    return file.getvalue()


def read_all(path: Path) -> list[bytes]:
    return [payload for _, payload in TraceReader(path)]


def refused(path: Path, content: bytes) -> str:
    """Return the line that refuses a file, without its name."""
    path.write_bytes(content)
    with pytest.raises(TraceError) as caught:
        read_all(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line.removeprefix(f"{path}: ")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.trace"


@given(payloads=st.lists(st.binary(min_size=1, max_size=200).map(lambda data: b"\x97" + data), max_size=20))
def test_what_is_appended_is_read(payloads: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "roundtrip.trace"
    with TraceWriter(path, HEADER) as writer:
        for payload in payloads:
            writer.append(payload)
    reader = TraceReader(path)
    assert reader.header == HEADER
    for _ in range(2):  # reading again starts again
        found = list(reader)
        assert [payload for _, payload in found] == payloads
        assert (reader.complete, reader.end, reader.arrivals) == (True, "complete", len(payloads))
    content = path.read_bytes()
    for offset, payload in found:
        assert msgpack.Unpacker(io.BytesIO(content[offset:])).unpack()[1] == payload


def test_arrivals_come_back_as_messages(path: Path) -> None:
    envelopes = [Envelope("a", "b", Done(1), 1), Envelope("b", "a", Failed(16), -1, "lease")]
    encoder = Encoder()
    with TraceWriter(path, HEADER) as writer:
        for number, envelope in enumerate(envelopes):
            writer.append(encoder.encode(number, envelope))
    assert [decode(payload) for payload in read_all(path)] == list(enumerate(envelopes))


def test_the_format_does_not_change_by_accident() -> None:
    assert written(arrivals(2)).hex() == GOLDEN


def test_the_golden_trace_is_read(path: Path) -> None:
    path.write_bytes(bytes.fromhex(GOLDEN))
    reader = TraceReader(path)
    assert reader.header == HEADER
    assert [payload for _, payload in reader] == arrivals(2)
    assert reader.complete


def test_every_cut_is_an_early_end_or_inside_the_header(path: Path) -> None:
    payloads = arrivals(3)
    content = written(payloads)
    path.write_bytes(content)
    offsets = [offset for offset, _ in TraceReader(path)]
    footer = len(written(payloads, complete=False))
    starts = [*offsets, footer]
    for length in range(1, len(content)):
        if length < offsets[0]:
            where = 0 if length < len(MAGIC) else len(MAGIC)
            assert refused(path, content[:length]) == f"offset {where}: the trace ends inside the header"
            continue
        path.write_bytes(content[:length])
        reader = TraceReader(path)
        whole = sum(start <= length for start in starts) - 1
        assert [payload for _, payload in reader] == payloads[:whole]
        assert not reader.complete
        place = "without its footer" if length in starts else "inside a record"
        assert reader.end == f"the trace ends {place} at offset {starts[whole]}: {whole} whole records"


def test_a_run_cut_short_has_no_footer(path: Path) -> None:
    content = written(arrivals(2), complete=False)
    path.write_bytes(content)
    reader = TraceReader(path)
    assert len(list(reader)) == 2
    assert reader.end == f"the trace ends without its footer at offset {len(content)}: 2 whole records"


def test_an_exception_leaves_a_trace_without_footer(path: Path) -> None:
    def run() -> None:
        with TraceWriter(path, HEADER) as writer:
            writer.append(arrivals(1)[0])
            raise KeyError

    with pytest.raises(KeyError):
        run()
    reader = TraceReader(path)
    assert len(list(reader)) == 1
    assert not reader.complete


def test_what_was_flushed_can_be_read_while_the_run_goes_on(path: Path) -> None:
    payloads = arrivals(3)
    with TraceWriter(path, HEADER) as writer:
        assert TraceReader(path).header == HEADER
        assert read_all(path) == []
        for payload in payloads[:2]:
            writer.append(payload)
        writer.flush()
        assert read_all(path) == payloads[:2]
        writer.append(payloads[2])


def test_frames_are_written_in_time_without_a_flush(path: Path) -> None:
    payload = b"\x97" + bytes(1000)
    with TraceWriter(path, HEADER) as writer:
        for _ in range(100):
            writer.append(payload)
        reader = TraceReader(path)
        assert 60 <= len(list(reader)) < 100
        assert "without its footer" in reader.end  # only whole frames were written


def test_an_existing_file_is_replaced(path: Path) -> None:
    path.write_bytes(bytes(100_000))
    TraceWriter(path, HEADER).close()
    assert read_all(path) == []


def test_a_reading_left_early_is_not_complete(path: Path) -> None:
    path.write_bytes(written(arrivals(3)))
    reader = TraceReader(path)
    next(iter(reader))
    assert (reader.complete, reader.end) == (False, "the trace has not been read to its end")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "offset 0: not a longpin trace"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "offset 0: not a longpin trace"),
        (MAGIC.replace(b"\r\n", b"\n") + bytes(50), "offset 0: not a longpin trace"),
        (MAGIC, "offset 8: the trace ends inside the header"),
        (frames(header_payload(format=5)), "offset 8: format 5 is newer than this longpin reads (4)"),
        (frames(msgpack.packb({"format": 5, "new": 1})), "offset 8: format 5 is newer than this longpin reads (4)"),
        (
            frames(header_payload(format=1, longpin="0.1")),
            "offset 8: format 1 is older than this longpin reads (4); longpin '0.1' wrote it",
        ),
        (
            frames(msgpack.packb({"format": 1})),
            "offset 8: format 1 is older than this longpin reads (4); an unnamed version wrote it",
        ),
        (frames(header_payload(format=0)), "offset 8: format 0 was never written by any longpin"),
        (frames(header_payload(format=True)), "offset 8: header.format: expected int, found bool"),
        (frames(header_payload(seed="7")), "offset 8: header.seed: expected int, found str"),
        (frames(header_payload(more=1)), "offset 8: header.more: not known"),
        (
            frames(header_payload(engine="x")),
            "offset 8: header.engine: expected one of 'threads', 'stepped', found 'x'",
        ),
        (
            frames(header_payload(parameters={"a": {}})),
            "offset 8: header.parameters['a']: expected str or int or float ",
        ),
        (frames(header_payload(scenario="other")), "offset 8: header.scenario: the text does not have the hash in "),
        (frames(msgpack.packb({})), "offset 8: header.longpin: missing"),
        (frames(msgpack.packb([1])), "offset 8: header: "),
        (frames(b"\xc1"), "offset 8: header: "),
        (frames(b"\x81" * 5000), "offset 8: header: "),
        (frames(b"\xdf\xff\xff\xff\xff"), "offset 8: header: "),
        (frames(msgpack.packb(5)), "offset 8: header: expected a table, found int"),
        (
            MAGIC + b"\xdd\xff\xff\xff\xff",
            f"offset 8: the header is damaged (not a frame of at most {MAX_HEADER} bytes)",
        ),
        (
            MAGIC + b"\x92\x01\xc6\xff\xff\xff\xff" + bytes(MAX_HEADER + (1 << 18)),
            f"offset 8: the header is damaged (not a frame of at most {MAX_HEADER} bytes)",
        ),
        (MAGIC + b"\x92\x01\xc4\x01\x80", "offset 8: the header is damaged (checksum)"),
        (MAGIC + b"\x07", "offset 8: the header is damaged (not a frame)"),
        (MAGIC + b"\x92\xc3\xc4\x01\x80", "offset 8: the header is damaged (not a frame)"),
    ],
)
def test_a_file_with_another_beginning_is_refused(path: Path, content: bytes, line: str) -> None:
    assert refused(path, content).startswith(line)


def test_a_record_that_was_touched_is_refused_by_number_and_offset(path: Path) -> None:
    payloads = arrivals(3)
    content = written(payloads)
    path.write_bytes(content)
    first, second, third = (offset for offset, _ in TraceReader(path))
    footer = len(written(payloads, complete=False))
    a, b, c = content[first:second], content[second:third], content[third:footer]
    head, tail = content[:first], content[footer:]
    assert refused(path, head + b + a + c + tail) == f"offset {first}: record 1 is damaged (checksum)"
    assert refused(path, head + a + a + b + c + tail) == f"offset {second}: record 2 is damaged (checksum)"
    assert refused(path, head + a + c + tail) == f"offset {second}: record 2 is damaged (checksum)"
    assert refused(path, head + a + b + tail) == f"offset {third}: record 3 is damaged (checksum)"
    assert refused(path, content + b"\x00") == f"offset {len(content)}: data after the footer"
    assert refused(path, content + content) == f"offset {len(content)}: data after the footer"
    bomb = head + a + b"\xdd\xff\xff\xff\xff"
    assert refused(path, bomb) == f"offset {second}: record 2 is damaged (not a frame of at most {MAX_ARRIVAL} bytes)"


def test_the_header_of_another_trace_does_not_fit(path: Path) -> None:
    other = frames(header_payload(seed=8))
    content = written(arrivals(2))
    own = len(frames(header_payload()))
    assert refused(path, other + content[own:]) == f"offset {len(other)}: record 1 is damaged (checksum)"


@pytest.mark.parametrize(
    ("footer", "line"),
    [
        ({"arrivals": 2, "hash": "0" * 64}, "the footer does not match the 1 records before it"),
        ({"arrivals": 1, "hash": "0" * 64}, "the footer does not match the 1 records before it"),
        ({"arrivals": 1}, "record 2 is damaged (footer.hash: missing)"),
        ({"arrivals": "1", "hash": ""}, "record 2 is damaged (footer.arrivals: expected int, found str)"),
        ({str(key): None for key in range(70_000)}, "record 2 is damaged (footer: "),
    ],
)
def test_a_footer_that_says_something_else_is_refused(path: Path, footer: dict[str, Any], line: str) -> None:
    before = (header_payload(), arrivals(1)[0])
    content = frames(*before, msgpack.packb(footer))
    assert refused(path, content).startswith(f"offset {len(frames(*before))}: {line}")


def test_an_arrival_larger_than_the_limit_is_neither_written_nor_read(path: Path) -> None:
    large = b"\x97" + bytes(MAX_ARRIVAL)
    with TraceWriter(path, HEADER) as writer:
        writer.append(large[:-1])
        with pytest.raises(TraceError, match=rf"x\.trace: an arrival of {MAX_ARRIVAL + 1} bytes is too large"):
            writer.append(large)
    assert read_all(path) == [large[:-1]]
    assert "record 1 is damaged (not a frame of at most" in refused(path, frames(header_payload(), large))


def test_a_header_larger_than_the_limit_is_neither_written_nor_read(path: Path) -> None:
    text = "#" * MAX_HEADER
    header = replace(HEADER, scenario=text, scenario_sha256=text_sha256(text))
    with pytest.raises(TraceError, match=r"x\.trace: a header of \d+ bytes is too large"):
        TraceWriter(path, header)
    content = frames(header_payload(scenario=text, scenario_sha256=header.scenario_sha256))
    assert "the header is damaged (not a frame of at most" in refused(path, content)


class Check(StrEnum):
    ANY = "any"


def test_a_parameter_may_be_a_string_enum(path: Path) -> None:
    TraceWriter(path, replace(HEADER, parameters={"check": Check.ANY})).close()
    assert TraceReader(path).header.parameters == {"check": "any"}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"parameters": {"a": {1}}}, "cannot be written: "),
        ({"seed": 2**64}, "cannot be written: "),
        ({"scenario": "other"}, "cannot be written: header.scenario: the text does not have the hash"),
        ({"timers": "eager"}, "cannot be written: header.timers: expected one of"),
    ],
)
def test_a_header_that_could_not_be_read_is_not_written(path: Path, changes: dict[str, Any], line: str) -> None:
    with pytest.raises(TraceError) as caught:
        TraceWriter(path, replace(HEADER, **changes))
    assert str(caught.value).startswith(f"{path}: {line}")
    assert not path.exists()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, line in [
        (tmp_path, "cannot be read: not a regular file"),
        (fifo, "cannot be read: not a regular file"),
        (tmp_path / "none", "cannot be read: No such file or directory"),
        (tmp_path / "a\0b", "cannot be read: embedded null byte"),
    ]:
        with pytest.raises(TraceError) as caught:
            TraceReader(path)
        assert str(caught.value).endswith(line)
    with pytest.raises(TraceError, match="cannot be written: Is a directory"):
        TraceWriter(tmp_path, HEADER)
    with pytest.raises(TraceError, match="cannot be written: No such file or directory"):
        TraceWriter(tmp_path / "none" / "x.trace", HEADER)


def test_a_name_with_a_line_end_stays_on_one_line(tmp_path: Path) -> None:
    with pytest.raises(TraceError) as caught:
        TraceReader(tmp_path / "a\nb")
    assert "\n" not in str(caught.value)


class SmallDisk(io.RawIOBase):
    """A disk with room for so many bytes, that takes three at a time."""

    def __init__(self, room: int) -> None:
        self.content, self.room = b"", room

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        taken = bytes(data[: min(3, self.room - len(self.content))])
        if not taken:
            raise OSError(28, "No space left on device")
        self.content += taken
        return len(taken)


def test_short_writes_are_continued() -> None:
    disk = SmallDisk(10**6)
    with TraceWriter(disk, HEADER) as writer:  # type: ignore[arg-type]  # a raw file is binary too
        for payload in arrivals(2):
            writer.append(payload)
    assert disk.content == written(arrivals(2))
    assert not disk.closed  # a file that was given stays open


def test_a_full_disk_is_one_line_and_nothing_is_written_after_it() -> None:
    whole = written(arrivals(3))
    room = len(whole) - len(whole) // 4
    disk = SmallDisk(room)
    writer = TraceWriter(disk, HEADER)  # type: ignore[arg-type]  # a raw file is binary too
    for payload in arrivals(3):
        writer.append(payload)
    with pytest.raises(TraceError, match=r"^trace: cannot be written: No space left on device$"):
        writer.flush()
    disk.room += 1000
    writer.close()
    with pytest.raises(TraceError, match="it is closed"):
        writer.flush()
    assert disk.content == whole[:room]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_device_without_room_is_one_line() -> None:
    with pytest.raises(TraceError, match=r"^/dev/full: cannot be written: No space left on device$"):
        TraceWriter("/dev/full", HEADER)


def test_a_long_trace_is_read_in_little_memory(path: Path) -> None:
    payload = b"\x97" + bytes(20_000)
    with TraceWriter(path, HEADER) as writer:
        for _ in range(1000):
            writer.append(payload)
    tracemalloc.start()
    try:
        count = sum(1 for _ in TraceReader(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 20_000_000
    assert count == 1000
    assert peak < 2_000_000
