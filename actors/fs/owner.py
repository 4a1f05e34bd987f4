"""Whom an open file description tells that its lease is broken, and by which signal: ``struct fown_struct`` [2.3.5].

The names are those of ``fs/fcntl.c``.
"""

import errno

from longpin.actors.base import ActorPart, handles
from longpin.actors.constants import F_OWNER_PGRP, F_OWNER_PID, F_OWNER_TID, SIGIO
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.process.pending import HAS_OWN_CODES, POLL_MSG, SI_KERNEL, SI_SIGIO
from longpin.messages.envelope import DONE, Address, Done
from longpin.messages.fs.file import (
    GetOwner,
    GetSignal,
    LeaseGone,
    LeaseSetup,
    NotifyOwner,
    SetOwner,
    SetSignal,
    SignalOwner,
)
from longpin.messages.process.process import PROCESS_TABLE, FindOwner, Signal


class FileOwner(ActorPart):
    """The owner of an open file description, if it has one, and the signal it is sent."""

    def __init__(self) -> None:
        self.process: Address = ""
        """The process that SIGIO goes to: the identity, not the number, and never updated by dup or fork [2.3.5].

        Empty for a process group, and while there is no owner.
        """
        self.number = 0
        """What it was named by: a process, a thread or a group; 0: there is no owner."""
        self.type = F_OWNER_TID
        """What the number is of; what a description has before anybody sets one is 0 [meas 6.18]."""
        self.uid = 0
        self.signo = 0
        self.leased = False
        """A lease has it on a list of descriptions to signal, which F_GETFL shows as O_ASYNC [meas 6.18]."""

    @handles(SetSignal)
    def set_signal(self, request: SetSignal, _src: Address) -> Done:
        """F_SETSIG."""
        if not 0 <= request.signo <= 64:
            raise KernelError(errno.EINVAL)
        self.signo = request.signo
        return DONE

    @handles(GetSignal)
    def get_signal(self, _request: GetSignal, _src: Address) -> Done:
        """F_GETSIG."""
        return Done(self.signo)

    @handles(SetOwner)
    def set_owner(self, request: SetOwner, _src: Address) -> Done:
        """F_SETOWN and F_SETOWN_EX."""
        self._set(request.process, request.number, request.type, request.uid)
        return DONE

    def _set(self, process: Address, number: int, kind: int, uid: int) -> None:
        self.process, self.number, self.type, self.uid = process, number, kind, uid

    @handles(GetOwner)
    def get_owner(self, _request: GetOwner, _src: Address) -> Conversation[SignalOwner]:
        """F_GETOWN and F_GETOWN_EX: 0 if the owner is gone [meas]."""
        return SignalOwner(self.number if (yield from self._members()) else 0, self.type)

    def _members(self) -> Conversation[tuple[Address, ...]]:
        """Return who the owner is; nobody if it is gone, or a number nobody has as what it was set for [pid_task]."""
        if not self.number:
            return ()
        try:
            found = yield Call(PROCESS_TABLE, FindOwner(self.number, self.type))
        except KernelError:
            return ()
        if self.process and found.task != self.process:
            return ()  # another process has the number now: the owner is who had it [struct pid]
        members: tuple[Address, ...] = found.members
        return members

    @handles(LeaseSetup)
    def lease_setup(self, request: LeaseSetup, _src: Address) -> Done:
        """Make the thread that takes a lease the owner, unless there is one [2.1 step 9; code: lease_setup]."""
        self.leased = True
        if not self.number:
            caller = request.caller
            self._set(caller.process, caller.tid or caller.tgid, F_OWNER_PID, caller.uid)
        return DONE

    @handles(LeaseGone)
    def lease_gone(self, _request: LeaseGone, _src: Address) -> Done:
        """Clear the owner and what F_SETSIG set: they are lost with the lease [2.2]."""
        self._set("", 0, F_OWNER_PID, 0)
        self.signo, self.leased = 0, False
        return DONE

    @handles(NotifyOwner)
    def notify_owner(self, request: NotifyOwner, _src: Address) -> Conversation[Done]:
        """send_sigio: plain SIGIO without si_fd by default, a queued signal with si_fd after F_SETSIG [2.3.5]."""
        if request.only_set and not self.signo:
            return DONE
        signo, si_fd, si_code = self.signo or SIGIO, request.fd, POLL_MSG
        if not self.signo:
            si_fd, si_code = -1, SI_KERNEL
        elif signo in HAS_OWN_CODES:
            si_code = SI_SIGIO
        signal = Signal(signo, si_fd, self.uid, quiet=True, si_code=si_code)
        if request.to:
            yield Call(request.to, signal)
        elif self.type == F_OWNER_PGRP:
            for process in (yield from self._members()):
                yield Call(process, signal)
        elif self.process:
            yield Call(self.process, signal.to_task(self.number, private=self.type == F_OWNER_TID))
        return DONE
