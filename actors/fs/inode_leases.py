"""The leases of an inode as its callers ask for them: the policy is asked before the list is changed [2.1, 2.2]."""

import errno
from functools import partial

from longpin.actors.base import ActorPart, handles
from longpin.actors.constants import F_UNLCK
from longpin.actors.conversation import Conversation, KernelError
from longpin.actors.fs.layout_guard import LayoutGuard
from longpin.actors.fs.lease_list import LeaseList, read_request
from longpin.actors.kernel.machine import Kernel
from longpin.actors.locks import Lock
from longpin.actors.policies.views import LeaseCall
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.inode import BreakDelegations, ChangeLease, LeaseOverdue, QueryLease, SetBreakTime


class InodeLeases(ActorPart):
    """The calls on leases, and what follows when the break time of one has passed."""

    def __init__(self, kernel: Kernel, iolock: Lock, mmaplock: Lock, leases: LeaseList, guard: LayoutGuard) -> None:
        self.kernel = kernel
        self.iolock = iolock
        self.mmaplock = mmaplock
        self.leases = leases
        self.guard = guard

    @handles(ChangeLease)
    def change_lease(self, request: ChangeLease, _src: Address) -> Conversation[Done]:
        """fcntl(F_SETLEASE), checks in the order of semantics 2.1; F_UNLCK asks the policy first [2.2]."""
        policy = self.kernel.policy
        wanted = read_request(policy, request)
        if wanted is None:
            raise KernelError(errno.EINVAL)
        call = LeaseCall(request.caller, request.ofd, request.access, wanted, request.signo)
        yield from self.guard.consult(partial(policy.lease_gate, call))
        if wanted.type != F_UNLCK:
            yield from self.leases.take_undisturbed(self.iolock, request, wanted)
            return DONE
        key = self.leases.key_of(request, wanted)
        if own := self.leases.of(key, wanted.slot):
            yield from self.guard.consult(partial(policy.unlck_gate, own.view(), request.caller))
        yield from self.leases.give_up(key, wanted.slot)
        return DONE

    @handles(QueryLease)
    def query_lease(self, request: QueryLease, _src: Address) -> Conversation[Done]:
        """fcntl(F_GETLEASE) [2.3.6], F_GETDELEG, F_GETLAYOUT: each reports its own kind only."""
        return Done((yield from self.leases.report(request)))

    @handles(BreakDelegations)
    def break_delegations(self, _request: BreakDelegations, _src: Address) -> Conversation[Done]:
        """Wait until nobody has a delegation, so that a name may change."""
        yield from self.leases.wait_for_delegations()
        return DONE

    @handles(LeaseOverdue)
    def overdue(self, notice: LeaseOverdue, _src: Address) -> Conversation[None] | None:
        """Note that the break time of a lease has passed; who looks next acts on it, or the inode does at once."""
        self.leases.note_overdue(notice.lease, notice.level)
        record = self.leases.at(notice.lease)
        return self._act_on_overdue(notice.lease) if record is not None and record.works else None

    def _act_on_overdue(self, lease: Address) -> Conversation[None]:
        record = self.leases.at(lease)
        if record is not None and not self.guard.at_deadline(record).locked:
            yield from self.guard.act_on_overdue(record)
            return
        with (yield self.mmaplock.exclusive()):
            if record := self.leases.at(lease):  # else it was given up while the lock was waited for
                yield from self.guard.act_on_overdue(record)

    @handles(SetBreakTime)
    def set_break_time(self, request: SetBreakTime, _src: Address) -> Done:
        """Use another break time from the next break on."""
        self.leases.break_time = request.seconds
        return DONE
