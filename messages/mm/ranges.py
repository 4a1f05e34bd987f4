"""What a memory map is asked about ranges of its addresses: protection, advice, locks, and other places.

All of it takes the mmap lock.
"""

from longpin.messages.envelope import Message, message
from longpin.messages.mm.memory import PageFrame
from longpin.messages.process.caller import Caller
from longpin.messages.process.process import File


@message
class Mprotect(Message):
    """mprotect(2) of whole pages: ENOMEM where nothing is mapped, EACCES where the file was not opened for that."""

    start: int
    end: int
    prot: int


@message
class Madvise(Message):
    """madvise(2) of whole pages."""

    start: int
    end: int
    advice: int
    caller: Caller


@message
class LockPages(Message):
    """mlock(2), munlock(2) of whole pages."""

    start: int
    end: int
    lock: bool
    memlock: int
    """RLIMIT_MEMLOCK in bytes; -1: the caller has CAP_IPC_LOCK, so there is none."""


@message
class Mremap(Message):
    """mremap(2); the reply is :class:`Mapped`."""

    old: int
    old_length: int
    length: int
    """Bytes of whole pages, both."""
    flags: int
    to: int
    """Where MREMAP_FIXED wants it."""
    memlock: int


@message
class Msync(Message):
    """msync(2) of whole pages: all must be mapped, and what is to be invalidated not locked."""

    start: int
    end: int
    flags: int


@message
class Mapped(Message):
    """A mapping is there."""

    address: int
    releases: tuple[File, ...]
    """The files of which those that were there before held the last reference: each must be sent a ``Release``."""


@message
class InheritPtes(Message):
    """fork(2) gives a child's memory map anonymous pages, before anything else is done there."""

    shared: tuple[tuple[int, PageFrame], ...]
    """Virtual page numbers, and the frames that parent and child have from now on."""
    copied: tuple[tuple[int, PageFrame], ...]
    """Those that are pinned: the child gets a copy."""
    last: bool
    """No more will come."""
