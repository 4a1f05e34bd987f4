"""One program on its way through the kernel of this machine.

After each op the stage waits until everything is at rest: the call has returned or sleeps, and so has every call that
slept before. Then it has the processes that do not sleep read their signals, and reads /proc/locks. Nothing depends on
how long anything takes, except in programs that let a lease-break-time run out.
"""

import os
import signal
import time
from pathlib import Path
from typing import Any

from longpin.runner.conform.abilities import DEFAULT_BREAK_TIME, HostAbilities
from longpin.runner.conform.agent import remove
from longpin.runner.conform.ops import COORDINATOR, FALLOCATE_MODES, FLOCK_HOW, LEASE_TYPES, OPEN_FLAGS, SIGNALS, bits
from longpin.runner.conform.outcome import LockLine, OpResult, Outcome, Signal, Unblocked
from longpin.runner.conform.proc_files import LEASE_BREAK_TIME, leases
from longpin.runner.conform.processes import Agent, Died, DisturbedError, HostError, Zygote
from longpin.runner.conform.program import Op, Program, Unsupported, mentioned

_WATCHDOG = 40.0
"""Seconds a program may take beside its sleeps; less than the default lease-break-time, which must not run out."""
_LATE_CLOSE = 0.01
"""Seconds in which the kernel closes descriptors that were on their way in a socket whose end has died."""
_SHORTEST_DEFAULT = 20
"""A lease-break-time of so many seconds never runs out in a program that does not set it."""


class Stage:
    """One program while it runs."""

    def __init__(self, program: Program, zygote: Zygote, folder: Path, abilities: HostAbilities, lock: int) -> None:
        self._program = program
        self._zygote = zygote
        self._folder = folder
        self._abilities = abilities
        self._lock = lock
        self._agents: dict[str, Agent] = {}
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
        self._due = 0.0
        """When the effects of the last op were due."""
        folder.chmod(0o777)

    def play(self) -> Outcome:
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
        return Outcome(
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

    def _pace(self, op: Op, blocked: bool) -> None:
        """Wait until the op's effects are due, on a time line that our own work does not stretch."""
        self._due += (self._program.settle(blocked) + op.args.get("ms", 0)) / 1000
        time.sleep(max(0.0, self._due - time.monotonic()))

    def _step(self, step: int, op: Op) -> OpResult:
        for name in mentioned(op):
            if name not in self._agents and op.op != "fork":
                self._start(name)
        if op.op == "fork" and op.proc not in self._agents:
            self._start(op.proc)
        own = self._coordinate(op) if op.proc == COORDINATOR else self._call(step, op)
        if self._program.timed:
            self._pace(op, "blocked" in own)
        unblocked = self._returned(step)
        signals = {}
        for agent in self._idle():
            if agent.signals_wait():
                agent.order("signals", {})
                reply = self._answered(agent)
                signals[agent.name] = tuple(Signal(**signal) for signal in reply["signals"])
        if self._break_time_now() != self._expected:
            raise DisturbedError
        return OpResult(
            **own, unblocked=tuple(unblocked), signals=dict(sorted(signals.items())), locks=tuple(self._locks())
        )

    def _start(self, name: str) -> Agent:
        agent = self._agents[name] = Agent(name)
        self._zygote.spawn(agent, self._folder)
        self._names[agent.pid] = name
        return agent

    def _idle(self) -> list[Agent]:
        return [agent for _, agent in sorted(self._agents.items()) if agent.alive and agent.step is None]

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

    def _answered(self, agent: Agent) -> dict[str, Any]:
        """Return the reply to a request that cannot sleep."""
        while not isinstance(reply := agent.reply(self._deadline), dict):
            if time.monotonic() > self._deadline:
                raise HostError(f"process {agent.name} does not answer")
        return reply

    def _call(self, step: int, op: Op) -> dict[str, Any]:
        """Have a process make a call."""
        agent = self._agents[op.proc]
        if reason := self._why_not(agent, op):
            return {"skipped": reason}
        args = {name: self._resolved(agent, name, value) for name, value in op.args.items()}
        match op.op:
            case "fork":
                return self._fork(agent, op.args["as"])
            case "exec":
                agent.order("exec", args)
                try:
                    agent.ready()
                except HostError as error:
                    raise Unsupported(str(error)) from None
                return {"ret": 0}
            case "exit":
                agent.order("exit", args)
                self._end(agent)
                return {"ret": 0}
            case "sendfd":
                agent.order("sendfd", args, [self._agents[op.args["to"]].inbox.fileno()])
            case _:
                agent.order(op.op, args)
        try:
            reply = agent.reply(self._deadline)
        except Died as death:
            raise Unsupported(f"op {step}: {death}, and the format has no word for that") from None
        if not isinstance(reply, dict):
            agent.step = step
            return {"blocked": True, "wait_channel": reply.channel or None}
        ret, errno = self._take(agent, op, reply)
        return {"ret": ret, "errno": errno}

    @staticmethod
    def _why_not(agent: Agent, op: Op) -> str | None:
        if not agent.alive:
            return "proc gone"
        if agent.step is not None:
            return "proc blocked"
        fd = op.args.get("fd")
        return f"no fd {fd}" if fd is not None and fd not in agent.fds else None

    def _resolved(self, agent: Agent, name: str, value: Any) -> Any:
        """Return an argument as the system call takes it: numbers for names."""
        match name:
            case "fd":
                return agent.fds[value]
            case "flags":
                return bits(value, OPEN_FLAGS)
            case "type":
                return LEASE_TYPES.get(value, value) if isinstance(value, str) else value
            case "sig":
                return 0 if value in (0, "0") else int(SIGNALS[value])
            case "pid":
                if value in (0, "0"):
                    return 0
                pid = self._agents[value.removeprefix("-")].pid
                return -pid if value.startswith("-") else pid
            case "how":
                return bits(value, FLOCK_HOW, "LOCK_")
            case "mode" if isinstance(value, str):
                return FALLOCATE_MODES[value]
            case _:
                return value

    def _take(self, agent: Agent, op: Op, reply: dict[str, Any]) -> tuple[int | str | None, str | None]:
        """Take a call's answer: name what it made, and name what it named by number."""
        ret, errno = reply["ret"], reply["errno"]
        if errno is not None:
            return ret, errno
        match op.op:
            case "open" | "reopen" | "dup" | "recvfd":
                agent.fds[op.args["as"]] = ret
            case "pipe":
                agent.fds[op.args["r"]], agent.fds[op.args["w"]] = reply["ends"]
            case "close":
                del agent.fds[op.args["fd"]]
            case "getlease":
                return {number: name for name, number in LEASE_TYPES.items()}.get(ret, ret), None
            case "getown" if ret:
                return ("-" if ret < 0 else "") + self._names.get(abs(ret), "?"), None
            case "getpid":
                return "pid" if ret == agent.pid else ret, None
            case _:
                pass
        return ret, None

    def _fork(self, parent: Agent, name: str) -> dict[str, Any]:
        child = Agent(name)
        try:
            parent.order("fork", {}, child.ends)
            child.started(self._answered(parent)["ret"])
        except BaseException:
            child.close()
            raise
        child.fds = dict(parent.fds)
        self._agents[name] = child
        self._names[child.pid] = name
        return {"ret": "pid"}

    def _end(self, agent: Agent) -> None:
        agent.gone(self._deadline)
        agent.close()
        if self._sends:
            time.sleep(_LATE_CLOSE)

    def _coordinate(self, op: Op) -> dict[str, Any]:
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
                file.write(b"\0" * size)
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
        for entry in sorted(os.scandir(self._folder), key=lambda entry: entry.name):
            named.setdefault(entry.inode(), entry.name)
        self._files |= named
        return sorted(
            LockLine(lease.state, lease.kind, self._names.get(lease.pid, "?"), self._files[lease.inode])
            for lease in leases()
            if lease.inode in self._files and os.makedev(*lease.device) == device
        )
