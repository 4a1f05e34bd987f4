"""The leases of an inode, as ``flc_lease`` holds them: in order, under ``flc_lock`` [1.4]. What ``fs/locks.c`` does.

Each lease is an actor besides, which tells its holder and keeps the break time (:mod:`longpin.actors.fs.lease`).
"""

import errno
from collections.abc import Callable

from longpin.actors.base import Actor
from longpin.actors.constants import F_RDLCK, F_UNLCK, F_WRLCK
from longpin.actors.conversation import Call, Conversation, KernelError, WaitQueue, WaitsFor, outcome, single
from longpin.actors.fs.lease import Lease
from longpin.actors.fs.lease_disposal import disposing, fence
from longpin.actors.fs.lease_record import BROKEN_BY, LeaseRecord
from longpin.actors.fs.open_counts import OpenCounts
from longpin.actors.kernel.machine import Kernel, require
from longpin.actors.kernel.nfs_server import OnTimeout
from longpin.actors.locks import Hold, Lock
from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import Fail, Grant, Notify
from longpin.actors.policies.views import SLOTS, LeaseKey, LeaseKind, LeaseRequest, LeaseView, Range
from longpin.messages.envelope import Address
from longpin.messages.fs.file import LeaseGone, LeaseSetup
from longpin.messages.fs.inode import ChangeLease, QueryLease
from longpin.messages.fs.layout import BreakerTimedOut, Disposal, DisposeLayout
from longpin.messages.fs.lease import Break, Drop, Extend, LeaseCommand, Level, RecordFd
from longpin.messages.process.caller import Caller

_TYPES = (F_RDLCK, F_WRLCK, F_UNLCK)


def read_request(policy: Policy, request: ChangeLease) -> LeaseRequest | None:
    """Read what a command of fcntl(2) asks for; None is EINVAL [2.1 step 2]."""
    match request.command:
        case LeaseCommand.LEASE:
            return policy.read_lease(request.arg)
        case LeaseCommand.DELEGATION:
            return LeaseRequest(request.arg, LeaseKind.DELEGATION) if request.arg in _TYPES else None
        case LeaseCommand.LAYOUT:
            return policy.read_layout(request.arg, Range(request.start, request.start + request.length - 1))


class LeaseList:
    """The leases of one inode: taking, breaking, expiry [2.1 to 2.3]."""

    __slots__ = ("actor", "break_time", "flc_lock", "granted", "kernel", "opens", "policy", "records", "waiters")

    def __init__(self, actor: Actor, kernel: Kernel, opens: OpenCounts, file: Address = "") -> None:
        self.actor = actor
        self.policy = kernel.policy
        self.opens = opens
        self.break_time = kernel.lease_break_time
        """Seconds, from the next break on; 0: for ever."""
        self.kernel = kernel
        self.records: list[LeaseRecord] = []
        self.flc_lock = Lock(actor, f"flc_lock of {file or actor.address}")
        self.waiters = WaitQueue()
        self.granted: dict[Address, int] = {}
        """How many leases each description was ever given, for their addresses."""

    # Looking.

    def views(self) -> tuple[LeaseView, ...]:
        """Return the list as a policy sees it."""
        return tuple(record.view() for record in self.records)

    def key_of(self, request: ChangeLease | QueryLease, wanted: LeaseRequest) -> LeaseKey:
        """Return what the lease belongs to that a call is about."""
        return self.policy.lease_key(request.caller, request.ofd, wanted, self.views())

    def of(self, key: LeaseKey, slot: str = "") -> LeaseRecord | None:
        """Return the lease that belongs to ``key``."""
        return next((record for record in self.records if (record.key, record.slot) == (key, slot)), None)

    def at(self, address: Address) -> LeaseRecord | None:
        """Return the lease of this address."""
        return next((record for record in self.records if record.address == address), None)

    @property
    def has_plain(self) -> bool:
        """Whether there is a lease that an open breaks, broken already or not."""
        return any(record.kind in BROKEN_BY[LeaseKind.LEASE] for record in self.records)

    def concern(self, breaker: LeaseKind) -> bool:
        """Return whether a breaker may find something to break, to take away, or to wait for."""
        kinds = BROKEN_BY[breaker]
        return bool(self.flc_lock.holds) or any(record.kind in kinds or record.due for record in self.records)

    def look_up(self, key: LeaseKey, slot: str = "") -> Conversation[LeaseRecord | None]:
        """Return the lease of a key when what is overdue is gone [2.3.6]."""

        def look(disposed: list[Address]) -> Conversation[LeaseRecord | None]:
            with (yield self.flc_lock.exclusive()):
                yield from self._expire(disposed)
                return self.of(key, slot)

        return (yield from disposing(look))

    def report(self, request: QueryLease) -> Conversation[int]:
        """Return what F_GETLEASE [2.3.6] and its like say: each knows its own kind only [code: __fcntl_getlease]."""
        slot = SLOTS[request.command]
        own = yield from self.look_up(self.key_of(request, LeaseRequest(F_UNLCK, slot=slot)), slot)
        delegation = request.command is LeaseCommand.DELEGATION
        if own is None or (own.kind is LeaseKind.DELEGATION) != delegation:
            return F_UNLCK
        return self.policy.lease_type(own.view())

    # Taking.

    def take(self, request: ChangeLease, wanted: LeaseRequest) -> Conversation[None]:
        """Add a lease, or change the one there is [2.1 steps 5 to 9].

        Raises:
            KernelError: EAGAIN, others have the file open or have a lease that is in the way; or what the policy says.

        """
        yield from disposing(lambda disposed: self._take(request, wanted, disposed))

    def _take(self, request: ChangeLease, wanted: LeaseRequest, disposed: list[Address]) -> Conversation[None]:
        key = self.key_of(request, wanted)
        with (yield self.flc_lock.exclusive()):
            yield from self._expire(disposed)
            if wanted.kind is not LeaseKind.LAYOUT and self.opens.refuses(wanted.type, request.access):
                raise KernelError(errno.EAGAIN)
            self._check_conflicts(key, wanted)
            own = self.of(key, wanted.slot)
            if own is not None:
                changed = self.policy.change_lease(own.view(), wanted)
                if isinstance(changed, Fail):
                    raise KernelError(changed.errno)
                own.become(changed)
                own.signo = request.signo
                self.waiters.wake_all(self.actor)
                yield Call(own.address, RecordFd(request.fd))
            else:
                self._add(Grant(key, request.ofd, wanted, owner=True), request.caller, request.fd, request.signo)
            yield Call(request.ofd, LeaseSetup(request.caller))

    def take_undisturbed(self, lock: Lock, request: ChangeLease, wanted: LeaseRequest) -> Conversation[None]:
        """Take a lease; a delegation only while nobody changes the file, under its lock [code: generic_add_lease].

        Raises:
            KernelError: EAGAIN, it is being changed; or what :meth:`take` raises.

        """
        if wanted.kind is not LeaseKind.DELEGATION:
            yield from self.take(request, wanted)
            return
        if lock.holds:
            raise KernelError(errno.EAGAIN)
        with (yield lock.exclusive()):
            yield from self.take(request, wanted)

    def grant(self, grant: Grant, caller: Caller, fd: int) -> Conversation[None]:
        """Give a lease for a mapping or a registration, flc_lock held; nothing happens if there is one of its key.

        Raises:
            KernelError: a lease that is there is in the way.

        """
        if self.of(grant.key, grant.request.slot) is not None:
            return
        self._check_conflicts(grant.key, grant.request)
        self._add(grant, caller, fd)
        if grant.owner:
            yield Call(grant.ofd, LeaseSetup(caller))

    def take_managed(self, manager: Address, ofd: Address) -> Conversation[None]:
        """Take a read lease on the layout for an actor of the kernel, which is told of its break [1.4.1].

        Raises:
            KernelError: EAGAIN, a lease is in the way; or what the policy says.

        """
        key, wanted = ("layout", manager), LeaseRequest(F_RDLCK, LeaseKind.LAYOUT)

        def add(disposed: list[Address]) -> Conversation[None]:
            with (yield self.flc_lock.exclusive()):
                yield from self._expire(disposed)
                self._check_conflicts(key, wanted)
                record = LeaseRecord(manager, ofd, manager, 0, F_RDLCK, key, wanted.kind, owns=False, managed=True)
                self.records.append(record)

        yield from disposing(add)

    def _check_conflicts(self, key: LeaseKey, wanted: LeaseRequest) -> None:
        for record in self.records:
            own = (record.key, record.slot) == (key, wanted.slot)
            if not own:
                require(self.policy.conflict_gate(wanted, record.view()))

    def _add(self, grant: Grant, caller: Caller, fd: int, signo: int = 0) -> None:
        ofd, wanted = grant.ofd, grant.request
        count = self.granted[ofd] = self.granted.get(ofd, 0) + 1
        address = f"lease:{ofd.partition(':')[2]}" + (f".{count}" if count > 1 else "")
        self.actor.spawn(Lease, address, self.actor.address, ofd, fd)
        record = LeaseRecord(address, ofd, caller.process, caller.tgid, wanted.type, grant.key, wanted.kind)
        record.slot, record.exclusive, record.unbreakable = wanted.slot, wanted.exclusive, wanted.unbreakable
        record.owns, record.signo = grant.owner, signo
        self.records.append(record)

    # Ending.

    def give_up(self, key: LeaseKey, slot: str = "") -> Conversation[None]:
        """Remove the lease of a key: fcntl(F_SETLEASE, F_UNLCK) [2.2].

        Raises:
            KernelError: EAGAIN, there is none.

        """
        with (yield self.flc_lock.exclusive()):
            own = self.of(key, slot)
            if own is None:
                raise KernelError(errno.EAGAIN)
            yield from self._remove(own)

    def drop(self, leases: tuple[Address, ...]) -> Conversation[None]:
        """Remove those of these leases that are there."""
        with (yield self.flc_lock.exclusive()):
            yield from self._remove(*[record for record in self.records if record.address in leases])

    def release(self, ofd: Address) -> Conversation[bool]:
        """Remove what a released description leaves behind; return whether a lease that opens respect was among it."""
        with (yield self.flc_lock.exclusive()):
            gone = [record for record in self.records if record.ofd == ofd]
            yield from self._remove(*gone)
        return any(record.kind in BROKEN_BY[LeaseKind.LEASE] for record in gone)

    def _remove(self, *gone: LeaseRecord) -> Conversation[None]:
        """Take leases off the list, as lease_modify(F_UNLCK) does; who looks at it finds all of them or none."""
        if not gone:
            return
        for record in gone:
            self.records.remove(record)
        self.waiters.wake_all(self.actor)
        for number, record in enumerate(gone, 1):
            yield Call(record.address, Drop())
            left = *self.records, *gone[number:]
            if record.owns and not any(other.owns and other.ofd == record.ofd for other in left):
                yield Call(record.ofd, LeaseGone())

    def note_overdue(self, lease: Address, level: Level) -> None:
        """Note that a break time has passed; only a waiter, or the next to look, acts on it [2.3.4]."""
        for record in self.records:
            if record.address == lease:
                record.overdue |= {level}
                record.terms += level is Level.UNLOCK
                if level is Level.UNLOCK or not record.unlock_pending:
                    self.waiters.wake_all(self.actor)

    def _expire(self, disposed: list[Address]) -> Conversation[None]:
        """time_out_leases: act on what is overdue, and on what becomes so meanwhile [2.3.4]."""
        while due := [record for record in self.records if record.due]:
            yield from self._end(disposed, *due)

    def _end(self, disposed: list[Address], *ended: LeaseRecord) -> Conversation[None]:
        """Make of leases what their breaks wanted; note in ``disposed`` whose client is still to be fenced."""
        gone = []
        for record in ended:
            if Level.UNLOCK not in record.overdue:
                record.set_type(F_RDLCK)
                self.waiters.wake_all(self.actor)
            elif not record.managed or (yield from self._is_let_go(record, disposed)):
                gone.append(record)
        yield from self._remove(*gone)

    def _is_let_go(self, record: LeaseRecord, disposed: list[Address]) -> Conversation[bool]:
        """Ask who manages an overdue lease whether it may go [code: lm_breaker_timedout]."""
        answer: DisposeLayout = yield Call(record.address, BreakerTimedOut())
        record.fencing = answer.disposal is Disposal.KEEP
        if answer.disposal is Disposal.DROP_THEN_FENCE:
            disposed.append(record.address)
        return not record.fencing

    def extend(self, record: LeaseRecord) -> Conversation[None]:
        """Give an overdue lease another term, if it is still on the list."""
        if record in self.records and self.break_time:
            yield Call(record.address, Extend(Level.UNLOCK, self.break_time))

    def expire(self, record: LeaseRecord) -> Conversation[None]:
        """Act on an overdue lease, if it is still on the list."""
        with (yield self.flc_lock.exclusive()):
            if record in self.records:
                yield from self._end([], record)

    # Breaking.

    def break_delegations(self) -> Conversation[bool]:
        """Begin the break of what a change of names or attributes breaks; return whether there is something [2.3.1].

        That is no lease, but overdue ones are noticed [2.3.4].
        """
        error = yield from outcome(self.break_conflicting(LeaseKind.DELEGATION, write=True, nonblock=True))
        return error is not None

    def wait_for_delegations(self) -> Conversation[None]:
        """Wait until there is no delegation, with nothing locked [code: break_deleg_wait]."""
        yield from self.break_conflicting(LeaseKind.DELEGATION, write=True, nonblock=False)

    def lock_undelegated(
        self, lock: Lock, check: Callable[[], None] = lambda: None, *, killable: bool = False
    ) -> Conversation[Hold]:
        """Take the lock of the file when it has no delegation [code: try_break_deleg and the callers' retry].

        Args:
            lock: the lock of the file.
            check: says whether the caller may do what it wants it for, before anything is broken.
            killable: a deadly signal ends the wait for the lock.

        Raises:
            KernelError: EINTR, a signal has ended the wait; or what the check raises.

        """
        while True:
            hold: Hold = yield lock.exclusive(killable=killable)
            try:
                check()
                pending = yield from self.break_delegations()
            except KernelError:
                hold.drop()
                raise
            if not pending:
                return hold
            hold.drop()
            yield from self.wait_for_delegations()

    def break_conflicting(
        self, breaker: LeaseKind, *, write: bool, nonblock: bool, only: tuple[Address, ...] | None = None
    ) -> Conversation[None]:
        """Break what conflicts, or ``only`` these leases of it, and wait until nothing of it is left [2.3.3].

        Raises:
            KernelError: EAGAIN if it would have to wait and ``nonblock`` is set; EINTR if a signal ends the wait. The
                break stays pending either way.

        """
        yield from disposing(lambda disposed: self._break(breaker, write, nonblock, only, disposed))

    def _break(
        self,
        breaker: LeaseKind,
        write: bool,
        nonblock: bool,
        only: tuple[Address, ...] | None,
        disposed: list[Address],
    ) -> Conversation[None]:
        with (yield self.flc_lock.exclusive()) as flc:
            yield from self._expire(disposed)
            begun = [(record, record.begin_break(write=write)) for record in self._conflicting(breaker, write, only)]
            for address, begins in [(record.address, self._begin(record, level)) for record, level in begun if level]:
                yield Call(address, begins)
            while left := next(iter(self._conflicting(breaker, write, only)), None):
                if nonblock:
                    raise KernelError(errno.EAGAIN)
                if disposed:
                    flc.drop()
                    yield from fence(disposed)
                    yield flc.retake()
                    yield from self._expire(disposed)
                    continue
                # Nothing is due here, and nobody can come in before the sleep: no wake-up is missed.
                whose = "a pNFS client to be returned" if left.managed else f"process {left.tgid} to be given up"
                detail = f"{left.address} of {whose}"
                flc.drop()
                error = yield from outcome(single(self.waiters.sleep(WaitsFor("lease", left.address, detail))))
                yield flc.retake()
                if error is not None:
                    raise error
                yield from self._expire(disposed)

    def _conflicting(self, breaker: LeaseKind, write: bool, only: tuple[Address, ...] | None) -> list[LeaseRecord]:
        return [
            record
            for record in self.records
            if record.conflicts(breaker, write=write) and (only is None or record.address in only)
        ]

    def _begin(self, record: LeaseRecord, level: Level) -> Break:
        """Return what the lease is told whose break begins; a manager decides by itself what follows."""
        if record.managed:
            return Break(
                level, 0 if self.kernel.on_layout_timeout is OnTimeout.NEVER else self.break_time, signal=False
            )
        follows = self.policy.on_break(record.view())
        record.works = follows.work
        seconds = self.break_time if follows.deadline is None else follows.deadline
        only_set = follows.signal is Notify.HOLDER_IF_SET
        to = record.holder if only_set or follows.signal is Notify.HOLDER else ""
        told = ("", "") if follows.event is None else follows.event
        at_once = follows.at_once or (follows.zero_is_now and not seconds)
        return Break(level, seconds, follows.signal is not Notify.NOBODY, to, at_once, only_set, *told)
