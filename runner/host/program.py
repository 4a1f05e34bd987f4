"""A process of a scenario on the host kernel: its program and signal handlers, one call after the other.

The counterpart of :class:`longpin.actors.process.process.Process`, except that calls are made by a real process.

Signals that have a handler stay blocked in the real process. When one is pending, the runner sends another signal that
does nothing but end the call under way with EINTR; then the process takes the pending ones with sigtimedwait(2), which
tells the descriptor, and the programs of their handlers run, in the order of the frames that the kernel would push. A
call that is to be restarted is made again. Signals without a handler are the kernel's affair.
"""

import errno
from collections.abc import Generator

from longpin.actors.constants import SIG_HANDLER, SIG_IGN
from longpin.actors.conversation import KernelError
from longpin.actors.process.facts import CallRecord
from longpin.actors.process.interpreter import arguments, unroll
from longpin.actors.process.pending import Siginfo
from longpin.actors.process.process_state import Disposition, Exec, Exit, Value
from longpin.actors.process.program import Image, Op, Program
from longpin.actors.process.signal_mask import Frame, SignalMask, is_made_again
from longpin.actors.process.signals import initial_dispositions
from longpin.actors.syscalls.signatures import SIGNATURES
from longpin.runner.events import ProcessName
from longpin.runner.host.calls import CALLS, MEMORY, AwaitLabel, Order, Reply, Steps, ask
from longpin.runner.host.surroundings import Surroundings
from longpin.runner.machine.processes import Agent


class HostProcess:
    """One process: what it is going to do, and what is known of it."""

    def __init__(self, world: Surroundings, image: Image, pid: int, name: str, parent: "HostProcess | None") -> None:
        self.world = world
        self.image = image
        self.pid = pid
        self.name = name
        self.agent = Agent(name)
        self.parent = parent
        self.group: int = parent.group if parent is not None else pid
        self.variables: dict[str, Value] = dict(parent.variables) if parent is not None else {}
        self.handler_programs: dict[int, Program] = dict(parent.handler_programs) if parent is not None else {}
        self.dispositions: dict[int, Disposition] = dict(parent.dispositions) if parent is not None else {}
        self.mask: SignalMask = SignalMask(parent.mask.blocked if parent is not None else ())
        self.handling: list[Frame] = []
        """The handlers that run, the innermost last."""
        self.next_mapping: int = parent.next_mapping if parent is not None else MEMORY[0]
        """Where the next mapping goes, apart from what the process needs for itself."""
        self._install_handlers()
        self.children: dict[str, int] = {}
        """How many children run each program."""
        self.record: CallRecord | None = None
        """The call under way, or the last one."""
        self.calls: list[CallRecord] = []
        """Those that have not returned: the program's, then that of a handler which interrupted it."""
        self.status: int | None = None
        """What it has exited with; None: it lives, or a signal has killed it."""
        self.steps: Steps = self._run()

    @property
    def full_name(self) -> ProcessName:
        """How it is told from others."""
        return ProcessName(self.name, self.pid)

    @property
    def deliverable(self) -> set[int]:
        """The signals whose handlers may run now."""
        handled = {signo for signo, disposition in self.dispositions.items() if disposition.action == SIG_HANDLER}
        return handled - self.mask.blocked

    def _install_handlers(self) -> None:
        self.handler_programs |= dict(self.image.handlers)
        self.dispositions |= initial_dispositions(self.image)

    def tell_kernel(self, changed: int = 0) -> Steps:
        """Have the real process block and ignore the signals that it must; sigaction(2) was called for ``changed``."""
        actions = {signo: disposition.action for signo, disposition in self.dispositions.items()}
        block = self.mask.blocked | {signo for signo, action in actions.items() if action == SIG_HANDLER}
        ignore = {signo for signo, action in actions.items() if action == SIG_IGN}
        flags = {str(signo): disposition.flags for signo, disposition in self.dispositions.items()}
        yield from ask("set_signals", block=sorted(block), ignore=sorted(ignore), flags=flags, changed=changed)
        return 0

    def _run(self) -> Steps:
        if self.parent is None:
            yield from self.world.become(self)
        end: Exit | None = None
        while end is None:
            try:
                yield from self.tell_kernel()
                yield from self._execute(self.image.program)
                end = Exit(0)
            except Exec as replaced:
                self.image = replaced.image
                self.handler_programs.clear()
                self.dispositions = {s: d for s, d in self.dispositions.items() if d.action != SIG_HANDLER}
                self.handling.clear()
                self.next_mapping = MEMORY[0]
                self._install_handlers()
            except Exit as exit_:
                end = exit_
        self.status = end.status
        yield from ask("exit", status=end.status)
        return 0

    def _execute(self, program: Program) -> Steps:
        for op in unroll(program.statements, self.variables):
            yield from self._run_handlers()
            yield from self._call(op)
        yield from self._run_handlers()
        return 0

    def _call(self, op: Op) -> Steps:
        """Make one call, again if a signal interrupted it and it is to be restarted."""
        record = self.record = CallRecord(op)
        self.calls.append(record)
        self.world.begun(self, record)
        again = True
        while again:
            value: Value = -1
            record.errno = 0
            try:
                result = CALLS[op.call](self, *arguments(record, self.variables))
                value = (yield from result) if isinstance(result, Generator) else result
            except KernelError as error:
                record.errno = error.errno
            again = record.errno == errno.EINTR and (yield from self._interrupted(record)) == 1
            self.record = record
        if not record.returned:
            self._return(record, value)
        return value

    def _interrupted(self, record: CallRecord) -> Steps:
        """Run the handlers of the signals that ended a call; return 1 if it is made again, as the kernel would."""
        frames = yield from self._take_signals()
        again = is_made_again(SIGNATURES[record.op.call].restart, frames)
        if not again:
            self._return(record, -1)
        yield from self._run_frames(frames)
        return int(again)

    def _return(self, record: CallRecord, value: Value) -> None:
        """Note that a call has returned, and set the program's variable."""
        record.ret = value if isinstance(value, int) else repr(value) if isinstance(value, bytes) else 0
        record.value = value
        record.returned = True
        assert self.calls.pop() is record
        self.world.ended(self, record)
        if record.op.target is not None:
            self.variables[record.op.target] = value

    def _take_signals(self) -> Generator[Order | AwaitLabel, Reply, list[Frame]]:
        """Take every signal whose handler may run; the handler of the one taken first runs last."""
        frames: list[Frame] = []
        while pending := self.world.pending(self):
            reply = yield from ask("take_signal", signals=sorted(pending), seconds=0)
            if not (signo := reply["ret"]):
                break
            signal = Siginfo(signo, reply["si_fd"])
            frames.append(self.mask.push(signal, restart=self.dispositions[signo].restart))
        if not frames:
            self.mask.restore()
        return frames

    def _run_frames(self, frames: list[Frame]) -> Steps:
        """Run handlers, the last one taken first; when one returns, more signals may have come."""
        for frame in reversed(frames):
            self.handling.append(frame)
            self._show(frame)
            yield from self.tell_kernel()
            self.world.handler_begins(self, frame.signal)
            yield from self._execute(self.handler_programs[frame.signal.signo])
            self.world.handler_returns(self)
            self.handling.pop()
            self.mask.pop(frame)
            yield from self.tell_kernel()
            if self.handling:
                self._show(self.handling[-1])
        return 0

    def _show(self, frame: Frame) -> None:
        """Set what a handler finds in its ``siginfo_t``."""
        self.variables |= {"si_signo": frame.signal.signo, "si_fd": frame.signal.si_fd}

    def _run_handlers(self) -> Steps:
        """Run the handlers of pending signals, between two calls."""
        while frames := (yield from self._take_signals()):
            yield from self._run_frames(frames)
        return 0
