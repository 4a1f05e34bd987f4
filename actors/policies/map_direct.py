"""P4 MD7: MAP_DIRECT mappings have a layout lease, and what they and their registrations reach can be taken away.

Versions 7 to 9 of MAP_DIRECT [docs/policies.md, P4; MD7, MD8, MD9, MDr]. A lease belongs to a mapping or to a
registration, not to who has the file open. It cannot be kept: when its break time is over, the mapping is
invalidated, the registration fenced by the IOMMU, though its pages stay referenced.
"""

import errno
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

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
    Notify,
    OnBreak,
    OnDeadline,
    Proceed,
    RemoveLease,
    Revoke,
    Scan,
    Update,
    WaitFor,
    ZapMappings,
)
from longpin.actors.policies.views import (
    Change,
    FaultRequest,
    LayoutView,
    LeaseKey,
    LeaseKind,
    LeaseRequest,
    LeaseView,
    MapRequest,
    PolicyState,
    RegistrationView,
)
from longpin.messages.envelope import Address
from longpin.messages.fs.mapping import MappingView, PinRequest

MAP_DIRECT = 0x200000
"""The number is of no released kernel; it collides with no flag of one."""
LEASE = LeaseRequest(F_RDLCK, LeaseKind.LAYOUT)


class Direct(NamedTuple):
    """A MAP_DIRECT mapping; those that fork or a split made of one share its lease."""

    mm: Address
    number: int
    key: LeaseKey
    valid: bool
    """Its break time is not over: it may be accessed."""


@dataclass(frozen=True, slots=True)
class DirectMappings(PolicyState):
    """The MAP_DIRECT mappings of a file."""

    mappings: tuple[Direct, ...] = ()

    def find(self, mapping: MappingView) -> Direct | None:
        """Return what is known of a mapping; None: it is an ordinary one."""
        return next((d for d in self.mappings if (d.mm, d.number) == (mapping.mm, mapping.number)), None)

    def without(self, direct: Direct) -> "DirectMappings":
        """Return the others."""
        return replace(self, mappings=tuple(other for other in self.mappings if other != direct))

    def invalidated(self, key: LeaseKey) -> "DirectMappings":
        """Return them with those of one lease invalid."""
        return replace(self, mappings=tuple(d._replace(valid=d.valid and d.key != key) for d in self.mappings))


def _state(view: LayoutView) -> DirectMappings:
    assert isinstance(view.state, DirectMappings)
    return view.state


@dataclass(frozen=True, slots=True)
class MapDirect(Policy):
    """Only MAP_DIRECT mappings can be pinned; a layout change waits for the break time, and then takes them away."""

    name: ClassVar[str] = "P4"
    alias: ClassVar[str] = "map-direct"
    summary: ClassVar[str] = "only MAP_DIRECT mappings can be pinned; truncate invalidates them when the time is over"
    source: ClassVar[str] = "Williams, MAP_DIRECT v7 to v9, 2017-10-06 to 2017-10-11 [MD7, MD8, MD9]"
    state: ClassVar[PolicyState] = DirectMappings()
    errnos: ClassVar[dict[str, frozenset[str]]] = {
        "mmap": frozenset({"EAGAIN"}),
        "ibv_reg_mr": frozenset({"ENXIO", "EAGAIN"}),
    }
    constants: ClassVar[Mapping[str, Mapping[str, int]]] = {"mmap.flags": {"MAP_DIRECT": MAP_DIRECT}}

    def mmap_gate(self, request: MapRequest, view: LayoutView) -> Allow | Fail:
        """Give a MAP_DIRECT mapping its lease, if the caller may have leases on the file [MD8: map_direct_register]."""
        mapping = request.mapping
        if not mapping.flags & MAP_DIRECT:
            return Allow()
        if not request.caller.may_lease(view.file.uid):
            return Fail(errno.EACCES)
        key = ("mapping", mapping.mm, str(mapping.number))
        known = _state(view)
        direct = Direct(mapping.mm, mapping.number, key, valid=True)
        return Allow(
            grant=Grant(key, mapping.ofd, LEASE, owner=True), state=replace(known, mappings=(*known.mappings, direct))
        )

    def on_vma_open(self, mapping: MappingView, copy: MappingView, view: LayoutView) -> Update:
        """Note that a copy shares the lease, and is as valid."""
        known = _state(view)
        if (direct := known.find(mapping)) is None:
            return Update()
        shared = direct._replace(mm=copy.mm, number=copy.number)
        return Update(replace(known, mappings=(*known.mappings, shared)))

    def on_vma_close(self, mapping: MappingView, view: LayoutView) -> Update:
        """Forget a mapping; the last one that shares a lease gives it up."""
        known = _state(view)
        if (direct := known.find(mapping)) is None:
            return Update()
        left = known.without(direct)
        if any(other.key == direct.key for other in left.mappings):
            return Update(left)
        return Update(left, tuple(lease.address for lease in view.leases if lease.key == direct.key))

    def fault_gate(self, fault: FaultRequest, view: LayoutView) -> Decision:
        """Refuse faults of invalid mappings, and those that would allocate: they break all leases [MD9]."""
        if (direct := _state(view).find(fault.mapping)) is None:
            return Proceed()
        if not direct.valid:
            return Fail(errno.EFAULT)
        return BreakLeases(wait=False, then=Fail(errno.EFAULT)) if fault.kinds else Proceed()

    def longterm_gate(self, request: PinRequest) -> Answer:
        """Refuse pins through a mapping without a lease [MD8: no lease_direct]."""
        return Proceed() if request.mapping.flags & MAP_DIRECT else Fail(errno.EOPNOTSUPP)

    def pin_gate(self, request: PinRequest, view: LayoutView) -> Allow | Fail:
        """Give the registration a lease of its own, while nobody breaks that of the mapping [MD8: lease_direct]."""
        if not request.longterm:
            return Allow()
        direct = _state(view).find(request.mapping)
        base = None if direct is None else next((lease for lease in view.leases if lease.key == direct.key), None)
        if base is None or base.breaking:
            return Fail(errno.ENXIO)
        ofd = request.mapping.ofd
        return Allow(hold=ofd, grant=Grant(("registration", request.registration, request.context), ofd, LEASE))

    def on_deregister(self, registration: RegistrationView, view: LayoutView) -> Update:
        """Drop the lease of the registration."""
        key = ("registration", registration.address, registration.context)
        return Update(drop=tuple(lease.address for lease in view.leases if lease.key == key))

    def change_gate(self, change: Change, view: LayoutView) -> Decision:
        """Break all leases, the caller's too; then no long-term pin is left that is not fenced, and short ones end."""
        if change.asks and view.layout_leases:
            return BreakLeases()
        if Asked.PAGES not in change.asks:
            return Proceed()
        if view.pins is None:
            return Scan(change.range)
        short = tuple(pin for pin in view.pins if not pin.longterm)
        return WaitFor(short) if short else Proceed()

    def on_break(self, lease: LeaseView) -> OnBreak:
        """Send SIGIO to who mapped the file, nothing for a registration; for both, work when the time is over."""
        match lease.key:
            case ("mapping", _, _):
                return OnBreak(Notify.OWNER, work=True)
            case ("registration", _, _):
                return OnBreak(Notify.NOBODY, work=True)
            case _:
                return OnBreak()

    def on_deadline(self, lease: LeaseView, view: LayoutView) -> OnDeadline:
        """Invalidate the mappings of a lease, or fence its registration; then the lease goes."""
        match lease.key:
            case ("mapping", _, _):
                return OnDeadline((ZapMappings(), RemoveLease()), _state(view).invalidated(lease.key))
            case ("registration", address, context):
                return OnDeadline((Revoke((RegistrationView(address, context),), unpin=False), RemoveLease()))
            case _:
                return OnDeadline()
