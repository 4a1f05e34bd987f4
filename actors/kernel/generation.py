"""The generations of Linux: each difference that was measured or read is a field, and a version is a row of values.

Nothing compares versions: who behaves differently asks for the field, which says how the difference is known.
"""

import errno
from dataclasses import dataclass, replace
from enum import StrEnum

from longpin.actors.kernel.nfs_server import OnTimeout


class Version(StrEnum):
    """The kernel the proposals were written against, and those that were measured: Debian's 6.1, 6.12, 6.18, 7.2."""

    IDEAL = "ideal"
    """No Linux: what the prose of the proposals takes for granted. Nobody waits for pages that do not change."""
    LINUX_5_4 = "5.4"
    LINUX_6_1 = "6.1"
    LINUX_6_12 = "6.12"
    LINUX_6_18 = "6.18"
    LINUX_7_2 = "7.2"


class Refusal(StrEnum):
    """The errno with which a call is refused, by name."""

    EINVAL = "EINVAL"
    EOPNOTSUPP = "EOPNOTSUPP"

    @property
    def number(self) -> int:
        """The errno."""
        return int(getattr(errno, self.value))


@dataclass(frozen=True, slots=True)
class Generation:
    """What one version of Linux does where others do otherwise."""

    busy_scan_skips_unmapped: bool = False
    """dax_layout_busy_page calls every page idle if nobody maps the file: up to 6.12 [2.5, H6; meas]."""
    evict_waits: bool = True
    """The final free of a file waits, uninterruptibly, for idle pages: 6.12 does not, 6.18 does [2.5, H7; meas]."""
    whole_file_scan: bool = True
    """Busy pages are looked for in the whole file, not only where it changes: in every Linux [2.5, H1; meas]."""
    late_longterm_check: bool = False
    """A long-term pin is refused only after the pages were pinned: 5.4 [code k54], not 6.1 [4.0; meas]."""
    read_only_pins: bool = True
    """A registration without a right to write faults and pins for reading: 6.1 does not, 6.12 does [2.6; meas]. So a
    long pin for reading through a private mapping is of a copy, and not of the file's page [code: from 6.2 on]."""
    keeps_cache_from_pins: bool = True
    """A shared page of the page cache is not pinned for long and for writing, EFAULT: 6.1 pins it [2.6; meas]."""
    copies_see_pins: bool = True
    """fork copies pinned anonymous pages for the child, and a store after it minds pins: from 5.9 [1.8; meas 6.1]."""
    mremap_moves_several: bool = True
    """mremap(2) moves all mappings of a range, if it keeps its length: from 6.17 on [1.8; code; meas 6.18]."""
    delegations: bool = False
    """F_SETDELEG and F_GETDELEG, of files and of folders: from 6.19 on, so 6.18 has none, 7.2 has them [2.8; meas]."""
    nfsd_on_timeout: OnTimeout = OnTimeout.NEVER
    """What knfsd does when lease-break-time is over for a layout: from 7.1 on it fences [1.4.1; code]."""
    folder_leases: bool = False
    """F_SETLEASE takes a read lease on a folder: none of the measured kernels does [2.1 step 4; meas]."""
    rxe_on_demand: bool = True
    """rxe does on-demand paging, and with it every device that is not said to do none: 6.18 does [1.10.3; meas]."""
    rxe_checks_entries: bool = True
    """rxe writes to a page that it has only if its entry allows that, else it faults: 6.18, which has no look at
    what an entry allows, writes to what it has faulted in for a read [1.10.3; meas]."""
    on_demand_references: bool = False
    """A fault of a device references the page until the device has it (get_user_pages_remote): up to 5.9, then
    hmm_range_fault takes no reference [1.10.3; code k54]."""
    on_demand_errno: Refusal = Refusal.EOPNOTSUPP
    """The errno of on-demand paging on a device that has none: EINVAL up to 6.1 [2.6; meas]."""
    vfio_any_holder_unmaps: bool = True
    """Who has a VFIO container open unmaps what others mapped: from 6.0 on, before it only who mapped it does [1.10.5;
    code: vfio_dma_do_unmap]."""

    io_uring_looks_at_files: bool = False
    """io_uring looks at the mappings of a buffer when its pages are pinned, and takes of files only tmpfs and hugetlb:
    up to 6.4; then it leaves that to the pin [1.10.4; code: io_pin_pages; meas 6.1]."""
    io_uring_charges_rings: bool = True
    """The memory of its queues counts against RLIMIT_MEMLOCK: up to 5.11, and 6.14 to 6.18 at least; 7.2 does not
    [2.6; code: io_create_region; meas]."""
    io_uring_shows_unlimited: bool = True
    """Buffers of a ring that nobody's limit is for are shown as pinned all the same: 7.2 does not [2.6; meas]."""
    io_uring_is_sent: bool = False
    """A descriptor of a ring can be sent through a socket: up to 6.6, and not in 6.1 from 6.1.69 on
    [1.10.4; code: scm_fp_copy; meas 6.18]."""
    io_uring_unregister_waits: bool = False
    """Who unregisters buffers waits for requests that use them: up to 6.12; then the last of these lets go
    [1.10.4; code: io_rsrc_ref_quiesce]."""

    reflink_with_dax: bool = True
    """A file on DAX can share blocks with another: EINVAL up to 5.19 [2.5; code k54; meas 6.1 on]."""
    clone_waits: bool = True
    """Who shares blocks waits until no page of either file is pinned: from 6.1 on [2.5; meas]."""
    killable_file_locks: bool = True
    """A deadly signal ends the wait of chmod, chown and truncate for the lock of a file: 6.18 does, 6.12 does not
    [2.5; meas; code: inode_lock_killable]."""
    tmpfs_direct_io: bool = True
    """A file on tmpfs can be opened with O_DIRECT, which does nothing there: EINVAL up to 6.5 [1.8.3; code:
    shmem_file_open]."""
    idle_needs_unmapped: bool = True
    """A page table entry has a reference on a page of DAX, and who sleeps for one is woken when none is left, entries
    included; the scan does not count them: from 6.15 on [2.5, H27; code; meas 6.12, 6.18, 7.2]."""


_UP_TO_6_12 = Generation(
    busy_scan_skips_unmapped=True,
    evict_waits=False,
    mremap_moves_several=False,
    idle_needs_unmapped=False,
    killable_file_locks=False,
    rxe_on_demand=False,
    io_uring_charges_rings=False,
    io_uring_unregister_waits=True,
)
_UP_TO_6_1 = replace(
    _UP_TO_6_12,
    keeps_cache_from_pins=False,
    read_only_pins=False,
    on_demand_errno=Refusal.EINVAL,
    io_uring_looks_at_files=True,
    tmpfs_direct_io=False,
)

GENERATIONS: dict[Version, Generation] = {
    Version.IDEAL: Generation(
        whole_file_scan=False,
        rxe_on_demand=False,
        on_demand_errno=Refusal.EINVAL,
        clone_waits=False,
        idle_needs_unmapped=False,
        io_uring_charges_rings=False,
    ),
    Version.LINUX_5_4: replace(
        _UP_TO_6_1,
        late_longterm_check=True,
        copies_see_pins=False,
        reflink_with_dax=False,
        on_demand_references=True,
        vfio_any_holder_unmaps=False,
        io_uring_charges_rings=True,
        io_uring_is_sent=True,
    ),
    Version.LINUX_6_1: _UP_TO_6_1,
    Version.LINUX_6_12: _UP_TO_6_12,
    Version.LINUX_6_18: Generation(rxe_checks_entries=False),
    Version.LINUX_7_2: Generation(
        delegations=True,
        nfsd_on_timeout=OnTimeout.FENCE_ASYNC,
        io_uring_charges_rings=False,
        io_uring_shows_unlimited=False,
    ),
}
"""What each version does."""
