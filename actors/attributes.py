"""What an inode is beside its layout: size, mode, owner, names. None of these calls asks leases [2.3.2].

Whatever changes one of them holds the iolock, so it waits for a truncate that waits [2.5].
"""

import errno

from longpin.actors.base import Engine, handles
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.kernel.machine import Kernel
from longpin.actors.layouts import LayoutHost
from longpin.actors.permissions import check, check_touch, may, set_attributes
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.inode import AddLink, CheckAccess, DropLink, NoName, Renamed, SetAttributes, SetBreakTime, Touch


class AttributeHost(LayoutHost):
    """An inode as far as its attributes go."""

    is_folder = False

    def __init__(
        self, engine: Engine, address: Address, kernel: Kernel, uid: int, pmem: Address, mode: int, size: int
    ) -> None:
        super().__init__(engine, address, kernel, uid, pmem)
        self.mode = mode
        self.size = size
        """Bytes."""
        self.nlink = 1
        self.names_going = 0
        """Calls that took the last name away and have not let go of the inode: until then it is not evicted."""

    def break_delegations(self) -> Conversation[None]:
        """Break what a change of names or attributes breaks: no lease [2.3.1], but overdue ones are noticed [2.3.4]."""
        with (yield self.flc_lock.exclusive()):
            yield from self.expire()

    # Names.

    @handles(AddLink)
    def add_link(self, request: AddLink, _src: Address) -> Conversation[Done]:
        """link(2) adds a name, if protected_hardlinks, which is on by default, lets the caller."""
        if request.uid != self.uid and not may(self, request.uid, 6):
            raise KernelError(errno.EPERM)
        with (yield self.iolock.exclusive()):
            if not self.nlink:  # unlinked since the look-up
                raise KernelError(errno.ENOENT)
            yield from self.break_delegations()
            self.nlink += 1
        return DONE

    @handles(DropLink)
    def drop_link(self, _request: DropLink, _src: Address) -> Conversation[Done]:
        """unlink(2) removes a name, which alone asks neither leases nor pages [2.5]; the reply is how many are left."""
        with (yield self.iolock.exclusive()):
            yield from self.break_delegations()
            self._lose_name()
        return Done(self.nlink)

    def _lose_name(self) -> None:
        self.nlink -= 1
        self.names_going += not self.nlink

    @handles(Renamed)
    def renamed(self, request: Renamed, _src: Address) -> Conversation[Done]:
        """rename(2) gives it another name, or its name to another file; the reply is how many that one has left."""
        left = -1
        with (yield self.iolock.exclusive()):
            yield from self.break_delegations()
            if request.other:
                left = (yield Call(request.other, Renamed(request.other_loses_name))).value
            if request.loses_name:
                self._lose_name()
                left = self.nlink
        return Done(left)

    @handles(NoName)
    def no_name(self, _request: NoName, _src: Address) -> None:
        """O_TMPFILE: the open that follows keeps it."""
        self.nlink = 0

    # Attributes.

    @handles(SetAttributes)
    def set_attributes(self, request: SetAttributes, _src: Address) -> Conversation[Done]:
        """chmod(2), chown(2). Leases stay with who took them."""
        with (yield self.iolock.exclusive()):
            yield from self.break_delegations()
            set_attributes(self, request)
        return DONE

    @handles(Touch)
    def touch(self, request: Touch, _src: Address) -> Conversation[Done]:
        """utimes(2), setxattr(2)."""
        with (yield self.iolock.exclusive()):
            check_touch(self, request)
            yield from self.break_delegations()
        return DONE

    @handles(CheckAccess)
    def access(self, request: CheckAccess, _src: Address) -> Done:
        """access(2), stat(2)."""
        check(self, request.uid, request.mode)
        return Done(self.size)

    @handles(SetBreakTime)
    def set_break_time(self, request: SetBreakTime, _src: Address) -> Done:
        """Use another break time from the next break on."""
        self.lease_break_time = request.seconds
        return DONE
