"""A process of a scenario on the host kernel: its program and signal handlers, one call after the other.

The counterpart of :class:`longpin.actors.process.Process`, except that calls are made by a real process.

Signals that have a handler stay blocked in the real process. When one is pending, the runner sends another signal that
does nothing but end the call under way with EINTR; then the process takes the pending one with sigtimedwait(2), which
tells the descriptor, and the program of the handler runs. With SA_RESTART the call is then made again, as the kernel
would. Signals without a handler are the kernel's affair.
"""

import errno
from collections.abc import Generator

from longpin.actors.constants import SIG_DFL, SIG_HANDLER, SIG_IGN, SIGCHLD, signal_name
from longpin.actors.conversation import KernelError
from longpin.actors.facts import CallRecord
from longpin.actors.interpreter import arguments, unroll
from longpin.actors.process_state import Disposition, Exec, Exit, Value
from longpin.actors.program import Const, Image, Op, Program
from longpin.actors.signals import NEVER_RESTARTED
from longpin.runner.conform.processes import Agent
from longpin.runner.host.calls import CALLS, MEMORY, Steps, ask
from longpin.runner.host.surroundings import Surroundings
from longpin.runner.result import Kind


class HostProcess:
    """One process: what it is going to do, and what is known of it."""

    def __init__(self, world: Surroundings, image: Image, pid: int, name: str, parent: "HostProcess | None") -> None:
        self.world = world
        self.image = image
        self.pid = pid
        self.name = name
        self.agent = Agent(name)
        self.group: int = parent.group if parent is not None else pid
        self.variables: dict[str, Value] = dict(parent.variables) if parent is not None else {}
        self.handler_programs: dict[int, Program] = dict(parent.handler_programs) if parent is not None else {}
        self.dispositions: dict[int, Disposition] = dict(parent.dispositions) if parent is not None else {}
        self.blocked: set[int] = set(parent.blocked) if parent is not None else set()
        """Signals that sigprocmask blocks."""
        self.handling: list[int] = []
        """Signals whose handlers are running."""
        self.next_mapping: int = parent.next_mapping if parent is not None else MEMORY[0]
        """Where the next mapping goes, apart from what the process needs for itself."""
        self._install_handlers()
        self.forked = parent is not None
        self.children: dict[str, int] = {}
        """How many children run each program."""
        self.record: CallRecord | None = None
        """The call under way, or the last one."""
        self.returned = 0
        """How many calls have returned."""
        self.end = "is killed by a signal"
        """How the process ended, if it has."""
        self.steps: Steps = self._run()

    @property
    def lane(self) -> str:
        """How it is told from others in a time line."""
        return f"{self.name} ({self.pid})"

    @property
    def deliverable(self) -> set[int]:
        """The signals whose handlers may run now."""
        handled = {signo for signo, disposition in self.dispositions.items() if disposition.action == SIG_HANDLER}
        return handled - self.blocked - set(self.handling)

    def _install_handlers(self) -> None:
        """Handlers are in force from the start, except those the program installs itself."""
        self.handler_programs |= dict(self.image.handlers)
        own = {
            op.args[0].value
            for op in self.image.program.operations()
            if op.call == "sigaction" and isinstance(op.args[0], Const) and op.args[1] == Const(SIG_HANDLER)
        }
        self.dispositions |= {signo: Disposition(SIG_HANDLER) for signo, _ in self.image.handlers if signo not in own}

    def tell_kernel(self) -> Steps:
        """Have the real process block and ignore the signals that it must."""
        actions = {signo: disposition.action for signo, disposition in self.dispositions.items()}
        block = self.blocked | {signo for signo, action in actions.items() if action == SIG_HANDLER}
        ignore = {signo for signo, action in actions.items() if action == SIG_IGN}
        if actions.get(SIGCHLD, SIG_DFL) == SIG_DFL:
            ignore.add(SIGCHLD)
        yield from ask("set_signals", block=sorted(block), ignore=sorted(ignore))
        return 0

    def _run(self) -> Steps:
        if not self.forked:
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
        self.end = f"exits with {end.status}"
        yield from ask("exit")
        return 0

    def _execute(self, program: Program) -> Steps:
        for op in unroll(program.statements, self.variables):
            yield from self._take_signals()
            yield from self._call(op)
        yield from self._take_signals()
        return 0

    def _call(self, op: Op) -> Steps:
        """Make one call, again if a signal interrupted it and its handler has SA_RESTART."""
        record = self.record = CallRecord(op)
        self.world.begun(self, record)
        restart = True
        while restart:
            value: Value = -1
            record.errno = 0
            try:
                result = CALLS[op.call](self, *arguments(op, self.variables))
                value = (yield from result) if isinstance(result, Generator) else result
            except KernelError as error:
                record.errno = error.errno
            restart = record.errno == errno.EINTR and self._restarts(op.call)
            if restart:
                yield from self._take_signals()
                self.record = record
        record.ret = value if isinstance(value, int) else repr(value) if isinstance(value, bytes) else 0
        record.value = value
        record.returned = True
        self.returned += 1
        self.world.ended(self, record)
        if op.target is not None:
            self.variables[op.target] = value
        return value

    def cut_short(self) -> None:
        """Note how the call under way ended with the process: as in the emulator, EINTR, or EFAULT for an access."""
        record = self.record
        if record is None or record.returned:
            return
        access = record.op.call in ("load", "store")
        if access or record.slept:
            record.errno = errno.EFAULT if access else errno.EINTR
            record.ret, record.returned = -1, True
            self.world.ended(self, record)

    def _restarts(self, call: str) -> bool:
        """Return whether an interrupted call is made again [signal(7)]."""
        taken = self.world.pending(self)
        return call not in NEVER_RESTARTED and all(self.dispositions[signo].restart for signo in taken)

    def _take_signals(self) -> Steps:
        """Run the handlers of pending signals."""
        while pending := self.world.pending(self):
            reply = yield from ask("take_signal", signals=sorted(pending))
            if not (signo := reply["ret"]):
                break
            si_fd = reply["si_fd"]
            descriptor = f" (si_fd {si_fd})" if si_fd >= 0 else ""
            self.world.note(self, Kind.SIGNAL, f"{signal_name(signo)}{descriptor}: its handler runs")
            self.variables |= {"si_signo": signo, "si_fd": si_fd}
            self.handling.append(signo)
            yield from self._execute(self.handler_programs[signo])
            self.handling.remove(signo)
        return 0
