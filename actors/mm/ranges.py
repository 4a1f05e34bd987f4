"""What processes say of ranges of their memory: mprotect(2), madvise(2), mlock(2), msync(2) [1.8]."""

import errno
from functools import partial
from typing import NamedTuple

from longpin.actors.base import ActorPart, handles
from longpin.actors.constants import (
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
    MADV_COLD,
    MADV_DODUMP,
    MADV_DOFORK,
    MADV_DONTDUMP,
    MADV_DONTFORK,
    MADV_DONTNEED,
    MADV_DONTNEED_LOCKED,
    MADV_FREE,
    MADV_KEEPONFORK,
    MADV_NORMAL,
    MADV_PAGEOUT,
    MADV_POPULATE_READ,
    MADV_POPULATE_WRITE,
    MADV_RANDOM,
    MADV_REMOVE,
    MADV_SEQUENTIAL,
    MADV_WIPEONFORK,
    MAP_PRIVATE,
    MAP_TYPE,
    MS_INVALIDATE,
    PROT_READ,
    PROT_WRITE,
)
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.locks import Hold, Lock
from longpin.actors.mm.address_space import (
    VM_DONTCOPY,
    VM_DONTDUMP,
    VM_LOCKED,
    VM_MAYWRITE,
    VM_RAND_READ,
    VM_SEQ_READ,
    VM_WIPEONFORK,
    AddressSpace,
    Mapping,
    PageAccess,
    Pte,
)
from longpin.actors.mm.anonymous import AnonymousMemory
from longpin.actors.mm.areas import Areas
from longpin.actors.mm.faults import Faults
from longpin.actors.mm.huge_mappings import HugeMappings
from longpin.actors.mm.notifiers import Notifiers, at_once
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.file import FallocateFile
from longpin.messages.fs.mapping import Memory
from longpin.messages.mm.ranges import LockPages, Madvise, Mprotect, Msync
from longpin.messages.process.caller import Caller


class _Flags(NamedTuple):
    """What a piece of advice does to the flags of a mapping."""

    clear: int
    set: int = 0


FLAGS = {
    MADV_NORMAL: _Flags(VM_RAND_READ | VM_SEQ_READ),
    MADV_RANDOM: _Flags(VM_SEQ_READ, VM_RAND_READ),
    MADV_SEQUENTIAL: _Flags(VM_RAND_READ, VM_SEQ_READ),
    MADV_DONTFORK: _Flags(0, VM_DONTCOPY),
    MADV_DOFORK: _Flags(VM_DONTCOPY),
    MADV_WIPEONFORK: _Flags(0, VM_WIPEONFORK),
    MADV_KEEPONFORK: _Flags(VM_WIPEONFORK),
    MADV_DONTDUMP: _Flags(0, VM_DONTDUMP),
    MADV_DODUMP: _Flags(VM_DONTDUMP),
}
"""The advice that flags keep; other advice that is not done at once is a hint, and nothing comes of it."""
POPULATES = {MADV_POPULATE_READ: PageAccess.READ, MADV_POPULATE_WRITE: PageAccess.WRITE}


_NEVER_LOCKED = (Memory.FS_DAX, Memory.HUGETLB)
"""Memory that is never anywhere else, so that mlock(2) need not keep it [mlock_fixup]."""


class Ranges(ActorPart):
    """The calls that say something of a range: its protection, whether it is locked, what it will be used for."""

    def __init__(
        self,
        space: AddressSpace,
        mmap_lock: Lock,
        page_table_lock: Lock,
        anonymous: AnonymousMemory,
        huge: HugeMappings,
        faults: Faults,
        areas: Areas,
        notifiers: Notifiers,
    ) -> None:
        self.space = space
        self.mmap_lock = mmap_lock
        self.page_table_lock = page_table_lock
        self.anonymous = anonymous
        self.huge = huge
        self.faults = faults
        self.areas = areas
        self.notifiers = notifiers

    @handles(Mprotect)
    def mprotect(self, request: Mprotect, _src: Address) -> Conversation[Done]:
        """mprotect(2): mapping by mapping, until one may not have it or a page is not mapped."""
        with (yield self.mmap_lock.exclusive()):
            number = 0
            for mapping, start, end in self.space.pieces(request.start, request.end):
                if mapping is None:
                    number = errno.ENOMEM
                elif request.prot & PROT_WRITE and not mapping.has(VM_MAYWRITE):
                    number = errno.EACCES
                if mapping is None or number:
                    break
                if mapping.prot & ~request.prot & PROT_WRITE:
                    protect = at_once(partial(self.space.protect, start, end))
                    yield from self.notifiers.around([(start, end)], protect)
                yield from self.areas.change(mapping, start, end, prot=request.prot, vm_flags=mapping.vm_flags)
            yield from self.areas.join(request.start, request.end)
        if number:
            raise KernelError(number)
        return DONE

    # Locked pages.

    @handles(LockPages)
    def lock_pages(self, request: LockPages, _src: Address) -> Conversation[Done]:
        """mlock(2) faults in what it locks; munlock(2) does the opposite, and takes no limit into account."""
        start, end, number = request.start, request.end, 0
        with (yield self.mmap_lock.exclusive()):
            pieces = list(self.space.pieces(start, end))
            if request.lock:
                known = sum(its[2] - its[1] for its in pieces if its[0] is not None and its[0].has(VM_LOCKED))
                self.areas.check_locked(end - start - known, request.memlock, errno.ENOMEM)
            for mapping, begin, stop in pieces:
                if mapping is None:
                    number = errno.ENOMEM
                    break
                flags = mapping.vm_flags & ~VM_LOCKED
                if request.lock and mapping.memory not in _NEVER_LOCKED:
                    flags |= VM_LOCKED
                yield from self.areas.change(mapping, begin, stop, prot=mapping.prot, vm_flags=flags)
            yield from self.areas.join(start, end)
        if number:
            raise KernelError(number)
        if request.lock:
            with (yield self.mmap_lock.shared()):
                try:
                    yield from self.faults.populate(start, end)
                except KernelError as error:
                    raise KernelError(errno.ENOMEM if error.errno == errno.EFAULT else errno.EAGAIN) from None
        return DONE

    # Advice.

    @handles(Madvise)
    def madvise(self, request: Madvise, _src: Address) -> Conversation[Done]:
        """madvise(2): mapping by mapping, over what is not mapped, which makes it ENOMEM in the end."""
        advice, number = request.advice, 0
        if advice in POPULATES:
            yield from self._populate_all(request)
            return DONE
        with (yield self.mmap_lock.exclusive()) as hold:
            address = request.start
            while address < request.end:
                mapping, start, end = next(self.space.pieces(address, request.end))
                if mapping is None:
                    number = errno.ENOMEM
                elif advice == MADV_REMOVE:
                    yield from self._remove(mapping, start, end, request.caller, hold)
                else:
                    yield from self._advise(mapping, start, end, advice)
                address = end
            yield from self.areas.join(request.start, request.end)
        if number:
            raise KernelError(number)
        return DONE

    def _advise(self, mapping: Mapping, start: int, end: int, advice: int) -> Conversation[None]:
        """Do what is advised of a part of a mapping.

        Raises:
            KernelError: EINVAL, not of this mapping.

        """
        own = mapping.private and mapping.anonymous
        locked = advice in (MADV_DONTNEED, MADV_FREE, MADV_COLD, MADV_PAGEOUT) and mapping.has(VM_LOCKED)
        if locked or (advice in (MADV_FREE, MADV_WIPEONFORK) and not own):
            raise KernelError(errno.EINVAL)
        if mapping.huge:
            if advice in (MADV_COLD, MADV_PAGEOUT):
                raise KernelError(errno.EINVAL)
            if advice in (MADV_DONTNEED, MADV_DONTNEED_LOCKED):
                if start % self.huge.size:
                    raise KernelError(errno.EINVAL)
                end -= end % self.huge.size  # what is left of a huge page stays [madvise_dontneed_free_valid_vma]
        if advice in (MADV_DONTNEED, MADV_DONTNEED_LOCKED):
            dropped = yield from self.notifiers.around([(start, end)], self._clear(start, end))
            yield from self.anonymous.drop(dropped)
            if mapping.huge:
                yield from self.huge.restore(start, end)
        elif (flags := FLAGS.get(advice)) is not None:
            wanted = mapping.vm_flags & ~flags.clear | flags.set
            yield from self.areas.change(mapping, start, end, prot=mapping.prot, vm_flags=wanted)

    def _clear(self, start: int, end: int) -> Conversation[list[Pte]]:
        with (yield self.page_table_lock.exclusive()):
            return self.space.clear(start, end)

    def _remove(self, mapping: Mapping, start: int, end: int, caller: Caller, hold: Hold) -> Conversation[None]:
        """Punch a hole into the file, as fallocate(2) does, with the mmap lock dropped [madvise_remove].

        Raises:
            KernelError: EINVAL, there is no file; EACCES, it is not mapped shared, or could not be written to; or what
                fallocate fails with.

        """
        if mapping.has(VM_LOCKED) or mapping.anonymous:
            raise KernelError(errno.EINVAL)
        if mapping.flags & MAP_TYPE == MAP_PRIVATE or not mapping.has(VM_MAYWRITE):
            raise KernelError(errno.EACCES)
        offset = self.space.page_of(mapping, start) * self.space.page_size
        mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
        hold.drop()
        yield Call(mapping.file.ofd, FallocateFile(mode, offset, end - start, caller))
        yield hold.retake()

    def _populate_all(self, request: Madvise) -> Conversation[None]:
        """Fault in a range, as loads or stores would.

        Raises:
            KernelError: ENOMEM for what is not mapped, EINVAL where a mapping does not allow it, EFAULT for what would
                be a SIGBUS.

        """
        access = POPULATES[request.advice]
        with (yield self.mmap_lock.shared()):
            for mapping, start, end in self.space.pieces(request.start, request.end):
                if mapping is None:
                    raise KernelError(errno.ENOMEM)
                if not mapping.prot & (PROT_WRITE if access is PageAccess.WRITE else PROT_READ):
                    raise KernelError(errno.EINVAL)
                yield from self.faults.populate(start, end, access)

    @handles(Msync)
    def msync(self, request: Msync, _src: Address) -> Conversation[Done]:
        """msync(2): what was stored is in the file already."""
        with (yield self.mmap_lock.shared()):
            number = 0
            for mapping, _, _ in self.space.pieces(request.start, request.end):
                if mapping is None:
                    number = errno.ENOMEM
                elif request.flags & MS_INVALIDATE and mapping.has(VM_LOCKED):
                    raise KernelError(errno.EBUSY)
        if number:
            raise KernelError(number)
        return DONE
