"""The names of an inode, as the folders they stand in have them changed: link(2), unlink(2), rename(2) [2.5].

A change of a name holds the iolock, so it waits for a truncate that waits; none of these calls asks leases [2.3.2].
"""

import errno

from longpin.actors.base import ActorPart, handles
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.lease_list import LeaseList
from longpin.actors.fs.permissions import may
from longpin.actors.locks import Lock
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.inode import AddLink, Delegated, DropLink, NoName, Renamed


class InodeNames(ActorPart):
    """The changes of the number of names."""

    def __init__(self, inode: Address, iolock: Lock, attributes: Attributes, leases: LeaseList) -> None:
        self.inode = inode
        self.iolock = iolock
        self.attributes = attributes
        self.leases = leases

    @handles(AddLink)
    def add_link(self, request: AddLink, _src: Address) -> Conversation[Done | Delegated]:
        """link(2) adds a name, if protected_hardlinks, which is on by default, lets the caller."""
        if request.uid != self.attributes.uid and not may(self.attributes, request.uid, 6):
            raise KernelError(errno.EPERM)
        with (yield self.iolock.exclusive()):
            if not self.attributes.nlink:  # unlinked since the look-up
                raise KernelError(errno.ENOENT)
            if (yield from self.leases.break_delegations()):
                return Delegated(self.inode)
            self.attributes.nlink += 1
        return DONE

    @handles(DropLink)
    def drop_link(self, _request: DropLink, _src: Address) -> Conversation[Done | Delegated]:
        """unlink(2) removes a name, which alone asks neither leases nor pages [2.5]; the reply is how many are left."""
        with (yield self.iolock.exclusive()):
            if (yield from self.leases.break_delegations()):
                return Delegated(self.inode)
            self.attributes.lose_name()
        return Done(self.attributes.nlink)

    @handles(Renamed)
    def renamed(self, request: Renamed, _src: Address) -> Conversation[Done | Delegated]:
        """rename(2) gives it another name, or its name to another file; the reply is how many that one has left."""
        left = -1
        with (yield self.iolock.exclusive()):
            if (yield from self.leases.break_delegations()):
                return Delegated(self.inode)
            if request.other:
                replaced: Done | Delegated = yield Call(request.other, Renamed(request.other_loses_name))
                if isinstance(replaced, Delegated):
                    return replaced
                left = replaced.value
            if request.loses_name:
                self.attributes.lose_name()
                left = self.attributes.nlink
        return Done(left)

    @handles(NoName)
    def no_name(self, _request: NoName, _src: Address) -> None:
        """Take away the name of a file made with O_TMPFILE: the open that follows keeps it."""
        self.attributes.nlink = 0
