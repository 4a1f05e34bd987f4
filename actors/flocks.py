"""flock(2) locks of an inode. They belong to open file descriptions, as leases do, and have nothing to do with them."""

import errno

from longpin.actors.base import Engine, handles
from longpin.actors.blocks import BlockHost, FileStart
from longpin.actors.constants import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN
from longpin.actors.conversation import Conversation, KernelError, WaitQueue, WaitsFor
from longpin.actors.kernel import Kernel
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.inode import Flock


class FlockHost(BlockHost):
    """An inode as far as its flock(2) locks go."""

    def __init__(self, engine: Engine, address: Address, kernel: Kernel, pmem: Address, start: FileStart) -> None:
        super().__init__(engine, address, kernel, pmem, start)
        self.flocks: dict[Address, int] = {}
        """LOCK_SH or LOCK_EX by open file description. Invariant: LOCK_EX is alone."""
        self.flock_waiters = WaitQueue()

    @handles(Flock)
    def flock(self, request: Flock, _src: Address) -> Conversation[Done]:
        """Take, change or drop a lock; changing one drops it first."""
        how = request.how & ~LOCK_NB
        if how not in (LOCK_SH, LOCK_EX, LOCK_UN):
            raise KernelError(errno.EINVAL)
        if self.flocks.get(request.ofd) != how:
            self.drop_flock(request.ofd)
            while how != LOCK_UN and self._conflicts(how):
                if request.how & LOCK_NB:
                    raise KernelError(errno.EAGAIN)
                yield self.flock_waiters.sleep(WaitsFor("lock", "", f"a flock(2) lock on {self.address}"))
            if how != LOCK_UN:
                self.flocks[request.ofd] = how
        return DONE

    def _conflicts(self, how: int) -> bool:
        return bool(self.flocks) and (how == LOCK_EX or LOCK_EX in self.flocks.values())

    def drop_flock(self, ofd: Address) -> None:
        """Drop what a description holds."""
        if self.flocks.pop(ofd, None) is not None:
            self.flock_waiters.wake_all(self)
