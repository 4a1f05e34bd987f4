"""Which signals a process blocks, and the handlers it has begun: what ``sigreturn`` puts back [1.12]."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from longpin.actors.process.pending import UNBLOCKABLE, Siginfo
from longpin.actors.syscalls.declaration import Restart


class Frame(NamedTuple):
    """A handler that was begun, as its signal frame on the stack says."""

    signal: Siginfo
    mask: frozenset[int]
    """What was blocked before, which is blocked again when the handler returns."""
    restart: bool
    """SA_RESTART."""


def is_made_again(restart: Restart, frames: Sequence[Frame]) -> bool:
    """Return whether a call whose sleep signals ended is made again, after the handlers they began."""
    if restart is Restart.ERESTARTSYS and frames:
        return frames[0].restart
    if restart is Restart.ERESTARTNOINTR:
        return True
    return restart is not Restart.EINTR and not frames


class SignalMask:
    """The signals that stay pending."""

    __slots__ = ("blocked", "saved")

    def __init__(self, blocked: Iterable[int] = ()) -> None:
        self.blocked: frozenset[int] = frozenset(blocked)
        """Invariant: without UNBLOCKABLE."""
        self.saved: frozenset[int] | None = None
        """While a call such as sigsuspend(2) sleeps with a mask of its own: what is to be put back."""

    def set(self, blocked: Iterable[int]) -> None:
        """Block exactly these."""
        self.blocked = frozenset(blocked) - UNBLOCKABLE

    def swap(self, blocked: Iterable[int]) -> None:
        """Block exactly these until :meth:`restore`, or until a handler that was begun meanwhile returns."""
        self.saved = self.blocked
        self.set(blocked)

    def restore(self) -> None:
        """Put back what :meth:`swap` put aside, unless a handler will."""
        if self.saved is not None:
            self.blocked, self.saved = self.saved, None

    def push(self, signal: Siginfo, *, restart: bool) -> Frame:
        """Begin a handler: its own signal is blocked while it runs."""
        frame = Frame(signal, self.blocked if self.saved is None else self.saved, restart)
        self.saved = None
        self.set(self.blocked | {signal.signo})
        return frame

    def pop(self, frame: Frame) -> None:
        """Return from a handler: undo what it blocked and unblocked."""
        self.blocked = frame.mask
