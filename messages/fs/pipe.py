"""What a pipe is asked by its two open file descriptions.

Neither has a footprint: there is one queue of bytes.
"""

from longpin.messages.envelope import Address, Message, message
from longpin.messages.process.caller import Caller


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


@message
class PipeSplice(Message):
    """vmsplice(2): the pipe takes references on pages of a process in place of bytes; EPIPE once the reader is gone."""

    mm: Address
    address: int
    length: int
    """Bytes."""
    caller: Caller
    nonblock: bool
