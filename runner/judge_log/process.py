"""A process of the model whose threads do what a log says, or come to a contradiction."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from functools import partial
from types import GeneratorType
from typing import Any, ClassVar

from longpin.actors.base import Engine
from longpin.actors.constants import ERRNO_NAMES, SIG_DFL, signal_name
from longpin.actors.conversation import Call, Conversation, KernelError, Step, Uninterruptible, WaitQueue, WaitsFor
from longpin.actors.kernel.machine import Kernel
from longpin.actors.process.facts import CallRecord
from longpin.actors.process.interpreter import SIGRETURN
from longpin.actors.process.pending import STOPS_BY_DEFAULT, Siginfo
from longpin.actors.process.process import Process
from longpin.actors.process.process_state import Disposition, Exit, Value
from longpin.actors.process.program import Image, Program
from longpin.actors.process.signal_mask import Frame, SignalMask
from longpin.actors.process.thread import Thread
from longpin.actors.syscalls.processes import make_child
from longpin.actors.syscalls.signals import await_signal
from longpin.actors.syscalls.threads import make_thread
from longpin.messages.envelope import Address
from longpin.messages.process.process import NextCall
from longpin.runner.judge_log.progress import PROGRESS, AwaitStep, StepReached
from longpin.runner.judge_log.script import (
    PLAIN,
    Begins,
    Ends,
    HandlerFlags,
    JudgedImage,
    Looks,
    Resumes,
    Returns,
    Takes,
    number_of,
)
from longpin.runner.judge_log.script import Step as ScriptStep
from longpin.runner.judge_log.strace_lines import NEVER

_WAITS = ("sigtimedwait", "sigwaitinfo")


class JudgedMask(SignalMask):
    """A mask that knows what else is blocked while a handler runs."""

    __slots__ = ("flags",)

    def __init__(self, blocked: AbstractSet[int], flags: dict[int, HandlerFlags]) -> None:
        super().__init__(blocked)
        self.flags = flags

    def push(self, signal: Siginfo, *, restart: bool) -> Frame:
        """Begin a handler."""
        before = self.blocked
        frame = super().push(signal, restart=restart)
        flags = self.flags.get(signal.signo, PLAIN)
        own = frozenset[int]() if flags.nodefer else {signal.signo}
        self.set(before | own | flags.mask)
        return frame


class JudgedThread(Thread):
    """A thread that takes the steps of a script."""

    process: "JudgedProcess"
    image: JudgedImage

    def __init__(self, process: "JudgedProcess", image: Image, *state: Any) -> None:
        super().__init__(process, image, *state)
        self.mask = JudgedMask(self.mask.blocked, process.handler_flags)
        self.at = 0
        """The step that comes next."""
        self.came = False
        """The call under way has come to something."""
        self.owed: Returns | None = None
        """The return of a call whose sleep a signal ended: the signal is taken before, and seen after it."""

    @property
    def next_step(self) -> ScriptStep | None:
        """What it must do next; None: the log does not tell any more."""
        script = self.image.script
        return script[self.at] if self.at < len(script) else None

    @property
    def is_over(self) -> bool:
        """Whether it has done all that the log tells of it."""
        return self.next_step is None and self.owed is None

    # What it does.

    def replace_image(self, image: Image) -> tuple[()]:
        """Go on with the steps after an execve; that it succeeded is the last of those before."""
        if isinstance(self.next_step, Returns):
            self._took()
        elif self.next_step is not None:
            self._contradict("execve succeeds")
        self.process.handler_flags.clear()
        super().replace_image(image)
        self.at = 0
        return ()

    def execute(self, program: Program, then: str) -> Conversation[None]:
        """Make the calls of the log up to the end of this program, whichever it is."""
        while True:
            step = yield from self._reach_next()
            for tid, number in step.after:
                yield Uninterruptible(PROGRESS, AwaitStep(tid, number))
            if self.is_to_die:
                yield from self.get_signals()  # which ends it: a call is not made any more
            if isinstance(step, Resumes):
                if then != SIGRETURN:
                    self._contradict("no handler runs")
                self._took()
                return
            self.at += 1
            yield from self.make_call(step.op)

    def _reach_next(self) -> Conversation[Begins | Resumes]:
        """Wait in user space until the next call can begin, or the handler return; take the signals that come."""
        while True:
            step = self.next_step
            ready = isinstance(step, (Begins, Resumes))
            if isinstance(step, (Begins, Resumes)):
                ready = yield from self._await_others(step)
            else:
                yield from self._await_signal()
            yield Step(NextCall(_name(step) if ready else "pause"))
            frames = yield from self.get_signals()
            if frames:
                yield from self.run_handlers(frames)
            elif ready and isinstance(step, (Begins, Resumes)):
                return step

    def _await_others(self, step: Begins | Resumes) -> Conversation[bool]:
        """Wait for what was over before a step; False: a signal came."""
        for tid, number in step.early:
            try:
                yield Call(PROGRESS, AwaitStep(tid, number))
            except KernelError:
                return False
        return True

    def _await_signal(self) -> Conversation[None]:
        try:
            yield self.process.user_space.sleep(WaitsFor("signal", self.process.address, "a signal"))
        except KernelError:
            return

    def implementation(self, call: str) -> Callable[..., Any]:
        """Return what makes a call: processes and threads have the numbers of the log."""
        own: dict[str, Callable[..., Any]] = {
            "fork": self._fork,
            "clone": self._clone,
            "sigtimedwait": self._sigtimedwait,
        }
        return partial(self._noting, own.get(call) or super().implementation(call))

    def _noting(self, made_by: Callable[..., Any], *arguments: Value) -> Conversation[Value]:
        """Make a call, and note what it comes to: a program that a signal kills on the way back does not see it."""
        self.came = False
        try:
            result = made_by(*arguments)
            value: Value = (yield from result) if type(result) is GeneratorType else result
        except KernelError:
            self.came = True
            raise
        self.came = True
        self.calls[-1].value = value
        return value

    def _fork(self, program: str) -> Conversation[int]:
        image = self.process.images[program]
        assert isinstance(image, JudgedImage)
        yield from make_child(self.process, image, image.number, program, f"process:{image.number}", image.group)
        return image.number

    def _clone(self, program: str) -> Conversation[int]:
        image = self.process.images[program]
        assert isinstance(image, JudgedImage)
        return (yield from make_thread(self.process, image, image.number, program))

    def _sigtimedwait(self, seconds: float | None = None) -> Conversation[int]:
        begun = self.image.script[self.at - 1]
        assert isinstance(begun, Begins)
        return (yield from await_signal(self.process, begun.wanted or frozenset(), seconds))

    # What the model has it do: each is compared with the script.

    def end_call(self, record: CallRecord, value: Value) -> None:
        """Compare what a call has come to."""
        super().end_call(record, value)
        self._set_handler(record)
        step = self.next_step
        told = ERRNO_NAMES.get(record.errno, str(record.errno)) if record.errno else f"{number_of(record.value)}"
        if self.owed is not None:
            if not self.owed.matches(record, self.variables):
                self._contradict(f"returns {told}")
            self.owed = None
        elif isinstance(step, Looks):
            self._look(f"returns {told}")
        elif isinstance(step, Returns) and step.matches(record, self.variables):
            self._took()
        elif step is not None and not (isinstance(step, Ends) and step.signo):
            self._contradict(f"returns {told}")

    def _set_handler(self, record: CallRecord) -> None:
        """Note what of a handler no argument says."""
        begun = self.image.script[self.at - 1]
        if record.op.call == "sigaction" and not record.errno and record.arguments and isinstance(begun, Begins):
            signo = record.arguments[0]
            assert isinstance(signo, int)
            self.process.handler_flags[signo] = begun.handler

    def call_cut(self, record: CallRecord) -> None:
        """Compare what a call has come to whose process dies before it is back in user space."""
        super().call_cut(record)
        step = self.next_step
        if isinstance(step, Returns) and self.came and step.matches(record, self.variables):
            self._took()

    def take_signal(self, blocked: AbstractSet[int]) -> Siginfo | None:
        """Take a signal, and compare it; one that is ignored or kills is no step of its own."""
        signal = super().take_signal(blocked)
        if signal is None or (self.calls and self.calls[-1].op.call in _WAITS):
            return signal
        disposition = self.process.disposition(signal.signo)
        if disposition.ignores(signal.signo) or (
            disposition.action == SIG_DFL and signal.signo not in STOPS_BY_DEFAULT
        ):
            return signal
        step = self.next_step
        if isinstance(step, Returns) and step.errno == "EINTR" and self.calls and self.owed is None:
            self.owed = step
            self._took()
            step = self.next_step
        if isinstance(step, Looks):
            self._look(f"takes {signal_name(signal.signo)}")
        elif isinstance(step, Takes) and _is_same(step, signal):
            self._took()
        elif step is not None:
            self._contradict(f"takes {signal_name(signal.signo)}")
        return signal

    def handler_entered(self, frame: Frame) -> None:
        """Forget a handler that is for one signal only."""
        super().handler_entered(frame)
        if self.process.handler_flags.get(frame.signal.signo, PLAIN).once:
            self.process.dispositions[frame.signal.signo] = Disposition(SIG_DFL)

    def end(self, end: Exit) -> Conversation[None]:
        """Compare how it ends: a call may have begun that it did not come to any more."""
        step = self.next_step
        script = self.image.script
        if isinstance(step, Begins) and self.at + 1 < len(script) and isinstance(script[self.at + 1], Ends):
            self.at += 1
            step = self.next_step
        group = self.process.group_exit or end
        signo = end.signo or (group.signo if end.of_thread else 0)
        what = f"is killed by {signal_name(signo)}" if signo else f"exits with {group.status & 0xFF}"
        number = -1
        if isinstance(step, Looks):
            self._look(what)
        elif (
            isinstance(step, Ends)
            and step.signo == signo
            and (signo or end.of_thread or step.status == end.status & 0xFF)
        ):
            number = self.at
            self.at += 1
        elif step is not None:
            self._contradict(what)
        yield from super().end(end)
        if number >= 0:
            self.process.send(PROGRESS, StepReached(self.tid, self.image.first + number))

    def _took(self) -> None:
        """Go on to the next step, and let those go on who wait for this one."""
        step = self.next_step
        if isinstance(step, (Returns, Takes, Resumes, Ends)) and step.told:
            self.process.send(PROGRESS, StepReached(self.tid, self.image.first + self.at))
        self.at += 1

    def _look(self, what: str) -> None:
        """Note what the model has where the log is cut off; nothing is told of it after that."""
        self.at = len(self.image.script)
        self.process.looked = what

    def _contradict(self, what: str) -> None:
        if not self.process.contradiction:
            self.process.contradiction = what
            self.process.contradicts = NEVER if self.next_step is None else self.next_step.line


def _name(step: ScriptStep | None) -> str:
    """Return the call that a thread makes next."""
    return step.op.call if isinstance(step, Begins) else SIGRETURN


def _is_same(step: Takes, signal: Siginfo) -> bool:
    return step.signo == signal.signo and step.si_fd in (None, signal.si_fd) and step.si_code in (None, signal.si_code)


class JudgedProcess(Process):
    """A process of such threads."""

    thread_type: ClassVar[type[Thread]] = JudgedThread

    def __init__(
        self,
        engine: Engine,
        address: Address,
        kernel: Kernel,
        images: dict[str, Image],
        image: JudgedImage,
        *state: Any,
    ) -> None:
        self.handler_flags = dict(image.handler_flags)
        """What sigaction(2) said of handlers beyond what a scenario can."""
        self.user_space = WaitQueue()
        """Where threads are whose next step is not theirs to take."""
        self.contradiction = ""
        """What it did that the log excludes."""
        self.contradicts = 0
        """The line that excludes it."""
        self.looked = ""
        """What it did where the log was cut off."""
        super().__init__(engine, address, kernel, images, image, *state)
