"""What can stand behind a descriptor or a name: inodes, folders, pipes, RDMA devices, told by their addresses.

Here is what the VFS answers for all of them; each kind of file answers itself where it does something else.
"""

import errno
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Protocol, Self

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.fs.attributes import Attributes
from longpin.actors.fs.flocks import Flocks
from longpin.actors.fs.lease_list import read_request
from longpin.actors.fs.permissions import check, check_touch, set_attributes
from longpin.actors.kernel.machine import Kernel
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.directory import DIRECTORY
from longpin.messages.fs.inode import ChangeLease, CheckAccess, CloseFile, Flock, QueryLease, SetAttributes, Touch

KINDS = {
    "inode": "file",
    "folder": "directory",
    "pipe": "pipe",
    "uverbs": "uverbs",
    "dax": "dax",
    "camera": "video",
    "video": "video",
    "vfio_driver": "vfio",
    "vfio": "vfio",
    "xdp": "xdp",
    "io_uring": "io_uring",
    "shmem": "shmem",
    "hugetlb": "hugetlb",
}
"""What an open file description is, by the kind of address behind it."""


@dataclass(frozen=True, slots=True)
class FileOperations:
    """The errno of each call on a description of a kind of file that has no such call; 0: it has it.

    The defaults are the VFS's answers for a file that has none of them. A call that a kind has not got does not reach
    what stands behind the description.
    """

    read: int = errno.EINVAL
    write: int = errno.EINVAL
    seek: int = errno.ESPIPE
    truncate: int = errno.EINVAL
    fallocate: int = errno.ENODEV
    sync: int = errno.EINVAL
    map: int = errno.ENODEV
    direct: bool = False
    """F_SETFL may set O_DIRECT."""
    fixed_position: bool = False
    """lseek(2) moves nothing [noop_llseek]."""
    stream: bool = False
    """It has no positions: what was read is gone."""


FILE_OPERATIONS = {
    "file": FileOperations(read=0, write=0, seek=0, truncate=0, fallocate=0, sync=0, map=0, direct=True),
    "directory": FileOperations(read=errno.EISDIR, seek=0, sync=0),
    "pipe": FileOperations(read=0, write=0, fallocate=errno.ESPIPE, direct=True, stream=True),
    "uverbs": FileOperations(),
    "dax": FileOperations(seek=0, map=0, fixed_position=True),
    "video": FileOperations(),
    "vfio": FileOperations(),
    "xdp": FileOperations(read=errno.ENXIO, write=errno.ENXIO),
    "io_uring": FileOperations(),
    "shmem": FileOperations(fallocate=0, map=0),
    "hugetlb": FileOperations(read=0, seek=0, truncate=0, fallocate=0, sync=0, map=0),
    "path": FileOperations(),
}
"""By what an open file description is."""

Common = ChangeLease | CheckAccess | CloseFile | Flock | QueryLease | SetAttributes | Touch
"""What each of them can be asked."""


def kind_of(backing: Address) -> str:
    """Return what an open file description of it is: a value of :data:`KINDS`."""
    return KINDS[backing.partition(":")[0]]


def ask(backing: Address, request: Common) -> Call:
    """Return the call that asks it; folders are no actors, so the directory answers for them."""
    if kind_of(backing) == "directory":
        return Call(DIRECTORY, replace(request, folder=backing))
    return Call(backing, request)


class Node(Protocol):
    """What every file has, of whatever kind."""

    attributes: Attributes
    flocks: Flocks


class Backing(Actor):
    """An actor that stands behind descriptors and names, with the answers of the VFS to what all files are asked."""

    def __init__(self, engine: Engine, address: Address, kernel: Kernel) -> None:
        super().__init__(engine, address)
        self.kernel = kernel

    @abstractmethod
    def node(self, request: Common) -> Node:
        """Return the file that a request is about: the actor itself, or one of the folders it stands for."""

    @handles(SetAttributes)
    def set_attributes(self, request: SetAttributes, _src: Address) -> Done | Conversation[Done]:
        """chmod(2), chown(2)."""
        set_attributes(self.node(request).attributes, request)
        return DONE

    @handles(Touch)
    def touch(self, request: Touch, _src: Address) -> Done | Conversation[Done]:
        """utimes(2); user attributes are for regular files and folders [xattr(7)]."""
        if request.xattr:
            raise KernelError(errno.EPERM)
        check_touch(self.node(request).attributes, request)
        return DONE

    @handles(CheckAccess)
    def access(self, request: CheckAccess, _src: Address) -> Done:
        """access(2), stat(2): the reply is the size."""
        attributes = self.node(request).attributes
        check(attributes, request.uid, request.mode)
        return Done(attributes.size)

    @handles(Flock)
    def flock(self, request: Flock, _src: Address) -> Conversation[Done]:
        """flock(2)."""
        return (yield from self.node(request).flocks.change(self, request))

    @handles(ChangeLease)
    def change_lease(self, request: ChangeLease, _src: Address) -> Done | Conversation[Done]:
        """F_SETLEASE: there are leases on regular files only [2.1 steps 2 and 3].

        Raises:
            KernelError: EACCES for others than the owner, else EINVAL.

        """
        unknown = read_request(self.kernel.policy, request) is None
        permitted = request.caller.may_lease(self.node(request).attributes.uid)
        raise KernelError(errno.EINVAL if unknown or permitted else errno.EACCES)

    @handles(CloseFile)
    def close(self, request: CloseFile, _src: Address) -> Done | Conversation[Done]:
        """Release an open file description: its flock(2) locks go."""
        self.node(request).flocks.drop(self, request.ofd)
        return DONE


class OneFile(Backing):
    """An actor that is one file, with its attributes and locks; the directory is many."""

    attributes: Attributes
    flocks: Flocks

    def node(self, _request: Common) -> Self:
        """Return itself."""
        return self
