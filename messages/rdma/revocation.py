"""What a uverbs context is told when registrations are taken back, and what its users ask.

None of these has a footprint: what they bring about reaches every object of a context.
"""

from longpin.messages.envelope import Address, Message, message


@message
class RevokeRegion(Message):
    """The kernel takes a registration from the device, published or still being made: its key is void from now on.

    The reply says that no access is under way. It is 1 for a region that is published; one that is still being made, 0,
    lets go of its pages when it cannot be published.
    """

    region: Address
    unpin: bool
    """The pages lose their references; else they keep them until the region is deregistered."""
    reuse: bool = False
    """The addresses at which the device found them are free, and the next region gets them [MD7]."""
    after: float = 0.0
    """Seconds that the device takes for it; until then the key is good."""
    whole_context: bool = False
    """All that the context owns is taken, as if the device were gone [4.10]."""


@message
class ReuseAddresses(Message):
    """A schedule point of a context: addresses of one region are, or are found to be, those of another."""


@message
class QueueEvent(Message):
    """Tell all who have the context open; the reply says that the event is queued."""

    type: int
    """An ``IBV_EVENT_`` number."""
    registration: Address = ""
    """What it is about, published or still being made; empty: the device, or the object."""
    handle: int = 0
    """The object that it is about, if that is no region."""


@message
class TakeEvent(Message):
    """ibv_get_async_event(3); EAGAIN if there is none and ``wait`` is not set, EIO if there will be none any more."""

    process: Address
    """Who asks: each process gets every event."""
    wait: bool


@message
class AsyncEvent(Message):
    """The oldest event that the process has not had."""

    number: int
    """The event, for :class:`Acknowledge`."""
    type: int
    handle: int
    """Of the region or queue; 0: it is about the device."""
    kind: str = ""
    """What that is, an object kind."""


@message
class Acknowledge(Message):
    """ibv_ack_async_event(3); EINVAL if the process has not had the event, or has acknowledged it."""

    process: Address
    number: int
