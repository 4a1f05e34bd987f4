"""The page table of a memory map as others change it: inodes, and the parent at fork(2) [1.8, 1.9]."""

from longpin.actors.base import ActorPart, handles
from longpin.actors.conversation import Call, Conversation
from longpin.actors.locks import Hold, Lock
from longpin.actors.mm.address_space import AddressSpace, Pte
from longpin.actors.mm.anonymous import AnonymousMemory
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.mm.memory import ZERO_PAGE, MapFrames, PageFrame
from longpin.messages.mm.mm import InstallPtes, Zap
from longpin.messages.mm.ranges import InheritPtes


def _has_reference(frame: PageFrame, request: InstallPtes) -> bool:
    return request.referenced and frame != ZERO_PAGE


class PageTables(ActorPart):
    """The entries that others enter and remove, under the page table lock."""

    def __init__(self, space: AddressSpace, lock: Lock, anonymous: AnonymousMemory, *, inherits: bool) -> None:
        self.space = space
        self.lock = lock
        self.anonymous = anonymous
        self.forking: Hold | None = None
        """What keeps file systems from zapping entries that fork(2) has not brought yet."""
        if inherits:
            self.forking = lock.exclusive()
            lock.holds.append(self.forking)

    @handles(InstallPtes)
    def install(self, request: InstallPtes, _src: Address) -> Conversation[Done]:
        """Enter pages for the fault handler; references are taken before anybody finds the entries."""
        table = self.space.page_table
        entries = [Pte(frame, request.writable, referenced=_has_reference(frame, request)) for frame in request.frames]
        taken = [pte.frame for pte in entries if pte.referenced]
        for memory in dict.fromkeys(frame.memory for frame in taken):
            yield Call(memory, MapFrames(tuple(frame.number for frame in taken if frame.memory == memory)))
        with (yield self.lock.exclusive()):
            replaced = [table[vpn] for vpn in range(request.vpn, request.vpn + len(entries)) if vpn in table]
            table |= {request.vpn + index: pte for index, pte in enumerate(entries)}
        yield from self.anonymous.drop(pte for pte in replaced if pte.referenced)
        return DONE

    @handles(Zap)
    def zap(self, request: Zap, _src: Address) -> Conversation[Done]:
        """Remove the entries of a range of a file for the file system."""
        with (yield self.lock.exclusive()):
            dropped = self.space.zap(request.inode, request.first, request.last, even_cows=request.even_cows)
        yield from self.anonymous.drop(dropped)
        return DONE

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
