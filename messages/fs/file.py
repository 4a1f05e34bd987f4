"""What an open file description is asked: by processes that hold a reference, by its inode, and by its lease.

Several requests are only passed on to what stands behind and change nothing here: their footprint is empty.
"""

from longpin.messages.envelope import Address, Footprint, Message, message
from longpin.messages.fs.lease import MOST_OFFSET, LeaseCommand
from longpin.messages.fs.mapping import Memory
from longpin.messages.process.caller import Caller

PASSED_ON = Footprint()
"""What was opened never changes."""


@message
class Ref(Message):
    """Take one more reference: dup, fork, mmap, SCM_RIGHTS, or a pin that holds the file [1.3]."""

    pin: bool = False
    """It is a registration's."""

    def footprint(self) -> Footprint:
        """The count: another one more makes no difference to whether there was one at all."""
        return Footprint.of(adds=[("references",)])


@message
class Put(Message):
    """Drop one reference; the reply says whether it was the last."""

    pin: bool = False
    """It is a registration's."""

    def footprint(self) -> Footprint:
        """The count."""
        return Footprint.of(writes=[("references",)])


@message
class PutDone(Message):
    """A reference is dropped."""

    last: bool
    """Nobody holds the description any more: the actor that dropped it must now send ``Release``."""


@message
class Release(Message):
    """Run the deferred final put [1.3]: from the actor that dropped the last reference."""

    exiting: bool
    """The task that does it is exiting."""

    def footprint(self) -> Footprint:
        """That it is released, and whether there is a lease; what stands behind does the rest."""
        return Footprint.of(reads=[("leased",)], writes=[("released",)])


@message
class AskOpen(Message):
    """Ask how it was opened; the reply is the flags."""

    def footprint(self) -> Footprint:
        """What never changes."""
        return PASSED_ON


@message
class AskPosition(Message):
    """Ask for the position, without its lock [code: copy_file_range]."""

    def footprint(self) -> Footprint:
        """The position."""
        return Footprint.of(reads=[("position",)])


@message
class SetLease(Message):
    """fcntl(F_SETLEASE) [2.1], or another command that sets a lease."""

    arg: int
    command: LeaseCommand
    fd: int
    """The number used in the call, recorded for si_fd."""
    caller: Caller
    start: int = 0
    """Of a layout: its first byte."""
    length: int = MOST_OFFSET
    """Of a layout: bytes."""

    def footprint(self) -> Footprint:
        """The signal that F_SETSIG has set, which the lease is told; a ``LeaseSetup`` comes back."""
        return Footprint.of(reads=[("signo",)])


@message
class GetLease(Message):
    """fcntl(F_GETLEASE) [2.3.6], or another command that asks for a lease."""

    command: LeaseCommand
    caller: Caller

    def footprint(self) -> Footprint:
        """Nothing here."""
        return PASSED_ON


@message
class SetSignal(Message):
    """fcntl(F_SETSIG); 0 is the default SIGIO without si_fd."""

    signo: int

    def footprint(self) -> Footprint:
        """The signal number."""
        return Footprint.of(writes=[("signo",)])


@message
class GetSignal(Message):
    """fcntl(F_GETSIG)."""

    def footprint(self) -> Footprint:
        """The signal number."""
        return Footprint.of(reads=[("signo",)])


@message
class SetOwner(Message):
    """fcntl(F_SETOWN) and F_SETOWN_EX, with what is named already found."""

    process: Address
    """The process, or that of the thread; empty for a group, and where nobody has the number as one of these."""
    number: int
    """Of a process, a thread or a group; 0 clears the owner."""
    type: int
    """F_OWNER_TID, F_OWNER_PID or F_OWNER_PGRP."""
    uid: int

    def footprint(self) -> Footprint:
        """The owner."""
        return Footprint.of(writes=[("owner",)])


@message
class GetOwner(Message):
    """fcntl(F_GETOWN) and F_GETOWN_EX."""

    def footprint(self) -> Footprint:
        """The owner."""
        return Footprint.of(reads=[("owner",)])


@message
class SignalOwner(Message):
    """The owner."""

    number: int
    """0: there is none, or it is gone."""
    type: int
    """F_OWNER_TID, F_OWNER_PID or F_OWNER_PGRP."""


@message
class SetFlags(Message):
    """fcntl(F_SETFL): O_APPEND, O_NONBLOCK and so on."""

    flags: int

    def footprint(self) -> Footprint:
        """The status flags."""
        return Footprint.of(writes=[("flags",)])


@message
class GetFlags(Message):
    """fcntl(F_GETFL)."""

    def footprint(self) -> Footprint:
        """The status flags; that there is a lease is one."""
        return Footprint.of(reads=[("flags",), ("leased",)])


@message
class LeaseSetup(Message):
    """The inode has granted a lease: set the owner if there is none [2.1 step 9]."""

    caller: Caller
    """Who has it."""

    def footprint(self) -> Footprint:
        """The owner, and that there is a lease."""
        return Footprint.of(writes=[("owner",), ("leased",)])


@message
class LeaseGone(Message):
    """The inode has removed the lease: owner and signal number are cleared [2.2]."""

    def footprint(self) -> Footprint:
        """Owner and signal number, and that there is a lease."""
        return Footprint.of(writes=[("owner",), ("signo",), ("leased",)])


@message
class NotifyOwner(Message):
    """The lease is being broken: send its signal to the owner [2.3.5]."""

    fd: int
    """The number recorded in the last F_SETLEASE."""
    to: Address = ""
    """A process that gets it in place of the owner; empty: the owner."""
    only_set: bool = False
    """Only the signal that F_SETSIG has named is sent, and none if it has not."""

    def footprint(self) -> Footprint:
        """Owner and signal number."""
        return Footprint.of(reads=[("owner",), ("signo",)])


@message
class Read(Message):
    """read(2) at the file position."""

    count: int

    def footprint(self) -> Footprint:
        """The position, with its lock: who waits for it wants nothing but the position; O_NONBLOCK, of a pipe."""
        return Footprint.of(reads=[("flags",)], writes=[("position",)])


@message
class Write(Message):
    """write(2) at the file position."""

    data: bytes
    caller: Caller

    def footprint(self) -> Footprint:
        """The position, with its lock; O_APPEND, and O_NONBLOCK of a pipe."""
        return Footprint.of(reads=[("flags",)], writes=[("position",)])


@message
class Vmsplice(Message):
    """vmsplice(2) into a pipe."""

    mm: Address
    address: int
    length: int
    caller: Caller
    nonblock: bool
    """SPLICE_F_NONBLOCK."""

    def footprint(self) -> Footprint:
        """O_NONBLOCK of the pipe."""
        return Footprint.of(reads=[("flags",)])


@message
class Pread(Message):
    """pread(2): a read at an offset, which leaves the position alone."""

    count: int
    offset: int

    def footprint(self) -> Footprint:
        """Nothing of the description that can change."""
        return Footprint.of()


@message
class Pwrite(Message):
    """pwrite(2): a write at an offset, which leaves the position alone; at the end with O_APPEND."""

    data: bytes
    offset: int
    caller: Caller

    def footprint(self) -> Footprint:
        """O_APPEND."""
        return Footprint.of(reads=[("flags",)])


@message
class Seek(Message):
    """lseek(2), SEEK_SET."""

    offset: int

    def footprint(self) -> Footprint:
        """The position, with its lock."""
        return Footprint.of(writes=[("position",)])


@message
class Ftruncate(Message):
    """ftruncate(2)."""

    length: int
    caller: Caller

    def footprint(self) -> Footprint:
        """Nothing here."""
        return PASSED_ON


@message
class MapFile(Message):
    """mmap(2): check the access mode, take a reference and enter the mapping at the inode [1.8]."""

    vma: int
    prot: int
    flags: int
    mm: Address
    fd: int
    caller: Caller
    page: int
    """The page of the file at which it begins."""
    pages: int
    """How many it has."""

    def footprint(self) -> Footprint:
        """The count: the mapping's reference."""
        return Footprint.of(adds=[("references",)])


@message
class MappedFile(Message):
    """The file is mapped."""

    may_write: bool
    """A shared mapping may be written through, if not now, then after mprotect(2)."""
    memory: Memory
    """What the pages are that it maps."""


@message
class Data(Message):
    """Bytes that were read."""

    data: bytes


@message
class FallocateFile(Message):
    """fallocate(2)."""

    mode: int
    offset: int
    length: int
    caller: Caller

    def footprint(self) -> Footprint:
        """Nothing here."""
        return PASSED_ON


@message
class Sync(Message):
    """fsync(2)."""

    def footprint(self) -> Footprint:
        """Nothing here."""
        return PASSED_ON


@message
class FlockFile(Message):
    """flock(2)."""

    how: int

    def footprint(self) -> Footprint:
        """Nothing here."""
        return PASSED_ON
