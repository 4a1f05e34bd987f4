"""What a process is told by others: by the kernel's other parts, by its world, and by other processes.

What can end the sleep of its program has no footprint: the program may do anything then. An answer to a call of the
program touches what the call does, which :class:`NextCall` says.
"""

from dataclasses import replace
from typing import NamedTuple

from longpin.messages.envelope import Address, Footprint, Message, message
from longpin.messages.process.caller import Caller


class File(NamedTuple):
    """A reference to an open file description, as a descriptor table holds it."""

    ofd: Address
    """The open file description."""
    backing: Address
    """The inode, uverbs context, pipe or folder behind it."""
    kind: str
    """``file``, ``uverbs``, ``pipe``, ``directory`` or ``path`` (O_PATH)."""


@message
class Start(Message):
    """Begin to run the program."""


TOUCHED: dict[str, tuple[str, ...]] = {
    "children": ("fork", "clone", "clone3", "waitpid", "exit_notify"),
    "signals": ("sigaction", "sigprocmask", "sigsuspend", "ppoll", "sigtimedwait", "sigwaitinfo", "sigreturn", "exec"),
}
"""What of a process a call looks at or changes that others do too, and which calls."""


@message
class NextCall(Message):
    """A process to its run queue, and back: it is in user space, and ``call`` is what it makes next.

    The call begins when this comes back. So a signal that arrives earlier runs its handler between two calls [1.12].
    """

    call: str
    """Its name; ``sigreturn`` ends a handler, ``exit`` the program; ``exit_notify`` is the end of exit itself."""

    def footprint(self) -> Footprint:
        """The program, and what the call touches until the process is in user space again."""
        parts = [(part,) for part, calls in TOUCHED.items() if self.call in calls]
        return Footprint.of(writes=[("program",), *parts])


@message
class Signal(Message):
    """A signal is generated for the process; the reply says it is pending."""

    signo: int
    si_fd: int = -1
    """The descriptor number in siginfo, -1 where there is none [2.3.5]."""
    uid: int = -1
    """Credentials the permission check is made with; -1: the kernel's own, not checked."""
    capable: bool = False
    """The sender has CAP_KILL."""
    quiet: bool = False
    """It tells of a descriptor: a failed permission check is not reported, the signal is dropped [2.3.5]."""
    si_code: int = 0
    """SI_USER, or what the kernel says it is about."""
    tid: int = 0
    """The thread it is sent by way of, which must be there; 0: that of the thread group leader."""
    private: bool = False
    """It is for that thread alone."""

    def to_task(self, tid: int, *, private: bool) -> "Signal":
        """Return the same signal by way of a thread, or for it alone."""
        return replace(self, tid=tid, private=private)


@message
class ChildChanged(Message):
    """To the parent: waitpid(2) finds that a child has ended, stopped or gone on; of an end SIGCHLD tells at once."""

    pid: int
    code: int
    """CLD_EXITED, CLD_KILLED, CLD_STOPPED or CLD_CONTINUED."""
    status: int
    """The exit status, or the signal that did it."""

    def footprint(self) -> Footprint:
        """The children; whether SIGCHLD is ignored, as it is by default."""
        return Footprint.of(reads=[("signals",)], writes=[("children",)])


@message
class ChildNotifies(Message):
    """To the parent: a child that has stopped, or runs again, sends SIGCHLD; waitpid(2) may have found it before."""

    code: int
    """CLD_STOPPED or CLD_CONTINUED."""

    def footprint(self) -> Footprint:
        """As of ChildChanged."""
        return Footprint.of(reads=[("signals",)], writes=[("children",)])


@message
class NotifyParent(Message):
    """A schedule point of a parent: a child has changed, and SIGCHLD is not ignored."""

    def footprint(self) -> Footprint:
        """Everything, as of any signal."""
        return Footprint.everything()


@message
class PassFile(Message):
    """A descriptor in flight in a socket (SCM_RIGHTS); it holds a reference [1.2]."""

    file: File


@message
class Enroll(Message):
    """A process comes into being: to the process table."""

    pid: int
    name: str
    address: Address
    group: int
    """The number of its process group."""

    def footprint(self) -> Footprint:
        """The entry, and its place among the others: a group is listed in that order."""
        return Footprint.of(writes=[("process", self.pid), ("order of processes",)])


@message
class Retire(Message):
    """A process is reaped: to the process table."""

    pid: int

    def footprint(self) -> Footprint:
        """The entry; the others stay in their order."""
        return Footprint.of(writes=[("process", self.pid)])


@message
class ReservePid(Message):
    """Take a number that a process or thread had, for a process that comes into being: to the process table.

    EEXIST: somebody has it, or a process group. EINVAL: nobody had it before.
    """

    pid: int

    def footprint(self) -> Footprint:
        """The entry; whether a group has the number, all say."""
        return Footprint.of(reads=[("process",)], writes=[("process", self.pid)])


@message
class EnrollThread(Message):
    """A thread comes into being: to the process table."""

    tid: int
    process: int
    """The number of its process."""

    def footprint(self) -> Footprint:
        """The entry."""
        return Footprint.of(writes=[("process", self.tid)])


@message
class RetireThread(Message):
    """A thread has ended: to the process table."""

    tid: int

    def footprint(self) -> Footprint:
        """The entry."""
        return Footprint.of(writes=[("process", self.tid)])


@message
class FindProcess(Message):
    """Ask the process table for a process, by number or, if that is 0, by name; ESRCH if there is none.

    One that has ended is there until it is reaped. A thread's number stands for its process.
    """

    pid: int
    name: str

    def footprint(self) -> Footprint:
        """One entry; by name, all."""
        return Footprint.of(reads=[("process", self.pid) if self.pid else ("process",)])


@message
class FoundProcess(Message):
    """The process that was asked for."""

    address: Address
    tid: int = 0
    """The thread whose number was asked for; 0: that of the process was, or its name."""


@message
class AccessMm(Message):
    """process_vm_readv(2) asks a process for its memory map: ESRCH if it has none, EPERM if the caller may not."""

    caller: Caller


@message
class AccessedMm(Message):
    """The memory map."""

    mm: Address


@message
class FindOwner(Message):
    """Ask the process table for what F_SETOWN names: ESRCH if no process, thread or group has the number."""

    number: int
    type: int
    """F_OWNER_TID, F_OWNER_PID or F_OWNER_PGRP."""

    def footprint(self) -> Footprint:
        """All entries."""
        return Footprint.of(reads=[("process",)])


@message
class FoundOwner(Message):
    """The owner's members: none if the number is of the other kind, a group without a process of that number, say."""

    members: tuple[Address, ...]
    task: Address
    """Whose process or thread has the number, whatever was asked for; empty: only a group has it."""


@message
class FindGroup(Message):
    """Ask the process table for the members of a process group; ESRCH if there are none."""

    group: int
    """-1: every process."""

    def footprint(self) -> Footprint:
        """All entries."""
        return Footprint.of(reads=[("process",)])


@message
class FoundGroup(Message):
    """The members."""

    members: tuple[Address, ...]


PROCESS_TABLE = "process_table"
"""The address of the process table."""
