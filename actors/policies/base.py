"""The hooks through which a proposal differs from the base kernel [4].

Every method here is the base rule of semantics section 2. A policy is a frozen dataclass of parameters: it holds no
state, sends nothing and touches no actor. The kernel asks it at the places where Linux would decide, shows it facts as
values (:mod:`longpin.actors.policies.views`), and carries out the decision it returns
(:mod:`longpin.actors.policies.decisions`). So a hook is a function of its arguments, and what two policies answer to
the same question can be compared.

A *gate* decides whether something may be done: it answers with a decision, of which :class:`Fail` carries the errno. A
hook with *on* in its name says what follows from something that has been done, or will be in any case.
"""

import errno
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from longpin.actors.constants import F_RDLCK, F_UNLCK, F_WRLCK
from longpin.actors.kernel.file_system import Asked
from longpin.actors.kernel.generation import Version
from longpin.actors.policies.decisions import (
    Allow,
    Answer,
    BreakLeases,
    Decision,
    Fail,
    Listed,
    ListedBy,
    OnBreak,
    OnDeadline,
    Proceed,
    Scan,
    Update,
    WaitFor,
)
from longpin.actors.policies.views import (
    NO_STATE,
    Change,
    CloseRequest,
    FaultRequest,
    LayoutView,
    LeaseCall,
    LeaseKey,
    LeaseRequest,
    LeaseView,
    MapRequest,
    MmapCall,
    PolicyState,
    Range,
    RegistrationView,
)
from longpin.messages.envelope import Address
from longpin.messages.fs.mapping import MappingView, PinRequest
from longpin.messages.process.caller import Caller

PINNING_CALLS = (
    "ibv_reg_mr",
    "ibv_reg_mr_lease",
    "vidioc_qbuf",
    "io_uring_register_buffers",
    "io_uring_register_buffers_update",
)
"""Calls that pin for long, and so fail with what :meth:`Policy.longterm_gate` and :meth:`Policy.pin_gate` say."""


PRESETS = ("as_posted", "intended")
"""What each policy has. A preset besides is a relative, another proposal that the same rules carry."""


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
    constants: ClassVar[Mapping[str, Mapping[str, int]]] = {}
    """Names it adds to those a program may use, with their values, by call and parameter: ``mmap.flags``."""
    proc_files: ClassVar[frozenset[str]] = frozenset()
    """Files of /proc/PID it adds: ``file_pins``, which shows what :meth:`admin_list` lists of a process."""
    calls: ClassVar[frozenset[str]] = frozenset()
    """Calls that only kernels with this proposal have; elsewhere they are EOPNOTSUPP."""
    state: ClassVar[PolicyState] = NO_STATE
    """What it remembers of an inode when that is made."""

    @classmethod
    def overrides(cls, hook: Callable[..., Any]) -> bool:
        """Return whether a hook of this class is not the base rule; where it is, nobody is sent to ask."""
        return getattr(cls, hook.__name__) is not hook

    # Mappings.

    def mmap_call_gate(self, call: MmapCall) -> Answer:
        """Decide on mmap(2) by its arguments alone, before the file is asked [do_mmap]."""
        return Proceed()

    def mmap_gate(self, request: MapRequest, view: LayoutView) -> Allow | Fail:
        """Decide on mmap(2) of the file."""
        return Allow()

    def on_vma_open(self, mapping: MappingView, copy: MappingView, view: LayoutView) -> Update:
        """Say what follows when fork(2) has copied a mapping, or munmap(2) split it [vm_operations: open]."""
        return Update()

    def on_vma_close(self, mapping: MappingView, view: LayoutView) -> Update:
        """Say what follows when a mapping is gone, and so no longer in the view [vm_operations: close]."""
        return Update()

    def fault_gate(self, fault: FaultRequest, view: LayoutView) -> Decision:
        """Decide on a page fault; whatever errno it fails with, the process sees SIGBUS or EFAULT [1.8]."""
        return Proceed()

    # Leases.

    def read_lease(self, arg: int) -> LeaseRequest | None:
        """Read the argument of F_SETLEASE; None is EINVAL [2.1 step 2]."""
        return LeaseRequest(arg) if arg in (F_RDLCK, F_WRLCK, F_UNLCK) else None

    def read_layout(self, arg: int, where: Range) -> LeaseRequest | None:
        """Read type, flags and range in bytes of F_SETLAYOUT, where ``constants`` has it; None is EINVAL."""
        return None

    def lease_key(self, caller: Caller, ofd: Address, wanted: LeaseRequest, leases: tuple[LeaseView, ...]) -> LeaseKey:
        """Return what a lease belongs to that this process takes on a description, gives up or asks for [1.4].

        ``wanted`` is of type F_UNLCK unless it is taken; ``leases`` are all of the file.
        """
        return (ofd,)

    def lease_gate(self, call: LeaseCall, view: LayoutView) -> Decision:
        """Decide on F_SETLEASE, F_UNLCK too, before the list is looked at [2.1 step 3]."""
        return Proceed() if call.caller.may_lease(view.file.uid) else Fail(errno.EACCES)

    def conflict_gate(self, wanted: LeaseRequest, other: LeaseView) -> Answer:
        """Decide whether a lease can be had beside another one, of any kind [2.1 step 7]."""
        refused = wanted.type == F_WRLCK or (other.breaking and other.target == F_UNLCK)
        return Fail(errno.EAGAIN) if refused else Proceed()

    def change_lease(self, lease: LeaseView, wanted: LeaseRequest) -> LeaseRequest | Fail:
        """Say what becomes of a lease whose holder asks for another [2.1 step 8]. Base: its type changes alone.

        A break to nothing stays pending whatever is answered [C-a].
        """
        return wanted._replace(exclusive=lease.exclusive, unbreakable=lease.unbreakable)

    def lease_type(self, lease: LeaseView) -> int:
        """Return what F_GETLEASE reports of a lease [2.3.6]."""
        return lease.target

    def on_break(self, lease: LeaseView) -> OnBreak:
        """Say what the break of a lease sets off, once a level [2.3.3]."""
        return OnBreak()

    def on_deadline(self, lease: LeaseView, view: LayoutView) -> OnDeadline:
        """Say what becomes of an overdue lease [2.3.4]."""
        return OnDeadline()

    def unlck_gate(self, lease: LeaseView, caller: Caller, view: LayoutView) -> Decision:
        """Decide on F_UNLCK of a lease there is [2.2]."""
        return Proceed()

    # Pins.

    def longterm_gate(self, request: PinRequest) -> Answer:
        """Decide on a long-term pin by its mapping alone [check_vma_flags, check_dax_vmas]."""
        return Proceed()

    def pin_gate(self, request: PinRequest, view: LayoutView) -> Allow | Fail:
        """Decide on a pin of one page, and say what it holds on to [2.6]."""
        return Allow()

    def use_gate(self, caller: Caller, registration: RegistrationView, view: LayoutView) -> Answer:
        """Decide on the use of a registration of pages of the file by a process [1.10]."""
        return Proceed()

    def on_unpin(self, holds: tuple[Address, ...], others: tuple[Address, ...] = ()) -> tuple[Address, ...]:
        """Return the open file descriptions a dying region lets go of; base: those its pins hold [1.10].

        ``others`` are those that the other regions of the device hold, one entry for each hold; one that is named in
        the answer loses one of them.
        """
        return holds

    def on_deregister(self, registration: RegistrationView, view: LayoutView) -> Update:
        """Say what follows when a registration that was granted a lease has let go of its pages [1.10]."""
        return Update()

    # Layout changes.

    def change_gate(self, change: Change, view: LayoutView) -> Decision:
        """Decide on a layout change. Base: whom the file system asks, in its order [2.5]."""
        for asked in change.asks:
            if asked is Asked.LEASES:
                if view.layout_leases:
                    return BreakLeases()
            elif view.pins is None:
                return Scan()
            elif view.pins:
                return WaitFor(view.pins)
        return Proceed()

    # Descriptors and processes.

    def flush_gate(self, close: CloseRequest, view: LayoutView) -> Decision:
        """Decide on the close of one descriptor: its number is free already, its reference still there [1.2]."""
        return Proceed()

    def last_close_gate(self, ofd: Address, view: LayoutView, *, exiting: bool) -> Decision:
        """Decide on the release of an open file description, which happens in any case [1.3]."""
        return Proceed()

    def only_pinned_gate(self, ofd: Address, view: LayoutView) -> Decision:
        """Decide what follows when nothing but pins holds a description any more [1.5]; an errno is told to nobody."""
        return Proceed()

    def on_exit(self, fds: tuple[int, ...]) -> tuple[int, ...]:
        """Return the order in which a dying process closes its descriptors; base: by number. It never waits [1.1]."""
        return fds

    def admin_list(self, view: LayoutView) -> tuple[Listed, ...]:
        """Return what an administrator can see of who holds an inode's layout; base: the setters in /proc/locks."""
        return tuple(
            Listed(ListedBy.DESCRIPTION, lease.holder, f"lease set by process {lease.tgid} (/proc/locks)", lease.tgid)
            for lease in view.leases
        )
