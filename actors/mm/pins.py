"""get_user_pages: references on the pages of a memory map, and what RLIMIT_MEMLOCK says of them [1.9, 2.6]."""

import errno
from typing import NamedTuple

from longpin.actors.base import ActorPart, handles
from longpin.actors.constants import PROT_READ, PROT_WRITE
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.kernel.generation import Generation
from longpin.actors.kernel.machine import Kernel, require
from longpin.actors.locks import Lock
from longpin.actors.mm.address_space import AddressSpace, Mapping, PageAccess, Pte
from longpin.actors.mm.areas import Areas
from longpin.actors.mm.faults import Faults
from longpin.actors.policies.decisions import Fail
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.file import Ref
from longpin.messages.fs.inode import AskPin
from longpin.messages.fs.mapping import MappingView, Memory, PinRequest
from longpin.messages.mm.memory import ZERO_PAGE, PinFrames, Pinned, PinnedPage, runs_of
from longpin.messages.mm.mm import ChargePinned, GetUserPages, GetVaddrFrames, PinLookup, Uncharge, UserPages

MOST_AT_ONCE = 512
"""Pages on which one message to a memory takes references."""


class _Held(NamedTuple):
    """What one request for pages has got hold of beside them."""

    ofds: list[Address]
    """Open file descriptions on which a reference was taken."""
    inodes: list[Address]
    """Inodes that are to be told of the end."""
    asked: list[PinRequest]
    """What was asked of the policy for the pages that are pinned."""
    mappings: list[Mapping]
    """Those of the pages that are pinned."""
    compounds: dict[Address, int]
    """How many frames a compound page has, by memory, where there are such."""


class Pins(ActorPart):
    """The pins that are taken through a memory map, and how many pages of it are charged for them."""

    def __init__(
        self, mm: Address, kernel: Kernel, space: AddressSpace, mmap_lock: Lock, faults: Faults, areas: Areas
    ) -> None:
        self.mm = mm
        """The memory map itself, as inodes know it."""
        self.kernel = kernel
        self.space = space
        self.mmap_lock = mmap_lock
        self.faults = faults
        self.areas = areas
        self.pinned_vm = 0
        """Pages that are pinned and were charged here; a child begins at 0 [1.1]."""

    @handles(ChargePinned)
    def charge_pinned(self, request: ChargePinned, _src: Address) -> Done:
        """Count pages for a driver."""
        self.pinned_vm += request.pages
        return DONE

    @handles(Uncharge)
    def uncharge(self, request: Uncharge, _src: Address) -> Done:
        """Give pinned pages back."""
        self.pinned_vm -= request.pages
        self.areas.locked_for_devices -= request.locked
        return DONE

    @handles(GetUserPages)
    def get_user_pages(self, request: GetUserPages, _src: Address) -> Conversation[UserPages]:
        """Fault pages in, ask for leave, take references; fewer are an answer, none is an error [1.9, 2.6 step 5]."""
        self._charge(request)
        pinned: list[PinnedPage] = []
        held = _Held([], [], [], [], {})
        address, left = request.address, request.pages
        locked = over = 0
        try:
            with (yield self.mmap_lock.shared()):
                while left and not over:
                    more = yield from self._pin_run(request, address, left, held)
                    pinned += more
                    if request.locked:
                        counted, over = self._lock(more, request.memlock)
                        locked += counted
                    address, left = address + len(more) * self.kernel.page_size, left - len(more)
        except KernelError:
            if not pinned:
                self.pinned_vm -= request.charge
                raise
        refused = over or (0 if isinstance(request, GetVaddrFrames) else self._refused_late(held))
        if request.lookup is PinLookup.FILES and not left and not refused:
            refused = _refused_file(held.mappings)
        compounds = tuple(held.compounds.items())
        holds = tuple(held.ofds), tuple(held.inodes)
        return UserPages(tuple(runs_of(pinned)), *holds, refused, compounds, locked)

    @handles(GetVaddrFrames)
    def get_vaddr_frames(self, request: GetVaddrFrames, src: Address) -> Conversation[UserPages]:
        """As get_user_pages, but for when mappings are looked at [1.10.1]."""
        return (yield from self.get_user_pages(request, src))

    def _refused_late(self, held: _Held) -> int:
        """Return the errno of a look at the mappings after their pages were pinned [4.0: check_dax_vmas]."""
        answers = (self.kernel.policy.longterm_gate(wanted) for wanted in held.asked if wanted.longterm)
        refused = next((answer.errno for answer in answers if isinstance(answer, Fail)), 0)
        return refused if refused and self.kernel.generation.late_longterm_check else 0

    def _lock(self, pages: list[PinnedPage], memlock: int) -> tuple[int, int]:
        """Count pages that are pinned as locked, in their order; return how many, and ENOMEM beyond the limit.

        Reserved pages are not counted [vfio_pin_pages_remote: is_invalid_reserved_pfn].
        """
        wanted = sum(not page.frame.reserved for page in pages)
        room = wanted if memlock < 0 else max(0, memlock // self.kernel.page_size - self.areas.locked_vm)
        counted = min(wanted, room)
        self.areas.locked_for_devices += counted
        return counted, errno.ENOMEM if counted < wanted else 0

    def _charge(self, request: GetUserPages) -> None:
        """Count pages against RLIMIT_MEMLOCK before anything else is looked at [2.6 steps 3 and 4]."""
        if request.locked:
            return
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
        pages = min(pages, (mapping.end - address) // self.kernel.page_size, MOST_AT_ONCE)
        if request.terms.file and mapping.inode != request.terms.file:
            raise KernelError(errno.EINVAL)
        access = _access(request, mapping, self.kernel.generation)
        view = MappingView(self.mm, mapping.number, mapping.prot, mapping.flags, mapping.file.ofd)
        r = request
        wanted = PinRequest(r.caller, view, r.longterm, r.write, r.owner, r.context, mapping.memory, r.terms)
        self._ask_early(wanted, mapping, address, access, request)
        if wanted.keeps_writing(private=mapping.private) and self.kernel.generation.keeps_cache_from_pins:
            raise KernelError(errno.EFAULT)
        if access is None:
            raise KernelError(errno.EFAULT)
        page = self.space.page_of(mapping, address)
        hold, ptes = yield from self.faults.fault_in(mapping, address, pages, access)
        with hold:
            held.mappings.append(mapping)
            if mapping.memory is Memory.FS_DAX:
                held.asked.append(wanted)
            first = ptes[0]
            if first.frame == ZERO_PAGE:  # no page of the file, so nobody asks for leases or waits for it
                return [PinnedPage(ZERO_PAGE, 0, mapping.inode, page)]
            run = run_of(ptes)
            inode, hold_on = "", ""
            if first.anonymous or mapping.memory is not Memory.FS_DAX:
                page = address // self.kernel.page_size
            else:
                inode, hold_on = mapping.inode, (yield from self._ask(wanted, mapping, request, held))
            numbers = tuple(pte.frame.number for pte in ptes[:run])
            take = PinFrames(numbers, inode, page, r.longterm, r.owner, r.context, r.caller.process, hold_on, r.get)
            taken: Pinned = yield Call(first.frame.memory, take)
            if taken.compound > 1:
                held.compounds[first.frame.memory] = taken.compound
        return [
            PinnedPage(pte.frame, generation, inode, page + index)
            for index, (pte, generation) in enumerate(zip(ptes, taken.generations, strict=False))
        ]

    def _ask_early(
        self, wanted: PinRequest, mapping: Mapping, address: int, access: PageAccess | None, request: GetUserPages
    ) -> None:
        """Have the policy look at a mapping of a file before any page is touched, where the kernel does so first.

        A fast walk takes pages that are copies already without a look at the mapping [gup_fast; meas].

        Raises:
            KernelError: the policy's errno.

        """
        if not wanted.longterm or mapping.memory is not Memory.FS_DAX:
            return
        answer = self.kernel.policy.longterm_gate(wanted)
        if not isinstance(answer, Fail):
            return
        if self.kernel.generation.late_longterm_check:
            if isinstance(request, GetVaddrFrames) and request.first and address == request.address:
                require(answer)
            return
        if mapping.private and access is not None and request.lookup is PinLookup.FAST:
            ptes = self.space.present(address // self.kernel.page_size, 1, access)
            if ptes and ptes[0].anonymous:
                return
        require(answer)

    def _ask(self, wanted: PinRequest, mapping: Mapping, request: GetUserPages, held: _Held) -> Conversation[Address]:
        """Ask the inode for leave to pin its pages; return the open file description that the pin is to hold."""
        allowed = yield Call(mapping.inode, AskPin(wanted))
        if allowed.attached and mapping.inode not in held.inodes:
            held.inodes.append(mapping.inode)
        if allowed.hold and allowed.hold not in (*request.holds, *held.ofds):
            yield Call(allowed.hold, Ref(pin=True))
            held.ofds.append(allowed.hold)
        hold: Address = allowed.hold
        return hold


def _refused_file(mappings: list[Mapping]) -> int:
    """Return the errno of a look at the files of mappings whose pages are all pinned; 0: none [io_pin_pages].

    Each page is looked at: whether its file is that of the first, then what the file is.
    """
    for mapping in mappings:
        if mapping.file.ofd != mappings[0].file.ofd:
            return errno.EINVAL
        if not mapping.anonymous and mapping.memory not in (Memory.SHMEM, Memory.HUGETLB):
            return errno.EOPNOTSUPP
    return 0


def _access(request: GetUserPages, mapping: Mapping, generation: Generation) -> PageAccess | None:
    """Return how pages of a mapping are to be accessed; None: it does not allow that [check_vma_flags].

    Where pins can be for reading only, a long one through a private mapping copies the file's page first.
    """
    if request.write:
        if mapping.prot & PROT_WRITE:
            return PageAccess.WRITE
        return PageAccess.LONGTERM if request.force and mapping.private else None
    if not mapping.prot & PROT_READ:
        return None
    if not mapping.private:
        return PageAccess.READ
    return PageAccess.LONGTERM if request.longterm and generation.read_only_pins else PageAccess.PIN


def run_of(ptes: list[Pte]) -> int:
    """Return how many pages from the first on are of one kind in one memory."""
    first = ptes[0]
    return next(
        (n for n, pte in enumerate(ptes) if (pte.frame.memory, pte.anonymous) != (first.frame.memory, first.anonymous)),
        len(ptes),
    )
