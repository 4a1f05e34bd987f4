"""What an io_uring is asked: to register buffers, and to read and write through them [1.10.4].

None of them has a footprint: all look at the table of buffers and its lock.
"""

from longpin.messages.envelope import Address, Message, message
from longpin.messages.mm.memory import PinnedPage
from longpin.messages.process.caller import Caller


@message
class RegisterBuffer(Message):
    """IORING_REGISTER_BUFFERS of one buffer: pin it and make the table of it; EBUSY if there is one [io_uring]."""

    mm: Address
    """The memory of the process that asks, which need not be the one that made the ring."""
    address: int
    length: int
    limit: int
    """RLIMIT_MEMLOCK of who asks, in pages."""
    caller: Caller


@message
class UpdateBuffer(Message):
    """IORING_REGISTER_BUFFERS_UPDATE of one place of the table; the reply is 1."""

    index: int
    mm: Address
    address: int
    length: int
    limit: int
    caller: Caller


@message
class MakeSparseTable(Message):
    """IORING_REGISTER_BUFFERS2 with IORING_RSRC_REGISTER_SPARSE: make a table of places without buffers."""

    places: int


@message
class UnregisterBuffers(Message):
    """IORING_UNREGISTER_BUFFERS: let go of the table; ENXIO if there is none."""


@message
class BeginFixed(Message):
    """A request for a fixed read or write: the buffer stays, whatever becomes of the table, until :class:`EndFixed`."""

    index: int
    address: int
    """Where the bytes lie, by the addresses that the buffer had when it was registered."""
    length: int


@message
class FixedBuffer(Message):
    """Where the bytes of a request are."""

    number: int
    """The request, for :class:`EndFixed`."""
    registration: Address
    segments: tuple[tuple[PinnedPage, int, int], ...]
    """Page, offset in it, length."""
    files: tuple[Address, ...]
    """The inodes that it has pages of."""


@message
class EndFixed(Message):
    """The request is complete."""

    number: int


@message
class RingExit(Message):
    """To itself, when the last descriptor is closed: take the ring down, later [io_ring_exit_work]."""
