"""P5 FLV1: layout leases from user space, F_LAYOUT as posted in June 2019 [docs/policies.md, P5; S4, V1-0 to V1-9].

Two relatives are the same rules with other parameters, and so presets. ``lt0`` is the F_LONGTERM lease of April 2019,
which the posted one followed: who keeps a lease too long, or pins without one, is signalled [LT0]. ``k1_kill``,
``k1_invalidate`` and ``d1`` are what others wanted changed in the week after: a lease is to be held until the pins are
gone, and who closes it earlier is killed, or loses what it registered [K1, D1].
"""

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from longpin.actors.constants import F_LAYOUT, F_RDLCK, SIGBUS, SIGKILL
from longpin.actors.kernel.file_system import Asked
from longpin.actors.kernel.generation import Version
from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import (
    Allow,
    BreakLeases,
    Decision,
    Fail,
    OnBreak,
    OnDeadline,
    Proceed,
    RemoveLease,
    Scan,
    SendSignal,
    SendSignals,
    WaitFor,
)
from longpin.actors.policies.kept_by_pins import (
    DEVICE_GONE,
    UnlockWithPins,
    invalidate_contexts,
    kill_who_pinned,
    longterm_pins_of,
)
from longpin.actors.policies.layout_calls import layout_errnos
from longpin.actors.policies.views import (
    Change,
    LayoutView,
    LeaseCall,
    LeaseKind,
    LeaseRequest,
    LeaseView,
)
from longpin.messages.envelope import Address
from longpin.messages.fs.mapping import PinRequest
from longpin.messages.mm.memory import Pin
from longpin.messages.process.caller import Caller


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


class LateHolder(StrEnum):
    """What becomes of who has not released a lease when the break time is over."""

    LOSES_LEASE = "loses_lease"
    """Its lease is gone, and it hears nothing [V1-0]."""
    SIGBUS = "SIGBUS"
    """It gets SIGBUS, which it can catch, and its lease is gone [LT0]."""
    SIGBUS_SIGKILL = "SIGBUS_SIGKILL"
    """It gets SIGBUS, has the same time again, and gets SIGKILL [LT0]."""


class UnleasedPin(StrEnum):
    """What becomes of who pins without a lease."""

    FAIL = "EPERM"
    """It cannot [V1-4]."""
    SIGBUS = "SIGBUS"
    """It can, and gets SIGBUS when somebody needs the pages [LT0]."""


class PinsLeft(StrEnum):
    """What becomes of a change that finds long-term pins when the leases are gone."""

    FAIL = "ETXTBSY"
    WAIT = "wait"
    """It waits for them."""


class CloseWithPins(StrEnum):
    """What the last close of a lease's description does while the holder of the lease has pins."""

    ALLOW = "ok"
    """The lease goes, and the pins stay."""
    KILL = "kill"
    """The lease goes, and who has the pins gets SIGKILL; pins of a shared device stay all the same [K1]."""
    INVALIDATE = "invalidate"
    """The lease goes, and so does all that was made through the device that has the pins, as if it were closed [K1]."""


@dataclass(frozen=True, slots=True)
class LayoutLeaseV1(Policy):
    """A pin needs a layout lease; a layout change breaks the leases, waits for them, and fails on pins left over."""

    name: ClassVar[str] = "P5"
    alias: ClassVar[str] = "flv1"
    summary: ClassVar[str] = "a pin needs an F_LAYOUT lease; truncate breaks it, waits, and fails on pins left"
    source: ClassVar[str] = "Weiny, RFC v1 RDMA/FS DAX truncate proposal, 2019-06-05 [S4, V1-0 to V1-9]"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "as_posted": {"lease_check": "any_lease", "pin_kind_known": False, "ext4_ignores_break": True},
        "intended": {"lease_check": "own_tgid"},
        "lt0": {
            "lease_check": "own_tgid",
            "late_holder": "SIGBUS",
            "unleased_pin": "SIGBUS",
            "pins_left": "wait",
        },
        "k1_kill": {"lease_check": "own_tgid", "unlck_with_pins": "block", "close_with_pins": "kill"},
        "k1_invalidate": {"lease_check": "own_tgid", "unlck_with_pins": "block", "close_with_pins": "invalidate"},
        "d1": {
            "lease_check": "own_tgid",
            "unlck_with_pins": "block",
            "close_with_pins": "kill",
            "needs_sigkill": True,
        },
    }
    kernels: ClassVar[dict[str, Version]] = Policy.kernels | dict.fromkeys(
        ("lt0", "k1_kill", "k1_invalidate", "d1"), Version.IDEAL
    )
    constants: ClassVar[Mapping[str, Mapping[str, int]]] = {"fcntl.arg": {"F_LONGTERM": F_LAYOUT}}
    """The name of April, of the same lease: its number then is our guess."""
    errnos: ClassVar[dict[str, frozenset[str]]] = {
        **layout_errnos("ETXTBSY"),
        **DEVICE_GONE,
        "fcntl": frozenset({"EBUSY"}),
    }

    lease_check: LeaseCheck = LeaseCheck.ANY_LEASE
    """Whose lease lets a caller pin."""
    pin_kind_known: bool = True
    """Long-term pins can be told from short ones; False is the test by reference bias, which cannot [K1b]."""
    ext4_ignores_break: bool = False
    """ext4 breaks leases only while the file is mapped, waits with its locks held, and looks at pages however that
    wait has ended [V1-5]; else it does what XFS does."""
    late_holder: LateHolder = LateHolder.LOSES_LEASE
    unleased_pin: UnleasedPin = UnleasedPin.FAIL
    pins_left: PinsLeft = PinsLeft.FAIL
    unlck_with_pins: UnlockWithPins = UnlockWithPins.ALLOW
    """What becomes of F_UNLCK while the holder of the lease has pins; by default the lease goes: option 4 [V1-0]."""
    close_with_pins: CloseWithPins = CloseWithPins.ALLOW
    needs_sigkill: bool = False
    """A layout lease is given only on a description for which F_SETSIG has set SIGKILL, which then is what its break
    sends: nobody is killed that did not ask for it [D1]. Else EINVAL, which is our guess."""

    # Leases.

    def read_lease(self, arg: int) -> LeaseRequest | None:
        """Read F_LAYOUT as a read lease that is a layout lease too, so the test for writers is skipped [V1-1]."""
        return LeaseRequest(F_RDLCK, LeaseKind.LAYOUT) if arg == F_LAYOUT else Policy.read_lease(self, arg)

    def lease_type(self, lease: LeaseView) -> int:
        """Report F_LAYOUT for a layout lease that is not being broken [V1-1, target_leasetype]."""
        return F_LAYOUT if lease.layout and not lease.breaking else lease.target

    def lease_gate(self, call: LeaseCall, view: LayoutView) -> Decision:
        """Want the holder to have agreed to be killed, where that is a condition [D1]."""
        if self.needs_sigkill and call.request.kind is LeaseKind.LAYOUT and call.signo != SIGKILL:
            return Fail(errno.EINVAL)
        return Policy.lease_gate(self, call, view)

    def unlck_gate(self, lease: LeaseView, caller: Caller, view: LayoutView) -> Decision:
        """Let the lease go, or not before the pins of its holder [K1]."""
        if self.unlck_with_pins is UnlockWithPins.ALLOW or not lease.layout:
            return Proceed()
        if view.pins is None:
            return Scan()
        return self.unlck_with_pins.decide(longterm_pins_of(lease.holder, view.pins))

    def last_close_gate(self, ofd: Address, view: LayoutView, *, exiting: bool) -> Decision:
        """Let the lease go; who has pins under it is killed, or loses their registrations [K1]. Nothing waits."""
        holders = tuple(lease.holder for lease in view.layout_leases if lease.ofd == ofd)
        if self.close_with_pins is CloseWithPins.ALLOW or not holders:
            return Proceed()
        if view.pins is None:
            return Scan()
        left = tuple(pin for holder in holders for pin in longterm_pins_of(holder, view.pins))
        if not left:
            return Proceed()
        if self.close_with_pins is CloseWithPins.KILL:
            return kill_who_pinned(left)
        return invalidate_contexts(left)

    def on_break(self, lease: LeaseView) -> OnBreak:
        """Tell the owner; where who is late is signalled, somebody has to look at the clock [LT0]."""
        return OnBreak(work=lease.layout and self.late_holder is not LateHolder.LOSES_LEASE)

    def on_deadline(self, lease: LeaseView, view: LayoutView) -> OnDeadline:
        """Send the holder SIGBUS, perhaps SIGKILL after another term; then the lease is gone [LT0]."""
        if self.late_holder is LateHolder.LOSES_LEASE:
            return OnDeadline()
        if lease.terms > 1:
            return OnDeadline((SendSignal(lease.holder, SIGKILL), RemoveLease()))
        told = SendSignal(lease.holder, SIGBUS)
        if self.late_holder is LateHolder.SIGBUS_SIGKILL:
            return OnDeadline((told,), again=True)
        return OnDeadline((told, RemoveLease()))

    # Pins and changes.

    def pin_gate(self, request: PinRequest, view: LayoutView) -> Allow | Fail:
        """Allow a long-term pin if a layout lease covers the caller; the list is read as it stands [V1-4, 2.3.4]."""
        tgid = request.caller.tgid
        if not request.longterm or any(self.lease_check.covers(lease, tgid) for lease in view.layout_leases):
            return Allow()
        return Allow() if self.unleased_pin is UnleasedPin.SIGBUS else Fail(errno.EPERM)

    def change_gate(self, change: Change, view: LayoutView) -> Decision:
        """Leases first; then a long-term pin in the range fails the call, short ones are waited for [V1-5, V1-7].

        ext4, which asks only pages, learns to ask leases too where it asks pages.
        """
        if change.asks and view.layout_leases:
            if Asked.LEASES in change.asks or not self.ext4_ignores_break:
                return BreakLeases()
            if view.mappings and view.pins is None:
                return BreakLeases(locked=True, anyway=Scan(change.range))
        if Asked.PAGES not in change.asks:
            return Proceed()
        if view.pins is None:
            return Scan(change.range)
        if self.pins_left is PinsLeft.FAIL and any(self._lasting(pin) for pin in view.pins):
            return Fail(errno.ETXTBSY)
        return self._wait_for(view.pins, view) if view.pins else Proceed()

    def _lasting(self, pin: Pin) -> bool:
        return pin.longterm or not self.pin_kind_known

    def _wait_for(self, pins: tuple[Pin, ...], view: LayoutView) -> WaitFor | SendSignals:
        """Wait for pins; who has long-term ones without a lease is told with SIGBUS [LT0]."""
        if self.unleased_pin is UnleasedPin.FAIL:
            return WaitFor(pins)
        holders = {lease.holder for lease in view.layout_leases}
        told = (SendSignal(pin.process, SIGBUS) for pin in pins if pin.longterm and pin.process not in holders)
        return SendSignals(tuple(dict.fromkeys(told)), WaitFor(pins))
