"""flock(2) locks. They belong to open file descriptions, as leases do, and have nothing to do with them."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.constants import LOCK_EX, LOCK_NB, LOCK_UN
from longpin.actors.conversation import Conversation, KernelError, WaitQueue, WaitsFor
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.inode import Flock

if TYPE_CHECKING:
    from longpin.actors.base import Actor


class Flocks:
    """The locks of one file, whatever kind of file it is."""

    __slots__ = ("held", "name", "waiters")

    def __init__(self, name: str) -> None:
        self.name = name
        self.held: dict[Address, int] = {}
        """LOCK_SH or LOCK_EX by open file description. Invariant: LOCK_EX is alone."""
        self.waiters = WaitQueue()

    def change(self, actor: "Actor", request: Flock) -> Conversation[Done]:
        """Take, change or drop a lock; changing one drops it first."""
        how = request.how & ~LOCK_NB
        if self.held.get(request.ofd) != how:
            self.drop(actor, request.ofd)
            while how != LOCK_UN and self._conflicts(how):
                if request.how & LOCK_NB:
                    raise KernelError(errno.EAGAIN)
                yield self.waiters.sleep(WaitsFor("lock", "", f"a flock(2) lock on {self.name}"))
            if how != LOCK_UN:
                self.held[request.ofd] = how
        return DONE

    def _conflicts(self, how: int) -> bool:
        return bool(self.held) and (how == LOCK_EX or LOCK_EX in self.held.values())

    def drop(self, actor: "Actor", ofd: Address) -> bool:
        """Drop what a description holds; return whether there was a lock."""
        if self.held.pop(ofd, None) is None:
            return False
        self.waiters.wake_all(actor)
        return True
