"""Calls on where the data of files lie: what shares blocks, copies them, and shows the map of a file."""

import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from longpin.actors.constants import (
    FICLONE,
    FIEMAP_EXTENT_DELALLOC,
    FIEMAP_EXTENT_LAST,
    FIEMAP_EXTENT_SHARED,
    FIEMAP_EXTENT_UNKNOWN,
    FIEMAP_EXTENT_UNWRITTEN,
    MFD_CLOEXEC,
    MFD_EXEC,
    MFD_HUGE_2MB,
    MFD_HUGETLB,
    MFD_NOEXEC_SEAL,
    O_ACCMODE,
    O_APPEND,
    O_RDONLY,
    O_RDWR,
    O_WRONLY,
)
from longpin.actors.conversation import Call, Conversation, KernelError, outcome
from longpin.actors.fs.backing import kind_of
from longpin.actors.fs.file import OpenFileDescription
from longpin.actors.fs.remap import MOST_DEDUPED
from longpin.actors.kernel.machine import MOST_BYTES, MOST_SIZE
from longpin.actors.mm.hugetlb_file import HugetlbFile
from longpin.actors.syscalls.declaration import Declarations, Flags, OneOf, Section, libc
from longpin.messages.envelope import Address
from longpin.messages.fs.directory import DIRECTORY, MakeMemfd
from longpin.messages.fs.file import AskOpen, AskPosition, Seek
from longpin.messages.fs.inode import Open, ReadAt, WriteAt
from longpin.messages.fs.remap import AskStorage, ExtentList, MapExtents, RemapFiles, RemapPlan
from longpin.messages.process.process import File

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.FILES)
syscall = CALLS.declare

_CLONE = {
    "EINTR": "semantics 2.5: a signal ends the wait for a lease",
    "ENOSPC": "semantics 2.5: the last block of the old end is shared, and must be copied to be zeroed",
    "EFBIG": "semantics 2.5: the target is beyond the largest size [code: generic_write_check_limits]",
}


class _Side(NamedTuple):
    """One of the two files of a call."""

    inode: Address
    kind: str
    flags: int
    device: Address
    """What it lies on: a pmem set, or what else tells two file systems apart."""
    reflink: bool = False
    size: int = 0

    @property
    def readable(self) -> bool:
        """Whether it is open for reading."""
        return self.flags & O_ACCMODE in (O_RDONLY, O_RDWR)

    @property
    def writable(self) -> bool:
        """Whether it is open for writing."""
        return self.flags & O_ACCMODE in (O_WRONLY, O_RDWR)


def _side(file: File) -> Conversation[_Side]:
    flags: int = (yield Call(file.ofd, AskOpen())).value
    if file.kind == "file":
        storage = yield Call(file.backing, AskStorage())
        return _Side(file.backing, file.kind, flags, storage.device, storage.reflink, storage.size)
    return _Side(file.backing, file.kind, flags, file.kind)


def _check_sides(source: _Side, target: _Side) -> None:
    """Fail as generic_file_rw_checks does."""
    if "directory" in (source.kind, target.kind):
        raise KernelError(errno.EISDIR)
    if (source.kind, target.kind) != ("file", "file"):
        raise KernelError(errno.EINVAL)
    if not source.readable or not target.writable or target.flags & O_APPEND:
        raise KernelError(errno.EBADF)


def _are_apart(source: _Side, target: _Side) -> bool:
    """Return whether they lie on two file systems; folders lie on that of the other file."""
    return "directory" not in (source.kind, target.kind) and source.device != target.device


def _check_area(offset: int, length: int) -> None:
    """Fail with EINVAL for what is no range of a file [code: remap_verify_area]."""
    if offset < 0 or length < 0 or offset + length > MOST_SIZE:
        raise KernelError(errno.EINVAL)


def _clone(
    process: "Process", target_fd: int, source_fd: int, source_offset: int, length: int, target_offset: int
) -> Conversation[int]:
    """Share blocks, all of them or none [code: ioctl_file_clone, vfs_clone_file_range]."""
    files = process.file(target_fd), process.file(source_fd)
    target = yield from _side(files[0])
    source = yield from _side(files[1])
    if _are_apart(source, target):
        raise KernelError(errno.EXDEV)
    _check_sides(source, target)
    if not target.reflink:
        raise KernelError(errno.EOPNOTSUPP)
    _check_area(source_offset, length)
    _check_area(target_offset, length)
    plan = RemapPlan(source.inode, source_offset, target.inode, target_offset, length, process.caller)
    yield Call(plan.first, RemapFiles(plan))
    return 0


@syscall(
    "ioctl(fd: fd, request: uint, arg: fd)",
    "ioctl(2), ioctl_ficlone(2)",
    returns="0; `FICLONE`: the file shares the blocks of the one that `arg` refers to",
    partial="`FICLONE`; [ficlonerange], [fideduperange] and [fiemap] are calls of their own",
    errnos=_CLONE,
    allowed={"request": OneOf(("FICLONE",))},
    libc=libc("int ioctl(fd, request, arg)", "sys/ioctl.h"),
)
def ioctl(process: "Process", fd: int, request: int, arg: int) -> Conversation[int]:
    """ioctl(2): FICLONE, a clone of the whole file."""
    process.file(fd)
    if request != FICLONE:
        raise KernelError(errno.ENOTTY)
    return (yield from _clone(process, fd, arg, 0, 0, 0))


@syscall(
    "ficlonerange(fd: fd, src_fd: fd, src_offset: long, src_length: long, dest_offset: long)",
    "ioctl_ficlone(2)",
    errnos=_CLONE,
    returns="0: ioctl(2) FICLONERANGE; with `src_length` 0 up to the end of the source",
)
def ficlonerange(
    process: "Process", fd: int, src_fd: int, src_offset: int, src_length: int, dest_offset: int
) -> Conversation[int]:
    """ioctl(2) FICLONERANGE: the members of ``struct file_clone_range`` are arguments."""
    return (yield from _clone(process, fd, src_fd, src_offset, src_length, dest_offset))


@syscall(
    "fideduperange(fd: fd, src_offset: long, src_length: long, dest_fd: fd, dest_offset: long)",
    "ioctl_fideduperange(2)",
    errnos=_CLONE,
    returns="the bytes that are shared, 0 where the data differ: ioctl(2) FIDEDUPERANGE with one destination, whose "
    "status, if it is an error, is the error of the call",
)
def fideduperange(
    process: "Process", fd: int, src_offset: int, src_length: int, dest_fd: int, dest_offset: int
) -> Conversation[int]:
    """ioctl(2) FIDEDUPERANGE: ``fd`` is the source [code: vfs_dedupe_file_range]."""
    source = yield from _side(process.file(fd))
    if not source.readable:
        raise KernelError(errno.EINVAL)
    if source.kind != "file":
        raise KernelError(errno.EISDIR if source.kind == "directory" else errno.EINVAL)
    if not source.reflink:
        raise KernelError(errno.EOPNOTSUPP)
    _check_area(src_offset, src_length)
    if src_offset + src_length > source.size:
        raise KernelError(errno.EINVAL)
    length = min(src_length, MOST_DEDUPED)
    target = yield from _side(process.file(dest_fd))
    _check_area(dest_offset, length)
    if _are_apart(source, target):
        raise KernelError(errno.EXDEV)
    if target.kind != "file":
        raise KernelError(errno.EISDIR if target.kind == "directory" else errno.EINVAL)
    if not length:
        return 0
    plan = RemapPlan(source.inode, src_offset, target.inode, dest_offset, length, process.caller, True, True)
    error = yield from outcome(_discarding(plan))
    if error is not None and error.errno == errno.EBADE:  # FILE_DEDUPE_RANGE_DIFFERS
        return 0
    if error is not None:
        raise error
    return length


def _discarding(plan: RemapPlan) -> Conversation[None]:
    yield Call(plan.first, RemapFiles(plan))


@syscall(
    "copy_file_range(fd_in: fd, off_in: long|none, fd_out: fd, off_out: long|none, len: size_t, [flags: uint])",
    "copy_file_range(2)",
    errnos={"EINTR": "semantics 2.5: a signal ends the wait for a lease or a lock before anything is copied"},
    returns="the number of bytes copied; `None` for an offset: the position, which moves. Whole blocks are shared, if "
    "the file system can",
)
def copy_file_range(
    process: "Process", fd_in: int, off_in: int | None, fd_out: int, off_out: int | None, length: int, flags: int = 0
) -> Conversation[int]:
    """copy_file_range(2): shares blocks if it can, else reads and writes [code: vfs_copy_file_range]."""
    file_in, file_out = process.file(fd_in), process.file(fd_out)
    start = (yield Call(file_in.ofd, AskPosition())).value if off_in is None else off_in
    target_start = (yield Call(file_out.ofd, AskPosition())).value if off_out is None else off_out
    if flags:
        raise KernelError(errno.EINVAL)
    source = yield from _side(file_in)
    target = yield from _side(file_out)
    _check_sides(source, target)
    if source.device != target.device:
        raise KernelError(errno.EXDEV)
    copied = yield from _copy(process, source, start, target, target_start, length)
    if copied and off_in is None:
        yield Call(file_in.ofd, Seek(start + copied))
    if copied and off_out is None:
        yield Call(file_out.ofd, Seek(target_start + copied))
    return copied


def _copy(
    process: "Process", source: _Side, start: int, target: _Side, target_start: int, length: int
) -> Conversation[int]:
    """Copy what there is of a range [code: generic_copy_file_checks]."""
    most = 1 << 64
    if (start % most) + length >= most or (target_start % most) + length >= most:
        raise KernelError(errno.EOVERFLOW)
    count = max(min(length, source.size - start), 0)
    if target_start >= MOST_SIZE:
        raise KernelError(errno.EFBIG)
    count = min(count, MOST_SIZE - max(target_start, 0))
    if source.inode == target.inode and abs(start - target_start) < count:
        raise KernelError(errno.EINVAL)
    _check_area(start, count)
    _check_area(target_start, count)
    if not count:
        return 0
    if target.reflink:
        plan = RemapPlan(
            source.inode, start, target.inode, target_start, count, process.caller, shorten=True, spins=False
        )
        try:
            remapped = (yield Call(plan.first, RemapFiles(plan))).count
        except KernelError:  # whatever it is, it is copied then
            remapped = 0
        if remapped:
            return int(remapped)
    return (yield from _splice(process, source.inode, start, target.inode, target_start, count))


def _splice(
    process: "Process", source: Address, start: int, target: Address, target_start: int, count: int
) -> Conversation[int]:
    """Read and write, piece by piece; an error ends it, and is told if nothing was copied [code: splice]."""
    done = 0
    while done < count:
        try:
            data = (yield Call(source, ReadAt(start + done, min(count - done, MOST_BYTES)))).data
            if not data:
                break
            written = (yield Call(target, WriteAt(target_start + done, data, process.caller))).count
        except KernelError:
            if not done:
                raise
            break
        done += written
        if written < len(data):
            break
    return done


MOST_MEMFD_NAME = 249
"""Bytes of the name of a memfd [MFD_NAME_MAX_LEN]."""
_FLAGS = (
    (FIEMAP_EXTENT_UNKNOWN, "UNKNOWN"),
    (FIEMAP_EXTENT_DELALLOC, "DELALLOC"),
    (FIEMAP_EXTENT_UNWRITTEN, "UNWRITTEN"),
    (FIEMAP_EXTENT_SHARED, "SHARED"),
    (FIEMAP_EXTENT_LAST, "LAST"),
)


def extent_text(logical: int, physical: int, length: int, flags: int) -> str:
    """Return one extent as ``fiemap`` shows it."""
    names = [name for flag, name in _FLAGS if flags & flag]
    return " ".join([f"{logical}:{physical}:{length}", *names])


@syscall(
    "fiemap(fd: fd)",
    "ioctl(2)",
    errnos={"EOPNOTSUPP": "Documentation/filesystems/fiemap.rst: it has no extents [code: ioctl_fiemap]"},
    returns="the extents as bytes, `logical:physical:length`, in bytes, and `UNWRITTEN`, `SHARED`, `LAST`, joined by "
    "`, `: ioctl(2) FS_IOC_FIEMAP",
)
def fiemap(process: "Process", fd: int) -> Conversation[bytes]:
    """ioctl(2) FS_IOC_FIEMAP of the whole file; physical addresses are those of its pmem set."""
    file = process.file(fd)
    if file.kind != "file":
        raise KernelError(errno.EOPNOTSUPP)
    found: ExtentList = yield Call(file.backing, MapExtents())
    rows = [
        (page, block, length, FIEMAP_EXTENT_UNWRITTEN * unwritten | FIEMAP_EXTENT_SHARED * shared)
        for page, block, length, unwritten, shared in found.extents
    ]
    rows = sorted(rows + _delayed(found.delayed))
    size = process.kernel.page_size
    shown = []
    for index, (page, block, length, flags) in enumerate(rows):
        last = FIEMAP_EXTENT_LAST * (index == len(rows) - 1)
        shown.append(extent_text(page * size, block * size, length * size, flags | last))
    return ", ".join(shown).encode()


def _delayed(pages: Iterable[int]) -> list[tuple[int, int, int, int]]:
    """Return extents of which nobody knows yet where they will lie."""
    flags = FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_UNKNOWN
    rows: list[tuple[int, int, int, int]] = []
    for page in pages:
        if rows and rows[-1][0] + rows[-1][2] == page:
            rows[-1] = (rows[-1][0], 0, rows[-1][2] + 1, flags)
        else:
            rows.append((page, 0, 1, flags))
    return rows


@syscall(
    "memfd_create(name: str, [flags: uint])",
    "memfd_create(2)",
    returns="a descriptor of a new file in memory, open for reading and writing; `MFD_CLOEXEC`; `MFD_HUGETLB` with "
    "`MFD_HUGE_2MB`: of huge pages",
    errnos={"ENODEV": "semantics 1.8.4: no huge pages of that size"},
    partial="without seals",
    allowed={"flags": Flags(("MFD_CLOEXEC", "MFD_NOEXEC_SEAL", "MFD_EXEC", "MFD_HUGETLB", "MFD_HUGE_2MB"))},
    libc=libc("int memfd_create(name, flags)", "sys/mman.h"),
)
def memfd_create(process: "Process", name: str, flags: int = 0) -> Conversation[int]:
    """memfd_create(2)."""
    if len(name.encode()) > MOST_MEMFD_NAME or flags & (MFD_EXEC | MFD_NOEXEC_SEAL) == MFD_EXEC | MFD_NOEXEC_SEAL:
        raise KernelError(errno.EINVAL)
    if flags & MFD_HUGE_2MB and not flags & MFD_HUGETLB:
        raise KernelError(errno.EINVAL)
    if flags & MFD_HUGE_2MB and process.kernel.huge_page_size != 1 << 21:
        raise KernelError(errno.ENODEV)
    process.reserve(1)
    inode: Address
    if flags & MFD_HUGETLB:
        ofd = f"file:{process.identity}.{process.count('file')}"
        inode, kind = f"hugetlb:{process.identity}.{process.count('hugetlb')}", "hugetlb"
        process.spawn(HugetlbFile, inode, process.kernel, process.credentials.fsuid, ofd, 0)
    else:
        inode, kind = (yield Call(DIRECTORY, MakeMemfd(name, process.credentials.fsuid))).inode, "file"
        ofd = f"file:{process.identity}.{process.count('file')}"
        yield Call(inode, Open(ofd, O_RDWR, process.caller, created=True, regular=kind_of(inode) == "file"))
    process.spawn(OpenFileDescription, ofd, inode, kind, O_RDWR)
    fd = process.install(File(ofd, inode, kind))
    if flags & MFD_CLOEXEC:
        process.close_on_exec.add(fd)
    return fd
