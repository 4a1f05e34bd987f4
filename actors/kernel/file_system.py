"""The file systems: which of an inode's users each operation asks before it changes the layout, in which order [2.5].

The locks are the same in both: the iolock, exclusively, for all of them, and the mmap lock besides for those that ask
pages, so that no new mapping and no fault comes in between.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Flag, StrEnum, auto
from types import MappingProxyType


class LayoutOperation(StrEnum):
    """What changes, or might change, where the data of a file lie."""

    WRITE = "write"
    TRUNCATE = "truncate"
    """truncate, ftruncate and O_TRUNC, to whatever size."""
    ALLOCATE = "fallocate"
    """fallocate without a mode, or with FALLOC_FL_KEEP_SIZE."""
    ZERO_RANGE = "zero"
    PUNCH_HOLE = "punch"
    COLLAPSE_RANGE = "collapse"
    INSERT_RANGE = "insert"
    UNSHARE_RANGE = "unshare"
    CLONE_FROM = "clone source"
    """The file whose blocks FICLONE, FICLONERANGE, FIDEDUPERANGE or copy_file_range(2) shares."""
    CLONE_TO = "clone target"
    """The file that gets them."""


class ChangeKind(Flag):
    """What an operation does to the layout of a file: blocks, sharing and size. Several at once, or none."""

    ADDITIVE = auto()
    """A hole gets a block."""
    SUBTRACTIVE = auto()
    """A page loses its block, which is free then."""
    MOVING = auto()
    """A block becomes that of another page."""
    ETHEREAL = auto()
    """Allocation is put off until the data are written back: file systems say so of their operations."""
    SHARING = auto()
    """A block becomes that of another file too: nothing is freed, but the next write must copy."""
    CONVERTING = auto()
    """Blocks that are preallocated become written, or the other way round: whether that is layout is disputed [1.6]."""
    EXTENDING = auto()
    """The file becomes longer."""
    SHRINKING = auto()
    """The file becomes shorter."""

    def __or__(self, other: "ChangeKind") -> "ChangeKind":
        """Return both."""
        return COMBINATIONS[self._value_ | other._value_]


COMBINATIONS = tuple(ChangeKind(bits) for bits in range(1 << len(ChangeKind)))
"""All there are. Python makes a combination when it is first looked up, handling exceptions on the way, and that can be
seen of a conversation which is under way then: a state must not depend on what was looked up before."""

NO_CHANGE = COMBINATIONS[0]
"""The layout stays as it is."""


class Asked(StrEnum):
    """Who is asked before an operation."""

    LEASES = "layout leases"
    """They are broken and waited for: XFS's BREAK_WRITE."""
    PAGES = "pages"
    """They are waited for while something holds a reference on them: dax_layout_busy_page."""


_FALLOCATE = (
    LayoutOperation.ALLOCATE,
    LayoutOperation.ZERO_RANGE,
    LayoutOperation.PUNCH_HOLE,
    LayoutOperation.COLLAPSE_RANGE,
    LayoutOperation.INSERT_RANGE,
)


@dataclass(frozen=True, slots=True, eq=False)
class FileSystem:
    """One file system; made once, so it is compared by identity, and a state that holds it is hashed as fast."""

    name: str
    source: str
    asks: Mapping[LayoutOperation, tuple[Asked, ...]]
    """Who is asked before an operation, in this order."""
    in_memory: bool = False
    """There is no device below it."""
    fallocate: tuple[LayoutOperation, ...] = _FALLOCATE
    """What fallocate(2) does here; the rest is EOPNOTSUPP."""
    reflink: bool = False
    """Files can share blocks: it has a ``remap_file_range``."""
    collapse_truncates: bool = False
    """Collapse ends with a truncate to the new size, which gives back what is preallocated behind it [meas 6.18]."""
    kinds: Mapping[LayoutOperation, ChangeKind] = field(default_factory=lambda: MappingProxyType({}))
    """What an operation does to the layout here beside what the extent map shows."""
    exports_layouts: bool = False
    """knfsd can tell pNFS clients where the blocks of a file are [code: xfs_export_operations]."""
    shifts_zap_copies: bool = False
    """Collapse and insert take private copies of the pages behind them away too: ext4, not XFS [1.8; meas 6.18]."""


_BREAK_WRITE = (Asked.LEASES,)
_BREAK_UNMAP = (Asked.PAGES, Asked.LEASES)
_LEASES_THEN_PAGES = (Asked.LEASES, Asked.PAGES)
_DAX_WAIT = (Asked.PAGES,)

FILE_SYSTEMS: dict[str, FileSystem] = {
    "xfs": FileSystem(
        "xfs",
        "Linux 5.4, fs/xfs/xfs_file.c: xfs_break_layouts [k54]; waits measured on 6.1, 6.12, 6.18, 7.2",
        MappingProxyType(
            dict.fromkeys(LayoutOperation, _BREAK_UNMAP)
            | {LayoutOperation.WRITE: _BREAK_WRITE}
            | dict.fromkeys((LayoutOperation.CLONE_FROM, LayoutOperation.CLONE_TO), _LEASES_THEN_PAGES)
        ),
        fallocate=(*_FALLOCATE, LayoutOperation.UNSHARE_RANGE),
        reflink=True,
        collapse_truncates=True,
        exports_layouts=True,
    ),
    "ext4": FileSystem(
        "ext4",
        "Linux 5.4, fs/ext4/inode.c: ext4_break_layouts [k54]; waits measured on 6.1, 6.12, 6.18, 7.2",
        MappingProxyType(
            dict.fromkeys(LayoutOperation, _DAX_WAIT) | {LayoutOperation.WRITE: (), LayoutOperation.ALLOCATE: ()}
        ),
        shifts_zap_copies=True,
    ),
    "tmpfs": FileSystem(
        "tmpfs",
        "Linux 5.4, mm/shmem.c: its pages are nowhere else, so nobody is asked [k54]; no waits on 6.1 to 7.2 [meas]",
        MappingProxyType(dict.fromkeys(LayoutOperation, ())),
        in_memory=True,
        fallocate=(LayoutOperation.ALLOCATE, LayoutOperation.PUNCH_HOLE),
    ),
}
"""Every file system by its name in ``/proc/filesystems``; files lie on XFS unless the scenario says otherwise."""
