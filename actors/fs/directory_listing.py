"""What the directory knows of files for those who list all of them: paths as /proc shows them."""

from collections.abc import Mapping

from longpin.actors.base import ActorPart, handles
from longpin.actors.fs.backing import kind_of
from longpin.actors.fs.folders import Tree
from longpin.messages.envelope import Address
from longpin.messages.fs.listing import FilesListed, ListedFile, ListFiles


class DirectoryListing(ActorPart):
    """Every inode there ever was, with a name it has."""

    def __init__(self, tree: Tree, inodes: Mapping[Address, object]) -> None:
        self.tree = tree
        self.inodes = inodes

    @handles(ListFiles)
    def list_files(self, _request: ListFiles, _src: Address) -> FilesListed:
        """List them by path; of several names the first in the alphabet, of none the one it was made with. No devices.

        Linux shows the name a file was opened by, here nobody keeps that: the two differ where there are links.
        """
        paths: dict[Address, str] = {}
        for path, inode in self.tree.named().items():
            paths[inode] = min(path, paths.get(inode, path))
        files = (inode for inode in self.inodes if kind_of(inode) == "file")
        shown = (ListedFile(inode, paths.get(inode) or _deleted(inode)) for inode in files)
        return FilesListed(tuple(sorted(shown, key=lambda file: (file.path, file.inode))))


def _deleted(inode: Address) -> str:
    return f"{inode.partition(':')[2].partition('#')[0]} (deleted)"
