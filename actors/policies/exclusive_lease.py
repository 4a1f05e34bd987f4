"""P6 FLV2: exclusive layout leases, kept by the pins that were taken under them [docs/policies.md, P6; S5, V2-n].

A lease whose process has neither a descriptor nor a mapping of the file left, but pins, is a *zombie*: nothing here
makes it one. A pin holds a reference on the leased description, and the lease ends with that.
"""

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from longpin.actors.constants import F_LAYOUT, F_RDLCK
from longpin.actors.kernel.file_system import Asked, ChangeKind, LayoutOperation
from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import (
    Allow,
    Answer,
    BreakLeases,
    Decision,
    Fail,
    Listed,
    Proceed,
    Scan,
    WaitFor,
)
from longpin.actors.policies.kept_by_pins import (
    DEVICE_GONE,
    UnlockWithPins,
    invalidate_contexts,
    kill_who_pinned,
    listed_pins,
    pins_that_hold,
)
from longpin.actors.policies.layout_calls import layout_errnos
from longpin.actors.policies.views import F_EXCLUSIVE, Change, LayoutView, LeaseKind, LeaseRequest, LeaseView
from longpin.messages.envelope import Address
from longpin.messages.fs.mapping import PinRequest
from longpin.messages.mm.memory import Pin
from longpin.messages.process.caller import Caller


class SelfChange(StrEnum):
    """What becomes of a layout change by the holder of an exclusive lease."""

    FAIL = "EDEADLK"
    """It fails at once: most likely the program is wrong [V2-2]."""
    ALLOW = "allow"
    """Its own lease does not stand in its way [C1]; its own pins do: ETXTBSY [W1]."""


class LeaseClosedWithPins(StrEnum):
    """What becomes of an exclusive lease when its description was closed and unmapped, and pins hold it."""

    ZOMBIE = "zombie"
    """It stays until they are gone [S5]."""
    KILL = "kill"
    """The same, and who pinned gets SIGKILL; pins of a device that is shared stay, and so does the lease [K1]."""
    INVALIDATE = "invalidate"
    """It goes with them: all that was made through their devices is taken, as if these were closed [K1]."""


@dataclass(frozen=True, slots=True)
class ExclusiveLease(Policy):
    """A pin needs an exclusive layout lease of the caller, which fails every layout change by anybody."""

    name: ClassVar[str] = "P6"
    alias: ClassVar[str] = "flv2"
    summary: ClassVar[str] = "a pin needs an exclusive F_LAYOUT lease and holds it; truncate fails with ETXTBSY"
    source: ClassVar[str] = "Weiny, RFC v2 RDMA/FS DAX truncate proposal, 2019-08-09 [V2-0 to V2-19]; 2019-09-04 [S5]"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "as_posted": {
            "unlck_with_pins": "ok",
            "zombie_can_pin": True,
            "holder_by_number": True,
            "ext4_mapped_only": True,
            "v2_pin_refbug": True,
            "grow_breaks": False,
        },
        "intended": {},
    }
    constants: ClassVar[Mapping[str, Mapping[str, int]]] = {"fcntl.arg": {"F_EXCLUSIVE": F_EXCLUSIVE}}
    proc_files: ClassVar[frozenset[str]] = frozenset({"file_pins"})
    errnos: ClassVar[dict[str, frozenset[str]]] = {
        **layout_errnos("ETXTBSY", "EDEADLK"),
        **DEVICE_GONE,
        "fcntl": frozenset({"EBUSY"}),
    }

    exclusive_mutual: bool = False
    """A second exclusive lease is refused with EAGAIN."""
    self_change: SelfChange = SelfChange.FAIL
    unlck_with_pins: UnlockWithPins = UnlockWithPins.FAIL
    close_with_pins: LeaseClosedWithPins = LeaseClosedWithPins.ZOMBIE
    zombie_can_pin: bool = False
    """A zombie lets its process pin more."""
    holder_by_number: bool = False
    """The holder is the process with the number of the one that took the lease, by now perhaps another [1.1]."""
    ext4_mapped_only: bool = False
    """ext4 looks at leases only while the file is mapped [V2-5]."""
    v2_pin_refbug: bool = False
    """A region that is given up takes one reference from every file its device keeps, its own or not [V2-16, H25].

    The code does so for each page; here it is once for the region.
    """
    grow_breaks: bool = True
    """A truncate to a larger size asks leases and pages too [C2]; else only one to a smaller size does [V2-7]."""
    longterm_fails: bool = False
    """Where no exclusive lease stands for long-term pins, they fail a change with ETXTBSY [K2]; else it waits [I1]."""

    def _is_holder(self, lease: LeaseView, caller: Caller) -> bool:
        return lease.tgid == caller.tgid if self.holder_by_number else lease.holder == caller.process

    def read_lease(self, arg: int) -> LeaseRequest | None:
        """Read F_LAYOUT, perhaps with F_EXCLUSIVE; other bits beside it count for nothing [V2-1]."""
        if arg & F_LAYOUT:
            return LeaseRequest(F_RDLCK, LeaseKind.LAYOUT, exclusive=bool(arg & F_EXCLUSIVE))
        return Policy.read_lease(self, arg)

    def lease_type(self, lease: LeaseView) -> int:
        """Report F_LAYOUT; that it is exclusive is not told."""
        return F_LAYOUT if lease.layout and not lease.breaking else lease.target

    def conflict_gate(self, wanted: LeaseRequest, other: LeaseView) -> Answer:
        """Refuse a second exclusive lease, if they are mutual."""
        if self.exclusive_mutual and wanted.exclusive and other.exclusive:
            return Fail(errno.EAGAIN)
        return Policy.conflict_gate(self, wanted, other)

    def longterm_gate(self, request: PinRequest) -> Answer:
        """Refuse a driver that does not say to which open file the pins will belong [V2-12: vaddr_pin_pages]."""
        return Proceed() if request.terms.device.names_owner else Fail(errno.EINVAL)

    def pin_gate(self, request: PinRequest, view: LayoutView) -> Allow | Fail:
        """Allow a long-term pin under an exclusive lease the caller took itself, and hold its description [V2-12]."""
        if not request.longterm:
            return Allow()
        refused = self.longterm_gate(request)  # also where the kernel looks at mappings only afterwards
        if isinstance(refused, Fail):
            return refused
        for lease in view.layout_leases:
            usable = lease.exclusive and (self.zombie_can_pin or not lease.zombie)
            if usable and self._is_holder(lease, request.caller):
                return Allow(hold=lease.ofd)
        return Fail(errno.EPERM)

    def change_gate(self, change: Change, view: LayoutView) -> Decision:
        """Walk the list: what is not exclusive is broken, also by a call that fails; what is exclusive fails it."""
        if not change.asks or (not self.grow_breaks and _only_grows(change)):
            return Proceed()
        broken: list[str] = []
        refused = False
        for lease in view.layout_leases if self._looks_at_leases(change, view) else ():
            if not lease.exclusive:
                broken.append(lease.address)
            elif not self._is_holder(lease, change.caller):
                refused = True
            elif self.self_change is SelfChange.FAIL:
                return BreakLeases(tuple(broken), wait=False, then=Fail(errno.EDEADLK))
        if refused:
            return BreakLeases(tuple(broken), wait=False, then=Fail(errno.ETXTBSY))
        if broken:
            return BreakLeases(tuple(broken))
        return self._ask_pages(change, view)

    def _looks_at_leases(self, change: Change, view: LayoutView) -> bool:
        return Asked.LEASES in change.asks or bool(view.mappings) or not self.ext4_mapped_only

    def _ask_pages(self, change: Change, view: LayoutView) -> Decision:
        if Asked.PAGES not in change.asks:
            return Proceed()
        if view.pins is None:
            return Scan(change.range)
        own = self.self_change is SelfChange.ALLOW and any(_is_own(pin, change.caller) for pin in view.pins)
        if own or (self.longterm_fails and any(pin.longterm for pin in view.pins)):
            return Fail(errno.ETXTBSY)
        return WaitFor(view.pins) if view.pins else Proceed()

    def unlck_gate(self, lease: LeaseView, caller: Caller, view: LayoutView) -> Decision:
        """Keep the lease while pins hold it [S5]."""
        if self.unlck_with_pins is UnlockWithPins.ALLOW:
            return Proceed()
        if view.pins is None:
            return Scan(unmapped=True)
        return self.unlck_with_pins.decide(pins_that_hold(lease.ofd, view.pins))

    def only_pinned_gate(self, ofd: Address, view: LayoutView) -> Decision:
        """Leave a zombie behind; or kill who has the pins, or take them away, and the lease with them [K1]."""
        if self.close_with_pins is LeaseClosedWithPins.ZOMBIE:
            return Proceed()
        if view.pins is None:
            return Scan(unmapped=True)
        if not (left := pins_that_hold(ofd, view.pins)):
            return Proceed()
        return kill_who_pinned(left) if self.close_with_pins is LeaseClosedWithPins.KILL else invalidate_contexts(left)

    def on_unpin(self, holds: tuple[Address, ...], others: tuple[Address, ...] = ()) -> tuple[Address, ...]:
        """Let go of what the region held, or as posted of one reference on each file that the device keeps [V2-16]."""
        return tuple(dict.fromkeys((*holds, *others))) if self.v2_pin_refbug else holds

    def admin_list(self, view: LayoutView) -> tuple[Listed, ...]:
        """List pins by the descriptor that owns them, /proc/PID/file_pins, and what the base lists [V2-13 to V2-18]."""
        return (*Policy.admin_list(self, view), *listed_pins(view))


def _only_grows(change: Change) -> bool:
    return change.operation is LayoutOperation.TRUNCATE and ChangeKind.SHRINKING not in change.kinds


def _is_own(pin: Pin, caller: Caller) -> bool:
    return pin.longterm and pin.process == caller.process
