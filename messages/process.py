"""What a process is told by others: by the kernel's other parts, by its world, and by other processes.

What can end the sleep of its program, or is told to the program, has no footprint: the program may do anything then.
For the same reason every answer to a call of the program conflicts with whatever else arrives here.
"""

from typing import NamedTuple

from longpin.messages.envelope import Address, Footprint, Message, message


class File(NamedTuple):
    """A reference to an open file description, as a descriptor table holds it."""

    ofd: Address
    """The open file description."""
    backing: Address
    """The inode, or the uverbs context, behind it."""
    kind: str
    """``file``, ``uverbs``, ``pipe``, ``directory`` or ``path`` (O_PATH)."""


@message
class Start(Message):
    """Begin to run the program."""


@message
class Signal(Message):
    """A signal is generated for the process; the reply says it is pending."""

    signo: int
    si_fd: int = -1
    """The descriptor number in siginfo, -1 where there is none [2.3.5]."""
    uid: int = -1
    """Credentials the permission check is made with; -1: the kernel's own, not checked."""
    capable: bool = False
    """The sender has CAP_KILL."""
    quiet: bool = False
    """A failed permission check is not reported: a SIGIO is dropped silently [2.3.5]."""


@message
class PassFile(Message):
    """A descriptor in flight in a socket (SCM_RIGHTS); it holds a reference [1.2]."""

    file: File


@message
class InstallPte(Message):
    """The fault handler maps a block at a page of a mapping, holding the inode's mmap lock [1.8]."""

    vma: int
    page: int
    """The page of the file."""
    pmem: Address
    block: int
    """The block in that pmem set; -1: the zero page."""
    writable: bool

    def footprint(self) -> Footprint:
        """The page table; its lock is released before anybody can wait for it."""
        return Footprint.of(writes=[("page table",)])


@message
class Zap(Message):
    """Remove the page table entries of a file's pages; new accesses must fault [2.5]."""

    inode: Address
    first: int
    last: int
    """Last page, inclusive."""

    def footprint(self) -> Footprint:
        """The page table; its lock is released before anybody can wait for it."""
        return Footprint.of(writes=[("page table",)])


@message
class Uncharge(Message):
    """Take pages off ``mm.pinned_vm``, also of a process that is dead, or of memory it left at an exec [2.6]."""

    space: int
    """Which of the process's address spaces, from 0: each exec begins another."""
    pages: int

    def footprint(self) -> Footprint:
        """A count."""
        return Footprint.of(adds=[("pinned_vm", self.space)])


@message
class Enroll(Message):
    """A process comes into being: to the process table."""

    pid: int
    name: str
    address: Address
    group: int
    """The number of its process group."""

    def footprint(self) -> Footprint:
        """The entry, and its place among the others: a group is listed in that order."""
        return Footprint.of(writes=[("process", self.pid), ("order of processes",)])


@message
class Retire(Message):
    """A process is gone: to the process table."""

    pid: int

    def footprint(self) -> Footprint:
        """The entry; the others stay in their order."""
        return Footprint.of(writes=[("process", self.pid)])


@message
class FindProcess(Message):
    """Ask the process table for a live process, by number or, if that is 0, by name; ESRCH if there is none."""

    pid: int
    name: str

    def footprint(self) -> Footprint:
        """One entry; by name, all."""
        return Footprint.of(reads=[("process", self.pid) if self.pid else ("process",)])


@message
class FoundProcess(Message):
    """The process that was asked for."""

    address: Address


@message
class FindGroup(Message):
    """Ask the process table for the live members of a process group; ESRCH if there are none."""

    group: int

    def footprint(self) -> Footprint:
        """All entries."""
        return Footprint.of(reads=[("process",)])


@message
class FoundGroup(Message):
    """The members."""

    members: tuple[Address, ...]


PROCESS_TABLE = "process_table"
"""The address of the process table."""
