"""The directory: which name is which inode. A path is looked up as a whole; there is no tree to walk.

Names change without asking leases: unlink, rename and link do not break them [oracle of real kernels, up to 6.18]. A
directory made with mkdir is a name and nothing more; opened, it is this actor.
"""

import errno

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.blocks import FileStart
from longpin.actors.constants import O_ACCMODE, O_CREAT, O_EXCL, O_RDONLY, O_TMPFILE
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.inode import Inode
from longpin.actors.kernel import Kernel
from longpin.actors.leases import refuse_lease
from longpin.messages.directory import Found, Link, Lookup, MakeDirectory, Rename, Unlink
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.inode import (
    AddLink,
    BreakDelegations,
    ChangeLease,
    CheckAccess,
    CloseFile,
    DropLink,
    NoName,
    SetAttributes,
    SetBreakTime,
    Touch,
)

DIRECTORY_SIZE = 4096
"""What stat(2) says of a directory, in bytes."""


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
        """Inodes by path; a directory's is this actor's own address."""
        self.names["/"] = address
        self.made = dict.fromkeys(names, 1)
        """How many inodes ever had each name, so that addresses are not used again."""
        self.inodes = list(names.values())
        """Every inode there ever was."""
        self.lease_break_time = kernel.lease_break_time

    @handles(Lookup)
    def lookup(self, request: Lookup, _src: Address) -> Found:
        """Find or create a file [open(2)]."""
        if request.flags & O_TMPFILE == O_TMPFILE:
            return Found(self._create_unnamed(request), created=True)
        if (inode := self.names.get(request.path)) is not None:
            if request.flags & O_CREAT and request.flags & O_EXCL:
                raise KernelError(errno.EEXIST)
            return Found(inode)
        if not request.flags & O_CREAT or not request.path.startswith("/"):
            raise KernelError(errno.ENOENT)
        return Found(self._create(request), created=True)

    def _create(self, request: Lookup) -> Address:
        inode = self._make(request)
        self.names[request.path] = inode
        return inode

    def _create_unnamed(self, request: Lookup) -> Address:
        """O_TMPFILE: a file in a directory, without a name."""
        if self.names.get(request.path) != self.address:
            raise KernelError(errno.ENOTDIR if request.path in self.names else errno.ENOENT)
        if request.flags & O_ACCMODE == O_RDONLY:
            raise KernelError(errno.EINVAL)
        inode = self._make(request)
        self.send(inode, NoName())
        return inode

    def _make(self, request: Lookup) -> Address:
        count = self.made[request.path] = self.made.get(request.path, 0) + 1
        inode = f"inode:{request.path}" + (f"#{count}" if count > 1 else "")
        self.spawn(Inode, inode, self.kernel, self.pmem, FileStart(request.uid, request.mode, 0, {}))
        if self.lease_break_time != self.kernel.lease_break_time:
            self.send(inode, SetBreakTime(self.lease_break_time))
        self.inodes.append(inode)
        return inode

    def _find(self, path: str, *, directory: int) -> Address:
        """Return the inode of a name; ENOENT if there is none, ``directory`` if it is a directory."""
        inode = self.names.get(path)
        if inode is None:
            raise KernelError(errno.ENOENT)
        if inode == self.address:
            raise KernelError(directory)
        return inode

    @handles(Unlink)
    def unlink(self, request: Unlink, _src: Address) -> Conversation[Done]:
        """Remove a name; the blocks stay while somebody has the file open [2.5, H7]."""
        inode = self._find(request.path, directory=errno.EISDIR)
        del self.names[request.path]
        yield Call(inode, DropLink())
        return DONE

    @handles(Link)
    def link(self, request: Link, _src: Address) -> Conversation[Done]:
        """Give a file a second name."""
        inode = self._find(request.path, directory=errno.EPERM)
        if request.to in self.names:
            raise KernelError(errno.EEXIST)
        yield Call(inode, AddLink(request.uid))
        if request.to in self.names:  # made by somebody else meanwhile
            yield Call(inode, DropLink())
            raise KernelError(errno.EEXIST)
        self.names[request.to] = inode
        return DONE

    @handles(Rename)
    def rename(self, request: Rename, _src: Address) -> Conversation[Done]:
        """Move a name; two names of one file stay as they are."""
        inode, replaced = self.names.get(request.path), self.names.get(request.to)
        if inode is None:
            raise KernelError(errno.ENOENT)
        if "/" in (request.path, request.to):
            raise KernelError(errno.EBUSY)
        if replaced is not None and (inode == self.address) != (replaced == self.address):
            raise KernelError(errno.EISDIR if replaced == self.address else errno.ENOTDIR)
        if inode != replaced or inode == self.address:
            del self.names[request.path]
            self.names[request.to] = inode
            if inode != self.address:
                yield Call(inode, BreakDelegations())
            if replaced is not None and replaced != self.address:
                yield Call(replaced, DropLink())
        return DONE

    @handles(MakeDirectory)
    def make_directory(self, request: MakeDirectory, _src: Address) -> Done:
        """Add a name that is a directory."""
        if request.path in self.names:
            raise KernelError(errno.EEXIST)
        self.names[request.path] = self.address
        return DONE

    @handles(SetBreakTime)
    def set_break_time(self, request: SetBreakTime, _src: Address) -> Conversation[Done]:
        """Tell every inode of /proc/sys/fs/lease-break-time."""
        self.lease_break_time = request.seconds
        for inode in list(self.inodes):
            yield Call(inode, request)
        return DONE

    # What a directory answers where a file would.

    @handles(SetAttributes)
    def set_attributes(self, request: SetAttributes, _src: Address) -> Done:
        """chmod(2), chown(2): root's."""
        if request.uid:
            raise KernelError(errno.EPERM)
        return DONE

    @handles(Touch)
    def touch(self, _request: Touch, _src: Address) -> Done:
        """utimes(2), setxattr(2)."""
        return DONE

    @handles(CheckAccess)
    def access(self, _request: CheckAccess, _src: Address) -> Done:
        """access(2), stat(2)."""
        return Done(DIRECTORY_SIZE)

    @handles(ChangeLease)
    def change_lease(self, request: ChangeLease, _src: Address) -> Done:
        """F_SETLEASE: there are none on this."""
        refuse_lease(request, 0, self.kernel.policy)

    @handles(CloseFile)
    def close(self, _request: CloseFile, _src: Address) -> Done:
        """close(2) of an open directory."""
        return DONE
