"""P8 STRICT: who uses pages directly has a lease of its own for as long [docs/policies.md, P8; C1 to C5, F19].

A lease belongs to a process and to the description it was taken on: a child or a receiver of the descriptor has none.
A process that keeps one too long is killed; what it has registered through a device that others have open too is taken
from that device.
"""

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from longpin.actors.constants import F_LAYOUT, F_RDLCK, F_UNLCK, SIGKILL
from longpin.actors.kernel.file_system import Asked, ChangeKind
from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import (
    Allow,
    Answer,
    BreakLeases,
    Decision,
    DropLease,
    Fail,
    KillHolders,
    Notify,
    OnBreak,
    OnDeadline,
    Proceed,
    Revoke,
    Scan,
    SendSignal,
    WaitFor,
)
from longpin.actors.policies.kept_by_pins import (
    DEVICE_GONE,
    UnlockWithPins,
    invalidate_contexts,
    kill_who_pinned,
    longterm_pins_of,
)
from longpin.actors.policies.layout_calls import TAKES_PAGES, layout_errnos
from longpin.actors.policies.views import (
    F_EXCLUSIVE,
    Change,
    CloseRequest,
    LayoutView,
    LeaseCall,
    LeaseKey,
    LeaseKind,
    LeaseRequest,
    LeaseView,
    RegistrationView,
)
from longpin.messages.envelope import Address
from longpin.messages.fs.mapping import PinRequest
from longpin.messages.mm.memory import Pin
from longpin.messages.process.caller import Caller


class LeaseOwner(StrEnum):
    """What a layout lease belongs to."""

    PROCESS = "process"
    """A process and the description it took it on: a child and a receiver of the descriptor have none [C5]."""
    DESCRIPTION = "description"
    """The description, as ordinary leases: it ends with that, and a close neither waits nor ends it. Who took it is
    told of a break, and killed, whatever it has left of the file: what these rules were to mend [C5, H3]."""


class Orphans(StrEnum):
    """What becomes of pins whose process has no lease any more, because it was killed."""

    INVALIDATE = "invalidate_mr"
    """Their registrations are taken from the device, and let go of the pages."""
    KILL = "kill_all_holders"
    """Every process that has the device open is killed, and with the last of them the pins go."""
    LEAVE = "leave"
    """Who changes the layout waits for them."""


class AtDeadline(StrEnum):
    """What becomes of who has not released a shared lease in time."""

    KILL = "SIGKILL"
    """The process is killed, and its lease goes with its descriptors [C5, where it is a condition; F19]."""
    REMOVE = "remove"
    """The lease is removed, as of any lease; what was pinned under it has no lease then."""


class ProcessClosesWithPins(StrEnum):
    """What the last close of a leased file by a process does while that has pins of it."""

    BLOCK = "block"
    """It waits for them; only a fatal signal ends that [C3]."""
    KILL = "kill"
    """The process is killed; so its lease goes, and what others keep of its pins is orphaned [K1]."""
    INVALIDATE = "invalidate"
    """All that was made through the devices of these pins is taken, as if they were closed; the lease goes [K1]."""


class PassedUse(StrEnum):
    """Who may use a registration that was passed on with its device."""

    ANYBODY = "none"
    """Every process that has the device open: the sender stays responsible."""
    LEASE_HOLDERS = "block_use"
    """Only who has a lease on the files, else EACCES."""


class BreakOn(StrEnum):
    """Which changes break shared leases."""

    ANY = "any"
    """All that ask leases."""
    SUBTRACTIVE = "subtractive"
    """Not those that only add blocks."""


@dataclass(frozen=True, slots=True)
class Strict(Policy):
    """A pin needs an active lease of the process; close waits for its pins; who is late is killed."""

    name: ClassVar[str] = "P8"
    alias: ClassVar[str] = "strict"
    summary: ClassVar[str] = "a pin needs a lease of the process itself; close waits for pins; who is late is killed"
    source: ClassVar[str] = "Chinner, 2019-06-08 to 2019-10 [C1 to C5]; LSF/MM thread, 2019-02 [F19]"
    presets: ClassVar[dict[str, dict[str, Any]]] = {"as_posted": {}, "intended": {}}
    constants: ClassVar[Mapping[str, Mapping[str, int]]] = {"fcntl.arg": {"F_EXCLUSIVE": F_EXCLUSIVE}}
    errnos: ClassVar[dict[str, frozenset[str]]] = {
        **layout_errnos("ETXTBSY"),
        **DEVICE_GONE,
        "ibv_post_send": frozenset({"EACCES", "EIO"}),
        "ibv_post_recv": frozenset({"EACCES", "EIO"}),
        "ibv_post_srq_recv": frozenset({"EACCES", "EIO"}),
        "ibv_bind_mw": frozenset({"EACCES", "EIO"}),
    }

    lease_owner: LeaseOwner = LeaseOwner.PROCESS
    orphan: Orphans = Orphans.INVALIDATE
    orphans_before_grant: bool = True
    """What becomes of orphans has to be done before an exclusive lease is given [H2]; else only before a change."""
    enforce_pass: PassedUse = PassedUse.ANYBODY
    break_on: BreakOn = BreakOn.ANY
    exclusive_mutual: bool = True
    """A second exclusive lease is refused with EAGAIN."""
    holder_page_check: bool = True
    """A holder's own pins fail its changes that take their pages, with ETXTBSY [W1]; else only leases count."""
    unlck_with_pins: UnlockWithPins = UnlockWithPins.FAIL
    close_with_pins: ProcessClosesWithPins = ProcessClosesWithPins.BLOCK
    at_deadline: AtDeadline = AtDeadline.KILL

    def read_lease(self, arg: int) -> LeaseRequest | None:
        """Read F_LAYOUT, which is shared, or F_LAYOUT | F_EXCLUSIVE."""
        if arg in (F_LAYOUT, F_LAYOUT | F_EXCLUSIVE):
            return LeaseRequest(F_RDLCK, LeaseKind.LAYOUT, exclusive=arg != F_LAYOUT)
        return Policy.read_lease(self, arg)

    def lease_key(self, caller: Caller, ofd: Address, wanted: LeaseRequest, leases: tuple[LeaseView, ...]) -> LeaseKey:
        """Key a layout lease by process and description [C5]; F_UNLCK and F_GETLEASE mean it where there is one."""
        if self.lease_owner is LeaseOwner.DESCRIPTION:
            return Policy.lease_key(self, caller, ofd, wanted, leases)
        own = (ofd, caller.process)
        layout = wanted.kind is LeaseKind.LAYOUT
        if wanted.type == F_UNLCK:
            layout = any(lease.key == own for lease in leases)
        return own if layout else Policy.lease_key(self, caller, ofd, wanted, leases)

    def lease_type(self, lease: LeaseView) -> int:
        """Report F_LAYOUT."""
        return F_LAYOUT if lease.layout and not lease.breaking else lease.target

    def lease_gate(self, call: LeaseCall, view: LayoutView) -> Decision:
        """Revoke orphaned pins before an exclusive lease is given: its holder relies on being alone."""
        allowed = Policy.lease_gate(self, call, view)
        if not self.orphans_before_grant or not call.request.exclusive or isinstance(allowed, Fail):
            return allowed
        if view.pins is None:
            return Scan(unmapped=True)
        return self._end_orphans(view, view.pins) or Proceed()

    def conflict_gate(self, wanted: LeaseRequest, other: LeaseView) -> Answer:
        """Refuse a second exclusive lease, if they are mutual."""
        if self.exclusive_mutual and wanted.exclusive and other.exclusive:
            return Fail(errno.EAGAIN)
        return Policy.conflict_gate(self, wanted, other)

    def unlck_gate(self, lease: LeaseView, caller: Caller, view: LayoutView) -> Decision:
        """Keep a lease while its holder has pins: they are released first."""
        if not lease.layout:
            return Proceed()
        if view.pins is None:
            return Scan(unmapped=True)
        return self.unlck_with_pins.decide(longterm_pins_of(lease.holder, view.pins))

    def pin_gate(self, request: PinRequest, view: LayoutView) -> Allow | Fail:
        """Allow a long-term pin to who has an active lease itself."""
        return Allow() if not request.longterm or _active(request.caller, view) else Fail(errno.EPERM)

    def use_gate(self, caller: Caller, registration: RegistrationView, view: LayoutView) -> Answer:
        """Refuse a registration to who has no lease, if that is enforced; exclusive pins cannot be passed at all."""
        if self.enforce_pass is PassedUse.ANYBODY:
            return Proceed()
        excluded = any(lease.exclusive and lease.holder != caller.process for lease in view.layout_leases)
        return Proceed() if _active(caller, view) and not excluded else Fail(errno.EACCES)

    def change_gate(self, change: Change, view: LayoutView) -> Decision:
        """Others' exclusive leases fail the change before anything has begun, shared ones are broken and waited for."""
        if not change.asks:
            return Proceed()
        others = [lease for lease in view.layout_leases if lease.holder != change.caller.process]
        if any(lease.exclusive for lease in others):
            return Fail(errno.ETXTBSY)
        counted = change.kinds & ~(ChangeKind.EXTENDING | ChangeKind.CONVERTING)
        only_adds = counted in (ChangeKind(0), ChangeKind.ADDITIVE)
        if only_adds and self.break_on is BreakOn.SUBTRACTIVE:
            return Proceed()
        if others:
            return BreakLeases(tuple(lease.address for lease in others))
        return self._ask_pages(change, view)

    def _ask_pages(self, change: Change, view: LayoutView) -> Decision:
        """Look at pins when no lease of others is left: the holder's own, and those that have no lease any more."""
        takes = bool(change.kinds & TAKES_PAGES)
        if Asked.PAGES not in change.asks and not takes:
            return Proceed()
        if view.pins is None:
            return Scan(change.range, unmapped=True)
        own = longterm_pins_of(change.caller.process, view.pins)
        if own and takes and self.holder_page_check:
            return Fail(errno.ETXTBSY)
        if ended := self._end_orphans(view, view.pins):
            return ended
        left = tuple(pin for pin in view.pins if pin not in own)
        # A write that copies waits for orphans only, not for short pins, as it never did [2.5].
        waits = left if Asked.PAGES in change.asks else tuple(pin for pin in left if pin.longterm)
        return WaitFor(waits) if waits else Proceed()

    def _end_orphans(self, view: LayoutView, pins: tuple[Pin, ...]) -> Revoke | KillHolders | None:
        """Return the decision to get rid of them; None if there are none, or they are left alone."""
        holders = {lease.holder for lease in view.layout_leases}
        orphans = tuple(pin for pin in pins if pin.longterm and pin.process not in holders)
        if not orphans or self.orphan is Orphans.LEAVE:
            return None
        if self.orphan is Orphans.KILL:
            return KillHolders(orphans)
        return Revoke(tuple(dict.fromkeys(RegistrationView(pin.owner, pin.context) for pin in orphans)))

    def on_break(self, lease: LeaseView) -> OnBreak:
        """Tell the process that has the lease."""
        return OnBreak(Notify.HOLDER, work=self.at_deadline is AtDeadline.KILL) if lease.layout else OnBreak()

    def on_deadline(self, lease: LeaseView, view: LayoutView) -> OnDeadline:
        """Kill the process that has not released its lease in time; the lease goes when the exit closes descriptors."""
        if not lease.layout or self.at_deadline is AtDeadline.REMOVE:
            return OnDeadline()
        return OnDeadline((SendSignal(lease.holder, SIGKILL),))

    def flush_gate(self, close: CloseRequest, view: LayoutView) -> Decision:
        """Have the last close of a process end its pins or wait for them, then drop its lease; a dying one does not."""
        own = tuple(lease.address for lease in view.leases if lease.key == (close.ofd, close.caller.process))
        if not own or not close.last:
            return Proceed()
        if close.exiting:
            return DropLease(own)
        if view.pins is None:
            return Scan(unmapped=True)
        left = longterm_pins_of(close.caller.process, view.pins)
        if not left:
            return DropLease(own)
        if self.close_with_pins is ProcessClosesWithPins.INVALIDATE:
            return invalidate_contexts(left)
        wait = WaitFor(left, killable=True)
        return (
            wait if self.close_with_pins is ProcessClosesWithPins.BLOCK else kill_who_pinned(left)._replace(then=wait)
        )


def _active(caller: Caller, view: LayoutView) -> bool:
    """Return whether a process has a layout lease that nobody is breaking."""
    return any(lease.holder == caller.process and not lease.breaking for lease in view.layout_leases)
