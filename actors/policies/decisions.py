"""What a policy answers: decisions as values, which the kernel carries out.

A gate is asked again after every decision but the final ones (:class:`Proceed`, :class:`Fail`, :class:`Allow`), because
everything may have changed meanwhile.
"""

from enum import StrEnum
from typing import NamedTuple

from longpin.actors.policies.views import LeaseKey, LeaseRequest, PolicyState, Range, RegistrationView
from longpin.messages.envelope import Address
from longpin.messages.fs.listing import Listed as Listed
from longpin.messages.fs.listing import ListedBy as ListedBy
from longpin.messages.mm.memory import Pin


class Proceed(NamedTuple):
    """Go on with the call."""


class Fail(NamedTuple):
    """End the call with this errno."""

    errno: int


Answer = Proceed | Fail
"""What a gate answers that decides at once."""


class BreakLeases(NamedTuple):
    """Break leases."""

    leases: tuple[Address, ...] | None = None
    """Which; None: every layout lease, those taken meanwhile too, as the kernel does [2.3.3]."""
    wait: bool = True
    """Wait until they are gone, without the inode's locks, and ask again; False: begin, and do ``then`` [2.5]."""
    then: Proceed | Fail = Proceed()
    locked: bool = False
    """The wait keeps the inode's locks: who needs one of them to give its lease up, waits for it until the deadline."""
    anyway: "Scan | None" = None
    """What follows however the wait has ended, by a signal too; None: the question again, or EINTR."""


class Scan(NamedTuple):
    """Look for referenced pages, with page tables zapped first if the caller has the mmap lock, and ask again [2.5]."""

    range: Range | None = None
    """Where; None: where the kernel looks for this change (``whole_file_scan``)."""
    unmapped: bool = False
    """Look even if nobody maps the file, as who counts pins would; a kernel may not (``busy_scan_skips_unmapped``)."""


class WaitFor(NamedTuple):
    """Sleep until these pins are gone, with the mmap lock dropped, and ask again [2.5]."""

    pins: tuple[Pin, ...]
    killable: bool = False
    """Only a fatal signal ends the sleep; else any signal."""


class Revoke(NamedTuple):
    """Take registrations from the device: keys are void, accesses under way have ended. Then ask again."""

    registrations: tuple[RegistrationView, ...]
    unpin: bool = True
    """Their pages lose the references too; else these stay until they are deregistered."""
    reuse: bool = False
    """The addresses at which the device found the pages are free for other registrations (dma_unmap_sg); else they are
    kept until deregistration (iommu_unmap)."""
    after: float = 0.0
    """Seconds the device takes; until then their keys are good."""
    whole_context: bool = False
    """All that their contexts own is taken with them, as if the device were gone (disassociate)."""


class SendSignal(NamedTuple):
    """A process gets a signal of the kernel, whatever it may do to others."""

    process: Address
    signo: int


class SendSignals(NamedTuple):
    """Send signals, each once in a call however often this is answered, and do ``then``."""

    signals: tuple[SendSignal, ...]
    then: Proceed | Fail | WaitFor = Proceed()


class KillHolders(NamedTuple):
    """Send SIGKILL to every process that has the devices of these pins open, wait until one is gone, and ask again."""

    pins: tuple[Pin, ...]


class DropLease(NamedTuple):
    """Take leases off the list, and ask again."""

    leases: tuple[Address, ...]


Decision = Proceed | Fail | BreakLeases | Scan | WaitFor | Revoke | KillHolders | SendSignals | DropLease
"""What a gate answers that may wait."""


class Grant(NamedTuple):
    """A lease that is given for something else than F_SETLEASE: a mapping, a registration."""

    key: LeaseKey
    ofd: Address
    """The description it ends with, if it does not end before."""
    request: LeaseRequest
    owner: bool = False
    """It counts as one taken by F_SETLEASE for whom SIGIO goes to [2.1 step 9, 2.2]."""


class Allow(NamedTuple):
    """It may be done: mmap(2), or a pin."""

    hold: Address = ""
    """Of a pin: an open file description on which the registration holds a reference; empty: none."""
    grant: Grant | None = None
    """A lease that comes with it, unless there is one of that key. The inode is told when the registration ends."""
    state: PolicyState | None = None
    """What the policy remembers from now on; None: what it did."""
    alone: bool = False
    """Of mmap(2): while no call that changes the file and no fault is under way, with the iolock and the mmap lock."""


class Update(NamedTuple):
    """What becomes of an inode when something has happened that nobody can refuse."""

    state: PolicyState | None = None
    """What the policy remembers from now on; None: what it did."""
    drop: tuple[Address, ...] = ()
    """Leases that end."""
    alone: bool = False
    """Of a mapping: while no call that changes the file and no fault is under way, as :class:`Allow` says."""


class Notify(StrEnum):
    """Who gets the signal of a break."""

    NOBODY = "nobody"
    OWNER = "owner"
    """The owner that F_GETOWN names: the first taker of a lease on the description, or what F_SETOWN named [2.3.5]."""
    HOLDER = "holder"
    """The process that took this lease."""
    HOLDER_IF_SET = "holder if set"
    """The same, if F_SETSIG has named a signal for the description."""


class OnBreak(NamedTuple):
    """What the break of a lease sets off [2.3.3]."""

    signal: Notify = Notify.OWNER
    deadline: float | None = None
    """Seconds the holder has; None: lease_break_time, 0: for ever."""
    work: bool = False
    """At the deadline the kernel acts by itself; else the next look at the list finds the lease overdue [2.3.4]."""
    at_once: bool = False
    """The deadline is now: nobody has any time."""
    event: RegistrationView | None = None
    """A registration: all who have its context open get an asynchronous event about it."""
    zero_is_now: bool = False
    """A lease_break_time of 0 gives no time at all, as work that is delayed by it; else the holder has it for ever."""


class RemoveLease(NamedTuple):
    """The lease is removed or downgraded, as lease_modify does."""


class ZapMappings(NamedTuple):
    """Page table entries of the file go in every process, and no fault is under way; what faults, asks again."""


DeadlineAction = RemoveLease | ZapMappings | Revoke | SendSignal


class OnDeadline(NamedTuple):
    """What happens when a holder has let its time pass [2.3.4]."""

    actions: tuple[DeadlineAction, ...] = (RemoveLease(),)
    """In this order."""
    state: PolicyState | None = None
    """What the policy remembers before the first of them; None: what it did."""
    again: bool = False
    """Unless the lease is gone then, another term of lease_break_time begins, at the end of which this is asked."""
    locked: bool = True
    """The inode's mmap lock is held meanwhile, so no fault is under way; else faults and other deadlines go on."""
