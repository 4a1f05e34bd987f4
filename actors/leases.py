"""Leases on an inode: taking, breaking, expiry. What ``fs/locks.c`` does [2.1 to 2.3].

The list and its lock are the inode's; each lease is an actor that tells its holder and keeps the break time
(:mod:`longpin.actors.lease`).
"""

import errno
from abc import abstractmethod
from enum import StrEnum
from typing import NoReturn

from longpin.actors.base import Actor, Engine, handles
from longpin.actors.constants import F_RDLCK, F_UNLCK, F_WRLCK, O_ACCMODE, O_PATH, O_RDONLY, O_RDWR, O_WRONLY
from longpin.actors.conversation import Call, Conversation, KernelError, WaitQueue, WaitsFor, outcome, single
from longpin.actors.kernel.machine import Kernel
from longpin.actors.lease import Lease
from longpin.actors.lease_list import LeaseRecord
from longpin.actors.locks import Lock
from longpin.actors.policies.base import LeaseRequest, LeaseView, OnDeadline, Policy
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.file import LeaseGone, LeaseSetup
from longpin.messages.inode import ChangeLease, LeaseOverdue, QueryLease
from longpin.messages.lease import Break, Drop, Level, RecordFd


def refuse_lease(request: ChangeLease, owner: int, policy: Policy) -> NoReturn:
    """Answer F_SETLEASE on what is no regular file, and belongs to ``owner`` [2.1 steps 2, 4].

    Raises:
        KernelError: EACCES for others than the owner, else EINVAL.

    """
    unknown = policy.lease_gate(request.arg) is None
    permitted = request.fsuid == owner or request.capable
    raise KernelError(errno.EINVAL if unknown or permitted else errno.EACCES)


class Access(StrEnum):
    """How an open file description counts [2.1 step 6]."""

    READ = "read"
    """``i_readcount``: open for reading only."""
    WRITE = "write"
    """``i_writecount``."""
    UNCOUNTED = "uncounted"
    """Neither: O_PATH, and access mode 3."""

    @classmethod
    def of(cls, flags: int) -> "Access":
        """Return how an open with these flags counts."""
        if flags & O_PATH:
            return cls.UNCOUNTED
        return {O_RDONLY: cls.READ, O_WRONLY: cls.WRITE, O_RDWR: cls.WRITE}.get(flags & O_ACCMODE, cls.UNCOUNTED)


class LeaseHost(Actor):
    """An inode as far as leases see it: who has it open, and the list."""

    def __init__(self, engine: Engine, address: Address, kernel: Kernel, uid: int) -> None:
        super().__init__(engine, address)
        self.kernel = kernel
        self.uid = uid
        self.lease_break_time = kernel.lease_break_time
        """Seconds; 0: for ever."""
        self.openers: dict[Address, Access] = {}
        """Open file descriptions of the inode, and how it is open."""
        self.truncating = 0
        """truncate(2) and O_TRUNC under way: they have write access without a description [2.1 step 6]."""
        self.leases: list[LeaseRecord] = []
        self.flc_lock = Lock(self, f"flc_lock of {address}")
        self.lease_waiters = WaitQueue()
        self.granted: dict[Address, int] = {}
        """How many leases each description was ever given, for their addresses."""

    # Taking.

    @handles(ChangeLease)
    def change_lease(self, request: ChangeLease, _src: Address) -> Conversation[Done]:
        """fcntl(F_SETLEASE), checks in the order of semantics 2.1."""
        wanted = self.kernel.policy.lease_gate(request.arg)
        if wanted is None:
            raise KernelError(errno.EINVAL)
        if request.fsuid != self.uid and not request.capable:
            raise KernelError(errno.EACCES)
        if wanted.type == F_UNLCK:
            return (yield from self._unlock(request))
        with (yield self.flc_lock.exclusive()):
            yield from self.expire()
            self._refuse_conflicting_opens(request, wanted)
            own = None
            for record in self.leases:
                if record.ofd == request.ofd:
                    own = record
                elif wanted.type == F_WRLCK or record.unlock_pending:
                    raise KernelError(errno.EAGAIN)
            if own is not None:
                own.set_type(wanted.type)
                self.lease_waiters.wake_all(self)
                yield Call(own.address, RecordFd(request.fd))
            else:
                self._grant(request, wanted)
            yield Call(request.ofd, LeaseSetup(request.tgid, request.process, request.uid))
        return DONE

    def _refuse_conflicting_opens(self, request: ChangeLease, wanted: LeaseRequest) -> None:
        """Compare the open counts with what the caller's own description explains [2.1 step 6]."""
        if wanted.layout:
            return
        accesses = list(self.openers.values())
        writers, readers = accesses.count(Access.WRITE) + self.truncating, accesses.count(Access.READ)
        if wanted.type == F_RDLCK:
            refused = writers > 0
        else:
            own = {O_RDONLY: (0, 1), O_WRONLY: (1, 0), O_RDWR: (1, 0)}.get(request.access, (0, 0))
            refused = (writers, readers) != own
        if refused:
            raise KernelError(errno.EAGAIN)

    def _grant(self, request: ChangeLease, wanted: LeaseRequest) -> None:
        count = self.granted[request.ofd] = self.granted.get(request.ofd, 0) + 1
        address = f"lease:{request.ofd.partition(':')[2]}" + (f".{count}" if count > 1 else "")
        self.spawn(Lease, address, self.address, request.ofd, request.fd)
        self.leases.append(LeaseRecord(address, request.ofd, request.tgid, wanted.type, wanted.layout))

    def _unlock(self, request: ChangeLease) -> Conversation[Done]:
        """fcntl(F_SETLEASE, F_UNLCK) [2.2]."""
        if own := self._lease_of(request.ofd):
            yield from self.consult_unlock(own.view())
        with (yield self.flc_lock.exclusive()):
            own = self._lease_of(request.ofd)
            if own is None:
                raise KernelError(errno.EAGAIN)
            yield from self._remove(own)
        return DONE

    @abstractmethod
    def consult_unlock(self, lease: LeaseView) -> Conversation[None]:
        """Ask the policy about F_UNLCK and do what it wants done first."""

    @handles(QueryLease)
    def query_lease(self, request: QueryLease, _src: Address) -> Conversation[Done]:
        """fcntl(F_GETLEASE) [2.3.6]."""
        with (yield self.flc_lock.exclusive()):
            yield from self.expire()
            own = self._lease_of(request.ofd)
        return Done(F_UNLCK if own is None else self.kernel.policy.lease_type(own.view(), own.target))

    def _lease_of(self, ofd: Address) -> LeaseRecord | None:
        return next((record for record in self.leases if record.ofd == ofd), None)

    @property
    def has_plain_lease(self) -> bool:
        """Whether there is a lease that an open breaks, broken already or not."""
        return any(not record.layout for record in self.leases)

    def lease_views(self) -> tuple[LeaseView, ...]:
        """Return the list as a policy sees it."""
        return tuple(record.view() for record in self.leases)

    # Ending.

    def _remove(self, record: LeaseRecord) -> Conversation[None]:
        """Take a lease off the list, as lease_modify(F_UNLCK) does."""
        self.leases.remove(record)
        self.lease_waiters.wake_all(self)
        yield Call(record.address, Drop())
        yield Call(record.ofd, LeaseGone())

    def remove_leases_of(self, ofd: Address) -> Conversation[bool]:
        """Remove what a released description leaves behind; return whether a lease that opens respect was among it."""
        with (yield self.flc_lock.exclusive()):
            if own := self._lease_of(ofd):
                yield from self._remove(own)
        return own is not None and not own.layout

    @handles(LeaseOverdue)
    def overdue(self, notice: LeaseOverdue, _src: Address) -> None:
        """Note that a break time has passed; only a waiter, or the next to look, acts on it [2.3.4]."""
        for record in self.leases:
            if record.address == notice.lease:
                record.overdue |= {notice.level}
                if notice.level is Level.UNLOCK or not record.unlock_pending:
                    self.lease_waiters.wake_all(self)

    def expire(self) -> Conversation[None]:
        """time_out_leases: act on what is overdue, and on what becomes so meanwhile [2.3.4]."""
        while due := next((record for record in self.leases if self._is_due(record)), None):
            if Level.UNLOCK in due.overdue:
                yield from self._remove(due)
            else:
                due.set_type(F_RDLCK)
                self.lease_waiters.wake_all(self)

    def _is_due(self, record: LeaseRecord) -> bool:
        return record.due and self.kernel.policy.on_deadline(record.view()) is OnDeadline.DROP

    # Breaking.

    def break_lease(self, *, write: bool, layout: bool, nonblock: bool) -> Conversation[None]:
        """Break what conflicts and wait until nothing does [2.3.3].

        Raises:
            KernelError: EAGAIN if it would have to wait and ``nonblock`` is set; EINTR if a signal ends the wait. The
                break stays pending either way.

        """
        with (yield self.flc_lock.exclusive()) as flc:
            yield from self.expire()
            conflicting = [record for record in self.leases if record.conflicts(layout=layout, write=write)]
            if not conflicting:
                return
            for record in conflicting:
                if level := record.begin_break(write=write):
                    signal = self.kernel.policy.on_break(record.view())
                    yield Call(record.address, Break(level, self.lease_break_time, signal))
            while left := next((r for r in self.leases if r.conflicts(layout=layout, write=write)), None):
                if nonblock:
                    raise KernelError(errno.EAGAIN)
                # Nothing is due here, and nobody can come in before the sleep: no wake-up is missed.
                detail = f"{left.address} of process {left.tgid} to be given up"
                flc.drop()
                error = yield from outcome(single(self.lease_waiters.sleep(WaitsFor("lease", left.address, detail))))
                yield flc.retake()
                if error is not None:
                    raise error
                yield from self.expire()
