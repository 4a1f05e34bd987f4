"""Runs conformance programs in the emulated kernel: one op at a time, each to where nothing happens any more."""

from collections.abc import Callable, Iterator
from typing import Any, Literal

from longpin.actors.base import handles
from longpin.actors.clock import Clock
from longpin.actors.constants import (
    ERRNO_NAMES,
    F_GETLEASE,
    F_GETOWN,
    F_RDLCK,
    F_SETLEASE,
    F_SETOWN,
    F_SETSIG,
    F_UNLCK,
    F_WRLCK,
    MAP_SHARED,
    MSG_DONTWAIT,
    O_CREAT,
    O_EXCL,
    O_WRONLY,
    PROT_READ,
    PROT_WRITE,
    SIG_BLOCK,
    SIG_IGN,
    SIGCHLD,
    SIGKILL,
    SIGUSR2,
    W_OK,
)
from longpin.actors.conversation import Conversation
from longpin.actors.directory import Directory
from longpin.actors.facts import CallRecord
from longpin.actors.inode import Inode
from longpin.actors.kernel import Kernel
from longpin.actors.pmem import Pmem
from longpin.actors.policies import make_policy
from longpin.actors.process import Process
from longpin.actors.process_state import NOTHING_INHERITED, Exec, Exit
from longpin.actors.process_table import ProcessTable
from longpin.actors.program import Const, Image
from longpin.actors.program import Op as Call
from longpin.actors.program import Program as Text
from longpin.config.schema import CAPABILITIES
from longpin.messages.clock import CLOCK, Tick
from longpin.messages.directory import DIRECTORY
from longpin.messages.envelope import Address, Done, Message, message
from longpin.messages.process import PROCESS_TABLE, Enroll, Signal, Start
from longpin.runner.conform.ops import (
    COORDINATOR,
    FALLOCATE_MODES,
    FLOCK_HOW,
    LEASE_TYPES,
    OPEN_FLAGS,
    SIGNALS,
    bits,
)
from longpin.runner.conform.outcome import LockLine, OpResult, Outcome, Unblocked
from longpin.runner.conform.outcome import Signal as SignalRead
from longpin.runner.conform.program import Op, Program
from longpin.runner.oracles.fifo import Fifo
from longpin.runner.stepped import SteppedEngine
from longpin.runner.threads import ThreadsEngine

POLL_MSG_BAND = 0x441
"""si_band of a lease break: POLLIN | POLLRDNORM | POLLMSG."""
PAGE = 4096
CREATED_SIZE = 8192
"""Bytes of a file the coordinator makes, unless it says else."""
BLOCKS = 1 << 16


@message
class Perform(Message):
    """Make one call."""

    call: str
    args: tuple[int | str | bytes | None, ...]


class DrivenProcess(Process):
    """A process that makes the calls it is told to make, one at a time, instead of running a program."""

    last: CallRecord
    """The call made last, returned or not."""

    def begin_call(self, op: Call) -> CallRecord:
        """Remember it, so that its result can be asked for."""
        self.last = super().begin_call(op)
        return self.last

    def start_program(self) -> None:
        """Wait to be told."""

    @handles(Perform)
    def perform(self, request: Perform, _src: Address) -> None:
        """Make a call."""
        op = Call(0, request.call, request.call, tuple(Const(arg) for arg in request.args), None)
        self.main = self.start_task(self._one(op))

    def _one(self, op: Call | None) -> Conversation[None]:
        try:
            if op is not None:
                yield from self._call(op)
            yield from self.in_user_space("")
        except Exec as replaced:
            self.replace_image(replaced.image)
            self.last.ret, self.last.returned = 0, True
        except Exit as end:
            yield from self.end(end)

    @handles(Signal)
    def signal(self, request: Signal, src: Address) -> Done:
        """Generate a signal; between calls it is acted on at once."""
        reply = super().signal(request, src)
        if not (self.exiting or self.busy) and (self.killed or self.pending.first(self.mask.blocked)):
            self.main = self.start_task(self._one(None))
        return reply

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return self.main is not None and not self.main.finished


IMAGE = Image("driven", Text(), ((SIGUSR2, Text()),), 0, frozenset(CAPABILITIES))


class EmulatedRunner:
    """The emulated kernel as a conformance runner."""

    def __init__(self, engine: Literal["stepped", "threads"] = "stepped") -> None:
        self.engine = engine

    def run(self, program: Program) -> Outcome:
        """Run a program from a fresh start and return what it did."""
        world = _World(self.engine)
        try:
            return world.run(program)
        finally:
            world.close()


POLICY = make_policy("P0", "intended", {})
"""What Linux does about pins."""


class _World:
    """One machine, and what the harness knows of it."""

    def __init__(self, engine: Literal["stepped", "threads"]) -> None:
        self.engine: SteppedEngine | ThreadsEngine = (
            SteppedEngine(Fifo(), alarms=False)
            if engine == "stepped"
            else ThreadsEngine(lambda *_: None, lambda: None, alarms=False)
        )
        kernel = Kernel(POLICY, page_size=PAGE)
        self.kernel = kernel
        self.engine.spawn(Clock, CLOCK)
        self.engine.spawn(Pmem, "pmem:pmem0", BLOCKS, PAGE, {})
        self.engine.spawn(Directory, DIRECTORY, kernel, "pmem:pmem0", {})
        self.engine.spawn(ProcessTable, PROCESS_TABLE, {})
        self.now = 0.0
        self.processes: dict[str, DrivenProcess] = {}
        self.fds: dict[str, dict[str, int]] = {}
        """Descriptor numbers by process and symbolic name."""
        self.under_way: dict[str, tuple[int, Op, CallRecord]] = {}
        """The call each process has not returned from, with its step."""
        self.files: dict[Address, str] = {}
        """The name of each inode: the first in alphabetical order; of one that has none any more, the last it had."""
        self._process(COORDINATOR)

    def close(self) -> None:
        """Leave nothing behind."""
        if isinstance(self.engine, ThreadsEngine):
            self.engine.close()

    def run(self, program: Program) -> Outcome:
        results = []
        for step, op in enumerate(program.ops):
            results.append(self._step(step, op, program))
        left = tuple(sorted((step, name) for name, (step, _, _) in self.under_way.items()))
        return Outcome(tuple(results), left)

    # One op.

    def _step(self, step: int, op: Op, program: Program) -> OpResult:
        answer = self._coordinate(op) if op.proc == COORDINATOR else self._order(step, op)
        self._advance(program.settle(bool(answer.get("blocked"))) / 1000)
        unblocked = tuple(self._returned())
        signals = {name: read for name in self.processes if (read := tuple(self._read_signals(name)))}
        return OpResult(**answer, unblocked=unblocked, signals=signals, locks=tuple(sorted(self._locks())))

    def _order(self, step: int, op: Op) -> dict[str, Any]:
        """Have a process make a call; return the part of the result that is the call's own."""
        process = self._process(op.proc)
        if process.exiting:
            return {"skipped": "proc gone"}
        if op.proc in self.under_way:
            return {"skipped": "proc blocked"}
        fd = op.args.get("fd")
        if fd is not None and fd not in self.fds[op.proc]:
            return {"skipped": f"no fd {fd}"}
        self._perform(process, *self._call_of(op))
        record = process.last
        if op.op == "mmap" and op.args.get("touch") and not record.errno:
            touch = ("store", record.ret, b"m") if op.args["prot"] == "w" else ("load", record.ret, 1)
            self._perform(process, *touch)
        if op.op == "exit":
            return {"ret": 0}
        if not record.returned:
            self.under_way[op.proc] = (step, op, record)
            return {"blocked": True}
        ret, number = self._ret(op, record)
        return {"ret": ret, "errno": number}

    def _perform(self, process: DrivenProcess, call: str, *args: Any) -> None:
        self.engine.tell(process.address, Perform(call, args))
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

    def _process(self, name: str) -> DrivenProcess:
        """Return a process, made at its first mention: SIGIO and its like are blocked, SIGUSR2 interrupts."""
        if name not in self.processes:
            pid = 100 + len(self.processes)
            address = f"process:{pid}"
            self.engine.spawn(
                DrivenProcess, address, self.kernel, {"driven": IMAGE}, IMAGE, pid, name, NOTHING_INHERITED
            )
            self.engine.tell(address, Start())
            self.engine.tell(PROCESS_TABLE, Enroll(pid, name, address, pid))
            self.processes[name] = process = self._actor(address, DrivenProcess)
            self.fds[name] = {}
            self._perform(process, "sigprocmask", SIG_BLOCK, *(int(number) for number in SIGNALS.values()))
            self._perform(process, "sigaction", SIGCHLD, SIG_IGN)  # so that no child becomes a zombie
        return self.processes[name]

    # The coordinator.

    def _coordinate(self, op: Op) -> dict[str, Any]:
        own = self.processes[COORDINATOR]
        args = op.args
        match op.op:
            case "create":
                path = _path(op)
                self._perform(own, "open", path, O_CREAT | O_EXCL | O_WRONLY, 0o666)
                if (record := own.last).errno:
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
                process = self._process(args["proc"])
                signo = SIGKILL if op.op == "kill" else SIGUSR2
                self.engine.tell(process.address, Signal(signo, capable=True))
                self._settle()
        return {"ret": 0}

    # Calls and what they return.

    def _call_of(self, op: Op) -> tuple[Any, ...]:
        return CALLS[op.op](self, op)

    def _fd(self, op: Op) -> int:
        return self.fds[op.proc][op.args["fd"]]

    def _owner(self, op: Op) -> int:
        text = str(op.args["pid"])
        if text == "0":
            return 0
        pid = self._process(text.removeprefix("-")).pid
        return -pid if text.startswith("-") else pid

    def _ret(self, op: Op, record: CallRecord) -> tuple[int | str | None, str | None]:
        """Return what a call returned as the format has it, and bind the descriptors it made."""
        if record.errno:
            return -1, ERRNO_NAMES[record.errno]
        ret = record.ret
        if not isinstance(ret, int):
            assert isinstance(record.value, bytes)
            return len(record.value), None
        match op.op:
            case "open" | "reopen" | "dup" | "recvfd":
                self._bind(op, "as", ret)
            case "close":
                del self.fds[op.proc][op.args["fd"]]
            case "pipe":
                self._bind(op, "r", ret)
                self._bind(op, "w", self.processes[op.proc].variables["pipe_w"])
                return 0, None
            case "fork":
                child = self._actor(f"process:{ret}", DrivenProcess)
                self.processes[op.args["as"]] = child
                self.fds[op.args["as"]] = dict(self.fds[op.proc])
                return "pid", None
            case "getpid":
                return "pid", None
            case "getlease":
                return {F_RDLCK: "RD", F_WRLCK: "WR", F_UNLCK: "UN"}[ret], None
            case "getown" if ret:
                names = {process.pid: name for name, process in self.processes.items()}
                return ("-" if ret < 0 else "") + names[abs(ret)], None
            case "mmap":
                return 0, None
            case "sendfd":
                return 1, None
        return ret, None

    def _bind(self, op: Op, key: str, fd: Any) -> None:
        self.fds[op.proc][op.args[key]] = fd

    def _returned(self) -> Iterator[Unblocked]:
        """Yield the earlier calls that have returned by now."""
        for name, (step, op, record) in sorted(self.under_way.items(), key=lambda item: item[1][0]):
            if self.processes[name].exiting:
                del self.under_way[name]
            elif record.returned:
                ret, number = self._ret(op, record)
                del self.under_way[name]
                yield Unblocked(step, name, ret, number)

    def _read_signals(self, name: str) -> Iterator[SignalRead]:
        """Yield the signals a process finds pending, if it is not in a call."""
        process = self.processes[name]
        names = {int(number): text for text, number in SIGNALS.items()}
        while not process.exiting and name not in self.under_way:
            self._perform(process, "sigtimedwait")
            record = process.last
            if record.errno:
                return
            fd = process.variables["si_fd"]
            assert isinstance(fd, int)
            assert isinstance(record.ret, int)
            known = fd >= 0
            yield SignalRead(
                names[record.ret], "POLL_MSG" if known else "SI_KERNEL", max(fd, 0), POLL_MSG_BAND if known else 0
            )

    def _locks(self) -> Iterator[LockLine]:
        """Yield the leases as /proc/locks shows them."""
        directory = self._actor(DIRECTORY, Directory)
        for path, inode in sorted(directory.names.items(), reverse=True):
            self.files[inode] = path.removeprefix("/")
        pids = {process.pid: name for name, process in self.processes.items()}
        for address in directory.inodes:
            if address not in self.files:
                continue  # made by O_TMPFILE: what has no name is not looked for
            for lease in self._actor(address, Inode).leases:
                kind = {F_RDLCK: "READ", F_WRLCK: "WRITE", F_UNLCK: "UNLCK"}[lease.target]
                state = "BREAKING" if lease.breaking else "ACTIVE"
                yield LockLine(state, kind, pids[lease.tgid], self.files[address])


def _path(op: Op, key: str = "path") -> str:
    """Return a path argument: every file lies in one directory, which is the root here."""
    name: str = op.args[key]
    return "/" + name.removeprefix(".")


def _open(world: _World, op: Op) -> tuple[Any, ...]:
    return ("open", _path(op), bits(op.args["flags"], OPEN_FLAGS), op.args.get("mode", 0o666))


def _mmap(world: _World, op: Op) -> tuple[Any, ...]:
    prot = PROT_READ | (PROT_WRITE if op.args["prot"] == "w" else 0)
    return ("mmap", PAGE, prot, MAP_SHARED, world._fd(op), 0)


CALLS: dict[str, Callable[[_World, Op], tuple[Any, ...]]] = {
    "open": _open,
    "reopen": lambda w, op: ("open", f"/proc/self/fd/{w._fd(op)}", bits(op.args["flags"], OPEN_FLAGS)),
    "close": lambda w, op: ("close", w._fd(op)),
    "dup": lambda w, op: ("dup", w._fd(op)),
    "pipe": lambda w, op: ("pipe",),
    "mmap": _mmap,
    "fsync": lambda w, op: ("fsync", w._fd(op)),
    "flock": lambda w, op: ("flock", w._fd(op), bits(op.args["how"], FLOCK_HOW, "LOCK_")),
    "read": lambda w, op: ("read", w._fd(op), 1),
    "write": lambda w, op: ("write", w._fd(op), b"w"),
    "ftruncate": lambda w, op: ("ftruncate", w._fd(op), op.args["len"]),
    "fallocate": lambda w, op: ("fallocate", w._fd(op), FALLOCATE_MODES[op.args["mode"]], 0, op.args.get("len", PAGE)),
    "setlease": lambda w, op: (
        "fcntl",
        w._fd(op),
        F_SETLEASE,
        LEASE_TYPES[op.args["type"]] if isinstance(op.args["type"], str) else op.args["type"],
    ),
    "getlease": lambda w, op: ("fcntl", w._fd(op), F_GETLEASE),
    "setsig": lambda w, op: (
        "fcntl",
        w._fd(op),
        F_SETSIG,
        0 if op.args["sig"] in (0, "0") else int(SIGNALS[op.args["sig"]]),
    ),
    "setown": lambda w, op: ("fcntl", w._fd(op), F_SETOWN, w._owner(op)),
    "getown": lambda w, op: ("fcntl", w._fd(op), F_GETOWN),
    "truncate": lambda w, op: ("truncate", _path(op), op.args["len"]),
    "unlink": lambda w, op: ("unlink", _path(op)),
    "rename": lambda w, op: ("rename", _path(op), _path(op, "to")),
    "link": lambda w, op: ("link", _path(op), _path(op, "to")),
    "chmod": lambda w, op: ("chmod", _path(op), op.args["mode"]),
    "chown": lambda w, op: ("chown", _path(op), op.args["uid"]),
    "utimes": lambda w, op: ("utimes", _path(op)),
    "setxattr": lambda w, op: ("setxattr", _path(op)),
    "stat": lambda w, op: ("stat", _path(op)),
    "access": lambda w, op: ("access", _path(op), W_OK),
    "mkdir": lambda w, op: ("mkdir", _path(op)),
    "execve": lambda w, op: ("execve", _path(op)),
    "fork": lambda w, op: ("fork", "driven"),
    "exec": lambda w, op: ("exec", "driven"),
    "exit": lambda w, op: ("exit",),
    "setuid": lambda w, op: ("setuid", op.args["uid"]),
    "setfsuid": lambda w, op: ("setfsuid", op.args["uid"]),
    "getpid": lambda w, op: ("getpid",),
    "sendfd": lambda w, op: ("send_fd", w._process(op.args["to"]).pid, w._fd(op)),
    "recvfd": lambda w, op: ("recv_fd", MSG_DONTWAIT),
}
"""The call each op is."""
