"""Calls on processes and time, and the order a scenario states between processes."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.constants import (
    INT_MIN,
    MSG_DONTWAIT,
    RLIMIT_NOFILE,
    RLIMIT_SIGPENDING,
    WCONTINUED,
    WNOHANG,
    WUNTRACED,
)
from longpin.actors.conversation import Call, Conversation, KernelError, Uninterruptible, WaitsFor
from longpin.actors.process.pending import CLD_CONTINUED, CLD_STOPPED
from longpin.actors.process.process_state import Child, Credentials, Exec, Exit, Inherited
from longpin.actors.process.program import Image
from longpin.actors.syscalls.declaration import Declarations, Flags, OneOf, Restart, Returning, Section, libc
from longpin.messages.clock import CLOCK
from longpin.messages.envelope import Address
from longpin.messages.fs.file import Ref
from longpin.messages.mm.mm import DupMmap
from longpin.messages.process.labels import LABELS, AwaitLabel, PostLabel, Value, VerbsObject
from longpin.messages.process.process import PROCESS_TABLE, Enroll, File, FindProcess, PassFile, Retire, Start

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.PROCESSES)
syscall = CALLS.declare

NO_UID = (1 << 32) - 1
"""The user id -1 as the kernel takes it."""
CHILDREN = 100
"""One more than the children and threads a process may make: their numbers are made from its own, each its own."""
MOST_PARENT_PID = (1 << 62) // CHILDREN
"""The largest number of a process that may fork: its children's fit in a message."""


def new_number(process: "Process", program: str) -> tuple[int, str]:
    """Return the number and the name of a new process or thread.

    Raises:
        KernelError: EAGAIN, there were too many.

    """
    number = process.count("child")
    own = int(process.identity)
    if number >= CHILDREN or own >= MOST_PARENT_PID:
        raise KernelError(errno.EAGAIN)
    name = program if process.count(f"child {program}") == 1 else f"{program}.{number}"
    return own * CHILDREN + number, name


@syscall(
    "fork(program: program)",
    "fork(2)",
    returns='the child\'s process id; the argument is the name of a process with `start = "fork"`',
)
def fork(process: "Process", program: str) -> Conversation[int]:
    """fork(2): the child shares every open file description and runs the named process's program [2.4]."""
    pid, name = new_number(process, program)
    yield from make_child(process, process.images[program], pid, name, f"process:{pid}")
    return pid


def make_child(
    process: "Process", image: Image, pid: int, name: str, address: Address, group: int = 0
) -> Conversation[None]:
    """Make a process that shares every open file description, and let it run [copy_process, wake_up_new_task].

    Args:
        process: the parent.
        image: what the child runs.
        pid: its number.
        name: what it is called.
        address: of its actor.
        group: its process group; 0: that of the parent.

    """
    group = group or process.group
    inherited = Inherited(
        dict(process.fds),
        dict(process.current.variables),
        dict(process.dispositions),
        dict(process.handler_programs),
        frozenset(process.close_on_exec),
        group,
        process.current.mask.blocked,
        process.credentials,
        dict(process.limits),
        process.address,
        f"mm:{address.partition(':')[2]}.1" if process.mm else "",
        process.mapped.ranges,
    )
    process.children[pid] = Child(pid)
    process.spawn(type(process), address, process.kernel, process.images, image, pid, name, inherited)
    for file in inherited.fds.values():
        yield Call(file.ofd, Ref())
    if process.mm:
        yield Uninterruptible(process.mm, DupMmap(inherited.mm, process.caller))
    yield Call(PROCESS_TABLE, Enroll(pid, name, address, group))
    process.send(address, Start())


@syscall(
    "exec(program: program)",
    "execve(2)",
    returns="does not return; the process goes on as the named one, see below",
    errnos={"EINTR": "semantics 2.3.2"},
    returning=Returning.ON_FAILURE,
)
def exec_(process: "Process", program: str) -> Conversation[int]:
    """execve(2) of another program of the scenario: what a process holds beside memory and handlers stays [2.4]."""
    yield from process.leave_image()
    raise Exec(process.images[program])


@syscall("exit([status: status])", "_exit(2)", returns="does not return; all threads end", returning=Returning.NEVER)
def exit_(process: "Process", status: int = 0) -> int:
    """_exit(2)."""
    raise Exit(status)


STOPPED, CONTINUED = 0x7F, 0xFFFF
"""What wait_status is of a child that has stopped (with the signal above it) or goes on [wait(2)]."""


@syscall(
    "waitpid(pid: int, [options: int])",
    "wait(2)",
    may_hang=True,
    returns="the child's process id, which it has no more; `pid` -1: any child; `WNOHANG`: 0 instead of waiting; "
    "`WUNTRACED`, `WCONTINUED`: one that has stopped or goes on, too. "
    "The variable `wait_status` is the status of wait(2)",
    allowed={"options": Flags(("WNOHANG", "WUNTRACED", "WCONTINUED"))},
)
def waitpid(process: "Process", pid: int, options: int = 0) -> Conversation[int]:
    """waitpid(2): a zombie is gone after it. The variable ``wait_status`` is its status."""
    if options & ~(WNOHANG | WUNTRACED | WCONTINUED):
        raise KernelError(errno.EINVAL)
    if pid == INT_MIN:  # there is no such positive number [kernel_wait4]
        raise KernelError(errno.ESRCH)
    told = {CLD_STOPPED: WUNTRACED, CLD_CONTINUED: WCONTINUED}
    while True:
        # All children are in the group of their parent: there is no setpgid.
        wanted = [child for child in process.children.values() if pid in (-1, 0, child.pid, -process.group)]
        if not wanted:
            raise KernelError(errno.ECHILD)
        for child in wanted:
            if child.ended:
                del process.children[child.pid]
                process.current.variables["wait_status"] = child.status
                process.send(PROCESS_TABLE, Retire(child.pid))
                return child.pid
            if child.news and options & told[child.news]:
                process.current.variables["wait_status"] = (
                    child.signo << 8 | STOPPED if child.news == CLD_STOPPED else CONTINUED
                )
                child.news = 0
                return child.pid
        if options & WNOHANG:
            return 0
        yield process.child_waiters.sleep(WaitsFor("child", process.address, "a child to end"))


def find(target: str | int) -> FindProcess:
    """Return the question for a process by number or by a scenario's name."""
    return FindProcess(0, target) if isinstance(target, str) else FindProcess(target, "")


@syscall(
    "sleep(seconds: long|float)",
    "nanosleep(2)",
    returns="0 after so much virtual time, which may be a fraction such as 0.5",
    restart=Restart.ERESTARTNOHAND,
)
def sleep(process: "Process", seconds: float) -> Conversation[int]:
    """nanosleep(2), in virtual seconds; a stop does not make it longer [restart_syscall]."""
    if seconds < 0:
        raise KernelError(errno.EINVAL)
    if seconds:
        process.current.start_timer(seconds)
        while process.current.timer:
            yield process.sleepers.sleep(WaitsFor("timer", CLOCK, f"{seconds:g} s to pass"))
    return 0


MOST_DESCRIPTORS = 1 << 20
"""fs.nr_open: RLIMIT_NOFILE cannot be more."""


@syscall(
    "setrlimit(resource: uint, limit: long)",
    "getrlimit(2)",
    returns="0; `RLIMIT_NOFILE`, `RLIMIT_MEMLOCK`, `RLIMIT_SIGPENDING`, soft and hard at once",
    partial="the resources of the table",
    allowed={"resource": OneOf(("RLIMIT_NOFILE", "RLIMIT_MEMLOCK", "RLIMIT_SIGPENDING"))},
)
def setrlimit(process: "Process", resource: int, limit: int) -> int:
    """setrlimit(2) of the soft and the hard limit at once, so only uid 0 may raise one."""
    if resource not in process.limits:
        raise KernelError(errno.EINVAL)
    limit %= 1 << 64  # rlim_t is unsigned: -1 is RLIM_INFINITY
    if (process.credentials.uid and limit > process.limits[resource]) or (
        resource == RLIMIT_NOFILE and limit > MOST_DESCRIPTORS
    ):
        raise KernelError(errno.EPERM)
    process.limits[resource] = limit
    if resource == RLIMIT_SIGPENDING:
        for pending in (process.pending, *(thread.pending for thread in process.threads)):
            pending.limit = limit
    return 0


@syscall(
    "setuid(uid: uid_t)",
    "setuid(2)",
    returns="0; the real and the effective uid; a process that stops being root loses all capabilities",
    libc=libc("int setuid(uid)", "unistd.h"),
)
def setuid(process: "Process", uid: int) -> int:
    """setuid(2): a process that stops being root loses every capability. -1 is nobody's number."""
    old = process.credentials
    if uid == NO_UID:
        raise KernelError(errno.EINVAL)
    if old.uid not in (0, uid):
        raise KernelError(errno.EPERM)
    for thread in process.threads:  # the C library sees to the others [nptl(7)]
        kept = thread.credentials.capabilities if uid == 0 else frozenset()
        thread.credentials = Credentials(uid, uid, kept)
    return 0


@syscall(
    "setfsuid(uid: uid_t)",
    "setfsuid(2)",
    returns="the old one; files and leases are checked with it, CAP_LEASE stays; it is the thread's",
    libc=libc("int setfsuid(uid)", "sys/fsuid.h"),
)
def setfsuid(process: "Process", uid: int) -> int:
    """setfsuid(2): file access is checked with ``uid``; CAP_LEASE is kept. Returns the old one."""
    old = process.credentials
    if old.uid in (0, uid) and uid != NO_UID:
        process.credentials = old._replace(fsuid=uid)
    return old.fsuid


@syscall("getpid()", "getpid(2)", returns="the process id", libc=libc("int getpid()", "unistd.h"))
def getpid(process: "Process") -> int:
    """getpid(2)."""
    return process.pid


@syscall(
    "send_fd(process: process, fd: fd)",
    "send(2), unix(7)",
    returns="0; passes a descriptor (SCM_RIGHTS) to a process by name or id",
    section=Section.FILES,
)
def send_fd(process: "Process", target: str | int, fd: int) -> Conversation[int]:
    """Send a descriptor over a socket (SCM_RIGHTS); in flight it holds a reference [1.2]."""
    file: File = process.descriptor(fd)
    if file.kind == "io_uring" and not process.kernel.generation.io_uring_is_sent:
        raise KernelError(errno.EINVAL)
    yield Call(file.ofd, Ref())
    try:
        found = yield Call(PROCESS_TABLE, find(target))
        yield Call(found.address, PassFile(file))
    except KernelError as error:
        yield from process.put(file)
        raise KernelError(errno.EPIPE if error.errno == errno.ESRCH else error.errno) from None
    return 0


@syscall(
    "recv_fd([flags: int])",
    "recv(2), unix(7)",
    may_hang=True,
    returns="the next descriptor passed to this process; waits for one unless the flag is `MSG_DONTWAIT`; "
    "without a free number it is lost: EMFILE",
    errnos={"EMFILE": "semantics 1.2: the descriptor is lost, as MSG_CTRUNC of recv(2) tells"},
    section=Section.FILES,
)
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


@syscall(
    "label(name: new label, [value: long|str|bytes|handle])",
    "",
    returns="sets a label, for good",
    section=Section.ORDER,
)
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


@syscall(
    "wait_for(name: label)",
    "",
    may_hang=True,
    returns="waits until the label is set; its value",
    errnos={"EINTR": "docs/scenario.md"},
    section=Section.ORDER,
)
def wait_for(process: "Process", name: str) -> "Conversation[int | str | bytes | VerbsObject | None]":
    """Wait until a label is set; returns its value."""
    value: Value = (yield Call(LABELS, AwaitLabel(name))).value
    return next((part for part in value if part is not None), None)
