"""What two inodes are asked when one shall have blocks of the other: clone, deduplication, copy [2.5].

The locks of both are held while it happens, those of the inode whose address is lower first: its iolock, then the other
one's, then its mmap lock, then the other one's. So the call goes to the first inode, from there to the second, back to
the first for the mmap lock, and to the second again. None of it has a footprint: it takes locks, and may wait.
"""

from typing import NamedTuple

from longpin.messages.envelope import Address, Message, message
from longpin.messages.mm.pmem import BlockRun
from longpin.messages.process.caller import Caller


class RemapPlan(NamedTuple):
    """What ``remap_file_range`` is asked to do."""

    source: Address
    source_offset: int
    target: Address
    target_offset: int
    length: int
    """Bytes; 0: up to the end of the source."""
    caller: Caller
    dedupe: bool = False
    """Only if the data are the same."""
    shorten: bool = False
    """Less will do."""
    spins: bool = True
    """Where a page is pinned it tries again and again; else it sleeps."""

    @property
    def first(self) -> Address:
        """The inode whose locks are taken first."""
        return min(self.source, self.target)

    @property
    def second(self) -> Address:
        """The other one; empty: there is only one."""
        return max(self.source, self.target) if self.source != self.target else ""


@message
class RemapFiles(Message):
    """Do it; sent to the first inode. The reply is a :class:`Remapped`."""

    plan: RemapPlan


@message
class BreakForRemap(Message):
    """To the second: break layout leases, before any lock is held."""

    plan: RemapPlan


@message
class RemapLocked(Message):
    """To the second: the first one's iolock is held, take yours and go on."""

    plan: RemapPlan


@message
class RemapMapped(Message):
    """To the first: both iolocks are held, take the mmap lock and go on."""

    plan: RemapPlan


@message
class RemapLast(Message):
    """To the second: only its mmap lock is missing."""

    plan: RemapPlan
    size: int
    """Of the first one, in bytes."""


@message
class Remapped(Message):
    """How it ended."""

    count: int = 0
    """Bytes."""
    again: bool = False
    """A lease was taken meanwhile: everything from the start."""
    busy: int = -1
    """A block that is pinned: the mmap locks were dropped for it; -1: none is in the way."""


@message
class ReadLocked(Message):
    """Read bytes of the other file, for a comparison: its locks are held."""

    offset: int
    count: int


@message
class ZeroTail(Message):
    """The target: zero what lies behind its end, if that page does, too [code: xfs_reflink_zero_posteof]."""

    first: int


@message
class ShareOut(Message):
    """The source: note that written pages are shared from now on, and say where they lie."""

    first: int
    last: int


@message
class SharedOut(Message):
    """Where they lie, in the order of pages; what is not written is left out."""

    runs: tuple[BlockRun, ...]
    unwritten: tuple[tuple[int, int], ...]
    """What is preallocated there, as the first and the last page."""


@message
class TakeShared(Message):
    """The target: let go of pages ``first`` to ``last``, and take these blocks instead."""

    source: Address
    first: int
    last: int
    runs: tuple[BlockRun, ...]
    """Each with the page of the target."""
    unwritten: tuple[tuple[int, int], ...]
    """Pages of the target, first and last, for which the source has something preallocated: that is not shared."""
    end: int
    """The byte behind the last that is taken: the file is at least so long afterwards."""


@message
class AskStorage(Message):
    """Ask on which file system the file lies, and how long it is."""


@message
class Storage(Message):
    """Where it lies, and its size in bytes."""

    device: Address
    """The pmem set."""
    reflink: bool
    """Files can share blocks there."""
    size: int


@message
class MapExtents(Message):
    """FS_IOC_FIEMAP: ask what blocks the file has."""


@message
class ExtentList(Message):
    """Its extents, in the order of pages."""

    extents: tuple[tuple[int, int, int, bool, bool], ...]
    """First page, first block, pages, whether they are only preallocated, whether they are shared."""
    delayed: tuple[int, ...]
    """The pages that get a block when they are written back."""
