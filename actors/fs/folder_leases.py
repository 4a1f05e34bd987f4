"""Leases and delegations of folders, and how a change of names waits for delegations [2.8].

A change of names in a folder breaks the folder's delegations, and those of the files whose names change. Who would have
to wait drops all locks first, and begins again afterwards [code: try_break_deleg, break_deleg_wait].
"""

import errno
from collections.abc import Callable
from typing import TypeVar

from longpin.actors.base import Actor
from longpin.actors.constants import F_UNLCK, F_WRLCK
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.fs.folders import Folder
from longpin.actors.fs.lease_list import LeaseList, read_request
from longpin.actors.fs.open_counts import OpenCounts
from longpin.actors.kernel.machine import Kernel
from longpin.actors.policies.views import LeaseKind
from longpin.messages.envelope import DONE, Address, Done, Message
from longpin.messages.fs.inode import BreakDelegations, ChangeLease, Delegated, LeaseOverdue, QueryLease

R = TypeVar("R", bound=Message)


class FolderLeases:
    """The leases of all folders; a folder has a list from its first one on."""

    def __init__(self, actor: Actor, kernel: Kernel) -> None:
        self.actor = actor
        self.kernel = kernel
        self.break_time = kernel.lease_break_time
        self.lists: dict[Address, LeaseList] = {}

    def set_break_time(self, seconds: float) -> None:
        """Use another break time from the next break on."""
        self.break_time = seconds
        for leases in self.lists.values():
            leases.break_time = seconds

    def change(self, request: ChangeLease, folder: Folder) -> Conversation[Done]:
        """F_SETDELEG, and F_SETLEASE where the kernel has it for folders; for reading only [code: generic_setlease].

        Raises:
            KernelError: EINVAL, EACCES for others than the owner, or EAGAIN.

        """
        generation, policy = self.kernel.generation, self.kernel.policy
        wanted = read_request(policy, request)
        if wanted is None:
            raise KernelError(errno.EINVAL)
        if not request.caller.may_lease(folder.attributes.uid):
            raise KernelError(errno.EACCES)
        leased = wanted.kind is LeaseKind.LEASE and generation.folder_leases
        if wanted.type == F_WRLCK or not (leased or wanted.kind is LeaseKind.DELEGATION):
            raise KernelError(errno.EINVAL)
        if (leases := self.lists.get(folder.address)) is None:
            leases = self.lists[folder.address] = LeaseList(self.actor, self.kernel, OpenCounts(), folder.address)
            leases.break_time = self.break_time
        if wanted.type == F_UNLCK:
            yield from leases.give_up(leases.key_of(request, wanted))
        else:
            yield from leases.take_undisturbed(folder.lock, request, wanted)
        return DONE

    def query(self, request: QueryLease) -> Conversation[Done]:
        """F_GETDELEG, F_GETLEASE."""
        if (leases := self.lists.get(request.folder)) is None:
            return Done(F_UNLCK)
        return Done((yield from leases.report(request)))

    def release(self, ofd: Address, folder: Address) -> Conversation[None]:
        """Remove what a released description leaves behind."""
        if (leases := self.lists.get(folder)) is not None:
            yield from leases.release(ofd)

    def overdue(self, notice: LeaseOverdue) -> None:
        """Note that the break time of a lease has passed."""
        for leases in self.lists.values():
            leases.note_overdue(notice.lease, notice.level)

    def in_the_way(self, *folders: Folder) -> Conversation[Delegated | None]:
        """Begin the break of the delegations of folders whose names change; return the first that has one."""
        for folder in folders:
            if (leases := self.lists.get(folder.address)) is not None and (yield from leases.break_delegations()):
                return Delegated(folder.address)
        return None

    def when_undelegated(self, attempt: Callable[[], Conversation[R | Delegated]]) -> Conversation[R]:
        """Change names; wait for each delegation that is in the way, with nothing locked, and begin again.

        Raises:
            KernelError: EINTR, a signal has ended a wait; or what the attempt raises.

        """
        while isinstance(reply := (yield from attempt()), Delegated):
            if (leases := self.lists.get(reply.file)) is not None:
                yield from leases.wait_for_delegations()
            else:
                yield Call(reply.file, BreakDelegations())
        return reply
