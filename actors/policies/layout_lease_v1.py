"""P5 FLV1: layout leases from user space, F_LAYOUT as posted in June 2019 [semantics 4.5; S4, V1-0 to V1-9]."""

import errno
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from longpin.actors.constants import F_LAYOUT, F_RDLCK
from longpin.actors.kernel.file_system import Asked
from longpin.actors.policies.base import (
    Allow,
    BreakLeases,
    Change,
    Decision,
    Fail,
    Layout,
    LeaseRequest,
    LeaseView,
    Policy,
    Proceed,
    ScanPages,
    WaitForPages,
)
from longpin.messages.mm.pmem import Pin


class LeaseCheck(StrEnum):
    """Whose lease lets a caller pin."""

    ANY_LEASE = "any_lease"
    """Any layout lease on the inode's list, whoever took it, breaking or overdue: the posted code [V1-4]."""
    OWN_TGID = "own_tgid"
    """One the calling process took: the prose, "the user must hold a lease" [V1-0]."""
    ACTIVE_ONLY = "active_only"
    """Any that is not being broken."""

    def covers(self, lease: LeaseView, tgid: int) -> bool:
        """Return whether ``lease`` lets process ``tgid`` pin."""
        if self is LeaseCheck.OWN_TGID:
            return lease.tgid == tgid
        return self is LeaseCheck.ANY_LEASE or not lease.breaking


@dataclass(frozen=True, slots=True)
class LayoutLeaseV1(Policy):
    """A pin needs a layout lease; a layout change breaks the leases, waits for them, and fails on pins left over."""

    name: ClassVar[str] = "P5"
    alias: ClassVar[str] = "flv1"
    summary: ClassVar[str] = "a pin needs an F_LAYOUT lease; truncate breaks it, waits, and fails on pins left"
    source: ClassVar[str] = "Weiny, RFC v1 RDMA/FS DAX truncate proposal, 2019-06-05 [S4, V1-0 to V1-9]"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "as_posted": {"lease_check": "any_lease", "pin_kind_known": False},
        "intended": {"lease_check": "own_tgid"},
    }
    errnos: ClassVar[dict[str, frozenset[str]]] = {
        "truncate": frozenset({"ETXTBSY"}),
        "ftruncate": frozenset({"ETXTBSY"}),
        "fallocate": frozenset({"ETXTBSY"}),
        "open": frozenset({"ETXTBSY"}),
    }

    lease_check: LeaseCheck = LeaseCheck.ANY_LEASE
    """Whose lease lets a caller pin."""
    pin_kind_known: bool = True
    """Long-term pins can be told from short ones; False is the test by reference bias, which cannot [K1b]."""

    def lease_gate(self, arg: int) -> LeaseRequest | None:
        """Read F_LAYOUT as a read lease that is a layout lease too, so the test for writers is skipped [V1-1]."""
        return LeaseRequest(F_RDLCK, layout=True) if arg == F_LAYOUT else Policy.lease_gate(self, arg)

    def lease_type(self, lease: LeaseView, target: int) -> int:
        """Report F_LAYOUT for a layout lease that is not being broken [V1-1, target_leasetype]."""
        return F_LAYOUT if lease.layout and not lease.breaking else target

    def pin_gate(self, leases: tuple[LeaseView, ...], tgid: int, *, longterm: bool) -> Allow | Fail:
        """Allow a long-term pin if a layout lease covers the caller; the list is read as it stands [V1-4, 2.3.4]."""
        if not longterm or any(lease.layout and self.lease_check.covers(lease, tgid) for lease in leases):
            return Allow()
        return Fail(errno.EPERM)

    def change_gate(self, change: Change, layout: Layout) -> Decision:
        """Leases first; then a long-term pin in the range fails the call, short ones are waited for [V1-5, V1-7].

        ext4, which asks only pages, learns to ask leases too where it asks pages.
        """
        if change.asks and layout.layout_leases:
            return BreakLeases()
        if Asked.PAGES not in change.asks:
            return Proceed()
        if layout.pins is None:
            return ScanPages(only_range=True)
        if any(self._lasting(pin) for pin in layout.pins):
            return Fail(errno.ETXTBSY)
        return WaitForPages(layout.pins) if layout.pins else Proceed()

    def _lasting(self, pin: Pin) -> bool:
        return pin.longterm or not self.pin_kind_known
