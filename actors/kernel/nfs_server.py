"""What the NFS server of a machine is like: what it does with a layout that is not returned, and its threads [1.4.1].

Linux has changed its mind about the first: the fields of :mod:`longpin.actors.kernel.generation` say which did what.
"""

from dataclasses import dataclass
from enum import StrEnum


class OnTimeout(StrEnum):
    """What becomes of a recalled layout when lease-break-time is over [1.4.1; Ngo, November 2025 to February 2026]."""

    NEVER = "never"
    """Nothing: the lease has no deadline, only knfsd's own time-out ends the wait [code k54: nfsd4_layout_lm_break]."""
    FENCE_SYNC = "fence_sync"
    """The lease goes, and who looked at the list fences the client when it has let go of flc_lock [Ngo v1]."""
    FENCE_ASYNC = "fence_async"
    """The lease stays until a worker has fenced the client [code: nfsd4_layout_lm_breaker_timedout, Linux 7.1]."""


class LayoutType(StrEnum):
    """How a client of the server is kept from the device."""

    SCSI = "scsi"
    """Its registration is preempted [code: nfsd4_scsi_fence_client]."""
    BLOCK = "block"
    """/sbin/nfsd-recall-failed is run, and only after knfsd's own time-out: no fence_client [code: bl_layout_ops]."""


@dataclass(frozen=True, slots=True)
class NfsServer:
    """The settings of knfsd."""

    threads: int = 0
    """How many requests it serves at a time; 0: all there are."""
    on_timeout: OnTimeout | None = None
    """None: what the kernel does."""
    layout_type: LayoutType = LayoutType.SCSI
    fence_failures: int = 0
    """How many fences of each layout fail before one works."""
    fence_retries: int = 0
    """After so many failures the worker gives up; 0: never, as was merged [Ngo v3: 5, v5: 20, v6: never]."""
