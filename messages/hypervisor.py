"""What the hypervisor is asked: to enter frames of a file in its table, and to let a guest access them [1.10.2].

None of them has a footprint: each looks at the table.
"""

from typing import NamedTuple

from longpin.messages.envelope import Address, Message, message
from longpin.messages.mm.memory import PageFrame

HYPERVISOR = "hypervisor"
"""The address of the hypervisor of a machine that has one."""


class LearnedFrame(NamedTuple):
    """A page of a file and the frame that FIEMAP said it is."""

    frame: PageFrame
    inode: Address
    page: int


@message
class EnterFrames(Message):
    """Give a guest frames that follow each other for it; the reply is the number of its first one."""

    frames: tuple[LearnedFrame, ...]


@message
class ForgetFrames(Message):
    """Take frames out of the table; EINVAL if that is no first one."""

    first: int


@message
class AccessFrames(Message):
    """A guest reads or writes; EFAULT where it has no frame. The reply is what was read."""

    frame: int
    offset: int
    """Bytes behind the beginning of that frame."""
    length: int
    data: bytes | None
    """What is written; None: a read."""
