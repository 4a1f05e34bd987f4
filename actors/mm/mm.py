"""A memory map (``mm_struct``): mappings, page table, and the pages charged to RLIMIT_MEMLOCK [1.1, 1.8, 1.9].

A process has one, its threads share it; fork makes a copy, exec leaves it for a new one. What was pinned through it is
charged to it for as long as it is pinned, so it may outlive its process.

The process asks, and is answered when the last page is there: a fault inside a load is a conversation of this actor
with the inode. What others do to it from outside is installing entries, zapping them, and giving pinned pages back.
Nothing here ends with a signal, so none is passed on (:class:`~longpin.actors.conversation.Uninterruptible`).
"""

import errno
from typing import NamedTuple

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.constants import MAP_SHARED, PROT_READ, PROT_WRITE, SIGBUS, SIGSEGV
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.kernel.machine import MOST_SIZE, Kernel
from longpin.actors.locks import Hold, Lock
from longpin.actors.mm.address_space import TASK_SIZE, AddressSpace, Mapping, Pte
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.file import Data, MapFile, Put, Ref
from longpin.messages.fs.inode import AddMapping, AskPin, Fault, RemoveMapping, SplitMapping
from longpin.messages.fs.mapping import MappingView, PinRequest
from longpin.messages.mm.memory import ZERO_PAGE, Load, PageFrame, PinFrames, PinnedPage, Store, runs_of
from longpin.messages.mm.mm import (
    DupMmap,
    ExitMmap,
    Faulted,
    GetUserPages,
    InstallPtes,
    LoadBytes,
    Mmap,
    Munmap,
    StoreBytes,
    Uncharge,
    Unmapped,
    UserPages,
    Zap,
)
from longpin.messages.process.process import File

MAP_TYPE, MAP_SHARED_VALIDATE = 0xF, 3
"""The bits of the flags that say which kind of mapping it is, and the other value that is a shared one."""


class _FaultError(Exception):
    """An access that ends in a signal."""

    def __init__(self, signo: int) -> None:
        super().__init__(signo)
        self.signo = signo


class _Held(NamedTuple):
    """What one request for pages has got hold of beside them."""

    ofds: list[Address]
    """Open file descriptions on which a reference was taken."""
    inodes: list[Address]
    """Inodes that are to be told of the end."""
    asked: list[PinRequest]
    """What was asked of the policy for the pages that are pinned."""


class Mm(Actor):
    """The memory of one process.

    Locks are taken in the order mmap lock, the inode's mmap lock (in a fault), page table lock.
    """

    def __init__(self, engine: Engine, address: Address, kernel: Kernel, mappings: tuple[Mapping, ...] = ()) -> None:
        super().__init__(engine, address)
        self.kernel = kernel
        self.space = AddressSpace(kernel.page_size, mappings)
        self.pinned_vm = 0
        """Pages that are pinned and were charged here; a child begins at 0 [1.1]."""
        self.mmap_lock = Lock(self, f"the mmap lock of {address}")
        """Exclusive while mappings change, shared while something relies on them."""
        self.page_table_lock = Lock(self, f"the page table lock of {address}")

    def maps(self, ofd: Address) -> bool:
        """Return whether a mapping holds an open file description, for those who watch."""
        return any(mapping.file.ofd == ofd for mapping in self.space.mappings)

    # Mappings.

    @handles(Mmap)
    def mmap(self, request: Mmap, _src: Address) -> Conversation[Done]:
        """mmap(2) of a file, shared [1.8]."""
        page_size = self.kernel.page_size
        length = self.kernel.pages(request.length) * page_size
        with (yield self.mmap_lock.exclusive()):
            if self.space.top + length > TASK_SIZE:
                raise KernelError(errno.ENOMEM)
            if request.file.kind == "file" and request.offset > MOST_SIZE - length:
                raise KernelError(errno.EOVERFLOW)
            if request.flags & MAP_TYPE not in (MAP_SHARED, MAP_SHARED_VALIDATE):
                raise KernelError(errno.EINVAL)
            number = self.space.next_number()
            yield Call(
                request.file.ofd, MapFile(number, request.prot, request.flags, self.address, request.fd, request.caller)
            )
            first_page = request.offset // page_size
            mapping = self.space.add(length, request.prot, request.flags, request.file, first_page, number)
        return Done(mapping.start)

    @handles(Munmap)
    def munmap(self, request: Munmap, _src: Address) -> Conversation[Unmapped]:
        """munmap(2). What is pinned stays pinned [1.9]."""
        start, end = request.start, request.end
        releases: list[File] = []
        with (yield self.mmap_lock.exclusive()):
            for mapping in self.space.overlapping(start, end):
                if mapping.start >= start and mapping.end <= end:
                    yield from self._unmap(mapping, releases)
                    continue
                number = 0
                if mapping.start < start and end < mapping.end:  # two are left, and each holds the file
                    number = self.space.next_number()
                    yield Call(mapping.file.ofd, Ref())
                    yield Call(mapping.inode, SplitMapping(self.address, mapping.number, number))
                self.space.cut(mapping, max(start, mapping.start), min(end, mapping.end), number)
        return Unmapped(tuple(releases))

    @handles(ExitMmap)
    def exit_mmap(self, _request: ExitMmap, _src: Address) -> Conversation[Unmapped]:
        """Drop every mapping: the process has gone, or goes on with another program [1.1]."""
        releases: list[File] = []
        with (yield self.mmap_lock.exclusive()):
            for mapping in list(self.space.mappings):
                yield from self._unmap(mapping, releases)
        return Unmapped(tuple(releases))

    def _unmap(self, mapping: Mapping, releases: list[File]) -> Conversation[None]:
        """Remove a mapping; if its reference was the file's last, that is to be released."""
        self.space.remove(mapping)
        yield Call(mapping.inode, RemoveMapping(self.address, mapping.number))
        if (yield Call(mapping.file.ofd, Put())).last:
            releases.append(mapping.file)

    @handles(DupMmap)
    def dup_mmap(self, request: DupMmap, _src: Address) -> Conversation[Done]:
        """fork(2): make the child's memory map, before any mapping of it is known and may be zapped."""
        with (yield self.mmap_lock.exclusive()):
            mappings = tuple(self.space.mappings)
            self.spawn(type(self), request.child, self.kernel, mappings)
            for mapping in mappings:
                yield Call(mapping.file.ofd, Ref())
                yield Call(mapping.inode, self._copied(mapping, request))
        return DONE

    def _copied(self, mapping: Mapping, request: DupMmap) -> AddMapping:
        m = mapping
        return AddMapping(request.child, m.number, m.prot, m.flags, m.file.ofd, request.caller, parent=self.address)

    # The CPU.

    @handles(LoadBytes)
    def load(self, request: LoadBytes, _src: Address) -> Conversation[Data | Faulted]:
        """Read memory, page by page."""
        address, left, data = request.address, request.length, b""
        try:
            with (yield self.mmap_lock.shared()):
                while left > 0:
                    hold, frame, inside = yield from self._touch(address, write=False)
                    part = min(left, self.kernel.page_size - inside)
                    with hold:
                        if frame == ZERO_PAGE:
                            data += bytes(part)
                        else:
                            access = Load(frame.number, inside, part, self._inode_at(address))
                            data += (yield Call(frame.memory, access)).data
                    address, left = address + part, left - part
        except _FaultError as fault:
            return Faulted(fault.signo)
        return Data(data)

    @handles(StoreBytes)
    def store(self, request: StoreBytes, _src: Address) -> Conversation[Done | Faulted]:
        """Write memory, page by page; what was written before a fault is written."""
        address, left = request.address, request.data
        try:
            with (yield self.mmap_lock.shared()):
                while left:
                    hold, frame, inside = yield from self._touch(address, write=True)
                    part = min(len(left), self.kernel.page_size - inside)
                    with hold:
                        yield Call(frame.memory, Store(frame.number, inside, left[:part], self._inode_at(address)))
                    address, left = address + part, left[part:]
        except _FaultError as fault:
            return Faulted(fault.signo)
        return DONE

    def _inode_at(self, address: int) -> Address:
        """Return the file that is mapped at an address."""
        mapping = self.space.find(address)
        return "" if mapping is None else mapping.inode

    def _touch(self, address: int, *, write: bool) -> Conversation[tuple[Hold, PageFrame, int]]:
        """Make a byte accessible; the page table lock is held on return, so it stays so.

        Raises:
            _FaultError: SIGSEGV outside of mappings that allow it, SIGBUS beyond the end of the file.

        """
        mapping = self.space.find(address)
        if mapping is None or not mapping.prot & (PROT_WRITE if write else PROT_READ | PROT_WRITE):
            raise _FaultError(SIGSEGV)
        try:
            hold, frames = yield from self._fault_in(mapping, address, 1, write=write)
        except KernelError as error:
            raise (_FaultError(SIGBUS) if error.errno == errno.EFAULT else error) from None
        return hold, frames[0], address % self.kernel.page_size

    def _fault_in(
        self, mapping: Mapping, address: int, pages: int, *, write: bool
    ) -> Conversation[tuple[Hold, list[PageFrame]]]:
        """Return the frames of one or more of the pages from ``address`` on, with the page table lock held [1.9].

        It faults until there is an entry for the first one, and has faults of pages behind it served with it.
        """
        vpn = address // self.kernel.page_size
        while True:
            hold: Hold = yield self.page_table_lock.exclusive()
            if frames := self.space.present(vpn, pages, write=write):
                return hold, frames
            absent = self.space.absent(vpn, pages, write=write)
            hold.drop()
            yield Call(mapping.inode, Fault(mapping.number, vpn, self.space.page_of(mapping, address), absent, write))

    # The page table, from outside.

    @handles(InstallPtes)
    def install(self, request: InstallPtes, _src: Address) -> Conversation[Done]:
        """Enter pages for the fault handler."""
        with (yield self.page_table_lock.exclusive()):
            for index, frame in enumerate(request.frames):
                self.space.page_table[request.vpn + index] = Pte(frame, request.writable)
        return DONE

    @handles(Zap)
    def zap(self, request: Zap, _src: Address) -> Conversation[Done]:
        """Remove the entries of a range of a file for the file system."""
        with (yield self.page_table_lock.exclusive()):
            self.space.zap(request.inode, request.first, request.last)
        return DONE

    # Pins.

    @handles(Uncharge)
    def uncharge(self, request: Uncharge, _src: Address) -> Done:
        """Give pinned pages back."""
        self.pinned_vm -= request.pages
        return DONE

    @handles(GetUserPages)
    def get_user_pages(self, request: GetUserPages, _src: Address) -> Conversation[UserPages]:
        """Fault pages in, ask for leave, take references; fewer are an answer, none is an error [1.9, 2.6 step 5]."""
        self._charge(request)
        pinned: list[PinnedPage] = []
        held = _Held([], [], [])
        address, left = request.address, request.pages
        try:
            with (yield self.mmap_lock.shared()):
                while left:
                    more = yield from self._pin_run(request, address, left, held)
                    pinned += more
                    address, left = address + len(more) * self.kernel.page_size, left - len(more)
        except KernelError:
            if not pinned:
                self.pinned_vm -= request.charge
                raise
        return UserPages(tuple(runs_of(pinned)), tuple(held.ofds), tuple(held.inodes), self._refused_late(held))

    def _refused_late(self, held: _Held) -> int:
        """Return the errno of a look at the mappings after their pages were pinned [4.0: check_dax_vmas]."""
        if not self.kernel.generation.late_longterm_check:
            return 0
        numbers = (self.kernel.policy.longterm_gate(wanted) for wanted in held.asked if wanted.longterm)
        return next((number for number in numbers if number), 0)

    def _charge(self, request: GetUserPages) -> None:
        """Count pages against RLIMIT_MEMLOCK before anything else is looked at [2.6 steps 3 and 4]."""
        if request.charge and request.memlock == 0:
            raise KernelError(errno.EPERM)
        if 0 < request.memlock < (self.pinned_vm + request.charge) * self.kernel.page_size:
            raise KernelError(errno.ENOMEM)
        self.pinned_vm += request.charge

    def _pin_run(self, request: GetUserPages, address: int, pages: int, held: _Held) -> Conversation[list[PinnedPage]]:
        """Pin one or more of the pages from ``address`` on, those that one request to the inode and one to memory do.

        Asking for the lease and taking the references are two steps: the lease may go in between [2.7].
        """
        mapping = self.space.find(address)
        if mapping is None:
            raise KernelError(errno.EFAULT)
        view = MappingView(self.address, mapping.number, mapping.prot, mapping.flags, mapping.file.ofd)
        r = request
        wanted = PinRequest(r.caller, view, r.longterm, r.write, r.owner, r.context)
        early = request.longterm and not self.kernel.generation.late_longterm_check
        if early and (number := self.kernel.policy.longterm_gate(wanted)):
            raise KernelError(number)
        if not mapping.prot & (PROT_WRITE if request.write else PROT_READ):
            raise KernelError(errno.EFAULT)
        pages = min(pages, (mapping.end - address) // self.kernel.page_size)
        page = self.space.page_of(mapping, address)
        hold, frames = yield from self._fault_in(mapping, address, pages, write=request.write)
        with hold:
            held.asked.append(wanted)
            if frames[0] == ZERO_PAGE:  # no page of the file, so nobody asks for leases or waits for it
                return [PinnedPage(ZERO_PAGE, 0, mapping.inode, page)]
            memory = frames[0].memory
            run = next((index for index, frame in enumerate(frames) if frame.memory != memory), len(frames))
            allowed = yield Call(mapping.inode, AskPin(wanted))
            if allowed.attached and mapping.inode not in held.inodes:
                held.inodes.append(mapping.inode)
            if allowed.hold and allowed.hold not in (*request.holds, *held.ofds):
                yield Call(allowed.hold, Ref(pin=True))
                held.ofds.append(allowed.hold)
            numbers = tuple(frame.number for frame in frames[:run])
            who, hold_on = r.caller.process, allowed.hold
            take = PinFrames(numbers, mapping.inode, page, r.longterm, r.owner, r.context, who, hold_on)
            generations = (yield Call(memory, take)).generations
        return [
            PinnedPage(frame, generation, mapping.inode, page + index)
            for index, (frame, generation) in enumerate(zip(frames, generations, strict=False))
        ]
