"""The signals a process has pending, and the order in which Linux takes them [1.12]."""

from collections.abc import Collection
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from longpin.actors.constants import (
    SIGABRT,
    SIGBUS,
    SIGCHLD,
    SIGCONT,
    SIGFPE,
    SIGILL,
    SIGKILL,
    SIGQUIT,
    SIGSEGV,
    SIGSTOP,
    SIGSYS,
    SIGTRAP,
    SIGTSTP,
    SIGTTIN,
    SIGTTOU,
    SIGURG,
    SIGWINCH,
    SIGXCPU,
    SIGXFSZ,
)

FIRST_REALTIME = 32
"""The kernel's SIGRTMIN: from here on every signal is queued, below it one stands for all."""

SYNCHRONOUS = frozenset({SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS})
"""Taken before all others, even if a process sent them [kernel/signal.c: next_signal]."""

IGNORED_BY_DEFAULT = frozenset({SIGCONT, SIGCHLD, SIGWINCH, SIGURG})
STOPS_BY_DEFAULT = frozenset({SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU})
DUMPS_CORE = frozenset({SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGFPE, SIGSEGV, SIGBUS, SIGSYS, SIGXCPU, SIGXFSZ})
"""By default these end the process when it takes them, other deadly ones as soon as they are sent [complete_signal]."""

UNBLOCKABLE = frozenset({SIGKILL, SIGSTOP})
"""No handler, no mask and no disposition keeps these off."""
HAS_OWN_CODES = SYNCHRONOUS | {SIGCHLD}
"""In siginfo of these, and of SIGIO, the codes from 1 on have meanings of their own [sig_specific_sicodes]."""

SI_USER, SI_KERNEL, POLL_MSG, SI_SIGIO = 0, 0x80, 3, -5
CLD_EXITED, CLD_KILLED, CLD_STOPPED, CLD_CONTINUED = 1, 2, 5, 6


class Siginfo(NamedTuple):
    """One signal on its way, with the fields of ``siginfo_t`` that are modelled."""

    signo: int
    si_fd: int = -1
    """The descriptor a lease break is told by; -1 where there is none."""
    si_code: int = SI_USER
    """SI_USER from kill(2) and tgkill(2) [meas 6.18]; POLL_MSG, SI_SIGIO, SI_KERNEL for a lease; CLD_* of children."""


class PendingSignals:
    """What was generated for a process and not yet taken."""

    __slots__ = ("limit", "signals")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """RLIMIT_SIGPENDING: beyond so many, real-time signals lose what they carry, or are not queued."""
        self.signals: list[Siginfo] = []
        """In the order in which they came. Invariant: at most one of each number below FIRST_REALTIME."""

    def has_room(self, signo: int) -> bool:
        """Return whether a signal can be queued with what it carries; below FIRST_REALTIME it always can."""
        return signo < FIRST_REALTIME or len(self.signals) < self.limit

    def add(self, signal: Siginfo) -> bool:
        """Add a signal; False if one that stands for all of its number is pending already."""
        merges = signal.signo < FIRST_REALTIME or not self.has_room(signal.signo)
        if merges and any(other.signo == signal.signo for other in self.signals):
            return False
        if signal.si_code < 0 and len(self.signals) >= self.limit:
            signal = Siginfo(signal.signo)  # it comes, but loses what it carries [__send_signal_locked]
        self.signals.append(signal)
        return True

    def flush(self, numbers: Collection[int]) -> None:
        """Throw away what is pending of these numbers."""
        self.signals = [signal for signal in self.signals if signal.signo not in numbers]

    def first(self, blocked: AbstractSet[int]) -> Siginfo | None:
        """Return what is taken next of what is not blocked: synchronous ones, then the lowest number."""
        if not self.signals:
            return None
        open_ = [signal for signal in self.signals if signal.signo not in blocked]
        return min(open_, key=_order, default=None)

    def take(self, blocked: AbstractSet[int]) -> Siginfo | None:
        """Take what :meth:`first` returns off the queue."""
        if (signal := self.first(blocked)) is not None:
            self.signals.remove(signal)
        return signal


def _order(signal: Siginfo) -> tuple[bool, int]:
    return signal.signo not in SYNCHRONOUS, signal.signo
