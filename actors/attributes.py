"""What an inode is beside its layout: size, mode, owner, names. None of these calls asks leases [2.3.2]."""

import errno

from longpin.actors.base import Engine, handles
from longpin.actors.conversation import Conversation, KernelError
from longpin.actors.kernel import Kernel
from longpin.actors.layouts import LayoutHost
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.inode import AddLink, BreakDelegations, CheckAccess, NoName, SetAttributes, SetBreakTime, Touch


class AttributeHost(LayoutHost):
    """An inode as far as its attributes go."""

    def __init__(
        self, engine: Engine, address: Address, kernel: Kernel, uid: int, pmem: Address, mode: int, size: int
    ) -> None:
        super().__init__(engine, address, kernel, uid, pmem)
        self.mode = mode
        self.size = size
        """Bytes."""
        self.nlink = 1

    def check_access(self, uid: int, mode: int) -> None:
        """Fail with EACCES if the file's mode does not allow ``mode`` (4 read, 2 write, 1 execute) to ``uid``.

        uid 0 may read and write anything, and execute what anybody may execute.
        """
        if not self.may(uid, mode):
            raise KernelError(errno.EACCES)

    def may(self, uid: int, mode: int) -> bool:
        """Return whether the file's mode allows ``mode`` to ``uid``."""
        bits = self.mode >> (6 if uid == self.uid else 0)
        if uid == 0:
            bits = 6 | bool(self.mode & 0o111)
        return not mode & ~bits

    def break_delegations(self) -> Conversation[None]:
        """Break what a change of names or attributes breaks: no lease [2.3.1], but overdue ones are noticed [2.3.4]."""
        with (yield self.flc_lock.exclusive()):
            yield from self.expire()

    @handles(AddLink)
    def add_link(self, request: AddLink, _src: Address) -> Conversation[Done]:
        """link(2) adds a name, if protected_hardlinks, which is on by default, lets the caller."""
        if request.uid != self.uid and not self.may(request.uid, 6):
            raise KernelError(errno.EPERM)
        yield from self.break_delegations()
        self.nlink += 1
        return DONE

    @handles(BreakDelegations)
    def renamed(self, _request: BreakDelegations, _src: Address) -> Conversation[Done]:
        """rename(2) gives it another name."""
        yield from self.break_delegations()
        return DONE

    @handles(NoName)
    def no_name(self, _request: NoName, _src: Address) -> None:
        """O_TMPFILE: the open that follows keeps it."""
        self.nlink = 0

    @handles(SetAttributes)
    def set_attributes(self, request: SetAttributes, _src: Address) -> Conversation[Done]:
        """chmod(2) by the owner; chown(2) by uid 0, or to the owner it has. Leases stay with who took them."""
        if request.uid not in (0, self.uid) or (request.uid and request.owner not in (-1, self.uid)):
            raise KernelError(errno.EPERM)
        yield from self.break_delegations()
        if request.mode >= 0:
            self.mode = request.mode
        if request.owner >= 0:
            self.uid = request.owner
        return DONE

    @handles(Touch)
    def touch(self, request: Touch, _src: Address) -> Conversation[Done]:
        """utimes(2), setxattr(2)."""
        if request.uid != self.uid:
            self.check_access(request.uid, 2)
        yield from self.break_delegations()
        return DONE

    @handles(CheckAccess)
    def access(self, request: CheckAccess, _src: Address) -> Done:
        """access(2), stat(2)."""
        self.check_access(request.uid, request.mode)
        return Done(self.size)

    @handles(SetBreakTime)
    def set_break_time(self, request: SetBreakTime, _src: Address) -> Done:
        """Use another break time from the next break on."""
        self.lease_break_time = request.seconds
        return DONE
