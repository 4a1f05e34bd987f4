"""Faults for devices: pages of a process are made present for a device that does on-demand paging [1.10.3]."""

import errno

from longpin.actors.base import ActorPart, handles
from longpin.actors.constants import PROT_READ, PROT_WRITE
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.kernel.machine import Kernel
from longpin.actors.locks import Lock
from longpin.actors.mm.address_space import AddressSpace, Mapping, PageAccess, Pte
from longpin.actors.mm.faults import Faults
from longpin.actors.mm.notifiers import Notifiers
from longpin.actors.mm.pins import Pins, run_of
from longpin.messages.envelope import Address
from longpin.messages.fs.mapping import Memory
from longpin.messages.mm.memory import ZERO_PAGE, FindFrames, PinnedPage, PinnedRun, runs_of
from longpin.messages.mm.mm import GetUserPages, UserPages
from longpin.messages.mm.notifier import FaultRemote


class RemoteFaults(ActorPart):
    """The faults that drivers ask for, after the fact of an access and in the process that has registered the memory.

    They take no charge, and no reference that lasts: whoever copies an entry is told when it changes.
    """

    def __init__(
        self, kernel: Kernel, space: AddressSpace, mmap_lock: Lock, faults: Faults, pins: Pins, notifiers: Notifiers
    ) -> None:
        self.kernel = kernel
        self.space = space
        self.mmap_lock = mmap_lock
        self.faults = faults
        self.pins = pins
        self.notifiers = notifiers

    @handles(FaultRemote)
    def fault(self, request: FaultRemote, src: Address) -> Conversation[UserPages]:
        """Make pages present, without FOLL_LONGTERM."""
        self.notifiers.check()
        r = request
        if self.kernel.generation.on_demand_references and not r.snapshot:
            how = (r.write, False, False)
            get = GetUserPages(r.address, r.pages, 0, -1, *how, r.owner, r.context, r.caller, (), get=True)
            return (yield from self.pins.get_user_pages(get, src))
        with (yield self.mmap_lock.shared()):
            runs = yield from (self._present(request) if r.snapshot else self._find(request))
        return UserPages(runs, (), (), 0)

    def _find(self, request: FaultRemote) -> Conversation[tuple[PinnedRun, ...]]:
        """Fault the first pages in, and look which they are [hmm_range_fault]."""
        mapping = self.space.find(request.address)
        if mapping is None or not mapping.prot & (PROT_WRITE if request.write else PROT_READ):
            raise KernelError(errno.EFAULT)
        pages = min(request.pages, (mapping.end - request.address) // self.kernel.page_size)
        access = PageAccess.WRITE if request.write else PageAccess.READ
        hold, ptes = yield from self.faults.fault_in(mapping, request.address, pages, access)
        with hold:
            return (yield from self._described(ptes, mapping, request.address))

    def _present(self, request: FaultRemote) -> Conversation[tuple[PinnedRun, ...]]:
        """Look which pages are present, without a fault."""
        mapping = self.space.find(request.address)
        if mapping is None:
            return ()
        with (yield self.faults.page_table_lock.exclusive()):
            ptes = self.space.present(request.address // self.kernel.page_size, request.pages, PageAccess.READ)
            return (yield from self._described(ptes, mapping, request.address)) if ptes else ()

    def _described(self, ptes: list[Pte], mapping: Mapping, address: int) -> Conversation[tuple[PinnedRun, ...]]:
        """Say what the first entries are, with the page table lock held."""
        first = ptes[0]
        page, inode = self.space.page_of(mapping, address), mapping.inode
        if first.frame == ZERO_PAGE:
            return tuple(runs_of([PinnedPage(ZERO_PAGE, 0, inode, page)]))
        run = run_of(ptes)
        if first.anonymous or mapping.memory is not Memory.FS_DAX:
            page, inode = address // self.kernel.page_size, ""
        found = yield Call(first.frame.memory, FindFrames(tuple(pte.frame.number for pte in ptes[:run])))
        return tuple(
            runs_of(
                PinnedPage(pte.frame, generation, inode, page + index)
                for index, (pte, generation) in enumerate(zip(ptes, found.generations, strict=False))
            )
        )
