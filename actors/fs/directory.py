"""The directory: all names, and the folders they are in. A path is walked in one step.

Names change without asking leases: unlink, rename and link do not break them [oracle of real kernels, up to 6.18]. They
change under the lock of their folder, which is held while a call waits for the lock of a file [2.5]. Folders are no
actors: what a folder is asked, this actor is.
"""

import errno
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from longpin.actors.base import ActorPart, Engine, handles
from longpin.actors.constants import O_ACCMODE, O_CREAT, O_EXCL, O_PATH, O_TMPFILE, O_TRUNC
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.fs.backing import Backing, Common
from longpin.actors.fs.directory_listing import DirectoryListing
from longpin.actors.fs.directory_mounts import DirectoryMounts
from longpin.actors.fs.folder_leases import FolderLeases
from longpin.actors.fs.folders import CHANGE, Folder, Last, Tree
from longpin.actors.fs.inode import FileStart, Inode
from longpin.actors.fs.permissions import check, check_touch, set_attributes
from longpin.actors.kernel.machine import Kernel
from longpin.actors.kernel.mount import KERNEL_TMPFS, Mount
from longpin.actors.locks import Hold, Holds, Lock
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.directory import CheckName, Found, Link, Lookup, MakeDirectory, MakeMemfd, Rename, Unlink
from longpin.messages.fs.inode import (
    AddLink,
    ChangeLease,
    CloseFile,
    Delegated,
    DropInode,
    DropLink,
    LeaseOverdue,
    NoName,
    QueryLease,
    Renamed,
    SetAttributes,
    SetBreakTime,
    Touch,
)
from longpin.messages.fs.paths import normal


class Directory(Backing):
    """Names, and the making of inodes."""

    parts: ClassVar[Mapping[str, type[ActorPart]]] = {"listing": DirectoryListing, "mounts": DirectoryMounts}

    def __init__(
        self,
        engine: Engine,
        address: Address,
        kernel: Kernel,
        files: dict[str, Address],
        folders: tuple[str, ...] = (),
    ) -> None:
        super().__init__(engine, address, kernel)
        self.tree = Tree(self, kernel)
        for path in (*(mount.point for mount in kernel.mounts), *folders, *(path.rpartition("/")[0] for path in files)):
            self.tree.make_folders(path)
        for path, inode in files.items():
            last = self.tree.walk(path, "", 0)
            last.folder.entries[last.name] = inode
        self.made = dict.fromkeys(self.names, 1)
        """How many inodes ever had each name, so that addresses are not used again."""
        self.inodes = {inode: kernel.mount_of(path) for path, inode in files.items()}
        """Every inode there ever was, and where it lies."""
        self.listing = DirectoryListing(self.tree, self.inodes)
        self.mounts = DirectoryMounts(self.tree, self.inodes)
        self.rename_lock = Lock(self, "the lock of renames from folder to folder", by_message=True)
        self.lease_break_time = kernel.lease_break_time
        self.leases = FolderLeases(self, kernel)

    @property
    def names(self) -> dict[str, Address]:
        """What each path stands for."""
        return self.tree.named()

    # Locks of folders.

    def _lock(self, path: str, at: Address, uid: int, taken: int) -> Conversation[tuple[Hold, Last]]:
        """Walk to the folder of a name and take its lock; fail with ``taken`` where the path ends with no name.

        Whoever waited looks again: the path may lead elsewhere by now.
        """
        while True:
            last = self.tree.walk(path, at, uid)
            if not last.is_name:
                raise KernelError(taken)
            hold = yield last.folder.lock.exclusive()
            try:
                if self.tree.walk(path, at, uid).folder is last.folder and not last.folder.gone:
                    return hold, last
            except KernelError:
                hold.drop()
                raise
            hold.drop()
            if last.folder.gone:
                raise KernelError(errno.ENOENT)

    # Finding and making.

    @handles(Lookup)
    def lookup(self, request: Lookup, _src: Address) -> Found | Conversation[Found]:
        """Find or create a file [open(2)]."""
        if request.flags & O_TMPFILE == O_TMPFILE:
            return self._create_unnamed(request)
        if request.flags & O_CREAT:
            return self.leases.when_undelegated(partial(self._find_or_create, request))
        inode = self.tree.find(self.tree.walk(request.path, request.at, request.uid))
        if (folder := self.tree.folders.get(inode)) is not None and not request.flags & O_PATH:
            self._check_open(folder, request)
        return Found(inode)

    @staticmethod
    def _check_open(folder: Folder, request: Lookup) -> None:
        """Fail unless a folder may be opened so: for reading only."""
        if request.flags & (O_ACCMODE | O_CREAT | O_TRUNC):
            raise KernelError(errno.EISDIR)
        check(folder.attributes, request.uid, 4)

    def _find_or_create(self, request: Lookup) -> Conversation[Found | Delegated]:
        """O_CREAT: a file that is there is found without the folder's lock, unless O_EXCL asks for it [meas 6.18]."""
        exclusive = request.flags & O_EXCL
        last = self.tree.walk(request.path, request.at, request.uid)
        if last.is_name and last.slash:
            raise KernelError(errno.EISDIR)
        if not exclusive and (inode := self.tree.entry(last.folder, last.name)) is not None:
            return self._existing(inode, request)
        hold, last = yield from self._lock(request.path, request.at, request.uid, errno.EEXIST)
        with hold:
            inode = self.tree.entry(last.folder, last.name)
            if inode is not None and exclusive:
                raise KernelError(errno.EEXIST)
            if inode is not None:
                return self._existing(inode, request)
            check(last.folder.attributes, request.uid, CHANGE)
            if delegated := (yield from self.leases.in_the_way(last.folder)):
                return delegated
            inode = last.folder.entries[last.name] = self._make(request, last.folder)
        return Found(inode, created=True)

    def _existing(self, inode: Address, request: Lookup) -> Found:
        if (folder := self.tree.folders.get(inode)) is not None:
            self._check_open(folder, request)
        return Found(inode)

    def _create_unnamed(self, request: Lookup) -> Found:
        """O_TMPFILE: a file in a folder, without a name."""
        address = self.tree.find(self.tree.walk(request.path, request.at, request.uid))
        if (folder := self.tree.folders.get(address)) is None:
            raise KernelError(errno.ENOTDIR)
        check(folder.attributes, request.uid, CHANGE)
        inode = self._make(request, folder)
        self.send(inode, NoName())
        return Found(inode, created=True)

    @handles(MakeMemfd)
    def make_memfd(self, request: MakeMemfd, _src: Address) -> Found:
        """Make a file in memory. As everywhere the open that follows keeps it, while it has no name."""
        inode = self._address("inode", f"/memfd:{request.name}", "")
        self._spawn_inode(inode, FileStart(request.uid, 0o777, 0), KERNEL_TMPFS)
        self.send(inode, NoName())
        return Found(inode, created=True)

    def _make(self, request: Lookup, folder: Folder) -> Address:
        inode = self._address("inode", request.path, request.at)
        self._spawn_inode(inode, FileStart(request.uid, request.mode, 0), folder.mount)
        return inode

    def _spawn_inode(self, inode: Address, start: FileStart, mount: Mount) -> None:
        self.spawn(Inode, inode, self.kernel, mount, start)
        if self.lease_break_time != self.kernel.lease_break_time:
            self.send(inode, SetBreakTime(self.lease_break_time))
        self.inodes[inode] = mount

    def _address(self, kind: str, path: str, at: Address) -> Address:
        """Return an address for what is made under a path: it tells the path, and how many there were before."""
        name = at.partition(":")[2].rstrip("/") + normal(path)
        count = self.made[name] = self.made.get(name, 0) + 1
        return f"{kind}:{name}" + (f"#{count}" if count > 1 else "")

    @handles(MakeDirectory)
    def make_directory(self, request: MakeDirectory, _src: Address) -> Conversation[Done]:
        """mkdir(2)."""
        return (yield from self.leases.when_undelegated(partial(self._make_directory, request)))

    def _make_directory(self, request: MakeDirectory) -> Conversation[Done | Delegated]:
        hold, last = yield from self._lock_free(request.path, request.at, request.uid, folder=True)
        with hold:
            check(last.folder.attributes, request.uid, CHANGE)
            if delegated := (yield from self.leases.in_the_way(last.folder)):
                return delegated
            address = self._address("folder", request.path, request.at)
            self.tree.add_folder(address, last, request.uid, request.mode)
        return DONE

    def _lock_free(self, path: str, at: Address, uid: int, *, folder: bool = False) -> Conversation[tuple[Hold, Last]]:
        """Lock the folder of a name that must not be there; only a ``folder`` may have a slash behind its name."""
        hold, last = yield from self._lock(path, at, uid, errno.EEXIST)
        try:
            if self.tree.entry(last.folder, last.name) is not None:
                raise KernelError(errno.EEXIST)
            if last.slash and not folder:
                raise KernelError(errno.ENOENT)
        except KernelError:
            hold.drop()
            raise
        return hold, last

    @handles(CheckName)
    def check_name(self, request: CheckName, _src: Address) -> Conversation[Done]:
        """Look at a name that a call cannot use, because the other one is not here."""
        if request.free:
            hold, _ = yield from self._lock_free(request.path, request.at, request.uid)
            hold.drop()
        else:
            self.tree.walk(request.path, request.at, request.uid)
        return DONE

    # Changing names.

    @handles(Unlink)
    def unlink(self, request: Unlink, _src: Address) -> Conversation[Done]:
        """Remove a name; the blocks stay while somebody has the file open [2.5, H7]."""
        return (yield from self.leases.when_undelegated(partial(self._unlink, request)))

    def _unlink(self, request: Unlink) -> Conversation[Done | Delegated]:
        hold, last = yield from self._lock(request.path, request.at, request.uid, errno.EISDIR)
        with hold:
            inode = self.tree.entry(last.folder, last.name)
            if inode is None:
                raise KernelError(errno.ENOENT)
            if inode in self.tree.folders or last.slash:
                raise KernelError(errno.EISDIR if inode in self.tree.folders else errno.ENOTDIR)
            check(last.folder.attributes, request.uid, CHANGE)
            if delegated := (yield from self.leases.in_the_way(last.folder)):
                return delegated
            left: Done | Delegated = yield Call(inode, DropLink())
            if isinstance(left, Delegated):
                return left
            del last.folder.entries[last.name]
        if not left.value:
            yield Call(inode, DropInode())
        return DONE

    @handles(Link)
    def link(self, request: Link, _src: Address) -> Conversation[Done]:
        """Give a file a second name."""
        return (yield from self.leases.when_undelegated(partial(self._link, request)))

    def _link(self, request: Link) -> Conversation[Done | Delegated]:
        inode = self.tree.find(self.tree.walk(request.path, request.at, request.uid))
        hold, last = yield from self._lock_free(request.to, request.to_at, request.uid)
        with hold:
            if self._mount_of(inode) != last.folder.mount:
                raise KernelError(errno.EXDEV)
            if inode in self.tree.folders:
                raise KernelError(errno.EPERM)
            check(last.folder.attributes, request.uid, CHANGE)
            if delegated := (yield from self.leases.in_the_way(last.folder)):
                return delegated
            added: Done | Delegated = yield Call(inode, AddLink(request.uid))
            if isinstance(added, Delegated):
                return added
            last.folder.entries[last.name] = inode
        return DONE

    @handles(Rename)
    def rename(self, request: Rename, _src: Address) -> Conversation[Done]:
        """Move a name; two names of one file stay as they are.

        A file that lost its last name so is evicted under the locks [code: do_renameat2].
        """
        return (yield from self.leases.when_undelegated(partial(self._rename, request)))

    def _rename(self, request: Rename) -> Conversation[Done | Delegated]:
        holds, source, target = yield from self._lock_both(request)
        with holds:
            inode, replaced = self._check_rename(source, target, request.uid)
            if inode == replaced:
                return DONE
            if delegated := (yield from self.leases.in_the_way(source.folder, target.folder)):
                return delegated
            left = yield from self._lock_files(inode, replaced)
            if isinstance(left, Delegated):
                return left
            self.tree.move(source, target)
            if replaced is not None and not left.value:
                yield Call(replaced, DropInode())
        return DONE

    def _mount_of(self, address: Address) -> Mount:
        return self.tree.folders[address].mount if address in self.tree.folders else self.inodes[address]

    def _lock_both(self, request: Rename) -> Conversation[tuple[Holds, Last, Last]]:
        """Take the locks of the folders of both names, from the root on; of a folder that moves, all below it too.

        Linux does not lock the folder that moves, nor those below; here it waits for who changes names there, and they
        look again afterwards.
        """
        while True:
            source = self.tree.walk(request.path, request.at, request.uid)
            target = self.tree.walk(request.to, request.to_at, request.uid)
            if source.folder.mount != target.folder.mount:
                raise KernelError(errno.EXDEV)
            if not source.is_name or not target.is_name:
                raise KernelError(errno.EBUSY)
            locks = self._locks_of(source, target)
            holds = Holds()
            for lock in locks:
                hold = yield lock.exclusive()
                holds.add(hold)
            try:
                again = (
                    self.tree.walk(request.path, request.at, request.uid),
                    self.tree.walk(request.to, request.to_at, request.uid),
                )
                if again == (source, target) and self._locks_of(*again) == locks:
                    return holds, source, target
            except KernelError:
                holds.drop()
                raise
            holds.drop()

    def _locks_of(self, source: Last, target: Last) -> list[Lock]:
        moved = [last.folder.entries.get(last.name) for last in (source, target)]
        folders = {source.folder.address: source.folder, target.folder.address: target.folder}
        folders |= {folder.address: folder for address in moved if address for folder in self.tree.below(address)}
        order = sorted(folders.values(), key=lambda folder: (len(self.tree.above(folder)), folder.address))
        several = source.folder is not target.folder
        return [self.rename_lock] * several + [folder.lock for folder in order]

    def _check_rename(self, source: Last, target: Last, uid: int) -> tuple[Address, Address | None]:
        """Return what is moved, and what had the new name; checks in the order of rename(2)'s [code: do_renameat2]."""
        inode = self.tree.entry(source.folder, source.name)
        if inode is None:
            raise KernelError(errno.ENOENT)
        replaced = self.tree.entry(target.folder, target.name)
        is_folder = inode in self.tree.folders
        if not is_folder and (source.slash or target.slash):
            raise KernelError(errno.ENOTDIR)
        if inode in self.tree.above(target.folder):
            raise KernelError(errno.EINVAL)
        if replaced in self.tree.above(source.folder):
            raise KernelError(errno.ENOTEMPTY)
        if inode != replaced:
            check(source.folder.attributes, uid, CHANGE)
            check(target.folder.attributes, uid, CHANGE)
        if target.folder.gone:
            raise KernelError(errno.ENOENT)
        if self.tree.is_mount_point(inode) or self.tree.is_mount_point(replaced):
            raise KernelError(errno.EBUSY)
        if replaced is not None and is_folder != (replaced in self.tree.folders):
            raise KernelError(errno.ENOTDIR if is_folder else errno.EISDIR)
        if inode != replaced and replaced in self.tree.folders and self.tree.folders[replaced].entries:
            raise KernelError(errno.ENOTEMPTY)
        return inode, replaced

    def _lock_files(self, inode: Address, replaced: Address | None) -> Conversation[Done | Delegated]:
        """Have files note that they are renamed; return how many names the one that was replaced has left."""
        if inode in self.tree.folders:
            return (yield from self.leases.in_the_way(*self._moved(inode, replaced))) or Done(1)
        first, second = sorted((inode, replaced)) if replaced is not None else (inode, "")
        renamed = Renamed(first == replaced, second, second == replaced)
        left: Done | Delegated = yield Call(first, renamed)
        return left if replaced is not None or isinstance(left, Delegated) else Done(1)

    def _moved(self, *addresses: Address | None) -> list[Folder]:
        return [self.tree.folders[address] for address in addresses if address is not None]

    @handles(SetBreakTime)
    def set_break_time(self, request: SetBreakTime, _src: Address) -> Conversation[Done]:
        """Tell every inode of /proc/sys/fs/lease-break-time."""
        self.lease_break_time = request.seconds
        self.leases.set_break_time(request.seconds)
        for inode in list(self.inodes):
            yield Call(inode, request)
        return DONE

    # What a folder is asked.

    def node(self, request: Common) -> Folder:
        """Return the folder that a request is about."""
        return self.tree.folders[request.folder]

    @handles(SetAttributes)
    def set_attributes(self, request: SetAttributes, _src: Address) -> Conversation[Done]:
        """chmod(2), chown(2)."""
        return (yield from self.leases.when_undelegated(partial(self._set_attributes, request)))

    def _set_attributes(self, request: SetAttributes) -> Conversation[Done | Delegated]:
        folder = self.node(request)
        with (yield folder.lock.exclusive()):
            if delegated := (yield from self.leases.in_the_way(folder)):
                return delegated
            set_attributes(folder.attributes, request)
        return DONE

    @handles(Touch)
    def touch(self, request: Touch, _src: Address) -> Conversation[Done]:
        """utimes(2), setxattr(2)."""
        return (yield from self.leases.when_undelegated(partial(self._touch, request)))

    def _touch(self, request: Touch) -> Conversation[Done | Delegated]:
        folder = self.node(request)
        with (yield folder.lock.exclusive()):
            check_touch(folder.attributes, request)
            return (yield from self.leases.in_the_way(folder)) or DONE

    @handles(ChangeLease)
    def change_lease(self, request: ChangeLease, _src: Address) -> Conversation[Done]:
        """F_SETDELEG and F_SETLEASE on a folder."""
        return (yield from self.leases.change(request, self.node(request)))

    @handles(QueryLease)
    def query_lease(self, request: QueryLease, _src: Address) -> Conversation[Done]:
        """F_GETDELEG and F_GETLEASE on a folder."""
        return (yield from self.leases.query(request))

    @handles(LeaseOverdue)
    def overdue(self, notice: LeaseOverdue, _src: Address) -> None:
        """Note that the break time of a folder's lease has passed."""
        self.leases.overdue(notice)

    @handles(CloseFile)
    def close(self, request: CloseFile, _src: Address) -> Conversation[Done]:
        """Release an open file description of a folder: flock(2) locks and leases go."""
        self.node(request).flocks.drop(self, request.ofd)
        yield from self.leases.release(request.ofd, request.folder)
        return DONE
