"""Mappings of files and pins of their pages, as those are told who decide on them."""

from enum import StrEnum
from typing import NamedTuple

from longpin.messages.envelope import Address
from longpin.messages.process.caller import Caller
from longpin.messages.rdma.device import RdmaDevice


class MappingView(NamedTuple):
    """A mapping of a file [1.8]."""

    mm: Address
    """The memory map it is in."""
    number: int
    """The number of the mapping there."""
    prot: int
    flags: int
    ofd: Address
    """The open file description it holds a reference on."""


class Memory(StrEnum):
    """What a page is a page of."""

    FS_DAX = "fs-dax"
    """A file whose pages are blocks of persistent memory."""
    DEVICE_DAX = "device-dax"
    """Persistent memory without a file system."""
    PAGE_CACHE = "page cache"
    """A file whose pages are copies."""
    SHMEM = "shmem"
    """Anonymous memory that a parent and its children share."""
    HUGETLB = "hugetlb"
    """Huge pages, of a file in memory."""
    ANONYMOUS = "anonymous"
    """Nothing: the memory of a process, private copies of a file's pages too."""


class PinTerms(NamedTuple):
    """What a driver says of a buffer beside where it is and how it is used [2.6]."""

    device: RdmaDevice = RdmaDevice()
    """The device that gets it."""
    leased: bool = False
    """It is registered with a lease: ``ibv_reg_mr_lease`` [4.10]."""
    file: Address = ""
    """The file of which the caller says that the buffer is; empty: it does not say."""
    ofd: Address = ""
    """The description of it to which the lease is to belong; empty: that of the mapping."""
    fd: int = -1
    """The descriptor by which the caller named that."""


NO_TERMS = PinTerms()
"""What a driver says that has nothing to say."""


class PinRequest(NamedTuple):
    """Somebody wants to pin a page of a file [1.9, 2.6]."""

    caller: Caller
    mapping: MappingView
    """The mapping it is pinned through."""
    longterm: bool
    """FOLL_LONGTERM: user space says how long it lasts."""
    write: bool
    """FOLL_WRITE."""
    registration: Address
    """What will own the pin: ``mr:100.1``."""
    context: Address
    """The actor that keeps it: a uverbs context, for example."""
    memory: Memory = Memory.FS_DAX
    terms: PinTerms = PinTerms()

    @property
    def has_owner_file(self) -> bool:
        """Whether who pins tells the kernel which open file owns the pin: RDMA does, others do not [V2-12, H23]."""
        return self.context.startswith("uverbs:")

    def keeps_writing(self, *, private: bool) -> bool:
        """Return whether it lets a device write for long where a file system must know of writes."""
        return self.longterm and self.write and self.memory is Memory.PAGE_CACHE and not private
