"""MMU notifiers: what a memory map and a driver that follows its page table say to each other [1.10.3].

A driver that has copied page table entries is told before they change and when they have changed, as by Linux's
``mmu_interval_notifier``. What it is told has no footprint: nearly all that a context does looks at it.
"""

from longpin.messages.envelope import Address, Message, message
from longpin.messages.process.caller import Caller


@message
class AddNotifier(Message):
    """A driver to a memory map: tell the sender of changes in a range of virtual pages.

    The reply comes when no change is under way of which it was not told.
    """

    name: Address
    """What follows the page table: ``mr:100.1``."""
    first: int
    last: int
    """Virtual page numbers, inclusive."""


@message
class RemoveNotifier(Message):
    """Tell it no more."""

    name: Address


@message
class InvalidateStart(Message):
    """A memory map to a driver: entries are about to change.

    When it is answered no device uses what was copied of them, and nothing is copied before :class:`InvalidateEnd`.
    """

    name: Address
    first: int
    last: int


@message
class InvalidateEnd(Message):
    """A memory map to a driver: the entries have changed."""

    name: Address


@message
class FaultRemote(Message):
    """A driver to the memory map of another process: make pages present [hmm_range_fault, get_user_pages_remote].

    The reply is a :class:`~longpin.messages.mm.mm.UserPages`. EINVAL: the process has gone, or runs another program;
    EFAULT: nothing can be accessed there.
    """

    address: int
    """Of the first page."""
    pages: int
    write: bool
    owner: Address
    """What references belong to, on kernels that take some for as long as the fault lasts."""
    context: Address
    caller: Caller
    """The process that has registered the memory."""
    snapshot: bool = False
    """Only what is present already; nothing is faulted in, and there may be none."""
