"""V4L2 with buffers of user memory: what an open video device is asked, and what it and the camera say [1.10.1].

None of them has a footprint: nearly all look at the queue of buffers, its lock and who waits for a buffer.
"""

from longpin.messages.envelope import Address, Message, message
from longpin.messages.mm.memory import PinnedPage
from longpin.messages.process.caller import Caller


@message
class RequestBuffers(Message):
    """VIDIOC_REQBUFS; the reply is how many buffers there are."""

    count: int
    """0: those there are go."""


@message
class QueueBuffer(Message):
    """VIDIOC_QBUF: pin a buffer, unless it is pinned already, and give it to the device."""

    index: int
    mm: Address
    address: int
    length: int
    caller: Caller


@message
class DequeueBuffer(Message):
    """VIDIOC_DQBUF: take a buffer that is filled, or wait for one; the reply is its index."""

    nonblock: bool


@message
class StreamOn(Message):
    """VIDIOC_STREAMON: the device may fill buffers from now on."""


@message
class StreamOff(Message):
    """VIDIOC_STREAMOFF: the device stops, and no buffer is queued any more."""


@message
class FindBuffers(Message):
    """Find the files whose pages are in buffers that are pinned."""

    index: int
    """Of one buffer, if it is pinned for that address and length; -1: of all that are queued."""
    address: int = 0
    length: int = 0


@message
class BufferFiles(Message):
    """They are these, each with the registration of the buffer."""

    files: tuple[tuple[Address, Address], ...]


@message
class ClaimQueue(Message):
    """An open of a camera wants its queue; EBUSY if another one has it."""

    keep: bool
    """It is the owner from now on; else it only asks."""


@message
class DisclaimQueue(Message):
    """An open of a camera has no buffers any more."""


@message
class CaptureFrame(Message):
    """To the camera, from one of its opens: there is one buffer more to be filled, when the next frame comes."""


@message
class TakeBuffer(Message):
    """The camera takes the oldest queued buffer; its pages stay until :class:`BufferDone`."""


@message
class TakenBuffer(Message):
    """Where the frame goes."""

    index: int
    """-1: there is none."""
    region: Address = ""
    """The registration of its pages."""
    segments: tuple[tuple[PinnedPage, int, int], ...] = ()
    """Page, offset in it, length; empty: the kernel has taken the pages from the device."""


@message
class BufferDone(Message):
    """The camera has finished with a buffer."""

    index: int
    failed: bool
    """Nothing was written."""
