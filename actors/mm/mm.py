"""A memory map (``mm_struct``): mappings, page table, and the pages charged to RLIMIT_MEMLOCK [1.1, 1.8, 1.9].

A process has one, its threads share it; fork makes a copy, exec leaves it for a new one. What was pinned through it is
charged to it for as long as it is pinned, so it may outlive its process.

The process asks, and is answered when the last page is there: a fault inside a load is a conversation of this actor
with the inode. What others do to it from outside is installing entries, zapping them, and giving pinned pages back.
Nothing here ends with a signal but MADV_REMOVE, so of other calls none is passed on
(:class:`~longpin.actors.conversation.Uninterruptible`).

It is made of layers, each a module, of which this is the last: how mappings come into being, and fork(2).
"""

import errno

from longpin.actors.base import handles
from longpin.actors.constants import (
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_LOCKED,
    MAP_NONBLOCK,
    MAP_POPULATE,
    MAP_PRIVATE,
    MAP_SHARED,
    MAP_SHARED_VALIDATE,
    MAP_SYNC,
    MAP_TYPE,
    O_RDWR,
)
from longpin.actors.conversation import Call, Conversation, KernelError, outcome
from longpin.actors.fs.file import OpenFileDescription
from longpin.actors.kernel.machine import MOST_SIZE
from longpin.actors.mm.address_space import (
    NO_FILE,
    TASK_SIZE,
    VM_DONTCOPY,
    VM_LOCKED,
    VM_MAYWRITE,
    VM_WIPEONFORK,
    Mapping,
)
from longpin.actors.mm.faults import MOST_AT_ONCE
from longpin.actors.mm.remap import Remap
from longpin.actors.mm.shmem import SharedMemory
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.file import MapFile, MappedFile, Ref
from longpin.messages.fs.inode import AddMapping
from longpin.messages.fs.mapping import Memory
from longpin.messages.mm.memory import PageFrame
from longpin.messages.mm.mm import DupMmap, Mmap
from longpin.messages.mm.ram import ShareFrames
from longpin.messages.mm.ranges import InheritPtes, Mapped
from longpin.messages.process.process import File

LEGACY_MAP_MASK = 0x7C07_F9F3
"""The flags that MAP_SHARED_VALIDATE knows of every file [LEGACY_MAP_MASK, with the sizes of MAP_HUGE_2MB and _1GB]."""
MMAP_MIN_ADDR = 0x1_0000
"""Below only root may map [vm.mmap_min_addr]."""


class Mm(Remap):
    """The memory of one process."""

    # mmap(2).

    @handles(Mmap)
    def mmap(self, request: Mmap, _src: Address) -> Conversation[Mapped]:
        """mmap(2), of a file or of none, shared or private [1.8]."""
        length = self.kernel.pages(request.length) * self.kernel.page_size
        releases: list[File] = []
        with (yield self.mmap_lock.exclusive()):
            start = self._place(request, length)
            if request.flags & MAP_LOCKED:
                if request.memlock == 0:
                    raise KernelError(errno.EPERM)
                self._check_locked(length, request.memlock, errno.EAGAIN)
            mapping = yield from self._mapping(request, start, length)
            yield from self._unmap_range(start, start + length, releases)
            self.space.insert(mapping)
            if request.address:
                yield from self._join(start, start + length)
        if request.flags & MAP_LOCKED or request.flags & (MAP_POPULATE | MAP_NONBLOCK) == MAP_POPULATE:
            with (yield self.mmap_lock.shared()):
                yield from outcome(self._populate(start, start + length))
        return Mapped(start, tuple(releases))

    def _place(self, request: Mmap, length: int) -> int:
        """Return where a mapping goes: where it must, where it should if that is free, else above all others.

        Raises:
            KernelError: ENOMEM, EINVAL, EPERM, EEXIST: nothing can be mapped there.

        """
        wanted, page = request.address, self.kernel.page_size
        if request.flags & (MAP_FIXED | MAP_FIXED_NOREPLACE):
            if wanted > TASK_SIZE - length:
                raise KernelError(errno.ENOMEM)
            if wanted % page:
                raise KernelError(errno.EINVAL)
            if wanted < MMAP_MIN_ADDR and request.caller.uid:
                raise KernelError(errno.EPERM)
            if request.flags & MAP_FIXED_NOREPLACE and self.space.overlapping(wanted, wanted + length):
                raise KernelError(errno.EEXIST)
            return wanted
        wanted = self.kernel.pages(wanted) * page
        if MMAP_MIN_ADDR <= wanted <= TASK_SIZE - length and not self.space.overlapping(wanted, wanted + length):
            return wanted
        if self.space.top + length > TASK_SIZE:
            raise KernelError(errno.ENOMEM)
        return self.space.top

    def _mapping(self, r: Mmap, start: int, length: int) -> Conversation[Mapping]:
        """Check flags, file and offset in the kernel's order, have the file know, and return the mapping [do_mmap].

        Raises:
            KernelError: EOVERFLOW, EOPNOTSUPP, EACCES, ENODEV, EINVAL, or the policy's errno.

        """
        kind, first_page = r.flags & MAP_TYPE, r.offset // self.kernel.page_size
        if not r.file.ofd:
            if kind not in (MAP_SHARED, MAP_PRIVATE):
                raise KernelError(errno.EINVAL)
            number = self.space.next_number()
            if kind == MAP_SHARED:
                return self._shared(r, number, start, length)
            locked = VM_LOCKED if r.flags & MAP_LOCKED else 0
            page = start // self.kernel.page_size
            return Mapping(
                number, start, length, r.prot, r.flags, NO_FILE, page, VM_MAYWRITE | locked, Memory.ANONYMOUS
            )
        if r.file.kind == "file" and r.offset > MOST_SIZE - length:
            raise KernelError(errno.EOVERFLOW)
        if kind not in (MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE):
            raise KernelError(errno.EINVAL)
        if kind == MAP_SHARED_VALIDATE and r.flags & ~(LEGACY_MAP_MASK | MAP_SYNC | self._flags_of_policy()):
            raise KernelError(errno.EOPNOTSUPP)
        number = self.space.next_number()
        pages = length // self.kernel.page_size
        asked = MapFile(number, r.prot, r.flags, self.address, r.fd, r.caller, first_page, pages)
        mapped: MappedFile = yield Call(r.file.ofd, asked)
        vm_flags = VM_MAYWRITE if mapped.may_write or kind == MAP_PRIVATE else 0
        return Mapping(number, start, length, r.prot, r.flags, r.file, first_page, vm_flags, mapped.memory)

    def _flags_of_policy(self) -> int:
        """Return the flags of mmap(2) that a proposal adds."""
        return sum(self.kernel.policy.constants.get("mmap.flags", {}).values())

    def _shared(self, r: Mmap, number: int, start: int, length: int) -> Mapping:
        """Make memory that is shared with children to come, and return its mapping."""
        name = f"{self.address.partition(':')[2]}.{number}"
        backing, ofd = f"shmem:{name}", f"file:shmem.{name}"
        self.spawn(SharedMemory, backing, length // self.kernel.page_size, self.kernel.page_size)
        self.spawn(OpenFileDescription, ofd, backing, "shmem", O_RDWR)
        self.send(backing, AddMapping(self.address, number, r.prot, r.flags, ofd, r.caller))
        locked = VM_LOCKED if r.flags & MAP_LOCKED else 0
        file, vm_flags = File(ofd, backing, "shmem"), VM_MAYWRITE | locked
        return Mapping(number, start, length, r.prot, r.flags, file, 0, vm_flags, Memory.SHMEM)

    # fork(2).

    @handles(DupMmap)
    def dup_mmap(self, request: DupMmap, _src: Address) -> Conversation[Done]:
        """fork(2): make the child's memory map, before any mapping of it is known and may be zapped."""
        with (yield self.mmap_lock.exclusive()):
            copied = [mapping for mapping in self.space.mappings if not mapping.has(VM_DONTCOPY)]
            mappings = tuple(mapping._replace(vm_flags=mapping.vm_flags & ~VM_LOCKED) for mapping in copied)
            own = self._anonymous_entries(copied)
            self.spawn(type(self), request.child, self.kernel, mappings, bool(own))
            for mapping in mappings:
                if not mapping.anonymous:
                    yield Call(mapping.file.ofd, Ref())
                    yield Call(mapping.inode, self._copied(mapping, request))
            if own:
                yield from self._share_pages(copied, request.child)
        return DONE

    def _copied(self, mapping: Mapping, request: DupMmap) -> AddMapping:
        m = mapping
        return AddMapping(request.child, m.number, m.prot, m.flags, m.file.ofd, request.caller, parent=self.address)

    def _anonymous_entries(self, mappings: list[Mapping]) -> list[tuple[int, PageFrame]]:
        """Return the anonymous pages of mappings that a child gets, with their virtual page numbers."""
        return [
            (vpn, pte.frame)
            for mapping in mappings
            if mapping.private and not mapping.has(VM_WIPEONFORK)
            for vpn, pte in self.space.entries(mapping.start, mapping.end)
            if pte.anonymous
        ]

    def _share_pages(self, mappings: list[Mapping], child: Address) -> Conversation[None]:
        """Have the child's page table have anonymous pages too, which the next store copies [copy_page_range].

        A page that is pinned stays the parent's alone, or the device would go on with what the first to store leaves
        behind: the child gets a copy at once.
        """
        table, sees_pins = self.space.page_table, self.kernel.generation.copies_see_pins
        with (yield self.page_table_lock.exclusive()):
            own = self._anonymous_entries(mappings)  # a file system may have zapped some
            for start in range(0, max(len(own), 1), MOST_AT_ONCE):
                batch = own[start : start + MOST_AT_ONCE]
                pinned: set[PageFrame] = set()
                for memory in dict.fromkeys(frame.memory for _, frame in batch):
                    numbers = tuple(frame.number for _, frame in batch if frame.memory == memory)
                    found = yield Call(memory, ShareFrames(numbers, even_pinned=not sees_pins))
                    pinned |= {PageFrame(memory, number) for number in found.pinned}
                for vpn, frame in batch:
                    if frame not in pinned:
                        table[vpn] = table[vpn]._replace(writable=False, exclusive=False)
                shared = tuple(entry for entry in batch if entry[1] not in pinned)
                copied = tuple(entry for entry in batch if entry[1] in pinned)
                yield Call(child, InheritPtes(shared, copied, last=start + MOST_AT_ONCE >= len(own)))
