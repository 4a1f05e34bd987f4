"""The frames a trace file is made of.

A file is the eight bytes of :data:`MAGIC` and then a stream of msgpack objects. Each is a frame, an array
``[checksum, payload]``, the payload as bytes. The checksum is the CRC-32 of the payload, started from the checksum of
the frame before it, so that a frame that was lost, repeated or moved is noticed like one that was changed. The chain
starts from the CRC-32 of the magic.
"""

from typing import BinaryIO
from zlib import crc32

import msgpack  # type: ignore[import-untyped]  # msgpack ships no annotations

MAGIC = b"\x89LPIN\r\n\x1a"
"""As in PNG: a byte no text has, a name, and a line end and an end of file that a transfer as text would change."""

CHAIN_START = crc32(MAGIC)
"""What the checksum of the first frame starts from."""

READ_SIZE = 64 << 10
"""How many bytes are read at a time."""


class DamagedError(Exception):
    """What is wrong with a frame, without file and offset."""


class Frames:
    """Takes frames off a file, one at a time, and follows the chain of checksums."""

    def __init__(self, file: BinaryIO, offset: int, crc: int, largest: int) -> None:
        file.seek(offset)
        self._file = file
        self._start = offset
        self.offset = offset
        """Where the next frame begins."""
        self.crc = crc
        """The checksum of the frame before it."""
        self._largest = largest
        # The limits leave room for a frame and nothing else, and bound what is held in memory.
        self._unpacker = msgpack.Unpacker(
            file,
            read_size=READ_SIZE,
            max_buffer_size=largest + 2 * READ_SIZE,
            max_bin_len=largest,
            max_array_len=2,
            max_str_len=0,
            max_map_len=0,
            max_ext_len=0,
        )

    def take(self) -> bytes | None:
        """Return the next payload, or None where the file ends before or inside it.

        Raises:
            DamagedError: there is something else, or the checksum is wrong.

        """
        try:
            frame = self._unpacker.unpack()
        except msgpack.OutOfData:
            return None
        except (ValueError, msgpack.UnpackException):
            raise DamagedError(f"not a frame of at most {self._largest} bytes") from None
        if type(frame) is not list or len(frame) != 2 or type(frame[0]) is not int or type(frame[1]) is not bytes:
            raise DamagedError("not a frame")
        payload: bytes = frame[1]
        self.crc = crc32(payload, self.crc)
        if frame[0] != self.crc:
            raise DamagedError("checksum")
        self.offset = self._start + self._unpacker.tell()
        return payload

    @property
    def cut(self) -> bool:
        """Whether the file, read to its end, ends inside a frame."""
        return self._file.tell() > self.offset
