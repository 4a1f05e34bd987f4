"""One program on its way through the kernel of this machine.

After each op the stage waits until everything is at rest: the call has returned or sleeps, and so has every call that
slept before. Then it has the processes that do not sleep read their signals, and reads /proc/locks. Nothing depends on
how long anything takes, except in programs that let a lease-break-time run out.

Where processes may be signalled, all of them are looked at until nobody has run between two looks: who is signalled
runs its handlers, stops or dies by itself, and whoever does that may set off more.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longpin.runner.conform.names import ProgramNames
from longpin.runner.conform.ops import (
    COORDINATOR,
    NOBODY,
    PAGE,
    READ,
    SIGNALS,
    process_number,
    signal_name,
)
from longpin.runner.conform.orders import order_for
from longpin.runner.conform.outcome import LockLine, OpResult, ProgramOutcome, SeenSignal, Unblocked
from longpin.runner.conform.program import ConformOp, ConformProgram, Unsupported, is_made_by, mentioned
from longpin.runner.conform.reader import read_call, touch, write_result
from longpin.runner.conform.storage import data_text, extents_text
from longpin.runner.machine.abilities import DEFAULT_BREAK_TIME, HostAbilities
from longpin.runner.machine.agent import remove
from longpin.runner.machine.orders import Order
from longpin.runner.machine.proc_files import LEASE_BREAK_TIME, Status, leases
from longpin.runner.machine.processes import FIRST_MAPPING, Agent, Died, DisturbedError, HostError, Zygote

_WATCHDOG = 40.0
"""Seconds a program may take beside its sleeps; less than the default lease-break-time, which must not run out."""
_LATE_CLOSE = 0.01
"""Seconds in which the kernel closes descriptors that were on their way in a socket whose end has died."""
_SHORTEST_DEFAULT = 20
"""A lease-break-time of so many seconds never runs out in a program that does not set it."""
_NO_PROCESS = 0x7FFF_FFF0
"""A number that no process can have [PID_MAX_LIMIT]."""
_SIZE_OF_FOLDER = 4096
"""What stat(2) says of a folder: what it really says is for a file system to know."""


class StagedProcess(Agent):
    """One process of a program, or a thread of it, which knows its descriptors and mappings by the program's names."""

    def __init__(self, name: str, process: "StagedProcess | None" = None) -> None:
        super().__init__(name)
        self.process = process or self
        """Its process; for that, and so for its first thread, itself."""
        self.names: ProgramNames = ProgramNames() if process is None else process.names

    @property
    def is_thread(self) -> bool:
        """Whether it is another thread than the first."""
        return self.process is not self


@dataclass(slots=True)
class _Caller:
    """The process that makes a call, for the reader of ops."""

    names: ProgramNames
    number: Callable[[str | int], int]


class Stage:
    """One program while it runs."""

    def __init__(
        self, program: ConformProgram, zygote: Zygote, folder: Path, abilities: HostAbilities, lock: int
    ) -> None:
        self._program = program
        self._zygote = zygote
        self._folder = folder
        self._abilities = abilities
        self._lock = lock
        self._agents: dict[str, StagedProcess] = {}
        self._names: dict[int, str] = {}
        """Process names by process id, of dead ones too."""
        self._files: dict[int, str] = {}
        """The last known name of each inode."""
        self._break_time: str | None = None
        """What lease-break-time was, if it was changed."""
        self._expected = ""
        """What it is unless somebody else sets it, who need not hold the lock."""
        slept = sum(op.args["ms"] for op in program.ops if op.op == "sleep")
        paced = program.settle(blocked=True) * len(program.ops) if program.timed else 0
        self._deadline = time.monotonic() + _WATCHDOG + (slept + paced) / 1000
        self._sends = any(op.op == "sendfd" for op in program.ops)
        own = program.own_signals
        self._read = [SIGNALS[name] for name in READ if name not in own]
        """The signals that are read after each op."""
        self._shown = {SIGNALS[name]: name for name in sorted(own, key=SIGNALS.__getitem__)}
        """The signals of which it is shown where they are pending and when their handlers ran."""
        self._ended: StagedProcess | None = None
        """The process that the op itself ends."""
        self._signals: dict[str, tuple[SeenSignal, ...]] = {}
        """What processes have read since the op began."""
        self._killed: dict[str, str] = {}
        self._seen: dict[str, Status] = {}
        """What was seen of each process when all were at rest."""
        self._due = 0.0
        """When the effects of the last op were due."""
        folder.chmod(0o777)

    def play(self) -> ProgramOutcome:
        """Make every op.

        Raises:
            DisturbedError: somebody else has set lease-break-time, and has not put it back before it was looked at.

        """
        if self._break_time_now() != str(DEFAULT_BREAK_TIME) and not self._abilities.break_time:
            self._set_break_time(DEFAULT_BREAK_TIME)
        elif 0 < int(self._break_time_now()) < _SHORTEST_DEFAULT:
            raise Unsupported(f"lease-break-time is {self._break_time_now()} s: {self._abilities.break_time}")
        self._expected = self._break_time_now()
        self._due = time.monotonic()
        results = [self._step(step, op) for step, op in enumerate(self._program.ops)]
        return ProgramOutcome(
            tuple(results), tuple(sorted((a.step, a.name) for a in self._agents.values() if a.step is not None))
        )

    def clear(self) -> None:
        """End the processes, put back lease-break-time, remove the files."""
        for agent in self._agents.values():
            agent.send_signal(signal.SIGKILL)
        try:
            end = time.monotonic() + _WATCHDOG
            for agent in self._agents.values():
                agent.gone(end)
        finally:
            for agent in self._agents.values():
                agent.close()
            if self._break_time is not None:
                if self._break_time_now() == self._expected:  # else it is somebody else's now
                    LEASE_BREAK_TIME.write_text(self._break_time)
                self._zygote.nothing_to_undo()
            remove(str(self._folder))

    def _pace(self, op: ConformOp, blocked: bool) -> None:
        """Wait until the op's effects are due, on a time line that our own work does not stretch."""
        self._due += (self._program.settle(blocked) + op.args.get("ms", 0)) / 1000
        time.sleep(max(0.0, self._due - time.monotonic()))

    def _step(self, step: int, op: ConformOp) -> OpResult:
        for name in mentioned(op):
            if name not in self._agents and not is_made_by(op, name):
                self._start(name)
        self._signals, self._killed, self._ended = {}, {}, None
        own = self._coordinate(op) if op.proc == COORDINATOR else self._call(step, op)
        if self._program.timed:
            self._pace(op, "blocked" in own)
        self._settle()
        unblocked = self._returned(step)
        self._read_signals()
        pending, handled, stopped = self._seen_of_signals()
        if self._break_time_now() != self._expected:
            raise DisturbedError
        return OpResult(
            **own,
            unblocked=tuple(unblocked),
            signals=dict(sorted(self._signals.items())),
            pending=pending,
            handled=handled,
            killed=dict(sorted(self._killed.items())),
            stopped=stopped,
            locks=tuple(self._locks()),
        )

    def _start(self, name: str) -> StagedProcess:
        agent = self._agents[name] = StagedProcess(name)
        self._zygote.spawn(agent, self._folder)
        agent.group = agent.pid
        self._enroll(agent)
        return agent

    def _enroll(self, agent: StagedProcess) -> None:
        self._agents[agent.name] = agent
        self._names[agent.pid] = agent.name
        agent.may_stop = self._program.uses_signals

    # Being at rest.

    def _settle(self) -> None:
        """Wait until every process rests, whatever they do to each other until then."""
        before: dict[str, Status] | None = None
        while self._program.uses_signals and before != self._seen:
            before, self._seen = self._seen, {}
            for agent in self._agents.values():
                if not agent.alive:
                    continue
                if (seen := agent.at_rest(self._deadline)) is not None:
                    self._seen[agent.name] = seen
                else:
                    self._end(agent)

    def _end(self, agent: StagedProcess) -> None:
        """Take note of the end of a process."""
        if agent.is_thread and agent is not self._ended:  # it ends as its process does, or is executed over
            agent.gone(self._deadline)
            return
        agent.gone(self._deadline)
        for other in self._threads_of(agent):
            other.gone(self._deadline)
        for other in self._agents.values():
            if not other.alive:  # the children that it has not waited for go with it
                other.reaped_or_kept(self._deadline)
        if self._sends:
            time.sleep(_LATE_CLOSE)
        if agent is self._ended:
            return
        status = agent.wait_status()
        if status is None:
            raise Unsupported("how a process ended cannot be seen on this kernel: it takes Linux 6.15 [PIDFD_GET_INFO]")
        if not os.WIFSIGNALED(status):
            raise HostError(f"process {agent.name} ends by itself, with status {os.waitstatus_to_exitcode(status)}")
        self._killed[agent.name] = signal_name(os.WTERMSIG(status))

    def _threads_of(self, agent: StagedProcess) -> list[StagedProcess]:
        """Return the threads of a process that were not seen to end, without the first."""
        others = [other for other in self._agents.values() if other.is_thread and other.process is agent]
        return [other for other in others if other.alive]

    def _seen_of_signals(self) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]], tuple[str, ...]]:
        """Return what is pending, which handlers ran, and who is stopped."""
        pending, handled, stopped = {}, {}, []
        for name, agent in sorted(self._agents.items()) if self._program.uses_signals else ():
            if names := tuple(self._shown[number] for number in agent.handlers_ran() if number in self._shown):
                handled[name] = names
            if (seen := self._seen.get(name)) is None:
                continue
            if names := tuple(its for number, its in self._shown.items() if seen.pending >> (number - 1) & 1):
                pending[name] = names
            if seen.state == "T":
                stopped.append(name)
        return pending, handled, tuple(stopped)

    def _read_signals(self) -> None:
        """Have the processes that make no call read the signals that the program does not use itself."""
        mask = sum(1 << (number - 1) for number in self._read)
        for agent in self._idle():
            if mask and agent.signals_wait(mask):
                agent.order("read_signals", {"sigs": self._read})
                self._take_signals(agent, self._answered(agent))

    def _take_signals(self, agent: StagedProcess, reply: dict[str, Any]) -> None:
        read = tuple(SeenSignal(**told | {"sig": signal_name(told["sig"])}) for told in reply["signals"])
        self._signals[agent.name] = self._signals.get(agent.name, ()) + read

    def _idle(self) -> list[StagedProcess]:
        return [
            agent
            for name, agent in sorted(self._agents.items())
            if agent.alive and agent.step is None and not self._is_stopped(name)
        ]

    def _is_stopped(self, name: str) -> bool:
        return name in self._seen and self._seen[name].state == "T"

    def _returned(self, step: int) -> list[Unblocked]:
        """Collect the earlier calls that have returned, until those left are all asleep."""
        found: list[Unblocked] = []
        progress = True
        while progress:
            progress = False
            for agent in self._agents.values():
                earlier = agent.step
                if earlier is None or earlier == step or not agent.alive:
                    continue
                reply = agent.reply(self._deadline)
                if isinstance(reply, dict):
                    agent.step = None
                    ret, errno = self._take(agent, self._program.ops[earlier], reply)
                    found.append(Unblocked(earlier, agent.name, ret, errno))
                    progress = True
        return sorted(found, key=lambda call: call.step)

    def _answered(self, agent: StagedProcess) -> dict[str, Any]:
        """Return the reply to a request that cannot sleep."""
        while not isinstance(reply := agent.reply(self._deadline), dict):
            if time.monotonic() > self._deadline:
                raise HostError(f"process {agent.name} does not answer")
        return reply

    def _call(self, step: int, op: ConformOp) -> dict[str, Any]:
        """Have a process make a call."""
        agent = self._agents[op.proc]
        if reason := self._why_not(agent, op):
            return {"skipped": reason}
        order = order_for(read_call(_Caller(agent.names, self._number), op), agent.process.next_mapping, op.op)
        match op.op:
            case "fork":
                return self._fork(agent, op.args["as"])
            case "exec":
                return self._exec(agent, op)
            case "thread":
                return self._make_thread(agent, op.args["as"])
            case "exit" | "threadexit":
                self._ended = agent.process if op.op == "exit" else agent
                agent.order(order.call, order.args)
                self._end(self._ended)
                return {"ret": 0}
        reply = self._reply(agent, order, [self._agents[op.args["to"]].inbox.fileno()] if op.op == "sendfd" else [])
        if reply is None:
            return {"ret": None}
        if isinstance(reply, str):
            agent.step = step
            return {"blocked": True, "wait_channel": reply or None}
        ret, errno = self._take(agent, op, reply)
        if op.op == "mmap" and op.args.get("touch") and errno is None:
            touched = self._reply(agent, order_for(touch(reply["ret"], op.args["prot"]), 0), [])
            ret = ret if touched is not None else None
        return {"ret": ret, "errno": errno}

    def _reply(self, agent: StagedProcess, order: Order, fds: list[int]) -> dict[str, Any] | str | None:
        """Have a call made, and return the reply, or in what it sleeps; None if the process ends in it."""
        agent.order(order.call, order.args, fds)
        try:
            reply = agent.reply(self._deadline)
            if not isinstance(reply, dict) and self._program.uses_signals:
                self._settle()  # who was woken by what the call did may have let it go on by now
                reply = (agent.message() if agent.alive else None) or reply
        except Died:
            self._end(agent)
        if not agent.alive:
            return None
        return reply if isinstance(reply, dict) else reply.channel

    def _why_not(self, agent: StagedProcess, op: ConformOp) -> str | None:
        if not agent.alive:
            return "proc gone"
        if agent.step is not None:
            return "proc blocked"
        return "proc stopped" if self._is_stopped(agent.name) else agent.names.missing(op)

    def _number(self, value: str | int) -> int:
        """Return the number of a process or a group; of those who have none any more, one that nobody has."""
        return process_number(value, lambda name: _NO_PROCESS if name == NOBODY else self._kept_number(name))

    def _kept_number(self, name: str) -> int:
        """Return the number of a process, unless it may be that of a stranger by now: groups keep theirs as well."""
        own = self._agents[name].pid
        kept = any(own in (agent.pid, agent.group) and agent.has_number() for agent in self._agents.values())
        return own if kept else _NO_PROCESS

    def _take(self, agent: StagedProcess, op: ConformOp, reply: dict[str, Any]) -> tuple[int | str | None, str | None]:
        """Take a call's answer: name what it made, and name what it named by number."""
        ret, errno = reply["ret"], reply["errno"]
        if errno is not None:
            return ret, errno
        ends = reply.get("ends", (ret, 0))
        agent.names.bind(op, *ends)
        match op.op:
            case "mmap":
                agent.process.next_mapping = ret + (op.args.get("pages", 1) + 1) * PAGE
            case "load" | "peek":
                return bytes.fromhex(reply["data"])[0], None
            case "read_at" | "read_data":
                return data_text(bytes.fromhex(reply["data"])), None
            case "fiemap":
                return extents_text(tuple(extent) for extent in reply["extents"]), None
            case "stat" if reply["folder"]:
                return _SIZE_OF_FOLDER, None
            case "sigtimedwait" | "sigwaitinfo":
                self._take_signals(agent, reply)
            case "getownex":
                ret = reply["pid"]
            case _:
                pass
        told = reply.get("type", reply.get("status", 0))
        return write_result(op, ret, lambda number: self._names.get(number, "?"), told), None

    def _fork(self, parent: StagedProcess, name: str) -> dict[str, Any]:
        child = StagedProcess(name)
        try:
            parent.order("fork", {}, child.ends)
            child.started(self._answered(parent)["ret"])
        except BaseException:
            child.close()
            raise
        child.names, child.group = parent.names.copy(), parent.group
        child.next_mapping = parent.process.next_mapping
        self._enroll(child)
        return {"ret": "pid"}

    def _make_thread(self, maker: StagedProcess, name: str) -> dict[str, Any]:
        thread = StagedProcess(name, maker.process)
        try:
            maker.order("thread", {}, thread.ends[:1])
            thread.thread_started(self._answered(maker)["ret"])
        except BaseException:
            thread.close()
            raise
        thread.group = maker.group
        self._enroll(thread)
        return {"ret": "tid"}

    def _exec(self, agent: StagedProcess, op: ConformOp) -> dict[str, Any]:
        """Execute the agent afresh: it is the first thread of its process, and the only one, whoever did it."""
        process = agent.process
        agent.order("exec", {})
        try:
            process.ready()
        except HostError as error:
            raise Unsupported(str(error)) from None
        process.step = None
        for thread in self._threads_of(process):
            thread.gone(self._deadline)
        process.names.bind(op, 0)
        process.next_mapping = FIRST_MAPPING
        return {"ret": 0}

    def _coordinate(self, op: ConformOp) -> dict[str, Any]:
        """Do an op of the coordinator's."""
        match op.op:
            case "create":
                return self._create(op.args["path"], op.args.get("size", 8192), op.args.get("mode", 0o666))
            case "sysctl":
                self._set_break_time(op.args["lease_break_time"])
            case "sleep":
                time.sleep(op.args["ms"] / 1000)
            case "interrupt" | "kill":
                agent = self._agents[op.args["proc"]]
                if not agent.alive:
                    return {"skipped": "proc gone"}
                if op.op == "kill":
                    self._ended = agent
                agent.send_signal(signal.SIGKILL if op.op == "kill" else signal.SIGUSR2)
                if op.op == "kill":
                    self._end(agent)
            case _:
                raise Unsupported(f"{op.op} is no op of the coordinator's")
        return {"ret": 0}

    def _create(self, path: str, size: int, mode: int) -> dict[str, Any]:
        try:
            # A file that is there is left alone: opening it could break a lease, or wait for one.
            with (self._folder / path).open("xb") as file:
                file.truncate(size)  # all of it a hole, as in the emulated kernel
                os.fchmod(file.fileno(), mode)
        except FileExistsError:
            return {"ret": -1, "errno": "EEXIST"}
        return {"ret": 0}

    @staticmethod
    def _break_time_now() -> str:
        return LEASE_BREAK_TIME.read_text().strip()

    def _set_break_time(self, seconds: int) -> None:
        now = self._break_time_now()
        if now != self._expected and self._expected:
            raise DisturbedError
        if now == str(seconds):
            return
        if self._abilities.break_time:
            raise Unsupported(f"sysctl: {self._abilities.break_time}")
        if self._break_time is None:
            self._zygote.undo_at_end(LEASE_BREAK_TIME, now, self._lock)
            self._break_time = now
        LEASE_BREAK_TIME.write_text(str(seconds))
        self._expected = str(seconds)

    def _locks(self) -> list[LockLine]:
        """Return the leases on files that have, or had, a name in the folder."""
        device = self._folder.stat().st_dev
        named: dict[int, str] = {}
        for path, inode in sorted(_names_in(self._folder, "")):
            named.setdefault(inode, path)
        self._files |= named
        return sorted(
            LockLine(lease.state, lease.kind, self._names.get(lease.pid, "?"), self._files[lease.inode])
            for lease in leases()
            if lease.inode in self._files and os.makedev(*lease.device) == device
        )


def _names_in(folder: Path, above: str) -> Iterator[tuple[str, int]]:
    """Yield every name in a folder, and in those in it, with its inode."""
    for entry in os.scandir(folder):
        yield above + entry.name, entry.inode()
        if entry.is_dir(follow_symlinks=False):
            yield from _names_in(Path(entry.path), f"{above}{entry.name}/")
