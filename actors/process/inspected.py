"""A process as others look into it: its memory, by process_vm_readv(2), and its descriptors, in /proc/PID/fd."""

import errno
from abc import abstractmethod

from longpin.actors.base import handles
from longpin.actors.conversation import KernelError
from longpin.actors.process.thread_group import ThreadGroup
from longpin.messages.envelope import Address
from longpin.messages.process.caller import Caller
from longpin.messages.process.descriptors import Descriptor, Descriptors, ListDescriptors
from longpin.messages.process.process import AccessedMm, AccessMm, File


class Inspected(ThreadGroup):
    """What a process lets those see who could trace it."""

    pid: int
    name: str
    mm: Address
    fds: dict[int, File]
    received: list[File]

    @abstractmethod
    def memory(self) -> Address:
        """Return its memory map."""

    def _may_trace(self, caller: Caller) -> bool:
        """Return whether a process could trace this one [code: ptrace_may_access]."""
        own = self.leader.credentials
        same = caller.uid == own.uid and not own.capabilities - set(caller.capabilities)
        return same or "CAP_SYS_PTRACE" in caller.capabilities

    @handles(AccessMm)
    def access_mm(self, request: AccessMm, _src: Address) -> AccessedMm:
        """Let another process at the memory [code: mm_access].

        Raises:
            KernelError: ESRCH, it has ended; EPERM.

        """
        if self.exiting:
            raise KernelError(errno.ESRCH)
        if not self._may_trace(request.caller):
            raise KernelError(errno.EPERM)
        return AccessedMm(self.memory())

    @handles(ListDescriptors)
    def list_descriptors(self, request: ListDescriptors, _src: Address) -> Descriptors:
        """Show what its descriptors refer to.

        Raises:
            KernelError: EACCES.

        """
        if not self._may_trace(request.caller):
            raise KernelError(errno.EACCES)
        return self.descriptors()

    def descriptors(self) -> Descriptors:
        """Return what it refers to."""
        table = tuple(Descriptor(fd, self.fds[fd]) for fd in sorted(self.fds))
        return Descriptors(self.pid, self.name, self.mm, table, tuple(self.received))
