"""P5 FLV1: layout leases from user space, F_LAYOUT as posted in June 2019 [semantics 4.5; S4, V1-0 to V1-9]."""

import errno
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from longpin.actors.constants import F_LAYOUT, F_RDLCK
from longpin.actors.kernel.file_system import Asked
from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import Allow, BreakLeases, Decision, Fail, Proceed, Scan, WaitFor
from longpin.actors.policies.layout_calls import layout_errnos
from longpin.actors.policies.views import Change, LayoutView, LeaseKind, LeaseRequest, LeaseView
from longpin.messages.fs.mapping import PinRequest
from longpin.messages.mm.memory import Pin


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
    errnos: ClassVar[dict[str, frozenset[str]]] = layout_errnos("ETXTBSY")

    lease_check: LeaseCheck = LeaseCheck.ANY_LEASE
    """Whose lease lets a caller pin."""
    pin_kind_known: bool = True
    """Long-term pins can be told from short ones; False is the test by reference bias, which cannot [K1b]."""

    def read_lease(self, arg: int) -> LeaseRequest | None:
        """Read F_LAYOUT as a read lease that is a layout lease too, so the test for writers is skipped [V1-1]."""
        return LeaseRequest(F_RDLCK, LeaseKind.LAYOUT) if arg == F_LAYOUT else Policy.read_lease(self, arg)

    def lease_type(self, lease: LeaseView) -> int:
        """Report F_LAYOUT for a layout lease that is not being broken [V1-1, target_leasetype]."""
        return F_LAYOUT if lease.layout and not lease.breaking else lease.target

    def pin_gate(self, request: PinRequest, view: LayoutView) -> Allow | Fail:
        """Allow a long-term pin if a layout lease covers the caller; the list is read as it stands [V1-4, 2.3.4]."""
        tgid = request.caller.tgid
        if not request.longterm or any(self.lease_check.covers(lease, tgid) for lease in view.layout_leases):
            return Allow()
        return Fail(errno.EPERM)

    def change_gate(self, change: Change, view: LayoutView) -> Decision:
        """Leases first; then a long-term pin in the range fails the call, short ones are waited for [V1-5, V1-7].

        ext4, which asks only pages, learns to ask leases too where it asks pages.
        """
        if change.asks and view.layout_leases:
            return BreakLeases()
        if Asked.PAGES not in change.asks:
            return Proceed()
        if view.pins is None:
            return Scan(change.range)
        if any(self._lasting(pin) for pin in view.pins):
            return Fail(errno.ETXTBSY)
        return WaitFor(view.pins) if view.pins else Proceed()

    def _lasting(self, pin: Pin) -> bool:
        return pin.longterm or not self.pin_kind_known
