"""Calls of the agent on signals: sending and waiting is the C library's affair, masks and handlers are not.

The C library keeps 32 and 33 to itself, so these make the system calls. A handler is the one that Python has in C for
all signals: it only writes the signal's number to a socket and returns, which is safe at any moment. So who reads
that socket sees every run of a handler, in their order, and Python's own machinery does nothing.

Part of the program of :mod:`longpin.runner.machine.agent`, so it imports only the standard library and its other parts.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any

from longpin.runner.machine.agent_libc import LIBC, WAKEUP, Order, Reply, answer

KICK = 63
"""The signal that ends a call with EINTR when a signal with a handler is pending: no scenario has a name for it."""
UNTOUCHED = {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ, 32, 33, KICK}
"""Signals whose disposition cannot be changed, is Python's, or is the C library's own."""

READ = frozenset({signal.SIGIO, signal.SIGUSR1, signal.SIGRTMIN + 1, signal.SIGRTMIN + 2})
"""The signals a process of a conformance program blocks from its start."""
SI_CODES = {0: "SI_USER", 0x80: "SI_KERNEL", 1: "POLL_IN", 2: "POLL_OUT", 3: "POLL_MSG", -5: "SI_SIGIO", -6: "SI_TKILL"}
CLD_CODES = SI_CODES | {1: "CLD_EXITED", 2: "CLD_KILLED", 3: "CLD_DUMPED", 5: "CLD_STOPPED", 6: "CLD_CONTINUED"}
"""What si_code says of SIGCHLD."""
SI_KERNEL, SI_SIGIO = 0x80, -5
ONLY_OF_CHILDREN = 3
"""SA_NOCLDSTOP and SA_NOCLDWAIT."""

SYSTEM_CALLS = {
    "x86_64": {"rt_sigaction": 13, "rt_sigprocmask": 14},
    "aarch64": {"rt_sigaction": 134, "rt_sigprocmask": 135},
}.get(os.uname().machine, {})
"""Numbers of system calls that the C library hides; none where they are not known."""
SET_BYTES = 8
"""The size of the kernel's sigset_t."""


class SigInfo(ctypes.Structure):
    """The part of siginfo_t that a signal sent by the kernel for a descriptor fills."""

    _fields_ = (
        ("si_signo", ctypes.c_int),
        ("si_errno", ctypes.c_int),
        ("si_code", ctypes.c_int),
        ("si_band", ctypes.c_long),
        ("si_fd", ctypes.c_int),
        ("rest", ctypes.c_char * 128),
    )

    @property
    def about_file(self) -> bool:
        """Whether it tells of a descriptor: what a number in siginfo_t means depends on who sent it."""
        sent_by_lease = self.si_code == SI_SIGIO or 0 < self.si_code < SI_KERNEL
        return sent_by_lease and not (self.si_signo == signal.SIGCHLD and self.si_code > 0)

    @property
    def code(self) -> str:
        """The name of si_code."""
        names = CLD_CODES if self.si_signo == signal.SIGCHLD else SI_CODES
        return names.get(self.si_code, str(self.si_code))


class SigAction(ctypes.Structure):
    """The C library's ``struct sigaction``, on 64-bit machines."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ulong * 16),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


class KernelAction(ctypes.Structure):
    """The kernel's ``struct sigaction``, on the machines of which :data:`SYSTEM_CALLS` are known."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("flags", ctypes.c_ulong),
        ("restorer", ctypes.c_void_p),
        ("mask", ctypes.c_ulong),
    )


def signal_set(numbers: Iterable[int]) -> Any:
    """Return a sigset_t. The C library's own functions leave out 32 and 33, which it uses for itself."""
    bits = (ctypes.c_ulong * 16)()
    for number in numbers:
        bits[0] |= 1 << (number - 1)
    return bits


def timespec(seconds: float | None) -> Any:
    """Return a struct timespec; NULL for None."""
    if seconds is None:
        return None
    whole, part = divmod(seconds, 1)
    return (ctypes.c_long * 2)(int(whole), int(part * 1e9))


def system_call(name: str, *args: Any) -> int:
    """Make a system call of :data:`SYSTEM_CALLS`."""
    returned: int = LIBC.syscall(ctypes.c_long(SYSTEM_CALLS[name]), *args)
    return returned


def set_mask(numbers: Iterable[int]) -> None:
    """Block exactly these signals."""
    wanted = signal_set(numbers)
    if SYSTEM_CALLS:
        system_call("rt_sigprocmask", ctypes.c_long(signal.SIG_SETMASK), wanted, None, ctypes.c_long(SET_BYTES))
    else:
        LIBC.sigprocmask(signal.SIG_SETMASK, wanted, None)


def siginfo(info: SigInfo) -> Reply:
    """Return what a signal says, as an outcome has it but for the name of the signal."""
    told = (info.si_fd, info.si_band) if info.about_file else (0, 0)
    return {"sig": info.si_signo, "si_code": info.code, "si_fd": told[0], "si_band": told[1]}


# For programs of conformance.

HANDLER = KernelAction()
"""Python's handler as the C library installs it, with the way back to the program that the kernel needs."""


def prepare_signals(*, afresh: bool) -> None:
    """Set up the signals of an agent; not ``afresh``: after an exec, which has kept masks and what is ignored."""
    sys.unraisablehook = lambda _: None  # Python looks in vain for its own handler of a signal
    os.set_blocking(WAKEUP, False)
    signal.set_wakeup_fd(WAKEUP, warn_on_full_buffer=False)
    if afresh:
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)  # the zygote ignores them
        signal.pthread_sigmask(signal.SIG_BLOCK, READ)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the children of a program are nobody's zombies
    signal.signal(signal.SIGUSR2, lambda *_: None)  # Python asks for no SA_RESTART
    if SYSTEM_CALLS:
        _rt_sigaction(signal.SIGUSR2, None, HANDLER)


def _rt_sigaction(number: int, action: KernelAction | None, old: KernelAction | None) -> int:
    given = [None if each is None else ctypes.byref(each) for each in (action, old)]
    return system_call("rt_sigaction", ctypes.c_long(number), *given, ctypes.c_long(SET_BYTES))


def sigaction(order: Order) -> Reply:
    """Set what a signal does: SIG_DFL, SIG_IGN, or a handler that tells the runner that it ran."""
    action = KernelAction(order["action"], order["flags"])
    if order["action"] not in (signal.SIG_DFL, signal.SIG_IGN):
        action = KernelAction(HANDLER.handler, HANDLER.flags | order["flags"], HANDLER.restorer)
    return answer(_rt_sigaction(order["sig"], action, None))


def sigprocmask(order: Order) -> Reply:
    """Block, unblock or set signals."""
    wanted = signal_set(order["sigs"])
    return answer(system_call("rt_sigprocmask", ctypes.c_long(order["how"]), wanted, None, ctypes.c_long(SET_BYTES)))


def read_signals(order: Order) -> Reply:
    """Take every one of some signals that is pending, lowest number first, as sigtimedwait(2) gives them."""
    wanted, at_once = signal_set(order["sigs"]), (ctypes.c_long * 2)(0, 0)
    info, read = SigInfo(), []
    while LIBC.sigtimedwait(wanted, ctypes.byref(info), at_once) > 0:
        read.append(siginfo(info))
    return {"ret": 0, "errno": None, "signals": read}


def wait_for_blocked(order: Order) -> Reply:
    """Take one of the signals that are blocked now; wait for it so many seconds, None: for ever."""
    blocked = (ctypes.c_ulong * 16)()
    system_call("rt_sigprocmask", ctypes.c_long(signal.SIG_BLOCK), None, blocked, ctypes.c_long(SET_BYTES))
    info = SigInfo()
    reply = answer(LIBC.sigtimedwait(blocked, ctypes.byref(info), timespec(order["seconds"])))
    return reply if reply["errno"] else reply | {"signals": [siginfo(info)]}


def sigsuspend(order: Order) -> Reply:
    """Sleep with exactly these signals blocked."""
    return answer(LIBC.sigsuspend(signal_set(order["sigs"])))


def ppoll(order: Order) -> Reply:
    """Sleep with exactly these signals blocked, for so many seconds, None: for ever."""
    return answer(LIBC.ppoll(None, ctypes.c_ulong(0), timespec(order["seconds"]), signal_set(order["sigs"])))


# For scenarios on the host engine.


def take_signal(order: Order) -> Reply:
    """Take one of some blocked signals: its number, 0 if none comes in time, and the descriptor it tells of, or -1.

    ``seconds`` None: wait for ever; EINTR if another signal ends the wait.
    """
    wanted = signal_set(order["signals"])
    info, seconds = SigInfo(), order["seconds"]
    timeout = None if seconds is None else (ctypes.c_long * 2)(int(seconds), int(seconds % 1 * 1e9))
    number = LIBC.sigtimedwait(wanted, ctypes.byref(info), timeout)
    if number < 0:
        reply = answer(-1)
        return reply if reply["errno"] != "EAGAIN" else {"ret": 0, "errno": None, "si_fd": -1}
    return {"ret": number, "errno": None, "si_fd": info.si_fd if info.about_file else -1}


def set_signals(order: Order) -> Reply:
    """Block and ignore exactly these signals; all others have their default action. Nothing pending is lost by it."""
    numbers = [number for number in range(1, signal.NSIG) if number not in UNTOUCHED]
    set_mask(range(1, signal.NSIG))
    with contextlib.suppress(ValueError):  # only the first thread may, and it has
        signal.signal(KICK, lambda *_: None)  # Python asks for no SA_RESTART
    for number in numbers:
        flags = order["flags"].get(str(number), 0) & ONLY_OF_CHILDREN
        action = SigAction(1 if number in order["ignore"] else 0, flags=flags)
        current = SigAction()
        LIBC.sigaction(number, None, ctypes.byref(current))
        # To ignore a signal throws away what is pending, so it is done only where the program does it.
        if number == order["changed"] or (current.handler or 0, current.flags & ONLY_OF_CHILDREN) != (
            action.handler or 0,
            flags,
        ):
            LIBC.sigaction(number, ctypes.byref(action), None)
    set_mask(number for number in order["block"] if number != KICK)
    return {"ret": 0, "errno": None}


CALLS: dict[str, Callable[[Order], Reply]] = {
    "sigaction": sigaction,
    "sigprocmask": sigprocmask,
    "read_signals": read_signals,
    "wait_for_blocked": wait_for_blocked,
    "sigsuspend": sigsuspend,
    "ppoll": ppoll,
    "take_signal": take_signal,
    "set_signals": set_signals,
}
"""What can be ordered beside what ``libc`` does."""
