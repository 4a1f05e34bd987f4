"""The page table of a memory map as others change it, and the anonymous memory behind it [1.8].

First of the layers that a memory map consists of: :mod:`~longpin.actors.mm.faults`, :mod:`~longpin.actors.mm.pins`,
:mod:`~longpin.actors.mm.areas`, :mod:`~longpin.actors.mm.ranges`, :mod:`~longpin.actors.mm.remap` and
:mod:`~longpin.actors.mm.mm` stand on it.
"""

from collections.abc import Iterable

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.conversation import Call, Conversation
from longpin.actors.kernel.machine import Kernel
from longpin.actors.locks import Hold, Lock
from longpin.actors.mm.address_space import AddressSpace, Mapping, Pte
from longpin.actors.mm.ram import Ram
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.mm.memory import ZERO_PAGE, Load, PageFrame
from longpin.messages.mm.mm import InstallPtes, Zap
from longpin.messages.mm.ram import AllocatedFrames, AllocateFrames, DropFrames
from longpin.messages.mm.ranges import InheritPtes


class PageTables(Actor):
    """A memory map: mappings, entries, and locks.

    Locks are taken in the order mmap lock, the inode's mmap lock (in a fault), page table lock.
    """

    def __init__(
        self,
        engine: Engine,
        address: Address,
        kernel: Kernel,
        mappings: tuple[Mapping, ...] = (),
        inherits: bool = False,
    ) -> None:
        super().__init__(engine, address)
        self.kernel = kernel
        self.space = AddressSpace(kernel.page_size, mappings)
        self.ram: Address = ""
        """Its anonymous pages; empty: there was none yet."""
        self.mmap_lock = Lock(self, f"the mmap lock of {address}")
        """Exclusive while mappings change, shared while something relies on them."""
        self.page_table_lock = Lock(self, f"the page table lock of {address}")
        self.forking: Hold | None = None
        """What keeps file systems from zapping entries that fork(2) has not brought yet."""
        if inherits:
            self.forking = self.page_table_lock.exclusive()
            self.page_table_lock.holds.append(self.forking)

    # From outside.

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
            dropped = self.space.zap(request.inode, request.first, request.last, even_cows=request.even_cows)
        yield from self._drop(dropped)
        return DONE

    @handles(InheritPtes)
    def inherit(self, request: InheritPtes, _src: Address) -> Conversation[Done]:
        """Enter the anonymous pages that a parent had at fork(2), and copies of those that are pinned."""
        table = self.space.page_table
        for vpn, frame in request.shared:
            table[vpn] = Pte(frame, writable=False, anonymous=True)
        for vpn, frame in request.copied:
            table[vpn] = yield from self._copy(frame, writable=False)
        if request.last:
            assert self.forking is not None
            self.forking.drop()
            self.forking = None
        return DONE

    # Anonymous pages.

    def _allocate(self, count: int, data: bytes = b"") -> Conversation[list[PageFrame]]:
        """Return new frames, of zeros or one with a copy."""
        if not self.ram:
            self.ram = f"ram:{self.address.partition(':')[2]}"
            self.spawn(Ram, self.ram)
        frames: AllocatedFrames = yield Call(self.ram, AllocateFrames(count, data))
        return [PageFrame(self.ram, number) for number in frames.numbers]

    def _copy(self, frame: PageFrame, *, writable: bool, inode: Address = "") -> Conversation[Pte]:
        """Return an entry of a page of one's own, with what another holds, which may be one of a file."""
        data = b""
        if frame != ZERO_PAGE:
            data = (yield Call(frame.memory, Load(frame.number, 0, self.kernel.page_size, inode))).data
        [own] = yield from self._allocate(1, data)
        return Pte(own, writable, anonymous=True, exclusive=True)

    def _drop(self, frames: Iterable[PageFrame]) -> Conversation[None]:
        """Tell the memories of anonymous pages that entries of them are gone."""
        gone: dict[Address, list[int]] = {}
        for frame in frames:
            gone.setdefault(frame.memory, []).append(frame.number)
        for memory, numbers in gone.items():
            yield Call(memory, DropFrames(tuple(numbers)))
