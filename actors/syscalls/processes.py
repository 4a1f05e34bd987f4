"""Calls on processes and signals, and the order a scenario states between processes."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.constants import (
    MSG_DONTWAIT,
    SA_RESTART,
    SIG_BLOCK,
    SIG_DFL,
    SIG_HANDLER,
    SIG_IGN,
    SIG_UNBLOCK,
    SIGKILL,
)
from longpin.actors.conversation import Call, Conversation, KernelError, WaitsFor
from longpin.actors.process_state import Credentials, Disposition, Exec, Exit, Inherited
from longpin.messages.clock import CLOCK, ArmTimer, CancelTimer
from longpin.messages.file import Ref
from longpin.messages.inode import AddMapping
from longpin.messages.labels import LABELS, AwaitLabel, PostLabel, Value, VerbsObject
from longpin.messages.process import PROCESS_TABLE, Enroll, File, FindGroup, FindProcess, PassFile, Signal, Start

if TYPE_CHECKING:
    from longpin.actors.process import Process

NO_UID = (1 << 32) - 1
"""The user id -1 as the kernel takes it."""
CHILDREN = 100
"""One more than the children a process may have: their numbers are made from its own, and no two may be the same."""
MOST_PARENT_PID = (1 << 62) // CHILDREN
"""The largest number of a process that may fork: its children's fit in a message."""


def fork(process: "Process", program: str) -> Conversation[int]:
    """fork(2): the child shares every open file description and runs the named process's program [2.4]."""
    image = process.images[program]
    number = process.count("child")
    if number >= CHILDREN or process.pid >= MOST_PARENT_PID:
        raise KernelError(errno.EAGAIN)
    pid = process.pid * CHILDREN + number
    address = f"process:{pid}"
    name = program if process.count(f"child {program}") == 1 else f"{program}.{number}"
    inherited = Inherited(
        dict(process.fds),
        tuple(process.mm.mappings),
        dict(process.variables),
        dict(process.dispositions),
        dict(process.handler_programs),
        frozenset(process.close_on_exec),
        process.group,
        frozenset(process.blocked),
        process.credentials,
    )
    process.spawn(type(process), address, process.kernel, process.images, image, pid, name, inherited)
    # The child exists before a mapping of it is known, because the file system may zap it from then on.
    for file in inherited.fds.values():
        yield Call(file.ofd, Ref())
    for mapping in inherited.mappings:
        yield Call(mapping.file.ofd, Ref())
        yield Call(mapping.inode, AddMapping(address, mapping.number, mapping.flags))
    yield Call(PROCESS_TABLE, Enroll(pid, name, address, process.group))
    process.send(address, Start())
    return pid


def exec_(process: "Process", program: str) -> Conversation[int]:
    """execve(2) of another program of the scenario: what a process holds beside memory and handlers stays [2.4]."""
    yield from process.leave_image()
    raise Exec(process.images[program])


def exit_(process: "Process", status: int = 0) -> int:
    """_exit(2)."""
    raise Exit(status)


def kill(process: "Process", target: str | int, signo: int) -> Conversation[int]:
    """kill(2), by number or by a scenario's name for the process; 0 and -group mean a process group."""
    if not 0 <= signo <= 64 or target == -1:
        raise KernelError(errno.EINVAL)
    if isinstance(target, int) and target <= 0:
        members = (yield Call(PROCESS_TABLE, FindGroup(-target or process.group))).members
        if not members:
            raise KernelError(errno.ESRCH)
    else:
        members = ((yield Call(PROCESS_TABLE, _find(target))).address,)
    capable = "CAP_KILL" in process.credentials.capabilities
    for member in members:
        yield Call(member, Signal(signo, uid=process.credentials.uid, capable=capable))
    return 0


def _find(target: str | int) -> FindProcess:
    return FindProcess(0, target) if isinstance(target, str) else FindProcess(target, "")


def sigaction(process: "Process", signo: int, action: int, flags: int = 0) -> int:
    """sigaction(2): SIG_DFL, SIG_IGN, or SIG_HANDLER for the scenario's ``on_signal`` program."""
    known = action in (SIG_DFL, SIG_IGN) or (action == SIG_HANDLER and signo in process.handler_programs)
    if not known or not 1 <= signo <= 64 or signo == SIGKILL:
        raise KernelError(errno.EINVAL)
    process.dispositions[signo] = Disposition(action, bool(flags & SA_RESTART))
    return 0


def pause(process: "Process") -> Conversation[int]:
    """pause(2): returns only by a signal, with EINTR."""
    while True:
        yield process.sleepers.sleep(WaitsFor("signal", process.address, "a signal"))


def sleep(process: "Process", seconds: int) -> Conversation[int]:
    """nanosleep(2), in virtual seconds."""
    if seconds <= 0:
        return 0
    # Each sleep has a timer of its own: the expiry of one that was interrupted may still be on the way.
    process.timer = name = f"sleep {process.count('sleep')}"
    process.send(CLOCK, ArmTimer(name, float(seconds)))
    try:
        while process.timer:
            yield process.sleepers.sleep(WaitsFor("timer", CLOCK, f"{seconds} s to pass"))
    except KernelError:
        process.send(CLOCK, CancelTimer(name))
        raise
    return 0


def sigprocmask(process: "Process", how: int, signo: int) -> int:
    """sigprocmask(2) of one signal: SIG_BLOCK or SIG_UNBLOCK."""
    if how not in (SIG_BLOCK, SIG_UNBLOCK) or not 1 <= signo <= 64:
        raise KernelError(errno.EINVAL)
    if how == SIG_BLOCK and signo != SIGKILL:
        process.blocked.add(signo)
    elif how == SIG_UNBLOCK:
        process.blocked.discard(signo)
    return 0


def sigtimedwait(process: "Process") -> int:
    """sigtimedwait(2) for any blocked signal, without waiting: its number, and ``si_fd``; EAGAIN if none is pending."""
    pending = [signal for signal in process.pending if signal[0] in process.blocked]
    if not pending:
        raise KernelError(errno.EAGAIN)
    signal = min(pending, key=lambda pending: pending[0])
    process.pending.remove(signal)
    process.variables |= {"si_signo": signal[0], "si_fd": signal[1]}
    return signal[0]


def setuid(process: "Process", uid: int) -> int:
    """setuid(2): whoever stops being root loses every capability. -1 is nobody's number."""
    old = process.credentials
    if uid == NO_UID:
        raise KernelError(errno.EINVAL)
    if old.uid not in (0, uid):
        raise KernelError(errno.EPERM)
    process.credentials = Credentials(uid, uid, old.capabilities if uid == 0 else frozenset())
    return 0


def setfsuid(process: "Process", uid: int) -> int:
    """setfsuid(2): file access is checked with ``uid``; CAP_LEASE is kept. Returns the old one."""
    old = process.credentials
    if old.uid in (0, uid) and uid != NO_UID:
        process.credentials = old._replace(fsuid=uid)
    return old.fsuid


def getpid(process: "Process") -> int:
    """getpid(2)."""
    return process.pid


def send_fd(process: "Process", target: str | int, fd: int) -> Conversation[int]:
    """Send a descriptor over a socket (SCM_RIGHTS); in flight it holds a reference [1.2]."""
    file: File = process.descriptor(fd)
    yield Call(file.ofd, Ref())
    try:
        found = yield Call(PROCESS_TABLE, _find(target))
        yield Call(found.address, PassFile(file))
    except KernelError as error:
        yield from process.put(file)
        raise KernelError(errno.EPIPE if error.errno == errno.ESRCH else error.errno) from None
    return 0


def recv_fd(process: "Process", flags: int = 0) -> Conversation[int]:
    """Receive the oldest descriptor in flight to this process, waiting for one unless MSG_DONTWAIT is set."""
    while not process.received:
        if flags & MSG_DONTWAIT:
            raise KernelError(errno.EAGAIN)
        yield process.sleepers.sleep(WaitsFor("descriptor", process.address, "a descriptor to be sent"))
    file = process.received.pop(0)
    try:
        process.reserve(1)
    except KernelError:
        yield from process.put(file)  # it is lost, as with MSG_CTRUNC of recvmsg(2)
        raise
    return process.install(file)


def label(process: "Process", name: str, value: "int | str | bytes | VerbsObject" = 0) -> Conversation[int]:
    """Set a label with a value, for those who wait for it."""
    if isinstance(value, VerbsObject):
        packed = Value(verbs=value)
    elif isinstance(value, bytes):
        packed = Value(data=value)
    elif isinstance(value, str):
        packed = Value(text=value)
    else:
        packed = Value(number=value)
    yield Call(LABELS, PostLabel(name, packed))
    return 0


def wait_for(process: "Process", name: str) -> "Conversation[int | str | bytes | VerbsObject | None]":
    """Wait until a label is set; returns its value."""
    value: Value = (yield Call(LABELS, AwaitLabel(name))).value
    return next((part for part in value if part is not None), None)
