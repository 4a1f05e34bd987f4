"""The page table of a memory map as others change it: inodes, and the parent at fork(2) [1.8, 1.9]."""

from functools import partial

from longpin.actors.base import ActorPart, handles
from longpin.actors.conversation import Call, Conversation
from longpin.actors.locks import Hold, Lock
from longpin.actors.mm.address_space import AddressSpace, Pte
from longpin.actors.mm.anonymous import AnonymousMemory
from longpin.actors.mm.notifiers import Notifiers, at_once
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.mm.memory import ZERO_PAGE, MapFrames, PageFrame
from longpin.messages.mm.mm import InstallPtes, Zap
from longpin.messages.mm.ranges import InheritPtes


def _has_reference(frame: PageFrame, request: InstallPtes) -> bool:
    return request.referenced and frame != ZERO_PAGE


class PageTables(ActorPart):
    """The entries that others enter and remove, under the page table lock."""

    def __init__(
        self, space: AddressSpace, lock: Lock, anonymous: AnonymousMemory, notifiers: Notifiers, *, inherits: bool
    ) -> None:
        self.space = space
        self.lock = lock
        self.anonymous = anonymous
        self.notifiers = notifiers
        self.forking: Hold | None = None
        """What keeps file systems from zapping entries that fork(2) has not brought yet."""
        if inherits:
            self.forking = lock.exclusive()
            lock.holds.append(self.forking)

    def install(self, told: InstallPtes) -> Conversation[None]:
        """Enter pages as the fault handler of their file says.

        The lock is taken at once: what the file zaps later waits for it. References are taken before anybody finds the
        entries. A copy of a page, which another thread has made meanwhile, stays [code: finish_fault, pte_none].
        """
        table, size = self.space.page_table, self.space.page_size
        with (yield self.lock.exclusive()):
            entries = {
                vpn: Pte(frame, told.writable, referenced=_has_reference(frame, told))
                for vpn, frame in enumerate(told.frames, told.vpn)
                if vpn not in table or not table[vpn].anonymous
            }
            taken = [pte.frame for pte in entries.values() if pte.referenced]
            for memory in dict.fromkeys(frame.memory for frame in taken):
                yield Call(memory, MapFrames(tuple(frame.number for frame in taken if frame.memory == memory)))
            others = [
                (vpn * size, (vpn + 1) * size)
                for vpn, pte in entries.items()
                if vpn in table and table[vpn].frame != pte.frame
            ]
            replaced = yield from self.notifiers.around(others, at_once(partial(self._enter, entries)))
        yield from self.anonymous.drop(replaced)

    def _enter(self, entries: dict[int, Pte]) -> list[Pte]:
        """Enter entries, and return those that they replace and that have a reference."""
        table = self.space.page_table
        replaced = [table[vpn] for vpn in entries if vpn in table]
        table |= entries
        return [pte for pte in replaced if pte.referenced]

    @handles(Zap)
    def zap(self, request: Zap, _src: Address) -> Conversation[Done]:
        """Remove the entries of a range of a file for the file system."""
        ranges = self.space.ranges_of(request.inode, request.first, request.last)
        yield from self.anonymous.drop((yield from self.notifiers.around(ranges, self._zap(request))))
        return DONE

    def _zap(self, request: Zap) -> Conversation[list[Pte]]:
        with (yield self.lock.exclusive()):
            return self.space.zap(request.inode, request.first, request.last, even_cows=request.even_cows)

    @handles(InheritPtes)
    def inherit(self, request: InheritPtes, _src: Address) -> Conversation[Done]:
        """Enter the anonymous pages that a parent had at fork(2), and copies of those that are pinned."""
        table = self.space.page_table
        for vpn, frame in request.shared:
            table[vpn] = Pte(frame, writable=False, anonymous=True)
        for vpn, frame in request.copied:
            table[vpn] = yield from self.anonymous.copy(frame, writable=False)
        if request.last:
            assert self.forking is not None
            self.forking.drop()
            self.forking = None
        return DONE
