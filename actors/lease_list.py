"""The leases of an inode, as ``flc_lease`` holds them: in order, under the inode's ``flc_lock`` [1.4]."""

from dataclasses import dataclass

from longpin.actors.constants import F_RDLCK, F_UNLCK, F_WRLCK
from longpin.actors.policies.base import LeaseView
from longpin.messages.envelope import Address
from longpin.messages.lease import Level


@dataclass(slots=True)
class LeaseRecord:
    """One entry of the list."""

    address: Address
    """The lease actor."""
    ofd: Address
    """Owner of the lease, and so its key: one lease an open file description."""
    tgid: int
    """The process that took it, by number: it may be dead, or the number another's."""
    type: int
    """F_RDLCK or F_WRLCK."""
    layout: bool
    """Layout leases are broken by layout changes only, ordinary ones by opens and truncate(2) only [2.3.1]."""
    unlock_pending: bool = False
    downgrade_pending: bool = False
    overdue: frozenset[Level] = frozenset()
    """Levels whose break time has passed."""

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
        """Whether a break time has passed and the lease is not yet what it should have become [2.3.4]."""
        downgraded = self.type == F_RDLCK and not self.downgrade_pending
        return Level.UNLOCK in self.overdue or (Level.DOWNGRADE in self.overdue and not downgraded)

    def conflicts(self, *, layout: bool, write: bool) -> bool:
        """Return whether a breaker breaks this lease [2.3.1]."""
        return self.layout == layout and (write or self.type == F_WRLCK)

    def begin_break(self, *, write: bool) -> Level | None:
        """Mark a break as pending; return the level to tell the holder of, None if it knows already [2.3.3 step 3]."""
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

    def view(self) -> LeaseView:
        """Return what a policy sees."""
        return LeaseView(self.address, self.ofd, self.tgid, self.type, self.layout, self.breaking, bool(self.overdue))
