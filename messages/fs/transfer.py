"""What moves bytes between a file and the memory of a process: preadv(2), pwritev(2), with O_DIRECT or without."""

from longpin.messages.envelope import Address, Footprint, Message, message
from longpin.messages.process.caller import Caller


@message
class Transfer(Message):
    """preadv(2) or pwritev(2) of one range, through an open file description."""

    mm: Address
    """The memory map that has the buffer."""
    address: int
    length: int
    offset: int
    write: bool
    """The file is written."""
    caller: Caller

    def footprint(self) -> Footprint:
        """O_APPEND and O_DIRECT."""
        return Footprint.of(reads=[("flags",)])


@message
class TransferAt(Message):
    """The same, of the inode."""

    mm: Address
    address: int
    length: int
    offset: int
    """-1: the end of the file."""
    write: bool
    direct: bool
    """O_DIRECT: the device moves the bytes, and has the buffer pinned meanwhile."""
    caller: Caller
