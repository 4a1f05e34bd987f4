"""mmap(2): how mappings come into being, of a file or of none, shared or private [1.8]."""

import errno

from longpin.actors.base import Actor, ActorPart, handles
from longpin.actors.constants import (
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_HUGETLB,
    MAP_LOCKED,
    MAP_NONBLOCK,
    MAP_NORESERVE,
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
from longpin.actors.kernel.machine import MOST_SIZE, Kernel, require
from longpin.actors.locks import Lock
from longpin.actors.mm.address_space import NO_FILE, TASK_SIZE, VM_LOCKED, VM_MAYWRITE, AddressSpace, Mapping
from longpin.actors.mm.areas import Areas
from longpin.actors.mm.faults import Faults
from longpin.actors.mm.huge_mappings import HugeMappings
from longpin.actors.mm.hugetlb_file import HugetlbFile
from longpin.actors.mm.shmem import SharedMemory
from longpin.actors.policies.views import MmapCall
from longpin.messages.envelope import Address
from longpin.messages.fs.file import MapFile, MappedFile, Put, Release
from longpin.messages.fs.inode import AddMapping
from longpin.messages.fs.mapping import Memory
from longpin.messages.mm.hugetlb import HUGE_PAGES, UnreserveHugePages
from longpin.messages.mm.mm import Mmap
from longpin.messages.mm.ranges import Mapped
from longpin.messages.process.process import File

LEGACY_MAP_MASK = 0x7C07_F9F3
"""The flags that MAP_SHARED_VALIDATE knows of every file [LEGACY_MAP_MASK, with the sizes of MAP_HUGE_2MB and _1GB]."""
MAP_HUGE_SHIFT, MAP_HUGE_MASK = 26, 0x3F
"""Where the size of huge pages stands in the flags of mmap(2), as the power of two that it is."""
KNOWN_SIZES = (21, 30)
"""Those of x86-64: 2 MiB and 1 GiB."""
MMAP_MIN_ADDR = 0x1_0000
"""Below only root may map [vm.mmap_min_addr]."""


class NewMappings(ActorPart):
    """The call that makes a mapping, and the memory behind one that is shared and no file's."""

    def __init__(
        self,
        actor: Actor,
        kernel: Kernel,
        space: AddressSpace,
        mmap_lock: Lock,
        huge: HugeMappings,
        faults: Faults,
        areas: Areas,
    ) -> None:
        self.actor = actor
        self.kernel = kernel
        self.space = space
        self.mmap_lock = mmap_lock
        self.huge = huge
        self.faults = faults
        self.areas = areas

    @handles(Mmap)
    def mmap(self, request: Mmap, _src: Address) -> Conversation[Mapped]:
        """mmap(2), of a file or of none, shared or private [1.8]."""
        length = self.kernel.pages(request.length) * self.kernel.page_size
        if _is_huge(request):
            length = self.huge.round_up(length)
        releases: list[File] = []
        made: list[Mapping] = []
        with (yield self.mmap_lock.exclusive()):
            start = self._place(request, length)
            if request.flags & MAP_LOCKED:
                if request.memlock == 0:
                    raise KernelError(errno.EPERM)
                self.areas.check_locked(length, request.memlock, errno.EAGAIN)
            self.huge.check_ends(self.space.overlapping(start, start + length), start, start + length)
            error = yield from outcome(self._keep(made, self._mapping(request, start, length, releases)))
            for mapping in made:
                yield from self.areas.unmap_range(start, start + length, releases)
                self.space.insert(mapping)
                self.huge.own(mapping)
                if request.address:
                    yield from self.areas.join(start, start + length)
        if error is not None:
            for file in releases:  # of what made room for it
                yield Call(file.ofd, Release(exiting=False))
            raise error
        if request.flags & MAP_LOCKED or request.flags & (MAP_POPULATE | MAP_NONBLOCK) == MAP_POPULATE:
            with (yield self.mmap_lock.shared()):
                yield from outcome(self.faults.populate(start, start + length))
        return Mapped(start, tuple(releases))

    def _place(self, request: Mmap, length: int) -> int:
        """Return where a mapping goes: where it must, where it should if that is free, else above all others.

        Raises:
            KernelError: ENOMEM, EINVAL, EPERM, EEXIST: nothing can be mapped there.

        """
        wanted, page = request.address, self.huge.size if _is_huge(request) else self.kernel.page_size
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
        wanted = -(-wanted // page) * page
        if MMAP_MIN_ADDR <= wanted <= TASK_SIZE - length and not self.space.overlapping(wanted, wanted + length):
            return wanted
        top = -(-self.space.top // page) * page
        if top + length > TASK_SIZE:
            raise KernelError(errno.ENOMEM)
        return top

    def _mapping(self, r: Mmap, start: int, length: int, releases: list[File]) -> Conversation[Mapping]:
        """Check flags, file and offset in the kernel's order, have the file know, and return the mapping [do_mmap].

        Raises:
            KernelError: EOVERFLOW, EOPNOTSUPP, EACCES, ENODEV, EINVAL, or the policy's errno.

        """
        kind, first_page = r.flags & MAP_TYPE, r.offset // self.kernel.page_size
        if not r.file.ofd:
            if kind not in (MAP_SHARED, MAP_PRIVATE):
                raise KernelError(errno.EINVAL)
            self._ask(r)
            if r.flags & MAP_HUGETLB:
                return (yield from self._anonymous_huge(r, start, length, releases))
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
        known = LEGACY_MAP_MASK | MAP_SYNC | (self._flags_of_policy() if r.file.kind == "file" else 0)
        if kind == MAP_SHARED_VALIDATE and r.flags & ~known:
            raise KernelError(errno.EOPNOTSUPP)
        self._ask(r)
        if r.file.kind == "hugetlb":
            return (yield from self._huge(r, r.file, start, length, releases))
        number = self.space.next_number()
        pages = length // self.kernel.page_size
        asked = MapFile(number, r.prot, r.flags, self.actor.address, r.fd, r.caller, first_page, pages)
        mapped: MappedFile = yield Call(r.file.ofd, asked)
        vm_flags = VM_MAYWRITE if mapped.may_write or kind == MAP_PRIVATE else 0
        return Mapping(number, start, length, r.prot, r.flags, r.file, first_page, vm_flags, mapped.memory)

    def _ask(self, r: Mmap) -> None:
        """Have the policy look at the arguments.

        Raises:
            KernelError: its errno.

        """
        kind = r.file.kind if r.file.ofd else ""
        require(self.kernel.policy.mmap_call_gate(MmapCall(r.caller, r.prot, r.flags, kind)))

    def _flags_of_policy(self) -> int:
        """Return the flags of mmap(2) that a proposal adds."""
        return sum(self.kernel.policy.constants.get("mmap.flags", {}).values())

    def _shared(self, r: Mmap, number: int, start: int, length: int) -> Mapping:
        """Make memory that is shared with children to come, and return its mapping."""
        name = f"{self.actor.address.partition(':')[2]}.{number}"
        backing, ofd = f"shmem:{name}", f"file:shmem.{name}"
        self.actor.spawn(SharedMemory, backing, length // self.kernel.page_size, self.kernel.page_size)
        self.actor.spawn(OpenFileDescription, ofd, backing, "shmem", O_RDWR)
        self.actor.send(backing, AddMapping(self.actor.address, number, r.prot, r.flags, ofd, r.caller))
        locked = VM_LOCKED if r.flags & MAP_LOCKED else 0
        file, vm_flags = File(ofd, backing, "shmem"), VM_MAYWRITE | locked
        return Mapping(number, start, length, r.prot, r.flags, file, 0, vm_flags, Memory.SHMEM)

    def _anonymous_huge(self, r: Mmap, start: int, length: int, releases: list[File]) -> Conversation[Mapping]:
        """Make a file of huge pages for memory that is no file's, and return its mapping [hugetlb_file_setup].

        Raises:
            KernelError: EINVAL, there are none of that size; ENOMEM, or no more.

        """
        wanted = r.flags >> MAP_HUGE_SHIFT & MAP_HUGE_MASK
        if wanted and 1 << wanted != self.huge.size:
            raise KernelError(errno.ENOMEM if wanted in KNOWN_SIZES else errno.EINVAL)
        if not self.kernel.huge_pages:
            raise KernelError(errno.ENOMEM)
        name = f"{self.actor.address.partition(':')[2]}.{self.space.numbers + 1}"
        backing, ofd = f"hugetlb:{name}", f"file:hugetlb.{name}"
        self.actor.spawn(HugetlbFile, backing, self.kernel, r.caller.fsuid, ofd, length)
        self.actor.spawn(OpenFileDescription, ofd, backing, "hugetlb", O_RDWR)
        file = File(ofd, backing, "hugetlb")
        made: list[Mapping] = []
        error = yield from outcome(self._keep(made, self._huge(r, file, start, length, releases)))
        # The description is the mapping's alone: who made it lets go.
        if (yield Call(ofd, Put())).last:
            yield Call(ofd, Release(exiting=False))
        if error is not None:
            raise error
        return made[0]

    @staticmethod
    def _keep(made: list[Mapping], mapping: Conversation[Mapping]) -> Conversation[None]:
        made.append((yield from mapping))

    def _huge(self, r: Mmap, file: File, start: int, length: int, releases: list[File]) -> Conversation[Mapping]:
        """Map a file of huge pages; a private mapping has as many promised [hugetlbfs_file_mmap].

        What was mapped there goes first, with what was promised to it, even if the new mapping fails [meas 6.18].

        Raises:
            KernelError: EACCES; EINVAL, the offset is in the middle of one; ENOMEM, there are not so many left.

        """
        number, private = self.space.next_number(), r.flags & MAP_TYPE == MAP_PRIVATE
        first_page, pages = r.offset // self.kernel.page_size, length // self.kernel.page_size
        reserves = private and not r.flags & MAP_NORESERVE
        yield from self.areas.unmap_range(start, start + length, releases)
        if first_page % self.huge.frames:
            raise KernelError(errno.EINVAL)
        if reserves:
            yield from self.huge.reserve(length)
        asked = MapFile(number, r.prot, r.flags, self.actor.address, r.fd, r.caller, first_page, pages)
        try:
            mapped: MappedFile = yield Call(file.ofd, asked)
        except KernelError:
            if reserves:
                yield Call(HUGE_PAGES, UnreserveHugePages(pages // self.huge.frames))
            raise
        vm_flags = VM_MAYWRITE if mapped.may_write or private else 0
        return Mapping(number, start, length, r.prot, r.flags, file, first_page, vm_flags, mapped.memory)


def _is_huge(r: Mmap) -> bool:
    """Return whether a mapping is to be of huge pages."""
    return r.file.kind == "hugetlb" or (not r.file.ofd and bool(r.flags & MAP_HUGETLB))
