"""A lease: it tells its holder of a break and keeps the break time [1.4, 2.3].

The inode keeps the list on which leases conflict (:mod:`longpin.actors.fs.lease_list`); the lease itself is the lock
manager's side, ``lm_break`` and the deadline.
"""

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.constants import IBV_EVENT_LEASE_BREAK
from longpin.actors.conversation import Call, Conversation
from longpin.messages.clock import CLOCK, ArmTimer, CancelTimer, TimerExpired
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.file import NotifyOwner
from longpin.messages.fs.inode import LeaseOverdue
from longpin.messages.fs.lease import Break, Drop, Extend, Level, RecordFd
from longpin.messages.rdma.revocation import QueueEvent


class Lease(Actor):
    """One lease of one open file description."""

    def __init__(self, engine: Engine, address: Address, inode: Address, ofd: Address, fd: int) -> None:
        super().__init__(engine, address)
        self.inode = inode
        self.ofd = ofd
        self.fd = fd
        """The descriptor number of the last F_SETLEASE, for si_fd: stale once that descriptor is closed [2.3.5]."""
        self.timers: list[Level] = []
        """Levels whose break time is running."""

    @handles(RecordFd)
    def record(self, request: RecordFd, _src: Address) -> Done:
        """Overwrite the one descriptor number there is."""
        self.fd = request.fd
        return DONE

    @handles(Break)
    def break_(self, request: Break, _src: Address) -> Conversation[Done]:
        """Send the signal and start the break time, once a level: the inode asks once [2.3.3 step 2]."""
        if request.signal:
            yield Call(self.ofd, NotifyOwner(self.fd, request.to, request.only_set))
        if request.context:
            yield Call(request.context, QueueEvent(IBV_EVENT_LEASE_BREAK, request.registration))
        if request.at_once:
            self.send(self.inode, LeaseOverdue(self.address, request.level))
        elif request.seconds:
            self.timers.append(request.level)
            self.send(CLOCK, ArmTimer(request.level, request.seconds))
        return DONE

    @handles(Extend)
    def extend(self, request: Extend, _src: Address) -> Done:
        """Start another term."""
        self.timers.append(request.level)
        self.send(CLOCK, ArmTimer(request.level, request.seconds))
        return DONE

    @handles(TimerExpired)
    def expired(self, timer: TimerExpired, _src: Address) -> None:
        """Tell the inode, unless the lease has gone meanwhile."""
        level = Level(timer.name)
        if level in self.timers:
            self.timers.remove(level)
            self.send(self.inode, LeaseOverdue(self.address, level))

    @handles(Drop)
    def drop(self, _request: Drop, _src: Address) -> Done:
        """Stop the timers: the lease is off the list."""
        for level in self.timers:
            self.send(CLOCK, CancelTimer(level))
        self.timers.clear()
        return DONE
