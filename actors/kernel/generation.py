"""The generations of Linux: each difference that was measured or read is a field, and a version is a row of values.

Nothing compares versions: who behaves differently asks for the field, which says how the difference is known.
"""

import errno
from dataclasses import dataclass
from enum import StrEnum


class Version(StrEnum):
    """The kernel the proposals were written against, and those that were measured: Debian's 6.1, 6.12, 6.18, 7.2."""

    IDEAL = "ideal"
    """No Linux: what the prose of the proposals takes for granted. Nobody waits for pages that do not change."""
    LINUX_5_4 = "5.4"
    LINUX_6_1 = "6.1"
    LINUX_6_12 = "6.12"
    LINUX_6_18 = "6.18"
    LINUX_7_2 = "7.2"


@dataclass(frozen=True, slots=True)
class Generation:
    """What one version of Linux does where others do otherwise."""

    busy_scan_skips_unmapped: bool = False
    """dax_layout_busy_page calls every page idle if nobody maps the file: up to 6.12 [2.5, H6; meas]."""
    evict_waits: bool = True
    """The final free of a file waits, uninterruptibly, until its pages are idle: from 6.15 on [2.5, H7; meas]."""
    whole_file_scan: bool = True
    """Busy pages are looked for in the whole file, not only where it changes: in every Linux [2.5, H1; meas]."""
    late_longterm_check: bool = False
    """A long-term pin is refused only after the pages were pinned: up to 5.4 [4.0; code k54]."""
    read_only_pins: bool = True
    """A registration without a right to write faults and pins for reading: from 6.2 on [2.6; meas]."""
    on_demand_errno: int = errno.EOPNOTSUPP
    """The errno of on-demand paging on a device that has none: EINVAL up to 6.1 [2.6; meas]."""


_DAX_LAYOUTS_OF_4_16 = {"busy_scan_skips_unmapped": True, "evict_waits": False}

GENERATIONS: dict[Version, Generation] = {
    Version.IDEAL: Generation(whole_file_scan=False, on_demand_errno=errno.EINVAL),
    Version.LINUX_5_4: Generation(
        **_DAX_LAYOUTS_OF_4_16, late_longterm_check=True, read_only_pins=False, on_demand_errno=errno.EINVAL
    ),
    Version.LINUX_6_1: Generation(**_DAX_LAYOUTS_OF_4_16, read_only_pins=False, on_demand_errno=errno.EINVAL),
    Version.LINUX_6_12: Generation(**_DAX_LAYOUTS_OF_4_16),
    Version.LINUX_6_18: Generation(),
    Version.LINUX_7_2: Generation(),
}
"""What each version does."""
