"""P4 MD7: MAP_DIRECT mappings have a layout lease, and what they and their registrations reach can be taken away.

Versions 7 to 9 of MAP_DIRECT [semantics 4.4; MD7, MD8, MD9, MDr]. A lease belongs to a mapping or to a registration,
not to who has the file open. It cannot be kept: when its break time is over, the mapping is invalidated, and the
registration fenced by the IOMMU, though its pages stay referenced.
"""

import errno
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

from longpin.actors.constants import F_RDLCK, MAP_SHARED_VALIDATE, MAP_TYPE
from longpin.actors.kernel.file_system import Asked, ChangeKind
from longpin.actors.policies.base import PINNING_CALLS, Policy
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
    ZapMappings,
)
from longpin.actors.policies.views import (
    MAP_DIRECT,
    Change,
    FaultRequest,
    FileFacts,
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
from longpin.messages.fs.mapping import MappingView, Memory, PinRequest

LEASE = LeaseRequest(F_RDLCK, LeaseKind.LAYOUT)
SUPPORTED = ("xfs",)
"""The file systems whose mmap(2) knows the flag; ext4 was "in the works" [MD9]."""


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


class MapDirectVersion(StrEnum):
    """Which posting: they differ in when a file is looked at, and in what becomes of a registration."""

    V7 = "v7"
    """2017-10-06: a file that is shared or not on DAX is SIGBUS at each fault, and so is a fault that would allocate. A
    registration is fenced as soon as a break begins, by dma_unmap_sg, so another one may get its addresses [MD7]."""
    V8 = "v8"
    """2017-10-10: such a file is EPERM at mmap(2); a fault that would allocate begins a break. A registration has the
    break time too, and iommu_unmap keeps its addresses until it is deregistered [MD8]."""
    V9 = "v9"
    """2017-10-11: the same for mappings; registrations are put off to a later series [MD9]."""


@dataclass(frozen=True, slots=True)
class MapDirect(Policy):
    """Only MAP_DIRECT mappings can be pinned; a layout change waits for the break time, and then takes them away."""

    name: ClassVar[str] = "P4"
    alias: ClassVar[str] = "map-direct"
    summary: ClassVar[str] = "only MAP_DIRECT mappings can be pinned; truncate invalidates them when the time is over"
    source: ClassVar[str] = "Williams, MAP_DIRECT v7 to v9, 2017-10-06 to 2017-10-11 [MD7, MD8, MD9]"
    presets: ClassVar[dict[str, dict[str, Any]]] = {"as_posted": {"lease_direct": False}, "intended": {}}
    state: ClassVar[PolicyState] = DirectMappings()
    errnos: ClassVar[dict[str, frozenset[str]]] = dict.fromkeys(PINNING_CALLS, frozenset({"ENXIO", "EAGAIN"}))
    constants: ClassVar[Mapping[str, Mapping[str, int]]] = {"mmap.flags": {"MAP_DIRECT": MAP_DIRECT}}

    version: MapDirectVersion = MapDirectVersion.V9
    lease_direct: bool = True
    """Registrations get a lease of their own, as in v7 and v8; False: v9 as it stands, which refuses them like P0."""
    unwritten_is_layout: bool = True
    """That a block is preallocated only belongs to the block map: a fault that makes it written is refused, as one that
    allocates is [MD8: iomap_can_allocate]."""

    def mmap_gate(self, request: MapRequest, view: LayoutView) -> Allow | Fail:
        """Give a MAP_DIRECT mapping its lease, if the caller may have leases on the file [MD8: map_direct_register]."""
        mapping = request.mapping
        if not _is_direct(mapping):
            return Allow()
        if view.file.file_system not in SUPPORTED:
            return Fail(errno.EOPNOTSUPP)
        if self.version is not MapDirectVersion.V7 and not _is_fit(view.file):
            return Fail(errno.EPERM)
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
        """Refuse faults of invalid mappings; whichever mapping it is, one that would allocate gets no block.

        v7 counts the mappings that have their lease [MD7: i_mapdcount]. From v8 on the fault begins to break layout
        leases, its own too [MD8: iomap_can_allocate, MD9: break_layout_nowait].
        """
        known = _state(view)
        kinds = fault.kinds if self.unwritten_is_layout else fault.kinds & ~ChangeKind.CONVERTING
        direct = known.find(fault.mapping)
        if direct is not None and not direct.valid:
            return Fail(errno.EFAULT)
        if self.version is MapDirectVersion.V7:
            unfit = direct is not None and not _is_fit(view.file)
            counted = any(other.valid for other in known.mappings)
            return Fail(errno.EFAULT) if unfit or (counted and kinds) else Proceed()
        if kinds and view.layout_leases:
            return BreakLeases(wait=False, then=Fail(errno.EFAULT))
        return Proceed()

    def longterm_gate(self, request: PinRequest) -> Answer:
        """Refuse pins through a mapping without a lease, and by a device that nothing can stop [MD8: lease_direct].

        Only FS-DAX is asked about: device-dax has a lease_direct too, which nobody breaks [MD7].
        """
        stoppable = self.lease_direct and request.terms.device.iommu
        return Proceed() if stoppable and _is_direct(request.mapping) else Fail(errno.EOPNOTSUPP)

    def pin_gate(self, request: PinRequest, view: LayoutView) -> Allow | Fail:
        """Give the registration a lease of its own, while nobody breaks that of the mapping [MD8: lease_direct]."""
        if not request.longterm:
            return Allow()
        refused = self.longterm_gate(request)  # also where the kernel looks at mappings only afterwards
        if isinstance(refused, Fail):
            return refused
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
        """Send SIGIO to who mapped the file, nothing for a registration; for both, work that the break time delays.

        So a break time of 0 is none, where other leases are kept for ever [MD7: schedule_delayed_work].
        """
        match lease.key:
            case ("mapping", _, _):
                return OnBreak(Notify.OWNER, work=True, zero_is_now=True)
            case ("registration", _, _):
                now = self.version is MapDirectVersion.V7
                return OnBreak(Notify.NOBODY, work=True, at_once=now, zero_is_now=True)
            case _:
                return OnBreak()

    def on_deadline(self, lease: LeaseView, view: LayoutView) -> OnDeadline:
        """Invalidate the mappings of a lease, or fence its registration; then the lease goes."""
        match lease.key:
            case ("mapping", _, _):
                return OnDeadline((ZapMappings(), RemoveLease()), _state(view).invalidated(lease.key))
            case ("registration", address, context):
                reuse = self.version is MapDirectVersion.V7
                return OnDeadline(
                    (Revoke((RegistrationView(address, context),), unpin=False, reuse=reuse), RemoveLease())
                )
            case _:
                return OnDeadline()

    def admin_list(self, view: LayoutView) -> tuple[Listed, ...]:
        """List what the leases belong to: memory maps, and devices."""
        return tuple(_listed(lease) for lease in view.leases)


def _is_direct(mapping: MappingView) -> bool:
    """Return whether a mapping was asked for as MAP_DIRECT: with plain MAP_SHARED the flag is ignored [mmap(2)]."""
    return bool(mapping.flags & MAP_DIRECT) and mapping.flags & MAP_TYPE == MAP_SHARED_VALIDATE


def _is_fit(file: FileFacts) -> bool:
    """Return whether a file is on DAX and has its blocks for itself [MD8: xfs_is_reflink_inode]."""
    return file.memory is Memory.FS_DAX and not file.shared


def _listed(lease: LeaseView) -> Listed:
    match lease.key:
        case ("mapping", mm, _):
            return Listed(ListedBy.MEMORY, mm, f"mapped by process {lease.tgid} (/proc/PID/maps)")
        case ("registration", _, context):
            return Listed(ListedBy.DEVICE, context, f"registered by process {lease.tgid}, in {context}")
        case _:
            return Listed(ListedBy.DESCRIPTION, lease.holder, f"lease set by process {lease.tgid} (/proc/locks)")
