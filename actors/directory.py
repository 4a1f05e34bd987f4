"""The directory: which name is which inode. A path is looked up as a whole; there are no subdirectories to walk."""

import errno

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.constants import O_CREAT, O_EXCL
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.inode import Inode
from longpin.actors.kernel import Kernel
from longpin.messages.directory import Found, Lookup, Unlink
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.inode import DropLink


class Directory(Actor):
    """Names, and the making of inodes."""

    def __init__(
        self, engine: Engine, address: Address, kernel: Kernel, pmem: Address, names: dict[str, Address]
    ) -> None:
        super().__init__(engine, address)
        self.kernel = kernel
        self.pmem = pmem
        """The block set of files made here."""
        self.names = dict(names)
        self.made = dict.fromkeys(names, 1)
        """How many inodes ever had each name, so that addresses are not used again."""

    @handles(Lookup)
    def lookup(self, request: Lookup, _src: Address) -> Found:
        """Find or create a file [open(2)]."""
        if request.path == "/":
            raise KernelError(errno.EISDIR)
        if (inode := self.names.get(request.path)) is not None:
            if request.flags & O_CREAT and request.flags & O_EXCL:
                raise KernelError(errno.EEXIST)
            return Found(inode)
        if not request.flags & O_CREAT or not request.path.startswith("/"):
            raise KernelError(errno.ENOENT)
        return Found(self._create(request))

    def _create(self, request: Lookup) -> Address:
        count = self.made[request.path] = self.made.get(request.path, 0) + 1
        inode = f"inode:{request.path}" + (f"#{count}" if count > 1 else "")
        self.spawn(Inode, inode, self.kernel, self.pmem, request.uid, request.mode, 0, {})
        self.names[request.path] = inode
        return inode

    @handles(Unlink)
    def unlink(self, request: Unlink, _src: Address) -> Conversation[Done]:
        """Remove a name; the blocks stay while somebody has the file open [2.5, H7]."""
        inode = self.names.pop(request.path, None)
        if inode is None:
            raise KernelError(errno.ENOENT)
        yield Call(inode, DropLink())
        return DONE
