"""The hooks through which a proposal differs from the base kernel [semantics 4.12].

Every method here is the base rule of semantics section 2. A policy is a frozen dataclass of parameters: it holds no
state, sends nothing and touches no actor. An actor asks it at the places the kernel would, with the facts it has, and
carries out the decision it returns.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

from longpin.actors.constants import F_RDLCK, F_UNLCK, F_WRLCK
from longpin.actors.kernel.file_system import Asked, LayoutOperation
from longpin.actors.kernel.generation import Version
from longpin.messages.envelope import Address
from longpin.messages.mm.pmem import Pin


class Change(NamedTuple):
    """A layout change some call wants to make."""

    operation: LayoutOperation
    asks: tuple[Asked, ...]
    """Who is asked first, by the rules of the file system [2.5]."""
    first: int
    """First page of the range whose blocks may move or be freed."""
    last: int
    """Last page of it, inclusive; -1 where no page is affected."""
    tgid: int
    """The process that makes the call."""


class LeaseView(NamedTuple):
    """What a policy sees of a lease on the inode's list [1.4]."""

    address: Address
    ofd: Address
    tgid: int
    type: int
    layout: bool
    breaking: bool
    overdue: bool
    target: int
    """The type it is on its way to: what F_GETLEASE reports [2.3.6]."""


class Layout(NamedTuple):
    """What a policy sees of an inode when a change is about to be made."""

    leases: tuple[LeaseView, ...]
    mapped: bool
    """Some process maps the file."""
    pins: tuple[Pin, ...] | None
    """Pins found in the scanned pages; None: not scanned since the locks were last taken."""

    @property
    def layout_leases(self) -> tuple[LeaseView, ...]:
        """The leases a layout break would break [2.3.1]."""
        return tuple(lease for lease in self.leases if lease.layout)


class Proceed(NamedTuple):
    """Make the change."""


class Fail(NamedTuple):
    """End the call with this errno."""

    errno: int


class BreakLeases(NamedTuple):
    """Break every layout lease, wait for it without the inode's locks, and ask again [2.5]."""


class ScanPages(NamedTuple):
    """Zap the page tables, look for busy pages, and ask again [2.5]."""

    only_range: bool = False
    """Look only where the change is; otherwise where the kernel does (``whole_file_scan``)."""


class WaitForPages(NamedTuple):
    """Sleep until these are idle, with the mmap lock dropped, and ask again [2.5]."""

    pins: tuple[Pin, ...]


class Allow(NamedTuple):
    """The pin may be taken."""

    hold: Address = ""
    """An open file description the pin holds a reference on for as long as it lives; empty: none."""


Decision = Proceed | Fail | BreakLeases | ScanPages | WaitForPages


class LeaseRequest(NamedTuple):
    """What F_SETLEASE asks for, as the policy reads its argument."""

    type: int
    layout: bool = False


class OnDeadline(StrEnum):
    """What happens to a lease that is found overdue [2.3.4]."""

    DROP = "drop"
    """It is removed (or downgraded), as lease_modify does."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The base rules. A subclass states what a proposal changes, and its parameters as fields."""

    name: ClassVar[str] = ""
    """The id of the specification: P0, P1, ..."""
    alias: ClassVar[str] = ""
    """A word for it, accepted wherever the name is."""
    summary: ClassVar[str] = ""
    source: ClassVar[str] = ""
    presets: ClassVar[dict[str, dict[str, Any]]] = {"as_posted": {}, "intended": {}}
    """Parameter values of ``as_posted`` (the code) and ``intended`` (the prose). Their differences are findings."""
    kernels: ClassVar[dict[str, Version]] = {"as_posted": Version.LINUX_5_4, "intended": Version.IDEAL}
    """The kernel of each preset, where the machine names none: the one posted for, and the one the prose assumes."""
    errnos: ClassVar[dict[str, frozenset[str]]] = {}
    """Errnos the proposal adds to a call's own."""

    def mmap_gate(self, flags: int) -> int:
        """Return 0, or the errno with which mmap(2) of the file fails."""
        return 0

    def fault_gate(self, *, allocates: bool) -> int:
        """Return 0, or the errno of a fault that would have to change the block map (``allocates``) [2.5]."""
        return 0

    def lease_gate(self, arg: int) -> LeaseRequest | None:
        """Read the argument of F_SETLEASE; None is EINVAL [2.1 step 2]."""
        return LeaseRequest(arg) if arg in (F_RDLCK, F_WRLCK, F_UNLCK) else None

    def longterm_gate(self) -> int:
        """Return 0, or the errno of every long-term pin of a DAX mapping [4.0: check_vma_flags, check_dax_vmas]."""
        return 0

    def pin_gate(self, leases: tuple[LeaseView, ...], tgid: int, *, longterm: bool) -> Allow | Fail:
        """Decide whether process ``tgid`` may pin a page of the inode, and what the pin holds on to [2.6]."""
        return Allow()

    def change_gate(self, change: Change, layout: Layout) -> Decision:
        """Decide on a layout change; asked again after every wait. Base: whom the file system asks, in order [2.5]."""
        for asked in change.asks:
            if asked is Asked.LEASES:
                if layout.layout_leases:
                    return BreakLeases()
            elif layout.pins is None:
                return ScanPages()
            elif layout.pins:
                return WaitForPages(layout.pins)
        return Proceed()

    def on_break(self, lease: LeaseView) -> bool:
        """Return True if the holder gets its signal when the lease is broken [2.3.3]."""
        return True

    def on_deadline(self, lease: LeaseView) -> OnDeadline:
        """Return what becomes of an overdue lease [2.3.4]."""
        return OnDeadline.DROP

    def unlck_gate(self, lease: LeaseView, layout: Layout) -> Decision:
        """Decide on F_UNLCK; asked again after every wait [2.2]."""
        return Proceed()

    def last_close_gate(self, layout: Layout, *, exiting: bool) -> Decision:
        """Decide on the release of an open file description; asked again after every wait [1.3]."""
        return Proceed()

    def on_unpin(self, holds: tuple[Address, ...]) -> tuple[Address, ...]:
        """Return the open file descriptions a dying region lets go of; base: those its pins hold [1.10]."""
        return holds

    def on_exit(self, fds: tuple[int, ...]) -> tuple[int, ...]:
        """Return the order in which a dying process closes its descriptors; base: by number. It never waits [1.1]."""
        return fds

    def admin_list(self, leases: tuple[LeaseView, ...], pins: tuple[Pin, ...]) -> tuple[str, ...]:
        """Return what an administrator can see of who holds an inode's layout; base: the setters in /proc/locks."""
        return tuple(f"lease set by process {lease.tgid} (/proc/locks)" for lease in leases)

    def lease_type(self, lease: LeaseView, target: int) -> int:
        """Return what F_GETLEASE reports for a lease on its way to ``target`` [2.3.6]."""
        return target
