"""What a memory map is asked: by its process, by inodes whose pages it maps, and by those who pin its pages.

Its parts are ``vmas``, the ``page table`` (an entry is named by its virtual page number) and ``pinned_vm``. What a
process asks takes the mmap lock and perhaps the page table lock, and who releases a lock goes on with who waits for it:
so all of that touches both. A request to pin touches everything.
"""

from enum import StrEnum
from typing import NamedTuple

from longpin.messages.envelope import Address, Footprint, Message, message
from longpin.messages.fs.mapping import PinTerms
from longpin.messages.mm.memory import PageFrame, PinnedPage, PinnedRun
from longpin.messages.process.caller import Caller
from longpin.messages.process.process import File

LOCKED = Footprint.of(writes=[("vmas",), ("page table",)])
"""What the mmap lock and the page table lock protect."""


@message
class Mmap(Message):
    """mmap(2); the reply is :class:`~longpin.messages.mm.ranges.Mapped` [1.8]."""

    length: int
    """Bytes, more than 0."""
    prot: int
    flags: int
    file: File
    """Without an open file description: anonymous memory."""
    offset: int
    """In the file, in bytes: whole pages."""
    fd: int
    """The number of the descriptor."""
    caller: Caller
    memlock: int
    """RLIMIT_MEMLOCK in bytes; -1: the caller has CAP_IPC_LOCK, so there is none."""
    address: int = 0
    """Where it is wanted; 0: anywhere."""

    def footprint(self) -> Footprint:
        """What the locks protect."""
        return LOCKED


@message
class Munmap(Message):
    """munmap(2) of whole pages, mapped or not [1.9]."""

    start: int
    end: int

    def footprint(self) -> Footprint:
        """What the locks protect."""
        return LOCKED


@message
class ExitMmap(Message):
    """The process has exited, or executes another program: every mapping goes [1.1]."""

    def footprint(self) -> Footprint:
        """What the locks protect."""
        return LOCKED


@message
class Unmapped(Message):
    """Mappings are gone."""

    releases: tuple[File, ...]
    """The files of which they held the last reference: the process must send each a ``Release``."""


@message
class DupMmap(Message):
    """fork(2): make a child's memory map, with the same mappings, whose pages fault anew [1.8]."""

    child: Address
    caller: Caller

    def footprint(self) -> Footprint:
        """What the locks protect."""
        return LOCKED


@message
class LoadBytes(Message):
    """The CPU reads memory."""

    address: int
    length: int

    def footprint(self) -> Footprint:
        """What the locks protect."""
        return LOCKED


@message
class StoreBytes(Message):
    """The CPU writes memory."""

    address: int
    data: bytes

    def footprint(self) -> Footprint:
        """What the locks protect."""
        return LOCKED


@message
class Faulted(Message):
    """An access that no mapping allows (SIGSEGV), or beyond the end of the file (SIGBUS)."""

    signo: int


@message
class InstallPtes(Message):
    """The reply to a page fault: enter a run of pages, before anything that the file sends later arrives [1.8]."""

    vpn: int
    """The virtual page number of the first: its address divided by the page size."""
    frames: tuple[PageFrame, ...]
    writable: bool
    referenced: bool = False
    """Each entry has a reference on its page [2.5, H27]."""


@message
class Zap(Message):
    """Remove the page table entries of a file's pages; new accesses must fault [2.5]."""

    inode: Address
    first: int
    last: int
    """Last page of the file, inclusive."""
    even_cows: bool = False
    """Private copies too: the pages are no more of the file."""

    def footprint(self) -> Footprint:
        """Entries, wherever the file is mapped; the lock is released before anybody can wait for it."""
        return Footprint.of(reads=[("vmas",)], writes=[("page table",)])


@message
class ChargePinned(Message):
    """Add pages to the count without a look at a limit, for a driver that has one of its own [io_account_mem]."""

    pages: int


@message
class Uncharge(Message):
    """Take pages off the count, also of a process that is dead or executes another program [2.6]."""

    pages: int
    """Of those that are counted as pinned (VmPin)."""
    locked: int = 0
    """Of those that are counted as locked (VmLck), together with what mlock(2) locks."""

    def footprint(self) -> Footprint:
        """The counts; mlock(2) and its like look at that of locked pages."""
        return Footprint.of(writes=[("vmas",)] if self.locked else [], adds=[("pinned_vm",)])


class PinLookup(StrEnum):
    """What is looked at first: page table entries or mappings [mm/gup.c]."""

    FAST = "pin_user_pages_fast"
    """Entries: a page that is a copy already is pinned without a look at its mapping."""
    SLOW = "pin_user_pages"
    """Mappings."""
    FILES = "pin_user_pages, with the mappings"
    """Mappings, and again when all pages are pinned: one file all of it, and its pages in memory, else EINVAL or
    EOPNOTSUPP [io_pin_pages up to 6.4]."""


@message
class GetUserPages(Message):
    """Pin pages from an address on, in one hold of the mmap lock, and charge them before [1.9, 2.6].

    EPERM if the caller may not lock any memory, ENOMEM beyond its limit, EFAULT where nothing can be accessed, or the
    policy's errno: nothing is pinned or charged then.
    """

    address: int
    """Of the first page."""
    pages: int
    charge: int
    """Pages to be counted against RLIMIT_MEMLOCK; 0: an earlier request has charged these too."""
    memlock: int
    """RLIMIT_MEMLOCK in bytes; -1: the caller has CAP_IPC_LOCK, so there is none."""
    write: bool
    force: bool
    """Even through a private mapping that may not be written to, whose pages are copied then [FOLL_FORCE]."""
    longterm: bool
    owner: Address
    """What the references belong to: ``mr:100.1``, also before it is published."""
    context: Address
    """Who has that: ``uverbs:100.1``."""
    caller: Caller
    """The process that asks."""
    holds: tuple[Address, ...]
    """Open file descriptions on which earlier pins of the owner hold a reference."""
    get: bool = False
    """FOLL_GET: plain references in place of pins."""
    terms: PinTerms = PinTerms()
    lookup: PinLookup = PinLookup.FAST
    locked: bool = False
    """Each page counts as locked when it is pinned, ENOMEM beyond the limit; reserved ones do not [VFIO]."""


@message
class GetVaddrFrames(GetUserPages):
    """The same as get_vaddr_frames does it, where a kernel looks at mappings when pages are pinned already [4.0].

    It looks at the mapping of the first page before it pins, and at no other.
    """

    first: bool = True
    """The first request for a buffer."""


@message
class UserPages(Message):
    """The pages that are pinned: fewer than asked for if the next one cannot be, which the next request is told."""

    runs: tuple[PinnedRun, ...]
    """In the order of their addresses."""
    holds: tuple[Address, ...]
    """Open file descriptions on which a policy made these pins hold a reference."""
    attached: tuple[Address, ...]
    """Inodes that are to be told when the pages are let go of."""
    refused: int
    """The errno with which a look at them afterwards refuses them, at their mappings or at the limit; 0: none."""
    compounds: tuple[tuple[Address, int], ...] = ()
    """The memories of the pages whose frames are parts of compound pages, and how many such a page has."""
    locked: int = 0
    """How many were counted as locked."""


class Registration(NamedTuple):
    """What a driver holds of user memory for as long as user space says.

    It is what a memory region, a fixed buffer of io_uring, a mapping of VFIO, a buffer of V4L2 and the umem of an
    AF_XDP socket have in common [1.10, 2.6]. The actor that has the descriptor keeps it, and unpins it.
    """

    owner: Address
    """Its name, by which the pages know whose the references are: ``mr:100.1``."""
    context: Address
    """The actor that keeps it: ``uverbs:100.1``."""
    mm: Address
    """The memory map it is charged to, which need not be that of any process any more."""
    pages: int
    """How many are charged."""
    runs: tuple[PinnedRun, ...]
    """The pages, for DMA."""
    holds: tuple[Address, ...]
    """Open file descriptions on which a policy made the pins hold a reference."""
    attached: tuple[Address, ...]
    """Inodes that are to be told when the pages are let go of."""
    compounds: tuple[tuple[Address, int], ...] = ()
    """The memories whose frames are parts of compound pages, and how many such a page has."""
    locked: int = 0
    """How many are counted as locked, with those of mlock(2)."""

    def page(self, index: int) -> PinnedPage:
        """Return one of its pages, from 0."""
        for first, length in self.runs:
            if index < length:
                return first.after(index)
            index -= length
        raise IndexError(index)
