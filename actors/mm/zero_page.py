"""The kernel's page of zeros, which is mapped where a hole or untouched memory is read [1.8.1].

Nobody counts who has it, and nobody may write it. A device that follows page tables without a look at what they allow
does [1.10.3]; then whoever reads a hole through a mapping, in whatever process, finds that.
"""

from longpin.actors.conversation import Call, Conversation
from longpin.actors.kernel.machine import Kernel
from longpin.actors.mm.memory import FrameMemory
from longpin.messages.envelope import Address
from longpin.messages.mm.memory import ZERO_PAGE, Dma, Load


class ZeroPage(FrameMemory):
    """One frame that is never allocated and never freed."""

    def owner_of(self, _number: int) -> str:
        """Return what it is."""
        return "the page of zeros of everybody"

    def is_still(self, access: Dma) -> bool:
        """Return whether an access leaves it what it is: it can be read by all."""
        return access.data is None


def load_zeros(kernel: Kernel, offset: int, length: int, inode: Address) -> Conversation[bytes]:
    """Read the page of zeros; it is asked only on a machine where a device can write to it."""
    if not kernel.zero_page_is_written:
        return bytes(length)
    data: bytes = (yield Call(ZERO_PAGE.memory, Load(ZERO_PAGE.number, offset, length, inode))).data
    return data
