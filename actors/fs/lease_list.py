"""The leases of an inode, as ``flc_lease`` holds them: in order, under ``flc_lock`` [1.4]. What ``fs/locks.c`` does.

Each lease is an actor besides, which tells its holder and keeps the break time (:mod:`longpin.actors.fs.lease`).
"""

import errno
from dataclasses import dataclass

from longpin.actors.base import Actor
from longpin.actors.constants import F_RDLCK, F_UNLCK, F_WRLCK
from longpin.actors.conversation import Call, Conversation, KernelError, WaitQueue, WaitsFor, outcome, single
from longpin.actors.fs.lease import Lease
from longpin.actors.fs.open_counts import OpenCounts
from longpin.actors.kernel.machine import Kernel
from longpin.actors.locks import Lock
from longpin.actors.policies.base import LeaseRequest, LeaseView, OnDeadline
from longpin.messages.envelope import Address
from longpin.messages.fs.file import LeaseGone, LeaseSetup
from longpin.messages.fs.inode import ChangeLease
from longpin.messages.fs.lease import Break, Drop, Level, RecordFd


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
        overdue = bool(self.overdue)
        return LeaseView(self.address, self.ofd, self.tgid, self.type, self.layout, self.breaking, overdue, self.target)


class LeaseList:
    """The leases of one inode: taking, breaking, expiry [2.1 to 2.3]."""

    __slots__ = ("actor", "break_time", "flc_lock", "granted", "opens", "policy", "records", "waiters")

    def __init__(self, actor: Actor, kernel: Kernel, opens: OpenCounts) -> None:
        self.actor = actor
        self.policy = kernel.policy
        self.opens = opens
        self.break_time = kernel.lease_break_time
        """Seconds, from the next break on; 0: for ever."""
        self.records: list[LeaseRecord] = []
        self.flc_lock = Lock(actor, f"flc_lock of {actor.address}")
        self.waiters = WaitQueue()
        self.granted: dict[Address, int] = {}
        """How many leases each description was ever given, for their addresses."""

    # Looking.

    def views(self) -> tuple[LeaseView, ...]:
        """Return the list as a policy sees it."""
        return tuple(record.view() for record in self.records)

    def of(self, ofd: Address) -> LeaseRecord | None:
        """Return the lease of a description."""
        return next((record for record in self.records if record.ofd == ofd), None)

    @property
    def has_plain(self) -> bool:
        """Whether there is a lease that an open breaks, broken already or not."""
        return any(not record.layout for record in self.records)

    def look_up(self, ofd: Address) -> Conversation[LeaseRecord | None]:
        """Return the lease of a description when what is overdue is gone [2.3.6]."""
        with (yield self.flc_lock.exclusive()):
            yield from self._expire()
            return self.of(ofd)

    # Taking.

    def take(self, request: ChangeLease, wanted: LeaseRequest) -> Conversation[None]:
        """Add a lease, or change the one the description has [2.1 steps 5 to 10].

        Raises:
            KernelError: EAGAIN, others have the file open or have a lease that is in the way.

        """
        with (yield self.flc_lock.exclusive()):
            yield from self._expire()
            if not wanted.layout and self.opens.refuses(wanted.type, request.access):
                raise KernelError(errno.EAGAIN)
            own = None
            for record in self.records:
                if record.ofd == request.ofd:
                    own = record
                elif wanted.type == F_WRLCK or record.unlock_pending:
                    raise KernelError(errno.EAGAIN)
            if own is not None:
                own.set_type(wanted.type)
                self.waiters.wake_all(self.actor)
                yield Call(own.address, RecordFd(request.fd))
            else:
                self._grant(request, wanted)
            yield Call(request.ofd, LeaseSetup(request.tgid, request.process, request.uid))

    def _grant(self, request: ChangeLease, wanted: LeaseRequest) -> None:
        count = self.granted[request.ofd] = self.granted.get(request.ofd, 0) + 1
        address = f"lease:{request.ofd.partition(':')[2]}" + (f".{count}" if count > 1 else "")
        self.actor.spawn(Lease, address, self.actor.address, request.ofd, request.fd)
        self.records.append(LeaseRecord(address, request.ofd, request.tgid, wanted.type, wanted.layout))

    # Ending.

    def give_up(self, ofd: Address) -> Conversation[None]:
        """Remove the lease of a description: fcntl(F_SETLEASE, F_UNLCK) [2.2].

        Raises:
            KernelError: EAGAIN, it has none.

        """
        with (yield self.flc_lock.exclusive()):
            own = self.of(ofd)
            if own is None:
                raise KernelError(errno.EAGAIN)
            yield from self._remove(own)

    def release(self, ofd: Address) -> Conversation[bool]:
        """Remove what a released description leaves behind; return whether a lease that opens respect was among it."""
        with (yield self.flc_lock.exclusive()):
            if own := self.of(ofd):
                yield from self._remove(own)
        return own is not None and not own.layout

    def _remove(self, record: LeaseRecord) -> Conversation[None]:
        """Take a lease off the list, as lease_modify(F_UNLCK) does."""
        self.records.remove(record)
        self.waiters.wake_all(self.actor)
        yield Call(record.address, Drop())
        yield Call(record.ofd, LeaseGone())

    def note_overdue(self, lease: Address, level: Level) -> None:
        """Note that a break time has passed; only a waiter, or the next to look, acts on it [2.3.4]."""
        for record in self.records:
            if record.address == lease:
                record.overdue |= {level}
                if level is Level.UNLOCK or not record.unlock_pending:
                    self.waiters.wake_all(self.actor)

    def _expire(self) -> Conversation[None]:
        """time_out_leases: act on what is overdue, and on what becomes so meanwhile [2.3.4]."""
        while due := next((record for record in self.records if self._is_due(record)), None):
            if Level.UNLOCK in due.overdue:
                yield from self._remove(due)
            else:
                due.set_type(F_RDLCK)
                self.waiters.wake_all(self.actor)

    def _is_due(self, record: LeaseRecord) -> bool:
        return record.due and self.policy.on_deadline(record.view()) is OnDeadline.DROP

    # Breaking.

    def break_delegations(self) -> Conversation[None]:
        """Break what a change of names or attributes breaks: no lease [2.3.1], but overdue ones are noticed [2.3.4]."""
        with (yield self.flc_lock.exclusive()):
            yield from self._expire()

    def break_conflicting(self, *, write: bool, layout: bool, nonblock: bool) -> Conversation[None]:
        """Break what conflicts and wait until nothing does [2.3.3].

        Raises:
            KernelError: EAGAIN if it would have to wait and ``nonblock`` is set; EINTR if a signal ends the wait. The
                break stays pending either way.

        """
        with (yield self.flc_lock.exclusive()) as flc:
            yield from self._expire()
            conflicting = [record for record in self.records if record.conflicts(layout=layout, write=write)]
            if not conflicting:
                return
            for record in conflicting:
                if level := record.begin_break(write=write):
                    signal = self.policy.on_break(record.view())
                    yield Call(record.address, Break(level, self.break_time, signal))
            while left := next((r for r in self.records if r.conflicts(layout=layout, write=write)), None):
                if nonblock:
                    raise KernelError(errno.EAGAIN)
                # Nothing is due here, and nobody can come in before the sleep: no wake-up is missed.
                detail = f"{left.address} of process {left.tgid} to be given up"
                flc.drop()
                error = yield from outcome(single(self.waiters.sleep(WaitsFor("lease", left.address, detail))))
                yield flc.retake()
                if error is not None:
                    raise error
                yield from self._expire()
