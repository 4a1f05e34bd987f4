"""A thread: a program that is run, and what each thread of a process has for itself [1.1.1, 1.12].

A process has a list of them (:mod:`longpin.actors.process.thread_group`). Its signals find a thread that takes them, as
``complete_signal`` does; its calls belong to the one that is running,
:attr:`~longpin.actors.process.signals.SignalTarget.current`. The conversations of a thread are tasks of its process's
actor.
"""

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from functools import partial
from typing import TYPE_CHECKING, Any

from longpin.actors.constants import SIG_DFL, SIG_HANDLER, SIGKILL
from longpin.actors.conversation import Call, Conversation, Step, Task, Wait, WaitsFor, outcome, single
from longpin.actors.process.facts import CallBegun, CallCut, CallEnded, CallRecord, HandlerReturned, SignalTaken
from longpin.actors.process.interpreter import EXITS, Interpreter
from longpin.actors.process.pending import (
    CLD_CONTINUED,
    DUMPS_CORE,
    IGNORED_BY_DEFAULT,
    STOPS_BY_DEFAULT,
    PendingSignals,
    Siginfo,
)
from longpin.actors.process.process_state import Credentials, Exit, Noted, Value
from longpin.actors.process.program import Image, Op
from longpin.actors.process.signal_mask import Frame, SignalMask
from longpin.actors.syscalls import SYSCALLS
from longpin.messages.clock import CLOCK, ArmTimer, CancelTimer
from longpin.messages.fs.file import Put, Ref, Release
from longpin.messages.process.process import File, NextCall
from longpin.messages.rdma.work import Completion

if TYPE_CHECKING:
    from longpin.actors.process.process import Process


class Thread(Interpreter):
    """One thread of a process."""

    def __init__(
        self,
        process: "Process",
        image: Image,
        variables: dict[str, Value],
        blocked: frozenset[int] = frozenset(),
        credentials: Credentials | None = None,
        tid: int = 0,
        name: str = "",
    ) -> None:
        self.process = process
        self.tid = tid
        self.name = name
        self.credentials = credentials or Credentials(image.uid, image.uid, image.capabilities)
        self.image = image
        self.variables = variables
        self.handler_programs = process.handler_programs
        self.mask = SignalMask(blocked)
        self.awaited: frozenset[int] = frozenset()
        """What sigtimedwait sleeps for: open for as long, but neither ignored nor deadly (``real_blocked``)."""
        self.pending = PendingSignals(process.pending.limit)
        """Those for this thread alone: of its own faults. They are taken before those for the process."""
        self.handling = []
        self.calls = []
        self.task: Task | None = None
        """The conversation that is the program."""
        self.timer = ""
        """The timer of the call under way; empty if it has none, or its time has come."""
        self.timed = False
        """The call under way has started a timer."""
        self.resumes = False
        """It is made again after a stop: its timer goes on."""
        self.put_aside: list[str] = []
        """The timers of calls that will be made again when the handlers that run have returned."""
        self.held: list[File] = []
        """Files that the call under way uses, which another thread may close meanwhile; each a reference [fdget]."""
        self.in_stop = False
        """It is stopped, and not only to be stopped."""
        self.zapped = False
        """It ends as soon as it can, because the process does, or goes on without it."""
        self.leaving = False
        """It has made its last call [PF_EXITING]."""
        self.gone = False
        """It has ended; of a leader the number is left. Invariant: gone implies leaving."""
        self.completion = Completion()
        """The completion polled last."""
        self.event_type = 0
        """The type of the asynchronous event taken last."""

    def start(self) -> None:
        """Begin to run the program."""
        self.task = self.process.start_task(self.run(), self.lane)

    @property
    def lane(self) -> str:
        """The run queue its conversations stand in, of those of the process; the leader's has no name of its own."""
        return "" if self is self.process.leader else f" thread {self.tid}"

    @property
    def alive(self) -> bool:
        """Whether its program has begun and has not ended."""
        return self.task is not None and not self.task.finished

    # The program.

    def replace_image(self, image: Image) -> tuple[()]:
        """Go on with another program, after the process has left the one before."""
        self.image = image
        self.process.install_handlers(image)
        self.recalc_sigpending()
        return ()

    def program_over(self) -> Exit:
        """Return how it ends after its last line: as main returns, or the function of a thread."""
        return Exit(0, of_thread=self is not self.process.leader)

    def end(self, end: Exit) -> Conversation[None]:
        """Die, and mostly the process with it."""
        yield from self.process.leave(self, end)

    def implementation(self, call: str) -> Callable[..., Any]:
        """Return what makes a call."""
        return partial(SYSCALLS[call].implementation, self.process)

    def hold(self, file: File) -> None:
        """Keep a file until the call under way returns, whatever other threads close meanwhile."""
        self.process.send(file.ofd, Ref())
        self.held.append(file)

    def _let_go(self) -> Conversation[None]:
        """Drop what :meth:`hold` keeps, and release it if nobody else has it any more."""
        while self.held:
            file = self.held.pop(0)
            if (yield Call(file.ofd, Put())).last:
                yield from outcome(single(Call(file.ofd, Release(exiting=False))))

    def schedule_point(self, call: str) -> Step:
        """Return the request that lets others get in."""
        return Step(NextCall(call))

    # Calls.

    def begin_call(self, op: Op) -> CallRecord:
        """Note that a call is made."""
        record = super().begin_call(op)
        self.process.facts.append(CallBegun(record, self))
        return record

    def before_attempt(self) -> None:
        """Note that it has not slept yet."""
        assert self.task is not None
        self.task.slept = ""

    def after_attempt(self, record: CallRecord) -> Iterable[Any]:
        """Note what a call slept on; let go of files, and die of what came meanwhile."""
        if self.held or not self.undisturbed:
            return self._leave_call(record)
        assert self.task is not None
        record.slept = self.task.slept or record.slept
        return ()

    def _leave_call(self, record: CallRecord) -> Conversation[None]:
        assert self.task is not None
        if self.held:
            yield from self._let_go()
        record.slept = self.task.slept or record.slept
        if self.dies_next:
            yield from self.get_signals()

    def call_cut(self, record: CallRecord) -> None:
        """Note that a call will never return."""
        self._stop_timer()
        if record.op.call != EXITS:
            self.process.facts.append(CallCut(record, self))

    def restart_decided(self, again: bool) -> None:
        """Note that a call which is made again goes on with the timer it has."""
        self.resumes = again and self.timed

    def before_restart(self, record: CallRecord, frames: list[Frame]) -> Conversation[None]:
        """Run handlers of signals that are open since the mask of a sigsuspend was put back."""
        if frames or self.next_signal() is not None:
            # Handlers that run now make calls of their own: the timer is kept from them.
            timed, resumes = self.timed, self.resumes
            self.put_aside.append(self.timer)
            self.timer, self.timed, self.resumes = "", False, False
            try:
                yield from self.in_user_space(record.op.call)
            finally:
                self.timer, self.timed, self.resumes = self.put_aside.pop(), timed, resumes

    def end_call(self, record: CallRecord, value: Value) -> None:
        """Note that a call has returned."""
        self._stop_timer()
        super().end_call(record, value)
        if record.op.uses:
            noted = Noted(record.op, record.ret, record.errno, bool(record.slept))
            if noted not in self.process.noted:
                self.process.noted.append(noted)
        self.process.facts.append(CallEnded(record, self))

    # Time.

    def start_timer(self, seconds: float) -> None:
        """Have :attr:`timer` emptied, and the sleepers of the process woken, after a time.

        Each sleep has a timer of its own: the expiry of one that was interrupted may still be on the way.
        """
        if not self.resumes:
            self.timer = name = f"sleep {self.process.count('sleep')}"
            self.process.send(CLOCK, ArmTimer(name, float(seconds)))
        self.timed, self.resumes = True, False

    def _stop_timer(self) -> None:
        """Forget the timer of a call that has returned."""
        if self.timer:
            self.process.send(CLOCK, CancelTimer(self.timer))
        self.timer, self.timed = "", False

    def timer_expired(self, name: str) -> bool:
        """Take note that a timer's time has come; True: it is that of the call under way."""
        if name == self.timer:
            self.timer = ""
            return True
        if name in self.put_aside:
            self.put_aside[self.put_aside.index(name)] = ""
        return False

    # Signals.

    def wants(self, signo: int) -> bool:
        """Return whether it would take a signal now [wants_signal]: of several threads, one that is not woken yet."""
        if self.leaving or (signo in self.mask.blocked and signo != SIGKILL):
            return False
        if signo == SIGKILL:
            return True
        woken = self.process.has_threads and self.signal_pending and self.task is not None and self.task.sleeps
        return not (woken or (self.process.stopped and self.in_stop))

    def next_signal(self) -> Siginfo | None:
        """Return what it takes next: its own before those of the process [dequeue_signal]."""
        return self.pending.first(self.mask.blocked) or self.process.pending.first(self.mask.blocked)

    def take_signal(self, blocked: AbstractSet[int]) -> Siginfo | None:
        """Take the next signal that is not blocked: its own before those of the process."""
        return self.pending.take(blocked) or self.process.pending.take(blocked)

    def set_mask(self, blocked: frozenset[int]) -> None:
        """Do what sigprocmask(2) does; what is open now is taken on the way back to user space."""
        self.mask.set(blocked)
        self.recalc_sigpending()
        if self.process.has_threads:
            self.process.retarget(self)

    def mask_changed(self) -> tuple[()]:
        """Look which signals are open now."""
        self.recalc_sigpending()
        return ()

    def recalc_sigpending(self) -> None:
        """Note whether a signal waits to be taken, which ends interruptible sleeps at once."""
        if self.task is None:
            return
        self.task.fatal = self.is_to_die
        stops = self.process.stopped and not self.in_stop
        self.task.signal = self.task.fatal or stops or self.next_signal() is not None

    @property
    def undisturbed(self) -> bool:
        """Whether no signal is pending, not even a blocked one, and it is neither to stop nor to die."""
        process = self.process
        return not (self.pending.signals or process.pending.signals or process.killed or process.stopped or self.zapped)

    @property
    def is_to_die(self) -> bool:
        """Whether it has been killed, with the process or alone."""
        return self.zapped or bool(self.process.killed)

    @property
    def signal_pending(self) -> bool:
        """Whether a signal waits to be taken."""
        return self.task is not None and self.task.signal

    @property
    def looks_at_signals(self) -> bool:
        """Whether it takes signals on its way to user space: not those of which another thread was told."""
        return self.signal_pending or not self.process.has_threads

    @property
    def dies_next(self) -> bool:
        """Whether a signal ends the process before it is in user space again."""
        if not self.looks_at_signals:
            return False
        harmless = IGNORED_BY_DEFAULT | STOPS_BY_DEFAULT | self.mask.blocked
        return self.is_to_die or any(
            signal.signo not in harmless and self.process.disposition(signal.signo).action == SIG_DFL
            for signal in (*self.pending.signals, *self.process.pending.signals)
        )

    def is_killed_at_once(self, signo: int) -> bool:
        """Return whether a signal that is not blocked ends it even before it is taken [complete_signal]."""
        spared = IGNORED_BY_DEFAULT | STOPS_BY_DEFAULT | DUMPS_CORE | self.awaited
        return self.process.disposition(signo).action == SIG_DFL and signo not in spared

    def get_signals(self) -> Conversation[list[Frame]]:
        """Take every signal that is not blocked, as the way back to user space does; return the handlers to run.

        The one taken first lies lowest, so the handlers run in the opposite order.

        Raises:
            Exit: one of them kills.

        """
        process, frames = self.process, list[Frame]()
        if self.undisturbed:
            assert self.task is not None
            self.task.fatal = self.task.signal = False
            self.mask.restore()
            return frames
        if not (self.looks_at_signals or self.is_to_die):
            self.mask.restore()
            return frames
        while not self.is_to_die:
            if process.stopped:  # another thread has taken the signal
                yield from self._stay_stopped()
                continue
            if (signal := self.take_signal(self.mask.blocked)) is None:
                break
            signo = signal.signo
            disposition = process.disposition(signo)
            if disposition.ignores(signo):
                process.facts.append(SignalTaken(signo, signal.si_fd, "ignored", self))
            elif disposition.action == SIG_HANDLER:
                frames.append(self.mask.push(signal, restart=disposition.restart))
            elif signo in STOPS_BY_DEFAULT:
                process.facts.append(SignalTaken(signo, signal.si_fd, "stopped", self))
                process.begin_stop(signo)
                yield from self._stay_stopped()
            else:
                process.killed = signo
        if self.is_to_die:
            yield Step(NextCall(EXITS))
            raise Exit(128 + process.killed, process.killed, of_thread=not process.killed)
        if not frames:
            self.mask.restore()
        self.recalc_sigpending()
        return frames

    def handler_entered(self, frame: Frame) -> None:
        """Note that a handler is entered."""
        self.process.facts.append(SignalTaken(frame.signal.signo, frame.signal.si_fd, "handler", self))

    def handler_returned(self) -> None:
        """Note that the handler entered last has returned."""
        self.process.facts.append(HandlerReturned(self))

    def _stay_stopped(self) -> Conversation[None]:
        """Stop until SIGCONT or a deadly signal comes."""
        process = self.process
        self.in_stop = True
        process.complete_stop()
        while process.stopped and not self.is_to_die:
            reason = WaitsFor("signal", process.address, "SIGCONT")
            yield from outcome(single(process.stop_queue.sleep(reason, Wait.KILLABLE)))
        self.in_stop = False
        if process.continued and not self.is_to_die:
            process.continued = False
            process.notify_parent(CLD_CONTINUED)
