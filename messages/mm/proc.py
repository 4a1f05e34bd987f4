"""What is read in /proc of a memory map: /proc/PID/status, and /proc/PID/pagemap."""

from longpin.messages.envelope import Message, message
from longpin.messages.mm.memory import PageFrame


@message
class ReadStatus(Message):
    """Ask how much memory is pinned and locked."""


@message
class MemoryStatus(Message):
    """Pages, as they are charged to RLIMIT_MEMLOCK."""

    pinned: int
    """VmPin."""
    locked: int
    """VmLck."""


@message
class ReadPagemap(Message):
    """Ask in which frame the page at an address lies."""

    address: int


@message
class Pagemap(Message):
    """The frame of a page."""

    frame: PageFrame | None
    """None: no entry of the page table has one."""
