"""What an inode is asked: by processes, by open file descriptions, and by leases.

What has no footprint touches everything. The parts that others name:

* ``names``: whether a name keeps the file, and whether it is evicted;
* ``attributes``: its ``owner``, with the mode, and its ``size``;
* ``open``: the descriptions, each by its address; ``writers``: truncations by name, which are only counted;
* ``leases``: the list, its lock, and what the policy remembers. Who finds something there to break, to wait for or to
  take away goes through :class:`~longpin.messages.fs.inode_pieces.Changing` first, which touches everything: so nobody
  declares to write them;
* ``flocks``, each by its description; ``mapping``, each by memory map and number, and ``order of mappings``;
* ``iolock`` and ``mmap lock``, whose waiters are woken by a message. What lies under them is looked at and changed with
  the lock held, so the part of the lock stands for it. It is named by who takes or drops it.

Some of it a folder is asked too. Folders are no actors: then the directory gets the message, and ``folder`` says which.
"""

from longpin.messages.envelope import Address, Footprint, Message, message
from longpin.messages.fs.inode_pieces import LOOKS
from longpin.messages.fs.lease import MOST_OFFSET, LeaseCommand, Level
from longpin.messages.fs.mapping import Memory, PinRequest
from longpin.messages.process.caller import Caller

O_TRUNC = 0o1000
"""The flag of open(2) that empties a file: open(2)."""


@message
class Open(Message):
    """open(2) has found the inode: check, count the access, break leases, truncate if O_TRUNC [2.3.2]."""

    ofd: Address
    """The description that will be created if this succeeds."""
    flags: int
    caller: Caller
    created: bool = False
    """The caller made the file: its mode counts from the next open on [open(2)]."""

    regular: bool = False
    """It is a regular file."""

    def footprint(self) -> Footprint | None:
        """Of a regular file the description; with O_TRUNC everything."""
        if not self.regular or self.flags & O_TRUNC:
            return None
        return Footprint.of(reads=LOOKS, writes=[("open", self.ofd)])


@message
class Opened(Message):
    """open(2) of a device has made an actor for what this open owns."""

    backing: Address


@message
class CloseFile(Message):
    """An open file description is released: its leases go, then its count [1.3]."""

    ofd: Address
    exiting: bool
    folder: Address = ""
    counted_only: bool = False
    """It is one of a regular file, which as far as it knows has no lease: nothing but its count goes."""

    def footprint(self) -> Footprint | None:
        """The description, if nothing but its count goes."""
        if not self.counted_only:
            return None
        return Footprint.of(reads=[*LOOKS, ("flocks", self.ofd)], writes=[("open", self.ofd)])


@message
class ChangeLease(Message):
    """F_SETLEASE through ``ofd`` [2.1, 2.2], or another command that sets a lease."""

    ofd: Address
    access: int
    """The access mode of the description, as in O_ACCMODE."""
    arg: int
    command: LeaseCommand
    fd: int
    caller: Caller
    folder: Address = ""
    start: int = 0
    """Of a layout: its first byte."""
    length: int = MOST_OFFSET
    """Of a layout: bytes."""
    signo: int = 0
    """What F_SETSIG has set on the description."""


@message
class QueryLease(Message):
    """F_GETLEASE through ``ofd`` [2.3.6], or another command that asks for a lease."""

    ofd: Address
    command: LeaseCommand
    caller: Caller
    folder: Address = ""


@message
class BreakDelegations(Message):
    """Wait until a file has no delegation: a call that would change its name has let go of its locks for that."""


@message
class Delegated(Message):
    """A change of a name cannot be made: ``file`` has a delegation, whose break has begun."""

    file: Address


@message
class LeaseOverdue(Message):
    """From a lease: its break time has passed. It stays on the list until somebody looks [2.3.4]."""

    lease: Address
    level: Level


@message
class Truncate(Message):
    """Set the size: truncate(2) breaks ordinary leases first, ftruncate(2) does not [2.3.2]."""

    length: int
    by_path: bool
    caller: Caller

    def footprint(self) -> Footprint | None:
        """By name it counts as a writer, and goes to the locks later."""
        return Footprint.of(reads=LOOKS, adds=[("writers",)]) if self.by_path else None


@message
class SyncFile(Message):
    """fsync(2): write back what is only in memory."""


@message
class ReadAt(Message):
    """Read ``count`` bytes at ``offset``."""

    offset: int
    count: int


@message
class WriteAt(Message):
    """Write ``data`` at ``offset``, -1 meaning the end of the file."""

    offset: int
    data: bytes
    caller: Caller


@message
class Written(Message):
    """What was written; less than was asked for on a device that is full."""

    position: int
    """The offset after it."""
    count: int


@message
class AddMapping(Message):
    """A memory map has a new mapping of the file: of mmap(2), or a copy that fork(2) made."""

    mm: Address
    vma: int
    prot: int
    flags: int
    ofd: Address
    """The description the mapping holds a reference on."""
    caller: Caller
    fd: int = -1
    """The descriptor number used in mmap(2)."""
    parent: Address = ""
    """The memory map of which fork copies it, which has the same number for it; empty: mmap(2)."""
    page: int = 0
    """The page of the file at which mmap(2) has it begin."""
    pages: int = 0
    """How many it has, for mmap(2)."""

    def footprint(self) -> Footprint:
        """The mapping, and its place among the others: page tables are zapped in that order."""
        writes = [("mapping", self.mm, self.vma), ("order of mappings",)]
        return Footprint.of(reads=[("attributes", "owner"), ("leases",)], writes=writes)


@message
class MappedAs(Message):
    """The mapping is entered."""

    memory: Memory
    """What the pages are that it maps."""


@message
class SplitMapping(Message):
    """A mapping became two: what munmap(2) or another call left behind a part of it has another number now."""

    mm: Address
    vma: int
    new: int

    def footprint(self) -> Footprint:
        """Both mappings, and their places among the others."""
        mappings = [("mapping", self.mm, number) for number in (self.vma, self.new)]
        return Footprint.of(reads=[("leases",)], writes=[*mappings, ("order of mappings",)])


@message
class ProtectMapping(Message):
    """mprotect(2) has changed what may be done through a mapping."""

    mm: Address
    vma: int
    prot: int


@message
class RemoveMapping(Message):
    """A mapping of the file is gone."""

    mm: Address
    vma: int

    def footprint(self) -> Footprint:
        """The mapping; the others stay in their order."""
        return Footprint.of(reads=[("leases",)], writes=[("mapping", self.mm, self.vma)])


NO_PAGE = 1
"""What a fault of a private mapping of huge pages is answered where the file has none: it makes its own."""


@message
class Fault(Message):
    """A page fault of a memory map; the reply is :class:`~longpin.messages.mm.mm.InstallPtes` [1.8].

    EFAULT beyond the end of the file, or if the page cannot be given a block.
    """

    vma: int
    """The number of the mapping there."""
    vpn: int
    """Its virtual page number: the address divided by the page size."""
    page: int
    """The page of the file there."""
    pages: int
    """How many are wanted: those behind it are mapped too, up to the first that a write would have to give a block."""
    write: bool

    def footprint(self) -> Footprint:
        """That it looks with the mmap lock shared, or waits for it."""
        return Footprint.of(adds=[("mmap lock",)])


@message
class AskPin(Message):
    """May pages that were faulted in be pinned? [2.6]."""

    request: PinRequest

    def footprint(self) -> Footprint:
        """The lease list."""
        return Footprint.of(reads=[("attributes", "owner"), ("leases",)])


@message
class PinAllowed(Message):
    """It may."""

    hold: Address
    """An open file description the pin must hold a reference on; empty: none."""
    attached: bool
    """The inode is to be told when the registration has let go of its pages: :class:`Deregistered`."""


@message
class Granting(Message):
    """A schedule point of the inode: a policy gives leases, takes some, or remembers something, which others see."""


@message
class Deregistered(Message):
    """A registration that was attached to the inode has let go of its pages."""

    registration: Address
    context: Address


@message
class AskUse(Message):
    """May a process use a registration that has pages of the file? [1.10]."""

    caller: Caller
    registration: Address
    context: Address


@message
class FlushFile(Message):
    """A process closes a descriptor, and still holds its reference [1.2]."""

    ofd: Address
    last: bool
    """It has no other descriptor of that description."""
    exiting: bool
    caller: Caller


@message
class OnlyPinned(Message):
    """From an open file description: nothing but pins holds it any more, and nothing else ever will [1.5]."""

    ofd: Address


@message
class DropLink(Message):
    """unlink(2) takes a name away, the file's lock held; a :class:`DropInode` follows when the folder's is released."""


@message
class DropInode(Message):
    """Nobody needs the inode for a name any more: evict it if that was the last use of it [2.5, H7]."""


@message
class AddLink(Message):
    """A name is to be added; EPERM for who neither owns the file nor may read and write it [proc_sys_fs(5)]."""

    uid: int


@message
class Renamed(Message):
    """rename(2) gives the inode another name, or takes its name away for another inode.

    The locks of both are held while it happens, in the order of their addresses.
    """

    loses_name: bool
    other: Address = ""
    """The other one, if this is the first of two."""
    other_loses_name: bool = False


@message
class NoName(Message):
    """O_TMPFILE: the inode was made without a name, for the open that follows."""


@message
class SetAttributes(Message):
    """chmod(2), chown(2): EPERM for who does not own the file. Neither asks leases."""

    mode: int
    """-1: unchanged."""
    owner: int
    """The new owner; -1: unchanged."""
    uid: int
    folder: Address = ""


@message
class Touch(Message):
    """utimes(2) to now, setxattr(2): need write access, change nothing that is modelled, ask no leases."""

    uid: int
    xattr: bool
    """setxattr(2) of a user attribute, which being the owner does not allow."""
    folder: Address = ""


@message
class CheckAccess(Message):
    """access(2), or stat(2) with mode 0; the reply is the size."""

    mode: int
    uid: int
    folder: Address = ""

    def footprint(self) -> Footprint:
        """Owner, mode and size."""
        return Footprint.of(reads=[("attributes",)])


@message
class Execute(Message):
    """execve(2) opens the file for reading, and then denies writing [2.3.2]."""

    ofd: Address
    caller: Caller


@message
class Fallocate(Message):
    """fallocate(2)."""

    mode: int
    offset: int
    length: int
    caller: Caller


@message
class Flock(Message):
    """flock(2) through ``ofd``."""

    ofd: Address
    how: int
    folder: Address = ""

    def footprint(self) -> Footprint:
        """The flock(2) locks and who waits for them, which nothing but a release looks at."""
        return Footprint.of(writes=[("flocks",)])


@message
class SetBreakTime(Message):
    """Write /proc/sys/fs/lease-break-time."""

    seconds: float
