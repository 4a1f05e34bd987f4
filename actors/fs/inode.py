"""An inode: a regular file on FS-DAX, whose pages are blocks of a pmem set [1.6].

It is composed of parts, each with a module of its own. Attributes, open counts, leases, flock(2) locks, mappings, data,
and the guard that is asked before the layout changes are what a file is; the others answer calls on it, with what they
need of these and under the inode's locks. What concerns whether the file is used at all is answered here. Locks are
taken in the order iolock, mmap lock, ilock, and held exactly where semantics 2.5 and 2.7 say.
"""

import errno
from collections.abc import Mapping
from functools import partial
from typing import ClassVar, NamedTuple

from longpin.actors.base import ActorPart, Engine, handles
from longpin.actors.constants import (
    O_ACCMODE,
    O_DIRECT,
    O_DIRECTORY,
    O_NONBLOCK,
    O_PATH,
    O_RDONLY,
    O_TMPFILE,
    O_TRUNC,
    O_WRONLY,
)
from longpin.actors.conversation import Conversation, KernelError, Step, Widen, outcome
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.backing import OneFile
from longpin.actors.fs.cached_data import CachedData, MemoryData
from longpin.actors.fs.file_data import FileData
from longpin.actors.fs.flocks import Flocks
from longpin.actors.fs.inode_data import InodeData
from longpin.actors.fs.inode_layouts import InodeLayouts
from longpin.actors.fs.inode_leases import InodeLeases
from longpin.actors.fs.inode_listing import InodeListing
from longpin.actors.fs.inode_memory import InodeMemory
from longpin.actors.fs.inode_mount import InodeMount
from longpin.actors.fs.inode_names import InodeNames
from longpin.actors.fs.inode_remap import InodeRemap
from longpin.actors.fs.inode_view import InodeView
from longpin.actors.fs.layout_guard import LayoutGuard
from longpin.actors.fs.lease_list import LeaseList
from longpin.actors.fs.mappings import Mappings
from longpin.actors.fs.open_counts import OpenCounts
from longpin.actors.fs.permissions import check, check_touch, set_attributes
from longpin.actors.fs.transfers import Transfers
from longpin.actors.kernel.machine import Kernel
from longpin.actors.kernel.mount import Mount
from longpin.actors.locks import Lock
from longpin.actors.policies.obstacles import Obstacles
from longpin.actors.policies.views import CloseRequest, LayoutView, LeaseKind
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.inode import (
    CloseFile,
    DropInode,
    Execute,
    FlushFile,
    OnlyPinned,
    Open,
    SetAttributes,
    Touch,
    Truncate,
)
from longpin.messages.fs.inode_pieces import Changing, Locking
from longpin.messages.mm.memory import Pin
from longpin.messages.mm.pmem import BlockRun
from longpin.messages.process.caller import Caller


class FileStart(NamedTuple):
    """What a file is when its inode is made."""

    uid: int
    mode: int
    size: int
    """Bytes."""
    runs: tuple[BlockRun, ...] = ()
    """Its blocks, which are all written."""


def _data_of(mount: Mount) -> type[FileData]:
    """Return what the data of files on a file system are."""
    if mount.file_system.in_memory:
        return MemoryData
    return FileData if mount.dax else CachedData


class Inode(OneFile):
    """One file: its parts, and whether anybody uses it."""

    parts: ClassVar[Mapping[str, type[ActorPart]]] = {
        "memory": InodeMemory,
        "remap": InodeRemap,
        "lease_calls": InodeLeases,
        "data_calls": InodeData,
        "names": InodeNames,
        "layouts": InodeLayouts,
        "listing": InodeListing,
        "mount": InodeMount,
    }

    def __init__(self, engine: Engine, address: Address, kernel: Kernel, mount: Mount, start: FileStart) -> None:
        super().__init__(engine, address, kernel)
        self.pmem = mount.device
        self.iolock = iolock = Lock(self, f"the iolock of {address}", by_message=True)
        self.mmaplock = mmaplock = Lock(self, f"the mmap lock of {address}", by_message=True)
        self.attributes = attributes = Attributes(start.uid, start.mode, start.size)
        self.opens = OpenCounts()
        self.leases = leases = LeaseList(self, kernel, self.opens)
        self.flocks = Flocks(address)
        self.mappings = mappings = Mappings(address)
        self.data = data = _data_of(mount)(self, kernel, mount, attributes, mappings, start.runs)
        self.transfers = transfers = Transfers(self, kernel, attributes, data)
        self.guard = guard = LayoutGuard(kernel, mount, attributes, leases, data.extents, mappings)
        self.memory = InodeMemory(kernel, iolock, mmaplock, attributes, leases, mappings, data, guard)
        self.remap = InodeRemap(address, self.pmem, kernel, iolock, mmaplock, attributes, data, guard)
        self.lease_calls = InodeLeases(kernel, iolock, mmaplock, leases, guard)
        self.data_calls = InodeData(kernel, iolock, mmaplock, attributes, leases, data, transfers, guard)
        self.names = InodeNames(address, iolock, attributes, leases)
        self.layouts = InodeLayouts(self, kernel, iolock, attributes, leases, data, guard)
        self.listing = InodeListing(kernel, leases, guard)
        self.mount = InodeMount(kernel, iolock, attributes, self.opens, mappings, data)
        self.evicted = False
        """No name and no user is left; the blocks are going back."""

    # Open and close.

    @handles(Open)
    def open(self, request: Open, _src: Address) -> Conversation[Done]:
        """open(2): the access counts before leases are asked, so a lease request sees it [2.3.2]."""
        access = request.flags & O_ACCMODE
        write = access != O_RDONLY
        if self.evicted:
            raise KernelError(errno.ENOENT)
        if request.flags & O_DIRECTORY and request.flags & O_TMPFILE != O_TMPFILE:
            raise KernelError(errno.ENOTDIR)
        if request.flags & O_PATH:
            self.opens.add(request.ofd, request.flags)
            return DONE
        writes = write or bool(request.flags & O_TRUNC)
        if not request.created:
            check(self.attributes, request.caller.fsuid, 4 * (access != O_WRONLY) | 2 * writes)
        self.opens.add(request.ofd, request.flags)
        try:
            nonblock = bool(request.flags & O_NONBLOCK)
            if self.leases.concern(LeaseKind.LEASE):
                yield Step(Changing())  # a lease request meets the count before the lease is broken
                yield from self.leases.break_conflicting(LeaseKind.LEASE, write=write, nonblock=nonblock)
            if request.flags & O_DIRECT and not self.data.takes_direct:
                raise KernelError(errno.EINVAL)
            if request.flags & O_TRUNC:
                yield from self._with_write_access(self._empty(request.caller))
        except KernelError:
            yield Widen(Changing())
            self.opens.remove(request.ofd)
            yield from self._evict_if_unused()
            raise
        return DONE

    @handles(Execute)
    def execute(self, request: Execute, src: Address) -> Conversation[Done]:
        """execve(2) of what is no program: an open for reading, then ETXTBSY if somebody has it open for writing."""
        check(self.attributes, request.caller.fsuid, 1)
        yield from self.open(Open(request.ofd, O_RDONLY, request.caller._replace(fsuid=0)), src)
        number = errno.ETXTBSY if self.opens.writers else errno.ENOEXEC
        yield from self._release(CloseFile(request.ofd, exiting=False))
        raise KernelError(number)

    @handles(CloseFile)
    def close(self, request: CloseFile, _src: Address) -> Conversation[Done]:
        """Release an open file description, which has mostly left nothing behind [1.3]."""
        if request.counted_only:
            if not self._leaves_something(request):
                self.opens.remove(request.ofd)
                return DONE
            yield Step(Changing())
        yield from self._release(request)
        return DONE

    def _leaves_something(self, request: CloseFile) -> bool:
        """Return whether more goes with a description than its count."""
        ofd = request.ofd
        if not self.attributes.has_name or ofd in self.flocks.held:
            return True
        left = any(record.ofd == ofd for record in self.leases.records)
        return left or not self.guard.lets_close(ofd, exiting=request.exiting)

    def _release(self, request: CloseFile) -> Conversation[None]:
        """Let go of leases, then of the count, then perhaps of the inode itself [1.3].

        The description is gone even if the policy has an error to report, or a fatal signal ended its wait.
        """
        error = yield from outcome(self.guard.ask_last_close(request.ofd, exiting=request.exiting))
        unlocked = self.flocks.drop(self, request.ofd)
        unleased = yield from self.leases.release(request.ofd)
        if unlocked or unleased:
            yield Step()  # who waited for that finds the file still open
        self.opens.remove(request.ofd)
        yield from self._evict_if_unused()
        if error is not None:
            raise error

    @handles(FlushFile)
    def flush(self, request: FlushFile, _src: Address) -> Conversation[Done]:
        """Ask the policy about the close of a descriptor, whose description may live on [1.2]."""
        yield from self.guard.ask_flush(CloseRequest(request.caller, request.ofd, request.last, request.exiting))
        return DONE

    @handles(OnlyPinned)
    def only_pinned(self, notice: OnlyPinned, _src: Address) -> Conversation[Done]:
        """Note that nobody can use the description of a lease any more, and ask what follows [1.5]."""
        for record in self.leases.records:
            record.zombie = record.zombie or record.ofd == notice.ofd
        yield from outcome(self.guard.ask_only_pinned(notice.ofd))
        return DONE

    @handles(DropInode)
    def drop_inode(self, _request: DropInode, _src: Address) -> Conversation[Done]:
        """Evict a file whose last name unlink(2) or rename(2) took, if nobody uses it [2.5]."""
        self.attributes.names_going -= 1
        yield from self._evict_if_unused()
        return DONE

    def _evict_if_unused(self) -> Conversation[None]:
        """Free the blocks of a file without name and users; 5.4 does not look at pins here [2.5, H7]."""
        if self.attributes.has_name:
            return
        if (yield Widen(Changing())) and self.attributes.has_name:
            return
        if self.opens.in_use or self.evicted:
            return
        self.evicted = True
        if self.kernel.generation.evict_waits:
            yield from self.data.wait_until_idle()
        yield from self.data.free(0)

    # Size.

    @handles(Truncate)
    def truncate(self, request: Truncate, _src: Address) -> Conversation[Done]:
        """truncate(2), ftruncate(2) [2.3.2, 2.5, steps of 2.7]."""
        if request.length < 0:
            raise KernelError(errno.EINVAL)
        if not request.by_path:
            yield from self.data_calls.set_size(request.length, request.caller)
            return DONE
        check(self.attributes, request.caller.fsuid, 2)
        yield from self._with_write_access(self._break_and_set_size(request))
        return DONE

    def _empty(self, caller: Caller) -> Conversation[None]:
        """Truncate for O_TRUNC, which counts as a writer before it has the lock [handle_truncate]."""
        yield Step(Locking())
        yield from self.data_calls.set_size(0, caller)

    def _break_and_set_size(self, request: Truncate) -> Conversation[None]:
        if self.leases.concern(LeaseKind.LEASE):
            yield Step(Changing())
            yield from self.leases.break_conflicting(LeaseKind.LEASE, write=True, nonblock=False)
        yield Step(Locking())
        yield from self.data_calls.set_size(request.length, request.caller)

    def _with_write_access(self, change: Conversation[None]) -> Conversation[None]:
        """Count as a writer, and keep the inode, while a file is truncated by name [2.1 step 6]."""
        self.opens.truncating += 1
        error = yield from outcome(change)
        self.opens.truncating -= 1
        yield from self._evict_if_unused()
        if error is not None:
            raise error

    # Attributes. A change of one holds the iolock, so it waits for a truncate that waits [2.5].

    @handles(SetAttributes)
    def set_attributes(self, request: SetAttributes, _src: Address) -> Conversation[Done]:
        """chmod(2), chown(2). Leases stay with who took them."""
        killable = self.kernel.generation.killable_file_locks
        with (yield from self.leases.lock_undelegated(self.iolock, killable=killable)):
            set_attributes(self.attributes, request)  # who may not has broken them too [code: notify_change]
        return DONE

    @handles(Touch)
    def touch(self, request: Touch, _src: Address) -> Conversation[Done]:
        """utimes(2), setxattr(2)."""
        with (yield from self.leases.lock_undelegated(self.iolock, partial(check_touch, self.attributes, request))):
            pass
        return DONE

    # For those who watch.

    def view(self) -> InodeView:
        """Return the inode as it is now, for those who watch."""
        return InodeView(
            self.attributes.size,
            self.attributes.nlink,
            self.data.extents.extents,
            tuple(self.mappings.views.values()),
            dict(self.opens.openers),
            self.opens.truncating,
            self.leases.views(),
            self.guard.state,
        )

    def in_the_way(self, caller: Caller, pins: tuple[Pin, ...]) -> Obstacles:
        """Return on what a truncate to nothing would now fail or wait, for those who judge [2.9]."""
        return self.listing.in_the_way(caller, pins)

    def layout_view(self, pins: tuple[Pin, ...]) -> LayoutView:
        """Return what a policy is shown, with pins that were found, for those who ask what an administrator sees."""
        return self.guard.view(pins)
