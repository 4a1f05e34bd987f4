"""What a pipe is asked by its two open file descriptions.

Neither has a footprint: there is one queue of bytes.
"""

from longpin.messages.envelope import Message, message


@message
class PipeRead(Message):
    """read(2): waits for data or for the last writer to go, or fails with EAGAIN."""

    count: int
    nonblock: bool


@message
class PipeWrite(Message):
    """write(2): waits for room, or writes what there is room for; EPIPE once the reader is gone."""

    data: bytes
    nonblock: bool
