"""Calls on threads [1.1.1]."""

import errno
from typing import TYPE_CHECKING

from longpin.actors.conversation import Call, Conversation, KernelError
from longpin.actors.process.process_state import Exit
from longpin.actors.process.program import Image
from longpin.actors.syscalls.declaration import Declarations, Restart, Section
from longpin.actors.syscalls.processes import find, new_number
from longpin.messages.process.process import PROCESS_TABLE, EnrollThread, RetireThread, Signal

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.PROCESSES)
syscall = CALLS.declare


@syscall(
    "clone(program: thread)",
    "clone(2)",
    returns='the thread\'s id; the argument is the name of a process with `start = "thread"`, whose program it runs',
    errnos={"EINTR": "semantics 1.1.1: the process ends, or another thread executes a program"},
    partial="of a thread, with the flags of pthread_create(3)",
)
def clone(process: "Process", program: str) -> Conversation[int]:
    """clone(2) of a thread, which shares all that a process has, and has variables and a mask of its own."""
    tid, name = new_number(process, program)
    return make_thread(process, process.images[program], tid, name)


def make_thread(process: "Process", image: Image, tid: int, name: str) -> Conversation[int]:
    """Make a thread that shares all that the process has, let it run, and return its number [copy_process].

    Raises:
        KernelError: EINTR, the one that asks is to die.

    """
    thread = process.current
    yield Call(PROCESS_TABLE, EnrollThread(tid, process.pid))
    if thread.is_to_die:  # nobody would end what is made now [copy_process]
        process.send(PROCESS_TABLE, RetireThread(tid))
        raise KernelError.interrupted()
    process.add_thread(image, dict(thread.variables), tid, name).start()
    return tid


@syscall("gettid()", "gettid(2)", returns="the thread's id; that of the first thread is the process id")
def gettid(process: "Process") -> int:
    """gettid(2)."""
    return process.current.tid


@syscall(
    "pthread_exit()",
    "pthread_exit(3), _exit(2)",
    returns="does not return; the thread ends, and with the last one the process",
)
def pthread_exit(_process: "Process") -> int:
    """pthread_exit(3): what exit(2) does if the C library does not have it end all threads."""
    raise Exit(0, of_thread=True)


@syscall(
    "pthread_join(tid: int)",
    "pthread_join(3)",
    may_hang=True,
    returns="0 when the thread has ended; its number may be there a moment longer",
    errnos={
        "ESRCH": "pthread_join(3): there is no such thread, or it was joined before",
        "EDEADLK": "pthread_join(3): it would wait for itself",
    },
    restart=Restart.ERESTARTNOINTR,
)
def pthread_join(process: "Process", tid: int) -> Conversation[int]:
    """pthread_join(3): wait until the kernel says that the thread has left its memory."""
    if tid == process.current.tid:
        raise KernelError(errno.EDEADLK)
    if tid not in process.joinable and all(thread.tid != tid or thread.leaving for thread in process.threads):
        raise KernelError(errno.ESRCH)
    yield from process.join(tid)
    return 0


@syscall(
    "tgkill(process: process, tid: int, signal: int)",
    "tkill(2)",
    returns="0; the signal is for that thread alone, and says what one of `kill` says",
)
def tgkill(process: "Process", target: str | int, tid: int, signo: int) -> Conversation[int]:
    """tgkill(2): a thread and its process, both by number; the process also by a scenario's name."""
    if tid <= 0 or (isinstance(target, int) and target <= 0):
        raise KernelError(errno.EINVAL)
    found = yield Call(PROCESS_TABLE, find(target))
    if found.tid:  # the number of a thread is no process's
        raise KernelError(errno.ESRCH)
    own = process.credentials
    wrong = not 0 <= signo <= 64  # looked at when the thread is found [check_kill_permission]
    signal = Signal(0 if wrong else signo, uid=own.uid, capable=wrong or "CAP_KILL" in own.capabilities)
    yield Call(found.address, signal.to_task(tid, private=True))
    if wrong:
        raise KernelError(errno.EINVAL)
    return 0
