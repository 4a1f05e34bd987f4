"""Damage to a trace file: refused, or an early end, and never an arrival that was not recorded."""

import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from longpin.messages.codec import CodecError, Encoder, decode
from longpin.messages.envelope import Done, Envelope, Failed, Interrupt
from longpin.messages.frames import MAGIC
from longpin.messages.trace import Header, TraceError, TraceReader, TraceWriter, text_sha256

MUTATIONS_OF_A_KIND = 60

ENVELOPES = [
    Envelope(f"process:{n % 5}", f"file:100.{n % 3}", body, n, "lease" * (n % 2))
    for n, body in enumerate([Done(3), Failed(16), Interrupt(2**40, True), Done(-1)] * 8)
]

Mutation = Callable[[random.Random, list[bytes], list[bytes]], bytes]
"""A damaged file, made from the pieces (magic, header, records, footer) of one trace and of another."""


def pieces(path: Path, seed: int) -> list[bytes]:
    """Write a trace and cut it at its frames."""
    header = Header(
        longpin="0.1.0",
        scenario_name="x",
        scenario="x",
        scenario_sha256=text_sha256("x"),
        policy="P1",
        preset="as_posted",
        parameters={},
        engine="threads",
        oracle="",
        seed=seed,
        timers="racy",
    )
    encoder = Encoder()
    with TraceWriter(path, header) as writer:
        for number, envelope in enumerate(ENVELOPES[seed:]):
            writer.append(encoder.encode(number, envelope))
    with TraceWriter(path.with_suffix(".cut"), header) as cut:
        for number, envelope in enumerate(ENVELOPES[seed:]):
            cut.append(encoder.encode(number, envelope))
        cut.close(complete=False)
    content = path.read_bytes()
    starts = [offset for offset, _ in TraceReader(path)]
    ends = [0, len(MAGIC), *starts, path.with_suffix(".cut").stat().st_size, len(content)]
    return [content[start:end] for start, end in pairwise(ends)]


def flip_a_bit(rng: random.Random, own: list[bytes], other: list[bytes]) -> bytes:
    content = bytearray(b"".join(own))
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)


def change_bytes(rng: random.Random, own: list[bytes], other: list[bytes]) -> bytes:
    content = bytearray(b"".join(own))
    for _ in range(rng.randint(2, 9)):
        content[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(content)


def cut(rng: random.Random, own: list[bytes], other: list[bytes]) -> bytes:
    content = b"".join(own)
    return content[: rng.randrange(len(content))]


def lose_bytes(rng: random.Random, own: list[bytes], other: list[bytes]) -> bytes:
    content = b"".join(own)
    start = rng.randrange(len(content))
    return content[:start] + content[start + rng.randint(1, 50) :]


def insert_bytes(rng: random.Random, own: list[bytes], other: list[bytes]) -> bytes:
    content = b"".join(own)
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.randbytes(rng.randint(1, 50)) + content[at:]


def swap_frames(rng: random.Random, own: list[bytes], other: list[bytes]) -> bytes:
    one, two = rng.sample(range(len(own)), 2)
    own[one], own[two] = own[two], own[one]
    return b"".join(own)


def repeat_a_frame(rng: random.Random, own: list[bytes], other: list[bytes]) -> bytes:
    one = rng.randrange(len(own))
    own.insert(rng.randrange(len(own) + 1), own[one])
    return b"".join(own)


def lose_a_frame(rng: random.Random, own: list[bytes], other: list[bytes]) -> bytes:
    del own[rng.randrange(len(own))]
    return b"".join(own)


def take_a_frame_of_the_other(rng: random.Random, own: list[bytes], other: list[bytes]) -> bytes:
    own[rng.randrange(1, len(own))] = rng.choice(other[1:])
    return b"".join(own)


def take_the_other_header(rng: random.Random, own: list[bytes], other: list[bytes]) -> bytes:
    return b"".join(other[:2] + own[2 : rng.randint(3, len(own))])


def take_the_other_tail(rng: random.Random, own: list[bytes], other: list[bytes]) -> bytes:
    return b"".join(own[: rng.randint(2, len(own))] + other[rng.randint(2, len(other) - 1) :])


MUTATIONS: list[Mutation] = [
    flip_a_bit,
    change_bytes,
    cut,
    lose_bytes,
    insert_bytes,
    swap_frames,
    repeat_a_frame,
    lose_a_frame,
    take_a_frame_of_the_other,
    take_the_other_header,
    take_the_other_tail,
]


def read(path: Path) -> tuple[list[bytes], str, str]:
    """Return what could be read, the line of the error if there was one, and else how the trace ends."""
    found: list[bytes] = []
    try:
        reader = TraceReader(path)
        for _, payload in reader:
            found.append(payload)
    except TraceError as error:
        return found, str(error), ""
    return found, "", reader.end


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_a_damaged_trace_never_tells_another_story(tmp_path: Path, mutate: Mutation) -> None:
    own, other = pieces(tmp_path / "own", 0), pieces(tmp_path / "other", 1)
    original = b"".join(own)
    recorded = [payload for _, payload in TraceReader(tmp_path / "own")]
    header = TraceReader(tmp_path / "own").header
    assert len(recorded) == len(own) - 3
    path = tmp_path / "damaged"
    noticed = 0
    for seed in range(MUTATIONS_OF_A_KIND):
        content = mutate(random.Random(f"{mutate.__name__} {seed}"), list(own), list(other))
        path.write_bytes(content)
        found, line, end = read(path)
        if line:
            assert line.startswith(f"{path}: offset ")
            assert "\n" not in line
        elif end == "complete":
            assert content == original
        else:
            assert end.startswith("the trace ends ")
        noticed += end != "complete"
        assert found == recorded[: len(found)]
        assert not found or TraceReader(path).header == header
    assert noticed >= MUTATIONS_OF_A_KIND * 3 // 4  # a change to what was there before is none


def test_the_other_header_fits_no_record(tmp_path: Path) -> None:
    own, other = pieces(tmp_path / "own", 0), pieces(tmp_path / "other", 1)
    path = tmp_path / "damaged"
    path.write_bytes(b"".join(other[:2] + own[2:]))
    reader = TraceReader(path)
    with pytest.raises(TraceError, match=r"record 1 is damaged \(checksum\)$"):
        next(iter(reader))


def test_a_damaged_arrival_is_an_arrival_or_a_codec_error() -> None:
    encoder = Encoder()
    lines = []
    for seed in range(2000):
        rng = random.Random(seed)
        payload = bytearray(encoder.encode(seed, rng.choice(ENVELOPES)))
        payload[rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
        try:
            number, envelope = decode(bytes(payload))
        except CodecError as error:
            lines.append(str(error))
        else:
            encoder.encode(number, envelope)  # what is accepted is of the protocol's types
    assert 200 < len(lines) < 2000
    assert not any("\n" in line for line in lines)
