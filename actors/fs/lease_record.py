"""What an inode knows of one lease on its list, and what a break, or who took it, makes of that [1.4, 2.3]."""

from dataclasses import dataclass

from longpin.actors.constants import F_RDLCK, F_UNLCK, F_WRLCK
from longpin.actors.policies.views import LeaseKey, LeaseKind, LeaseRequest, LeaseView
from longpin.messages.envelope import Address
from longpin.messages.fs.lease import Level

BROKEN_BY = {
    LeaseKind.LEASE: (LeaseKind.LEASE, LeaseKind.DELEGATION),
    LeaseKind.DELEGATION: (LeaseKind.DELEGATION,),
    LeaseKind.LAYOUT: (LeaseKind.LAYOUT,),
}
"""The kinds of lease that are broken by opens and truncate(2), by changes of names, and by layout changes."""


@dataclass(slots=True)
class LeaseRecord:
    """One entry of the list."""

    address: Address
    """The lease actor."""
    ofd: Address
    """The open file description it ends with."""
    holder: Address
    """The process that took it."""
    tgid: int
    """The number of that process: it may be dead, or the number another's."""
    type: int
    """F_RDLCK or F_WRLCK."""
    key: LeaseKey
    """What it belongs to: one lease a key and slot."""
    kind: LeaseKind = LeaseKind.LEASE
    """Layout leases are broken by layout changes only, ordinary ones by opens and truncate(2) only [2.3.1]."""
    slot: str = ""
    exclusive: bool = False
    unbreakable: bool = False
    owns: bool = True
    """SIGIO of its description goes to its holder, unless that had an owner; with it the owner goes [2.1, 2.2]."""
    unlock_pending: bool = False
    downgrade_pending: bool = False
    overdue: frozenset[Level] = frozenset()
    """Levels whose break time has passed."""
    works: bool = False
    """When the break time has passed the inode acts by itself; else the next look at the list does."""
    zombie: bool = False
    """Nothing but pins holds its description [1.5]."""
    managed: bool = False
    """A part of the kernel has it, knfsd, which is told of a break in its own way and has a time of its own [1.4.1]."""
    fencing: bool = False
    """Its break time is over, and it stays until who manages it has fenced its client [1.4.1]."""
    signo: int = 0
    """What F_SETSIG had set when it was last taken."""
    terms: int = 0
    """How many times the break time to nothing has passed."""

    @property
    def target(self) -> int:
        """What F_GETLEASE reports: the type the lease is on its way to [2.3.6]."""
        if self.unlock_pending:
            return F_UNLCK
        return F_RDLCK if self.downgrade_pending else self.type

    @property
    def breaking(self) -> bool:
        """Whether a break is pending."""
        return self.unlock_pending or self.downgrade_pending

    @property
    def due(self) -> bool:
        """Whether a break time has passed and who looks next acts on it: it is not what it should be [2.3.4]."""
        if self.works or self.fencing:
            return False
        downgraded = self.type == F_RDLCK and not self.downgrade_pending
        return Level.UNLOCK in self.overdue or (Level.DOWNGRADE in self.overdue and not downgraded)

    def conflicts(self, breaker: LeaseKind, *, write: bool) -> bool:
        """Return whether a breaker breaks this lease [2.3.1, code: leases_conflict]."""
        return self.kind in BROKEN_BY[breaker] and (write or self.type == F_WRLCK)

    def begin_break(self, *, write: bool) -> Level | None:
        """Mark a break as pending; return the level to tell the holder of, None if it knows already [2.3.3 step 2]."""
        if write:
            if self.unlock_pending:
                return None
            self.unlock_pending = True
            return Level.UNLOCK
        if self.breaking:
            return None
        self.downgrade_pending = True
        return Level.DOWNGRADE

    def set_type(self, lease_type: int) -> None:
        """Change the lease in place: a break to nothing stays pending [2.1 step 8, C-a]."""
        self.type = lease_type
        if lease_type == F_RDLCK:
            self.downgrade_pending = False

    def become(self, request: LeaseRequest) -> None:
        """Be what its holder has asked for since, and the policy has granted, in place."""
        self.set_type(request.type)
        self.exclusive, self.unbreakable = request.exclusive, request.unbreakable

    def view(self) -> LeaseView:
        """Return what a policy sees."""
        return LeaseView(
            self.address,
            self.key,
            self.ofd,
            self.holder,
            self.tgid,
            self.type,
            self.kind,
            self.slot,
            self.exclusive,
            self.unbreakable,
            self.breaking,
            bool(self.overdue),
            self.zombie,
            self.target,
            self.managed,
            self.signo,
            self.terms,
        )
