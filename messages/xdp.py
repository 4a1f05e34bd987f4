"""What an AF_XDP socket is asked: to take memory for packets, and what the network device writes there [1.10.6].

None of them has a footprint: each looks at the memory the socket has.
"""

from longpin.messages.envelope import Address, Message, message
from longpin.messages.process.caller import Caller


@message
class RegisterUmem(Message):
    """setsockopt(2) XDP_UMEM_REG: pin memory of a process for packets."""

    mm: Address
    addr: int
    length: int
    """Bytes."""
    chunk_size: int
    """Bytes for a packet, with what comes before it."""
    caller: Caller
    memlock: int
    """RLIMIT_MEMLOCK in bytes; -1: the caller has CAP_IPC_LOCK, so there is none."""


@message
class ReceivePacket(Message):
    """The device has a packet for the socket; the reply is how many bytes are there, 0 if it dropped the packet."""

    offset: int
    """Where the fill ring says it goes, in the memory of the socket."""
    data: bytes
