"""The page table of a memory map as others change it: inodes, and the parent at fork(2) [1.8, 1.9]."""

from longpin.actors.base import ActorPart, handles
from longpin.actors.conversation import Conversation
from longpin.actors.locks import Hold, Lock
from longpin.actors.mm.address_space import AddressSpace, Pte
from longpin.actors.mm.anonymous import AnonymousMemory
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.mm.mm import InstallPtes, Zap
from longpin.messages.mm.ranges import InheritPtes


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
        """Enter pages for the fault handler."""
        with (yield self.lock.exclusive()):
            for index, frame in enumerate(request.frames):
                self.space.page_table[request.vpn + index] = Pte(frame, request.writable)
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
