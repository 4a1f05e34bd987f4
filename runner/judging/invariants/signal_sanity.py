"""O5: the kernel signals nobody who has nothing of what the signal is about [semantics 3]."""

from collections.abc import Iterable
from typing import ClassVar

from longpin.actors.base import Actor
from longpin.actors.constants import signal_name
from longpin.actors.process.process import Process
from longpin.messages.envelope import Envelope
from longpin.messages.process.process import Signal
from longpin.runner.judging.invariants.base import Finding, Invariant

OWNS_NO_PINS = ("file", "directory", "pipe", "path", "dax", "shmem")
"""What a descriptor refers to that is no device: what a device owns may be pages of the file that is meant."""


class SignalSanity(Invariant):
    """A process that gets a signal of a lease break or a deadline has a descriptor, a mapping, or a device.

    A signal of another process is none of the kernel's. What a device has pinned is its context's, so a process that
    has one open is never said to have nothing.
    """

    rule: ClassVar[str] = "O5"
    summary: ClassVar[str] = (
        "signal sanity: a lease break or a deadline signals and kills nobody who has nothing of the file any more"
    )
    warns: ClassVar[bool] = True
    source: ClassVar[str] = "semantics 2.3.5, 3; Chinner 2019-08-23 [C5], Weiny 2019-09-04 [S5]"

    def after(self, actor: Actor, envelope: Envelope) -> Iterable[Finding]:
        """Look at who was signalled."""
        signal = envelope.body
        if not isinstance(signal, Signal) or not signal.signo or not isinstance(actor, Process):
            return ()
        if envelope.src.partition(":")[0] == "process" or actor.exiting:
            return ()
        about = envelope.src
        files = (*actor.fds.values(), *actor.received, *actor.mapped.files)
        if any(about in (file.ofd, file.backing) or file.kind not in OWNS_NO_PINS for file in files):
            return ()
        name = signal_name(signal.signo)
        return (
            self.found(
                f"{name} to {actor.name}, which has nothing of {about}",
                f"{about} has the kernel send {name} to {actor.name} ({actor.pid}), which has no descriptor of it, no "
                "mapping and no device",
            ),
        )
