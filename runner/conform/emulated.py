"""Runs conformance programs in the emulated kernel: one op at a time, each to where nothing happens any more."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from longpin.actors.clock import Clock
from longpin.actors.constants import (
    ERRNO_NAMES,
    F_RDLCK,
    F_UNLCK,
    F_WRLCK,
    O_CREAT,
    O_EXCL,
    O_WRONLY,
    SIG_BLOCK,
    SIG_IGN,
    SIGCHLD,
    SIGKILL,
    SIGUSR2,
)
from longpin.actors.fs.directory import Directory
from longpin.actors.fs.inode import Inode
from longpin.actors.kernel.machine import Kernel
from longpin.actors.kernel.mount import Mount
from longpin.actors.mm.pmem import Pmem
from longpin.actors.policies.proposal import KERNEL, Proposal
from longpin.actors.process.facts import CallRecord
from longpin.actors.process.pending import (
    CLD_CONTINUED,
    CLD_EXITED,
    CLD_KILLED,
    CLD_STOPPED,
    POLL_MSG,
    SI_KERNEL,
    SI_SIGIO,
    SI_USER,
    Siginfo,
)
from longpin.actors.process.process_state import NOTHING_INHERITED
from longpin.actors.process.process_table import ProcessTable
from longpin.actors.process.program import Op
from longpin.messages.clock import CLOCK, Tick
from longpin.messages.envelope import Address
from longpin.messages.fs.directory import DIRECTORY
from longpin.messages.process.process import PROCESS_TABLE, Enroll, Signal
from longpin.runner.conform import uring_ops
from longpin.runner.conform.driven import FORKED, IMAGE, DrivenProcess, DrivenThread, Perform
from longpin.runner.conform.names import ProgramNames
from longpin.runner.conform.ops import (
    COORDINATOR,
    INT_MIN,
    NOBODY,
    PAGE,
    READ,
    SIGNALS,
    process_number,
    signal_name,
)
from longpin.runner.conform.outcome import LockLine, OpResult, ProgramOutcome, SeenSignal, Unblocked
from longpin.runner.conform.program import ConformOp, ConformProgram, is_made_by, mentioned
from longpin.runner.conform.reader import call, read_call, touch, write_result
from longpin.runner.conform.storage import data_text, extents_text, read_extents
from longpin.runner.engines.stepped import SteppedEngine
from longpin.runner.engines.threads import ThreadsEngine
from longpin.runner.engines.world import spawn_common
from longpin.runner.given_policy import blaming
from longpin.runner.oracles.fifo import Fifo

POLL_MSG_BAND = 0x441
"""si_band of a lease break: POLLIN | POLLRDNORM | POLLMSG."""
CREATED_SIZE = 8192
"""Bytes of a file the coordinator makes, unless it says else."""
BLOCKS = 1 << 16
_NO_PROCESS = -INT_MIN - 1
"""A number that no process has."""
_ALL_SIGNALS = frozenset(range(1, 65))
_SI_CODES = {
    SI_USER: "SI_USER",
    SI_KERNEL: "SI_KERNEL",
    POLL_MSG: "POLL_MSG",
    SI_SIGIO: "SI_SIGIO",
}
_CLD_CODES = {
    CLD_EXITED: "CLD_EXITED",
    CLD_KILLED: "CLD_KILLED",
    CLD_STOPPED: "CLD_STOPPED",
    CLD_CONTINUED: "CLD_CONTINUED",
}


class EmulatedRunner:
    """The emulated kernel as a conformance runner."""

    def __init__(self, engine: Literal["stepped", "threads"] = "stepped", proposal: Proposal | None = None) -> None:
        self.engine = engine
        self.proposal = proposal or PROPOSAL

    def run(self, program: ConformProgram) -> ProgramOutcome:
        """Run a program from a fresh start and return what it did.

        Raises:
            PolicyError: the policy, a class in a file, does what no policy may.
            InternalError: a bug of longpin.

        """
        with blaming(self.proposal.policy.name):
            world = _World(self.engine, program, self.proposal)
            try:
                return world.run()
            finally:
                world.close()


IMAGES = {image.name: image for image in (IMAGE, FORKED)}
PROPOSAL = Proposal.make("P0", "intended", {})
"""What Linux does about pins."""


def make_proposal(name: str, preset: str, parameters: Mapping[str, Any]) -> Proposal:
    """Return a proposal as it is compared: on the kernel that :data:`PROPOSAL` is on, unless another one is given."""
    return Proposal.make(name, preset, {KERNEL: PROPOSAL.kernel} | dict(parameters))


@dataclass(slots=True)
class _Member:
    """A process, and what the harness knows of it."""

    world: "_World"
    name: str
    process: DrivenProcess
    thread: DrivenThread
    names: ProgramNames = field(default_factory=ProgramNames)
    """Those of its process."""
    was_leader: bool = True
    """It is the first thread of its process."""
    replaced: bool = False
    """It was another thread, when one executed a program."""
    under_way: tuple[int, ConformOp, CallRecord] | None = None
    """The call it has not returned from, with its step."""
    seen_alive: bool = True
    """It was, when the last op was over."""

    @property
    def gone(self) -> bool:
        """Whether it makes no calls any more."""
        return self.process.exiting or self.replaced or self.thread.leaving

    @property
    def returned(self) -> bool:
        """Whether the call made last has returned to user space: a stopped process is not there yet."""
        return self.thread.last.returned and not self.thread.busy and not self.gone

    def number(self, value: str | int) -> int:
        """Return the number that stands for a process, a thread or a group."""
        return process_number(value, self._number_of)

    def _number_of(self, name: str) -> int:
        if name == NOBODY or (member := self.world.members[name]).replaced:
            return _NO_PROCESS
        return member.thread.tid


class _World:
    """One machine, and what the harness knows of it."""

    def __init__(self, engine: Literal["stepped", "threads"], program: ConformProgram, proposal: Proposal) -> None:
        self.engine: SteppedEngine | ThreadsEngine = (
            SteppedEngine(Fifo(), alarms=False)
            if engine == "stepped"
            else ThreadsEngine(lambda *_: None, lambda: None, alarms=False)
        )
        on_rings = any(op.op in uring_ops.RULES for op in program.ops)
        mount = Mount("pmem:pmem0", dax=not on_rings)  # the files of the other kernel are not on DAX
        kernel = Kernel(proposal.policy, proposal.generation, (mount,), page_size=PAGE, devices=())
        self.kernel = kernel
        self.engine.spawn(Clock, CLOCK)
        spawn_common(self.engine, kernel)
        self.engine.spawn(Pmem, "pmem:pmem0", BLOCKS, PAGE)
        self.engine.spawn(Directory, DIRECTORY, kernel, {})
        self.engine.spawn(ProcessTable, PROCESS_TABLE, {})
        self.now = 0.0
        self.program = program
        own = program.own_signals
        self.read = frozenset(SIGNALS[name] for name in READ if name not in own)
        """The signals that are read after each op."""
        self.shown = {SIGNALS[name]: name for name in sorted(own, key=SIGNALS.__getitem__)}
        """The signals of which it is shown where they are pending and when their handlers ran."""
        self.members: dict[str, _Member] = {}
        self.files: dict[Address, str] = {}
        """The name of each inode: the first in alphabetical order; of one that has none any more, the last it had."""
        self.waited: dict[str, list[SeenSignal]] = {}
        """What sigtimedwait and sigwaitinfo took since the op began."""
        self._start(COORDINATOR)

    def close(self) -> None:
        """Leave nothing behind."""
        if isinstance(self.engine, ThreadsEngine):
            self.engine.close()

    def run(self) -> ProgramOutcome:
        results = [self._step(step, op) for step, op in enumerate(self.program.ops)]
        left = [(member.under_way[0], name) for name, member in self.members.items() if member.under_way is not None]
        return ProgramOutcome(tuple(results), tuple(sorted(left)))

    # One op.

    def _step(self, step: int, op: ConformOp) -> OpResult:
        for name in mentioned(op):
            if name not in self.members and not is_made_by(op, name):
                self._start(name)
        self.waited = {}
        answer = self._coordinate(op) if op.proc == COORDINATOR else self._order(step, op)
        self._advance(self.program.settle(bool(answer.get("blocked"))) / 1000)
        unblocked = tuple(self._returned())
        ends = op.args.get("proc") if op.proc == COORDINATOR and op.op == "kill" else None
        return OpResult(
            **answer,
            unblocked=unblocked,
            signals=self._read_signals(),
            pending=dict(self._pending()),
            handled=dict(self._handled()),
            killed={name: signal for name, signal in self._killed() if name != ends},
            stopped=tuple(name for name, member in sorted(self._alive()) if member.thread.in_stop),
            locks=tuple(sorted(self._locks())),
        )

    def _order(self, step: int, op: ConformOp) -> dict[str, Any]:
        """Have a process make a call; return the part of the result that is the call's own."""
        member = self.members[op.proc]
        if reason := self._why_not(member, op):
            return {"skipped": reason}
        process = member.process
        self._make(member, read_call(member, op))
        record = member.thread.last
        if op.op == "mmap" and op.args.get("touch") and not record.errno:
            self._make(member, touch(record.ret if isinstance(record.ret, int) else 0, op.args["prot"]))
        if op.op in ("exit", "threadexit"):
            return {"ret": 0}
        if op.op == "exec" and record.returned and not record.errno:
            self._replaced(process)
        elif member.gone:
            return {"ret": None}
        elif not member.returned:
            member.under_way = (step, op, record)
            return {"blocked": True}
        ret, number = self._ret(member, op, record)
        return {"ret": ret, "errno": number}

    def _replaced(self, process: DrivenProcess) -> None:
        """Have the process's name stand for the thread that executed a program: the others are gone."""
        survivor = process.leader
        assert isinstance(survivor, DrivenThread)
        for member in self.members.values():
            if member.process is process:
                member.under_way = None
                member.replaced = member.thread is not survivor or not member.was_leader
                if member.was_leader:
                    member.thread, member.replaced = survivor, False

    @staticmethod
    def _why_not(member: _Member, op: ConformOp) -> str | None:
        if member.gone:
            return "proc gone"
        if member.under_way is not None:
            return "proc blocked"
        return "proc stopped" if member.thread.in_stop else member.names.missing(op)

    def _perform(self, member: _Member, name: str, *args: Any) -> None:
        self._make(member, call(name, *args))

    def _make(self, member: _Member, op: Op) -> None:
        self.engine.tell(member.process.address, Perform(op, member.thread.tid))
        self._settle()

    def _settle(self) -> None:
        self.engine.run()

    def _advance(self, seconds: float) -> None:
        """Let time pass, from deadline to deadline."""
        clock = self._actor(CLOCK, Clock)
        end = self.now + seconds
        while deadlines := [deadline for deadline in clock.timers.values() if deadline <= end]:
            self._tick(min(deadlines))
        if end > self.now:
            self._tick(end)

    def _tick(self, now: float) -> None:
        self.now = max(now, self.now)
        self.engine.tell(CLOCK, Tick(self.now))
        self._settle()

    def _actor(self, address: Address, kind: type[Any]) -> Any:
        actor = self.engine.actors[address]
        assert isinstance(actor, kind)
        return actor

    def _start(self, name: str) -> None:
        """Start a process: SIGIO and its like are blocked, SIGUSR2 interrupts, its children leave no zombies."""
        pid = 100 + len(self.members)
        address = f"process:{pid}"
        self.engine.spawn(DrivenProcess, address, self.kernel, IMAGES, IMAGE, pid, name, NOTHING_INHERITED)
        if name != COORDINATOR:
            self.engine.tell(PROCESS_TABLE, Enroll(pid, name, address, pid))
        member = self._add(name, self._actor(address, DrivenProcess))
        self._perform(member, "sigprocmask", SIG_BLOCK, *(SIGNALS[signal] for signal in READ))
        self._perform(member, "sigaction", SIGCHLD, SIG_IGN)

    def _add(self, name: str, process: DrivenProcess, names: ProgramNames | None = None, tid: int = 0) -> _Member:
        """Keep a new process, or a new thread of one."""
        thread = process.find_thread(tid)
        assert isinstance(thread, DrivenThread)
        self.members[name] = _Member(self, name, process, thread, names or ProgramNames(), was_leader=not tid)
        return self.members[name]

    # The coordinator.

    def _coordinate(self, op: ConformOp) -> dict[str, Any]:
        own = self.members[COORDINATOR]
        args = op.args
        match op.op:
            case "create":
                path = args["path"]
                self._perform(own, "open", path, O_CREAT | O_EXCL | O_WRONLY, 0o666)
                if (record := own.thread.last).errno:
                    return {"ret": -1, "errno": ERRNO_NAMES[record.errno]}
                fd = record.ret
                self._perform(own, "ftruncate", fd, args.get("size", CREATED_SIZE))
                self._perform(own, "close", fd)
                self._perform(own, "chmod", path, args.get("mode", 0o666))
            case "sysctl":
                self._perform(own, "set_lease_break_time", args["lease_break_time"])
            case "sleep":
                self._advance(args["ms"] / 1000)
            case "kill" | "interrupt":
                process = self.members[args["proc"]].process
                if process.exiting:
                    return {"skipped": "proc gone"}
                signo = SIGKILL if op.op == "kill" else SIGUSR2
                self.engine.tell(process.address, Signal(signo, capable=True))
                self._settle()
        return {"ret": 0}

    # What calls return.

    def _ret(self, member: _Member, op: ConformOp, record: CallRecord) -> tuple[int | str | None, str | None]:
        """Return what a call returned as the format has it, and note what it made."""
        if record.errno:
            return -1, ERRNO_NAMES[record.errno]
        ret, process = record.ret, member.process
        if not isinstance(ret, int):
            assert isinstance(record.value, bytes)
            if op.op in ("read_at", "read_data"):
                return data_text(record.value), None
            if op.op == "fiemap":
                return extents_text(read_extents(record.value)), None
            return (record.value[0] if op.op in ("load", "peek") else len(record.value)), None
        variables = member.thread.variables
        other = variables.get("pipe_w", 0)
        assert isinstance(other, int)
        member.names.bind(op, ret, other)
        match op.op:
            case "fork":
                self._add(op.args["as"], self._actor(f"process:{ret}", DrivenProcess), member.names.copy())
                return "pid", None
            case "thread":
                self._add(op.args["as"], process, member.names, ret)
                return "tid", None
            case "sigtimedwait" | "sigwaitinfo":
                self.waited.setdefault(member.name, []).append(_read(member.thread.waited_for))
        told = "owner_type" if op.op == "getownex" else "wait_status"
        status = variables.get(told, 0)
        assert isinstance(status, int)
        return write_result(op, ret, self._name_of, status), None

    def _name_of(self, pid: int) -> str:
        return next(name for name, member in self.members.items() if member.thread.tid == pid and not member.replaced)

    def _returned(self) -> Iterator[Unblocked]:
        """Yield the earlier calls that have returned by now."""
        calls = [(member.under_way, member) for member in self.members.values() if member.under_way is not None]
        for (step, op, record), member in sorted(calls, key=lambda item: item[0][0]):
            if member.gone:
                member.under_way = None
            elif member.returned:
                member.under_way = None
                ret, number = self._ret(member, op, record)
                yield Unblocked(step, member.name, ret, number)

    # What can be seen of processes.

    def _alive(self) -> Iterator[tuple[str, _Member]]:
        for name, member in self.members.items():
            if not member.gone and name != COORDINATOR:
                yield name, member

    def _read_signals(self) -> dict[str, tuple[SeenSignal, ...]]:
        """Have the processes that make no call read the signals that the program does not use itself."""
        read = {name: list(signals) for name, signals in self.waited.items()}
        for name, member in sorted(self._alive()):
            while not member.thread.busy and (signal := member.thread.take_signal(_ALL_SIGNALS - self.read)):
                read.setdefault(name, []).append(_read(signal))
        return {name: tuple(signals) for name, signals in sorted(read.items())}

    def _pending(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        for name, member in self._alive():
            pending = (*member.process.pending.signals, *member.thread.pending.signals)
            numbers = {signal.signo for signal in pending}
            if names := tuple(its for number, its in self.shown.items() if number in numbers):
                yield name, names

    def _handled(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        for name, member in self.members.items():
            names = tuple(self.shown[signo] for signo in member.process.handled if signo in self.shown)
            if member.was_leader:
                member.process.handled.clear()
            if names and member.was_leader:
                yield name, names

    def _killed(self) -> Iterator[tuple[str, str]]:
        """Yield the processes that a signal has ended since this was asked last."""
        for name, member in self.members.items():
            if member.seen_alive and member.gone:
                member.seen_alive = False
                if member.was_leader and member.process.ended_by:
                    yield name, signal_name(member.process.ended_by)

    def _locks(self) -> Iterator[LockLine]:
        """Yield the leases as /proc/locks shows them."""
        directory = self._actor(DIRECTORY, Directory)
        for path, inode in sorted(directory.names.items(), reverse=True):
            self.files[inode] = path.removeprefix("/")
        for address in directory.inodes:
            if address not in self.files:
                continue  # made by O_TMPFILE: what has no name is not looked for
            for lease in self._actor(address, Inode).view().leases:
                kind = {F_RDLCK: "READ", F_WRLCK: "WRITE", F_UNLCK: "UNLCK"}[lease.target]
                state = "BREAKING" if lease.breaking else "ACTIVE"
                yield LockLine(state, kind, self._name_of(lease.tgid), self.files[address])


def _read(signal: Siginfo) -> SeenSignal:
    """Return what a process reads of a signal."""
    codes = _CLD_CODES if signal.signo == SIGCHLD else _SI_CODES
    about_file = signal.si_fd >= 0
    return SeenSignal(
        signal_name(signal.signo),
        codes.get(signal.si_code) or _SI_CODES[signal.si_code],
        max(signal.si_fd, 0),
        POLL_MSG_BAND if about_file else 0,
    )
