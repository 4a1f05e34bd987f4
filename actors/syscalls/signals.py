"""Calls on signals: sending them, what they do, which are blocked, and waiting for them [1.12]."""

import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING

from longpin.actors.constants import INT_MIN, SIG_BLOCK, SIG_DFL, SIG_HANDLER, SIG_IGN, SIG_SETMASK, SIG_UNBLOCK
from longpin.actors.conversation import Call, Conversation, KernelError, WaitsFor
from longpin.actors.process.pending import UNBLOCKABLE
from longpin.actors.process.process_state import Disposition
from longpin.actors.syscalls.declaration import Declarations, Flags, OneOf, Restart, Section, libc
from longpin.actors.syscalls.processes import find
from longpin.messages.clock import CLOCK
from longpin.messages.process.process import PROCESS_TABLE, FindGroup, Signal

if TYPE_CHECKING:
    from longpin.actors.process.process import Process

CALLS = Declarations(Section.PROCESSES)
syscall = CALLS.declare

EVERYBODY = -1
"""To whom kill(2) sends a signal if this is the number: every process but the caller."""


@syscall(
    "kill(process: process, signal: int)",
    "kill(2)",
    returns="0; a process by name or id, 0 for the own group, -id for another one, -1 for everybody else",
    libc=libc("int kill(process, signal)", "signal.h"),
)
def kill(process: "Process", target: str | int, signo: int) -> Conversation[int]:
    """kill(2), by number or by a scenario's name for the process; 0 and -group mean a process group, -1 all others.

    Several receivers: it succeeds if one of them may be signalled. A thread's number stands for its process.
    """
    tid = 0
    if isinstance(target, int) and target <= 0:
        if target == INT_MIN:  # there is no such positive number [kill_something_info]
            raise KernelError(errno.ESRCH)
        group = EVERYBODY if target == EVERYBODY else -target or process.group
        members = list((yield Call(PROCESS_TABLE, FindGroup(group))).members)
        if target == EVERYBODY:
            members.remove(process.address)
    else:
        found = yield Call(PROCESS_TABLE, find(target))
        members, tid = [found.address], found.tid
    if members and not 0 <= signo <= 64:  # looked at for each receiver [check_kill_permission]
        raise KernelError(errno.EINVAL)
    capable = "CAP_KILL" in process.credentials.capabilities
    error = KernelError(errno.ESRCH)
    sent = False
    for member in members:
        try:
            yield Call(member, Signal(signo, uid=process.credentials.uid, capable=capable, tid=tid))
            sent = True
        except KernelError as refused:
            error = refused
    if not sent:
        raise error
    return 0


@syscall(
    "sigaction(signal: int, disposition: long, [flags: int])",
    "sigaction(2)",
    returns="0; `SIG_DFL`, `SIG_IGN` or `SIG_HANDLER`; flags: `SA_RESTART`, and for SIGCHLD `SA_NOCLDSTOP`, "
    "`SA_NOCLDWAIT`",
    partial="the flags of the table",
    allowed={
        "disposition": OneOf(("SIG_DFL", "SIG_IGN", "SIG_HANDLER")),
        "flags": Flags(("SA_RESTART", "SA_NOCLDSTOP", "SA_NOCLDWAIT")),
    },
)
def sigaction(process: "Process", signo: int, action: int, flags: int = 0) -> int:
    """sigaction(2): SIG_DFL, SIG_IGN, or SIG_HANDLER for the scenario's ``on_signal`` program."""
    known = action in (SIG_DFL, SIG_IGN) or (action == SIG_HANDLER and signo in process.handler_programs)
    if not known or not 1 <= signo <= 64 or signo in UNBLOCKABLE:
        raise KernelError(errno.EINVAL)
    process.set_disposition(signo, Disposition(action, flags))
    return 0


def signal_set(numbers: Iterable[int]) -> frozenset[int]:
    """Return a set of signals; 0 stands for none [sigsetops(3)]."""
    signals = frozenset(numbers) - {0}
    if not all(1 <= signo <= 64 for signo in signals):
        raise KernelError(errno.EINVAL)
    return signals


@syscall(
    "sigprocmask(how: int, [signal...: int])",
    "sigprocmask(2)",
    returns="0; `SIG_BLOCK` or `SIG_UNBLOCK` these signals, `SIG_SETMASK`: block exactly these; 0 stands for no signal",
)
def sigprocmask(process: "Process", how: int, *numbers: int) -> int:
    """sigprocmask(2): SIG_BLOCK or SIG_UNBLOCK these signals, or SIG_SETMASK to exactly these."""
    process.current.set_mask(changed_mask(process.current.mask.blocked, how, numbers))
    return 0


def changed_mask(blocked: frozenset[int], how: int, numbers: Iterable[int]) -> frozenset[int]:
    """Return what is blocked after sigprocmask(2)."""
    signals = signal_set(numbers)
    masks = {SIG_BLOCK: blocked | signals, SIG_UNBLOCK: blocked - signals, SIG_SETMASK: signals}
    if how not in masks:
        raise KernelError(errno.EINVAL)
    return masks[how]


@syscall(
    "pause()",
    "pause(2)",
    may_hang=True,
    returns="fails with EINTR after a signal was handled; one that comes before it is lost: block it and "
    "use `sigsuspend`",
    restart=Restart.ERESTARTNOHAND,
    libc=libc("int pause()", "unistd.h"),
)
def pause(process: "Process") -> Conversation[int]:
    """pause(2): returns only by a signal, with EINTR."""
    while True:
        yield process.sleepers.sleep(WaitsFor("signal", process.address, "a signal"))


@syscall(
    "sigsuspend([signal...: int])",
    "sigsuspend(2)",
    may_hang=True,
    returns="sleeps with exactly these signals blocked; fails with EINTR after a signal was handled",
    restart=Restart.ERESTARTNOHAND,
)
def sigsuspend(process: "Process", *numbers: int) -> Conversation[int]:
    """sigsuspend(2): sleep with exactly these signals blocked. The old mask is back when the handler returns."""
    process.current.mask.swap(signal_set(numbers))
    process.current.recalc_sigpending()
    while True:
        yield process.sleepers.sleep(WaitsFor("signal", process.address, "a signal"))


@syscall(
    "ppoll(seconds: long|float|none, [signal...: int])",
    "poll(2)",
    may_hang=True,
    returns="the same with a time, after which it returns 0; `None` for no time",
    restart=Restart.ERESTARTNOHAND,
    partial="of no descriptors",
)
def ppoll(process: "Process", seconds: float | None, *numbers: int) -> Conversation[int]:
    """ppoll(2) of no descriptors: sigsuspend with a timeout, after which it returns 0; None: none."""
    signals = signal_set(numbers)
    if seconds is not None and seconds < 0:
        raise KernelError(errno.EINVAL)
    process.current.mask.swap(signals)
    process.current.recalc_sigpending()
    if seconds:
        process.current.start_timer(seconds)
    while seconds is None or process.current.timer:
        if seconds is None:
            reason = WaitsFor("signal", process.address, "a signal")
        else:
            reason = WaitsFor("timer", CLOCK, f"a signal, or {seconds:g} s to pass")
        yield process.sleepers.sleep(reason)
    if process.current.signal_pending:  # it counts even if the time is over [do_poll]
        raise KernelError.interrupted()
    process.current.mask.restore()
    process.current.recalc_sigpending()
    return 0


@syscall(
    "sigtimedwait([seconds: long|float])",
    "sigwaitinfo(2)",
    may_hang=True,
    returns="the number of a signal that was blocked when it was called, which it takes, and sets `si_signo` and "
    "`si_fd`; EAGAIN if none comes in so many seconds, 0 if none are given",
    restart=Restart.EINTR,
    partial="for every signal that is blocked",
)
def sigtimedwait(process: "Process", seconds: float = 0) -> Conversation[int]:
    """sigtimedwait(2) for any signal that is blocked now: its number, and ``si_fd``; EAGAIN at the timeout."""
    if seconds < 0:
        raise KernelError(errno.EINVAL)
    return await_signal(process, process.current.mask.blocked, seconds)


@syscall(
    "sigwaitinfo()",
    "sigwaitinfo(2)",
    returns="the same, without a time",
    restart=Restart.EINTR,
    partial="for every signal that is blocked",
)
def sigwaitinfo(process: "Process") -> Conversation[int]:
    """sigwaitinfo(2): sigtimedwait without a timeout."""
    return await_signal(process, process.current.mask.blocked, None)


def await_signal(process: "Process", wanted: frozenset[int], seconds: float | None) -> Conversation[int]:
    """Take a signal that is wanted, waiting for one; another one with a handler ends the wait with EINTR."""
    thread = process.current
    blocked = thread.mask.blocked
    others = frozenset(range(1, 65)) - wanted
    taken = thread.take_signal(others)
    if taken is None and seconds != 0:
        thread.awaited = wanted
        thread.set_mask(blocked - wanted)  # so that they wake it
        if seconds is not None:
            thread.start_timer(seconds)
        wants = "a signal" if seconds is None else f"a signal, or {seconds:g} s to pass"
        reason = WaitsFor("signal" if seconds is None else "timer", process.address, wants)
        interrupted: KernelError | None = None
        while interrupted is None and (seconds is None or thread.timer):
            try:
                yield process.sleepers.sleep(reason)
            except KernelError as error:
                interrupted = error
        thread.awaited = frozenset()
        thread.set_mask(blocked)
        taken = thread.take_signal(others)
        if taken is None and interrupted is not None:
            raise interrupted
    if taken is None:
        raise KernelError(errno.EAGAIN)
    thread.variables |= {"si_signo": taken.signo, "si_fd": taken.si_fd}
    return taken.signo
