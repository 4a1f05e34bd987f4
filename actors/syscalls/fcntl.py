"""fcntl(2): descriptors, what was opened, leases, and the signal that tells of a break [2.1, 2.3.5]."""

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from longpin.actors.constants import (
    F_DUPFD,
    F_DUPFD_CLOEXEC,
    F_GETDELEG,
    F_GETFD,
    F_GETFL,
    F_GETLEASE,
    F_GETOWN,
    F_GETOWN_EX,
    F_GETSIG,
    F_OWNER_PGRP,
    F_OWNER_PID,
    F_OWNER_TID,
    F_SETDELEG,
    F_SETFD,
    F_SETFL,
    F_SETLEASE,
    F_SETOWN,
    F_SETOWN_EX,
    F_SETSIG,
    FD_CLOEXEC,
    INT_MIN,
    RLIMIT_NOFILE,
)
from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.policies.views import F_GETLAYOUT, F_SETLAYOUT
from longpin.actors.syscalls.declaration import ArgumentRefusal, Declarations, Flags, Given, OneOf, Section
from longpin.actors.syscalls.parameter import C_TYPES
from longpin.messages.envelope import Address
from longpin.messages.fs.file import (
    GetFlags,
    GetLease,
    GetOwner,
    GetSignal,
    Ref,
    SetFlags,
    SetLease,
    SetOwner,
    SetSignal,
    SignalOwner,
)
from longpin.messages.fs.lease import MOST_OFFSET, LeaseCommand
from longpin.messages.process.process import PROCESS_TABLE, File, FindOwner

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.FILES)
syscall = CALLS.declare

COMMANDS = (
    "F_DUPFD",
    "F_GETFD",
    "F_SETFD",
    "F_GETFL",
    "F_SETFL",
    "F_SETLEASE",
    "F_GETLEASE",
    "F_SETDELEG",
    "F_GETDELEG",
    "F_SETSIG",
    "F_GETSIG",
    "F_SETOWN",
    "F_GETOWN",
    "F_SETOWN_EX",
    "F_GETOWN_EX",
    "F_DUPFD_CLOEXEC",
)
_TAKE_ONE = (F_DUPFD, F_DUPFD_CLOEXEC, F_SETFD, F_SETFL, F_SETLEASE, F_SETDELEG, F_SETLAYOUT, F_SETSIG, F_SETOWN)
_OF_PATHS = (F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL)
"""What a descriptor opened with O_PATH allows [check_fcntl_cmd]."""
CHANGEABLE = Flags(("O_APPEND", "O_NONBLOCK"))
"""Status flags that a program may set; the access mode and what open(2) alone looks at count for nothing."""
_OWNER_TYPES = OneOf(("F_OWNER_TID", "F_OWNER_PID", "F_OWNER_PGRP"))


def _refuse(given: Given) -> ArgumentRefusal | None:
    """Refuse a command that is given too little or too much, and status flags that are not supported."""
    cmd, arg = given["cmd"], given.get("arg")
    if cmd in _TAKE_ONE and "arg" not in given:
        return ArgumentRefusal("", "fcntl(fd, cmd, arg) for a command that sets something", "2 arguments")
    if cmd == F_SETOWN_EX and len(given) < 4:
        found = f"{len(given)} arguments"
        return ArgumentRefusal("", "fcntl(fd, F_SETOWN_EX, type, pid), the fields of struct f_owner_ex", found)
    if cmd == F_SETLAYOUT and len(given) == 4:
        return ArgumentRefusal("", "fcntl(fd, F_SETLAYOUT, type, start, len), or no range", "4 arguments")
    takes = {F_SETOWN_EX: 4, F_SETLAYOUT: 5}.get(cmd, 3) if isinstance(cmd, int) else 5
    if len(given) > takes:
        wanted = "fcntl(fd, F_SETOWN_EX, type, pid)" if cmd == F_SETOWN_EX else "fcntl(fd, cmd, arg)"
        return ArgumentRefusal("", wanted, f"{len(given)} arguments")
    if cmd == F_SETOWN_EX and isinstance(arg, int) and (wrong := _OWNER_TYPES.refuse(arg)) is not None:
        return ArgumentRefusal("arg", f"{wrong[0]} as type of F_SETOWN_EX", wrong[1])
    if cmd == F_SETFL and isinstance(arg, int) and (wrong := CHANGEABLE.refuse(arg)) is not None:
        return ArgumentRefusal("arg", f"{wrong[0]}, or a variable with what F_GETFL returned", wrong[1])
    return None


@syscall(
    # The kernel casts what each of the commands takes to int.
    "fcntl(fd: fd, cmd: uint, [arg: int], [pid_or_start: long], [len: long])",
    "fcntl(2)",
    returns="by `cmd`: `F_DUPFD`, `F_DUPFD_CLOEXEC`: a descriptor from `arg` on; `F_GETFD`, `F_SETFD` with "
    "`FD_CLOEXEC`; `F_GETFL`, `F_SETFL` with `O_APPEND`, `O_NONBLOCK`; `F_SETLEASE`, `F_GETLEASE`; `F_SETDELEG`, "
    "`F_GETDELEG`, the type standing for the `struct delegation`; `F_SETSIG`, `F_GETSIG`; `F_SETOWN`, `F_GETOWN`; "
    "`F_SETOWN_EX` with `F_OWNER_TID`, `F_OWNER_PID` or `F_OWNER_PGRP` and a number; `F_GETOWN_EX`: the number, and "
    "the variable `owner_type`; `F_SETLAYOUT`, `F_GETLAYOUT` under P7, `arg` being the type, with `F_UNBREAK` or "
    "without, and what is left out of the range the whole file",
    errnos={"ESRCH": "semantics 2.3.5: F_SETOWN names nobody [meas 6.18]"},
    partial="the commands of the table",
    allowed={"cmd": OneOf(COMMANDS)},
    refuses=_refuse,
)
def fcntl(
    process: "Process", fd: int, cmd: int, arg: int = 0, pid_or_start: int = 0, length: int = MOST_OFFSET
) -> Conversation[int]:
    """fcntl(2): a descriptor is looked at before the command, and what the command may be of before the command."""
    opened_as_path = process.descriptor(fd).kind == "path"
    if opened_as_path and cmd not in _OF_PATHS:
        raise KernelError(errno.EBADF)
    if cmd in (F_DUPFD, F_DUPFD_CLOEXEC):
        return (yield from _duplicate(process, fd, arg, close_on_exec=cmd == F_DUPFD_CLOEXEC))
    if cmd == F_GETFD:
        return FD_CLOEXEC if fd in process.close_on_exec else 0
    if cmd == F_SETFD:
        (process.close_on_exec.add if arg & FD_CLOEXEC else process.close_on_exec.discard)(fd)
        return 0
    file = process.descriptor(fd) if opened_as_path else process.file(fd)
    if cmd in process.kernel.policy.constants.get("fcntl.cmd", {}).values():
        return (yield from _layout(process, file, fd, cmd, arg, pid_or_start, length))
    if cmd not in _ON_DESCRIPTION:
        raise KernelError(errno.EINVAL)
    return (yield from _ON_DESCRIPTION[cmd](process, file, fd, arg, pid_or_start))


def _layout(process: "Process", file: File, fd: int, cmd: int, arg: int, start: int, length: int) -> Conversation[int]:
    """Do F_SETLAYOUT or F_GETLAYOUT, which only some policies have."""
    if cmd == F_GETLAYOUT:
        value: int = (yield Call(file.ofd, GetLease(LeaseCommand.LAYOUT, process.caller))).value
        return value
    yield Call(file.ofd, SetLease(arg, LeaseCommand.LAYOUT, fd, process.caller, start, length))
    return 0


def _duplicate(process: "Process", fd: int, least: int, *, close_on_exec: bool) -> Conversation[int]:
    """Do F_DUPFD: the lowest free number from ``least`` on."""
    file = process.descriptor(fd)
    if not 0 <= least < process.limits[RLIMIT_NOFILE]:
        raise KernelError(errno.EINVAL)
    number = process.get_unused_fd(least)
    yield Call(file.ofd, Ref())
    return process.install_at(number, file, close_on_exec=close_on_exec)


_Command = Callable[["Process", File, int, int, int], Conversation[int]]


def _get_flags(_process: "Process", file: File, _fd: int, _arg: int, _pid: int) -> Conversation[int]:
    value: int = (yield Call(file.ofd, GetFlags())).value
    return value


def _set_flags(_process: "Process", file: File, _fd: int, flags: int, _pid: int) -> Conversation[int]:
    yield Call(file.ofd, SetFlags(flags))
    return 0


def _set_lease(process: "Process", file: File, fd: int, arg: int, _pid: int) -> Conversation[int]:
    yield Call(file.ofd, SetLease(arg, LeaseCommand.LEASE, fd, process.caller))
    return 0


def _get_lease(process: "Process", file: File, _fd: int, _arg: int, _pid: int) -> Conversation[int]:
    value: int = (yield Call(file.ofd, GetLease(LeaseCommand.LEASE, process.caller))).value
    return value


def _set_delegation(process: "Process", file: File, fd: int, arg: int, _pid: int) -> Conversation[int]:
    _require_delegations(process)
    yield Call(file.ofd, SetLease(arg, LeaseCommand.DELEGATION, fd, process.caller))
    return 0


def _get_delegation(process: "Process", file: File, _fd: int, _arg: int, _pid: int) -> Conversation[int]:
    _require_delegations(process)
    value: int = (yield Call(file.ofd, GetLease(LeaseCommand.DELEGATION, process.caller))).value
    return value


def _require_delegations(process: "Process") -> None:
    if not process.kernel.generation.delegations:
        raise KernelError(errno.EINVAL)


def _set_signal(_process: "Process", file: File, _fd: int, signo: int, _pid: int) -> Conversation[int]:
    yield Call(file.ofd, SetSignal(signo))
    return 0


def _get_signal(_process: "Process", file: File, _fd: int, _arg: int, _pid: int) -> Conversation[int]:
    value: int = (yield Call(file.ofd, GetSignal())).value
    return value


def _set_owner(process: "Process", file: File, _fd: int, number: int, _pid: int) -> Conversation[int]:
    if number == INT_MIN:  # there is no such positive number [f_setown]
        raise KernelError(errno.EINVAL)
    return (yield from _own(process, file, abs(number), F_OWNER_PGRP if number < 0 else F_OWNER_PID))


def _set_owner_ex(process: "Process", file: File, _fd: int, kind: int, number: int) -> Conversation[int]:
    if kind not in (F_OWNER_TID, F_OWNER_PID, F_OWNER_PGRP):
        raise KernelError(errno.EINVAL)
    return (yield from _own(process, file, C_TYPES["int"].cut(number), kind))


def _own(process: "Process", file: File, number: int, kind: int) -> Conversation[int]:
    """Make somebody the owner; it is enough that the number is anybody's [find_vpid]."""
    task: Address = (yield Call(PROCESS_TABLE, FindOwner(number, kind))).task if number else ""
    owner = "" if kind == F_OWNER_PGRP else task
    yield Call(file.ofd, SetOwner(owner, number, kind, process.credentials.uid))
    return 0


def _get_owner(_process: "Process", file: File, _fd: int, _arg: int, _pid: int) -> Conversation[int]:
    found: SignalOwner = yield Call(file.ofd, GetOwner())
    return -found.number if found.type == F_OWNER_PGRP else found.number


def _get_owner_ex(process: "Process", file: File, _fd: int, _arg: int, _pid: int) -> Conversation[int]:
    found: SignalOwner = yield Call(file.ofd, GetOwner())
    process.current.variables["owner_type"] = found.type
    return found.number


_ON_DESCRIPTION: dict[int, _Command] = {
    F_GETFL: _get_flags,
    F_SETFL: _set_flags,
    F_SETLEASE: _set_lease,
    F_GETLEASE: _get_lease,
    F_SETDELEG: _set_delegation,
    F_GETDELEG: _get_delegation,
    F_SETSIG: _set_signal,
    F_GETSIG: _get_signal,
    F_SETOWN: _set_owner,
    F_GETOWN: _get_owner,
    F_SETOWN_EX: _set_owner_ex,
    F_GETOWN_EX: _get_owner_ex,
}
"""What the open file description, or the process table, is asked for."""
