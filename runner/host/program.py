"""A process of a scenario on the host kernel: its program and signal handlers, one call after the other.

Its programs are interpreted as those of an emulated process are (:mod:`longpin.actors.process.interpreter`); its calls
are made by a real one.

Signals that have a handler stay blocked in the real process. When one is pending, the runner sends another signal that
does nothing but end the call under way with EINTR; then the process takes the pending ones with sigtimedwait(2), which
tells the descriptor, and the programs of their handlers run, in the order of the frames that the kernel would push. A
call that is to be restarted is made again. Signals without a handler are the kernel's affair.
"""

from collections.abc import Callable, Generator
from functools import partial

from longpin.actors.constants import SIG_HANDLER, SIG_IGN
from longpin.actors.process.facts import CallRecord
from longpin.actors.process.interpreter import Interpreter
from longpin.actors.process.pending import Siginfo
from longpin.actors.process.process_state import Disposition, Exit, Value
from longpin.actors.process.program import Image, Op, Program
from longpin.actors.process.signal_mask import Frame, SignalMask
from longpin.actors.process.signals import initial_dispositions
from longpin.runner.events import ProcessName
from longpin.runner.host.buffers import MEMORY
from longpin.runner.host.calls import LabelWait, Steps, ask
from longpin.runner.host.surroundings import Surroundings
from longpin.runner.machine.agent_libc import PAGE
from longpin.runner.machine.orders import Order, Reply
from longpin.runner.machine.processes import Agent


class HostProcess(Interpreter):
    """One process: what it is going to do, and what is known of it."""

    def __init__(self, world: Surroundings, image: Image, pid: int, name: str, parent: "HostProcess | None") -> None:
        self.world = world
        self.image = image
        self.pid = pid
        self.name = name
        self.agent = Agent(name)
        self.parent = parent
        self.process: HostProcess = self
        """That of a thread; of a process, itself."""
        self.joined: list[int] = []
        """The threads that were joined."""
        self.group: int = parent.group if parent is not None else pid
        self.variables: dict[str, Value] = dict(parent.variables) if parent is not None else {}
        self.handler_programs: dict[int, Program] = dict(parent.handler_programs) if parent is not None else {}
        self.dispositions: dict[int, Disposition] = dict(parent.dispositions) if parent is not None else {}
        self.mask: SignalMask = SignalMask(parent.mask.blocked if parent is not None else ())
        self.handling: list[Frame] = []
        self.next_mapping: int = parent.next_mapping if parent is not None else MEMORY[0]
        """Where the next mapping goes, apart from what the process needs for itself."""
        self._install_handlers()
        self.children: dict[str, int] = {}
        """How many children run each program."""
        self.record: CallRecord | None = None
        """The call under way, or the last one."""
        self.calls: list[CallRecord] = []
        self.status: int | None = None
        """What it has exited with; None: it lives, or a signal has killed it."""
        self.steps: Generator[Order | LabelWait, Reply, None] = self._live()

    @property
    def full_name(self) -> ProcessName:
        """How it is told from others."""
        return ProcessName(self.name, self.pid)

    @property
    def deliverable(self) -> set[int]:
        """The signals whose handlers may run now."""
        handled = {signo for signo, disposition in self.dispositions.items() if disposition.action == SIG_HANDLER}
        return handled - self.mask.blocked

    def mapped(self, address: int, length: int) -> None:
        """Have the next mapping lie above one, with a page in between."""
        self.next_mapping = max(self.next_mapping, address + length + 2 * PAGE & -PAGE)

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

    def _live(self) -> Generator[Order | LabelWait, Reply, None]:
        if self.parent is None:
            yield from self.world.become(self)
        yield from self.tell_kernel()
        yield from self.run()

    def implementation(self, call: str) -> Callable[..., Steps | Value]:
        """Return what makes a call."""
        return partial(self.world.call_table[call], self)

    def get_signals(self) -> Generator[Order | LabelWait, Reply, list[Frame]]:
        """Take every signal whose handler may run; the handler of the one taken first runs last."""
        frames: list[Frame] = []
        while pending := self.world.pending(self):
            reply = yield from ask("take_signal", signals=sorted(pending), seconds=0)
            if not (signo := reply["ret"]):
                break
            signal = Siginfo(signo, reply["si_fd"])
            frames.append(self.mask.push(signal, restart=self.dispositions[signo].restart))
        if frames:
            yield from self.tell_kernel()
        else:
            self.mask.restore()
        return frames

    def mask_changed(self) -> Steps:
        """Have the real process block what is blocked now."""
        return self.tell_kernel()

    def replace_image(self, image: Image) -> Steps:
        """Go on with another program: handlers of the last one are gone."""
        self.image = image
        self.handler_programs.clear()
        self.dispositions = {s: d for s, d in self.dispositions.items() if d.action != SIG_HANDLER}
        self.next_mapping = MEMORY[0]
        self._install_handlers()
        return self.tell_kernel()

    def end(self, end: Exit) -> Generator[Order | LabelWait, Reply, None]:
        """Have the real process exit."""
        self.status = end.status
        yield from ask("exit", status=end.status)

    def begin_call(self, op: Op) -> CallRecord:
        """Note that a call is made."""
        self.record = record = super().begin_call(op)
        self.world.begun(self, record)
        return record

    def end_call(self, record: CallRecord, value: Value) -> None:
        """Note that a call has returned."""
        super().end_call(record, value)
        self.world.ended(self, record)

    def handler_entered(self, frame: Frame) -> None:
        """Note that a handler is entered."""
        self.world.handler_begins(self, frame.signal)

    def handler_returned(self) -> None:
        """Note that the handler entered last has returned: the call it interrupted is the one under way."""
        self.world.handler_returns(self)
        if self.calls:
            self.record = self.calls[-1]
