"""P7 SETLAYOUT: layouts have commands of their own, and some cannot be broken [docs/policies.md, P7; S4, L1, M1, M2].

F_SETLAYOUT takes a read or a write layout, perhaps with F_UNBREAK. It stands beside the lease of the description and
never meets one. A pin needs an unbreakable layout of its process, and keeps it as P6's pins keep theirs.
"""

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from longpin.actors.constants import F_RDLCK, F_UNLCK, F_WRLCK, O_RDONLY
from longpin.actors.kernel.file_system import Asked
from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import (
    Allow,
    Answer,
    BreakLeases,
    Decision,
    Fail,
    Listed,
    ListedBy,
    Proceed,
    Scan,
    WaitFor,
)
from longpin.actors.policies.kept_by_pins import (
    UnlockWithPins,
    listed_pins,
    longterm_pins_of,
    pins_that_hold,
)
from longpin.actors.policies.layout_calls import TAKES_PAGES, layout_errnos
from longpin.actors.policies.views import (
    F_GETLAYOUT,
    F_SETLAYOUT,
    F_UNBREAK,
    SLOTS,
    Change,
    LayoutView,
    LeaseCall,
    LeaseKind,
    LeaseRequest,
    LeaseView,
    Range,
)
from longpin.messages.fs.lease import MOST_OFFSET, LeaseCommand
from longpin.messages.fs.mapping import PinRequest
from longpin.messages.process.caller import Caller

WHOLE_FILE = Range(0, MOST_OFFSET - 1)
TYPES = (F_RDLCK, F_WRLCK, F_UNLCK)


class SecondWrite(StrEnum):
    """What becomes of a write layout that is asked for beside another's."""

    FAIL = "EAGAIN"
    """It fails, as ordinary write leases do."""
    BREAK = "break"
    """It breaks the other one, and waits for it; one that is unbreakable fails it with EAGAIN."""


class UnbreakConflict(StrEnum):
    """The errno of a write layout that is asked for beside an unbreakable layout of another; nobody says which."""

    EAGAIN = "EAGAIN"
    """As for ordinary leases."""
    EBUSY = "EBUSY"
    ETXTBSY = "ETXTBSY"
    """As for changes."""

    @property
    def number(self) -> int:
        """Return its number."""
        found: int = getattr(errno, self)
        return found


class UnbreakRight(StrEnum):
    """Who may make a layout unbreakable, and so fail what others do with the file."""

    OWNER = "owner"
    """Who owns the file or has CAP_LEASE, with a description that is open for writing; else EACCES [M1, M2]."""
    WRITER = "writer"
    """Who has it open for writing; else EACCES [Kara in M2]."""


class UnbreakScope(StrEnum):
    """What an unbreakable layout resists."""

    ALL = "all"
    """Every change that asks leases [M1]."""
    UNMAP = "unmap"
    """What takes blocks away or waits for pages; not a write that adds blocks or changes none [Williams in M2]."""


@dataclass(frozen=True, slots=True)
class SetLayout(Policy):
    """A pin needs an unbreakable layout of the caller, which fails changes; others are told of changes."""

    name: ClassVar[str] = "P7"
    alias: ClassVar[str] = "setlayout"
    summary: ClassVar[str] = (
        "a pin needs an F_SETLAYOUT layout with F_UNBREAK, and keeps it; truncate fails with ETXTBSY"
    )
    source: ClassVar[str] = (
        "Layton, 2019-06-06 [S4], 2019-08-14 [L1]; Weiny's man page and replies, 2019-09-23 on [M1, M2]"
    )
    presets: ClassVar[dict[str, dict[str, Any]]] = {"as_posted": {}, "intended": {}}
    constants: ClassVar[Mapping[str, Mapping[str, int]]] = {
        "fcntl.cmd": {"F_SETLAYOUT": F_SETLAYOUT, "F_GETLAYOUT": F_GETLAYOUT},
        "fcntl.arg": {"F_UNBREAK": F_UNBREAK},
    }
    proc_files: ClassVar[frozenset[str]] = frozenset({"file_pins"})
    errnos: ClassVar[dict[str, frozenset[str]]] = layout_errnos("ETXTBSY") | {"fcntl": frozenset({"EBUSY", "ETXTBSY"})}

    holder_exempt: bool = False
    """A read layout does not stand in its holder's own way; else its own change breaks it [Weiny, 2019-09-25, M2]."""
    second_write: SecondWrite = SecondWrite.FAIL
    read_beside_write: bool = False
    """A read layout is given beside another's write layout; else EAGAIN."""
    kinds_meet: bool = False
    """Who asks for a lease or a layout meets what others have of either, as F_SETLEASE does, which looks at no kinds
    [C-c, 2.1]; else neither is in the other's way, as follows from commands of their own."""
    unbreak_conflict: UnbreakConflict = UnbreakConflict.EAGAIN
    unbreak_right: UnbreakRight = UnbreakRight.OWNER
    unbreak_scope: UnbreakScope = UnbreakScope.ALL
    unlck_with_pins: UnlockWithPins = UnlockWithPins.FAIL

    # Layouts.

    def read_layout(self, arg: int, where: Range) -> LeaseRequest | None:
        """Read a type and F_UNBREAK; of ranges there is one for now, the whole file."""
        kind = arg & ~F_UNBREAK
        if kind not in TYPES or where != WHOLE_FILE or arg == F_UNLCK | F_UNBREAK:
            return None
        unbreakable = bool(arg & F_UNBREAK)
        return LeaseRequest(kind, LeaseKind.LAYOUT, SLOTS[LeaseCommand.LAYOUT], unbreakable=unbreakable)

    def lease_type(self, lease: LeaseView) -> int:
        """Report a layout with F_UNBREAK, if it has that; F_GETLEASE never sees one."""
        return lease.target | (F_UNBREAK if lease.unbreakable else 0)

    def lease_gate(self, call: LeaseCall, view: LayoutView) -> Decision:
        """Ask for the right, and break what a write layout is taken over from."""
        wanted = call.request
        if not self._may_take(call, view):
            return Fail(errno.EACCES)
        if wanted.type != F_UNLCK and not wanted.unbreakable:
            for own in view.layout_leases:
                if own.ofd == call.ofd and own.unbreakable and (kept := self._keep(own, view)):
                    return kept
        if wanted.kind is not LeaseKind.LAYOUT or wanted.type != F_WRLCK:
            return Proceed()
        others = [lease for lease in view.layout_leases if lease.ofd != call.ofd]
        for lease in others:
            if isinstance(refused := self._beside_write(lease), Fail):
                return refused
        return BreakLeases(tuple(lease.address for lease in others)) if others else Proceed()

    def _may_take(self, call: LeaseCall, view: LayoutView) -> bool:
        wanted, writer, owner = call.request, call.access != O_RDONLY, call.caller.may_lease(view.file.uid)
        layout = wanted.kind is LeaseKind.LAYOUT
        if self.unbreak_right is UnbreakRight.WRITER and layout and (wanted.unbreakable or wanted.type == F_UNLCK):
            return writer or (owner and not wanted.unbreakable)
        return owner and (writer or not wanted.unbreakable)

    def _beside_write(self, other: LeaseView) -> Answer:
        """Decide whether a write layout can be had that another's layout has to be broken for."""
        if other.unbreakable:
            return Fail(self.unbreak_conflict.number)
        stays = other.type == F_WRLCK and self.second_write is SecondWrite.FAIL
        return Fail(errno.EAGAIN) if stays else Proceed()

    def conflict_gate(self, wanted: LeaseRequest, other: LeaseView) -> Answer:
        """Compare layouts with layouts and leases with leases: neither kind meets the other [S4, C-c]."""
        if other.layout != (wanted.kind is LeaseKind.LAYOUT):
            return Policy.conflict_gate(self, wanted, other) if self.kinds_meet else Proceed()
        if not other.layout:
            return Policy.conflict_gate(self, wanted, other)
        if wanted.type == F_WRLCK:  # whoever asks for a write layout has broken what he could
            return Fail(self.unbreak_conflict.number) if other.unbreakable else Fail(errno.EAGAIN)
        if other.type == F_WRLCK and not self.read_beside_write:
            return Fail(errno.EAGAIN)
        return Policy.conflict_gate(self, wanted, other)

    def change_lease(self, lease: LeaseView, wanted: LeaseRequest) -> LeaseRequest | Fail:
        """Turn a layout into what is asked for in one step, unless somebody is breaking it [M1, M2]."""
        if not lease.layout:
            return Policy.change_lease(self, lease, wanted)
        return Fail(errno.EAGAIN) if lease.breaking else wanted

    def unlck_gate(self, lease: LeaseView, caller: Caller, view: LayoutView) -> Decision:
        """Keep a layout while pages are pinned under it [S5]."""
        if not lease.layout:
            return Proceed()
        return self._keep(lease, view) or Proceed()

    def _keep(self, lease: LeaseView, view: LayoutView) -> Decision | None:
        """Decide on a request that takes an unbreakable layout away; None: nothing keeps it."""
        if view.pins is None:
            return Scan(unmapped=True)
        decision = self.unlck_with_pins.decide(pins_that_hold(lease.ofd, view.pins))
        return None if isinstance(decision, Proceed) else decision

    # Pins.

    def pin_gate(self, request: PinRequest, view: LayoutView) -> Allow | Fail:
        """Allow a long-term pin under an unbreakable layout of the caller, and hold its description [M1, V2-12]."""
        if not request.longterm:
            return Allow()
        for lease in view.layout_leases:
            if lease.unbreakable and lease.holder == request.caller.process and not lease.zombie:
                return Allow(hold=lease.ofd)
        return Fail(errno.EPERM)

    # Layout changes.

    def change_gate(self, change: Change, view: LayoutView) -> Decision:
        """Fail before anything has begun if there is an unbreakable layout; break others, wait, look at pages."""
        if not change.asks:
            return Proceed()
        in_the_way = [lease for lease in view.layout_leases if not self._exempt(lease, change.caller)]
        if self._resisted(change) and any(lease.unbreakable for lease in in_the_way):
            return Fail(errno.ETXTBSY)
        if breakable := tuple(lease.address for lease in in_the_way if not lease.unbreakable):
            return BreakLeases(breakable)
        takes = bool(change.kinds & TAKES_PAGES)
        if Asked.PAGES not in change.asks and not takes:
            return Proceed()
        if view.pins is None:
            return Scan(change.range)
        own = longterm_pins_of(change.caller.process, view.pins)
        if own and takes:
            return Fail(errno.ETXTBSY)
        # A write that copies does not wait for pins, as it never did [2.5].
        left = tuple(pin for pin in view.pins if pin not in own)
        return WaitFor(left) if left and Asked.PAGES in change.asks else Proceed()

    def _exempt(self, lease: LeaseView, caller: Caller) -> bool:
        return lease.holder == caller.process and (lease.type == F_WRLCK or self.holder_exempt)

    def _resisted(self, change: Change) -> bool:
        unmaps = Asked.PAGES in change.asks or bool(change.kinds & TAKES_PAGES)
        return unmaps or self.unbreak_scope is UnbreakScope.ALL

    def admin_list(self, view: LayoutView) -> tuple[Listed, ...]:
        """List setters, who has an unbreakable layout even without pins [M2], and pins."""
        holders = (
            Listed(ListedBy.DESCRIPTION, lease.ofd, f"unbreakable layout on {lease.ofd} (/proc/PID/file_pins)")
            for lease in view.layout_leases
            if lease.unbreakable
        )
        return (*Policy.admin_list(self, view), *holders, *listed_pins(view))
