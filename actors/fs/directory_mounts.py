"""What the directory knows of mounted file systems: which files they have, and how they go [2.10]."""

import errno
from collections.abc import Mapping

from longpin.actors.base import ActorPart, handles
from longpin.actors.conversation import KernelError
from longpin.actors.fs.folders import Folder, Tree
from longpin.actors.kernel.mount import Mount
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.directory import ROOT
from longpin.messages.fs.mounts import Detach, FindMount, FoundMount, MakeReadOnly


class DirectoryMounts(ActorPart):
    """The folders on which file systems are mounted."""

    def __init__(self, tree: Tree, inodes: Mapping[Address, Mount]) -> None:
        self.tree = tree
        self.inodes = inodes
        """Every inode there ever was, and where it lies."""

    @handles(FindMount)
    def find_mount(self, request: FindMount, _src: Address) -> FoundMount:
        """Look for what is mounted where a path leads.

        Raises:
            KernelError: EINVAL, nothing is; or the path leads nowhere.

        """
        point = self.tree.find(self.tree.walk(request.path, request.at, request.uid))
        mount = self.tree.mount_points.get(point)
        if mount is None:
            raise KernelError(errno.EINVAL)
        others = (folder for folder in self.tree.below(point) if folder.address != point)
        kept = point == ROOT or any(self.tree.is_mount_point(folder.address) for folder in others)
        return FoundMount(point, kept, tuple(inode for inode, its in self.inodes.items() if its == mount))

    @handles(Detach)
    def detach(self, request: Detach, _src: Address) -> Done:
        """Have a mount point be the empty folder that it was before."""
        for folder in self._folders(request.point):
            folder.gone = folder.address != request.point
        folder = self.tree.folders[request.point]
        folder.entries.clear()
        folder.mount = self.tree.folders[folder.parent].mount
        folder.attributes.read_only = False
        del self.tree.mount_points[request.point]
        return DONE

    @handles(MakeReadOnly)
    def make_read_only(self, request: MakeReadOnly, _src: Address) -> Done:
        """Let no name be changed any more."""
        for folder in self._folders(request.point):
            folder.attributes.read_only = True
        return DONE

    def _folders(self, point: Address) -> list[Folder]:
        mount = self.tree.mount_points[point]
        return [folder for folder in self.tree.below(point) if folder.mount == mount]
