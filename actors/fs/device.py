"""The file of a character device: a name in ``/dev`` with attributes, and nothing to truncate or to evict."""

import errno

from longpin.actors.base import Engine, handles
from longpin.actors.constants import O_ACCMODE, O_DIRECTORY, O_RDONLY, O_TMPFILE, O_WRONLY
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.backing import OneFile
from longpin.actors.fs.flocks import Flocks
from longpin.actors.fs.permissions import check
from longpin.actors.kernel.machine import Kernel
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.inode import AddLink, DropInode, DropLink, Open, Renamed, SetBreakTime


class DeviceNode(OneFile):
    """A device by its name, which goes on without one."""

    def __init__(self, engine: Engine, address: Address, kernel: Kernel) -> None:
        super().__init__(engine, address, kernel)
        self.attributes = Attributes(0, 0o666)
        self.flocks = Flocks(address)

    def check_open(self, request: Open) -> None:
        """Fail as open(2) does of who may not; there is nothing to truncate."""
        access = request.flags & O_ACCMODE
        if request.flags & O_DIRECTORY and request.flags & O_TMPFILE != O_TMPFILE:
            raise KernelError(errno.ENOTDIR)
        check(self.attributes, request.caller.fsuid, 4 * (access != O_WRONLY) | 2 * (access != O_RDONLY))

    @handles(AddLink)
    def add_link(self, _request: AddLink, _src: Address) -> Done:
        """link(2) adds a name."""
        self.attributes.nlink += 1
        return DONE

    @handles(DropLink)
    def drop_link(self, _request: DropLink, _src: Address) -> Done:
        """unlink(2) removes a name; the reply is how many are left."""
        self.attributes.lose_name()
        return Done(self.attributes.nlink)

    @handles(Renamed)
    def renamed(self, request: Renamed, _src: Address) -> Conversation[Done]:
        """rename(2) gives it another name, or its name to another file; the reply is how many that one has left."""
        left = (yield Call(request.other, Renamed(request.other_loses_name))).value if request.other else -1
        if request.loses_name:
            self.attributes.lose_name()
            left = self.attributes.nlink
        return Done(left)

    @handles(DropInode)
    def drop_inode(self, _request: DropInode, _src: Address) -> Done:
        """Nothing is evicted."""
        self.attributes.names_going -= 1
        return DONE

    @handles(SetBreakTime)
    def set_break_time(self, _request: SetBreakTime, _src: Address) -> Done:
        """There are no leases."""
        return DONE
