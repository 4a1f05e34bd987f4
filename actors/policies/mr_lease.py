"""P9 MRLEASE: registration with a lease, which the kernel takes back when a layout change has waited long enough.

``ibv_reg_mr_lease`` is named in one sentence of 2017 [S2]; Kara [K1] and Gunthorpe [G1] say in 2019 that the region
should hold the lease, and that it could be taken away as if its device had been closed. The rest is inference in the
manner of MAP_DIRECT [MD8; semantics 4.10]. A lease belongs to a region and lives exactly as long, so nothing has to be
said of close, munmap, dup, fork, SCM_RIGHTS, exec and death, and there are no zombies.
"""

import errno
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from longpin.actors.constants import F_RDLCK
from longpin.actors.kernel.file_system import Asked
from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import (
    Allow,
    Answer,
    BreakLeases,
    Decision,
    Fail,
    Grant,
    Listed,
    ListedBy,
    Notify,
    OnBreak,
    OnDeadline,
    Proceed,
    RemoveLease,
    Revoke,
    Scan,
    Update,
    WaitFor,
)
from longpin.actors.policies.kept_by_pins import DEVICE_GONE
from longpin.actors.policies.views import (
    Change,
    LayoutView,
    LeaseKey,
    LeaseKind,
    LeaseRequest,
    LeaseView,
    RegistrationView,
)
from longpin.messages.fs.mapping import PinRequest

LEASE = LeaseRequest(F_RDLCK, LeaseKind.LAYOUT)


class PlainRegistration(StrEnum):
    """What becomes of a registration without a lease."""

    FAIL = "EOPNOTSUPP"
    """It fails, as it does today."""
    PIN = "pin"
    """It pins, and nothing can be done about that: whoever changes the layout waits for it."""


class SignalRegistrant(StrEnum):
    """Whether who registered a region gets a signal when its lease is broken, beside the event of the device."""

    IF_SET = "if_set"
    """If F_SETSIG has named one for the description that the lease holds."""
    ALWAYS = "always"
    """That, or SIGIO."""
    NEVER = "never"


class WhileBreaking(StrEnum):
    """What becomes of a registration with a lease while a lease on the file is being broken [H5]."""

    FAIL = "EAGAIN"
    ALLOW = "ok"
    """It gets a lease. Who breaks the other one waits for this too, and nobody is told: breaks mark what is there when
    they begin [2.3.3]. So it fails, as F_SETLEASE does [2.1]."""


class RevokeScope(StrEnum):
    """What is taken away with a region whose time is over."""

    MR = "mr"
    """The region."""
    CONTEXT = "context"
    """All that was made through its open device, as if the device were gone (disassociate) [K1]."""


SIGNALS = {
    SignalRegistrant.IF_SET: Notify.HOLDER_IF_SET,
    SignalRegistrant.ALWAYS: Notify.HOLDER,
    SignalRegistrant.NEVER: Notify.NOBODY,
}


@dataclass(frozen=True, slots=True)
class MrLease(Policy):
    """Only a region that has a lease can pin; who changes the layout breaks it, and it is revoked when time is over."""

    name: ClassVar[str] = "P9"
    alias: ClassVar[str] = "mr-lease"
    summary: ClassVar[str] = (
        "a region has a lease of its own; truncate breaks it, and revokes the region when time is over"
    )
    source: ClassVar[str] = "Williams, 2017-11-30 [S2]; Kara, 2019-06-07 [K1]; Gunthorpe, 2019-08-23 [G1]"
    errnos: ClassVar[dict[str, frozenset[str]]] = DEVICE_GONE
    calls: ClassVar[frozenset[str]] = frozenset({"ibv_reg_mr_lease"})

    revoke_latency: int = 1
    """Seconds that a device takes to give a key back [semantics 4.10]."""
    revoke_scope: RevokeScope = RevokeScope.MR
    plain_registration: PlainRegistration = PlainRegistration.FAIL
    signal_registrant: SignalRegistrant = SignalRegistrant.IF_SET
    while_breaking: WhileBreaking = WhileBreaking.FAIL
    needs_lease_right: bool = True
    """Only who could have a lease on the file registers it with one; else whoever can map it."""

    def longterm_gate(self, request: PinRequest) -> Answer:
        """Refuse a plain registration, and one of a driver that cannot take it back."""
        leased = request.terms.leased
        allowed = request.terms.device.revocable if leased else self.plain_registration is PlainRegistration.PIN
        return Proceed() if allowed else Fail(errno.EOPNOTSUPP)

    def conflict_gate(self, wanted: LeaseRequest, other: LeaseView) -> Answer:
        """Give a region a lease beside one that is being broken, if registrations go on meanwhile."""
        if wanted.kind is LeaseKind.LAYOUT and self.while_breaking is WhileBreaking.ALLOW:
            return Proceed()
        return Policy.conflict_gate(self, wanted, other)

    def pin_gate(self, request: PinRequest, view: LayoutView) -> Allow | Fail:
        """Give a region its lease, if the caller may have leases on the file and nobody is breaking one [G1]."""
        if not request.longterm:
            return Allow()
        refused = self.longterm_gate(request)  # also where the kernel looks at mappings only afterwards
        if isinstance(refused, Fail):
            return refused
        if not request.terms.leased:
            return Allow()
        if self.needs_lease_right and not request.caller.may_lease(view.file.uid):
            return Fail(errno.EACCES)
        if self.while_breaking is WhileBreaking.FAIL and any(lease.breaking for lease in view.layout_leases):
            return Fail(errno.EAGAIN)
        ofd = request.terms.ofd or request.mapping.ofd
        return Allow(hold=ofd, grant=Grant(_key(RegistrationView(request.registration, request.context)), ofd, LEASE))

    def on_deregister(self, registration: RegistrationView, view: LayoutView) -> Update:
        """Drop the lease of a region that is gone, or revoked."""
        return Update(drop=tuple(lease.address for lease in view.leases if lease.key == _key(registration)))

    def change_gate(self, change: Change, view: LayoutView) -> Decision:
        """Break the leases and wait until they are gone; then all pins that are left end by themselves.

        ext4, which asks only pages, learns to ask leases too where it asks pages.
        """
        if change.asks and view.layout_leases:
            return BreakLeases()
        if Asked.PAGES not in change.asks:
            return Proceed()
        if view.pins is None:
            return Scan(change.range)
        return WaitFor(view.pins) if view.pins else Proceed()

    def on_break(self, lease: LeaseView) -> OnBreak:
        """Tell all who have the device open, and who registered the region, if a signal was named for its file."""
        if (registration := _registration(lease)) is None:
            return OnBreak()
        return OnBreak(SIGNALS[self.signal_registrant], work=True, event=registration)

    def on_deadline(self, lease: LeaseView, view: LayoutView) -> OnDeadline:
        """Revoke the region; its lease goes with it."""
        if (registration := _registration(lease)) is None:
            return OnDeadline()
        whole = self.revoke_scope is RevokeScope.CONTEXT
        revoke = Revoke((registration,), after=self.revoke_latency, whole_context=whole)
        return OnDeadline((revoke, RemoveLease()), locked=False)  # several regions are revoked at the same time

    def admin_list(self, view: LayoutView) -> tuple[Listed, ...]:
        """List the devices that own the regions."""
        return tuple(
            entry
            if (registration := _registration(lease)) is None
            else Listed(ListedBy.DEVICE, registration.context, f"registered by process {lease.tgid}, in {lease.key[2]}")
            for lease, entry in zip(view.leases, Policy.admin_list(self, view), strict=True)
        )


def _key(registration: RegistrationView) -> LeaseKey:
    return ("registration", registration.address, registration.context)


def _registration(lease: LeaseView) -> RegistrationView | None:
    """Return the registration that a lease belongs to; None: it is an ordinary lease."""
    match lease.key:
        case ("registration", address, context):
            return RegistrationView(address, context)
        case _:
            return None
