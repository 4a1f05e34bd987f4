"""Who makes a call, as those see it who decide on it."""

from typing import NamedTuple

from longpin.messages.envelope import Address


class Caller(NamedTuple):
    """A process that makes a call, with the rights it has at that moment [1.1]."""

    process: Address
    """Its identity, which no other process ever has."""
    tgid: int
    """Its number, which another may have had before [1.1]."""
    uid: int
    """What the permission to signal the owner of a description is checked with [2.3.5]."""
    fsuid: int
    """What access to files and leases is checked with."""
    capabilities: tuple[str, ...] = ()
    """In order: CAP_LEASE and so on."""
    tid: int = 0
    """The number of the thread; 0: the thread group leader, whose number is ``tgid``."""

    def may_lease(self, owner: int) -> bool:
        """Return whether it may take and give up leases on a file of this owner [2.1 step 3]."""
        return self.fsuid == owner or "CAP_LEASE" in self.capabilities
