"""A process of the emulated kernel that makes the calls it is told to make, and what is noted of it meanwhile."""

import errno
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar

from longpin.actors.base import handles
from longpin.actors.constants import SIG_HANDLER, SIGUSR2
from longpin.actors.conversation import Conversation, KernelError
from longpin.actors.process.facts import CallRecord
from longpin.actors.process.interpreter import SIGRETURN
from longpin.actors.process.pending import Siginfo
from longpin.actors.process.process import Process
from longpin.actors.process.process_state import Exec, Exit, Value
from longpin.actors.process.program import Const, Image
from longpin.actors.process.program import Op as Call
from longpin.actors.process.program import Program as Text
from longpin.actors.process.thread import Thread
from longpin.config.schema import CAPABILITIES
from longpin.messages.envelope import Address, Message, message
from longpin.runner.conform.memory_ops import BY_KERNEL
from longpin.runner.conform.ops import SIGNALS

_WAITS = ("sigtimedwait", "sigwaitinfo")


@message
class Perform(Message):
    """Have a thread make one call."""

    op: Call
    tid: int


class DrivenThread(Thread):
    """A thread that makes the calls it is told to make, one at a time, instead of running a program."""

    process: "DrivenProcess"
    last: CallRecord
    """The call made last, returned or not."""
    taken: Siginfo
    """The signal taken last."""
    waited_for: Siginfo
    """What sigtimedwait or sigwaitinfo took last."""

    def start(self) -> None:
        """Wait to be told."""

    @property
    def busy(self) -> bool:
        """Whether a call is under way, or it is stopped."""
        return self.alive

    def make(self, op: Call | None) -> None:
        """Make a call, or only look at signals."""
        self.task = self.process.start_task(self._one(op), self.lane)

    def _one(self, op: Call | None) -> Conversation[None]:
        try:
            if op is not None:
                yield from self.make_call(op)
            yield from self.in_user_space("")
        except Exec as replaced:
            self.replace_image(replaced.image)
            self.last.ret, self.last.returned = 0, True
        except Exit as end:
            yield from self.end(end)

    def begin_call(self, op: Call) -> CallRecord:
        """Remember it, so that its result can be asked for."""
        self.last = super().begin_call(op)
        return self.last

    def execute(self, program: Text, then: str) -> Conversation[None]:
        """Note a run of a handler. It does nothing, so it has run when those that interrupted its beginning have."""
        yield from super().execute(program, then)
        if then == SIGRETURN:
            self.process.handled.append(self.handling[-1].signal.signo)

    def take_signal(self, blocked: AbstractSet[int]) -> Siginfo | None:
        """Take the next signal, and remember it."""
        if (signal := super().take_signal(blocked)) is not None:
            self.taken = signal
        return signal

    def end_call(self, record: CallRecord, value: Value) -> None:
        """Note that a call has returned, and which signal it took."""
        super().end_call(record, value)
        if record.op.call in _WAITS and not record.errno:
            self.waited_for = self.taken


class DrivenProcess(Process):
    """A process of such threads."""

    thread_type: ClassVar[type[Thread]] = DrivenThread

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.handled: list[int] = []
        """The signals whose handlers have run, for who watches to take away."""
        self.ended_by = 0
        """The signal that ended it."""

    @handles(Perform)
    def perform(self, request: Perform, _src: Address) -> None:
        """Have a thread make a call."""
        thread = self.find_thread(request.tid)
        assert isinstance(thread, DrivenThread)
        thread.make(request.op)

    def signal_wake_up(self, thread: Thread) -> None:
        """Have a thread act on signals; between calls it does so at once."""
        super().signal_wake_up(thread)
        assert isinstance(thread, DrivenThread)
        if not (thread.busy or thread.leaving):
            thread.make(None)
            super().signal_wake_up(thread)

    def fault_signal(self, signo: int) -> KernelError:
        """Send the signal of an access that faults; of one that the kernel makes for a process it is EFAULT alone."""
        thread = self.current
        assert isinstance(thread, DrivenThread)
        return KernelError(errno.EFAULT) if thread.last.op.text in BY_KERNEL else super().fault_signal(signo)

    def end(self, end: Exit) -> Conversation[None]:
        """Note what ends it."""
        self.ended_by = end.signo
        yield from super().end(end)


def _installed(signo: int) -> Call:
    """Return a call in the text of a program that keeps a handler from being there from the start."""
    return Call(0, "", "sigaction", (Const(signo), Const(SIG_HANDLER)), None)


def _image(name: str, *, handled: tuple[int, ...]) -> Image:
    """Return an image with a handler of each signal, of which some are there from the start."""
    installed = tuple(_installed(signo) for signo in SIGNALS.values() if signo not in handled)
    handlers = tuple((signo, Text()) for signo in SIGNALS.values())
    return Image(name, Text(installed), handlers, 0, frozenset(CAPABILITIES))


IMAGE = _image("driven", handled=(SIGUSR2,))
"""What a process runs that is started, or begins afresh."""
FORKED = _image("forked", handled=())
"""What a forked child runs: all that its signals do is as its parent had it."""
