"""The CPU's side of a memory map: loads, stores, page faults, and copies of private pages at the first store [1.8]."""

import errno

from longpin.actors.base import ActorPart, handles
from longpin.actors.constants import PROT_READ, PROT_WRITE, SIGBUS, SIGSEGV
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.kernel.machine import Kernel
from longpin.actors.locks import Hold, Lock
from longpin.actors.mm.address_space import AddressSpace, Mapping, PageAccess, Pte
from longpin.actors.mm.anonymous import AnonymousMemory
from longpin.actors.mm.huge_mappings import HugeMappings
from longpin.actors.mm.notifiers import Notifiers
from longpin.actors.mm.page_tables import PageTables
from longpin.actors.mm.zero_page import load_zeros
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.file import Data
from longpin.messages.fs.inode import NO_PAGE, Fault
from longpin.messages.mm.memory import ZERO_PAGE, Load, PageFrame, Store
from longpin.messages.mm.mm import Faulted, InstallPtes, LoadBytes, StoreBytes
from longpin.messages.mm.ram import ReuseFrame

MOST_AT_ONCE = 512
"""Anonymous pages that are made at once, where so many are wanted: those of one page table."""


class _FaultError(Exception):
    """An access that ends in a signal."""

    def __init__(self, signo: int) -> None:
        super().__init__(signo)
        self.signo = signo


class Faults(ActorPart):
    """The accesses to a memory map, and the faults they end in: they make pages present, one way or another."""

    def __init__(
        self,
        kernel: Kernel,
        space: AddressSpace,
        mmap_lock: Lock,
        page_table_lock: Lock,
        anonymous: AnonymousMemory,
        huge: HugeMappings,
        notifiers: Notifiers,
        page_tables: PageTables,
    ) -> None:
        self.kernel = kernel
        self.space = space
        self.mmap_lock = mmap_lock
        self.page_table_lock = page_table_lock
        self.anonymous = anonymous
        self.huge = huge
        self.notifiers = notifiers
        self.page_tables = page_tables

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
                            data += yield from load_zeros(self.kernel, inside, part, self._inode_at(address))
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
            hold, ptes = yield from self.fault_in(mapping, address, 1, PageAccess.WRITE if write else PageAccess.READ)
        except KernelError as error:
            # Without a frame to be had the kernel would end some process: this one is told as of a broken page.
            raise (_FaultError(SIGBUS) if error.errno in (errno.EFAULT, errno.ENOMEM) else error) from None
        return hold, ptes[0].frame, address % self.kernel.page_size

    def fault_in(
        self, mapping: Mapping, address: int, pages: int, access: PageAccess
    ) -> Conversation[tuple[Hold, list[Pte]]]:
        """Return the entries of one or more of the pages from ``address`` on, with the page table lock held [1.9].

        It faults until there is an entry for the first one, and has faults of pages behind it served with it. A page of
        a file comes into a private mapping as into one that only reads, and is copied from there.
        """
        vpn = address // self.kernel.page_size
        file_has_none = False
        while True:
            hold: Hold = yield self.page_table_lock.exclusive()
            if ptes := self.space.present(vpn, pages, access):
                return hold, ptes
            if mapping.anonymous or (mapping.private and (vpn in self.space.page_table or file_has_none)):
                try:
                    if mapping.huge:
                        yield from self.notifiers.around(self.huge.replaced(vpn), self.huge.make_own(mapping, vpn))
                    else:
                        yield from self._make_own(mapping, vpn, pages, access)
                except KernelError:
                    hold.drop()
                    raise
                return hold, self.space.present(vpn, pages, access)
            absent = self.space.absent(vpn, pages, PageAccess.READ if mapping.private else access)
            hold.drop()
            page, write = self.space.page_of(mapping, address), access is PageAccess.WRITE and not mapping.private
            answer = yield Call(mapping.inode, Fault(mapping.number, vpn, page, absent, write))
            if isinstance(answer, InstallPtes):
                yield from self.page_tables.install(answer)
            else:
                file_has_none = answer.value == NO_PAGE

    def _make_own(self, mapping: Mapping, vpn: int, pages: int, access: PageAccess) -> Conversation[None]:
        """Put an anonymous page where one is wanted, or make the one that is there nobody else's [do_wp_page].

        Raises:
            KernelError: ENOMEM.

        """
        table, writable = self.space.page_table, bool(mapping.prot & PROT_WRITE)
        pte = table.get(vpn)
        if pte is None and access is PageAccess.READ:
            table[vpn] = Pte(ZERO_PAGE, writable=False)
        elif pte is None:
            count = next((n for n in range(min(pages, MOST_AT_ONCE)) if vpn + n in table), min(pages, MOST_AT_ONCE))
            for index, frame in enumerate((yield from self.anonymous.allocate(count))):
                table[vpn + index] = Pte(frame, writable, anonymous=True, exclusive=True)
        elif pte.exclusive or (pte.anonymous and (yield from self._is_alone(pte.frame))):
            table[vpn] = pte._replace(writable=writable, exclusive=True)
        else:
            address = vpn * self.kernel.page_size
            copy = self._copy(pte, vpn, mapping, writable=writable)
            yield from self.notifiers.around([(address, address + self.kernel.page_size)], copy)
            yield from self.anonymous.drop([pte] if pte.counted else [])

    def _copy(self, pte: Pte, vpn: int, mapping: Mapping, *, writable: bool) -> Conversation[None]:
        """Put a copy of a page into its place [wp_page_copy]."""
        inode = "" if pte.anonymous else mapping.inode
        self.space.page_table[vpn] = yield from self.anonymous.copy(pte.frame, writable=writable, inode=inode)

    def _is_alone(self, frame: PageFrame) -> Conversation[bool]:
        """Return whether nobody else has an anonymous page any more."""
        ask = ReuseFrame(frame.number, despite_pins=not self.kernel.generation.copies_see_pins)
        return bool((yield Call(frame.memory, ask)).value)

    def populate(self, start: int, end: int, access: PageAccess | None = None) -> Conversation[None]:
        """Fault pages in, without waiting for anybody to touch them [populate_vma_page_range].

        Args:
            start: where it begins.
            end: where it ends; what is not mapped between is left out.
            access: how; None: a private mapping that may be written to as by a store, others as by a load.

        Raises:
            KernelError: EFAULT where a mapping does not allow it, or beyond the end of a file.

        """
        for mapping in self.space.overlapping(start, end):
            wanted = access
            if wanted is None:
                own = mapping.private and mapping.prot & PROT_WRITE
                wanted = PageAccess.WRITE if own else PageAccess.READ
            if not mapping.prot & (PROT_WRITE if wanted is PageAccess.WRITE else PROT_READ | PROT_WRITE):
                raise KernelError(errno.EFAULT)
            if mapping.anonymous and wanted is PageAccess.READ:
                continue  # the page of zeros, which nobody can tell from no page
            address, last = max(start, mapping.start), min(end, mapping.end)
            while address < last:
                pages = min((last - address) // self.kernel.page_size, MOST_AT_ONCE)
                hold, ptes = yield from self.fault_in(mapping, address, pages, wanted)
                hold.drop()
                address += len(ptes) * self.kernel.page_size
